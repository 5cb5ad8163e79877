"""What may be given any bytes: each function takes some, and raises only where the program would have stumbled."""

from __future__ import annotations

import functools
import json
import tempfile
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

from geosteer.decision.client import from_question, parse, quick
from geosteer.errors import ConfigError, CorruptPage, GeosteerError
from geosteer.keys import digest
from geosteer.library.chooser import Chooser
from geosteer.powerdns.protocol import Lines
from geosteer.powerdns.responder import Responder
from geosteer.process import below
from geosteer.redirect.routes import Routes, Target
from geosteer.redirect.squid_protocol import Requests, Rewriter
from geosteer.settings import Settings
from geosteer.sync import states
from geosteer.sync.adoption import Adoption
from geosteer.sync.generation import Generation
from geosteer.sync.tier import Tier
from geosteer.tables import page_format
from geosteer.tables.leaf_cache import LeafCache
from geosteer.tables.tree import Tree, inner_digests
from geosteer_loader.config.config import load
from geosteer_loader.config.toml_lines import element_of, find_lines, place_of
from geosteer_loader.sources.formats import open_source
from geosteer_loader.sources.report import Report
from support.tiny import DOCUMENT, GEO, build

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def refuse(line: str) -> None:
    """Whatever is logged of a line was not foreseen."""
    raise AssertionError(line)


@functools.cache
def tier() -> Tier:
    """One that has everything, without a Redis."""
    made = Tier(Settings({"snapshot": "/nonexistent/x", "redis": {"url": "unix:///nonexistent/y"}}), below)
    text = json.dumps(DOCUMENT).encode()
    fields = {
        "schema": "1",
        "generation": "1",
        "published": "2026-02-01T00:00:00Z",
        "config": digest(text).hex(),
    }
    pages = {digest(text): text}
    for family, bits in (("v4", 32), ("v6", 128)):
        built = build(GEO, bits)
        fields[f"geo.{family}"] = built.root.hex()
        pages.update(built.pages)
    adoption = Adoption(fields, None)
    while names := adoption.missing():
        for name in names:
            adoption.give(name, pages[name])
    generation, follower = adoption.finish(), made._follower
    follower.leaves.flip(generation.trees)
    for tree in generation.trees.values():
        for branch, number in tree.leaves():
            follower.leaves.cache.put(tree, branch, number, pages[branch.digest(number)])
    follower.state = states.OPENING_USABLE
    follower._in_force(generation)
    follower._become(states.READ)
    made._rename()
    return made


@functools.cache
def responder() -> Responder:
    """For the pipe protocol."""
    made = Responder(tier(), below, lambda: 0.5, refuse)
    made.refresh()
    return made


def pipe(data: bytes) -> None:
    """Lines of the pipe protocol: one whole reply each."""
    answering = responder()
    for line in Lines().feed(data):
        reply = answering.reply(line, 0.0)
        if answering.decider.version != answering._tier.version:
            answering.refresh()
        assert reply.endswith((b"END\n", b"FAIL\n")) or (
            reply.startswith(b"OK\t") and reply.count(b"\n") == 1
        ), reply
        assert reply.count(b"END\n") + reply.count(b"FAIL\n") <= 1 or reply == b"FAIL\nEND\n", reply


def squid(data: bytes) -> None:
    """Lines of Squid's helper protocol: one line back for each."""
    rewriter = Rewriter(Chooser(tier(), below, lambda: 0.5, refuse), Target(), Routes())
    for line in Requests().feed(data):
        reply = rewriter.reply(line, 0.0)
        assert reply.count(b"\n") == 1, reply
        assert reply.endswith(b"\n"), reply


def page(data: bytes) -> None:
    """A page, and a tree of which it is the root: refused, or every address has one cell."""
    name = digest(data)
    for bits in (32, 128):
        try:
            page_format.decode(data)
            if not inner_digests(bits, name, {name: data}):
                _walk(Tree(bits, name, {name: data}), name, data)
        except CorruptPage:
            continue


def _walk(tree: Tree, name: bytes, data: bytes) -> None:
    cache = LeafCache(1 << 20)
    for branch, number in list(tree.leaves())[:4]:
        if branch.digest(number) == name:
            cache.put(tree, branch, number, data)
            start, end = branch.bounds(number)
            for address in (start, end, (start + end) // 2):
                record, length = tree.cell(address)
                assert 0 <= length <= tree.bits
                assert len(record.encode()) <= page_format.MAX_RECORD


def client(data: bytes) -> None:
    """A client in text: one, none, or no address."""
    text = data.decode("latin-1")
    quick(text)
    try:
        parse(text)
    except ValueError:
        pass
    try:
        from_question("192.0.2.1", text)
        from_question(text, None)
    except ValueError:
        return


def document(data: bytes) -> None:
    """A configuration document as published: taken, or refused as damaged."""
    try:
        Generation({"generation": "1"}, data.decode("utf-8", "surrogateescape"), {})
    except CorruptPage:
        return


def configuration(data: bytes) -> None:
    """A loader's configuration: loaded, or refused with places and reasons."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "geosteer.toml"
        path.write_bytes(data)
        try:
            document = tomllib.loads(data.decode().removeprefix("\ufeff"))
        except (ValueError, RecursionError):
            document = {}
        lines = find_lines(data.decode("utf-8", "replace").removeprefix("\ufeff"))
        assert set(_places(document, "")) <= lines.keys()
        try:
            load(path, {})
        except ConfigError:
            return


def _places(value: object, place: str) -> Iterator[str]:
    """Every place of a TOML document."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield place_of(place, key)
            yield from _places(inner, place_of(place, key))
    elif isinstance(value, list):
        for position, inner in enumerate(value, 1):
            yield element_of(place, position)
            yield from _places(inner, element_of(place, position))


def _source(table: str, form: str) -> Callable[[bytes], None]:
    def read(data: bytes) -> None:
        with tempfile.NamedTemporaryFile() as file:
            file.write(data)
            file.flush()
            try:
                for _, _, length, record in open_source(table, form, Path(file.name)).rows(Report(), None):
                    assert 0 <= length <= 128
                    assert len(record.encode()) <= page_format.MAX_RECORD
            except GeosteerError:
                return

    read.__doc__ = f"A source of format {form}: rows, or an error with its place."
    return read


TARGETS: dict[str, Callable[[bytes], None]] = {
    "pipe": pipe, "squid": squid, "page": page, "client": client, "document": document, "configuration": configuration,
    "csv": _source("geo", "csv"), "nerd": _source("geo", "nerd"), "mmdb": _source("geo", "mmdb"),
    "pyasn": _source("bgp", "pyasn"), "prefix2as": _source("bgp", "prefix2as"), "bgpdump": _source("bgp", "bgpdump"),
    "mrt": _source("bgp", "mrt"),
}  # fmt: skip

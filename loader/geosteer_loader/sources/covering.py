"""The routes of a source that cover an address, each with its whole path: for looking at, not for building tables."""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from geosteer.errors import SourceError
from geosteer_loader.sources.bgp_routes import as_path, own_path, steps_text
from geosteer_loader.sources.bgpdump import parse_path
from geosteer_loader.sources.formats import AUTO, source_of
from geosteer_loader.sources.mrt import MrtSource, entries, peer_table, prefix_of, steps_of
from geosteer_loader.sources.mrt_outline import PEER_INDEX_TABLE, TABLE_DUMP_V2
from geosteer_loader.sources.prefix import parse_network
from geosteer_loader.sources.recognise import recognise
from geosteer_loader.sources.report import Report

if TYPE_CHECKING:
    from collections.abc import Iterator

    from geosteer_loader.sources.source_files import SourceFile

MOST = 10_000
"""Routes that are given, at most; a dump of many peers has about a hundred for an address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One route of one peer."""

    prefix: tuple[int, int, int]
    """Address bits, first address, length."""
    path: str | None
    """AS numbers, sets as `{10,20}`; None: the format has no paths."""
    length: int | None
    """Hops, as routers count them."""
    origin: int | None
    """The last AS; None: an AS set."""
    origins: tuple[int, ...]
    """Public ASes that the route may come from."""
    peer: str
    """AS and address of who announced it to the collector; "" where the format does not tell."""


def covering_routes(format: str, file: SourceFile, bits: int, address: int) -> list[Route]:  # noqa: A002
    """Every route of a file whose prefix holds an address, in the order of the file; the first `MOST`.

    Raises: SourceError: it cannot be read.
    """
    if format == AUTO:
        format = recognise("bgp", file).format  # noqa: A001
    readers = {"mrt": _mrt, "bgpdump": _bgpdump}
    found = (
        readers[format](file, bits, address) if format in readers else _listed(format, file, bits, address)
    )
    routes = []
    for route in found:
        routes.append(route)
        if len(routes) == MOST:
            break
    return routes


def _covers(prefix: tuple[int, int, int], bits: int, address: int) -> bool:
    return prefix[0] == bits and (address ^ prefix[1]) >> (bits - prefix[2]) == 0


def _mrt(file: SourceFile, bits: int, address: int) -> Iterator[Route]:
    source = MrtSource(file, "bgp")
    peers: list[tuple[int, str]] = []
    for at, _, kind, subtype, body in source.records(None):
        if kind != TABLE_DUMP_V2:
            continue
        try:
            if subtype == PEER_INDEX_TABLE:
                peers = [(asn, _address(packed)) for asn, packed in peer_table(body)]
                continue
            prefix = prefix_of(subtype, body)
            if prefix is None or not _covers(prefix, bits, address):
                continue
            for number, path in entries(subtype, body):
                peer, where = peers[number]
                steps = steps_of(path)
                summary = as_path(steps) if path else own_path(peer)
                yield Route(
                    prefix=prefix,
                    path=steps_text(steps),
                    length=summary.length,
                    origin=summary.origin,
                    origins=summary.origins,
                    peer=f"AS{peer} {where}",
                )
        except (ValueError, IndexError, struct.error) as exc:
            raise SourceError(f"{source.name}: record at byte {at}: damaged: {exc}") from exc


def _bgpdump(file: SourceFile, bits: int, address: int) -> Iterator[Route]:
    seen, covers, prefix = "", False, (0, 0, 0)
    for number, line in file.lines():
        fields = line.split("|")
        if not fields[0].startswith("TABLE_DUMP") or len(fields) < 7 or fields[2] != "B":
            continue
        try:
            if fields[5] != seen:
                seen, prefix = fields[5], parse_network(fields[5])
                covers = _covers(prefix, bits, address)
            if not covers:
                continue
            summary = parse_path(fields[6]) if fields[6].strip() else own_path(int(fields[4]))
        except ValueError as exc:
            raise SourceError(f"{file.path}: line {number}: {exc}") from exc
        yield Route(
            prefix=prefix,
            path=" ".join(fields[6].split()),
            length=summary.length,
            origin=summary.origin,
            origins=summary.origins,
            peer=f"AS{fields[4]} {fields[3]}",
        )


def _listed(format: str, file: SourceFile, bits: int, address: int) -> Iterator[Route]:  # noqa: A002
    """A list of prefixes with origins: a route for each origin."""
    for *prefix, record in source_of("bgp", format, file).rows(Report()):
        network = (prefix[0], prefix[1], prefix[2])
        if _covers(network, bits, address):
            for word in record.split():
                asn = int(word[2:])
                yield Route(prefix=network, path=None, length=None, origin=asn, origins=(asn,), peer="")


def _address(packed: bytes) -> str:
    return str(ipaddress.ip_address(packed))

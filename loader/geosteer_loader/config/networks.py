"""`[networks.x]`: the operator's own prefixes, in the file or in lists beside it."""

from __future__ import annotations

import ipaddress
import json
from itertools import chain
from typing import TYPE_CHECKING

from geosteer_loader.config.toml_file import read_beside
from geosteer_loader.config.values import label, prefix, text
from geosteer_loader.sources.prefix import parse_address, parse_network, split_range

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from geosteer_loader.config.section import Problems, Table

    Prefix = tuple[int, int, int]

_CARRIERS = ((0xFFFF << 32, 96), (0x0064FF9B << 96, 96), (0x2002 << 112, 16))
"""Prefixes of IPv6 whose members are looked up as the IPv4 address that they carry."""

_KEYS = ("cidr", "network", "prefix")
"""What lists of JSON objects call a network."""

_PIECE = 1 << 20
"""Characters of a list that are split into lines at a time, at least."""


def read_networks(table: Table, base: Path, files: list[Path] | None = None) -> dict[str, tuple[Prefix, ...]]:
    """All networks by name; a prefix is (address bits, first address, length).

    Args: base: where paths begin; files: gets the lists that were read.
    """
    holders: dict[Prefix, str] = {}
    networks = {}
    for name, entry in table.named(name=label):
        networks[name] = tuple(_network(name, entry, base, holders, files))
    return networks


def written(network: Prefix) -> str:
    """A prefix in CIDR form."""
    bits, start, length = network
    return f"{(ipaddress.IPv4Address if bits == 32 else ipaddress.IPv6Address)(start)}/{length}"


def _network(
    name: str, table: Table, base: Path, holders: dict[Prefix, str], files: list[Path] | None
) -> Iterator[Prefix]:
    """The prefixes of a network, each once; of lists with millions of lines nothing else is kept."""
    problems = table.problems
    rows: Iterable[tuple[str | None, str | int, Prefix]] = [
        (None, place, network) for place, network in table.each("prefixes", prefix)
    ]
    listed = table.get("file", text, None)
    if listed:
        path = base / listed
        if files is not None:
            files.append(path)
        rows = chain(rows, _lines(path, table, problems))
    table.finish()
    if not table.raw("prefixes") and "file" not in table:
        problems.add(table.place, "has neither prefixes nor a file")
    disputed: set[Prefix] = set()
    for file, at, network in rows:
        known = len(holders)
        holder = holders.setdefault(network, name)
        if len(holders) > known and network[0] == 32:
            yield network
            continue
        place = at if isinstance(at, str) else f"line {at}"
        if len(holders) > known:
            if any(
                network[2] >= size and network[1] >> 128 - size == block >> 128 - size
                for block, size in _CARRIERS
            ):
                problems.warn(
                    place,
                    f"{written(network)} never matches: its clients are looked up by their IPv4 address",
                    file=file,
                )
        elif holder == name or network in disputed:
            problems.warn(place, f"{written(network)} is listed twice", file=file)
            continue
        else:
            problems.add(place, f"{written(network)} is also in network {holder}", file=file)
            disputed.add(network)
        yield network


def _lines(path: Path, table: Table, problems: Problems) -> Iterator[tuple[str, int, Prefix]]:
    """The prefixes of a list, each with the file and its line.

    One prefix, range or JSON object a line, as Team Cymru's bogons, Spamhaus's DROP and other lists have them; `#` and `;`
    begin a comment.
    """
    try:
        pieces = _pieces(read_beside(path, utf16=True))
    except ValueError as exc:
        table.add("file", f"{path} {exc}")
        return
    file, empty = str(path), True
    for number, line in enumerate(_split(pieces), 1):
        try:
            if line[:1] == "{":
                plain = _of_object(line)
            elif "#" in line or ";" in line:
                plain = line.partition("#")[0].partition(";")[0].strip()
            else:
                plain = line.strip()
            if not plain:
                continue
            empty = False
            if "-" in plain:
                for network in _range(plain):
                    yield file, number, network
            else:
                yield file, number, _prefix(plain)
        except ValueError as exc:
            empty = False
            problems.add(f"line {number}", str(exc), file=file)
    if empty:
        problems.warn(f"{table.place}.file", f"{path} contains no prefix")


def _range(plain: str) -> Iterator[Prefix]:
    """The prefixes of `192.0.2.1-192.0.2.9`. Raises: ValueError: not such a range."""
    low, _, high = plain.partition("-")
    bits, first = parse_address(low.strip())
    other, last = parse_address(high.strip())
    if other != bits or last < first:
        raise ValueError(f"not a range of addresses: {plain[:80]!r}")
    return ((bits, start, length) for start, length in split_range(bits, first, last))


def _of_object(line: str) -> str:
    """The network of `{"cidr": "192.0.2.0/24", ...}`; "" of an object that tells of the list itself. Raises: ValueError."""
    try:
        told = json.loads(line)
        network = next(
            (told[key] for key in _KEYS if key in told), "" if told.get("type") == "metadata" else None
        )
    except (ValueError, RecursionError, AttributeError) as exc:
        raise ValueError(f"not a JSON object: {line[:60]!r}") from exc
    if not isinstance(network, str):
        raise ValueError(f"no network in {line[:60]!r}")
    return network


def _prefix(plain: str) -> Prefix:
    """As `values.prefix`, which is slow, and says more of what is wrong."""
    try:
        return parse_network(plain)
    except ValueError:
        return prefix(plain)


def _pieces(content: str) -> list[str]:
    """A text in pieces of whole lines, the last one first."""
    pieces, at = [], 0
    while at < len(content):
        end = content.find("\n", at + _PIECE) + 1 or len(content)
        pieces.append(content[at:end])
        at = end
    return pieces[::-1]


def _split(pieces: list[str]) -> Iterator[str]:
    """The lines of a text, without making objects of all of them at once; each piece is let go when it is read."""
    while pieces:
        yield from pieces.pop().splitlines()

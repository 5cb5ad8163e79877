"""`[networks.x]`: the operator's own prefixes, in the file or in lists beside it."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from geosteer_loader.config.toml_file import read_beside
from geosteer_loader.config.values import label, prefix, text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from geosteer_loader.config.section import Problems, Table

    Prefix = tuple[int, int, int]

_CARRIERS = ((0xFFFF << 32, 96), (0x0064FF9B << 96, 96), (0x2002 << 112, 16))
"""Prefixes of IPv6 whose members are looked up as the IPv4 address that they carry."""


def read_networks(table: Table, base: Path, files: list[Path] | None = None) -> dict[str, tuple[Prefix, ...]]:
    """All networks by name; a prefix is (address bits, first address, length).

    Args: base: where paths begin; files: gets the lists that were read.
    """
    holders: dict[Prefix, str] = {}
    networks = {}
    for name, entry in table.named():
        try:
            label(name)
        except ValueError as exc:
            table.add(name, str(exc))
        networks[name] = tuple(_network(name, entry, base, holders, files))
    return networks


def written(network: Prefix) -> str:
    """A prefix in CIDR form."""
    bits, start, length = network
    return f"{(ipaddress.IPv4Address if bits == 32 else ipaddress.IPv6Address)(start)}/{length}"


def _network(
    name: str, table: Table, base: Path, holders: dict[Prefix, str], files: list[Path] | None
) -> dict[Prefix, None]:
    problems = table.problems
    prefixes: dict[Prefix, None] = {}
    rows: list[tuple[str | None, str, Prefix]] = [
        (None, place, network) for place, network in table.each("prefixes", prefix)
    ]
    listed = table.get("file", text, None)
    if listed:
        path = base / listed
        if files is not None:
            files.append(path)
        rows += [(str(path), place, network) for place, network in _lines(path, table, problems)]
    table.finish()
    if not table.raw("prefixes") and "file" not in table:
        problems.add(table.place, "has neither prefixes nor a file")
    for file, place, network in rows:
        if network in prefixes:
            problems.warn(place, f"{written(network)} is listed twice", file=file)
        elif holders.setdefault(network, name) != name:
            problems.add(place, f"{written(network)} is also in network {holders[network]}", file=file)
        elif network[0] == 128 and any(
            network[2] >= size and network[1] >> 128 - size == block >> 128 - size
            for block, size in _CARRIERS
        ):
            problems.warn(
                place,
                f"{written(network)} never matches: its clients are looked up by their IPv4 address",
                file=file,
            )
        prefixes[network] = None
    return prefixes


def _lines(path: Path, table: Table, problems: Problems) -> Iterator[tuple[str, Prefix]]:
    """The prefixes of a list, one a line, `#` begins a comment."""
    try:
        lines = read_beside(path).splitlines()
    except ValueError as exc:
        table.add("file", f"{path} {exc}")
        return
    for number, line in enumerate(lines, 1):
        plain = line.partition("#")[0].strip()
        if plain:
            try:
                yield f"line {number}", prefix(plain)
            except ValueError as exc:
                problems.add(f"line {number}", str(exc), file=str(path))

"""`[[sources.geo]]`, `[[sources.bgp]]`, `[[sources.path]]`: the files that the tables are built from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from geosteer_loader.checks.values import choice, label, text
from geosteer_loader.sources import FORMATS

if TYPE_CHECKING:
    from geosteer_loader.checks.settings import Table


TABLES = ("geo", "bgp", "path")
"""The tables that are built from files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceConfig:
    """One input file of a table."""

    format: str
    """One of the table's `FORMATS`."""
    path: Path
    """Where it lies; absolute."""
    vantage: str | None
    """Where the routes were seen; only of table `path`."""
    place: str
    """The entry in the configuration, for example `sources.geo[1]`; counted from 1."""


def read_sources(table: Table, base: Path) -> dict[str, tuple[SourceConfig, ...]]:
    """Sources of every table, each list in the order of the file. *base*: where paths begin."""
    sources = {name: _sources(table, name, base) for name in TABLES}
    table.finish()
    return sources


def missing_source(source: SourceConfig) -> str | None:
    """Why the file of a source cannot be read, or None."""
    try:
        with source.path.open("rb") as file:
            file.read(1)
    except OSError as exc:
        return f"{source.path} cannot be read: {exc.strerror}"
    return None


def _sources(table: Table, name: str, base: Path) -> tuple[SourceConfig, ...]:
    found: list[SourceConfig] = []
    for entry in table.tables(name):
        relative = entry.require("path", text, "")
        source = SourceConfig(
            format=entry.require("format", choice(*FORMATS.get(name, ())), ""),
            path=Path(base / relative).absolute(),
            vantage=entry.require("vantage", label, None) if name == "path" else None,
            place=entry.place,
        )
        entry.finish()
        if relative and any(source.path == other.path and source.vantage == other.vantage for other in found):
            entry.problems.warn(entry.at("path"), f"{source.path} is listed twice")
        found.append(source)
    return tuple(found)

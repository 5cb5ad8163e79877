"""One module per input format; all give rows: address bits, first address, prefix length, record."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Protocol

from geosteer.errors import ConfigError
from geosteer_loader.sources.report import Report

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["FORMATS", "Progress", "Report", "Row", "Source", "open_source"]

Row = tuple[int, int, int, str]
"""Address bits (32 or 128), first address, prefix length, record.

Record "" is a hole: known to be unknown, so that a wider prefix does not count there either.
"""

Progress = Callable[[int, int], None]
"""Called now and then with how much is done and how much there is in all, in units of the source's own."""

FORMATS: dict[str, tuple[str, ...]] = {
    "geo": ("mmdb", "nerd", "csv"),
    "bgp": ("pyasn", "prefix2as", "bgpdump", "mrt"),
    "path": ("bgpdump", "mrt"),
}
"""Table -> formats that can fill it; lengths of AS paths need a format that has paths."""


class Source(Protocol):
    """One input file."""

    @property
    def name(self) -> str:
        """The file as messages show it."""

    @property
    def disjoint(self) -> bool:
        """Whether the rows of each family come in address order and do not overlap."""

    def rows(self, report: Report, progress: Progress | None = None) -> Iterator[Row]:
        """Read the file once, from its beginning.

        Raises: SourceError: `file: place: reason`; rows given before it are worth nothing.
        """


def open_source(table: str, format: str, path: Path) -> Source:  # noqa: A002  # the word of the configuration
    """The source for a file; nothing is read before its `rows`.

    Raises: ConfigError: the table has no such format.
    """
    known = FORMATS.get(table, ())
    if format not in known:
        raise ConfigError(
            [f"{path}: format: {format!r} is none for table {table}; known: {', '.join(known)}"]
        )
    # a format's parser and the libraries it needs are loaded only where that format is used
    if format == "mmdb":
        from geosteer_loader.sources.mmdb import MmdbSource

        return MmdbSource(path)
    if format == "nerd":
        from geosteer_loader.sources.rbldnsd import NerdSource

        return NerdSource(path)
    if format == "csv":
        from geosteer_loader.sources.csv import CsvSource

        return CsvSource(path)
    if format == "bgpdump":
        from geosteer_loader.sources.bgpdump import BgpdumpSource

        return BgpdumpSource(path, table)
    if format == "mrt":
        from geosteer_loader.sources.mrt import MrtSource

        return MrtSource(path, table)
    from geosteer_loader.sources.origins import OriginListSource

    return OriginListSource(path, split=format == "prefix2as")

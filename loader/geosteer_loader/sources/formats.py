"""Which formats there are, and the source for a file of one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from geosteer.errors import ConfigError
from geosteer_loader.sources.source import LIMIT
from geosteer_loader.sources.source_files import SourceFile

if TYPE_CHECKING:
    from pathlib import Path

    from geosteer_loader.sources.source import Authorised, Source

FORMATS: dict[str, tuple[str, ...]] = {
    "geo": ("builtin", "mmdb", "nerd", "csv"),
    "bgp": ("pyasn", "prefix2as", "bgpdump", "mrt"),
    "path": ("bgpdump", "mrt"),
    "rtt": ("rtt",),
}
"""Table -> formats that can fill it; lengths of AS paths need a format that has paths."""
MAY_BE_EMPTY = frozenset({"rtt"})
"""Tables of which nothing may be known: before clients measured anything, and when all of that is forgotten."""


def open_source(
    table: str,
    format: str,  # noqa: A002  # the word of the configuration
    path: Path,
    member: str | None = None,
    limit: int = LIMIT,
    authorised: Authorised | None = None,
) -> Source:
    """The source for a file; nothing is read before its `rows`.

    Args:
        member: which file of an archive; limit: bytes that may come out of a compressed file; authorised: by it
            routes are judged (tables `bgp` and `path`).

    Raises: ConfigError: the table has no such format.
    """
    known = FORMATS.get(table, ())
    if format not in known:
        raise ConfigError(
            [f"{path}: format: unknown format {format!r} for table {table}; known: {', '.join(known)}"]
        )
    return source_of(table, format, SourceFile(path, member, limit), authorised)


def source_of(
    table: str,
    format: str,  # noqa: A002  # the word of the configuration
    file: SourceFile,
    authorised: Authorised | None = None,
) -> Source:
    """The source for an opened file; the table has the format."""
    # a format's parser and the libraries it needs are loaded only where that format is used
    if format == "mmdb":
        from geosteer_loader.sources.mmdb import MmdbSource

        return MmdbSource(file)
    if format == "nerd":
        from geosteer_loader.sources.rbldnsd import NerdSource

        return NerdSource(file)
    if format == "builtin":
        from geosteer_loader.sources.builtin import BuiltinSource

        return BuiltinSource(file)
    if format == "csv":
        from geosteer_loader.sources.csv import CsvSource

        return CsvSource(file)
    if format == "bgpdump":
        from geosteer_loader.sources.bgpdump import BgpdumpSource

        return BgpdumpSource(file, table, authorised)
    if format == "rtt":
        from geosteer_loader.sources.rtt import RttSource

        return RttSource(file)
    if format == "mrt":
        from geosteer_loader.sources.mrt import MrtSource

        return MrtSource(file, table, authorised)
    from geosteer_loader.sources.origins import OriginListSource

    return OriginListSource(file, split=format == "prefix2as", authorised=authorised)

"""Which formats there are, and the source for a file of one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from geosteer.errors import ConfigError
from geosteer_loader.sources.source import LIMIT
from geosteer_loader.sources.source_files import SourceFile

if TYPE_CHECKING:
    from pathlib import Path

    from geosteer_loader.sources.source import Authorised, Source

AUTO = "auto"
"""The word of the configuration for a format that is to be recognised."""

FORMATS: dict[str, tuple[str, ...]] = {
    "geo": (
        AUTO, "builtin", "mmdb", "nerd", "csv", "ranges", "ip2location", "geolite2", "ipinfo", "rir", "geofeed",
    ),
    "bgp": (
        AUTO, "pyasn", "prefix2as", "bgpdump", "mrt", "mmdb", "csv", "iptoasn", "riswhois", "ipinfo", "geolite2",
    ),
    "path": (AUTO, "bgpdump", "mrt"),
    "rtt": ("rtt",),
}  # fmt: skip
"""Table -> formats that can fill it; lengths of AS paths need a format that has paths. `auto`: recognised by the content."""
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
    """The source for a file; of one whose format is to be recognised the beginning is read, of others nothing before `rows`.

    Args:
        member: which file of an archive; limit: bytes that may come out of a compressed file; authorised: by it
            routes are judged (tables `bgp` and `path`).

    Raises: ConfigError: the table has no such format. SourceError: the format is not recognised.
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
    """The source for an opened file; the table has the format. Raises: SourceError: the format is not recognised."""
    if format == AUTO:
        from geosteer_loader.sources.recognise import recognise

        format = recognise(table, file).format  # noqa: A001
    # a format's parser and the libraries it needs are loaded only where that format is used
    if format == "bgpdump":
        from geosteer_loader.sources.bgpdump import BgpdumpSource

        return BgpdumpSource(file, table, authorised)
    if format == "mrt":
        from geosteer_loader.sources.mrt import MrtSource

        return MrtSource(file, table, authorised)
    return _of_origins(format, file, authorised) if table == "bgp" else _of_places(format, file)


def _of_places(format: str, file: SourceFile) -> Source:  # noqa: A002
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
    if format == "rtt":
        from geosteer_loader.sources.rtt import RttSource

        return RttSource(file)
    if format == "geolite2":
        from geosteer_loader.sources.geolite2 import GeoLite2Source

        return GeoLite2Source(file)
    if format == "rir":
        from geosteer_loader.sources.registry import RegistrySource

        return RegistrySource(file)
    if format == "geofeed":
        from geosteer_loader.sources.geofeed import GeofeedSource

        return GeofeedSource(file)
    from geosteer_loader.sources.delimited import DelimitedSource

    return DelimitedSource(file)  # ranges, ip2location, ipinfo


def _of_origins(format: str, file: SourceFile, authorised: Authorised | None) -> Source:  # noqa: A002
    if format == "mmdb":
        from geosteer_loader.sources.mmdb_origins import MmdbOriginSource

        return MmdbOriginSource(file, authorised)
    if format == "riswhois":
        from geosteer_loader.sources.riswhois import RisWhoisSource

        return RisWhoisSource(file, authorised)
    if format in {"pyasn", "prefix2as"}:
        from geosteer_loader.sources.origins import OriginListSource

        return OriginListSource(file, split=format == "prefix2as", authorised=authorised)
    from geosteer_loader.sources.delimited_origins import DelimitedOriginSource, OriginBundleSource

    if format == "geolite2":
        return OriginBundleSource(file, authorised)
    return DelimitedOriginSource(file, authorised)  # csv, iptoasn, ipinfo

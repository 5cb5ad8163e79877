"""`[[sources.geo]]`, `.bgp`, `.path`, `.latency`: the files and URLs that the tables are built from."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from geosteer_loader.config.live_sources import LIVE, read_live
from geosteer_loader.config.url_sources import copy_name, file_or_url, read_remote, unset
from geosteer_loader.config.values import choice, flag, label, size, text
from geosteer_loader.sources.builtin import SHIPPED
from geosteer_loader.sources.builtin_age import FORMAT
from geosteer_loader.sources.formats import AUTO, FORMATS, open_source
from geosteer_loader.sources.growing import is_pattern, newest_whole
from geosteer_loader.sources.source import LIMIT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from geosteer_loader.config.live_sources import LiveConfig
    from geosteer_loader.config.section import Table
    from geosteer_loader.config.url_sources import Remote
    from geosteer_loader.sources.recognise import Recognised
    from geosteer_loader.sources.source import Authorised, Source


TABLES = ("geo", "bgp", "path", "rtt")
"""The tables that are built from files."""
SECTIONS = {"rtt": "latency"}
"""Table -> its name in the configuration, where that is another."""

STATE = "bgp-sessions.json"
"""Name of the file, beside the copies of sources, that keeps how many prefixes BGP sessions had."""


CACHE = "/var/lib/geosteer/sources"
"""Where copies of sources that are URLs are kept, unless the configuration says otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceConfig:
    """One input file of a table."""

    format: str
    """One of the table's `FORMATS`; `auto` if nothing is said of it."""
    path: Path
    """Where it lies, or where its copy is kept; absolute."""
    vantage: str | None
    """Where the routes were seen; only of table `path`."""
    place: str
    """The entry in the configuration, for example `sources.geo[1]`; counted from 1."""
    remote: Remote | None = None
    """Where it comes from, if it is not just a file."""
    member: str | None = None
    """Which file of the archive at `path`; a copy of a URL is the member already."""
    max_size: int = LIMIT
    """Bytes that may come out of a compressed file."""
    pattern: Path | None = None
    """Where `path` is the newest whole file of those that match: what they match."""
    live: LiveConfig | None = None
    """Set if it is a stream of updates: `path` is its socket then, and `geosteer follow` alone reads it."""

    def open(self, table: str, authorised: Authorised | None = None) -> Source:
        """The source for *table*, its routes judged by *authorised*.

        Raises: SourceError: its format was to be recognised, and is not.
        """
        return open_source(table, self.format, self.path, self.member, self.max_size, authorised)

    def recognised(self, table: str) -> Recognised | None:
        """What it was taken for as a source of *table*; None: the configuration says what it is.

        Raises: SourceError: it cannot be read, or is not recognised.
        """
        if self.format != AUTO:
            return None
        # every reader's rules, which few commands need
        from geosteer_loader.sources.recognise import recognise
        from geosteer_loader.sources.source_files import SourceFile

        return recognise(table, SourceFile(self.path, self.member, self.max_size))


def read_sources(table: Table, base: Path) -> dict[str, tuple[SourceConfig, ...]]:
    """Sources of every table, each list in the order of the file. *base*: where paths begin."""
    cache = (base / table.get("cache", text, CACHE)).absolute()
    sources = {name: _sources(table, name, base, cache) for name in TABLES}
    _check_streams(sources, table)
    table.finish()
    return sources


def read_memory(table: Table, base: Path) -> Path | None:
    """The folder for what was read of sources; None: all is read each time. To be asked before `read_sources`."""
    cache = (base / table.get("cache", text, CACHE)).absolute()
    return cache if table.get("remember", flag, True) else None


def missing_source(source: SourceConfig, environ: Mapping[str, str] = os.environ) -> str | None:
    """Why the file of a source cannot be read, or not be fetched for want of a secret, or None."""
    if source.live is not None:
        return None
    if source.remote is not None:
        return unset(source.remote, environ)
    if source.path == source.pattern:
        return f"no whole file matches {source.path}"
    try:
        if not source.path.is_file() and source.path.exists():  # opening a FIFO would block for ever
            return f"{source.path} is not a regular file"
        with source.path.open("rb") as file:
            file.read(1)
    except OSError as exc:
        return f"{source.path} cannot be read: {exc.strerror or exc}"
    return None


def _sources(table: Table, name: str, base: Path, cache: Path) -> tuple[SourceConfig, ...]:
    sources: list[SourceConfig] = []
    for entry in table.tables(SECTIONS.get(name, name)):
        streams = LIVE if name in {"bgp", "path"} else ()
        formats = choice(*FORMATS.get(name, ()), *streams)
        default = AUTO if AUTO in FORMATS[name] else None
        format_ = entry.get("format", formats, default) if default else entry.require("format", formats, "")
        if format_ in LIVE:
            sources.append(_stream(entry, name, format_, base, cache / STATE))
            continue
        shipped = format_ == FORMAT and "path" not in entry
        where = str(SHIPPED) if shipped else entry.require("path", file_or_url, "")
        member = entry.get("member", text, None)
        max_size = entry.get("max_size", size, LIMIT)
        remote = read_remote(entry, where, base, member, max_size)
        path = cache / copy_name(remote) if remote else Path(base / where).absolute()
        pattern = path if is_pattern(where) and not remote and not path.exists() else None
        source = SourceConfig(
            format=format_,
            path=newest_whole(pattern) if pattern else path,
            pattern=pattern,
            vantage=entry.require("vantage", label, None) if name == "path" else None,
            place=entry.place,
            remote=remote,
            member=None if remote else member,
            max_size=max_size,
        )
        _refuse_vantage(entry, name)
        entry.finish()
        if where and any(_same_file(source, other) for other in sources):
            entry.problems.warn(entry.at("path"), f"{remote.url if remote else source.path} is listed twice")
        sources.append(source)
    return tuple(sources)


def _stream(entry: Table, name: str, format_: str, base: Path, state: Path) -> SourceConfig:
    live = read_live(entry, base, state)
    source = SourceConfig(
        format=format_,
        path=live.socket,
        vantage=entry.require("vantage", label, None) if name == "path" else None,
        place=entry.place,
        live=live,
    )
    _refuse_vantage(entry, name)
    entry.finish()
    return source


def _refuse_vantage(entry: Table, name: str) -> None:
    if name != "path" and "vantage" in entry:
        entry.raw("vantage")
        entry.add("vantage", "is a setting of [[sources.path]] only")


def _check_streams(tables: Mapping[str, Sequence[SourceConfig]], table: Table) -> None:
    """Note streams that do not go together with other sources."""
    known: dict[Path, SourceConfig] = {}
    for name, sources in tables.items():
        streams = [source for source in sources if source.live is not None]
        if streams and len(streams) < len(sources):
            table.problems.add(streams[0].place, f"a table {name} has either streams or files as its sources")
        for source in streams:
            assert source.live is not None
            first = known.setdefault(source.live.socket, source)
            assert first.live is not None
            for key in ("families", "min_routes", "forget", "reset"):
                if getattr(first.live, key) != getattr(source.live, key):
                    table.problems.add(
                        f"{source.place}.{key}", f"is another one for the same socket in {first.place}"
                    )
            if first.format != source.format:
                table.problems.add(
                    f"{source.place}.format", f"is another one for the same socket in {first.place}"
                )


def _same_file(source: SourceConfig, other: SourceConfig) -> bool:
    return (source.pattern or source.path, source.member, source.vantage) == (
        other.pattern or other.path, other.member, other.vantage,
    )  # fmt: skip

"""From the configuration to built tables: which are published, and the pages of those that are not."""

from __future__ import annotations

import logging
import time
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import chain
from types import MappingProxyType
from typing import TYPE_CHECKING

from geosteer.errors import CorruptPage, SourceError
from geosteer.keys import TABLES, digest, own_fields, root_field
from geosteer.timestamps import format_time, maybe_time
from geosteer_loader.fetch import Copies
from geosteer_loader.sources.counted import counted
from geosteer_loader.sources.formats import MAY_BE_EMPTY
from geosteer_loader.sources.kept_file import writable
from geosteer_loader.sources.mmdb_memory import Memory
from geosteer_loader.sources.networks import NetworkSource
from geosteer_loader.sources.remembering import RememberingSource
from geosteer_loader.sources.report import Report
from geosteer_loader.tables import provenance
from geosteer_loader.tables.flatten import flatten
from geosteer_loader.tables.origin_validation import load, note_passed_over
from geosteer_loader.tables.path_lengths import flatten_views
from geosteer_loader.tables.remembered import TableMemory, made_of
from geosteer_loader.tables.validation_figures import JUDGED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from geosteer.tables import page_builder
    from geosteer_loader.config.config import Config, SourceConfig
    from geosteer_loader.progress import Meter
    from geosteer_loader.sources.source import Progress, Source
    from geosteer_loader.tables.origin_validation import OriginValidation
    from geosteer_loader.tables.ranges import Ranges

    Maker = Callable[[Mapping[str, str]], "Table | None"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One table as it is to be published."""

    name: str
    """`geo`, `bgp`, `path` or `nets`."""
    fields: Mapping[str, str]
    """Its fields of `current`, with the table's name in front: `geo.v4`, `geo.source`, ..."""
    pages: tuple[page_builder.Built, ...] = ()
    """Its pages; none when it is published already and was not read again."""
    ranges: Mapping[int, Ranges] = field(default_factory=dict)
    """Address bits -> what the pages hold; none when it was not read again, or is kept in memory."""
    continents: Mapping[str, str] = field(default_factory=dict)
    """Country -> continent as the sources say it."""
    memory: TableMemory | None = None
    """To be renewed when it is published; None: nothing is remembered of it."""

    @property
    def kept(self) -> bool:
        """Whether it stays as it is published, without having been read again."""
        return not self.pages


def build_tables(
    config: Config,
    current: Mapping[str, str],
    whole: Callable[[str], bool],
    meter: Callable[[str], Meter],
    now: float,
    copies: Copies | None = None,
    made: Mapping[str, Maker] = MappingProxyType({}),
) -> list[Table]:
    """All tables that the configuration has, in the order of `TABLES`; what comes from URLs is fetched if it changed.

    Args:
        config: the checked configuration.
        current: the published fields; empty when nothing is published.
        whole: whether what is published of a table is all there, so that it may be kept.
        meter: shows the progress of the table that it is given.
        now: seconds since 1970, for what has no date of its own.
        copies: those of URLs, refreshed already; default: they are refreshed now.
        made: name of a table -> what gives it from its published fields, in place of its sources.

    Raises: SourceError: a source cannot be read or is malformed.
    """
    if copies is None:
        copies = Copies(fetched(config))
        copies.refresh()
    judge = _Judge(config, now)
    try:
        tables = _all(config, current, whole, meter, judge, made)
    except SourceError as exc:
        if not copies.take_back(str(exc)):
            raise
        log.warning("%s; the previous copy is used", exc)
        tables = _all(config, current, whole, meter, judge, made)
    copies.accept()
    return tables


def fetched(config: Config) -> Iterator[SourceConfig]:
    """All that may come from URLs."""
    yield from chain.from_iterable(config.sources.values())
    if config.rpki is not None:
        yield config.rpki.source


class _Judge:
    """The ROAs, read once for all tables, and only if one is built."""

    def __init__(self, config: Config, now: float) -> None:
        self.now = now
        self._rpki = config.rpki
        self._loaded: OriginValidation | None = None

    def of(self, table: str) -> OriginValidation | None:
        """By what the routes of a table are judged. Raises: SourceError."""
        if self._rpki is None or table not in JUDGED:
            return None
        if self._loaded is None:
            self._loaded = load(self._rpki, self.now)
        return self._loaded


def _all(
    config: Config,
    current: Mapping[str, str],
    whole: Callable[[str], bool],
    meter: Callable[[str], Meter],
    judge: _Judge,
    made: Mapping[str, Maker],
) -> list[Table]:
    tables = []
    for name in TABLES:
        if name in made:
            table = made[name](own_fields(current, name))
            tables += [table] if table is not None else []
        elif name == "nets":
            if config.networks:
                tables.append(_networks(config.networks, current, judge.now))
        elif any(source.live is not None for source in config.sources.get(name, ())):
            if published := own_fields(current, name):  # `geosteer follow` alone makes another one of it
                tables.append(Table(name=name, fields=published))
        elif config.sources.get(name):
            tables.append(_sourced(config, name, current, whole, meter, judge))
    return tables


def _sourced(
    config: Config,
    name: str,
    current: Mapping[str, str],
    whole: Callable[[str], bool],
    meter: Callable[[str], Meter],
    judge: _Judge,
) -> Table:
    sources = config.sources[name]
    # Before the files are read: if a file is replaced meanwhile, its old sum is noted, and the next run reads it again.
    published = own_fields(current, name)
    described = provenance.describe_table(config, name, published)
    builder = provenance.builder(config.document["continents"])
    if (
        provenance.same(published.get(f"{name}.source", ""), described)
        and published.get(f"{name}.builder") == builder
        and whole(name)
    ):
        log.debug("%s: the sources are those of the published table", name)
        return Table(name=name, fields=published)
    began = time.monotonic()
    report = Report()
    validation = judge.of(name)
    authorised = validation.vrps.authorised if validation else None
    recognised = [source.recognised(name) for source in sources]
    for source, taken in zip(sources, recognised, strict=True):
        if taken is not None:
            log.info("%s: %s is taken for format %s: %s", name, source.path, taken.format, taken.told)
    readable = [source.open(name, authorised) for source in sources]
    memory = _memory(config, name, readable, builder)
    opened = list(map(counted, readable))
    with meter(name) as shown:
        ranges = _flatten(name, sources, opened, report, shown.progress)
    described = provenance.counted(described, [source.prefixes for source in opened], recognised)
    if name not in MAY_BE_EMPTY and not any(family.prefixes for family in ranges.values()):
        files = ", ".join(str(source.path) for source in sources)
        raise SourceError(f"{files}: sources.{name}: no prefix in it has a record")
    for line in report.lines():
        log.info("%s: %s", name, line)
    built = format_time(report.built) if report.built is not None else provenance.newest(described)
    fields = {f"{name}.source": described, f"{name}.built": built, f"{name}.builder": builder}
    if validation is not None:
        assert config.rpki is not None
        note_passed_over(config.rpki, name, described, report)
        fields[f"{name}.rpki"] = validation.figures(report).to_json()
        log.info(
            "%s: rpki: %s",
            name,
            ", ".join(f"{count} {state}" for state, count in sorted(report.judged.items())),
        )
    table = _built(name, ranges, fields, report.continents, memory)
    log.info(
        "%s: %s prefixes, %s ranges in %.1f s",
        name, table.fields[f"{name}.prefixes"], table.fields[f"{name}.ranges"], time.monotonic() - began,
    )  # fmt: skip
    return table


def _memory(config: Config, name: str, opened: Sequence[Source], builder: str) -> TableMemory | None:
    """For the only source of a table, if it reads less where it knows an earlier file."""
    if len(opened) != 1 or not isinstance(opened[0], RememberingSource):
        return None
    path = _kept(config, name)
    if path is None or not writable(path.parent):
        return None
    memory = Memory(path, builder)
    opened[0].remember(memory)
    return TableMemory(memory)


def _kept(config: Config, name: str) -> Path | None:
    """The file for what was read of a table: configurations that publish elsewhere have others in the same folder."""
    if config.memory is None:
        return None
    where = digest(f"{config.redis.url} {config.redis.prefix}".encode()).hex()[:8]
    return config.memory / f"{name}-{where}.read"


def renew_memories(config: Config, tables: Sequence[Table]) -> None:
    """Keep what was read of tables that are published now; what is of no use any more is deleted."""
    for table in tables:
        if table.memory is not None:
            table.memory.renew()
    in_use = {table.name for table in tables if table.kept or table.memory is not None}
    for name in TABLES:
        path = _kept(config, name)
        if path is not None and name not in in_use:
            TableMemory(Memory(path, "")).forget()


@contextmanager
def doubting(tables: Sequence[Table]) -> Iterator[None]:
    """Forget what was read of tables whose pages turn out not to be what was remembered: the next run reads everything."""
    try:
        yield
    except CorruptPage:
        for table in tables:
            if table.memory is not None:
                table.memory.forget()
        raise


def _flatten(
    name: str,
    sources: Sequence[SourceConfig],
    opened: Sequence[Source],
    report: Report,
    progress: Progress,
) -> dict[int, Ranges]:
    if name != "path":
        return flatten(opened, report, progress)
    views: dict[str, list[Source]] = {}
    for source, readable in zip(sources, opened, strict=True):
        views.setdefault(source.vantage or "", []).append(readable)
    return flatten_views(views, report, progress)


def _networks(
    networks: Mapping[str, Sequence[tuple[int, int, int]]], current: Mapping[str, str], now: float
) -> Table:
    ranges = flatten([NetworkSource(networks)], Report())
    source = provenance.networks(networks)
    unchanged = current.get("nets.source") == source
    built = current.get("nets.built", "") if unchanged else ""
    fields = {"nets.source": source, "nets.built": format_time(now) if maybe_time(built) is None else built}
    return _built("nets", ranges, fields, {})


def _built(
    name: str,
    ranges: Mapping[int, Ranges],
    fields: Mapping[str, str],
    continents: Mapping[str, str],
    memory: TableMemory | None = None,
) -> Table:
    try:
        made = made_of(ranges, memory)
    except ValueError as exc:
        raise SourceError(f"{'networks' if name == 'nets' else f'sources.{name}'}: {exc}") from exc
    table = table_of(
        name,
        {bits: family.pages for bits, family in made.items()},
        fields,
        prefixes=sum(family.prefixes for family in ranges.values()),
        ranges=sum(family.total for family in made.values()),
    )
    return replace(
        table,
        ranges={bits: family.ranges for bits, family in made.items()},
        continents=continents,
        memory=memory,
    )


def table_of(
    name: str,
    pages: Mapping[int, page_builder.Built],
    fields: Mapping[str, str],
    *,
    prefixes: int,
    ranges: int,
) -> Table:
    """The table of these pages (address bits -> pages). Args: fields: what else is published of it, such as `geo.built`."""
    return Table(
        name=name,
        fields={
            **{root_field(name, bits): built.root.hex() for bits, built in pages.items()},
            **fields,
            f"{name}.prefixes": str(prefixes),
            f"{name}.ranges": str(ranges),
        },
        pages=tuple(pages.values()),
    )


def pages_of(tables: Sequence[Table]) -> Iterator[page_builder.Built]:
    """The pages of all tables that were built, family by family."""
    return chain.from_iterable(table.pages for table in tables)

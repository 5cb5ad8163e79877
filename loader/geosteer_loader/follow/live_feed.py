"""Tables that follow BGP sessions: what the streams hold, made into what is published, every few seconds.

| asked | answer |
|---|---|
| is it whole? | every session waited for was whole since the start (`rib.session`), and nearly all prefixes are there |
| is it time? | the first change at once, then so that a change is answered for within `interval` and a moment |
"""

from __future__ import annotations

import json
import logging
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from geosteer.errors import SourceError
from geosteer.keys import FAMILIES, root_field
from geosteer.timestamps import format_time
from geosteer_loader.follow.followed import Sight
from geosteer_loader.sources.report import Report
from geosteer_loader.tables import provenance
from geosteer_loader.tables.live_table import LiveTable
from geosteer_loader.tables.origin_validation import load, note_passed_over

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from geosteer_loader.config.config import Config
    from geosteer_loader.config.sources import SourceConfig
    from geosteer_loader.follow.session_log import SessionLog
    from geosteer_loader.follow.stream_reader import StreamReader
    from geosteer_loader.sources.bgp_routes import AsPath
    from geosteer_loader.tables.build import Table
    from geosteer_loader.tables.origin_validation import OriginValidation

log = logging.getLogger(__name__)

MOST_BUSY = 0.45
"""Part of the time that may go into publishing."""
BATCH = 5000
"""Prefixes that are chosen while a stream has to wait."""
JUDGE_EVERY = 10.0
"""Seconds between two looks at the file of ROAs."""
PATIENCE = 300.0
"""Seconds after which it is worth a warning that a table cannot be published."""


def due_after(lasted: float, interval: float) -> float:
    """Seconds from the beginning of a publish to that of the next one, given how long it took.

    A change that just misses a publish is through when the next one is, after this time and another publish: after
    *interval*. Publishes that take long come less often, so that they leave the processor to others.
    """
    return max(interval - lasted, lasted / MOST_BUSY)


@dataclass(frozen=True, slots=True)
class StreamLayer:
    """What one source says: some sessions of a stream."""

    reader: StreamReader
    peers: tuple[str, ...]

    def paths(self, bits: int, number: int) -> Iterable[AsPath]:
        """The paths to a prefix; the reader's lock is held."""
        return self.reader.stream.paths(bits, number, self.peers)


class LiveFeed:
    """One table that follows BGP sessions."""

    quiet = ceiling = 0.0

    def __init__(
        self,
        table: str,
        config: Config,
        readers: Mapping[str, StreamReader],
        sessions: SessionLog,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """Args: readers: place of each source -> what reads its stream; sessions: is told of what happens to them.

        Raises: ConfigError: so many vantage points do not fit a record.
        """
        self.name = f"live table {table}"
        self.tables = frozenset({table})
        self._table = table
        self._config = config
        self._sources = config.sources[table]
        self._sessions = sessions
        self._wall = wall
        views: dict[str, list[StreamLayer]] = {}
        for source in self._sources:
            assert source.live is not None
            layer = StreamLayer(readers[source.place], source.live.peers)
            views.setdefault(source.vantage or "", []).append(layer)
        self._layers = [layer for layers in views.values() for layer in layers]
        self._readers = list({id(layer.reader): layer.reader for layer in self._layers}.values())
        self._changed = [(reader, reader.stream.listen()) for reader in self._readers]
        for reader in self._readers:  # what was kept over a restart
            with reader.lock:
                reader.stream.all_changed()
        self._live = LiveTable(table, views)
        self._report = Report()
        """Of the last time that all prefixes were looked at."""
        self._rejudged = True
        self._validation: OriginValidation | None = None
        self._judged_by: object = None
        self._judge_at = float("-inf")
        self._published: int | None = None
        """Prefixes of the table that is published; None: not known yet."""
        self._proven = False
        """Whether it had nearly as many once."""
        self._version = 0
        self._due = float("-inf")
        self._chosen_at: float | None = None
        """When what is to be published was chosen last; None: that is through."""
        self._through = False
        self._waiting_since: float | None = None

    def look(self, now: float) -> Sight:
        """Let time pass for the sessions, and see whether there is something to publish, and whether it is time."""
        why = ""
        for reader in self._readers:
            with reader.lock:
                reader.stream.tick(now)
        for layer in self._layers:
            with layer.reader.lock:
                why = why or layer.reader.stream.waiting(layer.peers, now)
        self._sessions.look(now)
        if self._through and self._chosen_at is not None:
            self._due = self._chosen_at + due_after(now - self._chosen_at, self._config.follow.interval)
            self._chosen_at = None
        why = why or self._judge(now)
        if not why and now >= self._due and any(any(changed.values()) for _, changed in self._changed):
            self._choose()
            self._version += 1
            self._chosen_at, self._through = now, False
            self._due = now + self._config.follow.interval
        if not why:
            why = self._too_few()
        self._patience(why, now)
        return Sight(self._version, not why and self._version > 0, why)

    def table(self, name: str, published: Mapping[str, str]) -> Table:
        """The table of what was chosen; the published fields where its pages are those.

        Raises: SourceError: it needs more pages than workers take.
        """
        described = json.dumps([_described(source) for source in self._sources], separators=(",", ":"))
        fields = {
            f"{name}.source": described,
            f"{name}.built": format_time(self._wall()),
            f"{name}.builder": provenance.builder(self._config.document["continents"]),
        }
        if self._validation is not None and self._config.rpki is not None:
            note_passed_over(self._config.rpki, name, described, self._report)
            fields[f"{name}.rpki"] = self._validation.figures(self._report).to_json()
        try:
            table = self._live.built(fields)
        except ValueError as exc:
            raise SourceError(f"sources.{name}: {exc}") from exc
        settled = [root_field(name, bits) for bits in FAMILIES.values()]
        settled += [f"{name}.{part}" for part in ("source", "builder", "prefixes", "ranges", "rpki")]
        if all(published.get(field) == table.fields.get(field) for field in settled):
            return replace(table, fields={field: published[field] for field in published})
        return table

    def settled(self, published: Mapping[str, str]) -> None:
        """Learn how many prefixes the published table has."""
        self._through = True
        text = published.get(f"{self._table}.prefixes", "0")
        self._published = int(text) if text.isascii() and text.isdigit() and len(text) < 12 else 0

    def close(self) -> None:
        """End the readers, and keep what is known of the sessions."""
        for reader in self._readers:
            reader.close()
        self._sessions.close()

    def _judge(self, now: float) -> str:
        """Take up another file of ROAs; why no route can be judged, "": they can, or need not be."""
        rpki = self._config.rpki
        if rpki is None or now < self._judge_at:
            return ""
        try:
            status = rpki.source.path.stat()
            version: object = status.st_ino, status.st_size, status.st_mtime_ns
        except OSError as exc:
            version = exc.errno
        if version != self._judged_by:
            known = self._validation
            least = known.vrps.count if known is not None and not known.kept else 0
            try:
                self._validation = load(rpki, self._wall(), least=least)
            except SourceError as exc:
                if self._validation is None:
                    return str(exc)
                log.warning("%s", exc)
            else:
                self._live.authorised = self._validation.vrps.authorised
                self._report, self._rejudged = Report(), True
                for reader in self._readers:
                    with reader.lock:
                        reader.stream.all_changed()
            self._judged_by = version
        self._judge_at = now + JUDGE_EVERY
        return ""

    def _choose(self) -> None:
        report = self._report if self._rejudged else Report()
        for reader, changed in self._changed:
            for bits, numbers in changed.items():
                while numbers:
                    with reader.lock:
                        batch = [numbers.pop() for _ in range(min(BATCH, len(numbers)))]
                        self._live.choose(bits, batch, report)
        self._rejudged = False

    def _too_few(self) -> str:
        """Why the table is taken for half of one, "": it is not."""
        share = min(layer.live.min_routes for layer in self._sources if layer.live is not None)
        if self._proven or self._published is None or not self._version:
            return ""
        if self._live.prefixes < share * self._published:
            return f"it has {self._live.prefixes} prefixes, the published one has {self._published}"
        self._proven = True
        return ""

    def _patience(self, why: str, now: float) -> None:
        if not why:
            self._waiting_since = None
        elif self._waiting_since is None:
            self._waiting_since = now
        elif now - self._waiting_since >= PATIENCE:
            log.warning("%s: not published for %d minutes now: %s", self.name, PATIENCE // 60, why)
            self._waiting_since = float("inf")


def _described(source: SourceConfig) -> dict[str, object]:
    assert source.live is not None
    described: dict[str, object] = {
        "format": source.format,
        "file": source.path.name,
        "path": str(source.path),
        "peers": list(source.live.peers),
    }
    if source.vantage is not None:
        described["vantage"] = source.vantage
    return described

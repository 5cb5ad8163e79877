"""The service: looks at what is followed, and publishes through the same path, with the same guards, as `geosteer publish`."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from geosteer.errors import ConfigError, GeosteerError, SourceError, StoreError
from geosteer_loader.fetch import FetchFailed
from geosteer_loader.follow.feeds import open_feeds
from geosteer_loader.follow.fetching import Fetching
from geosteer_loader.follow.files import FollowedFile
from geosteer_loader.follow.followed import POLL, Sight
from geosteer_loader.follow.pace import Outcome, Pace, Timing
from geosteer_loader.publish.brief import BriefLook
from geosteer_loader.publish.failures import note
from geosteer_loader.publish.proposal import Live
from geosteer_loader.publish.publish import publish
from geosteer_loader.publish.refusals import Overtaken
from geosteer_loader.store import current, failure
from geosteer_loader.store.refusals import Locked
from geosteer_loader.tables.build import Table
from geosteer_loader.tables.validation_figures import JUDGED

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from geosteer_loader.config.config import Config
    from geosteer_loader.follow.configuration import FollowedConfiguration
    from geosteer_loader.follow.followed import Followed
    from geosteer_loader.publish.publish import Outcome as Published
    from geosteer_loader.store.store import Store

log = logging.getLogger(__name__)

CLEAN_EVERY = 300.0
"""Seconds between two removals of old generations: what is kept is read for that."""


class Follower:
    """Follows one configuration until `stop` is called."""

    def __init__(
        self,
        configuration: FollowedConfiguration,
        connect: Callable[[Config], Store],
        clock: Callable[[], float] = time.monotonic,
        feeds: Callable[[Config], Sequence[Followed]] = open_feeds,
    ) -> None:
        """Args: connect: the store that a configuration names."""
        self._configuration = configuration
        self._connect = connect
        self._clock = clock
        self._open_feeds = feeds
        self._stopping = False
        self._told: dict[str, str] = {}
        self._store: Store | None = None
        self._misconfigured: ConfigError | None = None
        self._brief = BriefLook()
        self._clean_at = float("-inf")
        self._begin()

    def stop(self) -> None:
        """End `run`, after the publish that is under way; may be called from a signal handler."""
        self._stopping = True

    def run(self, wait: Callable[[float], object] = time.sleep) -> None:
        """Look, publish, wait, and so on."""
        try:
            while not self._stopping:
                began = self._clock()
                self.turn()
                if not self._stopping:
                    wait(max(POLL - (self._clock() - began), 0.05))
        finally:
            for followed in self._feeds:
                followed.close()
            if self._store is not None:
                self._store.close()

    def turn(self) -> bool:
        """One look at everything, and a publish if it is time; whether something was published or refused."""
        now = self._clock()
        self._fetch(now)
        sights = {followed.name: followed.look(now) for followed in self._followed}
        for file in self._files:
            if self._fetching.awaited(file.source):
                sights[file.name] = Sight(None, False, "is being fetched")
        self._log_waiting(sights)
        taken = self._pace.step(now, sights)
        if taken is None:
            return False
        outcome = self._attempt(taken)
        self._pace.ended(self._clock(), taken, outcome)
        return outcome in {Outcome.DONE, Outcome.REFUSED}

    def _begin(self) -> None:
        """Take up the sources of the configuration, after its start and after each change."""
        self._config = config = self._configuration.config
        self._files = [
            FollowedFile(table, source, config.follow)
            for table, sources in config.sources.items()
            for source in sources
            if source.live is None
        ]
        if config.rpki is not None:
            judged = [table for table in JUDGED if config.sources.get(table)] or JUDGED
            self._files.append(FollowedFile(judged[0], config.rpki.source, config.follow, judged[1:]))
        self._feeds = list(self._open_feeds(config))
        self._followed: list[Followed] = [self._configuration, *self._files, *self._feeds]
        self._pace = Pace({each.name: Timing(each.quiet, each.ceiling) for each in self._followed})
        self._fetching = Fetching(config)
        self._recalled = False
        log.info("following %s", ", ".join(each.name for each in self._followed))

    def _fetch(self, now: float) -> None:
        """Have the copies of URLs refreshed when that is due; a copy that changed is then seen as a file that did."""
        trouble = self._fetching.look(now)
        if trouble:
            self._tell("fetch", trouble)
        elif trouble is not None:
            self._over("fetch")

    def _attempt(self, taken: frozenset[str]) -> Outcome:
        """Publish what is calm; everything else stays as it is published."""
        try:
            store = self._connected()
            if self._configuration.name in taken and self._pace.changed(self._configuration.name):
                self._reread(store)
            if not self._recalled:
                self._recall(store)
                return Outcome.OVERTAKEN  # what was published is known from here on: look again
            with self._fetching.gate:
                published = publish(self._read_config(), store, live=self._live(taken), brief=self._brief)
        except Overtaken:
            return Outcome.OVERTAKEN
        except (Locked, FetchFailed, StoreError) as exc:
            self._tell("publish", str(exc))
            return Outcome.FAILED
        except GeosteerError as exc:
            self._tell("publish", str(exc))
            return Outcome.REFUSED
        self._over("publish")
        self._done(published, taken, store)
        return Outcome.DONE

    def _reread(self, store: Store) -> None:
        """Take up a changed configuration; one that cannot be used is noted in Redis, and the one before stays.

        Raises: Overtaken: it has other sources, which are to be looked at first.
        """
        before = self._config
        try:
            config = self._configuration.read()
            config.require_complete()
        except ConfigError as exc:
            self._misconfigured = exc
            self._tell("configuration", f"{exc}\nthe configuration before stays in use")
            note(store, exc)
            return
        self._misconfigured = None
        self._over("configuration")
        if _sources_of(config) != _sources_of(before):
            for feed in self._feeds:
                feed.close()
            if config.redis != before.redis and self._store is not None:
                self._store.close()
                self._store = None
            self._begin()
            raise Overtaken("the sources are others now")
        self._config = config

    def _recall(self, store: Store) -> None:
        """Learn from what is published how large the sources were."""
        fields = current.read(store, repairing=True)
        for each in self._followed:
            each.settled(fields)
        self._recalled = True

    def _connected(self) -> Store:
        if self._store is None:
            self._store = self._connect(self._config)
        return self._store

    def _read_config(self) -> Config:
        """The configuration, with the files that were chosen of patterns."""
        by_place = {file.source.place: file.source for file in self._files}
        sources = {
            table: tuple(by_place.get(source.place, source) for source in sources)
            for table, sources in self._config.sources.items()
        }
        return replace(self._config, sources=sources)

    def _live(self, taken: frozenset[str]) -> Live:
        made: dict[str, Callable[[Mapping[str, str]], Table | None]] = {}
        for each in self._followed:
            for table in each.tables:
                if each.name not in taken:
                    made[table] = _Kept(table)
        for each in self._feeds:
            for table in each.tables:
                made.setdefault(table, _FromMemory(table, each))

        def check() -> None:
            """Raises: Overtaken."""
            for file in self._files:
                if file.name in taken and not file.unchanged():
                    raise Overtaken(f"{file.name} changed while it was read")
            if self._configuration.name in taken and not self._configuration.unchanged():
                raise Overtaken("the configuration changed")

        clean = self._clock() >= self._clean_at
        if clean:
            self._clean_at = self._clock() + CLEAN_EVERY
        return Live(
            made=made,
            copies=self._fetching.copies,
            keep_document=not self._config.follow.config,
            check=check,
            clean=clean,
            streams=frozenset(table for feed in self._feeds for table in feed.tables),
        )

    def _done(self, published: Published, taken: frozenset[str], store: Store) -> None:
        for warning in published.warnings:
            log.warning("%s", warning)
        if published.changed:
            log.info(
                "generation %d: %s, in %.1f s",
                published.generation, " ".join(published.changed), published.seconds,
            )  # fmt: skip
        if self._misconfigured is not None:  # the publish took it away, and `status` is to go on telling it
            failure.note(store, "; ".join(self._misconfigured.problems))
        fields = current.read(store, repairing=True)
        for each in self._followed:
            if each.name in taken:
                each.settled(fields)

    def _log_waiting(self, sights: Mapping[str, Sight]) -> None:
        for name, sight in sights.items():
            if not sight.ready and self._told.get(name) != sight.why:
                self._told[name] = sight.why
                log.debug("%s: %s: waited for", name, sight.why)
            elif sight.ready:
                self._told.pop(name, None)

    def _tell(self, what: str, text: str) -> None:
        """Warn of a trouble, once until it is another one or over."""
        if self._told.get(what) != text:
            self._told[what] = text
            log.warning("%s", text)

    def _over(self, what: str) -> None:
        if self._told.pop(what, None):
            log.info("%s: works again", what)


def _sources_of(config: Config) -> tuple[object, ...]:
    """What the service is built for: if that changes, it begins anew."""
    return config.sources, config.rpki, config.follow, config.redis


class _Kept:
    """A table that stays as it is published; none where nothing is."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self, published: Mapping[str, str]) -> Table | None:
        return Table(name=self._name, fields=published) if published else None


class _FromMemory:
    """A table that a feed gives."""

    def __init__(self, name: str, feed: Followed) -> None:
        self._name = name
        self._feed = feed

    def __call__(self, published: Mapping[str, str]) -> Table | None:
        table = self._feed.table(self._name, published)
        if table is None:
            raise SourceError(f"{self._feed.name}: has no table {self._name}")
        return table

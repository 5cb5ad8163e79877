"""What the page asks for, read from Redis: one question at a time, each answer kept for a moment, the last one for outages."""

from __future__ import annotations

import json
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, TypeVar

from geosteer.errors import ConfigError, StoreError
from geosteer.timestamps import format_time_ms
from geosteer_loader.journal.reading import read_back
from geosteer_loader.query import status
from geosteer_loader.query.past import Timeline
from geosteer_loader.store.redis_errors import ConnectionLost
from geosteer_loader.store.store import connect
from geosteer_loader.web import moment as moments
from geosteer_loader.web.plan import planned

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from geosteer_loader.config.config import Config
    from geosteer_loader.query.status import Status
    from geosteer_loader.query.who import ServiceClients
    from geosteer_loader.store.store import Store
    from geosteer_loader.web.moment import Moment

T = TypeVar("T")

FRESH = {"now": 1.0, "status": 3.0, "timeline": 3.0, "journal": 1.0, "plan": 30.0}
"""Seconds for which an answer serves everybody who asks."""
AGAIN = 2.0
"""Seconds after a failure in which Redis is not asked again: the page does not wait for what is away."""
KEPT = 12
"""Answers, and services' clients, that are kept."""
EVENTS = 200
"""Events of the journal that one answer has at most."""


class Observer:
    """Answers of one process, for one thread."""

    def __init__(self, load: Callable[[], Config], clock: Callable[[], float] = time.monotonic) -> None:
        """Args: load: reads the configuration; it is read anew for each plan. Raises: ConfigError."""
        self._load = load
        self._clock = clock
        self._store: Store = connect(load().redis)
        self._kept: OrderedDict[Hashable, tuple[float, Any]] = OrderedDict()
        self._clients: OrderedDict[Hashable, ServiceClients] = OrderedDict()
        self._last: dict[str, tuple[float, dict[str, Any]]] = {}
        self._failed: tuple[float, str] | None = None

    def close(self) -> None:
        """Close the connection."""
        self._store.close()

    def now(self, service: str) -> dict[str, Any]:
        """The map as it is now; where Redis fails the last one, with `ok` false, `error`, and its `age` in seconds.

        Args: service: "": the first one.
        Raises: ConfigError: no such service. StoreError: Redis failed, and there is no last one.
        """
        try:
            shown = self._asked("now", service, lambda: self._now(service))
        except StoreError as exc:
            if service not in self._last:
                raise
            at, shown = self._last[service]
            return {**shown, "ok": False, "error": str(exc), "age": round(self._clock() - at, 1)}
        return {**shown, "ok": True, "error": "", "age": 0.0}

    def past(self, service: str, at: float) -> dict[str, Any]:
        """The map as it was. Args: at: seconds since 1970.

        Raises: ConfigError: no such service, or in the future. StoreError: Redis failed, or the journal does not reach back.
        """
        return self._asked("past", (service, at), lambda: self._past(service, at))

    def timeline(self) -> dict[str, Any]:
        """Generations that are kept, and from when on the past can be shown. Raises: StoreError."""
        timeline = self._timeline()
        return {
            "now": format_time_ms(timeline.now),
            "since": format_time_ms(timeline.since) if timeline.since is not None else None,
            "generations": [
                {
                    "generation": entry.generation,
                    "at": format_time_ms(entry.written),
                    "changed": entry.changed,
                    "who": entry.who,
                }
                for entry in timeline.generations
            ],
        }

    def journal(self, until: float | None) -> dict[str, Any]:
        """The last events up to a moment, the newest first. Raises: StoreError."""
        return self._asked("journal", until, lambda: self._journal(until))

    def plan(self, service: str) -> dict[str, Any]:
        """What the next publish would make of the map: `before`, `after`, and what moves. Raises: GeosteerError."""
        return self._asked("plan", service, lambda: planned(self._load(), self._store, service))

    def _now(self, service: str) -> dict[str, Any]:
        moment = moments.live(self._store)
        known = self._asked("status", None, lambda: status.gather(self._store))
        shown = {**self._shown(moment, service), **_standing(known)}
        self._last[service] = self._clock(), shown
        while len(self._last) > KEPT:
            del self._last[next(iter(self._last))]
        return shown

    def _past(self, service: str, at: float) -> dict[str, Any]:
        timeline = self._timeline()
        moment = moments.past(timeline, at)
        return {
            **self._shown(moment, service),
            "ok": True,
            "error": "",
            "age": 0.0,
            "doubts": list(moment.doubts),
        }

    def _timeline(self) -> Timeline:
        return self._asked("timeline", None, lambda: Timeline(self._store))

    def _journal(self, until: float | None) -> dict[str, Any]:
        events = []
        for event in read_back(self._store, until=until):
            events.append(event.to_json())
            if len(events) == EVENTS:
                break
        return {"events": events}

    def _shown(self, moment: Moment, service: str) -> dict[str, Any]:
        services = moments.services_of(moment)
        if not services:
            raise ConfigError(["no service is published"])
        name = service or services[0]
        return {
            "services": services,
            "picture": moments.drawn(moment, self._clients_of(moment, name)).to_json(),
        }

    def _clients_of(self, moment: Moment, service: str) -> ServiceClients:
        key = (
            service,
            json.dumps(
                sorted(
                    (name, value)
                    for name, value in moment.fields.items()
                    if name.endswith((".v4", ".v6", "config"))
                )
            ),
        )
        if key not in self._clients:
            self._clients[key] = moments.clients_of(self._store, moment, service)
            while len(self._clients) > KEPT:
                self._clients.popitem(last=False)
        self._clients.move_to_end(key)
        return self._clients[key]

    def _asked(self, kind: str, key: Hashable, read: Callable[[], T]) -> T:
        """What was read a moment ago, else what *read* finds now. Raises: GeosteerError, also one of a moment ago."""
        now = self._clock()
        known = self._kept.get((kind, key))
        if known is not None and now < known[0] + FRESH.get(kind, 60.0):
            answer: T = known[1]
            return answer
        if self._failed is not None and now < self._failed[0] + AGAIN:
            raise ConnectionLost(self._failed[1])
        try:
            answer = read()
        except ConnectionLost as exc:
            self._failed = self._clock(), str(exc)
            raise
        self._failed = None
        self._kept[kind, key] = self._clock(), answer
        self._kept.move_to_end((kind, key))
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return answer


def _standing(known: Status) -> dict[str, Any]:
    """What stands beside the map."""
    silent = [
        f"{writer} has been silent for {beat.age:.0f} s: node states are frozen"
        for writer, beat in known.beats.items()
        if beat.silent
    ]
    return {
        "held": known.held,
        "published": known.published,
        "tables": [
            {
                "name": name,
                "built": table.built,
                "age": table.age,
                "prefixes": table.prefixes,
                "ranges": table.ranges,
            }
            for name, table in known.tables.items()
        ],
        "warnings": [
            *(f"map {name}: no node serves" for name in known.maps_without_node),
            *([f"publishing fails: {known.failure.why}"] if known.failure else []),
            *silent,
            *known.warnings,
        ],
    }

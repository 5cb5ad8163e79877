"""`geosteer replay`: decides each line of a decision log again, from what was published and written down for that moment."""

from __future__ import annotations

import json
from bisect import bisect_right
from dataclasses import asdict, dataclass, field
from enum import Enum
from math import isfinite
from typing import TYPE_CHECKING, Any

from geosteer.decision.client import parse
from geosteer.decision.director import Director
from geosteer.decision_log.entry import LAST_RESORT
from geosteer.errors import ConfigError
from geosteer.library.chooser import ByPath
from geosteer_loader.journal.events import headline
from geosteer_loader.query.past import OutOfReach

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from geosteer.decision.client import Client
    from geosteer_loader.journal.events import Event
    from geosteer_loader.query.past import Past, Timeline

LISTED = 1000
"""Differences listed at most; all are counted."""
WORLDS = 64
"""Moments kept with the states that were in force from then on."""


class Outcome(Enum):
    """What became of a line."""

    SAME = "same"
    NEAR = "near"
    """The same without an event of that second, or with it already: pushes take a moment to arrive."""
    DIFFERENT = "different"
    LAST_RESORT = "last_resort"
    """Servers took turns: nothing was decided."""
    OUT_OF_REACH = "out_of_reach"
    """Journal or history do not reach back to it."""
    INCOMPLETE = "incomplete"
    """A path that was too long for the log."""
    UNREADABLE = "unreadable"
    """Not a line of a decision log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A line that is decided otherwise today."""

    line: int
    time: str
    service: str
    client: str | None
    logged: Mapping[str, list[str]]
    """Record type -> nodes, best first."""
    decided: Mapping[str, list[str]]
    reason: str
    """What is known to make a difference; "": nothing."""
    near: list[str]
    """Events within a second."""


@dataclass(slots=True)
class Replay:
    """What came of a whole log."""

    lines: int = 0
    outcomes: dict[Outcome, int] = field(default_factory=lambda: dict.fromkeys(Outcome, 0))
    differences: list[Difference] = field(default_factory=list)
    since: float | None = None
    """From when on journal and history tell, seconds since 1970; None: from no time on."""

    def to_json(self) -> dict[str, Any]:
        """As `geosteer replay --json` prints it."""
        counts = {outcome.value: count for outcome, count in self.outcomes.items()}
        differences = [asdict(difference) for difference in self.differences]
        return {"lines": self.lines, **counts, "since": self.since, "differences": differences}


def replay(timeline: Timeline, lines: Iterable[bytes]) -> Replay:
    """Decide every line again. Raises: StoreError: Redis failed, or a page of a kept generation is absent."""
    found = Replay(since=timeline.since)
    again = _Again(timeline)
    for number, line in enumerate(lines, 1):
        found.lines += 1
        outcome, difference = again.outcome(number, line)
        found.outcomes[outcome] += 1
        if difference is not None and len(found.differences) < LISTED:
            found.differences.append(difference)
    return found


class _Again:
    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        self._times = sorted(event.time for event in timeline.events)
        self._worlds: dict[tuple[int, int], Past] = {}
        self._directors: dict[int, Director] = {}

    def outcome(self, number: int, line: bytes) -> tuple[Outcome, Difference | None]:
        """What becomes of one line."""
        try:
            fields = json.loads(line)
            if fields["layer"] == LAST_RESORT:
                return Outcome.LAST_RESORT, None
            if "path" in fields and fields["path"] is None:
                return Outcome.INCOMPLETE, None
            now, generation = float(fields["now"]), int(fields["generation"])
            if not isfinite(now):
                return Outcome.UNREADABLE, None
            logged = {str(kind): list(map(str, nodes)) for kind, nodes in fields["nodes"].items()}
            try:
                past = self._world(now, generation)
            except (OutOfReach, ConfigError):  # the latter: in the future
                return Outcome.OUT_OF_REACH, None
            decided = self._decide(past, fields, now)
            if decided == logged:
                return Outcome.SAME, None
            near = self._timeline.near(now)
            if any(self._decide(world, fields, now) == logged for world in self._around(near, generation)):
                return Outcome.NEAR, None
            return Outcome.DIFFERENT, Difference(
                line=number, time=str(fields["time"]), service=str(fields["service"]), client=fields["client"],
                logged=logged, decided=decided, reason=_reason(past, fields), near=[headline(event) for event in near],
            )  # fmt: skip
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
            return Outcome.UNREADABLE, None

    def _world(self, now: float, generation: int) -> Past:
        """What was in force; the same for all moments between two events. Raises: OutOfReach."""
        key = generation, bisect_right(self._times, now)
        past = self._worlds.get(key)
        if past is None:
            past = self._timeline.at(now, generation)
            if len(self._worlds) >= WORLDS:
                del self._worlds[next(iter(self._worlds))]
            self._worlds[key] = past
        return past

    def _around(self, near: Iterable[Event], generation: int) -> Iterable[Past]:
        """What was in force before the first of these events, and after each of them."""
        for at, event in enumerate(near):
            for moment in (event.time - 0.0005, event.time) if at == 0 else (event.time,):
                try:
                    yield self._world(moment, generation)
                except OutOfReach:
                    continue

    def _decide(self, past: Past, fields: Mapping[str, Any], now: float) -> dict[str, list[str]]:
        """Record type -> nodes, best first; empty where that generation has no such service."""
        model = past.context.model
        service = model.services.get(fields["service"])
        if service is None:
            return {}
        if fields.get("limit"):
            (kind,) = fields["nodes"]
            service = service.variant(kind, int(fields["limit"]))
        client: Client | None = parse(fields["client"]) if fields["client"] is not None else None
        tables, cell = fields["tables"], past.context.cell

        def look(table: str) -> tuple[str, int]:
            if table in tables:
                return str(tables[table]["record"]), int(tables[table]["length"])
            assert client is not None
            return cell(table, client.bits, client.address)

        if fields.get("path"):
            client = ByPath(client, fields["path"])
        director = self._directors.setdefault(past.entry.generation, Director(model))
        decision = director.decide(service, client, look, past.states, now, float(fields.get("ticket", 0.0)))
        return {
            kind: [node.name for node in nodes]
            for kind, nodes in decision.answer.items()
            if kind in fields["nodes"]
        }


def _reason(past: Past, fields: Mapping[str, Any]) -> str:
    if fields["service"] not in past.context.model.services:
        return f"generation {past.entry.generation} has no such service"
    if fields["tier"] != "live":
        return f"tier {fields['tier']}: the worker went by older states than those that were written"
    return "; ".join(past.doubts)

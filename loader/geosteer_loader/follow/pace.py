"""When to publish: whole yet, quiet yet? A state machine without clock and files; time is an argument.

Of each thing that is followed it knows the last sight, since when that is as it is, which version was tried last, and since
when there is something whole that was not tried:

| seen | state | what follows |
|---|---|---|
| the version that was tried last | settled | nothing |
| another one, not ready | in motion | its tables stay as they are published |
| another one, ready | dirty | published once nothing has moved for `quiet`, or `ceiling` after it became dirty |

What moved less than `quiet` ago holds up the others until one of them reaches its ceiling, so that several changes become one
publish; then those that are calm are published without it. After a failure nothing is tried for a while; after a refusal
nothing until something changes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Hashable, Mapping

    from geosteer_loader.follow.followed import Sight

FIRST_RETRY, LAST_RETRY = 1.0, 60.0
"""Seconds after a failure until it is tried again: doubling from the first to the last."""
AFTER_REFUSAL = 60.0
"""Seconds after a refusal before a change is tried: what changes all the time is not refused every few seconds."""


class Outcome(Enum):
    """What became of a publish."""

    DONE = "done"
    REFUSED = "refused"
    """A guard, or the content itself, said no: the same will be refused again."""
    FAILED = "failed"
    """Redis was away, or another publisher at work: the same may succeed later."""
    OVERTAKEN = "overtaken"
    """Something changed while it was read."""


@dataclass(frozen=True, slots=True)
class Timing:
    """How long something is waited for."""

    quiet: float
    ceiling: float


@dataclass(slots=True)
class _Item:
    sight: Sight
    moved: float
    """When the sight became what it is."""
    tried: Hashable = None
    """The version of the last attempt; None: there was none."""
    dirty_since: float | None = None


class Pace:
    """Decides at each look whether to publish, and what."""

    def __init__(self, timings: Mapping[str, Timing]) -> None:
        """Args: timings: name of each thing that is followed -> how long it is waited for."""
        self._timings = dict(timings)
        self._items: dict[str, _Item] = {}
        self._not_before = float("-inf")
        self._retry = FIRST_RETRY

    def step(self, now: float, sights: Mapping[str, Sight]) -> frozenset[str] | None:
        """Names of what is to be published now, or None: nothing is.

        The names are those of everything that is ready and calm, changed or not; tables of all others stay as they are.
        Args: now: seconds, never going back; sights: of everything that is followed.
        """
        for name, sight in sights.items():
            self._note(name, sight, now)
        if now < self._not_before:
            return None
        late = [name for name in sights if self._late(name, now)]
        moving = [name for name in sights if self._moving(name, now)]
        if not late and (moving or not any(map(self._dirty, sights))):
            return None
        taken = frozenset(
            name
            for name, sight in sights.items()
            if sight.ready and (name in late or name not in moving or not self._dirty(name))
        )
        return taken if any(map(self._dirty, taken)) else None

    def ended(self, now: float, taken: Collection[str], outcome: Outcome) -> None:
        """What became of publishing *taken*, as `step` named them."""
        if outcome in {Outcome.DONE, Outcome.REFUSED}:
            for name in taken:
                item = self._items[name]
                item.tried, item.dirty_since = item.sight.version, None
        if outcome is Outcome.FAILED:
            self._not_before = now + self._retry
            self._retry = min(2 * self._retry, LAST_RETRY)
        else:
            self._retry = FIRST_RETRY
            self._not_before = now + AFTER_REFUSAL if outcome is Outcome.REFUSED else now

    def changed(self, name: str) -> bool:
        """Whether something is not what was tried last."""
        item = self._items.get(name)
        return item is None or item.sight.version != item.tried

    def _note(self, name: str, sight: Sight, now: float) -> None:
        item = self._items.get(name)
        if item is None:
            item = self._items[name] = _Item(sight, now)
        elif (item.sight.version, item.sight.ready) != (sight.version, sight.ready):
            item.sight, item.moved = sight, now
        if sight.version == item.tried:
            item.dirty_since = None
        elif sight.ready and item.dirty_since is None:
            item.dirty_since = now

    def _dirty(self, name: str) -> bool:
        item = self._items[name]
        return item.sight.ready and item.sight.version != item.tried

    def _moving(self, name: str, now: float) -> bool:
        item = self._items[name]
        return item.sight.version != item.tried and now < item.moved + self._timings[name].quiet

    def _late(self, name: str, now: float) -> bool:
        since = self._items[name].dirty_since
        return self._dirty(name) and since is not None and now >= since + self._timings[name].ceiling

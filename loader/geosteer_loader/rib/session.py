"""A BGP session as a state machine: when what it holds may be used. No clock; time is an argument.

| state | event | next | what counts |
|---|---|---|---|
| waiting | up | loading | nothing yet: the session was never whole since the start |
| loading | whole | current | what was loaded, in place of what counted before |
| loading | up | loading | as before; what was loaded until now is dropped |
| loading | down, lines lost | lost, or waiting | as before; what was loaded is dropped |
| current | up | loading | what it held last |
| current | down, lines lost | lost | what it held last |
| lost | up | loading | what it held last |
| lost | forgotten | waiting | nothing any more |

After a restart of the service a session of which the routes were kept is lost, and has them. Every other event changes
nothing. A session is whole when End-of-RIB of every family was there, and nearly as many prefixes as the last time. End-of-RIB
alone proves nothing: a router that has lost its own upstream sends it, too. Where the stream does not tell End-of-RIB, the
number of prefixes must have settled instead.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from geosteer_loader.rib.messages import FAMILIES
from geosteer_loader.rib.routes import SessionRoutes

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from geosteer_loader.rib.messages import Route
    from geosteer_loader.sources.bgp_routes import AsPath

SETTLED = 10.0
"""Seconds in which the number of prefixes may grow by no more than `GROWTH` to be called settled."""
GROWTH = 0.005
MOST_PREFIXES = 4_000_000
"""Of a session; the Internet has 1.2 million."""


class Phase(Enum):
    """The states."""

    WAITING = "waiting"
    LOADING = "loading"
    CURRENT = "current"
    LOST = "lost"


class Event(Enum):
    """What can happen."""

    UP = "up"
    WHOLE = "whole"
    DOWN = "down"
    FORGOTTEN = "forgotten"


NEXT = {
    (Phase.WAITING, Event.UP): Phase.LOADING,
    (Phase.LOADING, Event.UP): Phase.LOADING,
    (Phase.LOADING, Event.WHOLE): Phase.CURRENT,
    (Phase.LOADING, Event.DOWN): Phase.LOST,
    (Phase.CURRENT, Event.UP): Phase.LOADING,
    (Phase.CURRENT, Event.DOWN): Phase.LOST,
    (Phase.LOST, Event.UP): Phase.LOADING,
    (Phase.LOST, Event.FORGOTTEN): Phase.WAITING,
}
"""The table above; what is not here changes nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """When a session is whole."""

    families: Collection[int]
    """Address bits of the families whose End-of-RIB is waited for."""
    min_routes: float
    """Share of the prefixes of the last time, 0 to 1, that must be there."""
    forget: float
    """Seconds after which a lost session's routes count no longer, and one that has too few is taken as it is."""
    settles: bool
    """Whether the number of prefixes stands for End-of-RIB."""


@dataclass(slots=True)
class Session:
    """One session, and what it holds."""

    rules: Rules
    before: dict[int, int]
    """Address bits -> prefixes that it had the last time it was current; empty: it never was."""
    lost_at: float | None = None
    """Since when it is not there, by the time that is handed in; None: it is, or it never was."""
    forgotten: bool = False
    """Whether it has been away for too long to be waited for."""
    losses: int = 0
    """How often it was lost."""
    phase: Phase = Phase.WAITING
    counting: SessionRoutes | None = None
    """What counts; None: nothing."""
    awaited: float | None = None
    """What counts was kept over a restart; until when it is rather waited for the session itself. None: it was whole since."""
    _loading: SessionRoutes | None = None
    _ended: set[int] = field(default_factory=set)
    _up_at: float = 0.0
    _settled: tuple[float, int] = (0.0, -1)
    """When, and how many prefixes there were, when the number was last seen growing."""

    def step(self, event: Event, now: float) -> bool:
        """Take an event; whether the state changed, or began anew. What counts is for `whole` and `forget` to change."""
        phase = NEXT.get((self.phase, event))
        if phase is None:
            return False
        if self.phase is Phase.CURRENT:
            self._remember()
        if phase is Phase.LOST and self.counting is None:
            phase = Phase.WAITING
        if phase in {Phase.LOST, Phase.WAITING} and self.lost_at is None:
            self.lost_at = now
        self.phase = phase
        self._loading = SessionRoutes() if phase is Phase.LOADING else None
        self._ended = set()
        self._up_at, self._settled = now, (now, -1)
        return True

    def restore(self, routes: SessionRoutes, lost_at: float, awaited: float) -> None:
        """Begin with what it held before a restart. Args: lost_at: since when it is away; awaited: as the field."""
        self.phase, self.counting = Phase.LOST, routes
        self.lost_at, self.awaited = lost_at, awaited
        self._remember()

    def take(self, bits: int, routes: Iterable[Route], path: AsPath | None) -> list[int]:
        """Announce or withdraw routes; the prefixes of which something that counts is different now.

        Raises: ValueError: there are more than any router has.
        """
        if self.phase is Phase.LOADING:
            assert self._loading is not None
            for route in routes:
                self._loading.set(bits, route, path)
            self._check(self._loading, bits)
            return []
        if self.phase is Phase.CURRENT:
            assert self.counting is not None
            held = self.counting
            changed = [route[0] for route in routes if held.set(bits, route, path)]
            self._check(held, bits)
            return changed
        return []  # of a session that nobody has seen come up, nobody knows what it holds

    def end_of_rib(self, bits: int) -> None:
        """All routes of a family were sent."""
        self._ended.add(bits)

    def lacking(self, now: float) -> str:
        """Why a session that is being loaded is not whole yet, in words; "": it is."""
        routes = self._loading
        if routes is None:
            return f"it is {self.phase.value}"
        if self.rules.settles:
            if not self._has_settled(routes, now):
                return "the number of its prefixes has not settled"
        else:
            missing = [
                name
                for name, bits in FAMILIES.items()
                if bits in self.rules.families and bits not in self._ended
            ]
            if missing:
                return f"End-of-RIB of {' and '.join(missing)} is missing"
        if not sum(routes.prefixes(bits) for bits in FAMILIES.values()):
            return "it has no routes"
        if now - self._up_at >= self.rules.forget:
            return ""
        for name, bits in FAMILIES.items():
            had, has = self.before.get(bits, 0), routes.prefixes(bits)
            if has < had * self.rules.min_routes:
                return f"it has {has} prefixes of {name}, and had {had}"
        return ""

    def whole(self, now: float) -> dict[int, list[int]]:
        """What was loaded counts from now on; address bits -> prefixes that are different."""
        old, fresh = self.counting or SessionRoutes(), self._loading
        assert fresh is not None
        self.step(Event.WHOLE, now)
        self.counting, self.lost_at, self.forgotten, self.awaited = fresh, None, False, None
        self._remember()
        return {bits: list(fresh.different(old, bits)) for bits in FAMILIES.values()}

    def forget(self, now: float) -> dict[int, list[int]]:
        """The routes of a lost session count no longer; address bits -> prefixes that are different."""
        old, self.counting = self.counting or SessionRoutes(), None
        self.step(Event.FORGOTTEN, now)
        self.before, self.lost_at, self.forgotten, self.awaited = {}, None, True, None
        return {bits: list(old.different(SessionRoutes(), bits)) for bits in FAMILIES.values()}

    def overdue(self, now: float) -> bool:
        """Whether it has been away for so long that it is to be forgotten."""
        away = self.phase in {Phase.LOST, Phase.WAITING} and self.lost_at is not None
        return away and now - self.lost_at >= self.rules.forget  # type: ignore[operator]

    def figures(self) -> Mapping[int, int]:
        """Address bits -> prefixes, as they are now or were the last time it was current."""
        if self.phase is Phase.CURRENT:
            self._remember()
        return self.before

    def _remember(self) -> None:
        if self.counting is not None:
            self.before = {bits: self.counting.prefixes(bits) for bits in FAMILIES.values()}

    def _has_settled(self, routes: SessionRoutes, now: float) -> bool:
        count = sum(routes.prefixes(bits) for bits in FAMILIES.values())
        since, then = self._settled
        if count > then * (1 + GROWTH) or then < 0:
            self._settled = now, count
            return False
        return now - since >= SETTLED

    def _check(self, routes: SessionRoutes, bits: int) -> None:
        if routes.prefixes(bits) > MOST_PREFIXES:
            raise ValueError(f"more than {MOST_PREFIXES} prefixes")

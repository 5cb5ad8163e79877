"""What changes for the clients of services: amounts and shares, of all clients and of those known."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from geosteer.keys import FAMILIES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from geosteer.decision.probabilities import Chances

MOMENTS = ("all_up", "now")
"""How nodes may stand: all serving, or as they are."""


NOISE = 1e-12
"""Sums of many parts differ by less than this in nothing but rounding."""


@dataclass(slots=True)
class RoundTrips:
    """Measured times of clients, as nodes stand now; sums over those of whose node a time is known."""

    clients: float = 0.0
    got: float = 0.0
    """Milliseconds to the nodes that they get."""
    best: float = 0.0
    """Milliseconds to the best node that is known for them."""

    def add(self, clients: float, got: float, best: float) -> None:
        """Take in more sums."""
        self.clients += clients
        self.got += got
        self.best += best


@dataclass(slots=True)
class Shift:
    """What changes for a number of clients; amounts are addresses (IPv4), /48s (IPv6), or counts of real traffic."""

    total: float = 0.0
    """All clients there are."""
    known: float = 0.0
    """Those of whom some table says something, before or after."""
    moved: dict[str, float] = field(default_factory=dict)
    """Moment -> those that would get another node."""
    moved_known: dict[str, float] = field(default_factory=dict)
    """The same of those known."""
    before: dict[str, Chances] = field(default_factory=dict)
    """Moment -> node -> clients it has of those known; of all where none is known."""
    after: dict[str, Chances] = field(default_factory=dict)
    times_before: RoundTrips = field(default_factory=RoundTrips)
    """Of a service that asks for measured times."""
    times_after: RoundTrips = field(default_factory=RoundTrips)
    everybody: bool = False
    """No table that comes from elsewhere is asked, so that addresses unknown to the tables are clients like any others."""

    def add(self, more: Shift) -> None:
        """Take in what changes for other clients."""
        self.total += more.total
        self.known += more.known
        self.everybody = self.everybody or more.everybody
        for own, other in (
            (self.times_before, more.times_before),
            (self.times_after, more.times_after),
        ):
            own.add(other.clients, other.got, other.best)
        for moment in MOMENTS:
            count(self.moved, moment, more.moved.get(moment, 0.0))
            count(self.moved_known, moment, more.moved_known.get(moment, 0.0))
            for mine, theirs in ((self.before, more.before), (self.after, more.after)):
                for node, amount in theirs.get(moment, {}).items():
                    count(mine.setdefault(moment, {}), node, amount)

    def share(self, moment: str) -> float:
        """0..1: the part of all clients that would get another node."""
        return self.moved.get(moment, 0.0) / self.total if self.total else 0.0

    def share_known(self, moment: str) -> float:
        """0..1: the same of those of whom tables say something."""
        return self.moved_known.get(moment, 0.0) / self.known if self.known else 0.0

    def guarded(self) -> float:
        """0..1: the share that `max_impact` limits, with all nodes up: what is down at the moment must not hide a change."""
        known = self.share_known("all_up")
        return max(known, self.share("all_up")) if self.everybody else known

    def parts(self, moment: str) -> dict[str, tuple[float, float]]:
        """Node -> its part of the known clients before and after, 0..1, of the nodes for which it changes."""
        old, new = self.before.get(moment, {}), self.after.get(moment, {})
        size = self.known or self.total or 1.0
        both = {
            node: (old.get(node, 0.0) / size, new.get(node, 0.0) / size)
            for node in sorted(old.keys() | new.keys())
        }
        return {node: pair for node, pair in both.items() if abs(pair[0] - pair[1]) > NOISE}


Impact = dict[str, dict[str, Shift]]
"""Service -> `v4`, `v6` or `clients` -> what changes."""


def moving(impact: Impact) -> Iterator[tuple[str, str, float]]:
    """Services (those that fare alike as one text), family, and the share of its clients that `max_impact` limits."""
    alike: dict[tuple[str, float], list[str]] = {}
    for service, parts in impact.items():
        for part in FAMILIES:
            if part in parts:
                alike.setdefault((part, parts[part].guarded()), []).append(service)
    for (part, share), services in alike.items():
        more = f" and {len(services) - 1} more" if len(services) > 1 else ""
        yield services[0] + more, part, share


def shares(impact: Impact) -> dict[str, float]:
    """Service -> the share of its clients that would get another node, 0..1: what `max_impact` limits, of both families."""
    return {
        service: max((parts[part].guarded() for part in FAMILIES if part in parts), default=0.0)
        for service, parts in impact.items()
    }


def as_json(impact: Impact) -> dict[str, Any]:
    """Service -> part -> `clients`, `known`, and for `all_up` and `now`: `moved`, `share`, `share_known`, `nodes`.

    `nodes` has those whose part of the known clients changes: the part before and after, 0 to 1.
    """
    told: dict[int, dict[str, Any]] = {}  # services that decide alike share one dictionary of parts
    for parts in impact.values():
        if id(parts) not in told:
            told[id(parts)] = {part: _shift_json(shift) for part, shift in parts.items()}
    return {service: told[id(parts)] for service, parts in impact.items()}


def _shift_json(shift: Shift) -> dict[str, Any]:
    return {
        "clients": shift.total,
        "known": shift.known,
        **{
            moment: {
                "moved": shift.moved[moment],
                "share": shift.share(moment),
                "share_known": shift.share_known(moment),
                "nodes": shift.parts(moment),
            }
            for moment in MOMENTS
        },
    }


def count(amounts: dict[str, float], name: str, more: float) -> None:
    """Add to one of several amounts."""
    amounts[name] = amounts.get(name, 0.0) + more

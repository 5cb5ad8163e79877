"""What keeps a prefix where it is: workers remember nothing, so what is published changes only when a change has earned it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

NODES = 16
"""Nodes in a record at most, the best ones."""


class Equality(NamedTuple):
    """Which times count as equal to the best: `equal_ms` and `equal_percent` of a service."""

    milliseconds: float = 3.0
    part: float = 0.05
    """Of the best time."""


@dataclass(frozen=True, slots=True)
class Steadiness:
    """When times count as equal, and when a change is worth it; milliseconds, and parts of the better time."""

    equal: tuple[Equality, ...] = (Equality(),)
    """Of all services that go by times: a record serves them all."""
    better: float = 10.0
    better_part: float = 0.10
    windows: int = 2
    """Windows running in which another node has to be better."""


@dataclass(frozen=True, slots=True)
class Record:
    """What is published of a prefix, and for how many windows running something better has been known."""

    times: Mapping[str, int]
    """Node -> milliseconds."""
    waiting: int = 0


def equals(times: Mapping[str, float], equality: Equality) -> set[str]:
    """The nodes that count as equal to the best one."""
    least = min(times.values())
    limit = max(least + equality.milliseconds, least * (1 + equality.part))
    return {node for node, time in times.items() if time <= limit}


def rounded(times: Mapping[str, float]) -> dict[str, int]:
    """Whole milliseconds, at least 1, of the best nodes, best first."""
    best = sorted(times.items(), key=lambda item: (item[1], item[0]))[:NODES]
    return {node: max(1, round(time)) for node, time in best}


def judge(before: Record | None, fresh: Mapping[str, float], rules: Steadiness) -> Record:
    """The record after a window: the fresh one where it is the first, moves nobody, or has been better long enough."""
    new = rounded(fresh)
    if before is None or not before.times:
        return Record(new)
    if all(equals(new, equality) == equals(before.times, equality) for equality in rules.equal):
        return Record(new)
    served = set().union(*(equals(before.times, equality) for equality in rules.equal))
    known = [fresh[node] for node in served if node in fresh]
    least = min(fresh.values())
    # The worst of those that serve now: a client may have any of them.
    loss = (max(known) if len(known) == len(served) else float("inf")) - least
    if loss < max(rules.better, least * rules.better_part):
        return Record(held_back(before.times, served, fresh, rules))
    waiting = before.waiting + 1
    if waiting >= rules.windows:
        return Record(new)
    return Record(held_back(before.times, served, fresh, rules), waiting)


def held_back(
    before: Mapping[str, int], served: Collection[str], fresh: Mapping[str, float], rules: Steadiness
) -> dict[str, int]:
    """Fresh times, best first, but of those *served* the times as before, and of all others ones that are not equal to these.

    So clients stay where they are, and yet what has become next best is known: they are asked to measure it.
    """
    least = min(before.values())
    floor = max(max(least + each.milliseconds, least * (1 + each.part)) for each in rules.equal)
    times = {node: time for node, time in before.items() if node in served}
    for node, time in sorted(fresh.items(), key=lambda item: (item[1], item[0])):
        if node not in served and len(times) < NODES:
            floor = max(floor + 1, time)
            times[node] = round(floor)
    return times

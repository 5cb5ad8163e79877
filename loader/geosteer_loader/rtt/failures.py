"""Nodes that fail for an AS or a network far more often than elsewhere: they are passed over there.

The attempts of a window are judged, and a mark comes and goes when two windows running agree, as every change of a record.
What fails everywhere is for health checks. Below its quorum no network is heard, each counts for a bounded number of attempts,
and the worst third of an AS's networks is left out before the rest is asked, so that a few that lie or are broken themselves
mark nothing.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from math import sqrt
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping, Sequence

    Key = tuple[str, str]
    """An AS or a network, and a node."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureRules:
    """When a node fails far more often than elsewhere."""

    part: float = 0.10
    """Of the attempts, at least."""
    times: float = 3.0
    """As often as elsewhere, at least."""
    attempts: float = 20.0
    """What a verdict needs."""
    calm: float = 5.0
    """Attempts that show that a node does not fail any more; clients that pass it over try it seldom."""
    networks: int = 5
    """Networks that an AS needs; in IPv6 /32s count."""
    cap: float = 20.0
    """Attempts of one network that count."""
    alone: float = 0.5
    """Part of the attempts of a single network; it moves its own answer only."""
    windows: int = 2
    """Windows running that it takes to be marked, and to be cleared."""


class Attempts(NamedTuple):
    """What one network tried since the last window; weights."""

    network: str
    voter: Hashable
    system: str
    node: str
    answers: float
    failures: float


class Verdict(NamedTuple):
    """What a window says of a node somewhere."""

    failing: bool
    rate: float
    """Part of the attempts that failed."""


class Mark(NamedTuple):
    """What is remembered of a node somewhere."""

    rate: float
    on: bool
    """Whether the node is passed over."""
    windows: int = 0
    """Running in which the verdict was the other one."""


def verdicts(told: Iterable[Attempts], rules: FailureRules) -> dict[Key, Verdict]:
    """By AS or network, and node; nothing where too little was tried."""
    voters: defaultdict[Key, defaultdict[Hashable, list[float]]] = defaultdict(
        lambda: defaultdict(lambda: [0.0, 0.0])
    )
    alone = []
    for each in told:
        total = each.answers + each.failures
        if total <= 0:
            continue
        counted = voters[each.system, each.node][each.voter]
        counted[0] += total
        counted[1] += each.failures
        alone.append(each)
    systems = {key: _capped(each.values(), rules.cap) for key, each in voters.items()}
    usual = _Usual(systems)
    made = {}
    for key, counts in systems.items():
        if len(counts) >= rules.networks:
            verdict = _of_system(counts, usual.elsewhere(key), rules)
            if verdict is not None:
                made[key] = verdict
    for each in alone:
        total = each.answers + each.failures
        if total >= rules.calm:
            rate = each.failures / total
            elsewhere = usual.elsewhere((each.system, each.node))
            failing = (
                total >= rules.attempts
                and elsewhere is not None
                and rate >= max(rules.alone, rules.times * elsewhere)
            )
            made[each.network, each.node] = Verdict(failing, rate)
    return made


def _capped(counts: Iterable[Sequence[float]], cap: float) -> list[tuple[float, float]]:
    """Attempts and failures of each voter, no more than *cap* attempts."""
    return [(min(total, cap), failures * min(1.0, cap / total)) for total, failures in counts]


class _Usual:
    """How often nodes fail: each AS has one vote."""

    def __init__(self, systems: Mapping[Key, Sequence[tuple[float, float]]]) -> None:
        self._rates: defaultdict[str, dict[str, float]] = defaultdict(dict)
        for (system, node), counts in systems.items():
            self._rates[node][system] = _rate(counts)

    def elsewhere(self, key: Key) -> float | None:
        """The median of the other ASes; None: nobody else tried the node."""
        system, node = key
        others = [rate for other, rate in self._rates[node].items() if other != system]
        return median(others) if others else None


def _of_system(
    counts: Sequence[tuple[float, float]], elsewhere: float | None, rules: FailureRules
) -> Verdict | None:
    rate = _rate(counts)
    calmer = sorted(counts, key=lambda count: count[1] / count[0])[: len(counts) - -(-len(counts) // 3)]
    attempts, failures = (sum(column) for column in zip(*calmer, strict=True))
    if attempts < rules.calm:
        return None
    if elsewhere is None or sum(total for total, _ in counts) < rules.attempts:
        return Verdict(False, rate) if rate < rules.part / 2 else None
    least = max(rules.part, rules.times * elsewhere)
    base = max(elsewhere, 0.02)
    unlikely = failures - attempts * base >= 2 * sqrt(attempts * base * (1 - base))
    return Verdict(rate >= least and failures / attempts >= least / 2 and unlikely, rate)


def _rate(counts: Iterable[tuple[float, float]]) -> float:
    attempts, failures = 0.0, 0.0
    for tried, failed in counts:
        attempts, failures = attempts + tried, failures + failed
    return failures / attempts


def marked(before: Mark | None, verdict: Verdict | None, rules: FailureRules) -> Mark | None:
    """What is remembered after a window.

    A mark stays where nobody tried the node; a first suspicion does not.
    """
    if verdict is None:
        return before if before is not None and before.on else None
    if before is None or not before.on:
        if not verdict.failing:
            return None
        windows = (before.windows if before is not None else 0) + 1
        on = windows >= rules.windows
        return Mark(verdict.rate, on, 0 if on else windows)
    if verdict.failing:
        return Mark(verdict.rate, True)
    windows = before.windows + 1
    return None if windows >= rules.windows else Mark(before.rate, True, windows)

"""How likely a client of a region gets each node: exact probabilities where a hash or a draw splits clients. Pure functions.

The hash of a client's network is taken for what it is made to be: independent of the table, and even. So each node keeps just
the part of the clients that its share says, equals are in any order, and both `weighted` and `hash` draw in proportion to
weight without replacement: weighted rendezvous is an exponential race, whose order is that of such draws.
An answer of several nodes counts in equal parts for each of them.
"""

from __future__ import annotations

from functools import lru_cache
from math import exp, expm1, log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from geosteer.decision.policy import Candidate

    Chances = dict[str, float]
    """Node -> probability; the sum is 1 unless no node may be given."""
    Runner = tuple[float, float]
    """Share and weight: it takes part with the chance of its share, and is the next one in proportion to its weight."""

STEP, SHORTEST = 0.25, 1e-4
"""Distance of the first points of the quadrature, and at least of the last; 1e-4 would do for a million nodes."""
PRECISE = 1e-12
"""Results that halving the distance changes by less than this are taken."""


REMEMBERED = 4096
"""Races whose result is remembered."""


class Group:
    """Candidates in an order that chance decides: in proportion to weight, or evenly."""

    __slots__ = ("names", "runners")

    def __init__(self, members: Sequence[tuple[str, float, float]]) -> None:
        """Args: members: name, share, and the weight of its draw: equal ones for an order that is any."""
        self.names = tuple([name for name, _, _ in members])
        self.runners: tuple[Runner, ...] = tuple([(share, float(weight)) for _, share, weight in members])

    @classmethod
    def of(cls, candidates: Sequence[Candidate], *, by_weight: bool) -> Group:
        """Candidates of one rank."""
        return cls(
            [
                (candidate.node.name, candidate.share, candidate.weight if by_weight else 1.0)
                for candidate in candidates
            ]
        )

    def without(self, gone: Collection[str]) -> Group:
        """The same with nodes that no longer keep any client."""
        if not gone:
            return self
        return Group(
            [
                (name, 0.0 if name in gone else share, weight)
                for name, (share, weight) in zip(self.names, self.runners, strict=True)
            ]
        )


def distance(first: Mapping[str, float], second: Mapping[str, float]) -> float:
    """0..1: the part of the clients whose node differs: half the sum of the differences, what is missing included."""
    apart = sum(abs(first.get(node, 0.0) - second.get(node, 0.0)) for node in first.keys() | second.keys())
    return (apart + abs(sum(first.values()) - sum(second.values()))) / 2


def kept(groups: Sequence[Group], answers: int) -> tuple[Chances, float]:
    """Going down the groups, each node keeps a client with the chance of its share, until there are enough answers.

    Returns: node -> probability, and the probability that no node keeps the client.
    """
    chances: Chances = {}
    before = [1.0]  # how likely it is that 0, 1, ... nodes of earlier groups keep the client
    for number, group in enumerate(groups):
        behind = [1.0]
        for later in groups[number + 1 :]:
            for share, _ in later.runners:
                behind = _with(behind, share, answers)
        own: dict[Runner, float] = {}  # runners that are alike fare alike
        for at, (name, runner) in enumerate(zip(group.names, group.runners, strict=True)):
            if runner not in own:
                own[runner] = runner[0] * _place(before, group.runners, at, behind, answers)
            chances[name] = own[runner]
        for share, _ in group.runners:
            before = _with(before, share, answers)
    unkept = 1.0
    for group in groups:
        for share, _ in group.runners:
            unkept *= 1 - share
    return chances, unkept


def highest(met: Sequence[Group]) -> Chances:
    """Of nodes that all gave the client away, that of the highest share gets it; of equals the first, earlier groups first."""
    share = max(share for group in met for share, _ in group.runners)
    for group in met:
        tops = {
            name: weight
            for name, (own, weight) in zip(group.names, group.runners, strict=True)
            if own == share
        }
        if tops:
            total = sum(tops.values())
            return {name: weight / total for name, weight in tops.items()}
    raise AssertionError("unreachable")


def _place(
    before: Sequence[float], runners: tuple[Runner, ...], at: int, behind: Sequence[float], answers: int
) -> float:
    """The part of an answer that a node has which keeps the client.

    Where fewer than *answers* nodes keep it, all of them are the answer, whatever their order; else those in front are.
    """
    others = [1.0]  # how likely it is that 0, 1, ... others keep the client
    for number, (share, _) in enumerate(runners):
        if number != at:
            others = _with(others, share, answers)
    everybody = _convolved(_convolved(before, others, answers), behind, answers)
    few = everybody[: answers - 1]
    ahead = _convolved(before, _preceding(runners, at, answers), answers)
    in_front = sum(ahead[:answers])
    return (
        sum(part / (number + 1) for number, part in enumerate(few)) + max(0.0, in_front - sum(few)) / answers
    )


def _preceding(runners: tuple[Runner, ...], at: int, limit: int) -> list[float]:
    """The probability that 0, 1, ... *limit* - 1 others that keep the client come before one that does."""
    _, weight = runners[at]
    others = [runner for number, runner in enumerate(runners) if number != at and runner[0] > 0]
    if all(other[1] == weight for other in others):
        counts = [1.0]
        for other, _ in others:
            counts = _with(counts, other, len(others) + 1)
        # Of so many equals each place is as likely as the others.
        return [
            sum(counts[size] / (size + 1) for size in range(place, len(counts)))
            for place in range(min(limit, len(counts)))
        ]
    if limit == 1 and all(other[0] >= 1 for other in others):
        return [weight / (weight + sum(other[1] for other in others))]
    return list(_race(weight, tuple(sorted(others)), limit))


@lru_cache(maxsize=REMEMBERED)  # clients are many, sets of candidates few
def _race(weight: float, others: tuple[Runner, ...], limit: int) -> Sequence[float]:
    """The same where weights differ: an exponential race, in which a runner of weight w is there at t with 1 - exp(-w t).

    That fewer than k others are there when it arrives is an integral over its own time of arrival; at each time the number of
    others there is a sum of independent events. The double exponential formula t = exp(s - exp(-s)) makes the integrand fall
    off on both sides so fast that the trapezoidal rule converges exponentially with its number of points
    (Takahasi and Mori, 1974); the step is halved until nothing changes.
    """
    scale = max(weight, *(other[1] for other in others))  # the first arrivals are about the time 1 then
    own, scaled = weight / scale, [(share, other / scale) for share, other in others]
    low, high = -4.5, log(45 / own)  # beyond them the integrand is below 1e-18
    points = int((high - low) / STEP) + 1
    sums = [0.0] * limit
    _add_points(sums, own, scaled, _grid(low, STEP, points))
    values, step = [STEP * total for total in sums], STEP
    while True:
        _add_points(sums, own, scaled, _grid(low + step / 2, step, points))
        step, points, coarse = step / 2, points * 2, values
        values = [step * total for total in sums]
        if max(abs(new - old) for new, old in zip(values, coarse, strict=True)) < PRECISE or step < SHORTEST:
            return values


def _grid(first: float, step: float, points: int) -> Iterator[float]:
    return (first + number * step for number in range(points))


def _add_points(sums: list[float], weight: float, others: Sequence[Runner], grid: Iterator[float]) -> None:
    """Add the integrand at some points: the density of the arrival times the chances of 0, 1, ... others there."""
    limit = len(sums)
    for place in grid:
        inner = exp(-place)
        time = exp(place - inner)
        density = weight * exp(-weight * time) * time * (1 + inner)
        if density < 1e-18:
            continue
        there = [1.0]
        for share, own in others:
            there = _with(there, share * -expm1(-own * time), limit)
        for number, chance in enumerate(there):
            sums[number] += density * chance


def _with(counts: Sequence[float], chance: float, limit: int) -> list[float]:
    """How likely 0, 1, ... *limit* - 1 of independent events are, with one more event."""
    if not chance:
        return list(counts)
    not_so = 1 - chance
    longer = [counts[0] * not_so]
    longer += [counts[number] * not_so + counts[number - 1] * chance for number in range(1, len(counts))]
    if len(counts) < limit:
        longer.append(counts[-1] * chance)
    return longer


def _convolved(first: Sequence[float], second: Sequence[float], limit: int) -> list[float]:
    sums = [0.0] * min(len(first) + len(second) - 1, limit)
    for at, left in enumerate(first):
        for further, right in enumerate(second[: len(sums) - at]):
            sums[at + further] += left * right
    return sums

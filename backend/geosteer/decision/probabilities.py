"""How likely a client of a region gets each node: exact probabilities where a hash or a draw splits clients. Pure functions.

The hash of a client's network is taken for what it is made to be: independent of the table, and even. So each node keeps just
the part of the clients that its share says, equals are in any order, and both `weighted` and `hash` draw in proportion to
weight without replacement: weighted rendezvous is an exponential race, whose order is that of such draws.
An answer of several nodes counts in equal parts for each of them.
"""

from __future__ import annotations

from functools import lru_cache
from math import exp, expm1, log, prod

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from geosteer.decision.policy import Candidate

    Chances = dict[str, float]
    """Node -> probability; the sum is 1 unless no node may be given."""
    Runner = tuple[float, float]
    """Share and weight: it takes part with the chance of its share, and is the next one in proportion to its weight."""

STEP, SHORTEST = 0.25, 1e-4
"""Distance of the first points of the quadrature, and at least of the last; 1e-4 would do for a million nodes."""
PRECISE = 1e-12
"""Results that halving the distance changes by less than this are taken."""


REMEMBERED = 512
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
    unkept = 1.0
    for group, behind in zip(groups, _behind(groups, answers), strict=True):
        if not any(before):  # there are enough answers before
            chances.update(dict.fromkeys(group.names, 0.0))
            continue
        own = _places(before, group.runners, behind, answers)
        for name, runner in zip(group.names, group.runners, strict=True):
            chances[name] = runner[0] * own[runner]
        for share, _ in group.runners:
            before = _with(before, share, answers)
            unkept *= 1 - share
    return chances, unkept


def _behind(groups: Sequence[Group], limit: int) -> list[Sequence[float]]:
    """For each group, how likely 0, 1, ... *limit* - 1 nodes of the groups behind it keep the client."""
    counts: Sequence[float] = [1.0]
    behind = []
    for group in reversed(groups):
        behind.append(counts)
        for share, _ in group.runners:
            counts = _with(counts, share, limit)
    behind.reverse()
    return behind


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


def _places(
    before: Sequence[float], runners: Sequence[Runner], behind: Sequence[float], answers: int
) -> dict[Runner, float]:
    """The part of an answer that each of a group's nodes has if it keeps the client; runners that are alike fare alike.

    Where fewer than *answers* nodes keep it, all of them are the answer, whatever their order; else those in front are.
    """
    preceding = _preceding(runners, answers)
    around = _convolved(before, behind, answers)
    few: dict[
        float, list[float]
    ] = {}  # share -> how likely 0, 1, ... others are all there are beside a node of that share
    for (share, _), others in zip(runners, _others([share for share, _ in runners], answers), strict=True):
        if share not in few:
            few[share] = _convolved(around, others, answers)[: answers - 1]
    places = {}
    for runner in dict.fromkeys(runners):
        alone = few[runner[0]]
        in_front = sum(_convolved(before, preceding.get(runner, (0.0,)), answers))
        places[runner] = (
            sum(part / (number + 1) for number, part in enumerate(alone))
            + max(0.0, in_front - sum(alone)) / answers
        )
    return places


def _others(shares: Sequence[float], limit: int) -> Iterator[list[float]]:
    """For each of independent events, how likely 0, 1, ... *limit* - 1 of the others are."""
    later: list[Sequence[float]] = [[1.0]]
    for share in reversed(shares):
        later.append(_with(later[-1], share, limit))
    earlier: Sequence[float] = [1.0]
    later.pop()
    for share in shares:
        yield _convolved(earlier, later.pop(), limit)
        earlier = _with(earlier, share, limit)


def _preceding(runners: Sequence[Runner], limit: int) -> Mapping[Runner, Sequence[float]]:
    """For each runner, the probability that 0, 1, ... *limit* - 1 others that keep the client come before it if it does."""
    present = [runner for runner in runners if runner[0] > 0]
    distinct = dict.fromkeys(present)
    if len({weight for _, weight in distinct}) <= 1:
        return {
            runner: _among_equals(runner[0], [share for share, _ in present], limit) for runner in distinct
        }
    if limit > 1:
        return _race(tuple(sorted(present)), limit)
    if any(share < 1 for share, _ in distinct):
        return _race_to_first(tuple(sorted(present)))
    total = sum(weight for _, weight in present)
    return {runner: (runner[1] / total,) for runner in distinct}


def _among_equals(own: float, shares: Sequence[float], limit: int) -> list[float]:
    """`_preceding` of a node with the share *own* among all, itself included, where each order is as likely as the others."""
    certain = sum(share >= 1 for share in shares) - (own >= 1)
    uncertain = [share for share in shares if share < 1]
    if own < 1:
        uncertain.remove(own)
    counts = [1.0]
    for share in uncertain:
        counts = _with(counts, share, len(uncertain) + 1)
    # Of so many equals each place is as likely as the others.
    by_place = [chance / (certain + number + 1) for number, chance in enumerate(counts)]
    return [sum(by_place[max(0, place - certain) :]) for place in range(min(limit, certain + len(counts)))]


@lru_cache(maxsize=REMEMBERED)  # clients are many, sets of candidates few
def _race_to_first(runners: tuple[Runner, ...]) -> Mapping[Runner, Sequence[float]]:
    """`_preceding` where weights differ, for one answer: how likely nobody comes before each runner.

    An exponential race: a runner of weight w has arrived by the time t with 1 - exp(-w t). Those that surely take part are
    all still on their way with exp(-(sum of their weights) t), so that they share one integral, in proportion to weight.
    """
    certain = sum(weight for share, weight in runners if share >= 1)
    scale = max(certain, *(weight for _, weight in runners))  # the first arrivals are about the time 1 then
    certain /= scale
    doubtful = [(share, weight / scale) for share, weight in runners if share < 1]
    rates = [certain] * (certain > 0) + [certain + weight for _, weight in doubtful]

    def integrand(time: float) -> list[float]:
        left = [1 - share + share * exp(-weight * time) for share, weight in doubtful]
        nobody = prod(left)
        common = exp(-certain * time)
        return [common * nobody] * (certain > 0) + [
            common * exp(-weight * time) * nobody / own
            for (_, weight), own in zip(doubtful, left, strict=True)
        ]

    values = _integrated(integrand, min(rates))
    shared = values.pop(0) if certain else 0.0
    first = {runner: (shared * runner[1] / scale,) for runner in runners if runner[0] >= 1}
    for (share, weight), value in zip([runner for runner in runners if runner[0] < 1], values, strict=True):
        first[share, weight] = (value * weight / scale,)
    return first


@lru_cache(maxsize=REMEMBERED)
def _race(runners: tuple[Runner, ...], limit: int) -> Mapping[Runner, Sequence[float]]:
    """`_preceding` where weights differ, for several answers: the same race, and how many others are there by each time."""
    scale = max(weight for _, weight in runners)
    weights = [weight / scale for _, weight in runners]
    places = {runner: at for at, runner in enumerate(runners)}

    def integrand(time: float) -> list[float]:
        arrived = [
            -share * expm1(-weight * time) for (share, _), weight in zip(runners, weights, strict=True)
        ]
        counts = list(_others(arrived, limit))
        values = []
        for at in places.values():
            density = weights[at] * exp(-weights[at] * time)
            values += [density * chance for chance in counts[at]]
            values += [0.0] * (limit - len(counts[at]))
        return values

    values = _integrated(integrand, min(weights))
    return {runner: values[number * limit : (number + 1) * limit] for number, runner in enumerate(places)}


def _integrated(integrand: Callable[[float], list[float]], slowest: float) -> list[float]:
    """The integrals over all times of functions that fall off at least as fast as exp(-*slowest* t), and by exp(-t) at first.

    The double exponential formula t = exp(s - exp(-s)) makes the integrands fall off on both sides so fast that the
    trapezoidal rule converges exponentially with its number of points (Takahasi and Mori, 1974); the step is halved until
    nothing changes.
    """
    low, high = -4.5, log(45 / slowest)  # beyond them the integrands are below 1e-18
    step, points = STEP, int((high - low) / STEP) + 1
    sums = _summed(integrand, _grid(low, step, points))
    values = [step * total for total in sums]
    while True:
        more = _summed(integrand, _grid(low + step / 2, step, points))
        step, points, coarse = step / 2, points * 2, values
        sums = [total + extra for total, extra in zip(sums, more, strict=True)]
        values = [step * total for total in sums]
        if max(abs(new - old) for new, old in zip(values, coarse, strict=True)) < PRECISE or step < SHORTEST:
            return values


def _summed(integrand: Callable[[float], list[float]], grid: Iterator[float]) -> list[float]:
    """The sums of the integrands at some points of the substituted variable."""
    sums: list[float] = []
    for place in grid:
        inner = exp(-place)
        time = exp(place - inner)
        factor = time * (1 + inner)
        values = integrand(time)
        sums = (
            [total + factor * value for total, value in zip(sums, values, strict=True)]
            if sums
            else [factor * value for value in values]
        )
    return sums


def _grid(first: float, step: float, points: int) -> Iterator[float]:
    return (first + number * step for number in range(points))


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

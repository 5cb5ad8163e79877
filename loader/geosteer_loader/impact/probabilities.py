"""How likely a client of a region gets each node: exact probabilities where a hash or a draw splits clients. Pure functions.

The hash of a client's network is taken for what it is made to be: independent of the table, and even. So a node's share is
kept by just that part of its clients, equals share evenly, and both `weighted` and `hash` draw in proportion to weight x share
without replacement (weighted rendezvous is an exponential race, whose order is that of such draws).
An answer of several nodes counts in equal parts for each of them.
"""

from __future__ import annotations

from math import comb
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from geosteer.decision.policy import Candidate, Groups

    Chances = dict[str, float]
    """Node -> probability; the sum is 1 unless nobody may be given."""

SUBSETS = 50_000
"""Sets of nodes that are gone through for draws of several; where there are more, the first answer stands for all."""


def distance(one: Mapping[str, float], other: Mapping[str, float]) -> float:
    """0..1: the part of the clients whose node differs: half the sum of the differences, what is missing included."""
    nodes = one.keys() | other.keys()
    apart = sum(abs(one.get(node, 0.0) - other.get(node, 0.0)) for node in nodes)
    return (apart + abs(sum(one.values()) - sum(other.values()))) / 2


def drawn(candidates: Sequence[Candidate], answers: int) -> Chances:
    """Policies `weighted` and `hash`: draws in proportion to weight x share, without replacement."""
    sizes = [candidate.weight * candidate.share for candidate in candidates]
    count, total = len(sizes), sum(sizes)
    if answers >= count:
        return {candidate.node.name: 1 / count for candidate in candidates}
    if answers > 1 and sum(comb(count, size) for size in range(answers)) > SUBSETS:
        answers = 1
    # Which nodes are drawn already, as bits -> how likely; one more draw at a time.
    sets = {0: 1.0}
    chances = [0.0] * count
    for _ in range(answers):
        larger: dict[int, float] = {}
        for taken, likely in sets.items():
            left = total - sum(size for at, size in enumerate(sizes) if taken >> at & 1)
            for at, size in enumerate(sizes):
                if not taken >> at & 1:
                    here = likely * size / left
                    chances[at] += here / answers
                    larger[taken | 1 << at] = larger.get(taken | 1 << at, 0.0) + here
        sets = larger
    return {candidate.node.name: chance for candidate, chance in zip(candidates, chances, strict=True)}


def kept(groups: Groups, answers: int) -> tuple[Chances, float]:
    """Policies `best`, `nearest` and `path`: going down the groups, each node keeps a client with the chance of its share.

    Returns: node -> probability, and the probability that nobody keeps the client.
    """
    chances: Chances = {}
    before = [1.0]  # how likely it is that 0, 1, ... nodes of earlier groups keep the client
    for number, group in enumerate(groups):
        behind = _counts(candidate.share for later in groups[number + 1 :] for candidate in later)
        for candidate in group:
            others = _counts(other.share for other in group if other is not candidate)
            chances[candidate.node.name] = candidate.share * _place(before, others, behind, answers)
        before = _convolved(before, _counts(candidate.share for candidate in group))
    return chances, before[0]


def _place(before: Sequence[float], others: Sequence[float], behind: Sequence[float], answers: int) -> float:
    """The part of an answer that a node has which keeps the client; the order within its group is any, evenly."""
    chance = 0.0
    for ahead, likely_ahead in enumerate(before[:answers]):
        for rivals, likely_rivals in enumerate(others):
            among = min(rivals + 1, answers - ahead) / (rivals + 1)
            for after, likely_after in enumerate(behind):
                size = min(ahead + rivals + 1 + after, answers)
                chance += likely_ahead * likely_rivals * likely_after * among / size
    return chance


def _counts(shares: Iterable[float]) -> list[float]:
    """How likely it is that 0, 1, ... of independent events happen."""
    counts = [1.0]
    for share in shares:
        counts = _convolved(counts, [1 - share, share])
    return counts


def _convolved(one: Sequence[float], other: Sequence[float]) -> list[float]:
    sums = [0.0] * (len(one) + len(other) - 1)
    for at, left in enumerate(one):
        for further, right in enumerate(other):
            sums[at + further] += left * right
    return sums


def highest(met: Sequence[Groups]) -> Chances:
    """Of nodes that all gave the client away, the one of the highest share gets it; equals evenly, earlier groups first."""
    share = max(candidate.share for groups in met for group in groups for candidate in group)
    for groups in met:
        for group in groups:
            tops = [candidate.node.name for candidate in group if candidate.share == share]
            if tops:
                return {name: 1 / len(tops) for name in tops}
    raise AssertionError("unreachable")

"""Sudden changes for the worse: what a path was like before says nothing of what it is like now.

A quantile with a half-life of a day would need two days to see them. What came since the last window is compared with all that
came before: where most of it is slower than all but the slowest twentieth of the past, the past is forgotten. Congestion that
comes every evening is part of that past, and changes nothing.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from geosteer_loader.rtt.sketch import middle, quantile

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Sequence

    Bins = Sequence[tuple[int, float]]

USUAL = 0.95
"""Quantile of the past that counts as the worst that is usual."""
SLOWER, SLOWER_PART = 5.0, 0.05
"""Milliseconds, and part of it, by which a sample has to be above that."""
PAST = 5.0
"""Samples that the past needs."""
ALONE, ALONE_PART = 6.0, 0.7
"""Recent samples that a network needs to be judged by itself, and the part of them that has to be slower."""
SOME, MEAN = 0.3, 0.35
"""Part of a network's recent samples that has to be slower in half of the networks, and on average.

A path may get worse in the middle of a window. Then about half of its samples are slower; if that did not suffice, they would
be a part of the past against which the next window is compared, and nothing would ever be noticed.
"""


class Where(NamedTuple):
    """A network and where it belongs."""

    network: str
    voter: Hashable
    system: str


@dataclass(frozen=True, slots=True)
class Recent:
    """What came of a node in one network since the last window."""

    where: Where
    node: int
    samples: float
    slower: float
    """Part of the samples that is slower than what was usual."""


def recent(where: Where, node: int, fresh: Bins, past: Bins) -> Recent | None:
    """What came of a node since the last window; None: too little is known of before."""
    samples = sum(weight for _, weight in fresh)
    if not samples or sum(weight for _, weight in past) < PAST:
        return None
    usual = quantile(past, USUAL)
    limit = max(usual + SLOWER, usual * (1 + SLOWER_PART))
    slower = sum(weight for number, weight in fresh if middle(number) > limit)
    return Recent(where, node, samples, slower / samples)


@dataclass(frozen=True, slots=True)
class Shifts:
    """Of which nodes the past does not count any more."""

    nodes: frozenset[int]
    """Everywhere."""
    systems: frozenset[tuple[str, int]]
    networks: frozenset[tuple[str, int]]

    def of(self, where: Where, nodes: Iterable[int]) -> set[int]:
        """Those of *nodes* whose past does not count for a network."""
        return {
            node
            for node in nodes
            if node in self.nodes
            or (where.system, node) in self.systems
            or (where.network, node) in self.networks
        }


def shifts(told: Iterable[Recent], quorum: int) -> Shifts:
    """What changed for the worse.

    Args: quorum: networks that an AS needs, and ASes that a node needs to be judged everywhere.
    """
    voters: defaultdict[tuple[str, int], defaultdict[Hashable, list[float]]] = defaultdict(
        lambda: defaultdict(list)
    )
    alone = set()
    for each in told:
        voters[each.where.system, each.node][each.where.voter].append(each.slower)
        if each.samples >= ALONE and each.slower >= ALONE_PART:
            alone.add((each.where.network, each.node))
    of_systems = {
        key: _slower([sum(parts) / len(parts) for parts in each.values()])
        for key, each in voters.items()
        if len(each) >= quorum
    }
    systems: defaultdict[int, list[float]] = defaultdict(list)
    for (_, node), part in of_systems.items():
        systems[node].append(part)
    return Shifts(
        frozenset(node for node, parts in systems.items() if len(parts) >= quorum and median(parts) >= MEAN),
        frozenset(key for key, part in of_systems.items() if part >= MEAN),
        frozenset(alone),
    )


def _slower(parts: Sequence[float]) -> float:
    """Mean part of the samples that is slower, where that is so in half of the networks; else 0."""
    return sum(parts) / len(parts) if median(parts) >= SOME else 0.0

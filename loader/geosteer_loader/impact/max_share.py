"""What is added to nodes' distances so that none has more clients than its `max_share`: the surplus goes where it costs least.

A node's offset is the least with which its part fits, given those of the others. They are worked out in turn until no node has
too much, as prices are in an auction (first in large steps, then in smaller ones): a client goes to the node for which
distance and offset together are the least, so that those leave first whose next node is the least farther away, and the same
ones each time. Clients just at the edge of a catchment, who can be many in one place, are divided by a hash of their network.
Pure: no I/O, chance or clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf, isfinite
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

SCALES = (64, 8, 1)
"""Sizes of the steps, one after the other."""
ROUNDS = 40
"""Times that each node's offset is worked out anew at most, at each size."""
TRIES = 8
"""Times that it goes on with less room for the nodes that came out too full, at most."""
ENOUGH = 2e-4
"""Part of all clients by which a node may be off its limit without being looked at again."""
NOTABLE = 1e-3
"""Part of all clients that a node may have above its limit without a warning."""
FINEST = 1000
"""Parts into which the clients at an edge are divided."""
FEW_KINDS = 2000
"""Kinds of clients for which offsets are worked out; of more, those that are about the same are put together."""
MOST_WORK = 15_000_000
"""Measures that are looked at, at most, some ten seconds' worth: then the best so far is what comes of it."""
COARSEST = 16
"""Steps to which measures are rounded at most for that."""


@dataclass(frozen=True, slots=True)
class Kind:
    """Clients for whom the same nodes are equally far away; everything of the nodes stands in their order."""

    size: float
    nodes: tuple[str, ...]
    measures: tuple[float, ...]
    """Distances or times with the nodes' biases, in the unit of offsets; infinite: unknown."""
    weights: tuple[float, ...]
    allowed: tuple[float, ...]
    """How much farther than the nearest one each may be and count as equal."""
    part: float
    """The part of the least measure within which others count as equal: 0.05 is 5 %."""
    fixed: bool = False
    """Nothing is known of where the clients are, so that weights alone decide."""

    def limit(self, place: int, least: float) -> float:
        """The largest measure at which a node still counts as equal to others, of which *least* is the smallest."""
        return max(least * (1 + self.part), least + self.allowed[place])


@dataclass(frozen=True, slots=True)
class Level:
    """How far a node is pushed away."""

    step: int = 0
    keep: float = 1.0
    """0..1: the part of the clients at the edge that it keeps."""

    def add(self, size: float) -> float:
        """What is added to its measures. Edges lie between whole steps, where measures in whole numbers do not meet them."""
        return (self.step - 0.5) * size if self.step else 0.0

    def edge(self, size: float) -> float:
        """How wide the edge is."""
        return size if self.step else size / 2


@dataclass(slots=True)
class Outcome:
    """What came of it."""

    levels: dict[str, Level]
    """Of nodes that are pushed away at all."""
    shares: dict[str, float]
    """Node -> its part of all clients, 0..1."""
    over: dict[str, float] = field(default_factory=dict)
    """Node that has more than it may -> its part of all clients."""
    bound: dict[str, float] = field(default_factory=dict)
    """Such a node -> the part of all clients that it has however far it is pushed away."""


class Solver:
    """The clients of one service, and what limits its nodes."""

    def __init__(self, kinds: Iterable[Kind], caps: Mapping[str, float], size: float) -> None:
        """Args: caps: node -> the part of all clients that it may have, 0..1; size: of a step, in the unit of measures."""
        self._kinds = [_pruned(kind, caps) for kind in kinds]
        self.total = sum(kind.size for kind in self._kinds)
        """All clients."""
        self._caps = dict(sorted(caps.items()))
        self._room = dict(self._caps)
        self._step = self._size = size
        self._levels = dict.fromkeys(self._caps, Level())
        self._concerning: dict[str, list[Kind]] = {node: [] for node in self._caps}
        for kind in _rounded(self._kinds, size):
            for node in kind.nodes:
                if node in self._concerning:
                    self._concerning[node].append(kind)
        self._work_of = {
            node: sum(len(kind.nodes) for kind in kinds) for node, kinds in self._concerning.items()
        }
        self.work = 0
        """Measures that were looked at."""
        self._longest = max((_longest(kind) for kind in self._kinds), default=0.0)

    def solve(self) -> Outcome:
        """Raise the offsets until all fit; what came out too full gets less room in a further try."""
        if not self.total:
            return Outcome({}, {})
        for scale, finer in zip(SCALES, (*SCALES[1:], SCALES[-1]), strict=True):
            self._size = self._step * scale
            self._settle()
            if finer != scale:
                # From below, since offsets that are too large together stay so: each alone is right.
                self._levels = {
                    node: Level(max(level.step - 2, 0) * scale // finer)
                    for node, level in self._levels.items()
                }
        best: tuple[float, float] | None = None
        levels, shares = self._levels, self.shares()
        for _ in range(TRIES):
            now = self.shares()
            excess = {node: now.get(node, 0.0) - cap for node, cap in self._caps.items()}
            worst = max(excess.values(), default=0.0)
            score = max(round(worst, 4), 0.0), self.cost()
            if best is None or score < best:
                best, levels, shares = score, dict(self._levels), now
            if worst <= ENOUGH or self.work >= MOST_WORK:
                break
            for node, over in excess.items():
                if over > 0:
                    self._room[node] = max(self._room[node] - over, 0.0)
            self._settle()
        self._levels = levels
        exceeded = {
            node: shares[node] for node, cap in self._caps.items() if shares.get(node, 0.0) > cap + NOTABLE
        }
        return Outcome(
            levels={node: level for node, level in levels.items() if level != Level()},
            shares=shares,
            over=exceeded,
            bound={node: self._bound(node) for node in exceeded},
        )

    def shares(self) -> dict[str, float]:
        """Node -> its part of all clients with the offsets as they are."""
        amounts: dict[str, float] = {}
        for kind in self._kinds:
            for node, part in self.parts(kind).items():
                amounts[node] = amounts.get(node, 0.0) + part * kind.size
        return {node: amount / self.total for node, amount in amounts.items()}

    def cost(self) -> float:
        """The mean measure of all clients to the nodes that they get, of those of whom one is known."""
        spent = 0.0
        for kind in self._kinds:
            measures = dict(zip(kind.nodes, kind.measures, strict=True))
            for node, part in self.parts(kind).items():
                if isfinite(measures[node]):
                    spent += kind.size * part * measures[node]
        return spent / self.total

    def parts(self, kind: Kind) -> dict[str, float]:
        """Node -> the part of a kind's clients that it gets, as the policy decides."""
        if kind.fixed:
            return _divided(kind, range(len(kind.nodes)), {})
        levels, size, pushed, partly = self._levels, self._size, [], False
        for node, measure in zip(kind.nodes, kind.measures, strict=True):
            level = levels.get(node)
            if level is None:
                pushed.append(measure)
            else:
                pushed.append(measure + level.add(size))
                partly = partly or level.keep < 1
        least = min(pushed)
        growth = least * (1 + kind.part)
        near = [
            place
            for place, (measure, allowed) in enumerate(zip(pushed, kind.allowed, strict=True))
            if measure <= growth or measure <= least + allowed
        ]
        edging = self._edging(kind, pushed) if partly else {}
        if not edging:
            return {kind.nodes[near[0]]: 1.0} if len(near) == 1 else _divided(kind, near, edging)
        parts: dict[str, float] = {}
        left = 1.0
        rest = set(range(len(pushed)))
        while near:
            for node, part in _divided(kind, near, edging).items():
                parts[node] = parts.get(node, 0.0) + part * left
            for place in near:
                left *= 1 - edging.get(place, 1.0)
            if not left:
                break
            rest.difference_update(near)
            further = min([pushed[place] for place in rest], default=inf)
            near = [place for place in sorted(rest) if pushed[place] == further]
        return parts

    def _bound(self, node: str) -> float:
        """The part of all clients that a node keeps however far it is pushed away, and no other is."""
        was = self._levels
        self._levels = {node: Level(self._top(), 0.0)}
        amount = sum(
            self.parts(kind).get(node, 0.0) * kind.size for kind in self._kinds if node in kind.nodes
        )
        self._levels = was
        return amount / self.total

    def _top(self) -> int:
        """A step at which a node has lost all clients that have another."""
        return int(2 * self._longest / self._size) + 2

    def _edging(self, kind: Kind, pushed: Sequence[float]) -> dict[int, float]:
        """Place of a node at the edge of whose catchment these clients are -> the part of them that it keeps."""
        edging = {}
        order = sorted(zip(pushed, kind.nodes, range(len(pushed)), strict=True))
        for at, (measure, node, place) in enumerate(order):
            level = self._levels.get(node)
            if level is not None and level.keep < 1:
                behind = order[at + 1][0] if at + 1 < len(order) else inf
                width = level.edge(self._size)
                if 0 <= kind.limit(place, behind) - measure < width or (
                    at and 0 < kind.limit(place, order[0][0]) - measure < width
                ):
                    edging[place] = level.keep
        return edging

    def _settle(self) -> None:
        """Work out each node's level in turn until all fit, or no work is left to be done for it."""
        before: dict[str, dict[str, Level]] = {}
        for _ in range(ROUNDS):
            settled = True
            for node in self._caps:
                if self.work >= MOST_WORK:
                    return
                others = {name: level for name, level in self._levels.items() if name != node}
                if before.get(node) == others:
                    continue
                before[node] = others
                was = self._levels[node]
                self._levels[node] = self._least(node)
                settled = settled and self._levels[node] == was
            if settled:
                break

    def _least(self, node: str) -> Level:
        """The least level at which a node has no more than it may, as the others stand; as it is where that is near enough."""
        most = self._room[node] * self.total
        now = self._levels[node]
        amount = self._amount(node, now)
        if abs(amount - most) <= ENOUGH / 2 * self.total or (amount <= most and now == Level()):
            return now
        if self._amount(node, Level()) <= most:
            return Level()
        coarse = self._size > self._step
        high = self._step_for(node, most, now.step, 1.0 if coarse else 0.0)
        if coarse:
            return Level(high)
        whole, bare = self._amount(node, Level(high)), self._amount(node, Level(high, 0.0))
        if whole <= most or whole <= bare:
            return Level(high)
        return Level(high, max(0, int((most - bare) / (whole - bare) * FINEST)) / FINEST)

    def _step_for(self, node: str, most: float, begin: int, keep: float) -> int:
        """The least step at which a node fits that keeps so much of its edge; sought from *begin*: it is seldom far."""
        top = self._top()

        def fits(step: int) -> bool:
            return self._amount(node, Level(step, keep)) <= most

        low, high, width = -1, min(begin, top), 1
        if fits(high):
            while high > 0 and fits(max(high - width, 0)):
                high, width = max(high - width, 0), width * 2
            low = max(high - width, -1)
        else:
            while high < top and not fits(high):
                low, high, width = high, min(high + width, top), width * 2
        while high - low > 1:
            middle = (high + low) // 2
            low, high = (low, middle) if fits(middle) else (middle, high)
        return high

    def _amount(self, node: str, level: Level) -> float:
        """How many clients a node would have at a level."""
        self.work += self._work_of[node]
        was, self._levels[node] = self._levels[node], level
        amount = sum([self.parts(kind).get(node, 0.0) * kind.size for kind in self._concerning[node]])
        self._levels[node] = was
        return amount


def _divided(kind: Kind, group: Sequence[int], edging: Mapping[int, float]) -> dict[str, float]:
    """Node -> the part of the clients that it gets among equals: the heaviest that keep them, evenly.

    Args: group: places of nodes; edging: place -> the part of them that it keeps, of those that do not keep all.
    """
    parts: dict[str, float] = {}
    left = 1.0
    for weight in sorted({kind.weights[place] for place in group}, reverse=True):
        members = [place for place in group if kind.weights[place] == weight]
        partly = [place for place in members if place in edging]
        sure = len(members) - len(partly)
        for place in members:
            others = [edging[other] for other in partly if other != place]
            beside = sure if place in edging else sure - 1
            part = sum(chance / (beside + kept + 1) for kept, chance in enumerate(_kept(others)))
            parts[kind.nodes[place]] = part * left * edging.get(place, 1.0)
        if len(partly) < len(members):
            break
        for place in partly:
            left *= 1 - edging[place]
    return parts


def _kept(chances: Sequence[float]) -> list[float]:
    """The chance that none, one, two and so on of nodes keep clients, each of which keeps them with a chance of its own."""
    counts = [1.0]
    for chance in chances:
        counts = [
            (counts[kept] * (1 - chance) if kept < len(counts) else 0.0)
            + (counts[kept - 1] * chance if kept else 0.0)
            for kept in range(len(counts) + 1)
        ]
    return counts


def _longest(kind: Kind) -> float:
    """The largest known measure, with what counts as equal to it."""
    known = [measure for measure in kind.measures if isfinite(measure)]
    return (
        max((kind.limit(place, max(known)) for place in range(len(kind.nodes))), default=0.0)
        if known
        else 0.0
    )


def _rounded(kinds: Sequence[Kind], size: float) -> list[Kind]:
    """Fewer kinds, which are about the same: measures are rounded as far as that takes."""
    fewer = list(kinds)
    quantum = size / 4
    while len(fewer) > FEW_KINDS and quantum <= COARSEST * size:
        sizes: dict[Kind, float] = {}
        for kind in kinds:
            measures = tuple(
                [each if each == inf else round(each / quantum) * quantum for each in kind.measures]
            )
            alike = Kind(1, kind.nodes, measures, kind.weights, kind.allowed, kind.part, kind.fixed)
            sizes[alike] = sizes.get(alike, 0.0) + kind.size
        fewer = [
            Kind(amount, kind.nodes, kind.measures, kind.weights, kind.allowed, kind.part, kind.fixed)
            for kind, amount in sizes.items()
        ]
        quantum *= 2
    return fewer


def _pruned(kind: Kind, caps: Mapping[str, float]) -> Kind:
    """Without nodes that are too far away to count, however far those with a limit are pushed."""
    if kind.fixed or len(kind.nodes) < 3:
        return kind
    nearest = min(
        (measure for node, measure in zip(kind.nodes, kind.measures, strict=True) if node not in caps),
        default=inf,
    )
    kept = [place for place, measure in enumerate(kind.measures) if measure <= kind.limit(place, nearest)]
    if len(kept) == len(kind.nodes):
        return kind
    nodes, measures, weights, allowed = (
        tuple([each[place] for place in kept])
        for each in (kind.nodes, kind.measures, kind.weights, kind.allowed)
    )
    return Kind(kind.size, nodes, measures, weights, allowed, kind.part)  # type: ignore[arg-type]

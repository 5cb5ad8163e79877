"""What happens when a node closes: each in turn, with the weights as they are, and with a new plan (N-1). Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from geosteer_loader.shares import weights
from geosteer_loader.shares.linear_program import solve

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from geosteer_loader.shares.demand import Region
    from geosteer_loader.shares.linear_program import Problem
    from geosteer_loader.shares.weights import Layers


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """One node is gone; the others take its clients as the map says, before a new plan is made."""

    node: str
    moved: float
    """Demand that it had."""
    fullest: str | None
    """The node that is fullest then, None: there is no other."""
    utilisation: float
    """Of the fullest node, in parts of its capacity."""
    over: float
    """Demand above the capacity of the nodes that get it, which they will shed."""
    shortfall: float
    """Demand that even a new plan has no room for, at the share of capacity that plans may use."""
    mean_cost: float
    """Of a new plan."""


def close_each(
    problem: Problem,
    layers: Layers,
    regions: Sequence[Region],
    capacity: Mapping[str, float],
    own: Mapping[str, float],
    continents: Mapping[str, str],
) -> list[Closing]:
    """The closing of every node in turn, worst first.

    Args: capacity: node -> the load at which it is full; the other arguments as in `weights.loads`.
    """
    before = weights.loads(layers, regions, own, continents)
    closings = []
    for node in problem.capacity:
        loads = weights.loads(layers, regions, own, continents, (node,))
        used = {name: loads.get(name, 0.0) / full for name, full in capacity.items() if name != node}
        fullest = max(used, key=used.__getitem__, default=None)
        replanned = solve(
            replace(problem, capacity={**problem.capacity, node: 0.0})  # it stays a node, without room
        )
        closings.append(
            Closing(
                node=node,
                moved=before.get(node, 0.0),
                fullest=fullest,
                utilisation=used[fullest] if fullest is not None else 0.0,
                over=sum(max(loads.get(name, 0.0) - full, 0.0) for name, full in capacity.items()),
                shortfall=replanned.shortfall,
                mean_cost=replanned.mean_cost,
            )
        )
    return sorted(closings, key=lambda closing: (-closing.shortfall, -closing.over, -closing.utilisation))

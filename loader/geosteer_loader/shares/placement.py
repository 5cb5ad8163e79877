"""A plan as settings of a service with policy `nearest`: `max_share` of the nodes that are full, or a `bias` of each. Pure."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

from geosteer.decision.model import MOST_BIAS, bias_factor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from geosteer_loader.shares.linear_program import Plan, Problem

FULL = 0.999
"""Part of the room that a node has taken that counts as full."""
PARTS = 1000
"""A share is rounded up to so many parts of 1."""


def limits(plan: Plan, room: Mapping[str, float]) -> dict[str, float]:
    """Node -> the part of all that is served that it has, of those that are full; the others need no limit.

    Args: room: node -> the most that it may take.
    """
    loads = plan.loads()
    served = sum(loads.values())
    return {
        node: min(ceil(load / served * PARTS - 1e-9) / PARTS, 1.0)
        for node, load in sorted(loads.items())
        if load >= FULL * room[node]
    }


def biases(problem: Problem) -> dict[str, int] | None:
    """Node -> the bias with which every region's nearest node has room for it; the others: 0. None: there are none such.

    The fullest node gives away the region for which that takes the least, until none is too full: shrinking moves nothing to
    the node that shrinks, so that this ends. A region goes as a whole, since a bias cannot divide it.
    """
    bias = dict.fromkeys(problem.capacity, 0)
    taken: dict[str, list[str]] = {node: [] for node in problem.capacity}
    for region in problem.demand:
        taken[_nearest(problem, region, bias)].append(region)
    while True:
        loads = {node: sum(problem.demand[region] for region in regions) for node, regions in taken.items()}
        fullest = max(loads, key=lambda node: (loads[node] / problem.capacity[node], node))
        if loads[fullest] <= problem.capacity[fullest] * (1 + 1e-9):
            return {node: each for node, each in sorted(bias.items()) if each}
        if bias[fullest] == -MOST_BIAS:
            return None
        bias[fullest] -= 1
        staying: list[str] = []
        for region in taken[fullest]:
            now = _nearest(problem, region, bias)
            (staying if now == fullest else taken[now]).append(region)
        taken[fullest] = staying


def _nearest(problem: Problem, region: str, bias: Mapping[str, int]) -> str:
    costs = problem.cost[region]
    return min(costs, key=lambda node: (costs[node] * bias_factor(bias[node]), node))

"""Sharing demand among nodes as a linear program: least total cost, no node above what it may take. Pure.

    minimise    sum of cost[r, n] * x[r, n]  +  penalty * sum of u[r]
    subject to  for each region r:   sum over n of x[r, n] + u[r] = demand[r]
                for each node n:     sum over r of x[r, n] <= capacity[n]
                x, u >= 0

x is what a node takes of a region's demand, u what no node can take. The penalty is above anything that moving other demand
around could save, so demand is left over only where there is no room for it. Solved with HiGHS, through SciPy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from geosteer.errors import GeosteerError

if TYPE_CHECKING:
    from collections.abc import Mapping

NEGLIGIBLE = 1e-6
"""Part of a region's mean demand below which an amount is the solver's rounding (its tolerance is 1e-7)."""


class NoSolver(GeosteerError):
    """SciPy is not installed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Demand, capacity and costs."""

    demand: Mapping[str, float]
    """Region -> amount, above 0."""
    capacity: Mapping[str, float]
    """Node -> the most that it may take."""
    cost: Mapping[str, Mapping[str, float]]
    """Region -> node -> cost of one unit of demand; a node that is absent can not serve the region."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Which node takes how much of which region's demand."""

    flows: Mapping[str, Mapping[str, float]]
    """Region -> node -> amount, above 0, the largest first."""
    unserved: Mapping[str, float]
    """Region -> amount that no node can take; regions that are served whole are left out."""
    mean_cost: float
    """Of one unit of what is served; 0 where nothing is."""

    @property
    def shortfall(self) -> float:
        """Demand that no node can take."""
        return sum(self.unserved.values())

    def loads(self) -> dict[str, float]:
        """Node -> what it takes, for those that take anything."""
        loads: dict[str, float] = {}
        for flow in self.flows.values():
            for node, amount in flow.items():
                loads[node] = loads.get(node, 0.0) + amount
        return loads


def solve(problem: Problem) -> Plan:
    """The cheapest plan; what cannot be served at all is in `unserved`.

    Raises: NoSolver: SciPy is not installed. GeosteerError: the solver failed.
    """
    unit = sum(problem.demand.values()) / max(len(problem.demand), 1)
    nodes = [node for node, room in problem.capacity.items() if room > 0]
    pairs = [
        (region, node) for region in problem.demand for node in nodes if node in problem.cost.get(region, {})
    ]
    amounts = _amounts(problem, nodes, pairs, unit) if pairs else []
    flows: dict[str, dict[str, float]] = {region: {} for region in problem.demand}
    for (region, node), part in sorted(zip(pairs, amounts, strict=True), key=lambda item: -item[1]):
        if part > NEGLIGIBLE:
            flows[region][node] = part * unit
    unserved = {}
    for region, flow in flows.items():
        amount = problem.demand[region]
        left = amount - sum(flow.values())
        able = [node for node in nodes if node in problem.cost.get(region, {})]
        if not flow and able and amount <= NEGLIGIBLE * unit:  # too little for the solver to see
            flow[min(able, key=problem.cost[region].__getitem__)] = amount
        elif left > NEGLIGIBLE * unit or not flow:
            unserved[region] = left
    served = sum(sum(flow.values()) for flow in flows.values())
    spent = sum(
        amount * problem.cost[region][node] for region in flows for node, amount in flows[region].items()
    )
    return Plan(
        flows={region: flow for region, flow in flows.items() if flow},
        unserved=unserved,
        mean_cost=spent / served if served else 0.0,
    )


def _amounts(problem: Problem, nodes: list[str], pairs: list[tuple[str, str]], unit: float) -> list[float]:
    """What each pair takes, in *unit*: HiGHS's tolerances are absolute."""
    optimize, sparse = _solver()
    rows = {region: row for row, region in enumerate(problem.demand)}
    columns = {node: column for column, node in enumerate(nodes)}
    count, regions = len(pairs), len(rows)
    costs = [problem.cost[region][node] for region, node in pairs]
    penalty = (max(map(abs, costs)) + 1) * (len(nodes) + 1)
    serve = sparse.csr_array(
        (
            [1.0] * (count + regions),
            ([rows[region] for region, _ in pairs] + list(range(regions)), list(range(count + regions))),
        ),
        shape=(regions, count + regions),
    )
    room = sparse.csr_array(
        ([1.0] * count, ([columns[node] for _, node in pairs], list(range(count)))),
        shape=(len(nodes), count + regions),
    )
    optimum: Any = optimize.linprog(
        costs + [penalty] * regions,
        A_ub=room,
        b_ub=[problem.capacity[node] / unit for node in nodes],
        A_eq=serve,
        b_eq=[amount / unit for amount in problem.demand.values()],
        bounds=(0, None),
        method="highs",
    )
    if optimum.status != 0:
        raise GeosteerError(f"the solver found no plan: {optimum.message}")
    return [float(amount) for amount in optimum.x[:count]]


def _solver() -> tuple[Any, Any]:
    try:
        from scipy import optimize, sparse
    except ModuleNotFoundError as exc:
        raise NoSolver(
            f"{exc.name} is missing: planning needs SciPy: pip install 'geosteer[planner]'"
        ) from exc
    return optimize, sparse

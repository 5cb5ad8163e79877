"""The whole of `geosteer shares`: from configuration and demand to a plan, its map, and what they come to."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from geosteer.decision.model import Model
from geosteer.errors import ConfigError
from geosteer_loader.shares import costs, placement, weights
from geosteer_loader.shares.linear_program import Problem, solve
from geosteer_loader.shares.node_loss import close_each

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from geosteer.decision.model import Node
    from geosteer_loader.config.config import Config
    from geosteer_loader.shares.costs import Read
    from geosteer_loader.shares.demand import Region
    from geosteer_loader.shares.linear_program import Plan
    from geosteer_loader.shares.node_loss import Closing
    from geosteer_loader.shares.weights import Layers

FILL = 0.8
"""Part of a node's capacity that a plan uses: below it no node gives clients away (`health.shed`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is asked for."""

    by: str = costs.DISTANCE
    """`distance` or `path`: what is to be small."""
    fill: float = FILL
    """0..1: the part of its capacity that a node may be planned for."""
    globs: tuple[str, ...] = ("*",)
    """Names of the nodes to plan with, with `*` and `?`."""
    closings: bool = True
    """Also close each node in turn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionShares:
    """Who serves one region."""

    region: str
    demand: float
    unserved: float
    nodes: list[dict[str, Any]]
    """`node`, `amount`, `share` (0..1), `cost` (in `unit`), the largest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeLoad:
    """What one node takes."""

    node: str
    capacity: float
    load: float
    utilisation: float
    """Load by capacity."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of it; amounts are in the unit of the nodes' capacity."""

    by: str
    unit: str
    """Of costs: km or hops."""
    fill: float
    demand: float
    capacity: float
    room: float
    """What may be planned for: capacity x fill."""
    shortfall: float
    """Demand that no node has room for."""
    mean_cost: float
    regions: list[RegionShares]
    nodes: list[NodeLoad]
    closings: list[Closing]
    """What happens when each node closes; empty when that was not asked for."""
    layers: Layers
    """The weights: the map."""
    max_share: dict[str, float]
    """Node -> the limit with which a service of policy `nearest` comes to about the same; the others need none."""
    bias: dict[str, int] | None
    """Node -> the bias with which such a service overloads none; None: no bias does, or costs are no distances."""
    warnings: list[str]

    @property
    def feasible(self) -> bool:
        """Whether all demand can be served."""
        return not self.shortfall

    def to_json(self) -> dict[str, Any]:
        """As `geosteer shares --json` prints it: the fields above but warnings, and the layers as `map`."""
        document = asdict(self)
        del document["warnings"]
        layers = document.pop("layers")
        document["map"] = {
            layer: entries.get("", {}) if layer == "default" else entries for layer, entries in layers.items()
        }
        return document


def shares(config: Config, regions: Sequence[Region], wish: Wish, read: Read | None) -> Result:
    """Plan for the demand of *regions*.

    Args: read: gives the ranges of published tables; None: countries' places as shipped.
    Raises: ConfigError: no node can be planned with. NoSolver. StoreError, CorruptPage: a table cannot be read, or there is
    none of path lengths.
    """
    model = Model(config.document)
    capacity = {
        name: float(spec["capacity"]) for name, spec in config.document["nodes"].items() if spec["capacity"]
    }
    nodes, warnings = _nodes(model, capacity, wish, f"{config.path}: nodes")
    capacity = {node.name: capacity[node.name] for node in nodes}
    room = {name: full * wish.fill for name, full in capacity.items()}
    own = {node.name: node.weight for node in nodes}
    cost = costs.measured(wish.by, regions, nodes, model, read) if read is not None else {}
    if wish.by == costs.DISTANCE:
        cost = {**costs.shipped(regions, nodes), **cost}
    lost = [region.name for region in regions if not cost.get(region.name)]
    if lost:
        more = f" and {len(lost) - 5} more" if len(lost) > 5 else ""
        warnings.append(
            f"location of the demand of {', '.join(lost[:5])}{more} unknown; it counts as equally near to all nodes"
        )
        cost.update({name: {node.name: 0.0 for node in nodes} for name in lost})
    problem = Problem(demand={region.name: region.demand for region in regions}, capacity=room, cost=cost)
    plan = weights.spread(solve(problem), room)
    near = wish.by == costs.DISTANCE and not plan.shortfall
    layers = weights.planned_map(plan, regions, room, own)
    loads = plan.loads()
    return Result(
        by=wish.by,
        unit=costs.UNITS[wish.by],
        fill=wish.fill,
        demand=sum(problem.demand.values()),
        capacity=sum(capacity.values()),
        room=sum(room.values()),
        shortfall=plan.shortfall,
        mean_cost=plan.mean_cost,
        regions=[_region(region, plan, cost[region.name]) for region in regions],
        nodes=[
            NodeLoad(
                node=name, capacity=full, load=loads.get(name, 0.0), utilisation=loads.get(name, 0.0) / full
            )
            for name, full in capacity.items()
        ],
        closings=list(close_each(problem, layers, regions, capacity, own, model.continents))
        if wish.closings
        else [],
        layers=layers,
        max_share=placement.limits(plan, room) if near else {},
        bias=placement.biases(problem) if near else None,
        warnings=warnings,
    )


def _region(region: Region, plan: Plan, cost: Mapping[str, float]) -> RegionShares:
    return RegionShares(
        region=region.name,
        demand=region.demand,
        unserved=plan.unserved.get(region.name, 0.0),
        nodes=[
            {"node": node, "amount": amount, "share": amount / region.demand, "cost": cost[node]}
            for node, amount in plan.flows.get(region.name, {}).items()
        ],
    )


def _nodes(model: Model, capacity: dict[str, float], wish: Wish, place: str) -> tuple[list[Node], list[str]]:
    """The nodes to plan with, and why others are left out."""
    chosen = [
        node
        for node in model.nodes.values()
        if any(fnmatchcase(node.name, glob) for glob in wish.globs) and node.weight > 0
    ]
    if not chosen:
        raise ConfigError([f"{place}: no node with a weight above 0 matches {' or '.join(wish.globs)}"])
    endless = [node.name for node in chosen if node.name not in capacity]
    lost = [
        node.name
        for node in chosen
        if wish.by == costs.DISTANCE and node.location is None and node.name in capacity
    ]
    left = [node for node in chosen if node.name not in endless and node.name not in lost]
    if not left:
        raise ConfigError(
            [f"{place}: none of {', '.join(node.name for node in chosen)} has a capacity and a location"]
        )
    warnings = [f"not planned with: {', '.join(endless)} without a capacity"] if endless else []
    warnings += [f"not planned with: {', '.join(lost)} without a location"] if lost else []
    return left, warnings

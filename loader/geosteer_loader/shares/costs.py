"""What it costs to serve a region from a node: kilometres, or AS hops, as a mean over the region's addresses.

The published tables tell it: every stretch of addresses that the region's table gives to the region is weighted by its size,
and its place or its path lengths come from the table beside it. Addresses are those of IPv4; of IPv6 where a region has none.
Without tables, countries and continents have a place about their middle.
"""

from __future__ import annotations

from collections import Counter
from math import isfinite
from typing import TYPE_CHECKING

from geosteer.decision.director import Director
from geosteer.decision.policy import distance
from geosteer.decision.records import lengths_of, place_of
from geosteer.errors import StoreError
from geosteer_loader.shares.demand import ELSEWHERE, by_layer
from geosteer_loader.sources.bgp_routes import MAX_LENGTH
from geosteer_loader.sources.geography import CONTINENT_PLACES, COUNTRY_PLACES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from geosteer.decision.model import Model, Node
    from geosteer_loader.shares.demand import Region
    from geosteer_loader.tables.ranges import Ranges

    Costs = dict[str, dict[str, float]]
    """Region's name -> node -> cost of one unit of demand."""
    Read = Callable[[str, int], "Ranges | None"]
    """Table and address bits -> its ranges, None where it is not published."""
    Price = Callable[[str, Node], "float | None"]
    """Record of the table beside, node -> cost there; None: that record tells nothing."""

DISTANCE, PATH = "distance", "path"
UNITS = {DISTANCE: "km", PATH: "hops"}
"""What to go by -> the unit of costs."""

UNSEEN = float(MAX_LENGTH + 1)
"""Hops that count where a node's vantage point has no path: one more than the longest."""


def shipped(regions: Sequence[Region], nodes: Sequence[Node]) -> Costs:
    """Distances to the middle of countries and continents, or to the places that the file gives; no others."""
    costs: Costs = {}
    for region in regions:
        place = region.place or _middle(region)
        if place is not None or region.layer == ELSEWHERE:
            costs[region.name] = _from_place(place, nodes)
    return costs


def measured(by: str, regions: Sequence[Region], nodes: Sequence[Node], model: Model, read: Read) -> Costs:
    """Mean costs over the addresses of each region; a region that the tables do not know is left out.

    Args: by: `distance` or `path`; model: which continent a country is in.
    Raises: StoreError: a table cannot be read, or path lengths are wanted and not published.
    """
    if by == PATH and read("path", 32) is None and read("path", 128) is None:
        raise StoreError("no table path is published: configure [[sources.path]] and publish")
    costs: Costs = {}
    fixed = [region for region in regions if region.layer == ELSEWHERE or (by == DISTANCE and region.place)]
    for region in fixed:
        costs[region.name] = _from_place(region.place, nodes)
    wanted = [region for region in regions if region.name not in costs]
    beside = "geo" if by == DISTANCE else "path"
    price: Price = _kilometres if by == DISTANCE else _hops
    for table, layers in (("bgp", ("asns",)), ("geo", ("subdivisions", "countries", "continents"))):
        mine = [region for region in wanted if region.layer in layers]
        for bits in (32, 128):
            missing = [region for region in mine if region.name not in costs]
            if missing:
                weights = _weights(missing, table, beside, bits, Director(model), read)
                costs.update(
                    {name: mean for name, sizes in weights.items() if (mean := _mean(sizes, nodes, price))}
                )
    return costs


def _from_place(place: tuple[float, float] | None, nodes: Sequence[Node]) -> dict[str, float]:
    """Without a place no node is nearer than another, and all can serve."""
    if place is None:
        return {node.name: 0.0 for node in nodes}
    away = {node.name: distance(place, node.location) for node in nodes}
    return {name: cost for name, cost in away.items() if isfinite(cost)}


def _middle(region: Region) -> tuple[float, float] | None:
    if region.layer == "continents":
        return CONTINENT_PLACES[region.key]
    if region.layer in {"countries", "subdivisions"}:
        return COUNTRY_PLACES[region.key[:2]]
    return None


def _kilometres(record: str, node: Node) -> float | None:
    where = record.partition(" ")[0]
    place = place_of(record) or (
        CONTINENT_PLACES.get(where[1:]) if where.startswith("@") else COUNTRY_PLACES.get(where[:2])
    )
    return distance(place, node.location) if place else None


def _hops(record: str, node: Node) -> float | None:
    return float(lengths_of(record).get(node.vantage or node.name, UNSEEN)) if record else None


def _weights(
    regions: Sequence[Region], table: str, beside: str, bits: int, director: Director, read: Read
) -> dict[str, Counter[str]]:
    """Region -> record of the table beside -> addresses of the region that have it."""
    ours, theirs = read(table, bits), read(beside, bits)
    weights: dict[str, Counter[str]] = {}
    if ours is None or theirs is None:
        return weights
    layers = by_layer(regions)
    names: dict[str, str | None] = {}
    for size, record, other in joined(ours, theirs):
        if record not in names:
            names[record] = _named(record, layers, director)
        name = names[record]
        if name is not None:
            weights.setdefault(name, Counter())[other] += size
    return weights


def _named(record: str, layers: Mapping[str, Mapping[str, Region]], director: Director) -> str | None:
    for layer, regions in layers.items():
        if regions and layer != ELSEWHERE:
            for key in director.keys(layer, record):
                if key in regions:
                    return regions[key].name
    return None


def joined(first: Ranges, second: Ranges) -> Iterator[tuple[int, str, str]]:
    """Both tables' records for every stretch of addresses where neither changes, with its size."""
    theirs = second.spans()
    _, end, record = next(theirs)
    for start, stop, mine in first.spans():
        at = start
        while end < stop:
            if mine and end > at:
                yield end - at, mine, record
            at = end
            _, end, record = next(theirs)
        if mine:
            yield stop - at, mine, record


def _mean(weights: Mapping[str, int], nodes: Sequence[Node], price: Price) -> dict[str, float]:
    """Node -> its mean cost; nodes that no record reaches are left out."""
    costs = {}
    for node in nodes:
        total, spent = 0, 0.0
        for record, size in weights.items():
            cost = price(record, node)
            if cost is not None:
                total += size
                spent += size * cost
        if total and isfinite(spent):
            costs[node.name] = spent / total
    return costs

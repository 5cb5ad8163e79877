"""A plan as a map: weights for the policies `weighted` and `hash`, and what loads those weights come to."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from geosteer_loader.shares.demand import ELSEWHERE, LAYERS

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from geosteer_loader.shares.demand import Region
    from geosteer_loader.shares.linear_program import Plan

    Weights = dict[str, int]
    """Node -> weight in the map."""
    Layers = dict[str, dict[str, Weights]]
    """Layer -> key -> weights; the layer `default` has the key ""."""

PARTS = 1000
"""What the weights of one region sum up to, where all nodes have weight 100."""


def spread(plan: Plan, room: Mapping[str, float]) -> Plan:
    """The same plan with the demand of nowhere in particular spread over the nodes by what they have left.

    That overloads none, and when a node closes its clients find the room that there is.
    """
    flow = plan.flows.get(ELSEWHERE, {})
    left = _left(plan, room)
    amount, total = sum(flow.values()), sum(left.values())
    if not flow or not total:
        return plan
    spread_flow = {node: amount * rest / total for node, rest in left.items() if rest > 0}
    return replace(plan, flows={**plan.flows, ELSEWHERE: spread_flow})


def planned_map(
    plan: Plan, regions: Sequence[Region], room: Mapping[str, float], own: Mapping[str, float]
) -> Layers:
    """The weights that make a plan come true.

    Clients of whom the demand says nothing, and those of a region whose nodes are all gone, are spread over the nodes by what
    they have left.

    Args: room: node -> the most that it may take; own: node -> its own weight in per cent, above 0.
    """
    layers: Layers = {layer: {} for layer in LAYERS}
    for region in regions:
        flow = plan.flows.get(region.name)
        if flow:
            layers[region.layer][region.key] = _whole(flow, own)
    left = _left(plan, room)
    spare = left if sum(left.values()) > 1e-6 * sum(room.values()) else room
    layers[ELSEWHERE].setdefault("", _whole(spare, own))
    return layers


def _left(plan: Plan, room: Mapping[str, float]) -> dict[str, float]:
    """Node -> the room that the demand from somewhere leaves it."""
    used: dict[str, float] = {}
    for region, flow in plan.flows.items():
        if region != ELSEWHERE:
            for node, amount in flow.items():
                used[node] = used.get(node, 0.0) + amount
    return {node: max(most - used.get(node, 0.0), 0.0) for node, most in room.items()}


def loads(
    layers: Layers,
    regions: Sequence[Region],
    own: Mapping[str, float],
    continents: Mapping[str, str],
    closed: Collection[str] = (),
) -> dict[str, float]:
    """Node -> the demand that it gets on average from a service of policy `weighted` or `hash` while *closed* ones are down.

    As a worker decides: the first layer that names the client and has a node that serves; none: all nodes of the map.
    """
    loads_by_node: dict[str, float] = {}
    everyone: Weights = {}
    for layer in layers.values():
        for weights in layer.values():
            for node, weight in weights.items():
                everyone[node] = max(weight, everyone.get(node, 0))
    for region in regions:
        for weights in (*_named(layers, region, continents), everyone):
            parts = {node: weight * own[node] for node, weight in weights.items() if node not in closed}
            total = sum(parts.values())
            if total > 0:
                for node, part in parts.items():
                    loads_by_node[node] = loads_by_node.get(node, 0.0) + region.demand * part / total
                break
    return loads_by_node


def toml(name: str, layers: Layers) -> str:
    """The map as it stands in the loader's configuration file."""
    lines = [
        f"# Made by `geosteer shares`; for services of policy weighted or hash.\n[maps.{quoted(name)}.default]"
    ]
    lines += [f"{quoted(node)} = {weight}" for node, weight in layers[ELSEWHERE][""].items()]
    for layer, entries in layers.items():
        if layer != ELSEWHERE and entries:
            lines.append(f"\n[maps.{quoted(name)}.{layer}]")
            lines += [f"{key} = {{ {_inline(weights)} }}" for key, weights in sorted(entries.items())]
    return "\n".join(lines) + "\n"


def _named(layers: Layers, region: Region, continents: Mapping[str, str]) -> list[Weights]:
    """What names the region's clients, in the usual order of layers. The country of an AS is not known."""
    keys: dict[str, str] = {region.layer: region.key, ELSEWHERE: ""}
    if region.layer == "subdivisions":
        keys["countries"] = region.key.partition("-")[0]
    if region.layer in {"subdivisions", "countries"}:
        keys["continents"] = continents.get(keys["countries"], "")
    return [layers[layer][keys[layer]] for layer in LAYERS if keys.get(layer) in layers[layer]]


def _whole(amounts: Mapping[str, float], own: Mapping[str, float]) -> Weights:
    """Whole numbers in proportion to amount / own weight, by largest remainder; those that come to 0 are left out."""
    wanted = {node: amount / own[node] for node, amount in amounts.items() if amount > 0}
    total = sum(wanted.values())
    exact = {node: PARTS * amount / total for node, amount in wanted.items()}
    whole = {node: int(part) for node, part in exact.items()}
    by_remainder = sorted(exact, key=lambda node: whole[node] - exact[node])
    for node in by_remainder[: PARTS - sum(whole.values())]:
        whole[node] += 1
    return {node: weight for node, weight in whole.items() if weight}


def _inline(weights: Weights) -> str:
    return ", ".join(f"{quoted(node)} = {weight}" for node, weight in weights.items())


def quoted(key: str) -> str:
    """A TOML key; names of nodes and maps may hold dots."""
    return key if key.replace("-", "").replace("_", "").isalnum() else f'"{key}"'

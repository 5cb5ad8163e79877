"""Countries that a map leaves without a serving node: their clients get a node, but not one meant for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from geosteer.decision.client import Client
from geosteer.decision.director import Director
from geosteer.decision.layer_walk import UNKNOWN, named, node_share

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from geosteer.decision.model import Entries, Map, Model, Service
    from geosteer.decision.node_state import NodeState

SHOWN = 8
"""Countries that a message names; the others are counted."""


def unserved(
    model: Model, states: Mapping[str, NodeState], now: float, countries: Mapping[str, float]
) -> list[str]:
    """A line for every map and layer that has no serving node for countries that have traffic.

    Args:
        states: of the nodes now.
        now: seconds since 1970.
        countries: country -> its traffic, or its addresses.
    """
    countries_by_trouble: dict[str, dict[str, None]] = {}
    director = Director(model)
    serving = {
        name
        for name, node in model.nodes.items()
        if node_share(node, 100, states.get(name, UNKNOWN), now) == (1.0, "")
    }
    # Whether nodes serve is the same for all services of a map, whatever their policy.
    services: dict[tuple[Map, tuple[str, ...]], Service] = {}
    for service in model.services.values():
        services.setdefault((service.map, service.kinds), service)
    for service in services.values():
        troubles: dict[tuple[str, ...], list[str]] = {}
        for country in countries:
            layers = list(_layers(director, service, country))
            if all(_has_one(layers[0][1], kind, serving) for kind in service.kinds):
                continue
            names = tuple(name for name, _ in layers)
            if names not in troubles:  # many countries are named by the same layers
                troubles[names] = _troubles(director, service, country, states, now)
            for trouble in troubles[names]:
                countries_by_trouble.setdefault(f"map {service.map.name}: {trouble}", {})[country] = None
    return [f"{trouble}: {_named(list(who), countries)}" for trouble, who in countries_by_trouble.items()]


def _layers(director: Director, service: Service, country: str) -> Iterator[tuple[str, Entries]]:
    """The layers that name the clients of a country, of whom no other table says anything."""
    return named(service.map, director.keys, lambda table: country if table == "geo" else "")


def _has_one(entries: Entries, kind: str, serving: Collection[str]) -> bool:
    """Whether one of a layer's nodes is sure to keep clients, so that no other layer is asked."""
    return any(weight > 0 and node.name in serving and node.has(kind) for node, weight in entries)


def _troubles(
    director: Director, service: Service, country: str, states: Mapping[str, NodeState], now: float
) -> list[str]:
    def look(table: str) -> tuple[str, int]:
        return (country, 8) if table == "geo" else ("", 0)

    decision = director.decide(service, Client(32, 0, 32), look, states, now, trace=True)
    troubles = []
    for kind in service.kinds:
        # What a node has no address for is said in the configuration, and was meant.
        rows = [row for row in decision.trace if row["type"] == kind and row["excluded"] != f"no {kind}"]
        own = [row for row in rows if row["layer"] == f"countries {country}"]
        meant = [row for row in rows if row["layer"] != "any"]
        if meant and not decision.answer[kind]:
            troubles.append(f"{kind}: no node serves, and the map refuses to answer")
        elif meant and len(rows) > len(meant):
            troubles.append(f"{kind}: no layer that names them has a serving node")
        elif own and all(row["excluded"] is not None for row in own):
            answering = decision.layer[kind].partition(" ")[0]
            troubles.append(f"{kind}: no node of their own entry serves, layer {answering} answers")
    return troubles


def _named(who: list[str], countries: Mapping[str, float]) -> str:
    who.sort(key=lambda country: (-countries[country], country))
    names = ", ".join(who[:SHOWN]) + (f" and {len(who) - SHOWN} more" if len(who) > SHOWN else "")
    share = sum(countries[country] for country in who) / sum(countries.values())
    return f"{names} ({100 * share:.1f} % of all)"

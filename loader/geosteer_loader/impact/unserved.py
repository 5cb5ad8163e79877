"""Countries that a map leaves without a serving node: their clients get a node, but not one meant for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from geosteer.decision.client import Client
from geosteer.decision.director import Director

if TYPE_CHECKING:
    from collections.abc import Mapping

    from geosteer.decision.model import Model, Service
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
    for service in model.services.values():
        for country in countries:
            for trouble in _troubles(director, service, country, states, now):
                countries_by_trouble.setdefault(f"map {service.map.name}: {trouble}", {})[country] = None
    return [f"{trouble}: {_named(list(who), countries)}" for trouble, who in countries_by_trouble.items()]


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

"""What is allowed, but probably not meant: things that nothing uses, and layers that nothing can answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from geosteer.decision.model import NEARNESS
from geosteer_loader.config.maps import nodes_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from geosteer_loader.config.document import Map, Node, Service
    from geosteer_loader.config.section import Table
    from geosteer_loader.config.services import ServiceReader
    from geosteer_loader.config.sources import SourceConfig

_TABLES = {"asns": "bgp", "subdivisions": "geo", "countries": "geo", "continents": "geo"}
"""Layer -> the table that tells what it asks."""


def warn_unused(
    root: Table,
    networks: Collection[str],
    nodes: Mapping[str, Node],
    maps: Mapping[str, Map],
    services: Mapping[str, Service],
) -> None:
    """Networks and nodes that no map names, and maps that no service uses."""
    _warn(
        root.table("networks"),
        networks,
        {key for spec in maps.values() for key in spec["networks"]},
        "map names it",
    )
    resort = {name for name, node in nodes.items() if node["well_connected"]}
    _warn(root.table("nodes"), nodes, resort.union(*map(nodes_of, maps.values())), "map names it")
    _warn(root.table("maps"), maps, {service["map"] for service in services.values()}, "service has it")


def warn_unanswerable(
    root: Table,
    sources: Mapping[str, tuple[SourceConfig, ...]],
    nodes: Mapping[str, Node],
    maps: Mapping[str, Map],
    reader: ServiceReader,
) -> None:
    """Layers and policies that ask a table which no source fills."""
    for name, spec in maps.items():
        for layer, table in _TABLES.items():
            if spec[layer] and layer in spec["order"] and not sources[table]:  # type: ignore[literal-required]
                place = root.table("maps").table(name).at(layer)
                root.problems.warn(place, f"never matches: there is no [[sources.{table}]]")
    vantages = {source.vantage for source in sources["path"]}
    for name, service in reader.services.items():
        place = f"{reader.places[name]}.policy"
        if service["policy"] in NEARNESS and not sources["geo"]:
            root.problems.warn(
                place, f"is {service['policy']}, but there is no [[sources.geo]] to locate clients"
            )
        if service["policy"] == "latency" and not sources["rtt"]:
            root.problems.warn(place, "is latency, but there is no [[sources.latency]]: it is as nearest")
        if service["policy"] == "path" and not sources["path"]:
            root.problems.warn(place, "is path, but there is no [[sources.path]]")
        elif service["policy"] == "path" and service["map"] in maps:
            for node in nodes_of(maps[service["map"]]):
                if node in nodes and (nodes[node]["vantage"] or node) not in vantages:
                    root.problems.warn(
                        place, f"is path, but no [[sources.path]] has the vantage point of node {node}"
                    )


def _warn(table: Table, names: Collection[str], used: Collection[str], who: str) -> None:
    for name in names:
        if name not in used:
            table.problems.warn(table.at(name), f"is not used: no {who}")

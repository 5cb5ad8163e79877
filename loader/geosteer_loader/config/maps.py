"""`[maps.x]`: client region -> weighted nodes, in layers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from geosteer_loader.config.hints import suggestion
from geosteer_loader.config.nodes import MAX_WEIGHT
from geosteer_loader.config.shapes import shaped
from geosteer_loader.config.values import choice, integer, label, number, shown
from geosteer_loader.sources.bgp_routes import is_public
from geosteer_loader.sources.countries import CONTINENTS, COUNTRIES, WITHDRAWN

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from geosteer_loader.config.document import Map, Weights
    from geosteer_loader.config.section import Table

LAYERS = ("networks", "asns", "subdivisions", "countries", "continents")
"""The layers in their usual order, without the last."""
DEFAULT = "default"
"""The layer that always comes last, whether an order lists it or not."""

_ASN = re.compile(r"AS([1-9][0-9]{0,9})")
_SUBDIVISION = re.compile(r"([A-Z]{2})-([A-Z0-9]{1,3})")
_WEIGHT = integer(0, MAX_WEIGHT)
_USUAL_MISTAKES = {"UK": "GB", "EL": "GR"}


def read_maps(table: Table, nodes: Collection[str], networks: Collection[str]) -> dict[str, Map]:
    """All maps by name; they may name only *nodes* and *networks* that exist."""
    maps = {}
    for name, entry in table.named((*LAYERS, DEFAULT), name=label):
        maps[name] = _map(entry, nodes, networks)
    return maps


def entries(spec: Map) -> Iterator[Weights]:
    """Every list of weighted nodes of a map, of all layers and `default`."""
    for layer in (
        spec["networks"],
        spec["asns"],
        spec["subdivisions"],
        spec["countries"],
        spec["continents"],
    ):
        yield from layer.values()
    yield spec["default"]


def nodes_of(spec: Map) -> list[str]:
    """Every node that the map names, each once."""
    return list(dict.fromkeys(node for weights in entries(spec) for node in weights))


def usable_nodes_of(spec: Map) -> list[str]:
    """Every node that the map gives a weight above 0 somewhere."""
    return list(
        dict.fromkeys(node for weights in entries(spec) for node, weight in weights.items() if weight)
    )


@shaped({"type": "string", "pattern": "^[A-Za-z]{2}$"})
def country(value: object) -> str:
    """A country code of ISO 3166-1 (or XK), in capitals."""
    code = str(value).upper() if isinstance(value, str) else ""
    if code in WITHDRAWN:
        raise ValueError(
            f"{shown(value)} is a withdrawn country code (ISO 3166-3); instead: {' '.join(WITHDRAWN[code])}"
        )
    if code not in COUNTRIES:
        hint = f"; did you mean {shown(_USUAL_MISTAKES[code])}?" if code in _USUAL_MISTAKES else ""
        hint = "; as a continent it belongs in continents" if code == "EU" else hint
        raise ValueError(f"{shown(value)} is not a country code{hint}")
    return code


def _map(table: Table, nodes: Collection[str], networks: Collection[str]) -> Map:
    keys: dict[str, Callable[[str], str]] = {
        "networks": _network(networks), "asns": _asn, "subdivisions": _subdivision, "countries": country,
        "continents": _continent,
    }  # fmt: skip
    layers = {layer: _layer(table.table(layer), keys[layer], nodes) for layer in LAYERS}
    spec: Map = {
        "order": _order(table),
        "all_down": table.get("all_down", choice("all", "none"), "all"),
        "max_down": table.get("max_down", number(0, 1), 0.5),
        "networks": layers["networks"],
        "asns": layers["asns"],
        "subdivisions": layers["subdivisions"],
        "countries": layers["countries"],
        "continents": layers["continents"],
        "default": {},
    }
    if "default" in table:
        spec["default"] = _weights(table.table("default"), nodes)
        if spec["default"] and not any(spec["default"].values()):
            table.add("default", "has no node with a weight above 0")
    else:
        table.add("default", "is missing: the nodes for clients that no other layer matches")
    table.finish()
    for layer in LAYERS:
        if layers[layer] and layer not in spec["order"]:
            table.problems.warn(table.at(layer), "is never used: the map's order leaves it out")
    for asn in layers["asns"]:
        if not is_public(int(asn.removeprefix("AS"))):
            place = table.table("asns").at(asn)
            table.problems.warn(
                place, "never matches: private and reserved ASes are left out of the table bgp"
            )
    return spec


def _order(table: Table) -> list[str]:
    if "order" not in table:
        return list(LAYERS)
    places: dict[str, str] = {}
    for place, layer in table.each("order", _layer_name):
        if layer in places:
            table.problems.add(place, f"{shown(layer)} is listed twice")
        places.setdefault(layer, place)
    if DEFAULT in places and list(places)[-1] != DEFAULT:
        table.problems.add(places[DEFAULT], '"default" always comes last')
    return [layer for layer in places if layer != DEFAULT]


@shaped({"enum": [*LAYERS, DEFAULT]})
def _layer_name(value: object) -> str:
    if value not in (*LAYERS, DEFAULT):
        hint = suggestion(value, LAYERS) if isinstance(value, str) else ""
        raise ValueError(f"{shown(value)} is not a layer{hint}")
    return str(value)


def _layer(table: Table, normal: Callable[[str], str], nodes: Collection[str]) -> dict[str, Weights]:
    layer: dict[str, Weights] = {}
    for key, entry in table.named(example="{ lon1 = 100 }", name=normal):
        weights = _weights(entry, nodes)
        try:
            normalised = normal(key)
        except ValueError:  # noted
            continue
        if normalised in layer:
            table.add(key, f"{normalised} is listed twice")
        layer[normalised] = weights
        if weights and not any(weights.values()):
            table.problems.warn(table.at(key), "never answers: no weight is above 0")
    return layer


def _weights(table: Table, nodes: Collection[str]) -> Weights:
    weights = {}
    for node in table.names():
        if node not in nodes:
            table.add(node, f"unknown node{suggestion(node, nodes)}")
        weights[node] = table.get(node, _WEIGHT, 0)
    if not weights:
        table.problems.add(table.place, "has no nodes")
    return weights


def _network(networks: Collection[str]) -> Callable[[str], str]:
    def normal(key: str) -> str:
        if key not in networks:
            raise ValueError(f"unknown network{suggestion(key, networks)}")
        return key

    return normal


@shaped({"pattern": "^[Aa][Ss][1-9][0-9]{0,9}$"})
def _asn(key: str) -> str:
    match = _ASN.fullmatch(key.upper())
    if not match or int(match[1]) > 0xFFFFFFFF:
        raise ValueError(f"{shown(key)} is not an AS number such as AS15169")
    return match[0]


@shaped({"pattern": "^[A-Za-z]{2}-[A-Za-z0-9]{1,3}$"})
def _subdivision(key: str) -> str:
    match = _SUBDIVISION.fullmatch(key.upper())
    if not match:
        raise ValueError(f"{shown(key)} is not a subdivision such as US-CA")
    return f"{country(match[1])}-{match[2]}"


@shaped({"pattern": "^(?:[Aa][FfNnSs]|[Ee][Uu]|[Nn][Aa]|[Oo][Cc]|[Ss][Aa])$"})
def _continent(key: str) -> str:
    if key.upper() not in CONTINENTS:
        raise ValueError(f"{shown(key)} is not a continent: {' '.join(sorted(CONTINENTS))}")
    return key.upper()

"""`[nodes.x]`: the content servers."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from geosteer_loader.config.dns_names import host_name
from geosteer_loader.config.health_checks import read_check
from geosteer_loader.config.shapes import shaped
from geosteer_loader.config.values import address, choice, duration, integer, label, number

if TYPE_CHECKING:
    from geosteer_loader.config.document import Node, Number
    from geosteer_loader.config.section import Table

MAX_WEIGHT = 1_000_000
"""The largest weight, of a node or in a map."""


class NodeReader:
    """Reads nodes, and remembers where each of them stands."""

    def __init__(self) -> None:
        self.nodes: dict[str, Node] = {}
        """All nodes by name."""
        self.named: frozenset[str] = frozenset()
        """Every name under [nodes], also of what is not a table."""
        self.places: dict[str, str] = {}
        """Node -> its place."""
        self.doubtful: set[str] = set()
        """Nodes with a problem: what they lack here may be in the file."""

    def read(self, table: Table) -> None:
        """All nodes under *table*."""
        self.named = frozenset(table.names())
        for name, entry in table.named({"check"}, name=label):
            before = table.problems.count()
            self.nodes[name] = _node(entry)
            self.places[name] = entry.place
            if table.problems.count() > before:
                self.doubtful.add(name)
        _shared_addresses(table, self.nodes)
        _shared_hostnames(table, self.nodes)


def read_addresses(table: Table) -> tuple[list[str], list[str]]:
    """IPv4 and IPv6 addresses, each without repetition."""
    families = []
    for key, version in (("a", 4), ("aaaa", 6)):
        addresses: dict[str, None] = {}
        for place, text in table.each(key, address(version)):
            if text in addresses:
                table.problems.add(place, f"{text} is listed twice")
            addresses[text] = None
        families.append(list(addresses))
    return families[0], families[1]


def _node(table: Table) -> Node:
    a, aaaa = read_addresses(table)
    node: Node = {
        "a": a,
        "aaaa": aaaa,
        "hostname": table.get("hostname", host_name, None),
        "weight": table.get("weight", integer(0, MAX_WEIGHT), 100),
        "location": table.get("location", _location, None),
        "well_connected": table.get("well_connected", integer(1, MAX_WEIGHT), None),
        "capacity": table.get("capacity", number(0.001, 10**15), None),
        "assume": table.get("assume", choice("up", "down"), None),
        "ramp": table.get("ramp", duration(0, 86400), 60),
        "settle": table.get("settle", duration(1, 86400), None),
        "near_km": table.get("near_km", number(0, 20040), None),
        "vantage": table.get("vantage", label, None),
        "checks": [read_check(check) for check in table.one_or_more("check")],
    }
    table.finish()
    if not any(table.raw(key) for key in ("a", "aaaa", "hostname")):
        table.problems.add(table.place, "has neither an address (a, aaaa) nor a hostname")
    return node


@shaped(
    {
        "type": "array",
        "items": [
            {"type": "number", "minimum": -90, "maximum": 90},
            {"type": "number", "minimum": -180, "maximum": 180},
        ],
        "minItems": 2,
        "maxItems": 2,
    }
)
def _location(value: object) -> list[Number]:
    if not isinstance(value, list) or len(value) != 2:
        raise ValueError("must be [latitude, longitude], in degrees")
    latitude, longitude = number(-90, 90), number(-180, 180)
    try:
        return [latitude(value[0]), longitude(value[1])]
    except ValueError as exc:
        hint = ""
        with suppress(ValueError):
            hint = f"; did you mean {[latitude(value[1]), longitude(value[0])]}?"
        raise ValueError(f"{exc}{hint}") from exc


def _shared_addresses(table: Table, nodes: dict[str, Node]) -> None:
    holders: dict[str, str] = {}
    for name, node in nodes.items():
        for key, addresses in (("a", node["a"]), ("aaaa", node["aaaa"])):
            for text in addresses:
                holder = holders.setdefault(text, name)
                if holder != name:
                    table.problems.warn(
                        f"{table.at(name)}.{key}", f"{text} is also an address of node {holder}"
                    )


def _shared_hostnames(table: Table, nodes: dict[str, Node]) -> None:
    holders: dict[str, str] = {}
    for name, node in nodes.items():
        if node["hostname"] and holders.setdefault(node["hostname"], name) != name:
            holder = holders[node["hostname"]]
            table.problems.add(
                f"{table.at(name)}.hostname", f"{node['hostname']} is also the hostname of node {holder}"
            )

"""A configuration on its way from another system: what geosteer.toml will say, why, and what it cannot say."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_ODD = re.compile(r"[^A-Za-z0-9._-]+")
_LONGEST = 63
"""Characters of a node's, map's or network's name."""

Weights = dict[str, int]
"""Node -> weight."""


@dataclass(slots=True)
class Node:
    """A content server."""

    a: tuple[str, ...] = ()
    aaaa: tuple[str, ...] = ()
    hostname: str = ""
    location: tuple[float, float] | None = None
    assume: str = ""
    checks: list[dict[str, Any]] = field(default_factory=list)

    @property
    def content(self) -> object:
        """What makes it another node than one of the same name."""
        return self.a, self.aaaa, self.hostname, self.location, self.assume, repr(self.checks)


@dataclass(slots=True)
class Map:
    """A redirection table: layers, their keys and the nodes of each."""

    layers: dict[str, dict[str, Weights]] = field(default_factory=dict)
    """Layer (`networks`, `asns`, `subdivisions`, `countries`, `continents`) -> key -> nodes and weights."""
    default: Weights = field(default_factory=dict)
    order: tuple[str, ...] = ()
    """Layers in the order asked; empty: the usual one."""

    def add(self, layer: str, key: str, weights: Weights) -> None:
        """Give a key of a layer its nodes."""
        self.layers.setdefault(layer, {})[key] = weights

    @property
    def content(self) -> object:
        """What makes it another map."""
        return repr((sorted(self.layers.items()), self.default, self.order))


@dataclass(slots=True)
class Zone:
    """A DNS zone: its SOA, name servers and static records."""

    soa: dict[str, Any] = field(default_factory=dict)
    ns: list[str] = field(default_factory=list)
    ns_ttl: int = 3600
    records: list[tuple[str, str, str, int]] = field(default_factory=list)
    """Absolute name without the final dot, type, content, TTL in seconds."""


class Draft:
    """All of it, with what a person would have written beside it as comments."""

    def __init__(self, origin: str) -> None:
        """Args: origin: what it is made of, for the first line of the file."""
        self.origin = origin
        self.sources: list[dict[str, Any]] = []
        """Of table geo."""
        self.networks: dict[str, list[str]] = {}
        self.nodes: dict[str, Node] = {}
        self.maps: dict[str, Map] = {}
        self.zones: dict[str, Zone] = {}
        self.services: dict[str, dict[str, Any]] = {}
        self.remarks: dict[str, dict[str, None]] = {}
        """Place (`nodes.lon1`) -> why it is as it is."""
        self.losses: dict[str, None] = {}
        """What has no equivalent, each as `place in the original: what becomes of it`."""
        self.notes: dict[str, None] = {}
        """What differs without being lost, in the same form."""

    def lose(self, place: str, what: str) -> None:
        """Note what has no equivalent."""
        self.losses[f"{place}: {what}"] = None

    def note(self, place: str, what: str) -> None:
        """Note a difference that loses nothing."""
        self.notes[f"{place}: {what}"] = None

    def remark(self, place: str, text: str) -> None:
        """Have a comment stand above a place of the file."""
        self.remarks.setdefault(place, {})[text] = None

    def add_node(self, names: Iterable[str], node: Node) -> str:
        """Take in a node under the first of these names that is free or means the same; its name.

        A host name is that of one node only.
        """
        if node.hostname and (known_name := self.name_of(node)):
            return known_name
        wanted = [label(name) for name in names]
        for name in wanted:
            known = self.nodes.get(name)
            if known is None or known.content == node.content:
                self.nodes[name] = node
                return name
        return self._numbered(wanted[-1], self.nodes, node)

    def name_of(self, node: Node) -> str:
        """The name of a node that means the same, or ""."""
        return next((name for name, known in self.nodes.items() if known.content == node.content), "")

    def add_map(self, name: str, made: Map) -> str:
        """Take in a map, unless one that says the same is there; its name."""
        for known, other in self.maps.items():
            if other.content == made.content:
                return known
        name = label(name)
        if name not in self.maps:
            self.maps[name] = made
            return name
        return self._numbered(name, self.maps, made)

    def add_network(self, name: str, prefixes: Iterable[str]) -> str:
        """Take in a network with these prefixes; its name."""
        name = label(name)
        listed = list(dict.fromkeys(prefixes))
        if self.networks.get(name, listed) == listed:
            self.networks[name] = listed
            return name
        return self._numbered(name, self.networks, listed)

    def add_prefix(self, prefix: str) -> str:
        """Take in a network of one prefix; its name."""
        return self.add_network(f"net-{prefix.replace('/', '-').replace(':', '-')}", [prefix])

    @staticmethod
    def _numbered(name: str, table: dict[str, Any], value: object) -> str:
        content = getattr(value, "content", value)
        number = 2
        while True:
            tried = f"{name[: _LONGEST - 5]}-{number}"
            known = table.get(tried)
            if known is None or getattr(known, "content", known) == content:
                table[tried] = value
                return tried
            number += 1

    def drop_node(self, name: str) -> None:
        """Take a node out, and what has no other: keys of layers, maps, services."""
        del self.nodes[name]
        for made in self.maps.values():
            made.default.pop(name, None)
            for keys in made.layers.values():
                for key, weights in list(keys.items()):
                    weights.pop(name, None)
                    if not weights:
                        del keys[key]
        empty = [key for key, made in self.maps.items() if not made.default]
        for service, spec in list(self.services.items()):
            if spec["map"] in empty:
                self.lose(service, "no nodes are left, and the name is left out")
                del self.services[service]
        for key in empty:
            del self.maps[key]

    def document(self) -> dict[str, Any]:
        """What the file says, as a TOML reader would give it, without comments."""
        nodes: dict[str, Any] = {}
        for name, node in self.nodes.items():
            spec: dict[str, Any] = {}
            if node.a:
                spec["a"] = list(node.a)
            if node.aaaa:
                spec["aaaa"] = list(node.aaaa)
            if node.hostname:
                spec["hostname"] = node.hostname
            if node.location is not None:
                spec["location"] = list(node.location)
            if node.assume:
                spec["assume"] = node.assume
            spec["well_connected"] = 1
            if node.checks:
                spec["check"] = node.checks if len(node.checks) > 1 else node.checks[0]
            nodes[name] = spec
        return {
            "redis": {"url": "unix:///run/redis/redis.sock"},
            "sources": {"geo": self.sources or [{"format": "builtin"}]},
            "networks": {name: {"prefixes": prefixes} for name, prefixes in self.networks.items()},
            "nodes": nodes,
            "maps": {name: _map(made) for name, made in self.maps.items()},
            "zones": {name: _zone(name, zone) for name, zone in self.zones.items()},
            "services": self.services,
        }


def _map(made: Map) -> dict[str, Any]:
    return {**({"order": list(made.order)} if made.order else {}), **made.layers, "default": made.default}


def _zone(name: str, zone: Zone) -> dict[str, Any]:
    records = [
        {"name": relative(owner, name), "type": kind, "content": content, "ttl": ttl}
        for owner, kind, content, ttl in zone.records
    ]
    return {
        "ns": zone.ns,
        "ns_ttl": zone.ns_ttl,
        "soa": zone.soa,
        **({"records": records} if records else {}),
    }


def relative(name: str, zone: str) -> str:
    """An absolute name as the records of a zone write it."""
    if name == zone:
        return "@"
    return name.removesuffix(f".{zone}") if name.endswith(f".{zone}") else f"{name}."


def label(text: str) -> str:
    """A name for a node, network or map that is as near to a text as may be."""
    made = _ODD.sub("-", text).strip("-.")[:_LONGEST]
    return made or "unnamed"


def ranked(groups: Iterable[Mapping[str, int]]) -> Weights:
    """Weights for the policy `best`: the nodes of the first group have the highest one, those of a group have the same."""
    listed = [group for group in groups if group]
    weights: Weights = {}
    for place, group in enumerate(listed):
        for node in group:
            weights.setdefault(node, len(listed) - place)
    return weights

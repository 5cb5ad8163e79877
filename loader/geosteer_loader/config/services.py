"""`[services.x]`: the names that are answered by a map and a policy."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from geosteer.decision.model import MOST_BIAS, NEARNESS
from geosteer_loader.config.dns_names import name as dns_name
from geosteer_loader.config.hints import suggestion
from geosteer_loader.config.maps import nodes_of, usable_nodes_of
from geosteer_loader.config.service_records import SETTINGS, read_records
from geosteer_loader.config.values import choice, flag, integer, number, text
from geosteer_loader.config.zones import seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from geosteer_loader.config.document import Map, Node, Number, Service
    from geosteer_loader.config.nodes import NodeReader
    from geosteer_loader.config.section import Table

T = TypeVar("T")

_WHOLE: Number = 1
LEAST_SHARE = 0.001
"""The smallest `max_share`; for less there is a weight of 0."""
ROUNDING = 1e-9
"""By so much a sum of shares may miss 1."""
POLICIES = ("best", "weighted", "hash", "nearest", "path", "latency")


class ServiceReader:
    """Reads services, and remembers where each of them stands."""

    def __init__(self) -> None:
        self.services: dict[str, Service] = {}
        """All services by their absolute name."""
        self.places: dict[str, str] = {}
        """Service -> its place."""

    def read(self, table: Table, maps: Mapping[str, Map], nodes: NodeReader) -> None:
        """All services; they may use only *maps* that exist, and *nodes* that can answer them."""
        used_by_map = {name: _used(spec, nodes.nodes) for name, spec in maps.items()}
        for key, entry in table.named({"bias", "max_share", *SETTINGS}):
            try:
                name = dns_name(key)
            except ValueError as exc:
                table.add(key, str(exc))
                name = ""
            service = _service(entry, name, maps)
            if not name:
                continue
            if name in self.services:
                table.add(
                    key,
                    f"is the same service as {self.places[name]} (letter case and a final dot do not count)",
                )
                continue
            self.services[name] = service
            self.places[name] = entry.place
            used = used_by_map.get(service["map"], {})
            if nodes.doubtful.isdisjoint(used):
                _check_nodes(entry, service, used, nodes)


def _service(table: Table, name: str, maps: Mapping[str, Map]) -> Service:
    def known(value: object) -> str:
        if text(value) not in maps:
            raise ValueError(f"unknown map {value}{suggestion(str(value), maps)}")
        return str(value)

    service: Service = {
        "map": table.require("map", known, ""),
        "policy": table.get("policy", choice(*POLICIES), "best"),
        "ttl": table.get("ttl", seconds(), 60),
        "ttl_min": table.get("ttl_min", seconds(), None),
        "near_km": table.get("near_km", number(0, 20040), 100),
        "equal_ms": table.get("equal_ms", number(0, 1000), 3),
        "equal_percent": table.get("equal_percent", number(0, 100), 5),
        "country_middle": table.get("country_middle", flag, True),
        "answer": table.get("answer", choice("address", "cname"), "address"),
        "max_answers": table.get("max_answers", integer(1, 8), 1),
    }
    _read_placement(table, service, maps)
    records = read_records(table, name, service["answer"])
    if "https" in records:
        service["https"] = records["https"]
    if "svcb" in records:
        service["svcb"] = records["svcb"]
    table.finish()
    if service["ttl_min"] is not None and service["ttl_min"] > service["ttl"]:
        table.add("ttl_min", f"must not be more than the ttl, {service['ttl']} s")
    if service["answer"] == "cname" and service["max_answers"] > 1:
        table.add("max_answers", 'must be 1 with answer = "cname": a name has one CNAME')
    return service


def _read_placement(table: Table, service: Service, maps: Mapping[str, Map]) -> None:
    """What places weight by hand: `bias` and `max_share` of nodes of the service's map; few policies know them."""
    members = nodes_of(maps[service["map"]]) if service["map"] in maps else None
    biases = _by_node(table, "bias", integer(-MOST_BIAS, MOST_BIAS), 0, service, members)
    limits: dict[str, Number] = _by_node(table, "max_share", number(LEAST_SHARE, 1), _WHOLE, service, members)
    for key in ("bias", "max_share"):
        if key in table and service["policy"] not in NEARNESS:
            table.add(key, f"needs policy nearest or latency, and the policy is {service['policy']}")
    if biases:
        service["bias"] = biases
    if not limits:
        return
    service["max_share"] = limits
    if service["max_answers"] > 1:
        table.add("max_share", "needs max_answers = 1: a client of several nodes is nobody's alone")
    if members is not None:
        room = sum(limits.get(node, 1) for node in usable_nodes_of(maps[service["map"]]))
        if room < 1 - ROUNDING:
            table.add(
                "max_share",
                f"leaves clients without a node: all nodes of map {service['map']} together may have {room * 100:g} % of them",
            )


def _by_node(
    table: Table,
    key: str,
    parse: Callable[[object], T],
    default: T,
    service: Service,
    members: Collection[str] | None,
) -> dict[str, T]:
    """Node -> value, of those that differ from the default. Args: members: the map's nodes; None: there is no such map."""
    entry = table.table(key)
    values = {}
    for node in entry.names():
        if members is not None and node not in members:
            entry.add(node, f"is not a node of map {service['map']}{suggestion(node, members)}")
        values[node] = entry.get(node, parse, default)
    return {node: value for node, value in values.items() if value != default}


def _used(spec: Map, nodes: Mapping[str, Node]) -> dict[str, Node]:
    """The nodes of a map that exist."""
    return {name: nodes[name] for name in nodes_of(spec) if name in nodes}


def _check_nodes(table: Table, service: Service, used: Mapping[str, Node], nodes: NodeReader) -> None:
    """Whether the map's nodes can answer, and well-connected ones of all *nodes* when nothing else can."""
    if service["answer"] == "cname":
        nameless = [name for name, node in used.items() if not node["hostname"]]
        if nameless:
            table.add("answer", f"is cname, but {_listed(nameless, service)} without a hostname")
    elif used and not any(node["a"] or node["aaaa"] for node in used.values()):
        table.add("map", f"no node of map {service['map']} has an address")
    else:
        bare = [name for name, node in used.items() if not (node["a"] or node["aaaa"])]
        if bare:
            table.problems.warn(table.at("map"), f"{_listed(bare, service)} without an address, never chosen")
    if service["policy"] in NEARNESS:
        lost = [name for name, node in used.items() if not node["location"]]
        if lost:
            table.problems.warn(
                table.at("policy"), f"is {service['policy']}, but {_listed(lost, service)} without a location"
            )
    for kind in () if nodes.doubtful else _kinds(service, used.values()):
        if not any(node["well_connected"] and _has(node, kind) for node in nodes.nodes.values()):
            has = "a hostname" if kind == "CNAME" else f"an address of type {kind}"
            table.problems.add(
                table.place,
                f"type {kind} has no server of last resort: give well_connected to a node with {has}",
            )


def _kinds(service: Service, used: Collection[Node]) -> Iterator[str]:
    """The record types that a service has, for every client."""
    kinds = ("CNAME",) if service["answer"] == "cname" else ("A", "AAAA")
    return (kind for kind in kinds if any(_has(node, kind) for node in used))


def _has(node: Node, kind: str) -> bool:
    return bool(node["a"] if kind == "A" else node["aaaa"] if kind == "AAAA" else node["hostname"])


def _listed(names: list[str], service: Service) -> str:
    whose = f"of map {service['map']}"
    return f"node {names[0]} {whose} is" if len(names) == 1 else f"nodes {', '.join(names)} {whose} are"

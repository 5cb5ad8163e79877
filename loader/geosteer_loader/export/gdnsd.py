"""`geosteer export gdnsd`: gdnsd answers what is published, from a `nets` map of all layers and from files of node states.

Each network has its ranking of nodes, whatever their states are; gdnsd gives the first one that is up. So a change of state
is a change of a small file that gdnsd watches. Equals stand in the ranking together, as a weighted resource.
Source: gdnsd 3.8, gdnsd-plugin-geoip(8), -weighted(8), -extfile(8), gdnsd.zonefile(5).
"""

from __future__ import annotations

import hashlib
import json
from math import lcm
from typing import TYPE_CHECKING, Any, NamedTuple

import dns.exception
import dns.rdata

from geosteer.clock import format_time
from geosteer.errors import Refused
from geosteer.lean import Address
from geosteer_loader.checks.names import within, zone_of
from geosteer_loader.export.bundle import Bundle
from geosteer_loader.export.chances import Walk
from geosteer_loader.export.compile import prefixes
from geosteer_loader.export.statics import static_records

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from geosteer.model import Node, Service
    from geosteer.policy import Candidate
    from geosteer_loader.export.compile import Cells, Records, Spans
    from geosteer_loader.export.picture import Picture

    Ranking = tuple[str, ...]

CONFIG = "config"
PLUGINS = "geosteer.cfg"
MAX_DATACENTERS = 254
MAX_WEIGHT = (1 << 20) - 1
UP_THRESH = 0.000001
"""A resource counts as up while any part of its weight is."""
_TYPES = {"SOA", "A", "AAAA", "NS", "PTR", "CNAME", "MX", "SRV", "TXT", "NAPTR", "CAA"}
"""Types that gdnsd has; others are written as RFC 3597 has them."""
_HOSTS = {"NS", "CNAME", "PTR", "MX", "SRV", "SOA", "NAPTR"}
"""Types whose content ends in a name, which is absolute."""
_NOT_OURS = (
    (0, 96), (0xFFFF << 32, 96), (0xFFFF << 48, 96), (0x0064FF9B << 96, 96), (0x20010000 << 96, 32), (0x2002 << 112, 16),
)  # fmt: skip
"""Where IPv6 carries IPv4: gdnsd looks there for IPv4 by itself, and takes no network there."""


class Area(NamedTuple):
    """Services that rank nodes alike: one gdnsd map."""

    name: str
    services: list[Service]
    kinds: tuple[str, ...]
    """What its resources answer with: A, AAAA, or CNAME alone."""


class Exporter:
    """Makes the files again and again, and no more of them than changed."""

    def __init__(self, picture: Picture, folder: Path) -> None:
        """Args: folder: where the files will be: gdnsd's configuration directory."""
        self._picture = picture
        self._folder = folder.absolute()
        self._kept: dict[str, tuple[Cells, list[Ranking], list[int], str]] = {}

    def bundle(self) -> Bundle:
        """The files for what is published now.

        Raises: StoreError: a page is absent or damaged, or Redis failed. Refused: more groups of nodes than gdnsd takes.
        """
        picture, made = self._picture, Bundle()
        model, zones = picture.generation.model, picture.generation.document["zones"]
        services = [one for name, one in model.services.items() if zone_of(name, zones)]
        for service in services:
            _inexpressible(made, service)
        types: list[str] = []
        maps: list[str] = []
        resources: list[str] = []
        areas = _areas(made, services, zones)
        for area in areas:
            groups = self._networks(made, area)
            nodes = area.services[0].map.nodes
            made.files[f"states/{area.name}"] = _states(made, nodes, area, picture)
            types.append(_service_type(area, self._folder))
            maps.append(_map(area, groups))
            resources += [_resource(area, service, groups) for service in area.services]
        tops = [zone for zone in zones if zone_of(zone.partition(".")[2], zones) is None]
        for zone in tops:
            made.files[f"zones/{zone}"] = _zone(made, picture, zone, tops, areas)
        made.files[PLUGINS] = _plugins(types, maps, resources)
        if not (self._folder / CONFIG).exists():
            made.files[CONFIG] = (
                f"# Made once by geosteer. Settings of your own go here.\n$include{{{PLUGINS}}}\n"
            )
        return made

    def _networks(self, made: Bundle, area: Area) -> dict[str, list[Candidate]]:
        """Add the map's networks to the files; the groups of nodes that they name."""
        service, picture = area.services[0], self._picture
        groups: dict[str, list[Candidate]] = {}

        up = _up(service.map.nodes, picture)

        def serving(node: Node) -> bool:
            # Nodes that are not up are compared with others only where that makes no difference to these.
            here = service.policy != "nearest" or node.name in up
            return here and any(node.has(kind) for kind in area.kinds)

        def rank(records: Records) -> Ranking:
            said = dict(zip(cells.tables, records, strict=True))
            walk = Walk(picture.generation.director, service, said, picture.states, picture.now)
            names = []
            for group in walk.ranking(serving):
                names.append(_group_name(group))
                groups[names[-1]] = group
            return tuple(names)

        cells = picture.cells(service.tables)
        rankings, mapped = cells.classes(rank)
        if len(groups) > MAX_DATACENTERS:
            raise Refused(
                f"maps.{service.map.name}: {len(groups)} groups of nodes, and gdnsd takes {MAX_DATACENTERS} at most"
            )
        kept = self._kept.get(area.name)
        if kept is None or kept[0] is not cells or kept[1:3] != (rankings, mapped):
            text = "".join(_network_lines(cells.spread(mapped), rankings))
            kept = self._kept[area.name] = cells, rankings, mapped, text
        made.files[f"geoip/{area.name}.nets"] = kept[3]
        return groups


def needs_replace(name: str) -> bool:
    """Whether gdnsd takes in a changed file only when it is replaced by itself (`gdnsdctl replace`)."""
    return not name.startswith(("geoip/", "states/"))


# ------------------------------------------------------------------------------------------------ services and maps


def _areas(made: Bundle, services: Iterable[Service], zones: Mapping[str, Any]) -> list[Area]:
    found: dict[tuple[object, ...], Area] = {}
    for service in services:
        kinds = _kinds(made, service, zones)
        near = service.near_km if service.policy == "nearest" else None
        key = (service.map.name, service.policy, near, kinds)
        if key not in found:
            words = [service.map.name, service.policy, *([f"{near:g}"] if near is not None else [])]
            found[key] = Area("-".join([*words, *(kind.lower() for kind in kinds)]), [], kinds)
        found[key].services.append(service)
    return list(found.values())


def _inexpressible(made: Bundle, service: Service) -> None:
    place = f'services."{service.name}"'
    if service.policy == "hash":
        made.lose(f"{place}.policy", "hash: a client network keeps no node, each answer is drawn by weight")
    if service.max_answers > 1:
        made.lose(f"{place}.max_answers", "one node is given")
    if service.map.all_down == "none":
        made.lose(f"maps.{service.map.name}.all_down", "none: the best node is given, where it should fail")
    if not service.cname:
        for node in service.map.usable:
            for kind in service.kinds:
                if not node.has(kind):
                    made.lose(place, f"{kind}: node {node.name} has none, and its clients get none")


def _kinds(made: Bundle, service: Service, zones: Mapping[str, Any]) -> tuple[str, ...]:
    """The record types that its resource has; a CNAME into the zone itself is none that gdnsd gives."""
    if not service.cname:
        return service.kinds
    zone = zone_of(service.name, zones)
    if any(node.hostname and zone_of(node.hostname, zones) == zone for node in service.map.usable):
        made.lose(
            f'services."{service.name}".answer',
            "cname: addresses are given, as the hosts are in its own zone",
        )
        return tuple(kind for kind in ("A", "AAAA") if any(node.has(kind) for node in service.map.usable))
    return ("CNAME",)


def _group_name(group: Sequence[Candidate]) -> str:
    """A node's name, or that of a group by what it holds, so that a name never means something else."""
    if len(group) == 1:
        return group[0].node.name
    members = sorted((candidate.node.name, candidate.weight) for candidate in group)
    return "any-" + hashlib.sha1(repr(members).encode(), usedforsecurity=False).hexdigest()[:12]


def _up(nodes: Sequence[Node], picture: Picture) -> set[str]:
    """The nodes of a map that may be given, as `geosteer.director` goes on where none may.

    First those that are only drained count, then all that no operator put down, then all.
    """
    states, now = picture.states, picture.now

    def forced(node: Node) -> str:
        override = states[node.name].forced(now) if node.name in states else None
        return override.state if override else ""

    def gone(node: Node) -> bool:
        state = states.get(node.name)
        if forced(node) == "up":
            return False
        probed_down = state is not None and state.state == "down"
        assumed = (state is None or state.state == "unknown") and node.assume == "down"
        return forced(node) == "down" or probed_down or assumed

    def percent(node: Node) -> float:
        override = states[node.name].forced(now) if node.name in states else None
        return override.percent if override else 100

    there = {node.name for node in nodes if not gone(node)}
    sharing = {node.name for node in nodes if node.name in there and _share(node, picture) > 0}
    spared = {node.name for node in nodes if forced(node) != "down" and percent(node) > 0}
    return sharing or there or spared or {node.name for node in nodes}


def _share(node: Node, picture: Picture) -> float:
    state = picture.states.get(node.name)
    return 1.0 if state is None else state.share(picture.now, node.ramp)


# ----------------------------------------------------------------------------------------------------------- files


def _network_lines(spans: Mapping[int, Spans], rankings: Sequence[Ranking]) -> Iterator[str]:
    lists = [f" => [{', '.join(map(_quoted, ranking))}]\n" for ranking in rankings]
    for start, end, number in spans[32]:
        for first, length in prefixes(start, end, 32):
            yield f"{Address(first.to_bytes(4, 'big'))}/{length}{lists[number]}"
    for start, end, number in _carved(spans[128]):
        for first, length in prefixes(start, end, 128):
            yield f"{Address(first.to_bytes(16, 'big'))}/{length}{lists[number]}"


def _carved(spans: Spans) -> Iterator[tuple[int, int, int]]:
    """The spans without the blocks where gdnsd takes no network."""
    blocks = sorted((start, start + (1 << (128 - length))) for start, length in _NOT_OURS)
    for start, end, number in spans:
        at = start
        for low, high in blocks:
            if high <= at or low >= end:
                continue
            if low > at:
                yield at, low, number
            at = high
        if at < end:
            yield at, end, number


def _states(made: Bundle, nodes: Sequence[Node], area: Area, picture: Picture) -> str:
    """The file of states: every address and host name of a map's nodes; several nodes may share one."""
    up = _up(nodes, picture)
    lines: dict[str, str] = {}
    for node in nodes:
        state = picture.states.get(node.name)
        if node.name in up and 0 < _share(node, picture) < 1:
            made.lose(f"nodes.{node.name}", "is to keep a part of its clients; it keeps all")
        # A TTL below every service's means: the least that the service has.
        word = "DOWN" if node.name not in up else "UP/0" if state and state.failing else "UP"
        for what in (*node.a, *node.aaaa, *([f"{node.hostname}."] if node.hostname else [])):
            if lines.get(what, "DOWN") == "DOWN":
                lines[what] = word
    return f"# map {area.name}\n" + "".join(f"{_quoted(what)} => {word}\n" for what, word in lines.items())


def _service_type(area: Area, folder: Path) -> str:
    path = _quoted(str(folder / "states" / area.name))
    return f"  {_quoted(_type_name(area))} => {{ plugin => extfile, file => {path}, direct => true, interval => 2 }}"


def _type_name(area: Area) -> str:
    return f"geosteer-{area.name}"


def _map(area: Area, groups: Iterable[str]) -> str:
    names = ", ".join(map(_quoted, groups))
    nets = _quoted(f"{area.name}.nets")
    return f"    {_quoted(area.name)} => {{ datacenters => [{names}], nets => {nets} }}"


def _resource(area: Area, service: Service, groups: Mapping[str, Sequence[Candidate]]) -> str:
    choices = [f"        {_quoted(name)} => {{ {_choice(area, group)} }}" for name, group in groups.items()]
    head = f"    {_quoted(service.name)} => {{ map => {_quoted(area.name)}, dcmap => {{"
    return "\n".join([head, *choices, "    }}"])


def _choice(area: Area, group: Sequence[Candidate]) -> str:
    """One of a group by weight, of those that are up."""
    weights = _weights(group)
    parts = [
        "plugin => weighted", f"service_types => {_quoted(_type_name(area))}", f"up_thresh => {UP_THRESH:f}",
    ]  # fmt: skip
    if area.kinds == ("CNAME",):
        for candidate in group:
            host = _quoted(f"{candidate.node.hostname}.")
            parts.append(f"{_quoted(candidate.node.name)} => [{host}, {weights[candidate.node.name]}]")
        return ", ".join(parts)
    for kind, key in (("A", "addrs_v4"), ("AAAA", "addrs_v6")):
        having = [candidate.node for candidate in group if candidate.node.has(kind)]
        if kind in area.kinds and having:
            # A node's weight is the sum of its addresses'; with equal ones all of them are given.
            even = lcm(*(len(node.contents(kind)) for node in having))
            members = []
            for node in having:
                each = weights[node.name] * even // len(node.contents(kind))
                addresses = enumerate(node.contents(kind), 1)
                inside = ", ".join(f"{at} => [{_quoted(address)}, {each}]" for at, address in addresses)
                members.append(f"{_quoted(node.name)} => {{ {inside} }}")
            parts.append(f"{key} => {{ {', '.join(members)} }}")
    return ", ".join(parts)


def _weights(group: Sequence[Candidate]) -> dict[str, int]:
    """Whole numbers in proportion to the weights, as small as they may be."""
    highest = max(candidate.weight for candidate in group)
    whole = {candidate.node.name: round(candidate.weight * 100) for candidate in group}
    if min(candidate.weight for candidate in group) == highest:
        return dict.fromkeys(whole, 1)
    if highest * 100 <= MAX_WEIGHT // 100 and all(value >= 1 for value in whole.values()):
        return whole
    return {one.node.name: max(1, round(one.weight / highest * 10000)) for one in group}


def _plugins(types: Sequence[str], maps: Sequence[str], resources: Sequence[str]) -> str:
    return "\n".join(
        [
            "# Made by geosteer; the next export writes it anew.",
            "service_types => {", *types, "}",
            "plugins => { geoip => {",
            "  maps => {", *maps, "  }",
            "  resources => {", *resources, "  }",
            "}}", "",
        ]
    )  # fmt: skip


def _zone(made: Bundle, picture: Picture, zone: str, tops: Sequence[str], areas: Iterable[Area]) -> str:
    """A zone's file, with what the zones within it hold."""
    records = static_records(picture.generation, zone)
    for inner in picture.generation.document["zones"]:
        if inner != zone and within(inner, zone):
            made.lose(f'zones."{inner}"', f"gdnsd has no zone within another: what it holds stands in {zone}")
            records += [
                record
                for record in static_records(picture.generation, inner)
                if record.name != inner or record.kind not in {"SOA", "NS"}
            ]
    addressed = {record.name for record in records if record.kind in {"A", "AAAA"}}
    place = f'zones."{zone}"'
    number, when = picture.generation.number, format_time(picture.generation.serial)
    lines = [f"; Made by geosteer of generation {number}, published {when}; the next export writes it anew."]
    for name, kind, content, ttl in records:
        if kind == "NS" and within(content, zone) and content not in addressed:
            made.lose(place, f"name server {content} has no static address, and is left out")
            continue
        written = _content(kind, content)
        if written is None:
            made.lose(place, f"{name} {kind}: gdnsd has no such records, and it is left out")
        else:
            lines.append(f"{name}. {ttl} {written}")
    for area in areas:
        word = "DYNC" if area.kinds == ("CNAME",) else "DYNA"
        lines += [
            f"{service.name}. {service.ttl}/{service.ttl_min} {word} geoip!{service.name}"
            for service in area.services
            if zone_of(service.name, tops) == zone
        ]
    return "\n".join(lines) + "\n"


def _content(kind: str, content: str) -> str | None:
    """Type and content as gdnsd reads them; None where it cannot."""
    if kind == "HINFO":
        return None
    if kind == "SOA":
        mname, rname, rest = content.split(" ", 2)
        return f"SOA {mname}. {rname}. ( {rest} )"
    if kind in _HOSTS:
        return f"{kind} {content if content.endswith('.') else content + '.'}"
    if kind in _TYPES:
        return f"{kind} {content}"
    try:
        found = dns.rdata.from_text("IN", kind, content).to_generic()
    except (dns.exception.DNSException, ValueError):
        return None
    return f"TYPE{int(found.rdtype)} {found.to_text()}"


def _quoted(text: str) -> str:
    return json.dumps(text)


__all__ = ["CONFIG", "PLUGINS", "Exporter", "needs_replace"]

"""`geosteer export gdnsd`: gdnsd answers what is published, from a `nets` map of all layers and from files of node states.

Each network has its ranking of nodes, whatever their states are; gdnsd gives the first that is up. So a change of state
is a change of a small file that gdnsd watches. Equals stand in the ranking together, as a weighted resource.
Source: gdnsd 3.8, gdnsd-plugin-geoip(8), -weighted(8), -extfile(8), gdnsd.zonefile(5).
"""

from __future__ import annotations

import hashlib
from array import array
from operator import add
from typing import TYPE_CHECKING, Any, NamedTuple

from geosteer.decision.model import NEARNESS
from geosteer.decision.policy import Candidate
from geosteer.errors import Refused
from geosteer_loader.config.dns_names import zone_of
from geosteer_loader.export.bundle import Bundle
from geosteer_loader.export.followed_classes import FEW, Outcomes
from geosteer_loader.export.gdnsd_config import (
    Area,
    gdnsd_map,
    group_name,
    network_endings,
    networks,
    plugins,
    resource,
    service_type,
)
from geosteer_loader.export.gdnsd_states import states, up_nodes
from geosteer_loader.export.gdnsd_zone import zone_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from geosteer.decision.model import Node, Service
    from geosteer.sync.generation import Generation
    from geosteer_loader.export.client_classes import Answers
    from geosteer_loader.export.compiled_tables import Cells, Records
    from geosteer_loader.export.followed_classes import Seen
    from geosteer_loader.export.published_state import Picture

    Ranking = tuple[str, ...]
    Groups = dict[str, list[Candidate]]

CONFIG = "config"
PLUGINS = "geosteer.cfg"
MAX_DATACENTERS = 254


class _Places(NamedTuple):
    """Kinds of clients that a map tells apart, whatever the states are, where they are few."""

    samples: list[Records]
    """For each kind the records of some of its clients."""
    prefixes: list[str]
    """All networks."""
    kinds: array[int]
    """For each network the number of its kind."""


class _Networks(NamedTuple):
    """The networks of one map, and what they were made from."""

    generation: Generation
    up: frozenset[str] | None
    """The nodes that are up, where that makes a difference."""
    groups: Groups
    cells: Cells
    places: _Places | None
    rankings: list[Ranking]
    mapped: list[int]
    """For each combination of records the number of its ranking; none where there are places."""
    text: str


class Exporter:
    """Makes the files again and again, and no more of them than changed."""

    def __init__(self, picture: Picture, folder: Path) -> None:
        """Args: folder: where the files will be: gdnsd's configuration directory."""
        self._picture = picture
        self._folder = folder.absolute()
        self._kept: dict[str, _Networks] = {}

    def bundle(self) -> Bundle:
        """The files for what is published now.

        Raises: StoreError: a page is absent or damaged, or Redis failed. Refused: more groups of nodes than gdnsd takes.
        """
        picture, bundle = self._picture, Bundle()
        model, zones = picture.generation.model, picture.generation.document["zones"]
        services = [service for name, service in model.services.items() if zone_of(name, zones)]
        for service in services:
            _inexpressible(bundle, service)
        types: list[str] = []
        maps: list[str] = []
        resources: list[str] = []
        areas = _areas(bundle, services, zones)
        for area in areas:
            groups = self._networks(bundle, area)
            nodes = area.services[0].map.nodes
            bundle.files[f"states/{area.name}"] = states(bundle, nodes, area.name, picture)
            types.append(service_type(area, self._folder))
            maps.append(gdnsd_map(area, groups))
            resources += [resource(area, service, groups) for service in area.services]
        tops = [zone for zone in zones if zone_of(zone.partition(".")[2], zones) is None]
        for zone in tops:
            bundle.files[f"zones/{zone}"] = zone_file(bundle, picture, zone, tops, areas)
        bundle.files[PLUGINS] = plugins(types, maps, resources)
        if not (self._folder / CONFIG).exists():
            bundle.files[CONFIG] = (
                f"# Made once by geosteer. Settings of your own go here.\n$include{{{PLUGINS}}}\n"
            )
        return bundle

    def _networks(self, bundle: Bundle, area: Area) -> Groups:
        """Add the map's networks to the files; the groups of nodes that they name."""
        service, picture = area.services[0], self._picture
        # Nodes that are not up are compared with others only where that makes no difference to these.
        up = frozenset(up_nodes(service.map.nodes, picture)) if service.policy in NEARNESS else None
        kept = self._kept.get(area.name)
        if kept is None or kept.generation is not picture.generation or kept.up != up:
            kept = self._kept[area.name] = self._ranked(area, up, kept)
        bundle.files[f"geoip/{area.name}.nets"] = kept.text
        return kept.groups

    def _ranked(self, area: Area, up: frozenset[str] | None, before: _Networks | None) -> _Networks:
        service, picture = area.services[0], self._picture
        # Each node by itself, too: with `nearest` and `latency` a change of states would else need a new configuration.
        groups = {
            node.name: [Candidate(node, weight, 1.0)]
            for node, weight in service.map.everyone
            if weight > 0 and any(node.has(kind) for kind in area.kinds)
        }

        def serving(node: Node) -> bool:
            return (up is None or node.name in up) and any(node.has(kind) for kind in area.kinds)

        def rank(_: Service, answers: Answers) -> Ranking:
            names = []
            for group in answers.ranking(serving):
                names.append(group_name(group))
                groups[names[-1]] = group
            return tuple(names)

        cells = picture.cells(service.tables)
        outcomes = Outcomes(picture, service, cells.tables, rank)
        kept = before if before is not None and before.cells is cells else None
        mapped: list[int] = []
        places = None
        if up is not None:
            places = kept.places if kept is not None else self._places(area, outcomes, cells)
        if places is not None:
            rankings = [outcomes.of(records) for records in places.samples]
        else:
            with picture.meter(f"classes of {area.name}") as shown:
                rankings, mapped = cells.classes(outcomes.of, shown.progress)
        if len(groups) > MAX_DATACENTERS:
            raise Refused(
                f"maps.{service.map.name}: {len(groups)} groups of nodes, and gdnsd takes {MAX_DATACENTERS} at most"
            )
        endings = network_endings(rankings)
        if kept is not None and (kept.rankings, kept.mapped) == (rankings, mapped):
            text = kept.text
        elif places is not None:
            text = "".join(map(add, places.prefixes, map(endings.__getitem__, places.kinds)))
        else:
            spans = cells.spread(mapped)
            with picture.meter(f"networks of {area.name}") as shown:
                text = "".join(
                    [prefix + endings[number] for prefix, number in networks(spans, shown.progress)]
                )
        return _Networks(picture.generation, up, groups, cells, places, rankings, mapped, text)

    def _places(self, area: Area, outcomes: Outcomes[Ranking], cells: Cells) -> _Places | None:
        """What the map tells apart, if that is few; then a change of states only puts other rankings behind networks."""
        samples: dict[Seen, Records] = {}

        def classify(records: Records) -> Seen:
            seen = outcomes.seen(records)
            samples.setdefault(seen, records)
            return seen

        _, mapped = cells.classes(classify)
        if len(samples) > FEW:
            return None
        spans, found, kinds = cells.spread(mapped), [], array("H")
        with self._picture.meter(f"networks of {area.name}") as shown:
            for prefix, number in networks(spans, shown.progress):
                found.append(prefix)
                kinds.append(number)
        return _Places(list(samples.values()), found, kinds)


def needs_replace(name: str) -> bool:
    """Whether gdnsd takes in a changed file only when it is replaced by itself (`gdnsdctl replace`)."""
    return not name.startswith(("geoip/", "states/"))


def _areas(bundle: Bundle, services: Iterable[Service], zones: Mapping[str, Any]) -> list[Area]:
    areas: dict[tuple[object, ...], Area] = {}
    for service in services:
        kinds = _kinds(bundle, service, zones)
        numbers = [service.near_km] if service.policy in NEARNESS else []
        if service.policy == "latency":
            numbers += [service.equal_ms, service.equal_percent]
        placed = bool(service.middles) or not numbers
        by_hand = service.placement
        key = (service.map.name, service.policy, *numbers, placed, by_hand, kinds)
        if key not in areas:
            words = [service.map.name, service.policy, *[f"{number:g}" for number in numbers]]
            if not placed:
                words.append("places")
            if any(by_hand):
                words.append(
                    "bias" + hashlib.sha1(repr(by_hand).encode(), usedforsecurity=False).hexdigest()[:8]
                )
            areas[key] = Area("-".join([*words, *(kind.lower() for kind in kinds)]), [], kinds)
        areas[key].services.append(service)
    return list(areas.values())


def _inexpressible(bundle: Bundle, service: Service) -> None:
    place = f'services."{service.name}"'
    if service.policy == "hash":
        bundle.lose(f"{place}.policy", "hash: answers are not sticky, each one is drawn by weight")
    if any(offset.keep < 1 for offset in service.offsets.values()):
        bundle.lose(
            f"{place}.max_share",
            "clients at the edge of a catchment are not divided: its node gets all of them",
        )
    if service.max_answers > 1:
        bundle.lose(f"{place}.max_answers", "only one node is returned")
    if service.map.all_down == "none":
        bundle.lose(f"maps.{service.map.name}.all_down", "none: the best node is given, where it should fail")
    if not service.cname:
        for node in service.map.usable:
            for kind in service.kinds:
                if not node.has(kind):
                    bundle.lose(
                        place,
                        f"{kind}: node {node.name} has no such address, and its clients get an empty answer",
                    )


def _kinds(bundle: Bundle, service: Service, zones: Mapping[str, Any]) -> tuple[str, ...]:
    """The record types that its resource has; gdnsd gives no CNAME into the zone itself."""
    if not service.cname:
        return service.kinds
    zone = zone_of(service.name, zones)
    if any(node.hostname and zone_of(node.hostname, zones) == zone for node in service.map.usable):
        bundle.lose(
            f'services."{service.name}".answer',
            "cname: addresses are given, as the hosts are in its own zone",
        )
        return tuple(kind for kind in ("A", "AAAA") if any(node.has(kind) for node in service.map.usable))
    return ("CNAME",)


__all__ = ["CONFIG", "PLUGINS", "Exporter", "needs_replace"]

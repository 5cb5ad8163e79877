"""`geosteer export gdnsd`: gdnsd answers what is published, from a `nets` map of all layers and from files of node states.

Each network has its ranking of nodes, whatever their states are; gdnsd gives the first that is up. So a change of state
is a change of a small file that gdnsd watches. Equals stand in the ranking together, as a weighted resource.
Source: gdnsd 3.8, gdnsd-plugin-geoip(8), -weighted(8), -extfile(8), gdnsd.zonefile(5).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from geosteer.decision.policy import Candidate
from geosteer.errors import Refused
from geosteer_loader.config.dns_names import zone_of
from geosteer_loader.export.bundle import Bundle
from geosteer_loader.export.client_classes import Classes
from geosteer_loader.export.gdnsd_config import (
    Area,
    gdnsd_map,
    group_name,
    network_lines,
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
    from geosteer_loader.export.compiled_tables import Cells, Records
    from geosteer_loader.export.published_state import Picture

    Ranking = tuple[str, ...]

CONFIG = "config"
PLUGINS = "geosteer.cfg"
MAX_DATACENTERS = 254


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

    def _networks(self, bundle: Bundle, area: Area) -> dict[str, list[Candidate]]:
        """Add the map's networks to the files; the groups of nodes that they name."""
        service, picture = area.services[0], self._picture
        # Each node by itself, too: with `nearest` a change of states would else need a new configuration.
        groups = {
            node.name: [Candidate(node, weight, 1.0)]
            for node, weight in service.map.everyone
            if weight > 0 and any(node.has(kind) for kind in area.kinds)
        }
        up = up_nodes(service.map.nodes, picture)

        def serving(node: Node) -> bool:
            # Nodes that are not up are compared with others only where that makes no difference to these.
            here = service.policy != "nearest" or node.name in up
            return here and any(node.has(kind) for kind in area.kinds)

        def rank(records: Records) -> Ranking:
            names = []
            for group in classes.answers(service, records).ranking(serving):
                names.append(group_name(group))
                groups[names[-1]] = group
            return tuple(names)

        cells = picture.cells(service.tables)
        classes = Classes(picture, [service], cells.tables)
        rankings, mapped = cells.classes(rank)
        if len(groups) > MAX_DATACENTERS:
            raise Refused(
                f"maps.{service.map.name}: {len(groups)} groups of nodes, and gdnsd takes {MAX_DATACENTERS} at most"
            )
        networks = self._kept.get(area.name)
        if networks is None or networks[0] is not cells or networks[1:3] != (rankings, mapped):
            text = "".join(network_lines(cells.spread(mapped), rankings))
            networks = self._kept[area.name] = cells, rankings, mapped, text
        bundle.files[f"geoip/{area.name}.nets"] = networks[3]
        return groups


def needs_replace(name: str) -> bool:
    """Whether gdnsd takes in a changed file only when it is replaced by itself (`gdnsdctl replace`)."""
    return not name.startswith(("geoip/", "states/"))


def _areas(bundle: Bundle, services: Iterable[Service], zones: Mapping[str, Any]) -> list[Area]:
    areas: dict[tuple[object, ...], Area] = {}
    for service in services:
        kinds = _kinds(bundle, service, zones)
        near = service.near_km if service.policy == "nearest" else None
        placed = bool(service.middles) or near is None
        key = (service.map.name, service.policy, near, placed, kinds)
        if key not in areas:
            words = [service.map.name, service.policy, *([f"{near:g}"] if near is not None else [])]
            if not placed:
                words.append("places")
            areas[key] = Area("-".join([*words, *(kind.lower() for kind in kinds)]), [], kinds)
        areas[key].services.append(service)
    return list(areas.values())


def _inexpressible(bundle: Bundle, service: Service) -> None:
    place = f'services."{service.name}"'
    if service.policy == "hash":
        bundle.lose(f"{place}.policy", "hash: answers are not sticky, each one is drawn by weight")
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

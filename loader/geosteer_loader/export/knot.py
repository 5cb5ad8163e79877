"""`geosteer export knot`: Knot DNS's geoip module answers what is published, from a database of classes of clients.

Every client has a record in the database, so that none gets the zone's own records, whose scope is 0. A change of node
states is a change of the module's files alone. A module has one TTL: a zone has one for each TTL that its answers may have.
Source: Knot DNS 3.2, documentation of mod-geoip (mode geodb), knot.conf(5).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import dns.exception
import dns.name
import dns.rdata

from geosteer_loader.config.dns_names import zone_of
from geosteer_loader.export.bundle import Bundle
from geosteer_loader.export.class_database import ClassDatabase
from geosteer_loader.export.followed_classes import FollowedClasses
from geosteer_loader.export.static_records import hinted, static_records, without_hints

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from geosteer.decision.model import Node, Service
    from geosteer_loader.export.client_classes import Answers
    from geosteer_loader.export.published_state import Picture

    Made = tuple[dict[str, list[str]], int, list[str]]
    """Contents by record type, TTL, and what is lost."""

DATABASE, SETTINGS = "classes.mmdb", "knot.conf"
TEXTUAL = {"A", "AAAA", "CAA", "CNAME", "MX", "NS", "PTR", "SOA", "SRV", "TXT"}
"""Types whose presentation form every version of Knot reads; others are written as RFC 3597 has them."""
SPARE = "geosteer-unused"
"""A name that no zone has, for a module without answers."""


class Exporter:
    """Makes the files again and again, and no more of them than changed."""

    def __init__(self, picture: Picture, folder: Path) -> None:
        """Args: folder: where the files will be."""
        self._picture = picture
        self._folder = folder.absolute()
        self._classes: FollowedClasses[Made] | None = None
        self._services: list[Service] = []
        self._database = ClassDatabase(picture, DATABASE)

    def bundle(self) -> Bundle:
        """The files for what is published now, the database first.

        Raises: StoreError: a page is absent or damaged, or Redis failed.
        """
        picture, bundle = self._picture, Bundle()
        model, zones = picture.generation.model, picture.generation.document["zones"]
        classes = self._classes
        if classes is None or not classes.follow():
            self._services = [service for name, service in model.services.items() if zone_of(name, zones)]

            def make(service: Service, answers: Answers) -> Made:
                return _made(service, answers, picture)

            classes = self._classes = FollowedClasses(picture, self._services, make, picture.meter)
        for service in self._services:
            _inexpressible(bundle, service)
        bundle.files[DATABASE] = self._database.of(classes)
        modules = {
            (zone, ttl): _geo_file(zone)
            for zone in zones
            for ttl in _ttls(service for service in self._services if zone_of(service.name, zones) == zone)
        }
        for service, outcomes in zip(self._services, classes.outcomes, strict=True):
            zone = zone_of(service.name, zones)
            assert zone is not None
            parts: dict[int, list[str]] = {}
            for name, records in zip(classes.names, classes.samples, strict=True):
                contents, ttl, losses = outcomes.of(records)
                parts.setdefault(ttl, []).append(_entry(name, contents))
                for what in losses:
                    bundle.lose(f'services."{service.name}"', what)
            for ttl, entries in parts.items():
                modules[zone, ttl].append(f"{service.name}:\n" + "".join(entries))
        for (zone, ttl), texts in modules.items():
            bundle.files[_geo_path(zone, ttl)] = "".join(texts)
        for zone in zones:
            mine = [service for service in self._services if zone_of(service.name, zones) == zone]
            bundle.files[f"zones/{zone}.zone"] = "".join(_zone_file(bundle, picture, zone, mine))
        bundle.files[SETTINGS] = "".join(_settings(list(zones), list(modules), self._folder))
        return bundle


def _inexpressible(bundle: Bundle, service: Service) -> None:
    place = f'services."{service.name}"'
    if service.policy in {"hash", "weighted"}:
        bundle.lose(
            f"{place}.policy",
            f"{service.policy}: the module draws nothing; one node gets all clients of a class",
        )
    if service.map.all_down == "none":
        bundle.lose(
            f"maps.{service.map.name}.all_down", "none: the first node is given, where it should fail"
        )


def _made(service: Service, answers: Answers, picture: Picture) -> Made:
    """What a class gets; the likeliest node, where nodes are drawn."""
    losses = []
    settled = answers.settled()
    if settled is None:
        losses.append("where equals or shares are drawn, one node gets all clients of a class")
        settled = {kind: _likeliest(answers.chances(kind)) for kind in service.kinds}
    contents: dict[str, list[str]] = {}
    states, failing = picture.states, False
    for kind in service.kinds:
        nodes = settled.get(kind) or tuple(node for node in service.map.usable if node.has(kind))[:1]
        failing = failing or any(node.name in states and states[node.name].failing for node in nodes)
        contents[kind] = [content for node in nodes for content in node.contents(kind)]
    for kind, content in hinted(service, dict(contents)):
        contents.setdefault(kind, []).append(content)
    return contents, service.ttl_min if failing else service.ttl, losses


def _likeliest(chances: Mapping[Node, float]) -> tuple[Node, ...]:
    return (max(chances, key=lambda node: (round(chances[node], 9), node.name)),) if chances else ()


def _ttls(services: Iterable[Service]) -> list[int]:
    """Every TTL that answers may have."""
    return sorted({ttl for service in services for ttl in (service.ttl, service.ttl_min)})


def _geo_path(zone: str, ttl: int) -> str:
    return f"geo/{zone}.{ttl}.yaml"


def _geo_file(zone: str) -> list[str]:
    """The beginning of a module's file, which may not be empty."""
    return [f"# Made by geosteer.\n{SPARE}.{zone}:\n  - geo: none\n    TXT: unused\n"]


def _entry(name: str, contents: Mapping[str, Sequence[str]]) -> str:
    lines = [f"  - geo: {name}\n"]
    for kind, values in contents.items():
        if kind == "CNAME":
            lines.append(f"    CNAME: {values[0]}.\n")
        else:
            listed = values if kind in {"A", "AAAA"} else [_quoted(value) for value in values]
            lines.append(f"    {kind}: [ {', '.join(listed)} ]\n")
    return "".join(lines)


def _zone_file(bundle: Bundle, picture: Picture, zone: str, services: Sequence[Service]) -> Iterator[str]:
    """A zone's records; each service with what is given where no module answers, since the name must be there."""
    yield f"; Made by geosteer of generation {picture.generation.number}; the next export overwrites it.\n"
    steered = picture.generation.model.services
    for name, kind, content, ttl in static_records(picture.generation, zone):
        if kind == "CNAME" and content.rstrip(".") in steered:
            bundle.lose(
                f'zones."{zone}".records',
                f"{name} CNAME: leads to a service, of which everybody gets the same node",
            )
        written = _content(kind, content)
        if written is None:
            bundle.lose(
                f'zones."{zone}".records', f"{name} {kind}: cannot be written for Knot, and is left out"
            )
        else:
            yield f"{name}. {ttl} {written}\n"
    for service in services:
        contents = {}
        for kind in service.kinds:
            node = next((node for node in service.map.usable if node.has(kind)), None)
            contents[kind] = node.contents(kind) if node is not None else ()
            for content in contents[kind]:
                yield f"{service.name}. {service.ttl} {kind} {content}{'.' if kind == 'CNAME' else ''}\n"
        for kind, content in hinted(service, contents):
            yield f"{service.name}. {service.ttl} {_content(kind, content)}\n"
        for name, kind, content, ttl in without_hints(bundle, service, own=False):
            yield f"{name}. {ttl} {_content(kind, content)}\n"


def _content(kind: str, content: str) -> str | None:
    """Type and content with absolute names; None where it cannot be written."""
    try:
        rdata = dns.rdata.from_text("IN", kind, content, origin=dns.name.root, relativize=False)
        if kind in TEXTUAL:
            return f"{kind} {rdata.to_text()}"
        return f"TYPE{int(rdata.rdtype)} {rdata.to_generic().to_text()}"
    except (dns.exception.DNSException, ValueError):
        return None


def _settings(zones: Sequence[str], modules: Sequence[tuple[str, int]], folder: Path) -> Iterator[str]:
    """For Knot's own file: `include: DIR/knot.conf`."""
    yield "# Made by geosteer; the next export overwrites it. Your own file says: server: edns-client-subnet: on\n"
    if modules:
        yield "mod-geoip:\n"
    for zone, ttl in modules:
        yield (
            f"  - id: {_quoted(_module(zone, ttl))}\n    config-file: {_quoted(str(folder / _geo_path(zone, ttl)))}\n"
            f"    ttl: {ttl}\n    mode: geodb\n    geodb-file: {_quoted(str(folder / DATABASE))}\n"
            "    geodb-key: [ country/iso_code ]\n"
        )
    yield "zone:\n"
    for zone in zones:
        # -1: the zone's file is not Knot's to write
        path = folder / "zones" / f"{zone}.zone"
        yield f"  - domain: {_quoted(zone)}\n    file: {_quoted(str(path))}\n    zonefile-sync: -1\n"
        mine = [f"mod-geoip/{_module(of, ttl)}" for of, ttl in modules if of == zone]
        if mine:
            yield f"    module: [ {', '.join(map(_quoted, mine))} ]\n"


def _module(zone: str, ttl: int) -> str:
    return f"geosteer-{zone}-{ttl}"


def _quoted(text: str) -> str:
    return json.dumps(text)

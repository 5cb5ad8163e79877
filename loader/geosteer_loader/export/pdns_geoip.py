"""`geosteer export pdns-geoip`: zones and a database for PowerDNS' geoip backend, which answers by itself.

All tables that count become one database in which a prefix has the name of a class of clients: those for whom the same
entries of the maps count. A class does not depend on node states, so that a change of those is a change of the small YAML
file alone. There each class has its answers under a name outside every zone, which cannot be queried.
Source: PowerDNS 4.7, docs/backends/geoip.rst and modules/geoipbackend.
"""

from __future__ import annotations

import json
import re
from itertools import chain
from typing import TYPE_CHECKING, Any

from geosteer_loader.config.dns_names import zone_of
from geosteer_loader.export.bundle import Bundle
from geosteer_loader.export.class_database import ClassDatabase
from geosteer_loader.export.followed_classes import FollowedClasses
from geosteer_loader.export.static_records import hinted, static_records, without_hints

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from geosteer.decision.model import Node, Service
    from geosteer_loader.export.client_classes import Answers as ClassAnswers
    from geosteer_loader.export.client_classes import Key
    from geosteer_loader.export.published_state import Picture

    Answers = list[tuple[str, str, int, int]]
    Made = tuple[Answers, list[tuple[str, str]]]

ZONES = "geosteer.yaml"
DATABASE = "geosteer.mmdb"
SETTINGS = "pdns-geoip.conf"
HIDDEN = "geosteer.invalid"
"""Below it are the names of answers; no zone can be there (RFC 6761, 6.4)."""
PARTS = 1000
"""Parts into which the backend divides the weights of one name."""
_PLACEHOLDER = re.compile(r"%(mp|cn|co|cc|af|as|re|na|ci|lat|lon|loc|hh?|yy|dd|mos?|wd|wds|ip[46]?|%)")


class Exporter:
    """Makes the files again and again, and no more of them than changed."""

    def __init__(self, picture: Picture, folder: Path) -> None:
        """Args: folder: where the files will be."""
        self._picture = picture
        self._folder = folder
        self._classes: FollowedClasses[Made] | None = None
        self._database = ClassDatabase(picture, DATABASE)

    def bundle(self) -> Bundle:
        """The files for what is published now, the database first.

        Raises: StoreError: a page is absent or damaged, or Redis failed.
        """
        picture, bundle = self._picture, Bundle()
        model, document = picture.generation.model, picture.generation.document
        services = {
            name: service for name, service in model.services.items() if zone_of(name, document["zones"])
        }
        for name in model.services.keys() - services.keys():
            bundle.note(f'services."{name}": lies outside every zone, so DNS does not serve it')
        variants = _variants(services)
        for places, service in variants.values():
            _inexpressible(bundle, places[0], service)
        classes = self._classes
        if classes is None or not classes.follow():

            def make(service: Service, answers: ClassAnswers) -> Made:
                return _answers(service, answers, picture)

            several = [service for _, service in variants.values()]
            classes = self._classes = FollowedClasses(picture, several, make, picture.meter)
        bundle.files[DATABASE] = self._database.of(classes)
        answers: dict[str, Answers] = {}
        for number, ((places, _), outcomes) in enumerate(
            zip(variants.values(), classes.outcomes, strict=True)
        ):
            for name, records in zip(classes.names, classes.samples, strict=True):
                made, losses = outcomes.of(records)
                answers[f"{name}.{number}.{HIDDEN}"] = made
                for key, what in losses:
                    bundle.lose(f'services."{places[0]}"{key}', what)
        formats = {
            name: f"%cc.{number}.{HIDDEN}"
            for number, (places, _) in enumerate(variants.values())
            for name in places
        }
        bundle.files[ZONES] = "\n".join(_yaml(bundle, picture, formats, answers)) + "\n"
        bundle.files[SETTINGS] = _settings(self._folder.absolute())
        return bundle


def _variants(services: Mapping[str, Service]) -> dict[Key, tuple[list[str], Service]]:
    """Services that always get the same answers, together."""
    variants: dict[Key, tuple[list[str], Service]] = {}
    for name, service in services.items():
        key = (
            service.map.name, *service.ranking, service.ttl, service.ttl_min, service.cname, service.max_answers,
            *hinted(service, {}),
        )  # fmt: skip
        variants.setdefault(key, ([], service))[0].append(name)
    return variants


def _inexpressible(bundle: Bundle, name: str, service: Service) -> None:
    """Note what of a service's settings the backend cannot do, whatever the states are."""
    place = f'services."{name}"'
    if service.policy == "hash":
        bundle.lose(f"{place}.policy", "hash: answers are not sticky, each one is drawn by weight")
    if service.map.all_down == "none":
        bundle.lose(
            f"maps.{service.map.name}.all_down", "none: the answer is empty then, where it should fail"
        )


def _answers(service: Service, answers: ClassAnswers, picture: Picture) -> Made:
    """(type, content, weight, ttl) of a class, weight 0: all records of the type are given; and what is lost of a service."""
    settled = answers.settled()
    records: Answers = []
    losses: list[tuple[str, str]] = []
    if settled is not None:
        ttl = _ttl(service, chain.from_iterable(settled.values()), picture)
        for kind, nodes in settled.items():
            records += [(kind, content, 0, ttl) for node in nodes for content in node.contents(kind)]
        given: dict[str, list[str]] = {}
        for kind, content, _, _ in records:
            given.setdefault(kind, []).append(content)
        records += [(kind, content, 0, ttl) for kind, content in hinted(service, given)]
        return records, losses
    parts = {kind: answers.chances(kind) for kind in service.kinds}
    ttl = _ttl(service, chain.from_iterable(parts.values()), picture)
    if service.max_answers > 1:
        losses.append((".max_answers", "where nodes are drawn, one of them is given"))
    for kind, chances in parts.items():
        for node, weight in _weights(chances).items():
            contents = node.contents(kind)
            if len(contents) > 1:
                losses.append(("", f"{kind}: of node {node.name}, which is drawn, one address is given"))
            records += [(kind, content, weight, ttl) for content in contents[:1]]
    bound = hinted(service, {})
    if bound:
        losses.append(
            (".https", "where nodes are drawn, the records have no hints: each type is drawn by itself")
        )
        records += [(kind, content, 0, ttl) for kind, content in bound]
    return records, losses


def _weights(chances: Mapping[Node, float]) -> dict[Node, int]:
    """Whole numbers in proportion; equal ones where the chances are equal."""
    if len({round(part, 9) for part in chances.values()}) == 1:
        return dict.fromkeys(chances, 1)
    return {node: max(1, round(part * PARTS)) for node, part in chances.items()}


def _ttl(service: Service, nodes: Iterable[Node], picture: Picture) -> int:
    states = picture.states
    failing = any(node.name in states and states[node.name].failing for node in nodes)
    return service.ttl_min if failing else service.ttl


# -------------------------------------------------------------------------------------------------------------- YAML


def _yaml(
    bundle: Bundle, picture: Picture, formats: Mapping[str, str], answers: Mapping[str, Answers]
) -> Iterator[str]:
    """The file's lines; strings are written as in JSON, which YAML takes."""
    generation = picture.generation
    zones: Mapping[str, Any] = generation.document["zones"]
    yield f"# Made by geosteer of generation {generation.number}; the next export overwrites it."
    yield "domains:"
    # The backend takes the first zone that a name is in.
    for zone in sorted(zones, key=lambda name: -name.count(".")):
        mine = {name: wanted for name, wanted in formats.items() if zone_of(name, zones) == zone}
        yield from (f"- domain: {_quoted(zone)}", "  ttl: 60", "  records:")
        for name, records in _statics(bundle, picture, zone, list(mine)).items():
            yield f"    {_quoted(name)}:"
            yield from (_record(*record) for record in records)
        used = {wanted.partition(".")[2] for wanted in mine.values()}
        for name, records in answers.items():
            if name.partition(".")[2] in used:
                yield f"    {name}:" if records else f"    {name}: []"
                yield from (_record(*record) for record in records)
        yield "  services:" if mine else "  services: {}"
        for name, wanted in mine.items():
            yield f"    {_quoted(name)}: [{_quoted(wanted)}]"
    if not zones:
        yield "  []"


def _statics(bundle: Bundle, picture: Picture, zone: str, services: Iterable[str]) -> dict[str, Answers]:
    """Name -> (type, content, 0, ttl) of all records of a zone that are the same for everybody."""
    records: dict[str, Answers] = {}
    every = static_records(picture.generation, zone)
    for service in services:
        every += without_hints(bundle, picture.generation.model.services[service], own=False)
    for name, kind, content, ttl in every:
        if _PLACEHOLDER.search(content):
            bundle.lose(f'zones."{zone}".records', f"{name} {kind}: the backend fills in what follows a %")
        records.setdefault(name, []).append((kind, content, 0, ttl))
    return records


def _record(kind: str, content: str, weight: int, ttl: int) -> str:
    more = f", weight: {weight}" if weight else ""
    return f"    - {kind.lower()}: {{content: {_quoted(content)}, ttl: {ttl}{more}}}"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _settings(folder: Path) -> str:
    return f"""# For pdns.conf: PowerDNS answers by itself what geosteer has published. Made by geosteer.
launch=geoip
geoip-zones-file={folder / ZONES}
geoip-database-files=mmdb:{folder / DATABASE}
# A client subnet that is of length 0, or private and named by nothing published, is taken as it stands; workers go by the
# resolver's address then.
edns-subnet-processing=yes
# Seconds until a zone that is new is served.
zone-cache-refresh-interval=30
"""

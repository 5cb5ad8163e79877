"""`geosteer export geo-map`: director maps and the ip-map zone of the old PowerDNS geo backend (until 3.4).

The ip-map zone gives each IPv4 prefix a number, a director map gives each number a host name. A country that all maps treat
as such has its ISO number; whatever else the maps' layers tell apart has a number of its own, so that networks, AS numbers
and subdivisions count here too. The numbers do not depend on node states: a change of those is a change of director maps.
Source: PowerDNS 3.4.11, modules/geobackend (README, geobackend.cc, ippreftree.cc).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from geosteer.cmodules import Address
from geosteer.errors import Refused
from geosteer_loader.config.dns_names import zone_of
from geosteer_loader.export.bundle import Bundle
from geosteer_loader.export.compiled_tables import prefixes
from geosteer_loader.export.followed_classes import FollowedClasses
from geosteer_loader.export.static_records import static_records
from geosteer_loader.sources.countries import NUMERIC

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from geosteer.decision.model import Node, Service
    from geosteer_loader.export.client_classes import Answers, Key
    from geosteer_loader.export.compiled_tables import Cells, Records
    from geosteer_loader.export.followed_classes import Outcomes
    from geosteer_loader.export.published_state import Picture

    _First = tuple[Node | None, list[str]]
    """The node that clients get, if one may serve, and what the backend cannot say about it."""

IP_MAP = "zz.geosteer.rbldnsd"
"""What the backend calls its ip-map zone file; the name is free."""
FIRST_OWN = 1000
"""Where numbers begin that are no country's; ISO 3166-1 ends at 999."""
SHOWN = 12
"""Classes of clients named at most in what cannot be said."""
LAST = 32767
"""The backend takes the low 15 bits of an address."""
_ISO = {code: number for number, code in NUMERIC.items()} | {"XK": 983}
_STATICS = {"SOA", "NS"}


class Exporter:
    """Makes the files again and again, and no more of them than changed."""

    def __init__(self, picture: Picture, folder: Path) -> None:
        """Args: folder: where the files will be."""
        self._picture = picture
        self._folder = folder.absolute()
        self._classes: FollowedClasses[_First] | None = None
        self._kept: tuple[Cells, list[int], str] | None = None

    def bundle(self) -> Bundle:
        """The files for what is published now, the ip-map zone first.

        Raises: StoreError: a page is absent or damaged, or Redis failed. Refused: more classes of clients than numbers.
        """
        picture, bundle = self._picture, Bundle()
        model, zones = picture.generation.model, picture.generation.document["zones"]
        services = [service for name, service in model.services.items() if zone_of(name, zones)]
        classes = self._classes
        if classes is None or not classes.follow():
            classes = self._classes = FollowedClasses(picture, services, _first, picture.meter)
        cells = classes.cells
        if any(len(spans.starts) > 1 for bits, spans in cells.spans.items() if bits == 128):
            bundle.lose("IPv6", "the backend does not support it: every IPv6 client is treated as unknown")

        nothing = ("",) * len(cells.tables)
        sample = dict(zip(classes.keys, classes.samples, strict=True)) | {classes.key(nothing): nothing}
        numbers = _numbers(classes.keys, sample, classes.key(nothing), cells)
        samples = {numbers[key]: records for key, records in sample.items()}
        by_class = [numbers[key] for key in classes.keys]
        bundle.files[IP_MAP] = self._ip_map(cells, [by_class[number] for number in classes.mapped], samples)
        for outcomes in classes.outcomes:
            service = outcomes.service
            zone = zone_of(service.name, zones)
            lines = "\n".join(self._director(bundle, outcomes, samples))
            if any(node.hostname for node in service.map.usable):  # else there is nothing to point to
                bundle.files[f"{zone}/{service.name}"] = lines + "\n"
        for zone in zones:
            bundle.files[f"{zone}.conf"] = _settings(bundle, picture, zone, self._folder)
        return bundle

    def _ip_map(self, cells: Cells, numbers: list[int], samples: Mapping[int, Records]) -> str:
        if self._kept is None or self._kept[0] is not cells or self._kept[1] != numbers:
            self._kept = cells, numbers, "".join(_prefix_lines(cells, numbers, samples))
        return self._kept[2]

    def _director(
        self, bundle: Bundle, outcomes: Outcomes[_First], samples: Mapping[int, Records]
    ) -> Iterator[str]:
        """The lines of a service's director map."""
        service = outcomes.service
        place = f'services."{service.name}"'
        lost: dict[str, list[str]] = {}
        _inexpressible(bundle, service)
        yield f"# Made by geosteer of generation {self._picture.generation.number}; the next export overwrites it."
        yield f"$RECORD {service.name}."
        for number, records in sorted(samples.items()):
            word = _word(number, records) if number else "all others"
            node, losses = outcomes.of(records)
            for loss in losses:
                lost.setdefault(loss, []).append(word)
            if node is None:
                lost.setdefault(
                    "a client outside the share of every node gets the best node all the same", []
                ).append(word)
                node = service.map.usable[0]
            if not node.hostname:
                bundle.lose(
                    place, f"node {node.name} has no host name, and the backend answers with host names only"
                )
                node = next((other for other in service.map.usable if other.hostname), node)
            if number:
                yield f"# {word}"
            yield f"{number} {node.hostname}."
        for what, whom in lost.items():
            bundle.lose(place, f"{what}: {_listed(whom)}")


def _first(service: Service, answers: Answers) -> _First:
    """The node that one class of clients gets, and what is lost by giving it to all of them."""
    losses = []
    settled = answers.settled()
    kind = service.kinds[0] if service.kinds else "A"
    if settled is not None:
        if len({nodes[:1] for nodes in settled.values()}) > 1:
            losses.append("where A and AAAA have different nodes, that of A answers")
        return next(iter(settled.get(kind, ())), None), losses
    losses.append("where equals or shares are drawn, one node gets all")
    chances = answers.chances(kind)
    return max(chances, key=lambda node: (chances[node], node.name), default=None), losses


def _listed(words: Sequence[str]) -> str:
    """The first of them, and how many more there are."""
    more = f" and {len(words) - SHOWN} more" if len(words) > SHOWN else ""
    return ", ".join(words[:SHOWN]) + more


def _numbers(
    keys: Sequence[Key], sample: Mapping[Key, Records], nothing: Key, cells: Cells
) -> dict[Key, int]:
    """0 for those of whom nothing is known, a country's number where that is all that tells, else a number of its own."""
    numbers = {nothing: 0}
    taken = {0}
    own = FIRST_OWN
    for key in keys:
        if key in numbers:
            continue
        number = _country(sample[key], cells)
        if number is None or number in taken:
            while own in taken:
                own += 1
            number = own
        if number > LAST:
            raise Refused(f"more than {LAST - FIRST_OWN} classes of clients: the backend has no more numbers")
        numbers[key] = number
        taken.add(number)
    return numbers


def _country(records: Records, cells: Cells) -> int | None:
    """The ISO number of clients of whom only the country is known."""
    by_table = dict(zip(cells.tables, records, strict=True))
    geo = by_table.pop("geo", "").partition(" ")[0]
    return _ISO.get(geo) if not any(by_table.values()) else None


def _word(number: int, records: Records) -> str:
    """What stands in the zone file as text, for people: a country's code, else the number."""
    return records[0][:2].lower() if number < FIRST_OWN and records and records[0] else f"class-{number}"


def _prefix_lines(cells: Cells, numbers: Sequence[int], samples: Mapping[int, Records]) -> Iterator[str]:
    yield "# Made by geosteer. Prefixes with the numbers that director maps know them by; no line: 0.\n"
    for start, end, number in cells.spread(numbers)[32]:
        if number:
            tail = f" :127.0.{number >> 8}.{number & 255}:{_word(number, samples[number])}\n"
            for first, length in prefixes(start, end, 32):
                yield f"{Address(first.to_bytes(4, 'big'))}/{length}{tail}"


def _inexpressible(bundle: Bundle, service: Service) -> None:
    place = f'services."{service.name}"'
    if service.policy in {"weighted", "hash"}:
        bundle.lose(f"{place}.policy", f"{service.policy}: all clients of one class get the same node")
    if service.max_answers > 1:
        bundle.lose(f"{place}.max_answers", "only one node is returned")
    if service.bindings:
        bundle.lose(place, "HTTPS and SVCB records are left out: the backend answers with CNAMEs alone")
    if service.name.startswith("*."):
        bundle.lose(place, "the backend does not support wildcards: only the literal name is answered")


def _settings(bundle: Bundle, picture: Picture, zone: str, folder: Path) -> str:
    zones = picture.generation.document["zones"]
    spec = zones[zone]
    services = picture.generation.model.services.items()
    ttls = {service.ttl for name, service in services if zone_of(name, zones) == zone} or {60}
    if len(ttls) > 1:
        bundle.lose(
            f'zones."{zone}"', f"the backend has one TTL for all services; the least is taken: {min(ttls)}"
        )
    others = sum(record.kind not in _STATICS for record in static_records(picture.generation, zone))
    if others:
        bundle.note(
            f"zone {zone}: {others} static records are for another backend, such as `launch=geo,bind`"
        )
    return f"""# For pdns.conf of PowerDNS up to 3.4: zone {zone}. Made by geosteer.
launch=geo
geo-zone={zone}
geo-soa-values={spec["soa"]["mname"]},{spec["soa"]["rname"]}
geo-ns-records={",".join(spec["ns"])}
geo-ttl={min(ttls)}
geo-ns-ttl={spec.get("ns_ttl", 3600)}
geo-ip-map-zonefile={folder / IP_MAP}
geo-maps={folder / zone}
query-cache-ttl=0
cache-ttl=0
"""


__all__ = ["IP_MAP", "Exporter"]

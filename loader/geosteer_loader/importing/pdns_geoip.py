"""`geosteer import pdns-geoip`: the zones file of PowerDNS' geoip backend (PowerDNS, docs/backends/geoip.rst).

A service's formats are layers: each name of a record that a format can make is a key of that layer.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import dns.exception
import dns.rdata

from geosteer.errors import ConfigError
from geosteer_loader.importing.draft import Draft, Node, Zone, relative
from geosteer_loader.importing.https_records import Place, bind
from geosteer_loader.importing.pdns_formats import LAYERS, PLACEHOLDER, UNKNOWN, key_of
from geosteer_loader.importing.shapes import entries, table, whole
from geosteer_loader.importing.steering import Steering, service
from geosteer_loader.importing.yaml_file import load_all

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from geosteer_loader.importing.draft import Weights

MAPPING = ("mapping_lookup_formats", "custom_mapping")
"""Settings of `%mp`, of the file or of one domain."""
DEFAULT_WEIGHT = 100
"""Of a record without one beside others with weights."""


@dataclass(slots=True)
class _Record:
    kind: str
    content: str
    ttl: int
    weight: int | None


@dataclass(slots=True)
class _Domain:
    name: str
    ttl: int
    records: dict[str, list[_Record]] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    """Names that services lead to."""
    mapping: dict[str, Any] = field(default_factory=dict)
    """`MAPPING` as it holds here."""


def draft_of(path: Path) -> Draft:
    """What the file says. Raises: ConfigError: it cannot be read, or is no zones file."""
    documents = load_all(path)
    document = documents[0] if documents else None
    if not isinstance(document, dict) or not isinstance(document.get("domains"), list):
        raise ConfigError([f"{path}: line 1: a list `domains` is expected"])
    return _Import(path, document).draft()


class _Import:
    def __init__(self, path: Path, document: Mapping[str, Any]) -> None:
        self._path, self._document = path, document
        self._draft = Draft(f"PowerDNS' {path.name}")

    def draft(self) -> Draft:
        draft = self._draft
        for key in {str(key) for key in self._document} - {"domains", *MAPPING}:
            draft.lose(str(key), "unknown")
        domains = [self._domain(entry) for entry in self._document["domains"]]
        for entry, domain in zip(self._document["domains"], domains, strict=True):
            for name, formats in table(
                entry.get("services"), f"{self._path}: {domain.name}: services"
            ).items():
                self._service(domain, name.lower().rstrip("."), formats)
        for domain in domains:
            self._zone(domain)
        return draft

    def _domain(self, entry: Any) -> _Domain:
        if not isinstance(entry, dict) or not isinstance(entry.get("domain"), str):
            raise ConfigError([f"{self._path}: domains: each has a name, `domain`"])
        name = entry["domain"].lower().rstrip(".")
        for key in {str(key) for key in entry} - {"domain", "ttl", "records", "services", *MAPPING}:
            self._draft.lose(f"{name}: {key}", "unknown")
        domain = _Domain(name, self._whole(entry.get("ttl", 60), f"{name}: ttl"))
        domain.mapping = {key: entry.get(key, self._document.get(key)) for key in MAPPING}
        for written, records in table(entry.get("records"), f"{self._path}: {name}: records").items():
            owner = written.lower().rstrip(".")
            for record in entries(records, f"{self._path}: {written}"):
                for kind, value in table(record, f"{self._path}: {written}").items():
                    domain.records.setdefault(owner, []).append(self._record(domain, owner, kind, value))
        return domain

    def _record(self, domain: _Domain, owner: str, kind: str, value: Any) -> _Record:
        place = f"{owner} {kind}"
        ttl, weight = domain.ttl, None
        if isinstance(value, dict):
            ttl = self._whole(value.get("ttl", ttl), f"{place}: ttl")
            weight = None if value.get("weight") is None else self._whole(value["weight"], f"{place}: weight")
            value = value.get("content")
        if value is None or isinstance(value, list | dict):
            raise ConfigError([f"{self._path}: {place}: content is expected"])
        return _Record(kind.upper(), str(value), ttl, weight)

    def _whole(self, value: Any, place: str) -> int:
        return whole(value, f"{self._path}: {place}")

    # -- services

    def _service(self, domain: _Domain, name: str, formats: Any) -> None:
        draft, place = self._draft, f"services: {name}"
        layers: dict[str, dict[str, list[Weights]]] = {}
        order: list[str] = []
        ttls: list[int] = []
        owners: list[str] = []
        """Names that it leads to."""
        if isinstance(formats, dict):
            networks = {key: value for key, value in formats.items() if key != "default"}
            for network, listed in networks.items():
                group = self._literal(domain, name, _strings(listed), f"{place}: {network}", ttls, owners)
                if group:
                    try:
                        prefix = str(ipaddress.ip_network(str(network), strict=False))
                    except ValueError as exc:
                        raise ConfigError([f"{self._path}: {place}: {exc}"]) from exc
                    layers.setdefault("networks", {})[draft.add_prefix(prefix)] = [group]
            if networks:
                order.append("networks")
            formats = formats.get("default", [])
        default: list[Weights] = []
        unknown: list[Weights] = []
        for text in _strings(formats):
            placeholders = frozenset(PLACEHOLDER.findall(text)) - {"%"}
            if placeholders == {"mp"}:
                kinds = self._mapped(domain, text)
            else:
                kinds = [(LAYERS.get(placeholders, ""), dict(self._keys(domain, text, placeholders)))]
            if not kinds or not all(layer for layer, _ in kinds):
                draft.lose(place, f"{text}: geosteer has no layer for these placeholders")
                continue
            for layer, keys in kinds:
                for key, owner in keys.items():
                    owners.append(owner)
                    group = self._group(domain, owner, name, ttls)
                    if not group:
                        continue
                    if layer == "default":
                        default = default or [group]
                    elif key == UNKNOWN:
                        unknown = unknown or [group]
                    else:
                        layers.setdefault(layer, {}).setdefault(key, [group])
                if layer != "default" and layer not in order and layer in layers:
                    order.append(layer)
        if not default:
            default = unknown or self._everybody(layers)
            draft.note(
                place, "clients of places that are not listed got no records; now they get the map's default"
            )
        usual = [
            layer
            for layer in ("networks", "asns", "subdivisions", "countries", "continents")
            if layer in order
        ]
        steering = Steering(default, dict(layers), order=() if order == usual else tuple(order))
        https = self._https(domain, name, owners, ttls)
        service(
            draft,
            name,
            steering,
            min(ttls, default=domain.ttl),
            None,
            place,
            name.removesuffix(f".{domain.name}"),
        )
        bind(draft, name, https)

    def _https(self, domain: _Domain, name: str, owners: Iterable[str], ttls: list[int]) -> list[Place]:
        """The HTTPS records of the names that a service leads to; none where they cannot be its own."""
        records = {owner: domain.records[owner] for owner in owners if owner in domain.records}
        https = {
            owner: [each for each in several if each.kind == "HTTPS"] for owner, several in records.items()
        }
        every = [(owner, record) for owner, several in https.items() for record in several]
        odd = [
            (owner, record) for owner, record in every if record.weight is not None or "%" in record.content
        ]
        for owner, record in odd:
            self._draft.lose(f"records: {owner} HTTPS", f"{record.content}: has a weight or a placeholder")
        static = any(record.kind == "HTTPS" for record in domain.records.get(name, ()))
        if every and static:
            self._draft.lose(f"services: {name}", "HTTPS: records of places beside one of the name itself")
        if odd or static or not every:
            return []
        ttls += [record.ttl for _, record in every]
        if len(set(ttls)) > 1:
            self._note_ttls(name)
        places = []
        for owner, several in records.items():
            addresses = [each for each in several if each.kind in {"A", "AAAA"} and "%" not in each.content]
            node = self._node(addresses, owner)
            places.append(
                Place(
                    owner,
                    tuple(record.content for record in https[owner]),
                    frozenset((*node.a, *node.aaaa)),
                    any(record.weight is not None for record in addresses),
                )
            )
        return places

    def _literal(
        self, domain: _Domain, name: str, formats: list[str], place: str, ttls: list[int], owners: list[str]
    ) -> Weights:
        """The nodes of a network's formats, which name records as they are."""
        for text in formats:
            if PLACEHOLDER.search(text):
                self._draft.lose(place, f"{text}: placeholders within a network")
                continue
            owner = text.lower().rstrip(".")
            owners.append(owner)
            if group := self._group(domain, owner, name, ttls):
                return group
        return {}

    def _keys(self, domain: _Domain, text: str, placeholders: frozenset[str]) -> Iterator[tuple[str, str]]:
        """The keys of a layer that records stand for, and the names of these."""
        if not placeholders:
            yield "default", text.lower().rstrip(".")
            return
        seen: set[str] = set()

        def group(match: re.Match[str]) -> str:
            what = match[1]
            if what in seen:
                return f"(?P={what})"
            seen.add(what)
            return rf"(?P<{what}>[^.]+)"

        pieces, at = [], 0
        for match in PLACEHOLDER.finditer(text):
            pieces += [re.escape(text[at : match.start()].lower()), "%" if match[1] == "%" else group(match)]
            at = match.end()
        pattern = re.compile("".join([*pieces, re.escape(text[at:].lower().rstrip("."))]))
        for owner in domain.records:
            made = pattern.fullmatch(owner)
            if made:
                key = key_of(made.groupdict())
                if key:  # others are names like any other
                    yield key, owner

    def _mapped(self, domain: _Domain, text: str) -> list[tuple[str, dict[str, str]]]:
        """Layers with keys by `custom_mapping`, one of each of `mapping_lookup_formats`: the first that is found counts."""
        mapping = domain.mapping["custom_mapping"] or {}
        if not isinstance(mapping, dict):
            raise ConfigError([f"{self._path}: {domain.name}: custom_mapping: settings are expected"])
        kinds = []
        for lookup in _strings(domain.mapping["mapping_lookup_formats"] or []):
            escaped = re.escape(lookup).replace(r"\%", "%")
            form = re.compile(PLACEHOLDER.sub(lambda match: rf"(?P<{match[1]}>[^.-]+)", escaped))
            keys = {}
            for value, target in mapping.items():
                made = form.fullmatch(str(value).lower())
                key = key_of(made.groupdict()) if made else ""
                owner = text.replace("%mp", str(target)).lower().rstrip(".")
                if key and owner in domain.records:
                    keys[key] = owner
                elif key:
                    self._draft.lose(
                        f"{domain.name}: custom_mapping: {value}",
                        f"no records {owner}; geosteer asks the next layer",
                    )
            kinds.append((LAYERS.get(frozenset(PLACEHOLDER.findall(lookup)), ""), keys))
        return kinds

    def _group(self, domain: _Domain, owner: str, name: str, ttls: list[int]) -> Weights:
        """The nodes that the records of a name are."""
        records = domain.records.get(owner)
        if not records:
            return {}
        domain.used.add(owner)
        contents = [record for record in records if record.kind in {"A", "AAAA", "CNAME"}]
        for record in records:
            if record not in contents and record.kind != "HTTPS":
                self._draft.lose(
                    f"records: {owner}",
                    f"{record.kind}: geosteer has one for all clients",
                )
        if bad := [record for record in contents if "%" in record.content]:
            self._draft.lose(f"records: {owner}", f"{bad[0].content}: contents with placeholders")
            return {}
        ttls += [record.ttl for record in contents]
        if len({record.ttl for record in contents} | set(ttls)) > 1:
            self._note_ttls(name)
        label = owner.split(".", maxsplit=1)[0] if owner != domain.name else domain.name
        names = [label, relative(owner, domain.name)]
        if not any(record.weight is not None for record in contents):
            node = self._node(contents, owner)
            return {self._draft.add_node(names, node): 1} if node.a or node.aaaa or node.hostname else {}
        group: Weights = {}
        for number, record in enumerate(contents, 1):
            node = self._node([record], owner)
            weight = DEFAULT_WEIGHT if record.weight is None else record.weight
            group[self._draft.add_node([f"{each}-{number}" for each in names], node)] = weight
        return group

    def _note_ttls(self, name: str) -> None:
        self._draft.note(f"services: {name}", "records with several TTLs: the lowest one counts for all")

    def _node(self, records: list[_Record], owner: str) -> Node:
        node = Node()
        try:
            for record in records:
                if record.kind == "A":
                    node.a = (*node.a, str(ipaddress.IPv4Address(record.content)))
                elif record.kind == "AAAA":
                    node.aaaa = (*node.aaaa, str(ipaddress.IPv6Address(record.content)))
                else:
                    node.hostname = record.content.lower().rstrip(".")
        except ValueError as exc:
            raise ConfigError([f"{self._path}: {owner}: {exc}"]) from exc
        return node

    @staticmethod
    def _everybody(layers: Mapping[str, Mapping[str, list[Weights]]]) -> list[Weights]:
        """All nodes alike, for a map that has no default."""
        every: Weights = {}
        for keys in layers.values():
            for ranking in keys.values():
                every |= dict.fromkeys(ranking[0], 1)
        return [every] if every else []

    # -- zones

    def _zone(self, domain: _Domain) -> None:
        draft, zone = self._draft, Zone()
        draft.zones[domain.name] = zone
        hidden = sorted(domain.used - draft.services.keys())
        if hidden:
            draft.note(
                domain.name, f"names that services lead to, such as {hidden[0]}, are not served by themselves"
            )
        for owner, records in domain.records.items():
            if owner in domain.used:
                continue
            for record in records:
                place = f"records: {owner} {record.kind}"
                if record.kind == "LUA" or "%" in record.content:
                    draft.lose(place, f"{record.content}: contents that are worked out")
                elif record.weight is not None:
                    draft.lose(place, "a weight without a service: all of its records are given")
                elif record.kind == "SOA" and owner == domain.name:
                    self._soa(zone, record, domain)
                elif record.kind == "NS" and owner == domain.name:
                    zone.ns.append(record.content.lower().rstrip("."))
                    zone.ns_ttl = record.ttl
                else:
                    self._static(zone, owner, record, place)
        if not zone.soa:
            draft.lose(domain.name, "no SOA record: one is made up")
            first = zone.ns[0] if zone.ns else f"ns1.{domain.name}"
            zone.soa = {"mname": first, "rname": f"hostmaster.{domain.name}"}

    def _static(self, zone: Zone, owner: str, record: _Record, place: str) -> None:
        try:
            dns.rdata.from_text("IN", record.kind, record.content)
        except (dns.exception.DNSException, ValueError) as exc:
            self._draft.lose(place, f"{record.content}: {exc or 'not such a record'}")
            return
        zone.records.append((owner, record.kind, record.content, record.ttl))

    def _soa(self, zone: Zone, record: _Record, domain: _Domain) -> None:
        words = record.content.split()
        try:
            mname, rname = words[:2]
            numbers = [int(word) for word in words[2:]]
        except ValueError:
            raise ConfigError(
                [f"{self._path}: {domain.name} SOA: mname, rname and numbers are expected"]
            ) from None
        zone.soa = {"mname": mname.rstrip("."), "rname": rname.rstrip("."), "ttl": record.ttl}
        for key, number in zip(("refresh", "retry", "expire", "minimum"), numbers[1:], strict=False):
            zone.soa[key] = number


def _strings(value: Any) -> list[str]:
    return [str(entry) for entry in value] if isinstance(value, list) else [str(value)]

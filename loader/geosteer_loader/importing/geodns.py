"""`geosteer import geodns`: a directory of geodns's zones (JSON, one file a zone).

`www.europe` is what `www` is for clients of Europe: labels that end in a place are keys of the layers of `www`'s map.
Source: github.com/abh/geodns, README and zones/reader.go.
"""

from __future__ import annotations

import ipaddress
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from geosteer.errors import ConfigError
from geosteer_loader.importing import bounded_file
from geosteer_loader.importing.draft import Draft, Node, Zone
from geosteer_loader.importing.geodns_places import CONTINENT_NAMES, REGION_GROUPS
from geosteer_loader.importing.shapes import entries, text, whole
from geosteer_loader.importing.steering import Steering, service
from geosteer_loader.sources.countries import COUNTRIES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from geosteer_loader.importing.draft import Weights

MOST_BYTES = 64 << 20
DEFAULT_TTL, DEFAULT_HOSTS = 120, 2
"""Of a zone that says nothing of them."""
_GEO = {"a", "aaaa", "cname", "alias"}
_OPTIONS = {"ttl", "max_hosts", "closest", "health"}
_PLACED = {"a", "aaaa", "cname"}
"""What places have of their own."""
_AS = re.compile(r"as([1-9][0-9]{0,9})")
_REGION = re.compile(r"([a-z]{2})-([a-z0-9]{1,3})")
_ADDRESS = re.compile(r"(?:(.*)\.)?\[([0-9a-fA-F.:]+)\]")
_ALIASES = 20
"""Aliases of aliases."""


@dataclass(slots=True)
class _Label:
    """A name of a zone, and what places have for it."""

    spec: dict[str, Any] = field(default_factory=dict)
    places: list[tuple[str, list[str], dict[str, Any]]] = field(default_factory=list)
    """Layer, its keys, and what clients there get."""


def draft_of(folder: Path) -> Draft:
    """What the directory says. Raises: ConfigError: something in it cannot be read."""
    if not folder.is_dir():
        raise ConfigError([f"{folder}: not a directory; geodns reads its zones from one"])
    draft = Draft(f"geodns's {folder}")
    paths = sorted(
        path for path in folder.iterdir() if path.suffix == ".json" and not path.name.startswith(".")
    )
    if not paths:
        raise ConfigError([f"{folder}: no zones: NAME.json"])
    for path in paths:
        _Zone(draft, path).add()
    return draft


class _Zone:
    def __init__(self, draft: Draft, path: Path) -> None:
        self._draft, self._path = draft, path
        self._name = path.name.removesuffix(".json").lower()
        self._document = _load(path)
        self._targeting = set(str(self._document.get("targeting", "")).split())
        self._labels: dict[str, _Label] = {}
        self._ttl = self._whole(self._document.get("ttl", DEFAULT_TTL), "ttl")

    def add(self) -> None:
        """Take the zone into the draft."""
        draft, document = self._draft, self._document
        for key in document.keys() - {
            "serial",
            "origin",
            "ttl",
            "max_hosts",
            "targeting",
            "contact",
            "logging",
            "data",
            "closest",
        }:
            draft.lose(f"{self._path.name}: {key}", "unknown")
        data = document.get("data")
        if not isinstance(data, dict):
            raise ConfigError([f"{self._path}: line 1: `data` is missing"])
        zone = draft.zones[self._name] = Zone()
        for label, spec in sorted(data.items(), key=lambda item: item[0].count(".")):
            if not isinstance(spec, dict):
                raise ConfigError([f"{self._path}: data: {label}: settings in braces are expected"])
            self._sort_in(label.lower(), spec, data)
        apex = self._labels.get("", _Label()).spec
        zone.ns = self._servers(apex.get("ns"))
        zone.ns_ttl = self._ttl
        contact = self._text(document.get("contact") or f"hostmaster.{self._name}", "contact")
        mname = zone.ns[0] if zone.ns else f"ns.{self._name}"
        zone.soa = {
            "mname": mname, "rname": contact.rstrip("."), "refresh": 5400, "retry": 5400, "expire": 1209600,
            "minimum": 3600, "ttl": min(self._ttl * 10, 3600) or 600,
        }  # fmt: skip
        for label, entry in self._labels.items():
            self._label(zone, label, entry)

    def _sort_in(self, label: str, spec: dict[str, Any], data: Mapping[str, Any]) -> None:
        """Put a label where it belongs: a name, or a place's part of one."""
        targeted = self._target(label)
        if targeted is not None and targeted[0] in self._labels:
            base, layer, keys = targeted
            self._labels[base].places.append((layer, keys, spec))
            self._draft.note(
                self._name, f"geodns answers names of places, such as {label}, by themselves too"
            )
        else:
            if targeted is not None and targeted[0] not in data and targeted[0]:
                self._draft.note(
                    f"{self._name}: {label}",
                    f"{targeted[0]} has nothing for everybody",
                )
            self._labels[label] = _Label(spec)

    def _target(self, label: str) -> tuple[str, str, list[str]] | None:
        """The name that a label is a place of, the layer and its keys; None: it is no place of this zone's targeting."""
        targeting = self._targeting
        if (match := _ADDRESS.fullmatch(label)) and "ip" in targeting:
            try:
                prefix = _prefix(match[2])
            except ValueError as exc:
                raise ConfigError([f"{self._path}: data: {label}: {exc}"]) from exc
            return match[1] or "", "networks", [prefix]
        base, _, last = label.rpartition(".")
        if (match := _AS.fullmatch(last)) and "asn" in targeting:
            return base, "asns", [f"AS{match[1]}"]
        if "regiongroup" in targeting and last in REGION_GROUPS:
            return base, "subdivisions", REGION_GROUPS[last]
        if (match := _REGION.fullmatch(last)) and match[1].upper() in COUNTRIES and "region" in targeting:
            return base, "subdivisions", [last.upper()]
        if last.upper() in COUNTRIES and "country" in targeting:
            return base, "countries", [last.upper()]
        if last in CONTINENT_NAMES and "continent" in targeting:
            return base, "continents", [CONTINENT_NAMES[last]]
        return None

    # -- a name

    def _label(self, zone: Zone, label: str, entry: _Label) -> None:
        owner = f"{label}.{self._name}" if label else self._name
        ttl = self._whole(entry.spec.get("ttl", self._ttl), f"{label}: ttl")
        for kind, value in self._spec(entry).items():
            if kind in _GEO | _OPTIONS or value is None:
                continue
            if kind == "ns" and (
                not label or "alias" in entry.spec
            ):  # of the zone itself, as whose alias nobody asks
                continue
            zone.records += [(owner, *record, ttl) for record in self._static(kind, value, owner)]
        for layer, keys, spec in entry.places:
            for kind in sorted(spec.keys() - _PLACED):
                if kind in _OPTIONS and spec[kind] == entry.spec.get(kind, self._document.get(kind)):
                    continue
                self._draft.lose(f"{owner}: {layer} {keys[0]}", f"{kind}: geosteer has one for all clients")
        resolved, places, cname = self._resolved(label, entry)
        if resolved is None:
            return
        if not places and cname and len(resolved) == 1 and not entry.spec.get("closest"):
            zone.records.append((owner, "CNAME", f"{next(iter(resolved))[1]}.", ttl))
            return
        self._steer(owner, label, entry, resolved, places, ttl)

    def _spec(self, entry: _Label) -> Mapping[str, Any]:
        """What a name has for everybody; an alias has all that the other name has."""
        for _ in range(_ALIASES):
            other = self._labels.get(str(entry.spec.get("alias"))) if "alias" in entry.spec else None
            if other is None:
                break
            entry = other
        return entry.spec

    def _resolved(
        self, label: str, entry: _Label, depth: int = 0
    ) -> tuple[
        list[tuple[str, str, int]] | None, list[tuple[str, list[str], list[tuple[str, str, int]]]], bool
    ]:
        """What a name has for everybody and for each place: type, content, weight; and whether it is names.

        None: nothing that depends on clients.
        """
        if "alias" in entry.spec:
            target = self._text(entry.spec["alias"], f"{label}: alias")
            if depth >= _ALIASES or target not in self._labels:
                self._draft.lose(f"{self._name}: {label}", f"alias {target}: no such name")
                return None, [], False
            other = self._labels[target]
            own = {key: value for key, value in entry.spec.items() if key in _OPTIONS}
            merged = _Label({**other.spec, **own}, [*other.places, *entry.places])
            return self._resolved(target, merged, depth + 1)
        everybody = self._contents(entry.spec, label)
        places = [(layer, keys, self._contents(spec, label)) for layer, keys, spec in entry.places]
        places = [(layer, keys, contents) for layer, keys, contents in places if contents]
        if not everybody and not places:
            return None, [], False
        cname = all(kind == "CNAME" for kind, _, _ in everybody)
        return everybody, places, cname

    def _contents(self, spec: Mapping[str, Any], label: str) -> list[tuple[str, str, int]]:
        made = []
        for kind in ("a", "aaaa", "cname"):
            value = spec.get(kind)
            if value is None:
                continue
            for entry in (
                [value] if isinstance(value, dict) else entries(value, f"{self._path}: {label}: {kind}")
            ):
                content, weight = self._content(entry, kind, f"{label}: {kind}")
                if kind == "cname":
                    content = _absolute(content if content.endswith(".") else f"{content}.{self._name}")
                made.append((kind.upper(), content, weight))
        return made

    def _content(self, entry: Any, kind: str, place: str) -> tuple[str, int]:
        """Content and weight of a record; 0: none is given."""
        weight: Any = 0
        if isinstance(entry, dict):
            content, weight = entry.get("ip") or entry.get(kind), entry.get("weight", 0)
        elif isinstance(entry, list) and entry:
            content, weight = entry[0], entry[1] if len(entry) > 1 else 0
        else:
            content = entry
        if not isinstance(content, str):
            raise ConfigError([f"{self._path}: data: {place}: text is expected"])
        try:
            if kind == "a":
                content = str(ipaddress.IPv4Address(content))
            elif kind == "aaaa":
                content = str(ipaddress.IPv6Address(content))
        except ValueError as exc:
            raise ConfigError([f"{self._path}: data: {place}: {exc}"]) from exc
        return content, self._whole(weight, place)

    def _steer(
        self, owner: str, label: str, entry: _Label, everybody: list[tuple[str, str, int]],
        places: list[tuple[str, list[str], list[tuple[str, str, int]]]], ttl: int,
    ) -> None:  # fmt: skip
        draft = self._draft
        hosts = self._whole(
            entry.spec.get("max_hosts", self._document.get("max_hosts", DEFAULT_HOSTS)), f"{label}: max_hosts"
        )
        closest = bool(entry.spec.get("closest", self._document.get("closest", False)))
        layers: dict[str, dict[str, list[Weights]]] = {}
        default = self._group(everybody, label or self._name, entry.spec)
        for layer, keys, contents in places:
            place = "net" if layer == "networks" else keys[0].lower()
            group = self._group(contents, f"{label or self._name}-{place}", entry.spec)
            for key in keys:
                name = draft.add_prefix(key) if layer == "networks" else key
                layers.setdefault(layer, {}).setdefault(name, [group])
        if not default:
            draft.lose(owner, "has nothing for clients of other places; they get all of its nodes")
            default = {
                node: 1 for keys in layers.values() for ranking in keys.values() for node in ranking[0]
            }
        steering = Steering(
            [default], layers, answers=max(1, min(hosts, 8, self._most(default, layers))), nearest=closest
        )
        if closest:
            draft.lose(owner, "closest: geodns looks up where its servers are; give the nodes their location")
        service(draft, owner, steering, ttl, None, owner, label or self._name)
        made = draft.services.get(owner)
        if made is not None and not closest and len(default) > 1:
            made.setdefault("policy", "weighted")  # equal weights too are a draw
        draft.note(
            self._name,
            "geodns draws for each question, geosteer for each network of clients; the shares are equal",
        )

    def _most(self, default: Weights, layers: Mapping[str, Mapping[str, list[Weights]]]) -> int:
        return max(
            len(default), *(len(ranking[0]) for keys in layers.values() for ranking in keys.values()), 1
        )

    def _group(self, contents: list[tuple[str, str, int]], label: str, spec: Mapping[str, Any]) -> Weights:
        """Nodes of these records; addresses of both families in the same order, with the same weights, are of one node."""
        v4, v6 = (
            [(content, weight) for kind, content, weight in contents if kind == which]
            for which in ("A", "AAAA")
        )
        group: Weights = {}
        paired = [weight for _, weight in v4] == [weight for _, weight in v6]
        if not paired and v4 and v6:
            self._draft.note(
                f"{self._name}: {label}",
                "both families are drawn apart: nodes have one family each",
            )
        nodes: list[tuple[Node, int]] = []
        if paired:
            nodes = [
                (Node(a=(a,), aaaa=(aaaa,)), weight) for (a, weight), (aaaa, _) in zip(v4, v6, strict=True)
            ]
        else:
            nodes = [(Node(a=(a,)), weight) for a, weight in v4] + [
                (Node(aaaa=(aaaa,)), weight) for aaaa, weight in v6
            ]
        nodes += [(Node(hostname=content), weight) for kind, content, weight in contents if kind == "CNAME"]
        alike = not any(weight for _, weight in nodes)
        for number, (node, weight) in enumerate(nodes, 1):
            self._check(node, spec.get("health"), label)
            name = self._draft.name_of(node) or self._draft.add_node(
                [f"{label or self._name}-{number}"], node
            )
            group[name] = 1 if alike else weight
        return group

    def _check(self, node: Node, health: Any, label: str) -> None:
        if health is None:
            return
        kind = health.get("type") if isinstance(health, dict) else None
        if kind != "tcp":
            self._draft.lose(
                f"{self._name}: {label}: health",
                f"{kind}: write a check, or feed states with `geosteer feed`",
            )
            return
        interval, timeout = (
            self._whole(health.get(key, default), f"{label}: health")
            for key, default in (("frequency", 30), ("timeout", 3))
        )
        retries = max(1, self._whole(health.get("retries", 2), f"{label}: health"))
        node.checks.append(
            {
                "type": "tcp", "port": self._whole(health.get("port", 80), f"{label}: health"), "interval": interval,
                "timeout": min(timeout, interval), "profile": {"up": 1, "ok": 1, "down": retries},
            }
        )  # fmt: skip

    def _static(self, kind: str, value: Any, owner: str) -> Iterator[tuple[str, str]]:
        """Type and content of records that are the same for everybody."""
        place = f"{owner}: {kind}"
        if kind == "ns":
            yield from (("NS", f"{name}.") for name in self._servers(value))
            return
        listed = [value] if isinstance(value, dict) else entries(value, f"{self._path}: {place}")
        for entry in listed:
            fields = entry if isinstance(entry, dict) else {kind: entry}
            if isinstance(entry, list):  # content and, maybe, weight
                fields = dict(zip((kind, "weight"), entry, strict=False))
            if len(listed) > 1 and self._whole(fields.get("weight", 0), place):
                self._draft.lose(place, "weights: all of its records are given")
            if kind == "ptr":
                yield "PTR", f"{self._text(fields.get('ip') or fields.get('ptr'), place)}."
            elif kind in {"txt", "spf"}:
                words = self._text(fields.get(kind), place, name=False)
                quoted = words.replace("\\", "\\\\").replace('"', '\\"')
                yield (
                    "TXT",
                    " ".join(f'"{quoted[at : at + 255]}"' for at in range(0, len(quoted), 255)) or '""',
                )
            elif kind == "mx":
                yield (
                    "MX",
                    f"{self._whole(fields.get('preference', 0), place)} {self._text(fields.get('mx'), place)}.",
                )
            elif kind == "srv":
                target = self._text(fields.get("target"), place, name=False)
                target = target if target.endswith(".") else f"{target}.{self._name}."
                numbers = (
                    self._whole(fields.get(key, 0), place) for key in ("priority", "srv_weight", "port")
                )
                yield "SRV", f"{' '.join(map(str, numbers))} {target.lower()}"
            else:
                self._draft.lose(place, "geodns has no such type, and ignores it")
                return

    def _servers(self, value: Any) -> list[str]:
        """Names of name servers: a list, one alone, or keys of a table."""
        listed = list(value) if isinstance(value, dict) else entries(value, f"{self._path}: ns")
        return [self._text(entry, "ns") for entry in listed]

    def _text(self, value: Any, place: str, *, name: bool = True) -> str:
        made = text(value, f"{self._path}: {place}")
        return _absolute(made) if name else made

    def _whole(self, value: Any, place: str) -> int:
        return whole(value, f"{self._path}: {place}")


def _load(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(bounded_file.read(path, MOST_BYTES))
    except json.JSONDecodeError as exc:
        raise ConfigError([f"{path}: line {exc.lineno}: {exc.msg}"]) from exc
    except (ValueError, RecursionError) as exc:
        raise ConfigError([f"{path}: not JSON: {exc or type(exc).__name__}"]) from exc
    if not isinstance(document, dict):
        raise ConfigError([f"{path}: line 1: settings in braces are expected"])
    return document


def _absolute(name: str) -> str:
    return name.lower().rstrip(".")


def _prefix(text: str) -> str:
    """What an address in brackets stands for: the /24 or /48 that begins with it, else the address alone.

    Raises: ValueError: no address.
    """
    address = ipaddress.ip_address(text)
    length, whole = (24, 32) if address.version == 4 else (48, 128)
    begins = int(address) & ((1 << whole - length) - 1) == 0
    return f"{address}/{length if begins else whole}"

"""`geosteer import bind-geoip`: BIND's views that clients come to by place or network, and the zones that differ between them.

The first view that matches answers: views are keys of the layers of maps, in the order in which their kinds come first.
Source: BIND 9 Administrator Reference Manual, address_match_list and `geoip`.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from geosteer.errors import ConfigError
from geosteer_loader.importing import named_conf
from geosteer_loader.importing.draft import Draft, Node, Zone
from geosteer_loader.importing.steering import Steering, service
from geosteer_loader.importing.three_letters import THREE_LETTERS
from geosteer_loader.importing.zone_text import ZoneFile, seconds, zone_soa
from geosteer_loader.sources.countries import CONTINENTS, COUNTRIES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from geosteer_loader.importing.draft import Weights
    from geosteer_loader.importing.named_conf import Statement
    from geosteer_loader.importing.zone_text import Line

ANSWERS = {"A", "AAAA", "CNAME"}
"""Types that may differ between clients."""
MASTERS = {"master", "primary"}
OF_PATCH = "country_"
"""Countries as the patch wrote them that BIND had before `geoip`: `country_US`."""
DEEPEST = 20
"""Access lists that name each other."""


@dataclass(slots=True)
class _View:
    name: str
    keys: list[tuple[str, str]] = field(default_factory=list)
    """Layer and key; for `networks` the prefix."""
    everybody: bool = False
    zones: dict[str, Path] = field(default_factory=dict)


def draft_of(path: Path) -> Draft:
    """What the file says. Raises: ConfigError: it cannot be read, or has no views."""
    return _Import(path).draft()


class _Import:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._config = named_conf.load(path)
        self._draft = Draft(f"BIND's {path}")
        self._acls = {acl.words[1]: acl.block for acl in self._config.named("acl") if len(acl.words) > 1}
        options = self._config.named("options")
        directory = next((entry.words[1] for entry in options[0].named("directory")), ".") if options else "."
        self._directory = path.parent / directory
        self._ttls: dict[str, int] = {}

    def draft(self) -> Draft:
        views = [self._view(statement) for statement in self._config.named("view")]
        if not views:
            raise ConfigError([f"{self._path}: line 1: no views: there is nothing that depends on clients"])
        for at, view in enumerate(views):
            if view.everybody and at < len(views) - 1:
                self._draft.lose(
                    f"view {views[at + 1].name}", f"comes after view {view.name}, which answers everybody"
                )
        views = views[: next((at for at, view in enumerate(views) if view.everybody), len(views)) + 1]
        for zone in dict.fromkeys(zone for view in views for zone in view.zones):
            self._zone(zone, views)
        return self._draft

    def _view(self, statement: Statement) -> _View:
        view = _View(statement.words[1] if len(statement.words) > 1 else "unnamed")
        place = f"view {view.name}"
        for matched in statement.named("match-clients"):
            self._match(view, matched.block, place, 0)
        if not statement.named("match-clients"):
            view.everybody = True
        for word in ("match-destinations", "match-recursive-only"):
            if statement.named(word):
                self._draft.lose(place, f"{word}: geosteer goes by the client alone")
        for zone in [*statement.named("zone"), *self._config.named("zone")]:
            kinds = {entry.words[1].lower() for entry in zone.named("type") if len(entry.words) > 1}
            files = [entry.words[1] for entry in zone.named("file") if len(entry.words) > 1]
            if len(zone.words) > 1 and kinds & MASTERS and files:
                view.zones.setdefault(zone.words[1].lower().rstrip("."), self._directory / files[0])
        return view

    def _match(self, view: _View, block: list[Statement], place: str, depth: int) -> None:
        """Take in an address match list: its elements are asked in order, and none of them is taken back."""
        for element in block:
            words = element.words
            first = words[0] if words else ""
            if first == "any":
                view.everybody = True
            elif first in self._acls and depth < DEEPEST:
                self._match(view, self._acls[first], place, depth + 1)
            elif first == "geoip" or first.startswith(OF_PATCH):
                key = _geoip(words[1:] if first == "geoip" else first.split("_", 1))
                if key is None:
                    self._draft.lose(place, f"{' '.join(words)}: geosteer has no such layer")
                else:
                    view.keys.append(key)
            elif first.startswith("!") or first in {"none", "key", "localhost", "localnets"} or not words:
                self._draft.lose(
                    place, f"{' '.join(words) or 'a list in braces'}: geosteer has nothing like it"
                )
            else:
                try:
                    view.keys.append(
                        ("networks", str(ipaddress.ip_network(_whole_prefix(first), strict=False)))
                    )
                except ValueError as exc:
                    raise ConfigError(
                        [f"{element.place}: {first}: neither an access list nor an address ({exc})"]
                    ) from exc

    def _zone(self, name: str, views: list[_View]) -> None:
        """Take in a zone: what its files share is static, what differs depends on the client."""
        draft, lines = self._draft, {}
        for view in views:
            if name in view.zones:
                lines[view.name] = self._lines(name, view.zones[name])
            else:
                draft.lose(f"view {view.name}", f"has no zone {name}; its clients get that of the next layer")
        last = next(view for view in reversed(views) if view.name in lines)
        zone = draft.zones[name] = Zone()
        for line in lines[last.name]:
            if line.kind == "SOA":
                zone.soa = zone_soa(line)
            elif line.kind == "NS" and line.name == name:
                zone.ns.append(line.content.removesuffix("."))
                zone.ns_ttl = seconds(line.ttl)
        sets = {view: _sets(listed) for view, listed in lines.items()}
        owners = dict.fromkeys(line.name for listed in lines.values() for line in listed)
        for owner in owners:
            mine = {
                view: {kind: sets[view].get((owner, kind), ()) for kind in _kinds(sets, owner)}
                for view in lines
            }
            varied = [kind for kind in _kinds(sets, owner) if len({rows[kind] for rows in mine.values()}) > 1]
            steered = bool(set(varied) & ANSWERS)
            for kind, rows in mine[last.name].items():
                if kind == "SOA" or (kind == "NS" and owner == name) or (steered and kind in ANSWERS):
                    continue
                zone.records += [(owner, kind, content, ttl) for content, ttl in rows]
            for kind in varied:
                if kind not in ANSWERS and kind != "SOA":
                    draft.lose(
                        f"{owner} {kind}", f"differs between views; that of view {last.name} is for all"
                    )
            if steered:
                self._service(owner, views, mine, last)

    def _lines(self, name: str, path: Path) -> list[Line]:
        file = ZoneFile(name)
        made = list(file.lines(path))
        if file.problems:
            raise ConfigError(file.problems)
        return made

    def _service(
        self,
        owner: str,
        views: list[_View],
        mine: Mapping[str, Mapping[str, tuple[tuple[str, int], ...]]],
        last: _View,
    ) -> None:
        draft = self._draft
        layers: dict[str, dict[str, list[Weights]]] = {}
        order: list[str] = []
        ttls = [ttl for rows in mine.values() for kind in ANSWERS for _, ttl in rows.get(kind, ())]
        default: list[Weights] = []
        for view in views:
            if view.name not in mine:
                continue
            group = self._group(owner, view, mine[view.name])
            if not group:
                draft.lose(
                    f"view {view.name}",
                    f"{owner}: has no address there; its clients get those of the next layer",
                )
                continue
            for layer, key in view.keys:
                if layer in order and layer != order[-1]:
                    draft.lose(
                        f"view {view.name}",
                        f"{key}: comes after another kind; geosteer asks one kind at a time",
                    )
                if layer not in order:
                    order.append(layer)
                named = draft.add_prefix(key) if layer == "networks" else key
                layers.setdefault(layer, {}).setdefault(named, [group])
            if view.everybody:
                default = [group]
        if not default:
            draft.lose(
                owner, f"no view answers everybody; clients that none matches get what view {last.name} has"
            )
            default = [self._group(owner, last, mine[last.name])]
        usual = [
            layer
            for layer in ("networks", "asns", "subdivisions", "countries", "continents")
            if layer in order
        ]
        steering = Steering(
            [group for group in default if group], layers, order=() if order == usual else tuple(order)
        )
        if len(set(ttls)) > 1:
            draft.note(owner, "several TTLs: the lowest one counts for all")
        service(draft, owner, steering, min(ttls, default=3600), None, owner, owner.partition(".")[0])

    def _group(self, owner: str, view: _View, rows: Mapping[str, tuple[tuple[str, int], ...]]) -> Weights:
        """The node that a name's addresses in a view are."""
        node = Node(
            a=tuple(content for content, _ in rows.get("A", ())),
            aaaa=tuple(content for content, _ in rows.get("AAAA", ())),
            hostname=next((content.removesuffix(".") for content, _ in rows.get("CNAME", ())), ""),
        )
        if not (node.a or node.aaaa or node.hostname):
            return {}
        return {self._draft.add_node([view.name, f"{view.name}-{owner.partition('.')[0]}"], node): 1}


def _sets(lines: list[Line]) -> dict[tuple[str, str], tuple[tuple[str, int], ...]]:
    """Name and type -> contents and TTLs, in one order."""
    made: dict[tuple[str, str], list[tuple[str, int]]] = {}
    for line in lines:
        made.setdefault((line.name, line.kind), []).append((line.content, seconds(line.ttl)))
    return {key: tuple(sorted(rows)) for key, rows in made.items()}


def _kinds(sets: Mapping[str, Mapping[tuple[str, str], object]], owner: str) -> list[str]:
    """The types of records that a name has in any view."""
    return list(dict.fromkeys(kind for rows in sets.values() for name, kind in rows if name == owner))


def _whole_prefix(text: str) -> str:
    """An address of BIND's, whose IPv4 prefixes may leave out octets: `10/8`."""
    address, slash, length = text.partition("/")
    if slash and ":" not in address:
        address += ".0" * (3 - address.count("."))
    return f"{address}{slash}{length}"


def _geoip(words: list[str]) -> tuple[str, str] | None:
    """Layer and key of `geoip [db NAME] FIELD VALUE`; None: geosteer has none."""
    if words[:1] == ["db"]:
        words = words[2:]
    if len(words) != 2:
        return None
    what, value = words[0].lower(), words[1]
    upper = value.upper()
    if what in {"country", "countrycode"}:
        code = upper if upper in COUNTRIES else THREE_LETTERS.get(upper, "")
        return ("countries", code) if code else None
    if what == "continent":
        return ("continents", upper) if upper in CONTINENTS else None
    if what == "asnum":
        number = upper.partition(" ")[0].removeprefix("AS")
        return ("asns", f"AS{int(number)}") if number.isdecimal() and int(number) else None
    return None

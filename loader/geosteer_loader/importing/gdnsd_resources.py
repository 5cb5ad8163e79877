"""gdnsd's resources but those of `geoip`: multifo, weighted, simplefo, metafo, static, each as a ranking of groups of nodes.

A datacenter becomes one node with all of its addresses, a resource that stands by itself one node an address.
Source: gdnsd-plugin-multifo(8), -weighted(8), -simplefo(8), -metafo(8), -static(8).
"""

from __future__ import annotations

import ipaddress
from math import gcd
from typing import TYPE_CHECKING, Any

from geosteer.errors import ConfigError
from geosteer_loader.importing.draft import Node
from geosteer_loader.importing.steering import Steering

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from geosteer_loader.importing.draft import Draft, Weights
    from geosteer_loader.importing.vscf import Value

    Spec = Mapping[str, Value]

PARAMETERS = {"service_types", "up_thresh", "ignore_health", "multi", "plugin"}
"""Keys of a resource that name no address."""
DEEPEST = 20
"""Resources that refer to each other."""
_FAMILIES = ("addrs_v4", "addrs_v6")
_THRESHOLDS = (("up_thresh", 20), ("ok_thresh", 10), ("down_thresh", 10))


class Resources:
    """Reads the resources of all plugins, and makes nodes of their addresses."""

    def __init__(self, draft: Draft, plugins: Spec, types: Spec) -> None:
        self._draft, self._plugins, self._types = draft, plugins, types

    def steering(self, plugin: str, resource: str, datacenter: str, place: str) -> Steering | None:
        """What a name that refers to a resource gives; None: nothing that geosteer has, and it was noted."""
        spec = self._spec(plugin, resource)
        if plugin == "metafo":
            ranking = self.metafo(resource, place)
            if datacenter:
                names = as_list(_hash(spec, place).get("datacenters", []))
                if datacenter not in names:
                    raise ConfigError([f"{place}: no datacenter {datacenter} there"])
                ranking = self.datacenter(
                    "metafo", resource, datacenter, _inherited(spec, self._plugin(plugin)), place
                )
            return Steering(ranking)
        if plugin == "multifo":
            members = dict.fromkeys(self._each(resource, spec, place), 1)
            if not members:
                return None
            return Steering([members], answers=self._answers(members))
        ranking = self.ranking(plugin, spec, [resource], place)
        return Steering(ranking) if ranking else None

    def _answers(self, members: Weights) -> int:
        """Nodes with an address of the family that most have one of."""
        nodes = [self._draft.nodes[name] for name in members]
        return max(sum(bool(node.a) for node in nodes), sum(bool(node.aaaa) for node in nodes), 1)

    def _plugin(self, name: str) -> dict[str, Value]:
        return _hash(self._plugins.get(name, {}), f"plugins.{name}")

    def _spec(self, plugin: str, resource: str) -> Value:
        """A resource's settings, with those of its plugin that it inherits."""
        settings = self._plugin(plugin)
        resources = (
            _hash(settings.get("resources", {}), f"plugins.{plugin}")
            if plugin in {"metafo", "geoip"}
            else settings
        )
        if resource not in resources:
            if plugin in {"reflect", "null"}:
                return {}
            raise ConfigError([f"plugins.{plugin}: no resource {resource}"])
        spec = resources[resource]
        if isinstance(spec, dict):
            inherited = {key: settings[key] for key in PARAMETERS & settings.keys()}
            return {**inherited, **spec}
        return spec

    def metafo(self, resource: str, place: str, depth: int = 0) -> list[Weights]:
        """The ranking of a metafo resource."""
        spec = _hash(self._spec("metafo", resource), place)
        names = as_list(spec.get("datacenters", []))
        if boolean(spec.get("skip_first")) and len(names) > 1:
            names = names[1:]
        params = _inherited(spec, self._plugin("metafo"))
        return [
            group
            for name in names
            for group in self.datacenter("metafo", resource, name, params, place, depth)
        ]

    def datacenter(
        self, plugin: str, resource: str, name: str, params: Spec, place: str, depth: int = 0
    ) -> list[Weights]:
        """What a datacenter of metafo or geoip gives: groups, best first.

        Args: params: what its resource hands down. Raises: ConfigError: no such datacenter, or a circle.
        """
        if depth > DEEPEST:
            raise ConfigError([f"{place}: more than {DEEPEST} resources refer to each other"])
        dcmap = _hash(_hash(self._spec(plugin, resource), place).get("dcmap", {}), f"{place}: dcmap")
        if name not in dcmap:
            raise ConfigError([f"plugins.{plugin}.resources.{resource}.dcmap: no datacenter {name}"])
        value = dcmap[name]
        names = [name, f"{resource}-{name}"]
        where = f"plugins.{plugin}.resources.{resource}.dcmap.{name}"
        default = str(params.get("plugin", "multifo"))
        if isinstance(value, str) and value[:1] in {"%", "!"}:
            other, _, rest = value.lstrip("%").partition("!")
            other, (target, _, inner) = other or default, rest.partition("/")
            if other == "metafo":
                if not inner:
                    return self.metafo(target, where, depth + 1)
                settings = _inherited(self._spec("metafo", target), self._plugin("metafo"))
                return self.datacenter("metafo", target, inner, settings, where, depth + 1)
            if other == "geoip":
                self._draft.lose(
                    where, f"{value}: a geoip resource within another one; the datacenter is left out"
                )
                return []
            return self.ranking(other, self._spec(other, target), names, where)
        if isinstance(value, dict):
            handed = {key: params[key] for key in PARAMETERS & params.keys()}
            spec: dict[str, Value] = {**handed, **value}
            return self.ranking(str(spec.get("plugin", default)), spec, names, where)
        if isinstance(value, str) and not _is_address(value):
            return [{self._draft.add_node(names, Node(hostname=value.removesuffix("."))): 1}]
        handed = {key: params[key] for key in PARAMETERS & params.keys()}
        labelled = {str(at): address for at, address in enumerate(as_list(value), 1)}
        return self.ranking("multifo", {**handed, **labelled}, names, where)

    def ranking(self, plugin: str, spec: Value, names: list[str], place: str) -> list[Weights]:
        """What a resource gives as a part of another one: groups, best first; addresses that are given together are one node.

        Args: names: for its node, the first that is free.
        """
        if plugin == "static":
            value = str(spec)
            node = (
                self._node([value], [], place)
                if _is_address(value)
                else Node(hostname=value.removesuffix("."))
            )
            return [{self._draft.add_node(names, node): 1}]
        if plugin == "multifo":
            pairs = list(self._labelled(spec, place))
            node = self._node([address for _, address, _ in pairs], self._types_of(pairs), place)
            self._note_together(pairs, place)
            return [{self._draft.add_node(names, node): 1}]
        if plugin == "simplefo":
            pairs = list(self._labelled(spec, place))
            groups = []
            for word in ("primary", "secondary"):
                mine = [pair for pair in pairs if pair[0] == word]
                if mine:
                    node = self._node([address for _, address, _ in mine], self._types_of(mine), place)
                    groups.append({self._draft.add_node([f"{name}-{word}" for name in names], node): 1})
            return groups
        if plugin == "weighted":
            return [self._weighted(spec, names, place)]
        self._draft.lose(place, f"plugin {plugin}: geosteer has nothing like it, and the name is left out")
        return []

    def _each(self, resource: str, spec: Value, place: str) -> Iterator[str]:
        """The nodes of a multifo resource that stands by itself: one a label, with its addresses of both families."""
        labelled: dict[str, list[tuple[str, str, list[str]]]] = {}
        for name, address, types in self._labelled(spec, place):
            labelled.setdefault(_family_free(name), []).append((name, address, types))
        for name, pairs in labelled.items():
            node = self._node([address for _, address, _ in pairs], self._types_of(pairs), place)
            names = [f"{resource}-{name}"] if name.isdigit() else [name, f"{resource}-{name}"]
            yield self._draft.add_node(names, node)
        if any(types for _, _, types in self._labelled(spec, place)) and len(labelled) > 2:
            self._draft.note(
                place,
                "up_thresh: gdnsd gives all where too few are up; see max_down of the map",
            )

    def _weighted(self, spec: Value, names: list[str], place: str) -> Weights:
        """The group of a weighted resource: one node an address, or a group of addresses, or a name."""
        spec = _hash(spec, place)
        params = {key: spec[key] for key in PARAMETERS & spec.keys()}
        families = [key for key in _FAMILIES if key in spec] or [""]
        entries: dict[str, list[tuple[int, list[str], list[str]]]] = {}
        for family in families:
            inner = {**params, **_hash(spec[family], place)} if family else spec
            types = as_list(inner.get("service_types", []))
            if boolean(inner.get("multi")):
                self._draft.lose(place, "multi: one of its members is given, where gdnsd gives several")
            for name, value in inner.items():
                if name in PARAMETERS or name in _FAMILIES:
                    continue
                pairs = _pairs(value, f"{place}.{name}")
                weights = [weight for _, weight in pairs]
                if len(set(weights)) > 1:
                    self._draft.lose(
                        f"{place}.{name}", "unequal weights within a group: all of its addresses are given"
                    )
                key = _family_free(name) if family or len(pairs) > 1 else name
                entries.setdefault(key, []).append((sum(weights), [address for address, _ in pairs], types))
        _of_one_scale(entries)
        group: Weights = {}
        for name, parts in entries.items():
            if len({weight for weight, _, _ in parts}) > 1:
                self._draft.lose(
                    f"{place}.{name}", "unequal weights of both families: that of the first counts"
                )
            contents = [content for _, listed, _ in parts for content in listed]
            if all(_is_address(content) for content in contents):
                types = list(dict.fromkeys(kind for _, _, listed in parts for kind in listed))
                node = self._node(contents, types, place)
            else:
                node = Node(hostname=contents[0].removesuffix("."))
            mine = [f"{first}-{name}" for first in names]
            wanted = mine if name.isdigit() else [name, *mine]
            group[self._draft.add_node(wanted, node)] = parts[0][0]
        if len(set(group.values())) > 1:
            self._draft.note(
                place,
                "gdnsd draws for each question, geosteer for each network of clients; the shares are equal",
            )
        return group

    def _labelled(self, spec: Value, place: str) -> Iterator[tuple[str, str, list[str]]]:
        """Label, address and service types of a resource of single addresses."""
        if not isinstance(spec, dict):
            for number, address in enumerate(as_list(spec), 1):
                yield str(number), address, []
            return
        params = {key: spec[key] for key in PARAMETERS & spec.keys()}
        families = [key for key in _FAMILIES if key in spec]
        for family in families:
            inner = spec[family]
            if isinstance(inner, dict):
                yield from self._labelled({**params, **inner}, place)
            else:
                listed: dict[str, Value] = {str(at): address for at, address in enumerate(as_list(inner), 1)}
                yield from self._labelled({**params, **listed}, place)
        types = as_list(spec.get("service_types", []))
        for name, value in spec.items():
            if name in PARAMETERS or name in _FAMILIES:
                continue
            if not isinstance(value, str) or not _is_address(value):
                raise ConfigError([f"{place}: {name}: an address is expected"])
            yield name, value, types

    def _note_together(self, pairs: list[tuple[str, str, list[str]]], place: str) -> None:
        """Say what becomes of addresses that are looked after one by one."""
        if any(types for _, _, types in pairs) and len(pairs) > 1:
            self._draft.note(
                place, "its addresses are one node, up while all are; gdnsd leaves out the one that is down"
            )

    @staticmethod
    def _types_of(pairs: list[tuple[str, str, list[str]]]) -> list[str]:
        return list(dict.fromkeys(kind for _, _, types in pairs for kind in types))

    def _node(self, addresses: list[str], types: list[str], place: str) -> Node:
        """A node of these addresses, with the checks of these service types."""
        parsed = [ipaddress.ip_address(address) for address in dict.fromkeys(addresses)]
        node = Node(
            a=tuple(str(address) for address in parsed if address.version == 4),
            aaaa=tuple(str(address) for address in parsed if address.version == 6),
        )
        for name in types:
            self._check(node, name, place)
        return node

    def _check(self, node: Node, name: str, place: str) -> None:
        """Have a node watched as a service type says (gdnsd.config(5), SERVICE_TYPES)."""
        if name == "up" or (name == "default" and name not in self._types):
            return
        if name == "down":
            node.assume = "down"
            return
        if name not in self._types:
            raise ConfigError([f"{place}: service_types: {name} is not defined"])
        where = f"service_types.{name}"
        spec = _hash(self._types[name], where)
        plugin = spec.get("plugin")
        if plugin == "static":
            node.assume = "down" if str(spec.get("state", "UP")).upper().startswith("DOWN") else node.assume
            return
        if plugin == "null":
            node.assume = "down"
            return
        common = _timing(spec)
        if plugin == "tcp_connect":
            node.checks.append({"type": "tcp", "port": whole(spec, "port", 0, where), **common})
        elif plugin == "http_status":
            port, path = whole(spec, "port", 80, where), str(spec.get("url_path", "/"))
            for address in (*node.a, *node.aaaa):
                host = f"[{address}]" if ":" in address else address
                check: dict[str, Any] = {
                    "type": "http",
                    "url": f"http://{host}{'' if port == 80 else f':{port}'}{path}",
                }
                codes = self._codes(spec, where)
                if codes != [200]:
                    check["status"] = codes if len(codes) > 1 else codes[0]
                if "vhost" in spec:
                    check["host"] = str(spec["vhost"])
                node.checks.append({**check, **common})
        elif plugin == "extfile":
            self._draft.lose(where, "extfile: the file is not read; feed the states by `geosteer feed`")
        else:
            self._draft.lose(where, f"{plugin}: geosteer has nothing like it; a check of type command may do")

    def _codes(self, spec: Spec, where: str) -> list[int]:
        """The good statuses of a check; gdnsd takes any numbers."""
        try:
            codes = [int(code) for code in as_list(spec.get("ok_codes", "200"))]
        except ValueError:
            raise ConfigError([f"{where}: ok_codes: whole numbers are expected"]) from None
        possible = [code for code in codes if 100 <= code <= 599]
        if possible != codes:
            self._draft.note(where, "ok_codes: those that no server gives (RFC 9110, 15) are left out")
        return possible or [200]


def _of_one_scale(entries: dict[str, list[tuple[int, list[str], list[str]]]]) -> None:
    """Have both families' weights in the smallest numbers, where they differ: what counts is their proportion."""
    if all(len({weight for weight, _, _ in parts}) == 1 for parts in entries.values()):
        return
    for at in range(max(map(len, entries.values()), default=0)):
        divisor = gcd(*(parts[at][0] for parts in entries.values() if at < len(parts)))
        for parts in entries.values():
            if at < len(parts):
                weight, contents, types = parts[at]
                parts[at] = weight // max(divisor, 1), contents, types


def _timing(spec: Spec) -> dict[str, Any]:
    """Interval, timeout and thresholds of a service type, as settings of a check."""
    interval = whole(spec, "interval", 10, "service_types")
    made: dict[str, Any] = {}
    if interval != 10:
        made["interval"] = interval
    made["timeout"] = whole(spec, "timeout", max(interval // 2, 1), "service_types")
    up, ok, down = (whole(spec, key, default, "service_types") for key, default in _THRESHOLDS)
    made["profile"] = (
        "gdnsd" if (up, ok, down) == (20, 10, 10) else {"up": up, "ok": min(ok, up), "down": down}
    )
    return made


def _pairs(value: Value, place: str) -> list[tuple[str, int]]:
    """Contents and weights of a member of a weighted resource: one pair, or several in a group."""
    if isinstance(value, dict):
        return [pair for inner in value.values() for pair in _pairs(inner, place)]
    try:
        content, weight = as_list(value)
        return [(content, int(weight))]
    except ValueError:
        raise ConfigError([f"{place}: [ address, weight ] is expected"]) from None


def _inherited(spec: Value, plugin: Spec) -> dict[str, Value]:
    """The parameters that a resource hands down to its datacenters."""
    return {
        **{key: plugin[key] for key in PARAMETERS & plugin.keys()},
        **(spec if isinstance(spec, dict) else {}),
    }


def _hash(value: Value, place: str) -> dict[str, Value]:
    if not isinstance(value, dict):
        raise ConfigError([f"{place}: settings in braces are expected"])
    return value


def as_list(value: Value) -> list[str]:
    """A list of strings; one alone is a list of one."""
    if isinstance(value, list):
        return [str(entry) for entry in value]
    return [str(value)]


def boolean(value: Value | None) -> bool:
    """Whether a setting is true; absent ones are not."""
    return str(value).lower() == "true"


def whole(spec: Spec, key: str, default: int, place: str) -> int:
    """A whole number. Raises: ConfigError: it is none."""
    try:
        return int(str(spec.get(key, default)))
    except ValueError:
        raise ConfigError([f"{place}: {key}: a whole number is expected"]) from None


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _family_free(name: str) -> str:
    """A label without what tells the family: `lb01.v6` and `lb01` are one machine."""
    for end in (".v6", "-v6", "_v6", ".v4", "-v4", "_v4"):
        if name.endswith(end) and len(name) > len(end):
            return name.removesuffix(end)
    return name

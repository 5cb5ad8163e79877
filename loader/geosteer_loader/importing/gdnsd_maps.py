"""gdnsd's geoip plugin: which ranking of datacenters is for which clients (gdnsd-plugin-geoip(8), CONFIGURATION - MAPS)."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from geosteer.errors import ConfigError
from geosteer_loader.importing import vscf
from geosteer_loader.importing.gdnsd_resources import as_list, boolean
from geosteer_loader.importing.steering import Steering
from geosteer_loader.sources.countries import CONTINENT, CONTINENTS, COUNTRIES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from geosteer_loader.importing.draft import Draft, Weights
    from geosteer_loader.importing.gdnsd_resources import Resources
    from geosteer_loader.importing.vscf import Value

AUTO = "auto"
"""In place of a list: by distance."""
_SUBDIVISION = re.compile(r"[A-Z0-9]{1,3}")


@dataclass(slots=True)
class _Map:
    """One map, with datacenters for nodes."""

    datacenters: list[str]
    default: list[str]
    layers: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    places: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Datacenter -> latitude and longitude, where clients go by distance."""
    networks: dict[str, list[str]] = field(default_factory=dict)
    """Network as it is named here -> datacenters; the layer `networks`."""


class Geography:
    """The maps and resources of the plugin."""

    def __init__(self, draft: Draft, folder: Path, spec: Value, resources: Resources) -> None:
        self._draft, self._folder, self._resources = draft, folder / "geoip", resources
        self._spec: Mapping[str, Value] = spec if isinstance(spec, dict) else {}
        self._maps: dict[str, _Map] = {}

    def steering(self, resource: str, datacenter: str, place: str) -> Steering | None:
        """What a name that refers to a resource, or to a datacenter of one, gives. Raises: ConfigError: no such thing."""
        listed = self._spec.get("resources", {})
        spec = listed.get(resource) if isinstance(listed, dict) else None
        if not isinstance(spec, dict):
            raise ConfigError([f"plugins.geoip: no resource {resource}"])
        params = {
            **{key: value for key, value in self._spec.items() if key not in {"maps", "resources"}},
            **spec,
        }
        if datacenter:
            return Steering(self._resources.datacenter("geoip", resource, datacenter, params, place))
        made = self._map(str(spec.get("map", "")), f"plugins.geoip.resources.{resource}")
        dcmap = spec.get("dcmap", {})
        defined = dcmap if isinstance(dcmap, dict) else {}
        groups: dict[str, list[Weights]] = {
            name: self._resources.datacenter("geoip", resource, name, params, place)
            for name in made.datacenters
            if name in defined
        }
        if made.places:
            self._locate(made, groups)
        skip = boolean(spec.get("skip_first"))

        def ranking(names: list[str]) -> list[Weights]:
            left = names[1:] if skip and len(names) > 1 else names
            return [group for name in left for group in groups.get(name, [])]

        layers: dict[str, dict[str, list[Weights]]] = {}
        for layer, keys in ({"networks": made.networks} | made.layers).items():
            for key, names in keys.items():
                if groups_of := ranking(names):
                    layers.setdefault(layer, {})[key] = groups_of
                else:
                    self._draft.lose(
                        place,
                        f"{layer}.{key}: no datacenter; gdnsd gives no records, geosteer the next layer",
                    )
        if len(layers) > 0:
            self._draft.note(
                f"plugins.geoip.maps.{spec.get('map')}",
                "where no datacenter of a list is up, geosteer goes on to the next layer; gdnsd gives the list's first",
            )
        return Steering(ranking(made.default), layers, nearest=bool(made.places), name=str(spec.get("map")))

    def _locate(self, made: _Map, groups: Mapping[str, list[Weights]]) -> None:
        nodes = self._draft.nodes
        for name, where in made.places.items():
            for node in {node for group in groups.get(name, []) for node in group}:
                if nodes[node].location not in {None, where}:
                    self._draft.lose(f"datacenter {name}", "two places of one node: the first counts")
                else:
                    nodes[node] = replace(nodes[node], location=where)

    def _map(self, name: str, place: str) -> _Map:
        made = self._maps.get(name)
        if made is None:
            listed = self._spec.get("maps", {})
            spec = listed.get(name) if isinstance(listed, dict) else None
            if not isinstance(spec, dict):
                raise ConfigError([f"{place}: map: no map {name or 'is named'}"])
            made = self._maps[name] = self._read(name, spec)
        return made

    def _read(self, name: str, spec: Mapping[str, Value]) -> _Map:
        where, draft = f"plugins.geoip.maps.{name}", self._draft
        datacenters = as_list(spec.get("datacenters", []))
        made = _Map(datacenters, datacenters)
        if "geoip2_db" in spec:
            self._source(str(spec["geoip2_db"]), where)
        coordinates = spec.get("auto_dc_coords")
        if isinstance(coordinates, dict):
            for datacenter, value in coordinates.items():
                try:
                    latitude, longitude = map(float, as_list(value))
                except ValueError:
                    raise ConfigError(
                        [f"{where}.auto_dc_coords.{datacenter}: [ latitude, longitude ] is expected"]
                    ) from None
                made.places[datacenter] = latitude, longitude
            made.default = [datacenter for datacenter in datacenters if datacenter in made.places]
            draft.note(
                where,
                "auto_dc_limit: geosteer ranks all nodes; those within 5 % of the nearest are equal",
            )
        if boolean(spec.get("ignore_ecs")):
            draft.lose(where, "ignore_ecs: geosteer goes by the client subnet where one is sent")
        table = spec.get("map", {})
        if isinstance(table, dict):
            self._level(made, table, (), where)
        nets = spec.get("nets", {})
        if isinstance(nets, str):
            nets = vscf.load(self._folder / nets)
        if isinstance(nets, dict):
            self._networks(made, nets, name, where)
        return made

    def _source(self, file: str, where: str) -> None:
        source = {"format": "mmdb", "path": str((self._folder / file).absolute())}
        if source not in self._draft.sources:
            if self._draft.sources:
                self._draft.lose(where, f"{file}: a second database; geosteer has one table for all maps")
                return
            self._draft.sources.append(source)

    def _level(self, made: _Map, table: Mapping[str, Value], above: tuple[str, ...], where: str) -> None:
        """Take in the places of one level of a map: continents, their countries, subdivisions of these."""
        for key, value in table.items():
            place = f"{where}.map.{'.'.join((*above, key))}"
            inner = value if isinstance(value, dict) else {"default": value}
            layer_key = self._layer_key(above, key) if key != "default" else None
            if key == "default":
                if above:
                    continue  # taken with the level above
                made.default = self._names(made, value, place) or made.default
                continue
            if layer_key is None:
                self._not_taken(above, key, place)
                continue
            if "default" in inner:
                layer, code = layer_key
                names = self._names(made, inner["default"], place)
                if names is not None:
                    made.layers.setdefault(layer, {})[code] = names
            if isinstance(value, dict):
                self._level(made, value, (*above, key), where)

    def _not_taken(self, above: tuple[str, ...], key: str, place: str) -> None:
        """Tell why a place of a map has no key here."""
        if not above:
            self._draft.lose(place, f"{key}: unknown continent")
        elif len(above) > 1:
            self._draft.lose(place, "geosteer knows continents, countries and their subdivisions, no cities")
        elif key in COUNTRIES:
            self._draft.lose(
                place,
                f"databases have {key} in {CONTINENT.get(key)}: gdnsd looks for it there, not in {above[0]}",
            )
        else:  # such as AP and EU, "countries" of databases until 2019
            self._draft.note(place, f"{key} is no country of today's databases: nobody matches")

    def _names(self, made: _Map, value: Value, place: str) -> list[str] | None:
        """The datacenters of a list; None: what holds all the same without being listed."""
        names = as_list(value)
        if names == [AUTO]:
            return [datacenter for datacenter in made.datacenters if datacenter in made.places]
        if unknown := [name for name in names if name not in made.datacenters]:
            raise ConfigError([f"{place}: no datacenter {unknown[0]}"])
        return names

    @staticmethod
    def _layer_key(above: tuple[str, ...], key: str) -> tuple[str, str] | None:
        if not above:
            return ("continents", key) if key in CONTINENTS else None
        if len(above) == 1:
            if key not in COUNTRIES:
                return None
            if CONTINENT.get(key) not in {above[0], None}:
                return None
            return "countries", key
        return ("subdivisions", f"{above[1]}-{key}") if _SUBDIVISION.fullmatch(key) else None

    def _networks(self, made: _Map, nets: Mapping[str, Value], name: str, where: str) -> None:
        """Take in networks: those with the same list are one network of geosteer, named by the list."""
        by_list: dict[tuple[str, ...], list[str]] = {}
        for text, value in nets.items():
            try:
                prefix = _prefix(text)
            except ValueError as exc:
                raise ConfigError([f"{where}.nets: {text}: {exc}"]) from exc
            by_list.setdefault(tuple(self._names(made, value, f"{where}.nets.{text}") or ()), []).append(
                prefix
            )
        for names, prefixes in by_list.items():
            wanted = f"{name}-{'-'.join(names) or 'nobody'}"
            made.networks[self._draft.add_network(wanted, prefixes)] = list(names)


def _prefix(text: str) -> str:
    """A network of gdnsd's, where IPv4 may stand in IPv6 at the very beginning. Raises: ValueError: none."""
    network = ipaddress.ip_network(text, strict=False)
    if network.version == 6 and network.prefixlen >= 96 and int(network.network_address) >> 32 == 0:
        return str(ipaddress.IPv4Network((int(network.network_address), network.prefixlen - 96)))
    return str(network)

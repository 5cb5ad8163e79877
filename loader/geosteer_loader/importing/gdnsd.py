"""`geosteer import gdnsd`: gdnsd's configuration directory, version 3.8 (gdnsd.config(5), gdnsd.zonefile(5))."""

from __future__ import annotations

from typing import TYPE_CHECKING

from geosteer.errors import ConfigError
from geosteer_loader.importing import vscf
from geosteer_loader.importing.draft import Draft, Zone
from geosteer_loader.importing.gdnsd_maps import Geography
from geosteer_loader.importing.gdnsd_resources import Resources
from geosteer_loader.importing.steering import service
from geosteer_loader.importing.zone_text import ZoneFile, seconds, zone_soa

if TYPE_CHECKING:
    from pathlib import Path

    from geosteer_loader.importing.zone_text import Line

DYNAMIC = ("DYNA", "DYNC")
ROOT = "ROOT_ZONE"
"""The name of the root zone's file."""
OWN_OPTIONS = {"zones_default_ttl"}
"""Options that are taken over; the others are those of a name server, and PowerDNS has its own."""


def draft_of(folder: Path) -> Draft:
    """What the directory says. Raises: ConfigError: something in it cannot be read."""
    return _Import(folder).draft()


class _Import:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        if not folder.is_dir():
            raise ConfigError([f"{folder}: not a directory; gdnsd's is /etc/gdnsd"])
        config = folder / "config"
        self._config = vscf.load(config) if config.exists() else {}
        self._draft = Draft(f"gdnsd's {folder}")
        plugins = self._hash("plugins")
        self._resources = Resources(self._draft, plugins, self._hash("service_types"))
        self._geography = Geography(self._draft, folder, plugins.get("geoip", {}), self._resources)

    def _hash(self, key: str) -> dict[str, vscf.Value]:
        value = self._config.get(key, {})
        if not isinstance(value, dict):
            raise ConfigError([f"{self._folder / 'config'}: {key}: settings in braces are expected"])
        return value

    def draft(self) -> Draft:
        draft = self._draft
        for key in self._config.keys() - {"options", "plugins", "service_types"}:
            draft.lose(key, "unknown")
        options = self._hash("options")
        others = sorted(options.keys() - OWN_OPTIONS)
        if others:
            draft.note(
                "options", f"{', '.join(others)}: settings of the server, which PowerDNS has of its own"
            )
        default_ttl = str(options.get("zones_default_ttl", 86400))
        zones = self._folder / "zones"
        if not zones.is_dir():
            raise ConfigError([f"{zones}: no such directory: gdnsd's zone files are there"])
        for path in sorted(zones.iterdir()):
            if path.name == ROOT:
                draft.lose(ROOT, "geosteer does not serve the root zone")
            elif path.is_file() and not path.name.startswith("."):
                self._zone(path, path.name.replace("@", "/").lower().rstrip("."), default_ttl)
        return draft

    def _zone(self, path: Path, name: str, default_ttl: str) -> None:
        draft, file = self._draft, ZoneFile(name, DYNAMIC, default_ttl, texts_over_lines=True)
        zone = draft.zones[name] = Zone()
        dynamic = []
        for line in file.lines(path):
            if line.kind in DYNAMIC:
                dynamic.append(line)
            elif line.kind == "SOA":
                # gdnsd sends the lesser of both as either (gdnsd.zonefile(5), SUPPORTED RESOURCE RECORD TYPES)
                soa = zone_soa(line)
                least = min(soa["minimum"], soa["ttl"])
                zone.soa = {**soa, "minimum": least, "ttl": least}
            elif line.kind == "NS" and line.name == name:
                zone.ns.append(line.content.removesuffix("."))
                zone.ns_ttl = seconds(line.ttl)
            else:
                zone.records.append((line.name, line.kind, line.content, seconds(line.ttl)))
        if file.problems:
            raise ConfigError(file.problems)
        for line in dynamic:
            self._service(line)

    def _service(self, line: Line) -> None:
        draft = self._draft
        plugin, _, rest = line.content.partition("!")
        resource, _, datacenter = rest.partition("/")
        place = f"{line.name} {line.kind} {line.content}"
        longest, _, least = line.ttl.partition("/")
        ttl = seconds(longest)
        if plugin == "geoip":
            steering = self._geography.steering(resource, datacenter, place)
        else:
            steering = self._resources.steering(plugin, resource, datacenter, place)
        if steering is None:
            return
        named = f"{resource}-{datacenter}" if datacenter else resource
        service(draft, line.name, steering, ttl, seconds(least) if least else None, place, named or plugin)

"""`geosteer import mirrorbits`: mirrorbits' configuration, and what `mirrorbits show` prints of each mirror (both YAML).

Source: github.com/etix/mirrorbits, mirrorbits.conf and mirrors/mirrors.go.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from geosteer.errors import ConfigError
from geosteer_loader.importing.draft import Draft, Map, Node, Zone
from geosteer_loader.importing.shapes import whole
from geosteer_loader.importing.yaml_file import load_all
from geosteer_loader.sources.countries import CONTINENTS, COUNTRIES

if TYPE_CHECKING:
    from pathlib import Path

TAKEN = {"GeoipDatabasePath", "Fallbacks", "CheckInterval"}
"""Settings that are taken over; the others are of the program, its repository and its scans."""
_LOST = {
    "CountryOnly": "it serves its countries alone, and stands in the map for others too",
    "ContinentOnly": "it serves its continent alone, and stands in the map for others too",
    "ASOnly": "it serves its AS alone, and stands in the map for others too",
}
NAMES = ("Mirror", "Name", "ID")
"""Where a mirror's name may stand: `mirrorbits show` prints the first one."""
COMMENT = re.compile(
    rb"^Comment:[ \t]*\r?\n(?:(?!---[ \t]*\r?$).*\n)*(?:(?!---[ \t]*\r?$).+\Z)?", re.MULTILINE
)
"""What an operator wrote of a mirror, which `mirrorbits show` prints as it is at the end."""
SOON = 60
"""Seconds between two checks, where the configuration does not say."""


def draft_of(path: Path, mirrors: Path, name: str) -> Draft:
    """What the configuration says, of the service at that name. Raises: ConfigError: a file cannot be read."""
    documents = load_all(path)
    config = (documents[0] if documents else None) or {}
    if not isinstance(config, dict):
        raise ConfigError([f"{path}: line 1: settings are expected"])
    return _Import(path, config, mirrors).draft(name.lower().rstrip("."))


class _Import:
    def __init__(self, path: Path, config: dict[str, Any], mirrors: Path) -> None:
        self._config, self._draft, self._path, self._mirrors_path = (
            config,
            Draft(f"mirrorbits' {path}"),
            path,
            mirrors,
        )
        self._mirrors = [mirror for document in load_all(mirrors, COMMENT) for mirror in self._each(document)]

    def _each(self, document: Any) -> list[dict[str, Any]]:
        """The mirrors of a document: one, or a list of them."""
        listed = document if isinstance(document, list) else [] if document is None else [document]
        for mirror in listed:
            if not isinstance(mirror, dict) or not _name(mirror) or not mirror.get("HttpURL"):
                whose = f" of mirror {_name(mirror)}" if isinstance(mirror, dict) and _name(mirror) else ""
                raise ConfigError(
                    [
                        f"{self._mirrors_path}: Mirror and HttpURL{whose} are expected, as `mirrorbits show` prints them"
                    ]
                )
        return listed

    def draft(self, name: str) -> Draft:
        draft = self._draft
        others = sorted(self._config.keys() - TAKEN)
        if others:
            draft.note("configuration", f"{', '.join(others)}: settings of mirrorbits itself")
        folder = self._config.get("GeoipDatabasePath")
        if folder:
            draft.sources.append(
                {"format": "mmdb", "path": str(PurePosixPath(str(folder)) / "GeoLite2-City.mmdb")}
            )
        draft.note(
            "files",
            "mirrorbits looks which mirror has a file; geosteer does not: a check may ask for a recent one",
        )
        made = Map()
        for mirror in self._mirrors:
            self._mirror(made, mirror)
        if self._config.get("Fallbacks"):
            draft.note("Fallbacks", "all nodes take part in the round robin of last resort")
        if not made.default:
            raise ConfigError([f"{self._mirrors_path}: no mirror is enabled"])
        domain = name.partition(".")[2]
        draft.zones[domain] = Zone(
            {"mname": f"ns1.{domain}", "rname": f"hostmaster.{domain}"}, [f"ns1.{domain}", f"ns2.{domain}"]
        )
        draft.remark(
            f"zones.{domain}",
            "mirrorbits answers HTTP alone: its zone's name servers are yours to write here",
        )
        draft.services[name] = {
            "map": draft.add_map("mirrors", made), "policy": "nearest", "near_km": 500, "answer": "cname",
        }  # fmt: skip
        draft.note(
            name,
            "WeightDistributionRange: geosteer draws among those within near_km of the nearest",
        )
        return draft

    def _mirror(self, made: Map, mirror: dict[str, Any]) -> None:
        draft, name = self._draft, _name(mirror)
        if not mirror.get("Enabled", True):
            draft.note(f"mirror {name}", "is disabled, and left out")
            return
        node = self._node(name, str(mirror["HttpURL"]))
        try:
            node.location = float(mirror.get("Latitude", 0)), float(mirror.get("Longitude", 0))
            score = int(mirror.get("Score", 0) or 0)
        except (TypeError, ValueError, OverflowError):
            raise ConfigError(
                [f"{self._mirrors_path}: {name}: Latitude, Longitude and Score are numbers"]
            ) from None
        weight = max(1, 100 + score)
        label = draft.add_node([name], node)
        made.default[label] = weight
        for key, why in _LOST.items():
            if mirror.get(key):
                draft.lose(f"mirror {name}", f"{key}: {why}")
        if mirror.get("ExcludedCountryCodes"):
            draft.lose(
                f"mirror {name}", "ExcludedCountryCodes: list the other nodes of these countries in the map"
            )
        for code in str(mirror.get("CountryCodes") or "").upper().split():
            if code in COUNTRIES:
                made.layers.setdefault("countries", {}).setdefault(code, {})[label] = weight
        continent = str(mirror.get("ContinentCode") or "").upper()
        if continent in CONTINENTS:
            made.layers.setdefault("continents", {}).setdefault(continent, {})[label] = weight

    def _node(self, name: str, url: str) -> Node:
        try:
            parts = urlsplit(url if "://" in url else f"http://{url}")
            host = parts.hostname
        except ValueError:
            host = None
        if not host:
            raise ConfigError([f"{self._mirrors_path}: {name}: HttpURL: {url}: no host"])
        if parts.path.strip("/"):
            self._draft.lose(
                f"mirror {name}",
                f"{parts.path}: geosteer's nodes have no path",
            )
        node = Node(hostname=host.lower())
        scheme = parts.scheme if "://" in url else "http"
        interval = whole(self._config.get("CheckInterval") or 1, f"{self._path}: CheckInterval") * SOON
        node.checks.append(
            {
                "type": scheme,
                "url": f"{scheme}://{parts.netloc}{parts.path or '/'}",
                "interval": interval,
                "timeout": 10,
            }
        )
        return node


def _name(mirror: dict[str, Any]) -> str:
    return next((str(mirror[key]) for key in NAMES if mirror.get(key)), "")

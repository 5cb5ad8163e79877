"""`[beacon]` of backend.toml: whether clients may report what they measure, and within which bounds."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from geosteer.errors import ConfigError
from geosteer.redirect.cors import ANY, Cors
from geosteer.redirect.routes import SCHEMES, Target

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

SPOOL = "/var/spool/geosteer"
OBJECT = "/.geosteer/pixel"
NUMBERS: dict[str, tuple[float, float, float]] = {
    "lifetime": (30, 3600, 600),
    "sample": (0, 1, 1),
    "rate": (0.01, 100_000, 200),
    "network_rate": (0.001, 10_000, 1),
    "segment_bytes": (4096, 2**26, 2**20),
    "segment_seconds": (1, 3600, 60),
    "spool_bytes": (65536, 2**40, 2**28),
}
"""Least, most and default of each number."""
TIMES = frozenset({"lifetime", "segment_seconds"})
"""Those of them that are seconds."""
WORDS = {"scheme": ("same", *SCHEMES), "to": ("name", "address")}
"""Values of the settings that are words."""
MOST_PORT = 65535
OF_A_SERVICE = ("object", "scheme", "port", "to")
"""Settings that a table `[beacon.services."NAME"]` may have too."""
KNOWN = ("key_file", "origins", "spool", "services", *OF_A_SERVICE, *NUMBERS)
PATH = re.compile(r"/[A-Za-z0-9._~!$&'()*+,;=:@%/-]{0,255}")
"""A path without a query: a page's script adds one, so that no cache answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Where the small object is that clients fetch from each node."""

    path: str
    """Absolute, without a query."""
    target: Target
    """How the rest of its URL is made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BeaconSettings:
    """Everything of `[beacon]`."""

    key_file: str
    lifetime: float
    """Seconds for which a token is good."""
    sample: float
    """Part of the page views that measure, 0 to 1."""
    rate: float
    """Reports a second that are taken at most, by each process."""
    network_rate: float
    """Of those, from one /24 or /48."""
    cors: Cors
    """Origins whose pages may measure."""
    usual: Measured
    services: Mapping[str, Measured]
    """Of services that differ from it."""
    spool: str
    """Absolute path of the folder."""
    segment_bytes: float
    segment_seconds: float
    spool_bytes: float
    """All segments together, at most."""


def read(table: Mapping[str, Any], path: str, target: Mapping[str, Any]) -> BeaconSettings:
    """The settings, of a table with a `key_file`: without one there are no beacons.

    Args: path: of the file that has the table; target: `scheme`, `port` and `to` of redirects, which are the defaults.
    Raises: ConfigError: what cannot be used.
    """
    reader = _Reader(path)
    reader.known(table, KNOWN, "")
    usual = {"object": OBJECT, **target, **{key: table[key] for key in OF_A_SERVICE if key in table}}
    services = {}
    for name, entry in reader.table(table, "services").items():
        if isinstance(entry, dict) and reader.known(entry, OF_A_SERVICE, f"services.{name}."):
            services[name.lower().rstrip(".")] = reader.measured({**usual, **entry}, f"services.{name}.")
        elif not isinstance(entry, dict):
            reader.add(f"services.{name}", "must be a table")
    settings = BeaconSettings(
        key_file=reader.path(table, "key_file", ""),
        spool=reader.path(table, "spool", SPOOL),
        cors=reader.cors(table),
        usual=reader.measured(usual, ""),
        services=services,
        **{key: reader.number(table, key, *bounds) for key, bounds in NUMBERS.items()},
    )
    if reader.problems:
        raise ConfigError(reader.problems)
    return settings


class _Reader:
    """Takes values out of the table, and notes every problem with its place."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._folder = os.path.dirname(os.path.abspath(path))  # noqa: PTH100, PTH120  # as geosteer.settings does
        self.problems: list[str] = []

    def add(self, key: str, reason: str) -> None:
        self.problems.append(f"{self._path}: beacon.{key}: {reason}")

    def known(self, table: Mapping[str, Any], keys: Collection[str], place: str) -> bool:
        """Whether there are no other keys."""
        unknown = [key for key in table if key not in keys]
        for key in unknown:
            self.add(place + key, "unknown setting")
        return not unknown

    def table(self, table: Mapping[str, Any], key: str) -> Mapping[str, Any]:
        value = table.get(key, {})
        if isinstance(value, dict):
            return value
        self.add(key, "must be a table")
        return {}

    def path(self, table: Mapping[str, Any], key: str, default: str) -> str:
        value = table.get(key, default)
        if not isinstance(value, str) or not value or "\0" in value:
            self.add(key, "must be a path")
            return ""
        return os.path.join(self._folder, value)  # noqa: PTH118

    def number(self, table: Mapping[str, Any], key: str, low: float, high: float, default: float) -> float:
        value = table.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            self.add(key, f"must be a number from {low} to {high}")
            return default
        return value

    def cors(self, table: Mapping[str, Any]) -> Cors:
        origins = table.get("origins", [ANY])
        try:
            return Cors([str(origin) for origin in origins] if isinstance(origins, list) else [""])
        except (ConfigError, UnicodeError):
            self.add("origins", "must be a list of origins such as https://www.example.net, or of *")
            return Cors()

    def measured(self, values: Mapping[str, Any], place: str) -> Measured:
        path, port = values["object"], values["port"]
        if not isinstance(path, str) or PATH.fullmatch(path) is None:
            self.add(place + "object", "must be a path that begins with /, without ? and #")
        if isinstance(port, bool) or not isinstance(port, int) or not 0 <= port <= MOST_PORT:
            self.add(place + "port", f"must be a whole number from 0 to {MOST_PORT}")
            port = 0
        for key, allowed in WORDS.items():
            if values[key] not in allowed:
                self.add(place + key, f"must be one of {', '.join(allowed)}")
        target = Target(str(values["scheme"]), port, by_address=values["to"] == "address")
        return Measured(path=str(path), target=target)

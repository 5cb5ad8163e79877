"""What commands read of a configuration file that work on what is published: where Redis is, and the small tables.

An operator who puts a node down must not wait for lists of networks to be read, nor be stopped by a slip in a zone.
"""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geosteer.errors import ConfigError
from geosteer_loader.config.limits import (
    MEASUREMENTS,
    Guard,
    Journal,
    Prober,
    read_guard,
    read_journal,
    read_prober,
)
from geosteer_loader.config.redis import URL_VARIABLE, RedisSettings, read_redis
from geosteer_loader.config.section import Problems, Table
from geosteer_loader.config.toml_file import parse_toml, read_text
from geosteer_loader.config.toml_tables import without

if TYPE_CHECKING:
    from collections.abc import Mapping

OTHERS = ("sources", "follow", "latency", "rpki", "networks", "nodes", "maps", "zones", "services")
"""Tables of the loader's file that these commands do not look at: they take nodes and maps as they are published."""

_UNPARSED = frozenset(OTHERS) - {"latency"}
"""Of them, which are not even parsed: a list of networks may have millions of lines."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostConfig:
    """What a host needs to know to look at what is published and to keep node states."""

    redis: RedisSettings
    prober: Prober
    guard: Guard
    journal: Journal
    measurements: Path
    """The database of measured times."""


def load(path: Path | None, environ: Mapping[str, str] = os.environ) -> HostConfig:
    """The settings in a file, which may hold `[redis]` and nothing else; without one, what the environment says.

    Raises: ConfigError: with every problem; or there is neither a file nor `GEOSTEER_REDIS_URL`.
    """
    raw: Mapping[str, Any] = {}
    text = ""
    if path is not None:
        text = read_text(path)
        raw = _small_tables(text, path)
    elif not environ.get(URL_VARIABLE):
        files = "neither /etc/geosteer/geosteer.toml nor conf/geosteer.toml exists"
        raise ConfigError([f"no configuration: {files}; use --config FILE, or set {URL_VARIABLE}"])
    problems = Problems(str(path or "environment"), text)
    root = Table(raw, "", problems)
    for name in OTHERS:
        root.raw(name)
    config = HostConfig(
        redis=read_redis(root.table("redis"), path.parent if path else Path.cwd(), environ),
        prober=read_prober(root.table("prober")),
        guard=read_guard(root.table("guard")),
        journal=read_journal(root.table("journal")),
        measurements=_measurements(root.raw("latency"), path.parent if path else Path.cwd()),
    )
    root.finish()
    if problems.errors():
        raise ConfigError(problems.errors())
    return config


def _small_tables(text: str, path: Path) -> dict[str, Any]:
    """What is parsed of a configuration. Raises: ConfigError: it is not TOML."""
    try:
        return tomllib.loads(without(text, _UNPARSED))
    except (ValueError, RecursionError):
        return parse_toml(text, path)  # the whole, so that a message has its place


def _measurements(latency: object, base: Path) -> Path:
    """`database` of `[latency]`; a slip elsewhere in that table is no matter of these commands."""
    name = latency.get("database") if isinstance(latency, dict) else None
    return (base / (name if isinstance(name, str) else MEASUREMENTS)).absolute()

"""conf/geosteer.toml -> checked settings and the configuration document that is published.

`load` either returns a configuration in which every name is known and every record can be served, or raises
every problem that the file has, each with its place. What is allowed but looks wrong becomes a warning.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from geosteer.decision.model import NEARNESS
from geosteer.errors import ConfigError
from geosteer_loader.config.completeness import note_missing_parts
from geosteer_loader.config.follow import Follow, read_follow
from geosteer_loader.config.latency import Latency, read_latency
from geosteer_loader.config.limits import Guard, Journal, Prober, read_guard, read_journal, read_prober
from geosteer_loader.config.lint import warn_unanswerable, warn_unused
from geosteer_loader.config.maps import read_maps
from geosteer_loader.config.namespace import Namespace
from geosteer_loader.config.networks import read_networks
from geosteer_loader.config.nodes import NodeReader
from geosteer_loader.config.redis import URL_VARIABLE, RedisSettings, read_redis
from geosteer_loader.config.rpki import Rpki, read_rpki
from geosteer_loader.config.section import Problems, Table
from geosteer_loader.config.services import ServiceReader
from geosteer_loader.config.source_check import check_sources
from geosteer_loader.config.sources import SourceConfig, read_memory, read_sources
from geosteer_loader.config.toml_file import parse_toml, read_text
from geosteer_loader.config.worker import check_worker
from geosteer_loader.config.zones import ZoneReader
from geosteer_loader.rtt.memory import Equality
from geosteer_loader.sources.countries import CONTINENT
from geosteer_loader.sources.geography import COUNTRY_PLACES

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from geosteer_loader.config.document import Map

__all__ = [
    "Config",
    "Guard",
    "Prober",
    "RedisSettings",
    "SourceConfig",
    "backend_warnings",
    "check",
    "check_backend",
    "load",
    "redis_alone",
    "source_problems",
]

FORMAT = 1
"""The configuration document's format."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A checked configuration."""

    path: Path
    """The file, as it was named."""
    redis: RedisSettings
    sources: Mapping[str, tuple[SourceConfig, ...]]
    """Table (geo, bgp, path, rtt) -> its sources; later ones overlay earlier ones."""
    memory: Path | None
    """The folder for what was read of them; None: all is read each time."""
    networks: Mapping[str, tuple[tuple[int, int, int], ...]]
    """Network -> prefixes: address bits, first address, prefix length. They become table `nets`."""
    document: dict[str, Any]
    """What is published for workers and probers; JSON."""
    guard: Guard
    journal: Journal
    prober: Prober
    follow: Follow
    latency: Latency
    rpki: Rpki | None
    """What routes are judged by; None: they are not."""
    lists: tuple[Path, ...]
    """Files beside it whose content is part of it: lists of networks."""
    warnings: list[str]
    """`file: line N: place: reason`, sorted."""
    missing_parts: list[str]
    """The same: what must be there before this can be published; workers would answer nothing without it."""

    def require_complete(self) -> None:
        """Raises: ConfigError: it cannot be published, since whole parts are missing."""
        if self.missing_parts:
            raise ConfigError(self.missing_parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The tables of a file, each checked by itself; what they say of each other is not."""

    sources: dict[str, tuple[SourceConfig, ...]]
    memory: Path | None
    rpki: Rpki | None
    networks: dict[str, tuple[tuple[int, int, int], ...]]
    lists: list[Path]
    nodes: NodeReader
    maps: dict[str, Map]
    zones: ZoneReader
    services: ServiceReader
    redis: RedisSettings
    guard: Guard
    journal: Journal
    prober: Prober
    follow: Follow
    latency: Latency


def load(path: Path, environ: Mapping[str, str] = os.environ) -> Config:
    """The configuration in a file.

    `GEOSTEER_REDIS_URL` and `GEOSTEER_REDIS_PREFIX` in *environ* take the place of `[redis]` url and prefix.
    Raises: ConfigError: with every problem, `file: line N: place: reason`.
    """
    text = read_text(path)
    return check(parse_toml(text, path), path, environ, text)


def check(raw: Mapping[str, Any], path: Path, environ: Mapping[str, str], text: str = "") -> Config:
    """The configuration in the TOML document *raw*, read from *path*; relative paths begin at its folder.

    Args: text: the file's, so that problems give the line.
    Raises: ConfigError: as `load`.
    """
    problems = Problems(str(path), text)
    root = Table(raw, "", problems)
    read = read_parts(root, path.parent, environ)
    sources, networks, maps = read.sources, read.networks, read.maps
    nodes, zones, services = read.nodes, read.zones, read.services

    names = Namespace(zones, problems)
    names.check_statics()
    names.check_services(services)
    names.check_nodes(nodes, services)
    names.check_name_servers(nodes, services)
    names.check_targets(nodes, services)
    warn_unused(root, networks, nodes.nodes, maps, services.services)
    warn_unanswerable(root, sources, nodes.nodes, maps, services)
    if problems.errors():
        raise ConfigError(problems.errors())
    missing_parts = Problems(str(path), text)
    parts: dict[str, Collection[str]] = {
        "nodes": nodes.nodes,
        "zones": zones.zones,
        "services": services.services,
    }
    note_missing_parts(missing_parts, parts, bool(networks or any(sources.values())), len(text.splitlines()))
    document: dict[str, Any] = {
        "format": FORMAT,
        "nodes": nodes.nodes,
        "networks": {name: {} for name in networks},
        "maps": maps,
        "zones": zones.zones,
        "services": services.services,
        "continents": dict(CONTINENT),
    }
    if any(spec["policy"] in NEARNESS and spec["country_middle"] for spec in services.services.values()):
        document["middles"] = {country: [*map(int, place)] for country, place in COUNTRY_PLACES.items()}
    return Config(
        path=path,
        redis=read.redis,
        sources=sources,
        memory=read.memory,
        networks=networks,
        document=document,
        guard=read.guard,
        journal=read.journal,
        prober=read.prober,
        follow=read.follow,
        latency=read.latency,
        rpki=read.rpki,
        lists=tuple(read.lists),
        warnings=problems.warnings(),
        missing_parts=missing_parts.errors(),
    )


def read_parts(root: Table, base: Path, environ: Mapping[str, str]) -> Parts:
    """Every table of the loader's file; problems are noted in *root*'s. Args: base: where relative paths begin."""
    listed = root.table("sources")
    memory = read_memory(listed, base)
    sources = read_sources(listed, base)
    rpki = read_rpki(root.table("rpki"), root.table("sources"), base)
    lists: list[Path] = []
    networks = read_networks(root.table("networks"), base, lists)
    nodes, zones, services = NodeReader(), ZoneReader(), ServiceReader()
    nodes.read(root.table("nodes"))
    maps = read_maps(root.table("maps"), nodes.named, networks)
    zones.read(root.table("zones"))
    services.read(root.table("services"), maps, nodes)
    written = (source.path for source in sources["rtt"] if source.remote is None and source.pattern is None)
    equal = [
        Equality(spec["equal_ms"], spec["equal_percent"] / 100)
        for spec in services.services.values()
        if spec["policy"] == "latency"
    ]
    parts = Parts(
        sources=sources,
        memory=memory,
        rpki=rpki,
        networks=networks,
        lists=lists,
        nodes=nodes,
        maps=maps,
        zones=zones,
        services=services,
        redis=read_redis(root.table("redis"), base, environ),
        guard=read_guard(root.table("guard")),
        journal=read_journal(root.table("journal")),
        prober=read_prober(root.table("prober")),
        follow=read_follow(root.table("follow"), base, sources),
        latency=read_latency(root.table("latency"), base, nodes.nodes, next(written, None), equal),
    )
    root.finish()
    return parts


def redis_alone(path: Path, environ: Mapping[str, str] = os.environ) -> RedisSettings | None:
    """What `[redis]` says in a file whose rest need not be right; None: it says no URL, or has problems itself.

    Raises: ConfigError: the file cannot be read, or is not TOML.
    """
    text = read_text(path)
    raw = parse_toml(text, path)
    problems = Problems(str(path), text)
    table = Table(raw, "", problems).table("redis")
    if "url" not in table and URL_VARIABLE not in environ:
        return None
    settings = read_redis(table, path.parent, environ)
    return None if problems.count() else settings


def source_problems(config: Config) -> tuple[list[str], list[str]]:
    """What `load` does not look at: problems and warnings of the sources' content, `file: line N: place: reason`."""
    problems = Problems(str(config.path), read_text(config.path))
    check_sources(config.sources, problems, time.time())
    return problems.errors(), problems.warnings()


def check_backend(path: Path) -> list[str]:
    """Every problem of a worker's file (conf/backend.toml), `file: place: reason`; none: it is usable."""
    try:
        return _checked_worker(path).errors()
    except ConfigError as exc:
        return exc.problems


def backend_warnings(path: Path) -> list[str]:
    """What is allowed in a worker's file but probably not meant, in the same form. Raises: ConfigError: it cannot be read."""
    return _checked_worker(path).warnings()


def _checked_worker(path: Path) -> Problems:
    text = read_text(path)
    problems = Problems(str(path), text)
    check_worker(Table(parse_toml(text, path), "", problems), path.parent)
    return problems

"""What a prober or a feed reads of a configuration file: where Redis is, and its own table; all else is published."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geosteer.errors import ConfigError
from geosteer_loader.config.limits import Journal, Prober, read_journal, read_prober
from geosteer_loader.config.redis import URL_VARIABLE, RedisSettings, read_redis
from geosteer_loader.config.section import Problems, Table
from geosteer_loader.config.toml_file import parse_toml, read_text
from geosteer_loader.health.transitions import Rule

if TYPE_CHECKING:
    from collections.abc import Mapping

OTHERS = ("sources", "networks", "nodes", "maps", "zones", "services", "guard")
"""Tables of the loader's file that a prober does not look at: it takes nodes and maps as they are published."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a host needs to know to keep node states."""

    redis: RedisSettings
    prober: Prober
    journal: Journal

    @property
    def rule(self) -> Rule:
        """How verdicts become states."""
        return Rule(rule=self.prober.rule, forget=self.prober.forget)


def load(path: Path | None, environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings in a file, which may hold `[redis]` and nothing else; without one, what the environment says.

    Raises: ConfigError: with every problem; or there is neither a file nor `GEOSTEER_REDIS_URL`.
    """
    raw: Mapping[str, Any] = {}
    text = ""
    if path is not None:
        text = read_text(path)
        raw = parse_toml(text, path)
    elif not environ.get(URL_VARIABLE):
        raise ConfigError([f"no configuration: use --config FILE, or set {URL_VARIABLE}"])
    problems = Problems(str(path or "environment"), text)
    root = Table(raw, "", problems)
    for name in OTHERS:
        root.raw(name)
    settings = Settings(
        redis=read_redis(root.table("redis"), path.parent if path else Path.cwd(), environ),
        prober=read_prober(root.table("prober")),
        journal=read_journal(root.table("journal")),
    )
    root.finish()
    if problems.errors():
        raise ConfigError(problems.errors())
    return settings

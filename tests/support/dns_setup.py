"""A real PowerDNS in front of geosteer-pipe in front of a real Redis, as the tests of DNS answers use it."""

from __future__ import annotations

import copy
import json
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from support.servers import PowerDNS, RedisServer
from support.tiny import DOCUMENT, publish_tiny

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


PATIENT = {"timeout": 2000, "first_wait": 4}
"""How long workers of tests wait for Redis: on a busy machine the shipped 50 ms and 1 s may be over before it gets a
processor, and the answer would be another one. Less than PowerDNS and clients wait; tests of those times set their own."""


def patient(given: str) -> str:
    """Lines of a backend.toml that are not *given*."""
    return "".join(
        f"{name} = {value}\n" for name, value in PATIENT.items() if not re.search(rf"(?m)^\s*{name}\b", given)
    )


def backend_toml(folder: Path, redis: RedisServer | str, more: str = "", prefix: str = "geosteer") -> Path:
    """A worker's settings in *folder*; *more* is TOML that comes first (top-level keys) or after `---` (tables)."""
    top, _, tables = more.partition("---")
    url = redis if isinstance(redis, str) else redis.url
    path = folder / "backend.toml"
    path.write_text(
        f'snapshot = "{folder}/last-good.json"\n{patient(top)}{top}\n[redis]\nurl = "{url}"\nprefix = "{prefix}"\n{tables}\n'
    )
    return path


def document(**changes: Any) -> dict[str, Any]:
    """The small configuration document, with top-level tables merged into it."""
    made = copy.deepcopy(DOCUMENT)
    for key, value in changes.items():
        made[key] = {**made[key], **value} if isinstance(made[key], dict) else value
    return made


@contextmanager
def serving(
    folder: Path, redis: RedisServer, what: Mapping[str, Any] | None = None, more: str = "", **options: Any
) -> Iterator[PowerDNS]:
    """PowerDNS with workers that follow *redis*, where *what* (or the small document) is published."""
    with redis.client() as client:
        publish_tiny(client, "geosteer", what or DOCUMENT)
    with PowerDNS(backend_toml(folder, redis, more), **options) as server:
        yield server


def set_override(redis: RedisServer, node: str, **fields: Any) -> None:
    """What `geosteer node` writes."""
    with redis.client() as client:
        client.hset("{geosteer}:override", node, json.dumps(fields))


def set_state(redis: RedisServer, node: str, state: str, **fields: str) -> None:
    """What a prober writes."""
    with redis.client() as client:
        client.hset("{geosteer}:node:" + node, mapping={"state": state, **fields})

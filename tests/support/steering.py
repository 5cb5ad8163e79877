"""What tests of the front ends share: settings of a test's own Redis, a steering that is live, and documents to publish."""

from __future__ import annotations

import contextlib
import copy
import time
from typing import TYPE_CHECKING, Any

from geosteer import Settings, Steering
from support.dns_setup import PATIENT, patient
from support.servers import wait_until
from support.tiny import DOCUMENT, publish_tiny

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from geosteer.sync.tier import Tier
    from support.servers import RedisServer

WWW = "www.cdn.example.net"


def wait_live(tier: Tier) -> None:
    """Take in what Redis sends until answers are live."""

    def live() -> bool:
        tier.settle(time.monotonic())
        return tier.name == "live"

    wait_until(live, what="a live tier")


def make_settings(server: RedisServer, prefix: str, folder: Path, **more: Any) -> Settings:
    """A worker's settings; *more*: other tables and settings of a backend.toml."""
    data = {
        **PATIENT,
        "snapshot": str(folder / "last-good.json"),
        "redis": {"url": server.url, "prefix": prefix},
        **more,
    }
    return Settings(data)


def write_settings(server: RedisServer, prefix: str, folder: Path, more: str = "") -> Path:
    """The same as a file; *more*: lines before its first table."""
    path = folder / "backend.toml"
    path.write_text(
        f'snapshot = "last-good.json"\n{patient(more)}{more}\n[redis]\nurl = "{server.url}"\nprefix = "{prefix}"\n'
    )
    return path


@contextlib.contextmanager
def live_steering(
    server: RedisServer, prefix: str, folder: Path, log: list[str] | None = None, **more: Any
) -> Iterator[Steering]:
    """A steering that has adopted what is published."""
    say = log.append if log is not None else lambda _: None
    with Steering.open(make_settings(server, prefix, folder, **more), log=say) as steering:
        wait_until(lambda: steering.tier == "live", what="tier live")
        yield steering


def document(
    *, services: Mapping[str, Mapping[str, Any]] | None = None, maps: Mapping[str, Mapping[str, Any]] | None = None,
    nodes: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """The small configuration document, with services, members of its map `default`, and members of nodes changed or added."""
    made = copy.deepcopy(DOCUMENT)
    made["services"].update(services or {})
    for name, spec in (maps or {}).items():
        made["maps"].setdefault(name, {}).update(spec)
    for name, spec in (nodes or {}).items():
        made["nodes"].setdefault(name, {}).update(spec)
    return made


def republish(server: RedisServer, prefix: str, made: Mapping[str, Any], **more: Any) -> None:
    """Publish a document as the next generation."""
    with server.client() as client:
        number = int(client.hget(f"{{{prefix}}}:current", "generation") or 0) + 1
        publish_tiny(client, prefix, made, generation=number, **more)


def set_state(server: RedisServer, prefix: str, node: str, state: str, **fields: str) -> None:
    """What a prober would write."""
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 3600))
    with server.client() as client:
        client.hset(f"{{{prefix}}}:node:{node}", mapping={"state": state, "since": stamp, **fields})

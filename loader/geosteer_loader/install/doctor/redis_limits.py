"""Links that are settings of Redis which keep users out although they may log in; only its administrator sees them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import redis
from geosteer_loader.install.doctor.connection import administrator, setting
from geosteer_loader.install.doctor.link import warning

if TYPE_CHECKING:
    from collections.abc import Iterator

    from geosteer_loader.install.doctor.link import Link
    from geosteer_loader.install.doctor.scene import Scene


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A setting whose value is a number."""

    name: str
    least: int
    most: int
    good: int
    """What to write."""
    why: str


LIMITS = (
    Limit(
        name="min-replicas-to-write",
        least=0,
        most=0,
        good=0,
        why="without so many replicas in step Redis refuses every write, and nothing is published",
    ),
    Limit(
        name="timeout",
        least=0,
        most=0,
        good=0,
        why="Redis ends connections that are silent for so many seconds: workers lose what they follow, and read it all again",
    ),
    Limit(
        name="maxclients",
        least=256,
        most=1 << 31,
        good=10000,
        why="each worker keeps a connection; those above this number answer from the last resort",
    ),
)


def limits(scene: Scene) -> Iterator[Link]:
    """Each of them."""
    if scene.config is None:
        return
    try:
        with administrator(scene, scene.config.redis) as admin:
            found = {limit.name: int(setting(admin, limit.name) or limit.good) for limit in LIMITS}
    except (redis.RedisError, OSError, ValueError):
        return
    for limit in LIMITS:
        if not limit.least <= found[limit.name] <= limit.most:
            yield warning(
                "redis settings",
                f"{limit.name} is {found[limit.name]}",
                scene.set_redis(limit.name, str(limit.good)),
                limit.why,
            )

"""Links that are the rights of users in Redis: neither too few nor too many. Nothing is changed by asking."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import redis
from geosteer.keys import Keys
from geosteer_loader.config import samples
from geosteer_loader.install.doctor.connection import plain
from geosteer_loader.install.doctor.link import good, wrong

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from geosteer_loader.config.redis import RedisSettings
    from geosteer_loader.install.doctor.link import Link
    from geosteer_loader.install.doctor.scene import Scene

Command = tuple[str | int, ...]

NOBODY = "no-such-thing"
"""A field or key that nothing has."""
SHOWN = 4


def worker_may(keys: Keys) -> list[Command]:
    """What a worker sends; all of it only reads."""
    return [
        ("PING",),
        ("TIME",),
        ("ROLE",),
        ("HGETALL", keys.current),
        ("HMGET", keys.object, NOBODY),
        ("HGETALL", keys.node(NOBODY)),
        ("HGETALL", keys.beat),
        ("HGETALL", keys.override),
        ("CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", keys.current, "PREFIX", keys.nodes),
    ]


def worker_may_not(keys: Keys) -> list[Command]:
    """What would do harm, in a form that changes nothing even where it is allowed."""
    return [
        ("HDEL", keys.override, NOBODY),
        ("HDEL", keys.node(NOBODY), "state"),
        ("DEL", f"{keys.braced}:{NOBODY}"),
        ("HGETALL", f"{{{NOBODY}}}:current"),
        ("KEYS", NOBODY),
        ("CONFIG", "GET", "maxmemory"),
        ("ACL", "LIST"),
    ]


def loader_may(keys: Keys) -> list[Command]:
    """What the loader sends, within a MULTI that is never executed."""
    return [
        ("SET", keys.lock, NOBODY),
        ("GET", keys.lock),
        ("DEL", keys.lock),
        ("PEXPIRE", keys.lock, 1),
        ("HSET", keys.object, NOBODY, ""),
        ("HDEL", keys.object, NOBODY),
        ("HEXISTS", keys.object, NOBODY),
        ("HSET", keys.current, NOBODY, ""),
        ("HSET", keys.node(NOBODY), "state", "up"),
        ("HSET", keys.verdict(NOBODY), NOBODY, ""),
        ("HSET", keys.beat, NOBODY, ""),
        ("HSET", keys.override, NOBODY, ""),
        ("XADD", keys.history, "*", "a", "b"),
        ("XTRIM", keys.history, "MAXLEN", 1),
        ("XREVRANGE", keys.history, "+", "-"),
        ("FCALL_RO", "geosteer_lookup", 2, keys.current, keys.object, "192.0.2.1"),
    ]


def loader_may_not() -> list[Command]:
    """The same: what no loader needs."""
    return [
        ("SET", f"{{{NOBODY}}}:lock", NOBODY),
        ("FLUSHALL",),
        ("KEYS", NOBODY),
        ("CONFIG", "GET", "maxmemory"),
        ("ACL", "LIST"),
    ]


def rights(scene: Scene) -> Iterator[Link]:
    """Of worker and loader."""
    worker = scene.worker_redis
    if worker is not None:
        keys = Keys(worker.prefix)
        yield from _told(scene, "worker", worker, worker_may(keys), worker_may_not(keys), queued=False)
    if scene.config is not None:
        keys = Keys(scene.config.redis.prefix)
        yield from _told(scene, "loader", scene.config.redis, loader_may(keys), loader_may_not(), queued=True)


def _told(
    scene: Scene,
    role: str,
    settings: RedisSettings,
    may: Sequence[Command],
    may_not: Sequence[Command],
    *,
    queued: bool,
) -> Iterator[Link]:
    link = f"rights ({role})"
    user = settings.username or "default"
    try:
        with plain(settings) as connection:
            lacking = ["MULTI"] if queued and connection.refused("MULTI") else []
            lacking += [_name(command) for command in may if connection.refused(*command)]
            excess = [_name(command) for command in may_not if not connection.refused(*command)]
    except (redis.RedisError, OSError):
        return  # told by the link about the login
    line = (
        scene.cli(f"ACL SETUSER {user} {shlex.join(rules(role, settings.prefix))}")
        + f" && {scene.cli('ACL SAVE')}"
    )
    if lacking:
        yield wrong(link, f"{user} may not: {_few(lacking)}", line, f"the {role} fails")
    if excess:
        why = (
            "workers face the internet"
            if role == "worker"
            else "a stolen password then costs more than it has to"
        )
        yield wrong(link, f"{user} may, and should not: {_few(excess)}", line, why)
    if not lacking and not excess:
        yield good(link, f"{user} may do what it needs, and no more")


def rules(role: str, prefix: str) -> list[str]:
    """What users.acl lets a role do, without its password: nothing that it had before is left."""
    text = samples.read("users.acl").replace("{geosteer}", f"{{{prefix}}}")
    line = next(line for line in text.splitlines() if line.startswith(f"user geosteer-{role} "))
    return ["clearselectors", *(word for word in line.split()[3:] if not word.startswith((">", "#")))]


def _name(command: Command) -> str:
    return " ".join(str(word) for word in command[:2])


def _few(names: Sequence[str]) -> str:
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")

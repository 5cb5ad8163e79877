"""Links that are logins to Redis: who gets in, and why somebody does not."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import redis
from geosteer_loader.install.doctor.connection import administrator, plain, setting
from geosteer_loader.install.doctor.link import good, warning, wrong

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from geosteer_loader.config.redis import RedisSettings
    from geosteer_loader.install.doctor.link import Link
    from geosteer_loader.install.doctor.scene import Scene


def login(scene: Scene) -> Iterator[Link]:
    """Loader and worker get in, and nobody without a password."""
    for role, settings in (
        ("loader", scene.config.redis if scene.config else None),
        ("worker", scene.worker_redis),
    ):
        if settings is not None:
            yield from _login(scene, role, settings)
    settings = scene.worker_redis
    if settings is None or settings.username is None:
        return
    try:
        with plain(replace(settings, username=None, password=None)) as open_to_all:
            open_to_all.call("PING")
    except (redis.RedisError, OSError):
        return
    yield warning(
        "redis login",
        "who does not log in gets in all the same (user default is on)",
        scene.cli("ACL SETUSER default off"),
        "any program that reaches this Redis can change every answer",
    )


def _login(scene: Scene, role: str, settings: RedisSettings) -> Iterator[Link]:
    user = settings.username or "default"
    link = f"redis login ({role})"
    try:
        with plain(settings) as connection:
            connection.call("PING" if role == "worker" else "TIME")
    except redis.exceptions.NoPermissionError:
        pass  # told by the link about rights
    except redis.AuthenticationError as exc:
        yield _refused(scene, role, settings, str(exc))
        return
    except redis.BusyLoadingError:
        yield warning(link, f"{settings.url} is still loading its data", "wait, and ask again")
        return
    except (redis.RedisError, OSError) as exc:
        yield wrong(link, f"{settings.url}: {exc}", scene.restart_redis, "it does not run, or not there")
        return
    yield good(link, f"{settings.url} as {user}")


def _refused(scene: Scene, role: str, settings: RedisSettings, said: str) -> Link:
    """Why a user does not get in, as its administrator sees it."""
    user = settings.username or "default"
    password = scene.folder / f"{role}.password"
    users = scene.place.users(scene.server)
    cure = scene.cli(f'ACL SETUSER {user} on resetpass ">$(cat {password})"') + f" && {scene.cli('ACL SAVE')}"
    what = f"{settings.url} does not let {user} in: {said}"
    try:
        with administrator(scene, settings) as admin:
            known = admin.call("ACL", "GETUSER", user)
            loaded = setting(admin, "aclfile")
    except (redis.RedisError, OSError):
        return wrong(
            f"redis login ({role})",
            what,
            f"{cure} (where admin is not let in either: {scene.restart_redis})",
            "the password there and the one in the file differ, or there is no such user",
        )
    if not loaded:
        why = f"Redis runs without aclfile: it has not read {scene.place.redis_config(scene.server)}"
        return wrong(f"redis login ({role})", what, scene.restart_redis, why)
    if known is None:
        why = f"there is no user {user} in Redis"
        if f"user {user} " in _text(scene.host.at(users)):
            return wrong(f"redis login ({role})", what, scene.cli("ACL LOAD"), f"{why}; {users} has it")
        return wrong(
            f"redis login ({role})",
            what,
            f"mv {users} {users}.old; {scene.repair} && {scene.cli('ACL LOAD')}",
            f"{why}, and none in {users}",
        )
    return wrong(f"redis login ({role})", what, cure, "it is off, or the password in the file is another one")


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""

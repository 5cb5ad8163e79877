"""Links that are Redis itself: its files, its socket, who may log in, and whether it keeps what it is given."""

from __future__ import annotations

import re
import stat
from typing import TYPE_CHECKING

import redis
from geosteer.keys import Keys
from geosteer_loader.install.doctor.connection import administrator, plain, setting
from geosteer_loader.install.doctor.link import good, unknown, warning, wrong

if TYPE_CHECKING:
    from collections.abc import Iterator

    from geosteer_loader.install.doctor.connection import Plain
    from geosteer_loader.install.doctor.link import Link
    from geosteer_loader.install.doctor.scene import Scene

OLDEST = (7, 0)
"""Of Redis; every Valkey is newer."""
FULL = 0.85
"""Part of maxmemory from which on there is no room for another generation of large tables."""


def files(scene: Scene) -> Iterator[Link]:
    """Our fragment is read, and what it names is there."""
    fragment = scene.place.redis_config(scene.server)
    path = scene.host.at(fragment)
    main = scene.host.at(scene.server.config)
    if scene.place.system and main.exists():
        try:
            included = re.findall(r"(?m)^\s*include\s+(\S+)", main.read_text(errors="replace"))
        except OSError as exc:
            yield unknown("redis files", f"{main}: {exc.strerror}", "run it as root")
            return
        for each in included:
            if "*" not in each and not scene.host.at(each).exists():
                yield wrong(
                    "redis files",
                    f"{main} includes {each}, which does not exist",
                    f"sed -i '\\|^include {each}$|d' {main}",
                    "Redis does not start: Fatal error, can't open config file",
                )
        if str(fragment) not in included:
            yield wrong(
                "redis files",
                f"{main} does not include {fragment}",
                f"echo 'include {fragment}' >> {main} && {scene.restart_redis}",
                "Redis has neither the socket nor the users that geosteer needs",
            )
    if not path.exists():
        if scene.manifest:
            cure = f"{scene.repair} && {scene.restart_redis}"
            yield wrong("redis files", f"{path} does not exist", cure)
        return
    try:
        text = path.read_text(errors="replace")
    except OSError as exc:
        yield unknown("redis files", f"{path}: {exc.strerror}", "run it as root")
        return
    settings = dict(re.findall(r"(?m)^(unixsocket|aclfile|maxmemory-policy)\s+(\S+)", text))
    users = settings.get("aclfile")
    if users and not scene.host.at(users).exists():
        yield wrong(
            "redis files",
            f"{path} names {users}, which does not exist",
            f"{scene.repair} && {scene.restart_redis}",
            "Redis does not start",
        )
    there, wanted = settings.get("unixsocket"), scene.socket
    if there and wanted is not None and there != str(wanted):
        yield wrong(
            "redis socket",
            f"Redis makes {there}, workers use {wanted}",
            f"sed -i 's|unix://{wanted}\"|unix://{there}\"|' {scene.worker_file} {scene.loader_file} && {scene.restart_pdns}",
            "nobody listens there",
        )
    yield good("redis files", str(path))


def socket(scene: Scene) -> Iterator[Link]:
    """The socket is there, and for the group alone."""
    path = scene.socket
    if path is None or not scene.host.here:
        return
    try:
        status = path.stat()
    except FileNotFoundError:
        yield wrong(
            "redis socket",
            f"{path} does not exist",
            scene.restart_redis,
            "Redis does not run, or makes another one",
        )
        return
    except PermissionError:
        yield unknown("redis socket", f"{path}: not permitted", "run it as root")
        return
    except OSError as exc:
        yield wrong("redis socket", f"{path}: {exc.strerror}", scene.restart_redis)
        return
    if not stat.S_ISSOCK(status.st_mode):
        yield wrong("redis socket", f"{path} is not a socket", f"rm {path} && {scene.restart_redis}")
        return
    if status.st_mode & 0o007:
        yield warning(
            "redis socket",
            f"{path}: everybody on this host may connect (mode {stat.S_IMODE(status.st_mode):04o})",
            f"chmod 770 {path} && {scene.in_redis_file('unixsocketperm', '770')}",
            "passwords are then all that protects it",
        )
    elif not status.st_mode & stat.S_IWGRP:
        yield wrong(
            "redis socket",
            f"{path}: members of its group may not connect (mode {stat.S_IMODE(status.st_mode):04o})",
            f"chmod 770 {path} && {scene.in_redis_file('unixsocketperm', '770')}",
            "workers get Permission denied",
        )
    else:
        yield good("redis socket", str(path))


def health(scene: Scene) -> Iterator[Link]:
    """Version, memory, persistence, replication: by the loader's user, and the administrator's where its password is there."""
    if scene.config is None:
        return
    try:
        with plain(scene.config.redis) as connection:
            yield from _version(connection)
            yield from _memory(scene, connection)
            yield from _saved(scene, connection)
            yield from _replication(scene, connection)
    except redis.exceptions.NoPermissionError:
        yield unknown("redis server", "the loader's user may not send INFO", "see the link about its rights")
    except (redis.RedisError, OSError):
        return  # told by the link about the login
    yield from _workers_copy(scene)


def _version(connection: Plain) -> Iterator[Link]:
    info = connection.info("server")
    if info.get("server_name") == "valkey":
        yield good("redis version", f"Valkey {info.get('valkey_version', '')}".strip())
        return
    version = info.get("redis_version", "0")
    numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
    if numbers < OLDEST:
        yield wrong(
            "redis version", f"Redis {version}", "apt install redis-server (7.0 or newer)", "ACLs need 7.0"
        )
    else:
        yield good("redis version", f"Redis {version}")


def _memory(scene: Scene, connection: Plain) -> Iterator[Link]:
    info = connection.info("memory")
    policy = info.get("maxmemory_policy", "")
    limit, used = int(info.get("maxmemory", 0)), int(info.get("used_memory", 0))
    if policy != "noeviction":
        yield wrong(
            "redis memory",
            f"maxmemory-policy is {policy}",
            scene.set_redis("maxmemory-policy", "noeviction"),
            "Redis throws tables away when its memory is full: each is one key",
        )
    elif limit and used > FULL * limit:
        yield wrong(
            "redis memory",
            f"{used / limit:.0%} of maxmemory ({limit / 1e6:.0f} MB) is used",
            scene.set_redis("maxmemory", str(2 * limit)),
            "the next publish may have no room",
        )
    else:
        yield good(
            "redis memory",
            f"noeviction, {used / 1e6:.0f} MB" + (f" of {limit / 1e6:.0f} MB" if limit else ""),
        )


def _saved(scene: Scene, connection: Plain) -> Iterator[Link]:
    info = connection.info("persistence")
    if info.get("rdb_last_bgsave_status", "ok") != "ok":
        yield wrong(
            "redis persistence",
            "the last save failed",
            f"df -h; {scene.cli('BGSAVE')}; {scene.cli('INFO persistence')}",
            "a restart brings back an older state",
        )
        return
    kept = _kept(scene)
    if kept is None:
        yield unknown(
            "redis persistence",
            "the last save was good; whether it saves by itself only its administrator may ask",
            scene.cli("CONFIG GET save"),
        )
    elif not kept:
        yield wrong(
            "redis persistence",
            "it saves nothing (save is empty, appendonly is no)",
            scene.set_redis("save", "3600 1 300 100 60 10000"),
            "a restart of Redis loses tables, node states and overrides",
        )
    else:
        yield good("redis persistence", kept)


def _kept(scene: Scene) -> str | None:
    """How Redis saves; "": not at all; None: it cannot be asked."""
    assert scene.config is not None
    try:
        with administrator(scene, scene.config.redis) as admin:
            save = setting(admin, "save")
            appends = setting(admin, "appendonly") == "yes"
    except (redis.RedisError, OSError):
        return None
    return " and ".join([*(["a log of every write"] if appends else []), *([f"save {save}"] if save else [])])


def _replication(scene: Scene, connection: Plain) -> Iterator[Link]:
    info = connection.info("replication")
    if info.get("role") in {"slave", "replica"}:
        primary = f"{info.get('master_host')}:{info.get('master_port')}"
        yield wrong(
            "redis replication",
            f"the loader's Redis is a replica of {primary}",
            f'write url = "redis://{primary}" into [redis] of {scene.loader_file}, or {scene.cli("REPLICAOF NO ONE")}',
            "a replica takes no writes: nothing is published",
        )
        return
    replicas = [value for key, value in info.items() if re.fullmatch(r"slave\d+", key)]
    late = [value for value in replicas if "state=online" not in value]
    if late:
        yield warning(
            "redis replication",
            f"not in step: {late[0]}",
            "look at that replica's log",
            "its workers answer by older data",
        )
    else:
        yield good("redis replication", f"a primary with {len(replicas)} replicas")


def _workers_copy(scene: Scene) -> Iterator[Link]:
    """The Redis that workers read, where that is another one."""
    settings = scene.worker_redis
    if settings is None or scene.config is None or settings.url == scene.config.redis.url:
        return
    try:
        with plain(settings) as connection:
            role = connection.call("ROLE")
            theirs = connection.call("HGETALL", Keys(settings.prefix).current)
        with plain(scene.config.redis) as connection:
            ours = connection.call("HGETALL", Keys(scene.config.redis.prefix).current)
    except (redis.RedisError, OSError):
        return
    if role and role[0] in {"slave", "replica"} and role[3] != "connected":
        yield wrong(
            "redis replication",
            f"workers read {settings.url}, whose link to its primary {role[1]}:{role[2]} is down ({role[3]})",
            f"{scene.server.cli} -h {role[1]} -p {role[2]} PING; look at masteruser and masterauth of the replica",
            "workers answer by states and tables that no longer change",
        )
    elif role and role[0] == "master" and theirs != ours:
        yield wrong(
            "redis replication",
            f"workers read {settings.url}, which has not what is published at {scene.config.redis.url}, and is no replica",
            f'write url = "{scene.config.redis.url}" into [redis] of {scene.worker_file}',
            "workers never see what is published",
        )
    else:
        yield good("redis replication", f"workers read {settings.url}: {role[0]}")

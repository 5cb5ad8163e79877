"""Links that are files: the configurations, passwords and their modes, folders of workers."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from geosteer.errors import ConfigError
from geosteer_loader.config import config
from geosteer_loader.install.doctor.link import good, unknown, warning, wrong
from geosteer_loader.install.files import ROLES
from geosteer_loader.sources.builtin_age import OLD_DATA

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from geosteer_loader.install.doctor.link import Link
    from geosteer_loader.install.doctor.scene import Scene

SHOWN = 3
"""Problems of a file that are quoted."""


def configurations(scene: Scene) -> Iterator[Link]:
    """Both files are there, are right, and name the same place in Redis."""
    path = scene.loader_file
    if not path.exists():
        yield wrong("configuration", f"{path} does not exist", "geosteer init", "nothing can be published")
    else:
        try:
            loaded = config.load(path)
        except ConfigError as exc:
            yield wrong("configuration", _few(exc.problems), f"geosteer check-config {path}")
        else:
            problems, doubtful = config.source_problems(loaded)
            if problems or loaded.missing_parts:
                yield wrong(
                    "configuration", _few(problems + loaded.missing_parts), f"geosteer check-config {path}"
                )
            else:
                yield good("configuration", f"{path}: no problems")
            for line in doubtful:
                if OLD_DATA not in line:  # told of what is published
                    yield warning("data", line, scene.publish)
    worker = scene.worker_file
    if not worker.exists():
        yield wrong(
            "worker configuration", f"{worker} does not exist", "geosteer init", "no worker can start"
        )
        return
    problems = config.check_backend(worker)
    if scene.worker is None:
        problems = problems or scene.worker_problems
    if problems:
        yield wrong("worker configuration", _few(problems), f"geosteer check-config --backend {worker}")
    else:
        yield good("worker configuration", f"{worker}: no problems")
        for line in config.backend_warnings(worker):
            yield warning("worker configuration", line, "take it out, or let dnsdist use the PROXY protocol")
    if scene.config is None or scene.worker is None:
        return
    first, second = scene.config.redis.prefix, scene.worker.prefix
    if first != second:
        yield wrong(
            "prefix",
            f"the loader publishes under {first!r}, workers read {second!r}",
            f'write prefix = "{first}" into [redis] of {worker}',
            "workers never see what is published",
        )


def modes(scene: Scene) -> Iterator[Link]:
    """Passwords are there for those who need them, and for nobody else."""
    secret = [scene.host.at(scene.folder / f"{role}.password") for role in ROLES]
    secret += [scene.host.at(scene.place.users(scene.server)), scene.loader_file, scene.worker_file]
    found = False
    for path in secret:
        try:
            status = path.stat()
        except FileNotFoundError:
            continue
        except OSError as exc:
            yield unknown("modes", f"{path}: {exc.strerror}", "run it as root")
            continue
        found = True
        if status.st_mode & stat.S_IRWXO:
            yield wrong(
                "modes",
                f"{path}: everybody on this host may read it (mode {stat.S_IMODE(status.st_mode):04o})",
                f"chmod 0640 {path}",
                "it holds passwords, or names where they are",
            )
        elif not os.access(path, os.R_OK):
            yield unknown("modes", f"{path}: not readable for this user", "run it as root")
        yield from _owner(scene, path, status)
    if found:
        yield good("modes", "no password is open to everybody")


def _owner(scene: Scene, path: Path, status: os.stat_result) -> Iterator[Link]:
    """On a host that serves: the group may read what its members need."""
    if not scene.place.system:
        return
    user = scene.about("system_user", "geosteer")
    number = scene.host.group(user)
    name = path.name
    needed = name in {"geosteer.toml", "backend.toml", "worker.password"}
    if number is None or not needed:
        return
    if status.st_gid != number or not status.st_mode & stat.S_IRGRP:
        yield wrong(
            "modes",
            f"{path}: members of group {user} may not read it",
            f"chown root:{user} {path} && chmod 0640 {path}",
            "the prober, publishes and workers cannot start"
            if name != "geosteer.toml"
            else "nothing is published",
        )


def folders(scene: Scene) -> Iterator[Link]:
    """Where workers keep what they last knew, and what they count."""
    settings = scene.worker
    if settings is None:
        return
    snapshot = scene.host.at(os.path.dirname(settings.snapshot))  # noqa: PTH120
    user = scene.about("pdns_user", "pdns") if scene.place.system else ""
    owner = scene.host.user(user) if user else None
    if not snapshot.is_dir():
        cure = f"install -d -o {user} -g {user} {snapshot}" if user else f"mkdir -p {snapshot}"
        yield wrong(
            "snapshot",
            f"{snapshot} does not exist",
            cure,
            "a worker that starts without Redis then knows nothing",
        )
    elif owner is not None and snapshot.stat().st_uid != owner[0]:
        yield wrong(
            "snapshot",
            f"{snapshot} does not belong to {user}, who PowerDNS's workers are",
            f"chown -R {user}: {snapshot}",
            "they cannot keep what they know",
        )
    elif not user and not os.access(snapshot, os.W_OK):
        yield wrong("snapshot", f"{snapshot} is not writable", f"chmod u+w {snapshot}")
    else:
        yield good("snapshot", str(snapshot))
    if not settings.metrics:
        return
    counters = scene.host.at(settings.metrics)
    own = counters / "pdns"
    if owner is not None and own.is_dir() and own.stat().st_uid != owner[0]:
        yield warning(
            "counters",
            f"{own} does not belong to {user}, who PowerDNS's workers are",
            f"chown -R {user}: {own}",
            "workers do not count what they answer",
        )
    elif counters.is_dir():
        yield good("counters", str(counters))
    else:
        yield warning(
            "counters",
            f"{counters} does not exist",
            "systemd-tmpfiles --create" if scene.place.system else f"mkdir -p {counters}",
            "workers do not count what they answer",
        )


def _few(problems: list[str]) -> str:
    more = len(problems) - SHOWN
    return "; ".join(problems[:SHOWN]) + (f"; and {more} more" if more > 0 else "")

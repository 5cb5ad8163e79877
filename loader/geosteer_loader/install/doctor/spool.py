"""Links that are the spool of beacons: its folder is there for its writer and its reader, has room, and is read."""

from __future__ import annotations

import os
import stat
import time
import tomllib
from typing import TYPE_CHECKING, Any

from geosteer.redirect.beacons.settings import NUMBERS, SPOOL
from geosteer_loader.install.doctor.access import may
from geosteer_loader.install.doctor.link import good, unknown, warning, wrong
from geosteer_loader.install.doctor.units import drop_in, values
from geosteer_loader.rtt.inputs.own import SEGMENT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from geosteer_loader.install.doctor.link import Link
    from geosteer_loader.install.doctor.scene import Scene

HTTP = "geosteer-http.service"
FILES = ("http.toml", "backend.toml")
"""Settings of redirectors: the packages' unit reads the first."""
SETTLED = 3600.0
"""Seconds within which a closed segment is read where the ingest runs; its timer starts it every five minutes."""
WRITE = stat.S_IWOTH
LINK = "beacons"


def spool(scene: Scene) -> Iterator[Link]:
    """Where `[beacon]` has a key, what clients report can be written, and is read. Nothing without beacons."""
    for name in FILES:
        table = _beacon(scene.host.at(scene.folder / name))
        if table is not None:
            named = str(table.get("spool", SPOOL))
            findings = list(_spool(scene, scene.folder / named, table, name))
            yield from findings or [good(LINK, str(scene.folder / named))]


def _beacon(path: Path) -> dict[str, Any] | None:
    """`[beacon]` of a file of settings; None: no beacons, or a file that the links about it tell of."""
    try:
        table = tomllib.loads(path.read_text()).get("beacon")
    except (OSError, ValueError):
        return None
    return table if isinstance(table, dict) and table.get("key_file") else None


def _spool(scene: Scene, named: Path, table: dict[str, Any], file: str) -> Iterator[Link]:
    folder = scene.host.at(named)
    user = scene.about("system_user", "geosteer")
    owner = f" -o {user} -g {user}" if scene.place.system else ""
    make = f"install -d -m 2770{owner} {folder}"
    lost = "what clients report is lost; redirects are not"
    try:
        status = folder.lstat()
    except FileNotFoundError:
        yield wrong(LINK, f"{folder} does not exist ([beacon] of {file})", make, lost)
        return
    except OSError as exc:
        yield unknown(LINK, f"{folder}: {exc.strerror}", "run it as root")
        return
    if not stat.S_ISDIR(status.st_mode):
        kind = "a symbolic link" if stat.S_ISLNK(status.st_mode) else "not a folder"
        yield wrong(LINK, f"{folder} is {kind}", f"mv {folder} {folder}.old && {make}", lost)
        return
    if status.st_mode & WRITE:
        yield wrong(LINK, f"{folder}: everybody may write to it", f"chmod o-w {folder}", lost)
    if scene.place.system:
        yield from _rights(scene, folder, status, user)
    elif not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        yield wrong(LINK, f"{folder} is not readable and writable", f"chmod u+rwx {folder}", lost)
    try:
        segments = [
            entry.stat(follow_symlinks=False) for entry in os.scandir(folder) if entry.name.endswith(SEGMENT)
        ]
        room = os.statvfs(folder)
    except OSError as exc:
        yield unknown(LINK, f"{folder}: {exc.strerror}", "run it as root")
        return
    yield from _room(folder, room.f_bavail * room.f_frsize, sum(each.st_size for each in segments), table)
    yield from _read(scene, folder, named, [each.st_mtime for each in segments])


def _rights(scene: Scene, folder: Path, status: os.stat_result, user: str) -> Iterator[Link]:
    mend = f"chown {user}:{user} {folder} && chmod 2770 {folder}"
    what = f"mode {stat.S_IMODE(status.st_mode):04o}, owner {status.st_uid}:{status.st_gid}"
    entry = scene.host.user(user)
    if entry is not None and not may(status, entry[0], {entry[1]}, WRITE):
        yield wrong(
            LINK,
            f"{folder}: {user} may not delete segments in it ({what})",
            mend,
            "the ingest counts none of them",
        )
    text = scene.host.unit_text(HTTP)
    if not text:
        return
    runs_as = scene.host.user((values(text, "User") or [""])[-1])
    groups = {
        scene.host.group(name) for name in (*values(text, "SupplementaryGroups"), *values(text, "Group")[-1:])
    }
    numbers = {number for number in groups if number is not None} | ({runs_as[1]} if runs_as else set())
    if not may(status, runs_as[0] if runs_as else -1, numbers, WRITE):
        in_group = entry is not None and status.st_gid == entry[1] and status.st_mode & stat.S_IWGRP
        yield wrong(
            LINK,
            f"{folder}: {HTTP} may not write to it ({what})",
            drop_in(HTTP, "beacons", f"SupplementaryGroups={user}") if in_group else mend,
            "what clients report is lost; redirects are not",
        )


def _room(folder: Path, free: int, used: int, table: dict[str, Any]) -> Iterator[Link]:
    bound = table.get("spool_bytes", NUMBERS["spool_bytes"][2])
    wanted = max(0, bound - used) if isinstance(bound, int | float) else 0
    if free < wanted:
        yield warning(
            LINK,
            f"{folder}: {free / 2**20:.0f} MiB are free, and it may still grow by {wanted / 2**20:.0f} MiB (spool_bytes)",
            f"df {folder}",
            "on a full disk what clients report is lost",
        )


def _read(scene: Scene, folder: Path, named: Path, written: list[float]) -> Iterator[Link]:
    if scene.config is not None and not any(
        named in {each.path, each.path.parent} for each in scene.config.latency.inputs
    ):
        yield warning(
            LINK,
            f"no [[latency.inputs]] of {scene.loader_file} reads {folder}",
            f'printf \'\\n[[latency.inputs]]\\nformat = "json"\\npath = "{named}"\\n\' >> {scene.loader_file}',
            "segments pile up until the oldest go",
        )
    age = time.time() - min(written, default=time.time())
    if age > SETTLED:
        start = (
            "systemctl enable --now geosteer-latency.timer"
            if scene.place.system
            else f"geosteer latency ingest --config {scene.loader_file}"
        )
        yield warning(
            LINK,
            f"{folder}: its oldest segment is {age / 3600:.0f} h old, of {len(written)} that nobody has counted",
            start,
            "nothing that clients report has an effect; beyond spool_bytes the oldest go",
        )

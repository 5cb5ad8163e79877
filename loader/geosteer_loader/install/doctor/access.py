"""Links that are what users may read: settings and passwords, by those who need them."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

from geosteer_loader.install.doctor.link import wrong
from geosteer_loader.install.doctor.units import PDNS, values

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from os import stat_result
    from pathlib import Path

    from geosteer_loader.install.doctor.link import Link
    from geosteer_loader.install.doctor.scene import Scene

ENTER, READ = stat.S_IXOTH, stat.S_IROTH
"""As bits of everybody; the owner's are six, the group's three to the left."""


def access(scene: Scene) -> Iterator[Link]:
    """On a host that serves: loader, workers, Redis and PowerDNS may read their files."""
    if not scene.place.system:
        return
    user, pdns = scene.about("system_user", "geosteer"), scene.about("pdns_user", "pdns")
    server = scene.server.user
    folder = scene.host.at(scene.folder)
    workers = values(scene.host.unit_text(PDNS), "SupplementaryGroups")
    wanted = (
        (folder, user, (), ENTER, f"chown root:{user} {folder} && chmod 0750 {folder}", "nothing is published"),
        (folder, pdns, workers, ENTER, f"chown root:{user} {folder} && chmod 0750 {folder}", "no worker starts"),
        *_file(folder / "loader.password", user, user, "root", "nothing is published"),
        *_file(scene.host.at(scene.place.redis_config(scene.server)), server, server, server, "Redis does not start"),
        *_file(scene.host.at(scene.place.users(scene.server)), server, server, server, "Redis does not start"),
        *_file(scene.host.at(scene.place.pdns_config), pdns, "root", pdns, "PowerDNS does not start"),
    )  # fmt: skip
    for path, who, groups, bit, cure, why in wanted:
        yield from _told(scene, path, who, groups, bit, cure, why)


Row = tuple["Path", str, tuple[str, ...], int, str, str]


def _file(path: Path, who: str, owner: str, group: str, why: str) -> Iterator[Row]:
    yield path, who, (), READ, f"chown {owner}:{group} {path} && chmod 0640 {path}", why


def _told(
    scene: Scene, path: Path, who: str, groups: Collection[str], bit: int, cure: str, why: str
) -> Iterator[Link]:
    entry = scene.host.user(who)
    try:
        status = path.stat()
    except OSError:
        return  # told by the link that it is about
    if entry is None or entry[0] == 0:
        return
    numbers = {entry[1], *(number for name in groups if (number := scene.host.group(name)) is not None)}
    if not may(status, entry[0], numbers, bit):
        verb = "enter" if bit == ENTER else "read"
        mode = f"mode {stat.S_IMODE(status.st_mode):04o}"
        yield wrong(
            "modes",
            f"{path}: {who} may not {verb} it ({mode}, owner {status.st_uid}:{status.st_gid})",
            cure,
            why,
        )


def may(status: stat_result, user: int, groups: Collection[int], bit: int) -> bool:
    """Whether a user in these groups has a right, by a file's mode (path_resolution(7)); access lists are not looked at."""
    if status.st_uid == user:
        return bool(status.st_mode & bit << 6)
    if status.st_gid in groups:
        return bool(status.st_mode & bit << 3)
    return bool(status.st_mode & bit)

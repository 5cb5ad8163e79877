"""The whole chain, link by link, in the order in which an answer needs them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from geosteer_loader.install.doctor import (
    access,
    answers,
    files,
    listeners,
    powerdns,
    published,
    redis_limits,
    redis_login,
    redis_server,
    rights,
    spool,
    systemd,
    units,
)
from geosteer_loader.install.doctor.link import State

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from geosteer_loader.install.doctor.link import Link
    from geosteer_loader.install.doctor.scene import Scene

CHECKS: dict[str, Callable[[Scene], Iterator[Link]]] = {
    "configurations": files.configurations,
    "modes": files.modes,
    "access": access.access,
    "folders": files.folders,
    "units": units.units,
    "systemd": systemd.systemd,
    "redis files": redis_server.files,
    "redis socket": redis_server.socket,
    "redis login": redis_login.login,
    "redis health": redis_server.health,
    "redis settings": redis_limits.limits,
    "rights": rights.rights,
    "published": published.published,
    "pdns settings": powerdns.settings,
    "pdns": powerdns.running,
    "listening": listeners.listeners,
    "worker": answers.worker,
    "answer": answers.by_dns,
    "spool": spool.spool,
}
"""Part of the chain -> what looks at it."""


def diagnose(scene: Scene, only: Collection[str] = ()) -> list[Link]:
    """Every link that could be looked at. Args: only: parts of `CHECKS`; none: all."""
    return [link for name, check in CHECKS.items() if not only or name in only for link in check(scene)]


def exit_code(links: Sequence[Link]) -> int:
    """1 where a link is wrong, else 0."""
    return int(any(link.state == State.WRONG for link in links))

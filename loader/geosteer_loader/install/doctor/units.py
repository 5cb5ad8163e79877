"""Links that are units of systemd: users, groups, folders that two of them fight over. Only on a host that serves."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from geosteer_loader.install.doctor.link import good, warning, wrong

if TYPE_CHECKING:
    from collections.abc import Iterator

    from geosteer_loader.install.doctor.link import Link
    from geosteer_loader.install.doctor.scene import Scene

PDNS = "pdns.service"
OURS = ("geosteer-probe.service", "geosteer-publish.service")
SLOW_STOP = 30
"""Seconds within which a PowerDNS that hangs is killed; systemd's default is 90."""


def units(scene: Scene) -> Iterator[Link]:
    """Those of PowerDNS and of our own programs fit together and to the users that there are."""
    if not scene.place.system or not scene.host.systemd:
        return
    texts = {name: scene.host.unit_text(name) for name in (PDNS, *OURS)}
    if not texts[PDNS]:
        yield wrong("unit pdns", "there is no pdns.service", "apt install pdns-server pdns-backend-pipe")
    findings = [
        *(finding for name, text in texts.items() for finding in _names(scene, name, text)),
        *_socket_group(scene, texts),
        *_state(scene, texts),
        *(finding for name, text in texts.items() for finding in _program(scene, name, text)),
        *_stop(texts[PDNS]),
    ]
    yield from findings
    if texts[PDNS] and not findings:
        yield good("units", ", ".join(name for name, text in texts.items() if text))


def values(text: str, key: str) -> list[str]:
    """Words of a setting that may stand several times; an empty one takes back what was before (systemd.exec(5))."""
    words: list[str] = []
    for value in re.findall(rf"(?m)^{key}=(.*)$", text):
        words = [*words, *value.split()] if value.strip() else []
    return words


def _names(scene: Scene, name: str, text: str) -> Iterator[Link]:
    for group in (*values(text, "SupplementaryGroups"), *values(text, "Group")[-1:]):
        if scene.host.group(group) is None:
            server = group in {"redis", "valkey"}
            yield wrong(
                "groups",
                f"{name} names the group {group}, which is not there",
                f"apt install {group}-server, or take {group} out of SupplementaryGroups= (systemctl edit --full {name})"
                if server
                else "systemd-sysusers",
                "the unit does not start: 216/GROUP",
            )
    for user in values(text, "User")[-1:]:
        if scene.host.user(user) is None:
            yield wrong(
                "users",
                f"{name} runs as {user}, which is not there",
                "systemd-sysusers",
                "it does not start: 217/USER",
            )


def _socket_group(scene: Scene, texts: dict[str, str]) -> Iterator[Link]:
    group = scene.server.user
    user = scene.about("system_user", "geosteer")
    for name, text in texts.items():
        if not text:
            continue
        groups = {*values(text, "SupplementaryGroups"), *values(text, "Group")[-1:]}
        if scene.socket is not None and group not in groups:
            yield wrong(
                "groups",
                f"{name} is not in group {group}, whose members alone may use {scene.socket}",
                f"printf '[Service]\\nSupplementaryGroups={group}\\n' > /etc/systemd/system/{name}.d/geosteer-redis.conf"
                " && systemctl daemon-reload",
                "its programs cannot connect to Redis",
            )
        if name == PDNS and user not in groups:
            yield wrong(
                "groups",
                f"{name} is not in group {user}, whose members alone may read {scene.folder}",
                f"printf '[Service]\\nSupplementaryGroups={user}\\n' > /etc/systemd/system/{name}.d/geosteer.conf"
                " && systemctl daemon-reload",
                "workers cannot read their settings",
            )


def _state(scene: Scene, texts: dict[str, str]) -> Iterator[Link]:
    """Folders that systemd gives to the unit that starts last, with all that is in them."""
    for setting, base in (("StateDirectory", "/var/lib"), ("RuntimeDirectory", "/run")):
        owned = {
            name: [Path(base) / folder.partition(":")[0] for folder in values(text, setting)]
            for name, text in texts.items()
        }
        for name in OURS:
            for ours in owned[name]:
                for theirs in owned[PDNS]:
                    if ours.is_relative_to(theirs) or theirs.is_relative_to(ours):
                        yield wrong(
                            "state folder",
                            f"{setting}= of {PDNS} ({theirs}) takes over {ours} of {name}",
                            f"write {setting}=geosteer-worker into {_where(scene, PDNS)}, and "
                            'snapshot = "/var/lib/geosteer-worker/last-good.json" into backend.toml;'
                            f" chown -R {scene.about('system_user', 'geosteer')}: /var/lib/geosteer",
                            "each start gives the whole folder to the other user, also while a source is fetched into it",
                        )
        if setting == "RuntimeDirectory" and Path("/run/geosteer") in owned[PDNS]:
            yield wrong(
                "state folder",
                f"{PDNS} has RuntimeDirectory=geosteer",
                f"take it out of {_where(scene, PDNS)}; systemd-tmpfiles --create makes the folder",
                "the folder vanishes when PowerDNS stops, with the counters of all other workers",
            )
    folder = scene.host.at("/var/lib/geosteer")
    user = scene.about("system_user", "geosteer")
    owner, pdns = scene.host.user(user), scene.host.user(scene.about("pdns_user", "pdns"))
    if (
        folder.is_dir()
        and owner is not None
        and pdns is not None
        and folder.stat().st_uid == pdns[0] != owner[0]
    ):
        yield wrong(
            "state folder",
            f"/var/lib/geosteer belongs to {scene.about('pdns_user', 'pdns')}",
            f"chown -R {user}: /var/lib/geosteer",
            "a unit of PowerDNS took it over; sources cannot be fetched into it",
        )


def _program(scene: Scene, name: str, text: str) -> Iterator[Link]:
    for words in re.findall(r"(?m)^ExecStart=[-@:+!]*(\S+)", text)[-1:]:
        path = scene.host.at(words)
        if words.startswith("/") and not (path.is_file() and os.access(path, os.X_OK)):
            yield wrong("unit program", f"{name} starts {words}, which is not there", "geosteer init --force")
        elif re.match(r"/(home|root)/", words) and re.search(r"(?m)^ProtectHome=(yes|true)", text):
            yield wrong(
                "unit program",
                f"{name} starts {words}, and hides /home and /root",
                "move geosteer to /opt and run geosteer init --force",
                "it does not start: 203/EXEC",
            )


def _stop(text: str) -> Iterator[Link]:
    seconds = values(text, "TimeoutStopSec")
    if text and not (
        seconds and re.fullmatch(r"\d+s?", seconds[-1]) and int(seconds[-1].rstrip("s")) <= SLOW_STOP
    ):
        yield warning(
            "unit pdns",
            "pdns.service has no short TimeoutStopSec=",
            "printf '[Service]\\nTimeoutStopSec=5\\n' > /etc/systemd/system/pdns.service.d/stop.conf"
            " && systemctl daemon-reload",
            "a PowerDNS 4.9 whose worker was too slow at boot hangs while it stops, and nothing restarts it meanwhile",
        )


def _where(scene: Scene, unit: str) -> str:
    folder = scene.host.at("/etc/systemd/system") / f"{unit}.d"
    parts = sorted(folder.glob("*.conf"))
    return str(parts[0]) if parts else str(folder)

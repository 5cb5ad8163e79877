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
OTHERS = (
    "geosteer-follow.service",
    "geosteer-http.service",
    "geosteer-latency.service",
    "geosteer-metrics.service",
    "geosteer-web.service",
)
"""Of ours, those that not every host runs; looked at where they are there."""
ONCE = ("geosteer-publish.service", "geosteer-latency.service")
"""Units that a timer starts, and that end by themselves."""
SLOW_STOP = 30
"""Seconds within which a PowerDNS that hangs is killed; systemd's default is 90."""


def units(scene: Scene) -> Iterator[Link]:
    """Those of PowerDNS and of our own programs fit together and to the users that there are."""
    if not scene.place.system or not scene.host.systemd:
        return
    texts = {name: scene.host.unit_text(name) for name in (PDNS, *OURS, *OTHERS)}
    if not texts[PDNS]:
        yield wrong("unit pdns", "there is no pdns.service", "apt install pdns-server pdns-backend-pipe")
    findings = [
        *_masked(scene),
        *(finding for name, text in texts.items() for finding in _names(scene, name, text)),
        *_socket_group(scene, texts),
        *_state(scene, texts),
        *(finding for name, text in texts.items() for finding in _program(scene, name, text)),
        *_stop(texts[PDNS]),
        *_written_where(scene, texts[PDNS]),
        *_control_socket(scene, texts[PDNS]),
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


def drop_in(unit: str, name: str, *lines: str) -> str:
    """The command that adds settings to a unit."""
    folder = f"/etc/systemd/system/{unit}.d"
    text = "".join(f"{line}\\n" for line in ("[Service]", *lines))
    restart = "" if unit in ONCE else f" && systemctl try-restart {unit}"
    return f"mkdir -p {folder} && printf '{text}' > {folder}/{name}.conf && systemctl daemon-reload{restart}"


def _masked(scene: Scene) -> Iterator[Link]:
    for name in (PDNS, f"{scene.server.unit}.service", *OURS, "geosteer-publish.timer"):
        if scene.host.masked(name):
            yield wrong(
                "units",
                f"{name} is masked",
                f"systemctl unmask {name} && systemctl start {name}",
                "nothing and nobody can start it",
            )


def _names(scene: Scene, name: str, text: str) -> Iterator[Link]:
    for group in dict.fromkeys((*values(text, "SupplementaryGroups"), *values(text, "Group")[-1:])):
        if scene.host.group(group) is None:
            yield wrong(
                "groups",
                f"{name} names the group {group}, which is not there",
                _group_or_not(scene, name, text, group),
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


def _group_or_not(scene: Scene, name: str, text: str, group: str) -> str:
    """The commands that make a group, or take it out of a unit where the server that it is for is not here."""
    if group not in {"redis", "valkey"}:
        return "systemd-sysusers"
    if scene.host.unit(f"{group}-server.service") is not None:
        return f"groupadd --system {group} && usermod -g {group} {group} && systemctl restart {group}-server {name}"
    others = " ".join(each for each in values(text, "SupplementaryGroups") if each != group)
    without = drop_in(name, "zz-groups", "SupplementaryGroups=", f"SupplementaryGroups={others}")
    return f"apt install {group}-server, or, where it is on another host: {without}"


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
                drop_in(name, "geosteer-redis", f"SupplementaryGroups={group}"),
                "its programs cannot connect to Redis",
            )
        if name == PDNS and user not in groups:
            yield wrong(
                "groups",
                f"{name} is not in group {user}, whose members alone may read {scene.folder}",
                drop_in(name, "geosteer-group", f"SupplementaryGroups={user}"),
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
    for each in (folder, folder / "sources"):
        if not each.is_dir() or owner is None or each.stat().st_uid == owner[0]:
            continue
        by_pdns = pdns is not None and each.stat().st_uid == pdns[0]
        yield wrong(
            "state folder",
            f"{each} belongs to {scene.about('pdns_user', 'pdns') if by_pdns else _name_of(each)}, not to {user}",
            f"chown -R {user}: {folder}",
            ("a unit of PowerDNS took it over; " if by_pdns else "") + "sources cannot be fetched into it",
        )
        return


def _name_of(path: Path) -> str:
    try:
        return path.owner()
    except KeyError:
        return f"user {path.stat().st_uid}"


def _control_socket(scene: Scene, text: str) -> Iterator[Link]:
    """PowerDNS takes one variable, in which systemd lists all of a unit's RuntimeDirectory=, for the name of a folder."""
    said = any(word.startswith("RUNTIME_DIRECTORY=") for word in values(text, "Environment"))
    if (
        len(set(values(text, "RuntimeDirectory"))) > 1
        and not said
        and not (scene.pdns or {}).get("socket-dir")
    ):
        yield wrong(
            "unit pdns",
            f"{PDNS} has several RuntimeDirectory=, and does not say which is for PowerDNS's control socket",
            drop_in(PDNS, "geosteer-socket", "Environment=RUNTIME_DIRECTORY=/run/pdns"),
            "PowerDNS does not start: Unable to create socket directory",
        )


def _written_where(scene: Scene, text: str) -> Iterator[Link]:
    """What workers keep lies where PowerDNS's unit lets them write."""
    if scene.worker is None or "strict" not in values(text, "ProtectSystem")[-1:]:
        return
    may = [Path("/var/lib") / name.partition(":")[0] for name in values(text, "StateDirectory")]
    may += [Path(path.lstrip("-+")) for path in values(text, "ReadWritePaths")]
    kept = Path(scene.worker.snapshot).parent
    if not any(kept.is_relative_to(path) for path in may):
        yield wrong(
            "snapshot",
            f"{kept} is read-only for PowerDNS's workers (ProtectSystem=strict in {PDNS})",
            drop_in(PDNS, "geosteer-snapshot", f"ReadWritePaths={kept}"),
            "they cannot keep what they know: a start without Redis then begins with nothing",
        )


def _program(scene: Scene, name: str, text: str) -> Iterator[Link]:
    for words in re.findall(r"(?m)^ExecStart=[-@:+!]*(\S+)", text)[-1:]:
        path = scene.host.at(words)
        if words.startswith("/") and not (path.is_file() and os.access(path, os.X_OK)):
            yield wrong("unit program", f"{name} starts {words}, which is not there", scene.repair)
        elif re.match(r"/(home|root)/", words) and re.search(r"(?m)^ProtectHome=(yes|true)", text):
            yield wrong(
                "unit program",
                f"{name} starts {words}, and hides /home and /root",
                f"move geosteer to /opt and name it there in ExecStart= (systemctl edit --full {name})",
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
            drop_in(PDNS, "stop", "TimeoutStopSec=5"),
            "a PowerDNS 4.9 whose worker was too slow at boot hangs while it stops, and nothing restarts it meanwhile",
        )


def _where(scene: Scene, unit: str) -> str:
    folder = scene.host.at("/etc/systemd/system") / f"{unit}.d"
    parts = sorted(folder.glob("*.conf"))
    return str(parts[0]) if parts else str(folder)

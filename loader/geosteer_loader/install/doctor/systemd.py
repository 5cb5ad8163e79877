"""Links that are units as systemd has them now: failed, switched off, or running with what their files no longer say."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from geosteer_loader.install.doctor.link import good, warning, wrong
from geosteer_loader.install.doctor.units import OTHERS, OURS, PDNS, values

if TYPE_CHECKING:
    from collections.abc import Iterator

    from geosteer_loader.install.doctor.link import Link
    from geosteer_loader.install.doctor.scene import Scene

TIMER = "geosteer-publish.timer"
CRON = "/etc/cron.d/geosteer"
PROPERTIES = "Id,LoadState,ActiveState,Result,UnitFileState,NeedDaemonReload,MainPID"
_OF_SYSTEMD = re.compile(
    r"^(Start|Stop|Fail)\w+ (to start )?\S+\.(service|timer)"
    r"|Failed with result|[Pp]rocess exited|Scheduled restart|repeated too quickly"
)
_TELLING = re.compile(
    r"(?i)fatal|error|unable|cannot|can't|could not|failed|refused|denied|invalid|unknown|no such"
)
SECONDS = 10
"""For systemctl and journalctl to answer."""


def systemd(scene: Scene) -> Iterator[Link]:
    """Of PowerDNS, Redis and our own programs. Only on a host that serves and that systemd runs."""
    if not scene.place.system or not scene.host.here or not Path("/run/systemd/system").is_dir():
        return
    server = f"{scene.server.unit}.service"
    shown = _shown(PDNS, server, *OURS, *OTHERS, TIMER)
    there = {name: unit for name, unit in shown.items() if unit.get("LoadState") == "loaded"}
    findings = [
        *(link for name, unit in there.items() for link in _state(name, unit)),
        *_at_boot(there, PDNS, server),
        *_publishes(scene, there),
        *_probes(scene, there),
        *(link for name, unit in there.items() for link in _groups(scene, name, unit)),
    ]
    yield from findings
    if there and not findings:
        yield good("systemd", f"{len(there)} units")


def _shown(*names: str) -> dict[str, dict[str, str]]:
    """Unit -> property -> value; empty where systemd does not answer."""
    blocks = _run("systemctl", "show", f"--property={PROPERTIES}", *names).split("\n\n")
    units = [dict(line.split("=", 1) for line in block.splitlines() if "=" in line) for block in blocks]
    return {unit["Id"]: unit for unit in units if "Id" in unit}


def _state(name: str, unit: dict[str, str]) -> Iterator[Link]:
    start = "start" if name == "geosteer-publish.service" else "restart"
    if unit.get("ActiveState") == "failed" or unit.get("Result") not in {"success", "", None}:
        clear = f"systemctl reset-failed {name}; " if unit.get("Result") == "start-limit-hit" else ""
        yield wrong(
            "systemd",
            f"{name} failed ({unit.get('Result')}): {_last_words(name)}",
            f"journalctl -u {name} -n 30; {clear}systemctl {start} {name}",
        )
    if unit.get("NeedDaemonReload") == "yes":
        yield warning(
            "systemd",
            f"systemd has not read the files of {name} since they changed",
            f"systemctl daemon-reload && systemctl try-restart {name}",
            "what they say now has no effect yet",
        )


def _last_words(name: str) -> str:
    """What its log says of the failure, other than that there was one."""
    lines = _run("journalctl", "-b", "-o", "cat", "-n", "60", "-u", name).splitlines()
    own = [line for line in lines if line.strip() and not _OF_SYSTEMD.search(line)]
    return ([line for line in own if _TELLING.search(line)] or own or ["its log is empty"])[-1].strip()[:200]


def _at_boot(there: dict[str, dict[str, str]], *names: str) -> Iterator[Link]:
    for name in names:
        if there.get(name, {}).get("UnitFileState") == "disabled":
            yield warning(
                "systemd",
                f"{name} is not started at boot",
                f"systemctl enable {name}",
                "after the next boot it is away",
            )


def _publishes(scene: Scene, there: dict[str, dict[str, str]]) -> Iterator[Link]:
    if scene.host.at(CRON).exists():
        if not _active(_shown("cron.service", "crond.service", "cronie.service")):
            yield warning(
                "timer",
                f"{CRON} is there, and no cron runs",
                "apt install cron",
                "nothing is published by itself",
            )
        return
    if TIMER not in there or _active(
        {name: there[name] for name in there if name == "geosteer-follow.service"}
    ):
        return
    if not _active({TIMER: there[TIMER]}):
        yield warning(
            "timer",
            f"{TIMER} is off",
            f"systemctl enable --now {TIMER}",
            "what changes is published by hand only",
        )
    elif there[TIMER].get("UnitFileState") == "disabled":
        yield warning("timer", f"{TIMER} is not started at boot", f"systemctl enable {TIMER}")


def _probes(scene: Scene, there: dict[str, dict[str, str]]) -> Iterator[Link]:
    probe = there.get("geosteer-probe.service", {})
    if scene.config is None or not any(
        node.get("checks") for node in scene.config.document["nodes"].values()
    ):
        return
    if probe.get("ActiveState") == "active" and probe.get("UnitFileState") == "disabled":
        yield warning(
            "prober",
            "geosteer-probe.service runs, and is not started at boot",
            "systemctl enable geosteer-probe",
            "after the next boot node states are frozen",
        )


def _groups(scene: Scene, name: str, unit: dict[str, str]) -> Iterator[Link]:
    """A program that runs has the groups that its unit names: they count from its start on."""
    pid = unit.get("MainPID", "0")
    status = _text(Path(f"/proc/{pid}/status"))
    listed = re.search(r"(?m)^Groups:(.*)$", status)
    if pid == "0" or listed is None or name not in {PDNS, *OURS, *OTHERS}:
        return
    has = {*listed[1].split(), *re.findall(r"(?m)^Gid:\s+(\d+)", status)}
    for group in values(scene.host.unit_text(name), "SupplementaryGroups"):
        number = scene.host.group(group)
        if number is not None and str(number) not in has:
            yield wrong(
                "groups",
                f"{name} runs without group {group}, which its unit names",
                f"systemctl daemon-reload && systemctl restart {name}",
                "it was started before the unit named it",
            )


def _active(units: dict[str, dict[str, str]]) -> bool:
    return any(unit.get("ActiveState") == "active" for unit in units.values())


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def _run(*words: str) -> str:
    try:
        done = subprocess.run(
            words, capture_output=True, text=True, timeout=SECONDS, check=False, errors="replace"
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout

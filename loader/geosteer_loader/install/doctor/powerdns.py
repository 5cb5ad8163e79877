"""Links that are PowerDNS: its settings, and that it runs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

from geosteer_loader.install.doctor.link import good, unknown, warning, wrong
from geosteer_loader.install.doctor.pdns_settings import RULES
from geosteer_loader.install.host import SEARCH

if TYPE_CHECKING:
    from collections.abc import Iterator

    from geosteer_loader.install.doctor.link import Link
    from geosteer_loader.install.doctor.scene import Scene

SECONDS = 10
"""For a program of PowerDNS to answer."""


def settings(scene: Scene) -> Iterator[Link]:
    """Each of those that matter."""
    found = scene.pdns
    where = scene.pdns_config
    if found is None:
        yield wrong(
            "pdns settings",
            f"{where}/pdns.conf cannot be read",
            "apt install pdns-server pdns-backend-pipe; geosteer init",
        )
        return
    write = f"write it into {scene.host.at(scene.place.pdns_config)}; {scene.restart_pdns}"
    wrongs = [*_launch(scene, found, write), *_command(scene, found, write)]
    for rule in RULES:
        value = found.get(rule.name, rule.default)
        if not rule.right(value):
            told = "" if rule.name in found else " (the default)"
            make = warning if rule.only_warn else wrong
            wrongs.append(
                make(
                    "pdns settings",
                    f"{rule.name}={value}{told}",
                    f"{rule.name}={rule.good}: {write}",
                    rule.why,
                )
            )
    if found.get("receiver-threads", "1") not in {"", "1"} and found.get("reuseport", "no") not in {
        "yes",
        "on",
        "1",
    }:
        wrongs.append(
            warning(
                "pdns settings",
                f"receiver-threads={found['receiver-threads']} without reuseport",
                f"reuseport=yes: {write}",
                "all threads wait for one socket",
            )
        )
    yield from wrongs
    yield from _accepted(scene)
    if not wrongs:
        yield good("pdns settings", f"{where}/pdns.conf")


def _launch(scene: Scene, found: dict[str, str], write: str) -> Iterator[Link]:
    backends = [part.strip() for part in found.get("launch", "").split(",") if part.strip()]
    if "pipe" not in backends:
        yield wrong(
            "pdns settings",
            f"launch={found.get('launch', '')}: no pipe",
            f"launch=pipe: {write}",
            "no worker is started",
        )
    others = [name for name in backends if not name.startswith("pipe")]
    if others and backends[0] != "pipe":
        yield warning(
            "pdns settings",
            f"launch={found.get('launch', '')}: {others[0]} is asked before the workers",
            f"launch=pipe: {write}",
            "what it says it has, workers are never asked",
        )
    if "bind" not in backends and "bind-config" in found:
        yield wrong(
            "pdns settings",
            "bind-config is set, and the backend bind is not launched",
            f"rm {scene.host.at('/etc/powerdns/pdns.d/bind.conf')}",
            "PowerDNS does not start: it knows no such setting",
        )


def _command(scene: Scene, found: dict[str, str], write: str) -> Iterator[Link]:
    command = found.get("pipe-command", "")
    words = command.split()
    if not words:
        yield wrong(
            "pdns settings",
            "pipe-command is not set",
            f"pipe-command=geosteer-pipe --config {scene.worker_file}: {write}",
        )
        return
    if command.startswith("unix:"):
        yield wrong(
            "pdns settings",
            f"pipe-command={command}",
            f"pipe-command=/usr/bin/geosteer-pipe --config {scene.worker_file}: {write}",
            "at a socket PowerDNS has no timeout, and does not connect again",
        )
        return
    path = scene.host.at(words[0])
    if not path.is_file() or not os.access(path, os.X_OK):
        reason = "cannot be executed" if path.is_file() else "does not exist"
        cure = f"chmod +x {path}" if path.is_file() else f"pipe-command=PATH OF geosteer-pipe: {write}"
        yield wrong("pdns settings", f"pipe-command: {path} {reason}", cure, "PowerDNS does not start")
    named = re.search(r"--config[= ](\S+)", command)
    if named and scene.host.at(named[1]) != scene.worker_file:
        yield wrong(
            "pdns settings",
            f"pipe-command reads {named[1]}, not {scene.worker_file}",
            f"pipe-command={words[0]} --config {scene.worker_file}: {write}",
            "workers have other settings than those looked at here",
        )


def _accepted(scene: Scene) -> Iterator[Link]:
    """PowerDNS itself reads its settings; it names what it does not know."""
    program = shutil.which("pdns_server", path=SEARCH)
    if program is None:
        yield wrong("pdns", "pdns_server is not installed", "apt install pdns-server pdns-backend-pipe")
        return
    if not scene.host.here:
        return
    code, said = _run(program, f"--config-dir={scene.pdns_config}", "--config=check")
    fatal = [line for line in said.splitlines() if re.search(r"(?i)fatal|unknown|error|unable", line)]
    if code and fatal:
        yield wrong(
            "pdns", fatal[0].strip()[:200], f"{program} --config-dir={scene.pdns_config} --config=check"
        )


def running(scene: Scene) -> Iterator[Link]:
    """It runs, as its control program sees it."""
    program = shutil.which("pdns_control", path=SEARCH)
    if program is None or not scene.host.here or scene.pdns is None:
        yield unknown("pdns", "there is no pdns_control here to ask")
        return
    words = [program, f"--config-dir={scene.pdns_config}"]
    if "socket-dir" in scene.pdns:
        words.append(f"--socket-dir={scene.pdns['socket-dir']}")
    code, said = _run(*words, "rping")
    if code or "PONG" not in said:
        last = (said.strip().splitlines() or ["no answer"])[-1]
        yield wrong("pdns", f"it does not run, or does not answer: {last[:200]}", scene.restart_pdns)
        return
    _, version = _run(*words, "version")
    yield good("pdns", f"runs, version {version.strip()}")


def _run(*words: str) -> tuple[int, str]:
    try:
        done = subprocess.run(
            words, capture_output=True, text=True, timeout=SECONDS, check=False, errors="replace"
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        return 1, str(exc)
    return done.returncode, done.stdout + done.stderr

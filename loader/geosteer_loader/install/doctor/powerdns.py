"""Links that are PowerDNS: its settings, and that it runs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

from geosteer_loader.install.doctor.link import good, unknown, warning, wrong
from geosteer_loader.install.doctor.pdns_settings import RULES
from geosteer_loader.install.doctor.units import PDNS, values
from geosteer_loader.install.host import SEARCH, program

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
    wrongs = [*_included(scene), *_launch(scene, found), *_command(scene, found)]
    for rule in RULES:
        value = found.get(rule.name, rule.default)
        if not rule.right(value):
            file = scene.pdns_origins.get(rule.name)
            told = " (the default)" if file is None else f" ({file})"
            make = warning if rule.only_warn else wrong
            where_to = file or scene.host.at(scene.place.pdns_config)
            by_hand = f"write {rule.name}={rule.good} (this host's own addresses) into {where_to}; {scene.restart_pdns}"
            wrongs.append(
                make(
                    "pdns settings",
                    f"{rule.name}={value}{told}",
                    by_hand if rule.example else scene.set_pdns(rule.name, rule.good),
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
                scene.set_pdns("reuseport", "yes"),
                "all threads wait for one socket",
            )
        )
    yield from wrongs
    yield from _accepted(scene)
    if not wrongs:
        yield good("pdns settings", f"{where}/pdns.conf")


def _included(scene: Scene) -> Iterator[Link]:
    """The fragment that `init` wrote is one of the files that PowerDNS reads."""
    fragment = scene.host.at(scene.place.pdns_config)
    main = scene.pdns_config / "pdns.conf"
    named = (scene.pdns or {}).get("include-dir", "")
    if (
        not scene.place.system
        or not fragment.exists()
        or fragment.parent == (scene.host.at(named) if named else None)
    ):
        return
    yield wrong(
        "pdns settings",
        f"{main} does not include {fragment.parent}",
        scene.set_pdns("include-dir", str(scene.place.pdns_config.parent)).replace(str(fragment), str(main)),
        "PowerDNS does not read what `geosteer init` wrote for it",
    )


def _launch(scene: Scene, found: dict[str, str]) -> Iterator[Link]:
    backends = [part.strip() for part in found.get("launch", "").split(",") if part.strip()]
    if "pipe" not in backends:
        yield wrong(
            "pdns settings",
            f"launch={found.get('launch', '')}: no pipe",
            scene.set_pdns("launch", "pipe"),
            "no worker is started",
        )
    others = [name for name in backends if not name.startswith("pipe")]
    if others and backends[0] != "pipe":
        yield warning(
            "pdns settings",
            f"launch={found.get('launch', '')}: {others[0]} is asked before the workers",
            scene.set_pdns("launch", "pipe"),
            "what it says it has, workers are never asked",
        )
    if "bind" not in backends and "bind-config" in found:
        yield wrong(
            "pdns settings",
            "bind-config is set, and the backend bind is not launched",
            f"rm {scene.host.at('/etc/powerdns/pdns.d/bind.conf')}",
            "PowerDNS does not start: it knows no such setting",
        )


def _command(scene: Scene, found: dict[str, str]) -> Iterator[Link]:
    command = found.get("pipe-command", "")
    words = command.split()
    if not words:
        yield wrong(
            "pdns settings",
            "pipe-command is not set",
            scene.set_pdns("pipe-command", f"{program('geosteer-pipe')} --config {scene.worker_file}"),
        )
        return
    if command.startswith("unix:"):
        yield wrong(
            "pdns settings",
            f"pipe-command={command}",
            scene.set_pdns("pipe-command", f"{program('geosteer-pipe')} --config {scene.worker_file}"),
            "at a socket PowerDNS has no timeout, and does not connect again",
        )
        return
    path = scene.host.at(words[0])
    if not path.is_file() or not os.access(path, os.X_OK):
        reason = "cannot be executed" if path.is_file() else "does not exist"
        own = f"{program('geosteer-pipe')} --config {scene.worker_file}"
        cure = f"chmod +x {path}" if path.is_file() else scene.set_pdns("pipe-command", own)
        yield wrong("pdns settings", f"pipe-command: {path} {reason}", cure, "PowerDNS does not start")
    hidden = _hidden(scene, words[0])
    if hidden:
        yield wrong(
            "pdns settings",
            f"pipe-command: {words[0]} lies where pdns.service does not look ({hidden})",
            "move geosteer to /opt; "
            + scene.set_pdns("pipe-command", "/opt/geosteer/bin/geosteer-pipe" + command[len(words[0]) :]),
            "PowerDNS does not start",
        )
    named = re.search(r"--config[= ](\S+)", command)
    if named and scene.host.at(named[1]) != scene.worker_file:
        yield wrong(
            "pdns settings",
            f"pipe-command reads {named[1]}, not {scene.worker_file}",
            scene.set_pdns("pipe-command", f"{words[0]} --config {scene.worker_file}"),
            "workers have other settings than those looked at here",
        )


def _hidden(scene: Scene, path: str) -> str:
    """The setting of PowerDNS's unit that hides a path from it; "": none."""
    if not scene.place.system:
        return ""
    for pattern, setting in ((r"/(home|root)/", "ProtectHome"), (r"/(var/)?tmp/", "PrivateTmp")):
        last = values(scene.host.unit_text(PDNS), setting)[-1:]
        if re.match(pattern, path) and last and last[0] not in {"no", "false", "off", "0", "read-only"}:
            return f"{setting}={last[0]}"
    return ""


def _accepted(scene: Scene) -> Iterator[Link]:
    """PowerDNS itself reads its settings; it names what it does not know."""
    server = shutil.which("pdns_server", path=SEARCH)
    if server is None:
        yield wrong("pdns", "pdns_server is not installed", "apt install pdns-server pdns-backend-pipe")
        return
    if not scene.host.here:
        return
    code, said = _run(server, f"--config-dir={scene.pdns_config}", "--config=check")
    fatal = [line for line in said.splitlines() if re.search(r"(?i)fatal|unknown|error|unable", line)]
    if code and fatal:
        yield wrong("pdns", fatal[0].strip()[:200], _without(scene, fatal[0]), "PowerDNS does not start")


def _without(scene: Scene, said: str) -> str:
    """The command that takes a setting out that PowerDNS does not know; else the one that shows all it has to say."""
    named = re.search(r"unknown setting '([\w-]+)'", said)
    file = scene.pdns_origins.get(named[1]) if named else None
    if named is None or file is None:
        return f"pdns_server --config-dir={scene.pdns_config} --config=check"
    return f"sed -i '/^ *{named[1]} *+\\?=/d' {file} && {scene.restart_pdns}"


def running(scene: Scene) -> Iterator[Link]:
    """It runs, as its control program sees it."""
    control = shutil.which("pdns_control", path=SEARCH)
    if control is None or not scene.host.here or scene.pdns is None:
        yield unknown("pdns", "there is no pdns_control here to ask")
        return
    words = [control, f"--config-dir={scene.pdns_config}"]
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

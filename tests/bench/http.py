"""HTTP: redirects of geosteer-http, and of nginx and HAProxy from exported files, next to fixed ones, each on one core."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

from support.data import ROOT
from support.front_servers import Server, start_http
from support.servers import free_port

from . import zone
from .machine import HERE, PYTHON, cpu_seconds, family, pss
from .report import Section, Table
from .rounds import Rounds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from .stage import Stage

GEOSTEER, NGINX, UVICORN = "geosteer-http", "nginx, a fixed 302", "uvicorn, a fixed 302"
NGINX_EXPORT, HAPROXY, HAPROXY_EXPORT = "nginx, exported", "haproxy, a fixed 302", "haproxy, exported"
CACHED, VARY = "private, max-age=60", "X-Forwarded-For, X-Forwarded-Proto"
"""What geosteer's redirects say beside their place; the fixed ones of nginx and HAProxy say it too."""
FIXED = {NGINX, UVICORN, HAPROXY}
CONNECTIONS = 32
WARMING = 300
"""Seconds that the clients of the set take at most to be met for the first time."""


def run(stage: Stage) -> Section:
    """Redirects a second, times, processor time and memory; client set wide."""
    section = Section("http")
    seconds = stage.scaled(20, 5) / 10
    with _servers(stage) as servers:
        for name, (_, port) in servers.items():
            if (
                name == GEOSTEER
            ):  # the only one that remembers: every client has been met once before anything counts
                stage.programs.run("requester", *_command(stage, port, WARMING, 99), "-o")
            else:
                _ask(stage, port, seconds, 99)

        def measure(name: str) -> Callable[[int], dict[str, Any]]:
            server, port = servers[name]

            def one(number: int) -> dict[str, Any]:
                pids = family(server.process.pid)
                before = cpu_seconds(pids)
                result = _ask(stage, port, seconds, number, fixed=name in FIXED)
                used = cpu_seconds(pids) - before
                result["cpu"] = used / max(result["asked"], 1) * 1e6
                result["core"] = result["asked"] / max(used, 0.01)
                return result

            return one

        found = Rounds.run(stage, {name: measure(name) for name in servers}, "http")
        memory = {name: pss(family(server.process.pid)) for name, (server, _) in servers.items()}
    table = Table(
        f"HTTP, client set wide: redirects a second of one process on one core, {CONNECTIONS} connections kept open",
        [
            "server",
            "redirects/s",
            "CPU us/request",
            "redirects/core-second",
            "of nginx's",
            "p50 us",
            "p99 us",
            "memory MiB (PSS)",
            "wrong, failed, lost",
        ],
    )
    for name, results in found.results.items():
        bad = [sum(int(result[key]) for result in results) for key in ("wrong", "failed", "lost")]
        table.rows.append(
            [
                name, found.spread(name, "qps"), found.spread(name, "cpu").middle, found.spread(name, "core").middle,
                found.ratio(name, "core", NGINX) if NGINX in servers else None,
                *(found.spread(name, key).middle for key in ("p50", "p99")), memory[name],
                "none" if not any(bad) else ", ".join(map(str, bad)),
            ]
        )  # fmt: skip
    table.notes.append(
        "a core-second: a second of processor time; the client's core may be what holds nginx back"
    )
    section.tables.append(table)
    section.judge("http.uvicorn", found.ratio(GEOSTEER, "core", UVICORN))
    if NGINX in servers:
        section.judge("http.ratio", found.ratio(GEOSTEER, "core", NGINX))
        section.judge("http.nginx", found.ratio(NGINX_EXPORT, "core", NGINX))
    if HAPROXY in servers:
        section.judge("http.haproxy", found.ratio(HAPROXY_EXPORT, "core", HAPROXY))
    section.data = {"wide": found.to_json(), "memory": memory}
    return section


def _ask(stage: Stage, port: int, seconds: float, seed: int, *, fixed: bool = False) -> dict[str, Any]:
    with stage.cores.asking():
        return stage.programs.run(
            "requester", *_command(stage, port, seconds, seed), *(["-k"] if fixed else [])
        )


def _command(stage: Stage, port: int, seconds: float, seed: int) -> list[object]:
    return ["-p", port, "-f", stage.clients, "-t", seconds, "-s", seed, "-w", CONNECTIONS]


@contextlib.contextmanager
def _servers(stage: Stage) -> Iterator[dict[str, tuple[Server, int]]]:
    """Each with its port."""
    with contextlib.ExitStack() as stack, stage.cores.serving():
        # the requester says who asks, as a proxy would; a node without a host name is named by its address
        server, port = start_http(stage.backend, "--trust", "127.0.0.1", "--to", "address")
        servers = {GEOSTEER: (stack.enter_context(server), port)}
        port = free_port()
        command = [
            str(PYTHON),
            "-m",
            "uvicorn",
            "bench.peers.redirect:application",
            "--app-dir",
            str(HERE.parent),
            "--port",
            str(port),
        ]
        server = Server(
            [*command, "--loop", "uvloop", "--http", "httptools", "--lifespan", "off", "--no-access-log"]
        )
        servers[UVICORN] = (stack.enter_context(server.ready(port)), port)
        if shutil.which("nginx"):
            servers[NGINX] = _start_nginx(stage, stack, "fixed")
            servers[NGINX_EXPORT] = _start_nginx(stage, stack, "nginx")
        if shutil.which("haproxy"):
            servers[HAPROXY] = _start_haproxy(stage, stack, "fixed")
            servers[HAPROXY_EXPORT] = _start_haproxy(stage, stack, "haproxy")
        yield servers


def _export(stage: Stage, kind: str) -> Path:
    """The files of an export, for clients that a proxy on this host names."""
    folder = stage.folder / f"export-{kind}"
    program, options = str(ROOT / "bin" / "geosteer"), ["--trust", "127.0.0.1", "--to", "address", "--quiet"]
    config = str(stage.folder / "geosteer.toml")
    subprocess.run(
        [program, "export", kind, str(folder), *options, "--config", config],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return folder


def _start_nginx(stage: Stage, stack: contextlib.ExitStack, kind: str) -> tuple[Server, int]:
    """An nginx of one process: one that sends everybody to one place, or from exported files."""
    port = free_port()
    folder = stage.folder / f"nginx-{kind}"
    folder.mkdir()
    temporary = " ".join(
        f"{what}_temp_path {folder}/{what};" for what in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    include = ""
    answer = f'add_header Cache-Control "{CACHED}"; add_header Vary "{VARY}"; '
    answer = f"location / {{ {answer}return 302 http://{zone.ipv4(zone.DEFAULT)}$request_uri; }}"
    if kind != "fixed":
        files = _export(stage, kind)
        include, answer = f"include {files}/http.conf;", f"include {files}/redirect.conf;"
    path = folder / "nginx.conf"
    path.write_text(
        f"daemon off; master_process off; pid {folder}/pid; error_log stderr;\nevents {{}}\n"
        f"http {{ access_log off; keepalive_requests 100000000; {temporary} {include}\n"
        f"server {{ listen 127.0.0.1:{port}; {answer} }} }}\n"
    )
    server = Server(["nginx", "-p", str(folder), "-c", str(path)])
    return stack.enter_context(server.ready(port)), port


def _start_haproxy(stage: Stage, stack: contextlib.ExitStack, kind: str) -> tuple[Server, int]:
    """A HAProxy of one thread: one that sends everybody to one place, or from exported files."""
    port = free_port()
    path = stage.folder / f"haproxy-{kind}.cfg"
    answer = f'http-request return status 302 hdr Location "http://{zone.ipv4(zone.DEFAULT)}%[pathq]"'
    answer += f' hdr Cache-Control "{CACHED}" hdr Vary "{VARY}"'
    more = []
    if kind != "fixed":
        answer, more = "default_backend geosteer", ["-f", str(_export(stage, kind) / "redirect.cfg")]
    path.write_text(
        "global\n    nbthread 1\ndefaults\n    mode http\n    timeout client 30s\n    timeout connect 1s\n"
        f"    timeout server 1s\nfrontend all\n    bind 127.0.0.1:{port}\n    {answer}\n"
    )
    server = Server(["haproxy", "-db", "-f", str(path), *more])
    return stack.enter_context(server.ready(port)), port

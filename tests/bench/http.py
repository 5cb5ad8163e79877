"""HTTP: redirects of geosteer-http, next to nginx answering a fixed one, each on one core."""

from __future__ import annotations

import contextlib
import shutil
from typing import TYPE_CHECKING, Any

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
CONNECTIONS = 32


def run(stage: Stage) -> Section:
    """Redirects a second, times, processor time and memory; client set wide."""
    section = Section("http")
    seconds = stage.scaled(20, 5) / 10
    with _servers(stage) as servers:
        for _, port in servers.values():  # every client has been met once before anything counts
            _ask(stage, port, seconds, 99)

        def measure(name: str) -> Callable[[int], dict[str, Any]]:
            server, port = servers[name]

            def one(number: int) -> dict[str, Any]:
                pids = family(server.process.pid)
                before = cpu_seconds(pids)
                result = _ask(stage, port, seconds, number, fixed=name != GEOSTEER)
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
    if NGINX in servers:
        section.judge("http.ratio", found.ratio(GEOSTEER, "core", NGINX))
    section.data = {"wide": found.to_json(), "memory": memory}
    return section


def _ask(stage: Stage, port: int, seconds: float, seed: int, *, fixed: bool = False) -> dict[str, Any]:
    command: list[object] = ["-p", port, "-f", stage.clients, "-t", seconds, "-s", seed, "-w", CONNECTIONS]
    with stage.cores.asking():
        return stage.programs.run("requester", *command, *(["-k"] if fixed else []))


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
            port = free_port()
            server = Server(["nginx", "-p", str(stage.folder), "-c", str(_nginx(stage.folder, port))])
            servers[NGINX] = (stack.enter_context(server.ready(port)), port)
        yield servers


def _nginx(folder: Path, port: int) -> Path:
    """The settings of an nginx of one process that sends everybody to one place."""
    path = folder / "nginx.conf"
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = " ".join(f"{kind}_temp_path {folder}/nginx-{kind};" for kind in kinds)
    path.write_text(
        f"daemon off; master_process off; pid {folder}/nginx.pid; error_log stderr;\nevents {{}}\n"
        f"http {{ access_log off; keepalive_requests 100000000; {temporary}\n"
        f"server {{ listen 127.0.0.1:{port}; location / {{ return 302 http://{zone.ipv4(zone.DEFAULT)}$request_uri; }} }} }}\n"
    )
    return path

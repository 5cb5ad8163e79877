"""The DNS servers that are compared, each with the same zone and the same database: PowerDNS with workers of all kinds."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import dns.exception
import dns.message
import dns.query

from support.export_servers import Behind
from support.export_servers import Dnsdist as DnsdistServer
from support.servers import PowerDNS

from . import zone
from .machine import HERE, PYTHON, ROOT, family

if TYPE_CHECKING:
    from .stage import Stage

THREADS = 3
"""Distributor threads of PowerDNS, each with a worker."""
WORKER = ROOT / "bin" / "geosteer-pipe"
STARTING, LOADING = 10, 240
"""Seconds that a worker may take to start, and to read a whole table before its first answer."""
_SYSTEM_MODULES = ("/usr/lib", "/usr/local/lib", "/usr/lib64")


class Rival(Protocol):
    """A running DNS server."""

    port: int
    warming: float
    """Seconds of questions that do not count, before each time that it is measured."""

    @property
    def pids(self) -> list[int]:
        """All its processes."""

    def close(self) -> None:
        """End it."""


class Pipe:
    """PowerDNS with coprocesses, set up as conf/pdns.conf ships it, but for `pipe-timeout`: its second is too short for a
    peer worker's start on a busy machine, and PowerDNS ends then."""

    warming = 0.0

    def __init__(self, command: str, *, patient: bool = False) -> None:
        """*patient*: workers read a whole table at their start; it is not over before they have."""
        self.server = self._server(command, patient)
        self.server.start()
        self.port = self.server.port
        if patient:
            for _ in range(THREADS):  # each thread's worker in turn
                question = dns.message.make_query(zone.NAME, "A")
                dns.query.udp(question, "127.0.0.1", LOADING, port=self.port, ignore_errors=True)

    def _server(self, command: str, patient: bool) -> PowerDNS:
        slow = {"queue-limit": LOADING * 1000} if patient else {}
        timeout = LOADING if patient else STARTING
        return PowerDNS(
            command=command, threads=THREADS, settings={"loglevel": 0, "pipe-timeout": timeout * 1000, **slow}
        )

    @property
    def pids(self) -> list[int]:
        """PowerDNS and its workers."""
        return family(self.server.pid)

    def close(self) -> None:
        """End it."""
        self.server.close()


class Dnsdist(Pipe):
    """The same behind dnsdist, set up as conf/dnsdist.conf ships it; its cache is warm when it is measured."""

    warming = 5.0
    """`maxTTL` of its cache: then as many answers have been taken out of it as in any later second."""

    def __init__(self, command: str) -> None:
        super().__init__(command)
        self._front = DnsdistServer(self.server)
        try:
            self._front.start()
        except BaseException:
            self.close()
            raise
        self.port = self._front.port

    def _server(self, command: str, _: bool) -> PowerDNS:
        settings: dict[str, str | int] = {
            "loglevel": 0,
            "pipe-timeout": STARTING * 1000,
            "proxy-protocol-from": "127.0.0.1",
        }
        return Behind(command=command, threads=THREADS, settings=settings)

    @property
    def pids(self) -> list[int]:
        """Those of dnsdist too."""
        return [*super().pids, *family(self._front.pid)]

    def close(self) -> None:
        """End both."""
        self._front.close()
        super().close()


def wrapper(stage: Stage, name: str, *command: object) -> str:
    """A program that runs a command: PowerDNS cuts `pipe-command` at every space."""
    path = stage.folder / name
    words = " ".join("'" + str(word).replace("'", "'\\''") + "'" for word in command)
    path.write_text(f"#!/bin/sh\nexec {words}\n")
    path.chmod(0o755)
    return str(path)


def peer(module: str, *arguments: object) -> list[str]:
    """The command of a peer worker; byte-compiled code is used, as for geosteer."""
    code = f"import sys; sys.path[:0] = [{str(HERE.parent)!r}]; from bench.peers.{module} import main; main()"
    return [str(PYTHON), "-I", "-c", code, *map(str, arguments)]


def without_c(stage: Stage) -> list[str]:
    """The command of a geosteer-pipe that leaves out what was written in C."""
    return ["env", "GEOSTEER_COMPILED=no", str(WORKER), "--config", str(stage.backend)]


def nothing_in_c(stage: Stage) -> list[str]:
    """The command of the coprocess in C that does nothing."""
    from .peers.constants import records

    reply = records(zone.DEFAULT, 24).decode().replace("\t", "\\t").replace("\n", "\\n")
    return [str(stage.programs.path("nothing")), zone.ZONE, reply]


PROGRAMS = {"gdnsd": "gdnsd", "knot": "knotd", "geosteer, dnsdist in front": "dnsdist"}
"""Of rivals that bin/setup may have failed to install."""


def installed(name: str) -> bool:
    """Whether what a rival needs is here."""
    if name == "geoip backend":
        return any(
            Path(root).glob("**/pdns/libgeoipbackend.so") for root in _SYSTEM_MODULES if Path(root).is_dir()
        )
    return name not in PROGRAMS or shutil.which(PROGRAMS[name]) is not None

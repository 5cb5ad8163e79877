"""A host set up by `geosteer init` into one folder: its own Redis and PowerDNS, started as the command says."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

import dns.edns
import dns.message
import dns.query

import redis
from geosteer_loader.cli.main import main
from support import watchdog
from support.servers import addresses, free_port, need, wait_until
from support.uncounted import uncounted

if TYPE_CHECKING:
    from collections.abc import Sequence

ZONE = "cdn.example.net"
NODES = {
    "lon1": ("192.0.2.1", "GB"),
    "nyc1": ("198.51.100.1", "US"),
    "syd1": ("198.51.100.5", "AU"),
}


class Installed:
    """The folder, and the servers that run from it."""

    def __init__(self, *more: str, program: str = "redis-server", folder: Path | None = None) -> None:
        self.base = Path(tempfile.mkdtemp(prefix="gs-", dir="/tmp"))  # a socket's path is short
        self.folder = self.base / "set" if folder is None else folder
        self.port = free_port()
        self.program = program
        self.more = more
        self.redis: subprocess.Popen[bytes] | None = None
        self.pdns: subprocess.Popen[bytes] | None = None

    def init(self) -> int:
        """`geosteer init`: its exit code."""
        nodes = [f"--node={name}={address}@{place}" for name, (address, place) in NODES.items()]
        return main(["init", str(self.folder), f"--zone={ZONE}", f"--port={self.port}", *nodes, *self.more])

    def publish(self) -> int:
        """`geosteer publish`: its exit code."""
        with uncounted():
            return main(["publish", "-q", "--config", str(self.folder / "geosteer.toml")])

    def start_redis(self) -> None:
        """With the fragment as its configuration."""
        self.redis = self._start(need(self.program), str(self.folder / "redis.conf"))
        with redis.Redis(unix_socket_path=str(self.folder / "redis.sock")) as client:
            wait_until(lambda: _there(client), what="Redis")

    def start_pdns(self) -> None:
        """With the fragment as its configuration."""
        self.pdns = self._start(need("pdns_server"), f"--config-dir={self.folder}")
        wait_until(lambda: self.ask("version.bind", rdclass="CH", rdtype="TXT"), what="PowerDNS")

    def admin(self) -> redis.Redis:
        """A connection that may do everything."""
        password = (self.folder / "admin.password").read_text().strip()
        return redis.Redis(
            unix_socket_path=str(self.folder / "redis.sock"), username="admin", password=password
        )

    def ask(self, name: str, subnet: str | None = None, rdtype: str = "A", rdclass: str = "IN") -> list[str]:
        """What PowerDNS answers; nothing while it does not."""
        options = [] if subnet is None else [dns.edns.ECSOption.from_text(f"ECS {subnet}/0")]
        question = dns.message.make_query(name, rdtype, rdclass, use_edns=0, options=options)
        try:
            return addresses(dns.query.udp(question, "127.0.0.1", 2.0, port=self.port))
        except (dns.exception.DNSException, OSError):
            return []

    def __enter__(self) -> Self:
        assert self.init() == 0
        self.start_redis()
        assert self.publish() == 0
        self.start_pdns()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End what runs, and remove the folder."""
        for process in (self.pdns, self.redis):
            end(process)
        shutil.rmtree(self.base, ignore_errors=True)

    def _start(self, *command: str) -> subprocess.Popen[bytes]:
        with (self.base / "log").open("ab") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.base,
                start_new_session=True,
            )
        watchdog.watch(process.pid, self.base)
        return process


def end(process: subprocess.Popen[bytes] | None) -> None:
    """End a server, by force if it takes long."""
    if process is not None and process.poll() is None:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        watchdog.release(process.pid)


def clients(countries: Sequence[str]) -> dict[str, str]:
    """A network of each country, of those that the shipped table has."""
    from geosteer_loader.sources.builtin import SHIPPED
    from geosteer_loader.sources.formats import open_source
    from geosteer_loader.sources.report import Report

    found: dict[str, str] = {}
    for bits, start, length, country in open_source("geo", "builtin", SHIPPED).rows(Report()):
        if bits == 32 and length <= 24 and country in countries and country not in found:
            found[country] = ".".join(str(start >> shift & 255) for shift in (24, 16, 8, 0)) + "/24"
            if len(found) == len(countries):
                break
    return found


def _there(client: redis.Redis) -> bool:
    time.sleep(0.02)
    try:
        client.ping()
    except redis.AuthenticationError:
        return True
    except redis.ConnectionError:
        return False
    return True

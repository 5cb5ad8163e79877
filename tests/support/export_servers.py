"""Name servers that answer from exported files: PowerDNS with its geoip backend, gdnsd; and dnsdist in front of one."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import dns.edns
import dns.exception
import dns.message
import dns.query
import pytest

from support.data import ROOT
from support.servers import PowerDNS, _Server, free_port, need, wait_until

if TYPE_CHECKING:
    import signal
    from collections.abc import Mapping, Sequence


class GeoIP(PowerDNS):
    """A pdns_server with the geoip backend, set up as the exported settings say."""

    def __init__(self, exported: Path, settings: Mapping[str, str | int] | None = None) -> None:
        folders = [*Path("/usr/lib").glob("*/pdns"), Path("/usr/lib/pdns"), Path("/usr/lib64/pdns")]
        if not any((folder / "libgeoipbackend.so").exists() for folder in folders):
            reason = "PowerDNS' geoip backend is not installed (bin/setup tests installs it)"
            (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
        super().__init__(command="-", settings=settings)
        self.settings = {key: value for key, value in self.settings.items() if not key.startswith("pipe-")}
        lines = exported.read_text().splitlines()
        self.settings |= dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
        self.settings["consistent-backends"] = "yes"  # no is for the pipe backend


class Gdnsd(_Server):
    """A gdnsd on a high loopback port with an exported configuration directory, to which it adds its options."""

    def __init__(self, exported: Path) -> None:
        super().__init__()
        self.exported = exported
        self.port = 0

    def start(self) -> None:
        """Start on a free port and wait until a question is answered."""
        program = need("gdnsd")
        self.port = free_port()
        (self.directory / "run").mkdir(exist_ok=True)
        (self.directory / "state").mkdir(exist_ok=True)
        options = (
            f"options => {{ listen => 127.0.0.1:{self.port}, run_dir => {self.directory}/run, "
            f"state_dir => {self.directory}/state, udp_threads => 1, tcp_threads => 1 }}\n"
        )
        (self.exported / "config").write_text(options + "$include{geosteer.cfg}\n")
        self._launch([program, "-c", str(self.exported), "start"])
        wait_until(self._ready, what="an answer from gdnsd")

    def control(self, *words: str) -> str:
        """What `gdnsdctl WORDS` prints."""
        command = [need("gdnsdctl"), "-c", str(self.exported), *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        return done.stdout

    def force_down(self, names: Sequence[str]) -> None:
        """Have it take these for down, such as `geoip/MAP/DATACENTER`, and no others (gdnsd(8), ADMIN STATE FILE)."""
        path = self.directory / "state" / "admin_state"
        path.with_suffix(".new").write_text("".join(f"{name} => DOWN\n" for name in names))
        path.with_suffix(".new").rename(path)

        def taken() -> bool:
            states = json.loads(self.control("states"))
            down = {name for name, state in states.items() if "DOWN" in str(state).upper()}
            return down == set(names)

        wait_until(taken, what=f"gdnsd to take {names} for down")

    def query(self, name: str, kind: str = "A", subnet: str | None = None) -> dns.message.Message:
        """Ask once."""
        options = [] if subnet is None else [dns.edns.ECSOption.from_text(f"ECS {subnet}/0")]
        question = dns.message.make_query(name, kind, use_edns=0, options=options)
        return dns.query.udp(question, "127.0.0.1", 5, port=self.port)

    def _end(self, how: signal.Signals) -> None:
        # After `replace` another process serves, which is no child of this one.
        if self.process is not None:
            with contextlib.suppress(OSError, subprocess.SubprocessError):
                self.control("stop")
        super()._end(how)

    def _ready(self) -> bool:
        if not self.running:
            raise self._failed("ended while starting")
        with contextlib.suppress(dns.exception.DNSException, OSError):
            dns.query.udp(dns.message.make_query("x.invalid", "A"), "127.0.0.1", 0.2, port=self.port)
            return True
        return False


class Knot(_Server):
    """A knotd on a high loopback port, whose own file includes an exported one."""

    def __init__(self, exported: Path) -> None:
        super().__init__()
        self.exported = exported
        self.port = 0

    def start(self) -> None:
        """Start on a free port and wait until a question is answered."""
        program = need("knotd")
        self.port = free_port()
        self.config = self.directory / "knotd.conf"
        self.config.write_text(
            f'server:\n  rundir: "{self.directory}"\n  listen: 127.0.0.1@{self.port}\n  udp-workers: 1\n'
            "  tcp-workers: 1\n  background-workers: 1\n  edns-client-subnet: on\n"
            f'log:\n  - target: stderr\n    any: info\ndatabase:\n  storage: "{self.directory}"\n'
            f'include: "{self.exported}/knot.conf"\n'
        )
        self._launch([program, "-c", str(self.config)])
        wait_until(self._ready, what="an answer from knotd")

    @property
    def reload(self) -> list[str]:
        """What tells it that files changed."""
        return [need("knotc"), "-c", str(self.config), "-s", str(self.directory / "knot.sock"), "reload"]

    def query(self, name: str, kind: str = "A", subnet: str | None = None) -> dns.message.Message:
        """Ask once."""
        options = [] if subnet is None else [dns.edns.ECSOption.from_text(f"ECS {subnet}/0")]
        question = dns.message.make_query(name, kind, use_edns=0, options=options)
        return dns.query.udp(question, "127.0.0.1", 5, port=self.port)

    def _ready(self) -> bool:
        if not self.running:
            raise self._failed("ended while starting")
        with contextlib.suppress(dns.exception.DNSException, OSError):
            question = dns.message.make_query("cdn.example.net", "SOA")
            return dns.query.udp(question, "127.0.0.1", 0.2, port=self.port).rcode() == 0
        return False


class Behind(PowerDNS):
    """A PowerDNS that takes questions with a PROXY header alone."""

    def _ready(self) -> bool:
        if not self.running:
            raise self._failed("ended while starting")
        # PROXY protocol, version 2, section 2.2: a datagram over IPv4, from 127.0.0.1 to itself.
        header = b"\r\n\r\n\x00\r\nQUIT\n\x21\x12\x00\x0c" + bytes((127, 0, 0, 1)) * 2 + bytes(4)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
            asker.settimeout(0.2)
            asker.sendto(
                header + dns.message.make_query("version.bind", "TXT", "CH").to_wire(),
                ("127.0.0.1", self.port),
            )
            try:
                return bool(asker.recv(512))
            except OSError:
                return False


class Dnsdist(_Server):
    """A dnsdist on a high loopback port, set up as conf/dnsdist.conf ships it, in front of a PowerDNS."""

    def __init__(self, backend: PowerDNS) -> None:
        super().__init__()
        self._backend = backend
        self.port = 0

    def start(self) -> None:
        """Start on a free port and wait until PowerDNS' answers come through."""
        program = need("dnsdist")
        self.port = free_port()
        text = (ROOT / "conf" / "dnsdist.conf").read_text()
        for shipped, ours in (
            ('127.0.0.1:53"', f'127.0.0.1:{self.port}"'),
            (':5300"', f':{self._backend.port}"'),
        ):
            assert text.count(shipped) == 1
            text = text.replace(shipped, ours)
        (self.directory / "dnsdist.conf").write_text(text)
        self._launch(
            [program, "--supervised", "--disable-syslog", "-C", str(self.directory / "dnsdist.conf")]
        )
        wait_until(self._ready, what="an answer from dnsdist")

    def query(
        self,
        name: str,
        kind: str = "A",
        subnet: str | None = None,
        source: str | None = None,
        tcp: bool = False,
    ) -> dns.message.Message:
        """Ask once, from a loopback address."""
        options = [] if subnet is None else [dns.edns.ECSOption.from_text(f"ECS {subnet}/0")]
        question = dns.message.make_query(name, kind, use_edns=0, options=options)
        ask = dns.query.tcp if tcp else dns.query.udp
        return ask(question, "127.0.0.1", 5, port=self.port, source=source)

    def _ready(self) -> bool:
        if not self.running:
            raise self._failed("ended while starting")
        with contextlib.suppress(dns.exception.DNSException, OSError):
            question = dns.message.make_query("x.invalid", "A")
            return dns.query.udp(question, "127.0.0.1", 0.2, port=self.port).rcode() != 2
        return False

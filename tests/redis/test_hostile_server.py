"""A server that answers what no Redis would: it is as good as away, and never the end of a worker."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.dns_setup import backend_toml
from support.hostile import HostileServer
from support.long import examples, takes_long
from support.servers import wait_until
from support.stalls import Stalls
from support.tiny import publish_tiny
from support.workers import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hypothesis.strategies import SearchStrategy

    from support.servers import RedisServer

WWW = "www.cdn.example.net"
GB = "192.0.2.0/24"
COMMANDS = ("HELLO", "CLIENT", "HGETALL", "TIME", "PING", "HMGET", "HGET")
"""All that a worker sends, but for SELECT, whose reply is like that to CLIENT."""
FETCHES = {"HMGET", "HGET"}
"""Asked once for each object: only a worker that starts does it here."""
PROMPT = 8
"""Seconds for an answer: a worker that knows nothing yet waits for one (`first_wait`); the rest is for a busy machine."""
WAITS = "timeout = 50\nfirst_wait = 1\n"
"""As shipped: here waiting is the rule."""
FALLBACK = """
---
[fallback]
ttl = 5
servers = [{name = "last", a = ["192.0.2.200"], weight = 1}]
[fallback.zones."cdn.example.net"]
soa = {mname = "ns1.example.net", rname = "h.example.net"}
ns = ["ns1.example.net"]
services = ["www"]
"""


class Scene:
    """One worker in front of a server that can turn hostile."""

    def __init__(
        self, config: Path, server: HostileServer, change: Callable[[str], object], stalls: Stalls
    ) -> None:
        self.config, self.server, self.change, self.stalls = config, server, change, stalls
        self.log = ""
        self.worker = Worker(config)
        self.worker.greet()

    def end(self) -> None:
        """End the worker, which has not ended by itself."""
        assert self.worker.process.poll() is None
        self.log += self.worker.close().decode()

    def answers(self) -> None:
        """It is there, and steers or falls back; nothing takes long."""
        began = time.monotonic()
        (content,) = [fields[-1] for fields in self.worker.ask(WWW, subnet=GB) if "A" in fields]
        assert content in {"192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.200"}
        assert time.monotonic() - began < PROMPT + self.stalls.longest(began)

    def under(self, command: str, answer: bytes) -> bool:
        """The worker answers on when it gets that answer to that command; returns whether it asked."""
        server, before = self.server, self.server.answered
        server.command, server.answer = command, answer
        if command in FETCHES:
            self.end()
            self.worker = Worker(self.config)
            self.worker.greet()
        else:
            self.reconnect()
        end = time.monotonic() + 2
        while server.answered == before and time.monotonic() < end:
            self.answers()
            time.sleep(0.01)
        self.answers()
        server.command = ""
        return server.answered > before

    def reconnect(self) -> None:
        """Cut the connection, so that every command is sent again."""
        with contextlib.suppress(IndexError, OSError):
            self.server.clients[-1].shutdown(socket.SHUT_RDWR)

    def recovers(self) -> None:
        """It follows what changes in Redis."""
        for state, content in (("down", "192.0.2.2"), ("up", "192.0.2.1")):
            self.change(state)
            wait_until(lambda: self.worker.address(WWW, GB) == content)  # noqa: B023


@pytest.fixture
def scene(redis_server: RedisServer, prefix: str, tmp_path: Path) -> Iterator[Scene]:
    with (
        redis_server.client() as client,
        HostileServer(tmp_path, redis_server.socket) as server,
        Stalls() as stalls,
    ):
        publish_tiny(client, prefix)
        config = backend_toml(tmp_path, f"{server.url}", WAITS + FALLBACK, prefix)
        node = f"{{{prefix}}}:node:lon1"
        made = Scene(config, server, lambda state: client.hset(node, "state", state), stalls)
        made.recovers()
        yield made
        made.end()
        assert "Traceback" not in made.log
        assert len(made.log.splitlines()) < 400


ODD = {
    "null": b"_\r\n",
    "old null": b"$-1\r\n",
    "old null list": b"*-1\r\n",
    "integer": b":1\r\n",
    "huge integer": b":" + b"9" * 5000 + b"\r\n",
    "big number": b"(" + b"9" * 5000 + b"\r\n",
    "double": b",nan\r\n",
    "true": b"#t\r\n",
    "false": b"#f\r\n",
    "text": b"$3\r\nabc\r\n",
    "text that is not UTF-8": b"$2\r\n\xff\xfe\r\n",
    "verbatim": b"=7\r\ntxt:abc\r\n",
    "empty list": b"*0\r\n",
    "empty map": b"%0\r\n",
    "set": b"~2\r\n+a\r\n+b\r\n",
    "list of lists": b"*2\r\n*0\r\n*0\r\n",
    "list of integers": b"*2\r\n:1\r\n:2\r\n",
    "list of texts": b"*2\r\n$1\r\na\r\n$1\r\nb\r\n",
    "list of nulls": b"*2\r\n_\r\n_\r\n",
    "list of errors": b"*2\r\n-ERR a\r\n-ERR b\r\n",
    "huge times": b"*2\r\n$400\r\n" + b"9" * 400 + b"\r\n$1\r\n0\r\n",
    "map of maps": b"%1\r\n+a\r\n%1\r\n+b\r\n+c\r\n",
    "list as a key": b"%1\r\n*1\r\n+a\r\n+b\r\n",
    "map as a key": b"%1\r\n%0\r\n+b\r\n",
    "integer as a key": b"%1\r\n:1\r\n+b\r\n",
    "error as a key": b"%1\r\n-ERR a\r\n+b\r\n",
    "attributes": b"|1\r\n+a\r\n+b\r\n+c\r\n",
    "bulk error": b"!5\r\nERR x\r\n",
    "error": b"-ERR no\r\n",
    "error that is not UTF-8": b"-\xff\xfe\x1b[2J\r\n",
    "long error": b"-" + b"x" * 60_000 + b"\r\n",
    "streamed": b"$?\r\n;1\r\na\r\n;0\r\n",
    "deep": b"*1\r\n" * 2000 + b"+a\r\n",
    "negative": b"*-5\r\n",
    "negative map": b"%-5\r\n",
    "no protocol": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "two replies": b"+OK\r\n+OK\r\n",
    "empty push": b">0\r\n+OK\r\n",
    "push of integers": b">2\r\n:1\r\n:2\r\n+OK\r\n",
    "push without keys": b">1\r\n+invalidate\r\n+OK\r\n",
    "push of a text": b">2\r\n+invalidate\r\n+abc\r\n+OK\r\n",
    "push of integers as keys": b">2\r\n+invalidate\r\n*1\r\n:1\r\n+OK\r\n",
    "push of a map": b">2\r\n+invalidate\r\n%1\r\n+a\r\n+b\r\n+OK\r\n",
    "push of another kind": b">2\r\n+message\r\n:1\r\n+OK\r\n",
    "huge text": b"$2000000000\r\n" + b"x" * 1000,
    "huge list": b"*1000000000\r\n",
    "huge map": b"%1000000000\r\n",
    "huge set": b"~1000000000\r\n",
    "huge push": b">100000000\r\n+invalidate\r\n",
    "huge number of members": b"*" + b"9" * 100 + b"\r\n",
    "nested huge lists": b"*1000\r\n" + b"*100000\r\n" * 3,
    "endless line": b"+" + b"x" * 200_000,
    "endless header": b"$" + b"1" * 200_000,
    "many empty lists": b"*200000\r\n" + b"*1\r\n" * 100_000,
}  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_no_answer_to_any_command_ends_a_worker(scene: Scene, command: str) -> None:
    for number, answer in enumerate(ODD.values(), COMMANDS.index(command)):
        if number % 4 == 0 or os.environ.get("GEOSTEER_LONG"):
            assert scene.under(command, answer), "it was asked, and got that answer"
    assert memory(scene) < 100
    scene.recovers()


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=takes_long if at % 3 else ()) for at, kind in enumerate(ODD)]
)
def test_nothing_that_was_not_asked_for_ends_a_worker(scene: Scene, kind: str) -> None:
    scene.server.push(ODD[kind])
    for _ in range(5):
        scene.answers()
        time.sleep(0.01)
    scene.reconnect()  # for what was not whole
    scene.recovers()


def memory(scene: Scene) -> float:
    """The most that the worker ever took, MiB."""
    status = Path(f"/proc/{scene.worker.pid}/status").read_text()
    (peak,) = re.findall(r"VmHWM:\s+(\d+) kB", status)
    return int(peak) / 1024


scalars = st.one_of(
    st.sampled_from([b"_\r\n", b"#t\r\n", b"#f\r\n", b"$-1\r\n", b"*-1\r\n", b"$0\r\n\r\n", b",inf\r\n", b",nan\r\n"]),
    st.integers().map(lambda number: b":%d\r\n" % number),
    st.integers().map(lambda number: b"(%d\r\n" % number),
    st.floats().map(lambda number: f",{number!r}\r\n".encode()),
    st.binary(max_size=20).map(lambda text: b"$%d\r\n%s\r\n" % (len(text), text)),
    st.sampled_from([b"invalidate", b"OK", b"PONG", b"1", b"master", b"schema", b"config", b"generation"]).map(
        lambda text: b"$%d\r\n%s\r\n" % (len(text), text)
    ),
    st.sampled_from([b"+OK\r\n", b"+PONG\r\n", b"-ERR x\r\n", b"-LOADING x\r\n", b"-MOVED 1 h:99999\r\n", b"-NOPROTO x\r\n"]),
    st.text("abc \t\x00\xff", max_size=9).map(lambda text: f"={len(text.encode()) + 4}\r\ntxt:{text}\r\n".encode()),
)  # fmt: skip


@st.composite
def aggregates(draw: st.DrawFn, inner: SearchStrategy[bytes]) -> bytes:
    """A list, set, push, map or attribute of *inner*, which stands here once: its text is part of each level's."""
    kind = draw(st.sampled_from(b"*~>%|"))
    if kind in b"*~>":
        members = draw(st.lists(inner, max_size=5))
        return b"%c%d\r\n%s" % (kind, len(members), b"".join(members))
    pairs = draw(st.lists(st.tuples(inner, inner), max_size=4))
    return b"%c%d\r\n%s" % (kind, len(pairs), b"".join(a + b for a, b in pairs))


values = st.recursive(scalars, aggregates, max_leaves=12)
headers = st.tuples(st.sampled_from(b"*%~>|$=!"), st.integers(-3, 1 << 70)).map(
    lambda made: b"%c%d\r\n" % made
)
answers = st.one_of(values, st.lists(values, max_size=3).map(b"".join), headers, st.binary(max_size=40))


@given(command=st.sampled_from(COMMANDS), answer=answers)
@settings(
    max_examples=examples(80), deadline=None, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
def test_any_answer_to_any_command_leaves_a_worker_that_answers(
    scene: Scene, command: str, answer: bytes
) -> None:
    scene.under(command, answer)
    assert memory(scene) < 100


ENDLESS = {
    "a text": (b"$2000000000\r\n", b"x" * 65536),
    "a list": (b"", b"*1000\r\n" + b":1\r\n" * 1000),
    "a line": (b"+", b"x" * 65536),
    "pushes": (b"", b">2\r\n$10\r\ninvalidate\r\n*1\r\n$9\r\nsomething\r\n" * 1000),
    "pushes without keys": (b"", b">2\r\n$10\r\ninvalidate\r\n*0\r\n" * 1000),
    "nulls": (b"", b"_\r\n" * 10_000),
}


@pytest.mark.parametrize("kind", ENDLESS)
def test_a_server_that_never_stops_keeps_no_answer_back(scene: Scene, kind: str) -> None:
    first, more = ENDLESS[kind]
    ended = time.monotonic() + 3

    def pour(client: socket.socket) -> None:
        client.sendall(first)
        while time.monotonic() < ended:
            client.sendall(more)

    scene.server.command, scene.server.answer = "TIME", pour
    scene.reconnect()
    while time.monotonic() < ended:
        scene.answers()
        time.sleep(0.02)
    scene.server.command = ""
    assert memory(scene) < 120
    scene.recovers()

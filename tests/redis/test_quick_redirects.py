"""Requests answered from memory: byte for byte as by way of the parser, however they are cut or mutilated."""

from __future__ import annotations

import asyncio
import functools
import random
from typing import TYPE_CHECKING, Any

import pytest
from uvicorn.config import Config
from uvicorn.server import ServerState

from geosteer.redirect.apps import ASGI
from geosteer.redirect.cors import Cors
from geosteer.redirect.forwarded import Proxies
from geosteer.redirect.http1 import Protocol
from geosteer.redirect.plain_requests import read_fields
from geosteer.redirect.redirector import Redirector
from geosteer.redirect.routes import Routes, Target
from support.long import LONG
from support.servers import wait_until
from support.steering import WWW, document, live_steering, republish, set_state

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from geosteer import Steering
    from support.servers import RedisServer

PROXY, BRITON = "10.0.0.1", "192.0.2.7"
SERVICES = {
    "hash.cdn.example.net": {"map": "ties", "policy": "hash"},
    "*.wild.example.org": {"map": "default"},
    "weighted.cdn.example.net": {"map": "ties", "policy": "weighted"},
    "none.cdn.example.net": {"map": "none"},
}
MAPS: dict[str, dict[str, Any]] = {
    "ties": {"default": {"lon1": 100, "ams1": 100, "nyc1": 100}},
    "none": {"all_down": "none", "default": {"nyc2": 1}},
}
NODES = {"nyc2": {"a": ["192.0.2.99"], "hostname": "nyc2.cdn.example.net"}}
DATE = [(b"date", b"Sat, 28 Nov 2026 21:00:00 GMT")]
MANNERS: dict[str, dict[str, Any]] = {
    "as it is": {},
    "behind proxies": {"proxies": Proxies([PROXY])},
    "Forwarded": {"proxies": Proxies([PROXY], "forwarded"), "status": 307},
    "one origin": {"cors": Cors(["https://www.example.net"])},
    "duplicates": {"duplicates": 2},
    "routes": {"routes": Routes(["*=www.cdn.example.net", f"other.example/a={WWW}"])},
    "addresses": {"target": Target("https", 81, by_address=True), "by_path": False},
}


@pytest.fixture(scope="module")
def steering(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Steering]:
    republish(redis_server, "quick", document(services=SERVICES, maps=MAPS, nodes=NODES))
    set_state(redis_server, "quick", "nyc2", "down")
    with live_steering(redis_server, "quick", tmp_path_factory.mktemp("quick"), timeout=5000) as found:
        for number in range(256):  # so that nothing has to be waited for
            found.decide(WWW, f"192.0.2.{number}")
        wait_until(lambda: not found.decide("none.cdn.example.net", BRITON).nodes)
        yield found


class Wire(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self, peer: str) -> None:
        super().__init__({"peername": (peer, 4711), "sockname": ("127.0.0.1", 80)})
        self.sent = b""
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sent += data

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def pause_reading(self) -> None:
        """Nothing is read here."""

    resume_reading = pause_reading


@functools.cache
def loaded(app: ASGI) -> Config:
    config = Config(app, http=Protocol, ws="none", access_log=False, log_config=None)
    config.load()
    config.loaded_app = app
    return config


class Connection:
    """A connection of a server without sockets."""

    def __init__(self, loop: asyncio.AbstractEventLoop, app: ASGI, peer: str, *, quick: bool) -> None:
        config = loaded(app)
        state = ServerState()
        state.default_headers = DATE
        self.loop, self.protocol, self.wire = loop, Protocol(config, state, {}, loop), Wire(peer)
        self.protocol.access_log = False
        assert self.protocol._quick is not None
        if not quick:
            self.protocol._quick = None
        self.protocol.connection_made(self.wire)

    def feed(self, parts: list[bytes]) -> tuple[bytes, bool]:
        """What comes back, and whether the connection was closed."""
        for part in parts:
            if not self.wire.closed:
                self.protocol.data_received(part)
            while self.protocol.tasks:
                self.loop.run_until_complete(asyncio.sleep(0))
        return self.wire.sent, self.wire.closed

    def close(self) -> None:
        self.protocol.connection_lost(None)


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


FIRST = [
    b"GET / HTTP/1.1", b"GET /a/b?c=d HTTP/1.1", b"HEAD /a HTTP/1.1", b"GET /%20a%%31 HTTP/1.1", b"GET /%0d%0ax HTTP/1.1",
    b"GET /?%0a HTTP/1.1", b"POST /a HTTP/1.1", b"OPTIONS /a HTTP/1.1", b"GET /a HTTP/1.0", b"GET /.geosteer/health HTTP/1.1",
    b"GET /.geosteer/../a HTTP/1.1", b"GET //.geosteer/x HTTP/1.1", b"GET http://www.cdn.example.net/a HTTP/1.1",
    b"GET /a b HTTP/1.1", b"GET /\xc3\xa4 HTTP/1.1", b"GET /a#b HTTP/1.1", b'GET /a?"b" HTTP/1.1', b"get / HTTP/1.1",
    b"GET /%s HTTP/1.1", b"GET /" + b"a" * 5000 + b" HTTP/1.1", b"GET /../a/./b HTTP/1.1", b"GET / HTTP/1.1 ",
]  # fmt: skip
FIELDS = [
    b"Host: www.cdn.example.net", b"Host: www.cdn.example.net", b"Host: www.cdn.example.net",
    b"host:www.cdn.example.net:80", b"Host: WWW.cdn.example.net.", b"Host: hash.cdn.example.net",
    b"Host: a.wild.example.org", b"Host: none.cdn.example.net", b"Host: weighted.cdn.example.net",
    b"Host: other.example", b"Host: a@b", b"Host:", b"Host: ", b"User-Agent: x/1 (y; z)", b"Accept: */*",
    b"Accept-Encoding: gzip, br ", b"X:", b"X: a\tb", b"X : a", b" folded", b"X: \xe4",
    b"Connection: keep-alive", b"Connection: Keep-Alive", b"Connection: close", b"Connection: Upgrade",
    b"Connection: TE, close", b"Upgrade: websocket", b"Upgrade: h2c", b"Content-Length: 0",
    b"Content-Length: 5", b"Content-Length: 5x", b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity",
    b"Expect: 100-continue", b"Proxy-Connection: close", b"X-Forwarded-For: 192.0.2.9",
    b"X-Forwarded-For: 198.51.100.1, 10.0.0.1", b"X-Forwarded-For: 192.0.2.9, junk",
    b"X-Forwarded-Proto: https", b"Forwarded: for=192.0.2.3;proto=https",
    b'Forwarded: for="[2001:db8:b::1]:80"', b"Origin: https://www.example.net", b"Origin: https://evil.example",
    b"Access-Control-Request-Method: GET", b"Authorization: Bearer x", b"Upgrade-Insecure-Requests: 1",
    b"Cookie: a=b; c=d", b"X\x00: a", b"X: a\rb", b"X: a\nb",
]  # fmt: skip
_FREQUENT = (b"User", b"Accept:", b"Connection: k", b"X-For", b"Origin", b"Cookie")
PLAIN_FIELDS = [field for field in FIELDS if field.startswith(_FREQUENT)]
BYTES = b'\0\t\n\r "#%/:;<?@A\\{\x7f\x80\xff'


def requests(draw: random.Random) -> list[bytes]:
    """Some requests behind each other, now and then mutilated, in pieces."""
    stream = b""
    for _ in range(draw.choice((1, 1, 2, 4))):
        plain = draw.random() < 0.5
        fields = draw.sample(PLAIN_FIELDS if plain else FIELDS, draw.choice((0, 1, 2, 4)))
        if draw.random() < 0.8:
            fields.insert(0, FIELDS[0])
        first = draw.choice(FIRST[:4] if plain else FIRST)
        stream += b"\r\n".join([first, *fields]) + b"\r\n\r\n"
    stream += draw.choice((b"", b"", b"", b"hello", b"\r\n", b"GET", b"GET / HTTP/1.1\r\nHo"))
    for _ in range(draw.choice((0, 0, 0, 1, 2))):
        at, byte = draw.randrange(len(stream)), draw.choice(BYTES)
        stream = stream[:at] + bytes([byte])[: draw.randrange(2)] + stream[at + draw.randrange(2) :]
    cuts = sorted(draw.choices(range(len(stream) + 1), k=draw.choice((0, 0, 0, 1, 1, 5))))
    return [
        part
        for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)
        if (part := stream[begin:end])
    ]


@pytest.mark.parametrize("manner", MANNERS)
def test_whatever_comes_is_answered_as_without_the_memory_and_counted_alike(
    steering: Steering, loop: asyncio.AbstractEventLoop, manner: str
) -> None:
    app = ASGI(steering, Redirector(steering, **MANNERS[manner]))
    cells = steering.running.tier.counters.cells
    draw, redirected, quickly = random.Random(manner), 0, 0

    def answered(parts: list[bytes], peer: str, *, quick: bool) -> tuple[bytes, bool, list[int]]:
        nonlocal quickly
        before = cells.tolist()[64:]
        connection = Connection(loop, app, peer, quick=quick)
        sent, closed = connection.feed(parts)
        quickly += connection.protocol._asked > 0
        connection.close()
        return sent, closed, [now - then for now, then in zip(cells.tolist()[64:], before, strict=True)]

    for number in range(20_000 if LONG else 250):
        parts = requests(draw)
        if any(b"weighted.cdn" in part for part in parts) or b"weighted.cdn" in b"".join(parts):
            continue  # drawn anew for each request
        peer = draw.choice((PROXY, BRITON, "198.51.100.1"))
        wanted = answered(parts, peer, quick=False)
        assert answered(parts, peer, quick=True) == wanted, (number, parts)
        assert answered(parts, peer, quick=True) == wanted, (number, parts)  # now from memory
        redirected += wanted[0].count(b"HTTP/1.1 30")
    assert redirected > 40
    assert quickly > 40


def test_many_requests_at_once_are_answered_in_order_with_one_write(
    steering: Steering, loop: asyncio.AbstractEventLoop
) -> None:
    connection = Connection(loop, ASGI(steering, Redirector(steering)), BRITON, quick=True)
    one = b"GET /%d HTTP/1.1\r\nHost: www.cdn.example.net\r\n\r\n"
    sent, closed = connection.feed([b"".join(one % number for number in range(1000))])
    locations = [line for line in sent.split(b"\r\n") if line.startswith(b"location")]
    assert locations == [b"location: http://lon1.cdn.example.net/%d" % number for number in range(1000)]
    assert not closed
    connection.close()


def test_a_change_of_state_shows_in_the_next_answer(
    redis_server: RedisServer, loop: asyncio.AbstractEventLoop, tmp_path: Path, prefix: str
) -> None:
    republish(redis_server, prefix, document())
    with live_steering(redis_server, prefix, tmp_path, timeout=5000) as steering:
        connection = Connection(loop, ASGI(steering, Redirector(steering)), BRITON, quick=True)

        def where() -> bytes:
            connection.wire.sent = b""
            sent, _ = connection.feed([b"GET /a HTTP/1.1\r\nHost: www.cdn.example.net\r\n\r\n"])
            return sent

        for _ in range(3):
            wait_until(lambda: b"//lon1." in where())
            assert where().startswith(b"HTTP/1.1 302 Found\r\ndate: Sat, ")
            set_state(redis_server, prefix, "lon1", "down")
            wait_until(lambda: b"//ams1." in where())
            set_state(redis_server, prefix, "lon1", "up", since="2026-01-01T00:00:00Z")
        connection.close()


def test_only_fields_that_frame_nothing_are_read() -> None:
    assert read_fields(b"Host: a\r\nX-Y:  b c\r\nConnection: Keep-Alive\r\n\r\n") == [
        (b"host", b"a"), (b"x-y", b"b c"), (b"connection", b"Keep-Alive")
    ]  # fmt: skip
    for line in (b"Connection: close", b"content-length: 0", b"TRANSFER-ENCODING: chunked", b"Expect: x", b"Upgrade: x",
                 b"proxy-connection: keep-alive", b"a b: c", b": c", b"", b" a: b", b"a: b ", b"a: \xe4", b"a: b\tc", b"a:",
                 b"a: b\nc: d", b"a"):  # fmt: skip
        assert read_fields(b"Host: a\r\n" + line + b"\r\n\r\n") is None, line

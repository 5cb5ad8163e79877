"""Tricks that turn redirectors against their users: open redirects, header injection, requests read in two ways.

Every trick is answered by a refusal, or by a Location that leads to a node: the same rule for all of them.
"""

from __future__ import annotations

import itertools
import re
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from geosteer.redirect.redirector import Redirector
from geosteer.redirect.routes import Routes
from support.front_servers import TABLES, raw, start_http
from support.steering import WWW, document, live_steering, republish, write_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from geosteer import Steering
    from support.servers import RedisServer

NODES = {f"{node}.cdn.example.net" for node in ("lon1", "ams1", "nyc1")}
PLAIN = re.compile(rb"http://(?:lon1|ams1|nyc1)\.cdn\.example\.net/[!$-;=?-\[\]-~]*")
"""What a Location may be: a node's origin, a slash, and bytes that may stand in a URL."""
EVIL = b"evil.example"

SLASHES = [
    b"/",
    b"//",
    b"///",
    b"/\\",
    b"\\/",
    b"\\\\",
    b"/%2f",
    b"/%5c",
    b"%2f%2f",
    b"/.//",
    b"/..//",
    b"/%2e%2e//",
    b"/;//",
]
SLASHES += [
    b"/\t/",
    b"/\n/",
    b"/ /",
    b"/\r/",
    b"/\x0b/",
    b"/\xe3\x80\x82/",
    b"/\xef\xbc\x8f",
    b"/\xc0\xaf/",
    b"//@",
    b"/:@",
]
HOSTS = [
    EVIL,
    EVIL + b":80",
    b"a@" + EVIL,
    b"www.cdn.example.net@" + EVIL,
    b"[::1]",
    b"%65vil.example",
    b"0x7f000001",
]
SCHEMES = [
    b"http:",
    b"https:",
    b"HTTP:",
    b"javascript:",
    b"data:text/html,",
    b"//",
    b"http:/",
    b"http://",
    b"https:///",
]
SCHEMES += [
    b"\x00http://",
    b"\x20http://",
    b"ht\ttp://",
    b"http:\\\\",
    b"file://",
    b"ftp://",
    b"ws://",
    b"view-source:http://",
]
BREAKS = [
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b"%0d%0a",
    b"%0a",
    b"%0d",
    b"%00",
    b"%0D%0A%20",
    b"\xe5\x98\x8d\xe5\x98\x8a",
    b"%E5%98%8A",
]
BREAKS += [
    b"\xc2\x85",
    b"\xe2\x80\xa8",
    b"%u000a",
    b"%25%30%61",
    b"\\r\\n",
    b"\x1b[31m",
    b"\x85",
    b"\x0c",
    b"\x0b",
]
INJECTED = b"X-Injected: yes"
TARGETS = list(
    dict.fromkeys(
        [
            *(slashes + host + b"/a" for slashes, host in itertools.product(SLASHES, HOSTS)),
            *(scheme + host for scheme, host in itertools.product(SCHEMES, HOSTS[:4])),
            *(b"/a" + end + INJECTED for end in BREAKS),
            *(b"/a?b=" + end + INJECTED for end in BREAKS),
            *(b"/a?b=" + end * 2 + b"<script>" for end in BREAKS),
            *(b"/" + end + b"/" + EVIL for end in BREAKS),
            b"/a?url=http://" + EVIL, b"/a#@" + EVIL, b"/?//" + EVIL, b"?//" + EVIL, b".//" + EVIL, b"*", b"", b"@" + EVIL,
            b"/<" + EVIL + b">", b'/"' + EVIL, b"/a?>;rel=x,<http://" + EVIL + b">", b"/a?" + b"a" * 9000,
            b"/" + b"\xff" * 5000,
            b"http://www.cdn.example.net:80@" + EVIL + b"/", b"http://www.cdn.example.net#@" + EVIL + b"/",
            b"http://www.cdn.example.net\\@" + EVIL + b"/", b"http://www.cdn.example.net/..//" + EVIL,
            b"http://www.cdn.example.net//" + EVIL, b"http://www.cdn.example.net", b"http://www.cdn.example.net?" + EVIL,
            b"http://www.cdn.example.net%2f@" + EVIL + b"/", b"http://www.cdn.example.net%00." + EVIL + b"/",
        ]
    )
)  # fmt: skip
AUTHORITIES = [
    EVIL, b"www.cdn.example.net@" + EVIL, b"www.cdn.example.net:80@" + EVIL, b"www.cdn.example.net#" + EVIL,
    b"www.cdn.example.net/" + EVIL, b"www.cdn.example.net\\" + EVIL, b"www.cdn.example.net, " + EVIL, b"//" + EVIL,
    b"www.cdn.example.net?" + EVIL, b"www.cdn.example.net%00" + EVIL, b"www.cdn.example.net\t" + EVIL, b"[" + EVIL + b"]",
    b"www.cdn.example.net:" + EVIL, b"www.cdn.example.net:80:80", b"www.cdn.example.net;" + EVIL, b"", b".", b"..", b"*",
    b"www.cdn.example.net\xc2\xa0", b"\xef\xbd\x97ww.cdn.example.net", b"www.cdn.example.net.:80", b"WWW.CDN.EXAMPLE.NET",
]  # fmt: skip
"""What a Host field may say."""


def check(status: int, fields: list[tuple[bytes, bytes]]) -> None:
    """The rule: a refusal, or one Location that every reader takes for a node's."""
    assert status in {302, 400, 404, 405, 414, 503}
    locations = [value for name, value in fields if name.lower() == b"location"]
    assert len(locations) == (status == 302)
    for location in locations:
        assert PLAIN.fullmatch(location), location
        parts = urlsplit(location.decode("ascii"))
        assert (parts.scheme, parts.netloc) in {("http", node) for node in NODES}, location
        assert (parts.username, parts.port, parts.fragment) == (None, None, "")
    for name, value in fields:
        assert name.lower() in {
            b"location", b"cache-control", b"content-length", b"content-type", b"retry-after", b"allow", b"link", b"date",
            b"x-content-type-options", b"connection",
        }  # fmt: skip
        assert not set(b"\r\n\0") & set(value)
        if name.lower() == b"link":
            assert re.fullmatch(rb"<" + PLAIN.pattern + rb">; rel=duplicate; pri=\d+", value), value


@pytest.fixture(scope="module")
def steering(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Steering]:
    republish(redis_server, "tricks", document())
    with live_steering(redis_server, "tricks", tmp_path_factory.mktemp("tricks"), timeout=5000) as live:
        yield live


@pytest.fixture(scope="module")
def port(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    republish(redis_server, "trickshttp", document(), tables=TABLES)
    settings = write_settings(redis_server, "trickshttp", tmp_path_factory.mktemp("tricks"))
    server, port = start_http(settings, "--route", f"*={WWW}", "--duplicates", "2")
    with server:
        yield port


def test_there_are_tricks_enough() -> None:
    assert len(TARGETS) >= 300
    assert len({target.count(EVIL) for target in TARGETS}) > 1


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: repr(target)[2:42])
def test_no_target_leads_elsewhere_or_adds_a_header(steering: Steering, target: bytes) -> None:
    for routes in (None, Routes([f"*={WWW}", f"*/a={WWW}"])):
        redirector = Redirector(steering, routes=routes, duplicates=2)
        for headers, version in (([(b"host", WWW.encode())], "1.1"), ([], "1.0"), ([(b"host", EVIL)], "1.1")):
            reply = redirector.reply("GET", target, "http", "192.0.2.7", headers, version=version)
            check(reply.status, reply.headers)


@pytest.mark.parametrize("host", AUTHORITIES)
def test_no_host_leads_elsewhere(steering: Steering, host: bytes) -> None:
    for routes in (None, Routes([f"*={WWW}"])):
        redirector = Redirector(steering, routes=routes)
        for target in (b"/a", b"//evil.example/a", b"http://" + host + b"/a"):
            reply = redirector.reply("GET", target, "http", "192.0.2.7", [(b"host", host)])
            check(reply.status, reply.headers)


def test_the_same_holds_on_the_wire(port: int) -> None:
    """With any host allowed; the connection may have been closed after an answer, but there is never a second one."""

    def attempt(request: bytes) -> None:
        came = raw(port, request)
        head, _, rest = came.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 "), request
        status, *lines = head.split(b"\r\n")
        fields = [tuple(line.split(b": ", 1)) for line in lines]
        check(int(status[9:12]), fields)  # type: ignore[arg-type]
        assert rest.count(b"HTTP/1.1 302") == 0, request

    fields = [b"Host: www.cdn.example.net", *(b"Host: " + host for host in AUTHORITIES)]
    requests = [b"GET " + target + b" HTTP/1.1\r\n" + fields[0] for target in TARGETS]
    requests += [b"GET /a HTTP/1.1\r\n" + host for host in fields]
    requests += [b"GET http://" + host + b"/a HTTP/1.1\r\n" + fields[0] for host in AUTHORITIES]
    requests += [b"GET " + target + b" HTTP/1.0" for target in TARGETS[::5]]
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(attempt, [request + b"\r\nConnection: close\r\n\r\n" for request in requests]))

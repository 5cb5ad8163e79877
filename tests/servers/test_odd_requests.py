"""A hundred odd requests, side by side with nginx that answers `return 302`: the same, or different for a stated reason."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.front_servers import TABLES, Server, raw, start_http
from support.servers import free_port, need
from support.steering import WWW, document, republish, write_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.servers import RedisServer

HOST = b"Host: www.cdn.example.net"
ORIGIN = b"http://lon1.cdn.example.net"

PATHS = [
    b"/", b"/a", b"//", b"//a/b", b"///a", b"/a//b", b"/./a", b"/../a", b"/a/../b", b"/a/./b", b"/a/..",
    b"/a/.", b"/%2e%2e/a", b"/a%2fb", b"/a%20b", b"/%", b"/%zz", b"/a%", b"/?", b"/a?", b"/a?b",
    b"/a?b=c&d=e", b"/a?b=//c", b"/a??b", b"/a?b=%0A", b"/a?b=%0d%0aX:y", b"/a?b=%00", b"/a;b=c", b"/a,b",
    b"/a:b@c", b"/a|b", b"/a^b", b"/a`b", b"/{a}", b"/[a]", b"/a'b", b"/~a", b"/!$&'()*+,;=", b"/a=b",
    b"/a+b", b"/-._~", b"/.a", b"/a.", b"/...", b"/a..b", b"/\xc3\xa4", b"/a?\xc3\xa4", b"/\xff",
    b"/\xe5\x98\x8a", b'/a?b="c"', b"/a?b=<c>", b"/a?b=\\c", b"/a?b={c}", b"/a?b[]=c", b"/a?b=|", b"/a?b=^",
    b"/a?b=`", b"/" + b"a" * 2000, b"/a?" + b"b" * 4000, b"http://www.cdn.example.net/",
    b"http://www.cdn.example.net/a?b", b"http://www.cdn.example.net", b"http://www.cdn.example.net?a",
    b"HTTP://www.cdn.example.net/a", b"http://www.cdn.example.net:80/a", b"http://www.cdn.example.net//a",
    b"http://www.cdn.example.net/../a", b"http://www.cdn.example.net/\xc3\xa4",
    b"https://www.cdn.example.net/a", b"http:///a", b"http://", b"ftp://www.cdn.example.net/a",
    b"http://a@www.cdn.example.net/", b"*", b"a", b"?a", b"www.cdn.example.net:80", b"/a#b", b"/a b",
    b"/a\tb", b"/a\x01b", b"/a\x7fb", b"/a\0b", b'/a"b', b"/a<b>", b"/a\\b", b"/\\a", b"/%0a",
    b"/%0D%0AX:y", b"/%00",
]  # fmt: skip
REQUESTS = {
    **{b"GET %s HTTP/1.1 " % path[:60]: b"GET %s HTTP/1.1\r\n%s\r\n" % (path, HOST) for path in PATHS},
    b"HEAD": b"HEAD /a HTTP/1.1\r\n%s\r\n" % HOST,
    b"HTTP/1.0": b"GET /a HTTP/1.0\r\n%s\r\n" % HOST,
    b"HTTP/1.0 without Host": b"GET /a HTTP/1.0\r\n",
    b"HTTP/1.1 without Host": b"GET /a HTTP/1.1\r\n",
    b"two Hosts": b"GET /a HTTP/1.1\r\n%s\r\n%s\r\n" % (HOST, HOST),
    b"Host with a port": b"GET /a HTTP/1.1\r\n%s:8080\r\n" % HOST,
    b"Host in capitals": b"GET /a HTTP/1.1\r\nHost: WWW.CDN.EXAMPLE.NET\r\n",
    b"Host with a final dot": b"GET /a HTTP/1.1\r\n%s.\r\n" % HOST,
    b"Host with a slash": b"GET /a HTTP/1.1\r\n%s/a\r\n" % HOST,
    b"HTTP/9": b"GET /a HTTP/9.9\r\n%s\r\n" % HOST,
    b"no version": b"GET /a\r\n",
    b"lower case method": b"get /a HTTP/1.1\r\n%s\r\n" % HOST,
    b"empty line first": b"\r\nGET /a HTTP/1.1\r\n%s\r\n" % HOST,
    b"X with bytes beyond ASCII": b"GET /a HTTP/1.1\r\n%s\r\nX: \xc3\xa4\r\n" % HOST,
    b"a space before a colon": b"GET /a HTTP/1.1\r\n%s\r\nX : y\r\n" % HOST,
    b"an unknown transfer encoding": b"GET /a HTTP/1.1\r\n%s\r\nTransfer-Encoding: x\r\n" % HOST,
}
NOT_A_URL = (
    "may not stand in a URL (RFC 3986, 2); browsers encode it, or turn a backslash into a slash themselves"
)
BREAK = "names no file, and may become a header line where it is decoded"
ABOVE = "nginx refuses paths that lead above the root; a node resolves them as RFC 3986, 5.2.4, says"
ENCODING = "nginx refuses a malformed percent-encoding; what it means is the node's to say"
DIFFERENT: dict[bytes, tuple[bytes | None, str]] = {
    b"GET /%0a HTTP/1.1 ": (None, BREAK),
    b"GET /%0D%0AX:y HTTP/1.1 ": (None, BREAK),
    b'GET /a"b HTTP/1.1 ': (None, NOT_A_URL),
    b"GET /a<b> HTTP/1.1 ": (None, NOT_A_URL),
    b"GET /a\\b HTTP/1.1 ": (None, NOT_A_URL),
    b"GET /\\a HTTP/1.1 ": (None, NOT_A_URL),
    b"GET /a#b HTTP/1.1 ": (None, "a fragment is never sent (RFC 9112, 3.2)"),
    b"GET ftp://www.cdn.example.net/a HTTP/1.1 ": (None, "this is no proxy for other protocols"),
    b"GET /% HTTP/1.1 ": (b"/%", ENCODING),
    b"GET /a% HTTP/1.1 ": (b"/a%", ENCODING),
    b"GET /%zz HTTP/1.1 ": (b"/%zz", ENCODING),
    b"GET /../a HTTP/1.1 ": (b"/../a", ABOVE),
    b"GET /%2e%2e/a HTTP/1.1 ": (b"/%2e%2e/a", ABOVE),
    b"GET http://www.cdn.example.net/../a HTTP/1.1 ": (b"/../a", ABOVE),
    b"GET http://www.cdn.example.net?a HTTP/1.1 ": (
        b"/?a",
        "nginx's Location has no slash behind the host then",
    ),
    b"no version": (b"/a", "nginx answers HTTP/0.9 with a body alone"),
}
"""Where they differ: the target that geosteer-http redirects to (None: refused), and why."""


def answer(port: int, request: bytes) -> tuple[int, bytes]:
    """Status and Location; 0 where there is no answer that HTTP/1 has."""
    came = raw(port, request + b"Connection: close\r\n\r\n")
    status = re.match(rb"HTTP/1\.[01] (\d{3}) ", came)
    location = re.search(rb"^location: ([^\r]*)\r$", came, re.MULTILINE | re.IGNORECASE)
    return int(status[1]) if status else 0, location[1] if location else b""


@pytest.fixture(scope="module")
def ports(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, int]]:
    """Of geosteer-http, and of an nginx that redirects to the same node."""
    republish(redis_server, "odd", document(), tables=TABLES)
    settings = write_settings(redis_server, "odd", tmp_path_factory.mktemp("odd"))
    ours, port = start_http(settings, "--route", f"*={WWW}")
    folder, other = Path(tempfile.mkdtemp(prefix="gs-odd-")), free_port()
    paths = " ".join(
        f"{name}_temp_path {folder}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"daemon off; master_process off; pid {folder}/pid; error_log stderr; events {{}}\n"
        f"http {{ access_log off; {paths}\n"
        f"server {{ listen 127.0.0.1:{other}; return 302 {ORIGIN.decode()}$request_uri; }} }}\n"
    )
    with (
        ours,
        Server([need("nginx"), "-p", str(folder), "-c", str(folder / "nginx.conf")], folder=folder) as theirs,
    ):
        theirs.ready(other)
        yield port, other


def test_there_are_a_hundred() -> None:
    assert len(REQUESTS) >= 100


@pytest.mark.parametrize("name", REQUESTS, ids=lambda name: repr(name)[2:50])
def test_an_odd_request_is_answered_as_nginx_does(ports: tuple[int, int], name: bytes) -> None:
    """Bytes that may not stand in a URL come percent-encoded, where nginx hands them on; which refusal it is may differ."""
    (status, location), (their_status, their_location) = (answer(port, REQUESTS[name]) for port in ports)
    encoded = re.sub(rb'["<>\\\\\x80-\xff]', lambda match: b"%%%02X" % match[0][0], their_location)
    assert location == b"" or location.startswith(ORIGIN + b"/")
    if name in DIFFERENT:
        target, _ = DIFFERENT[name]
        assert (status, location) == ((302, ORIGIN + target) if target is not None else (400, b""))
        assert location != their_location, "no difference any more"
    elif their_status == 302:
        assert (status, location) == (302, encoded)
    else:
        assert status >= 400
        assert their_status >= 400

"""The proxy that the environment names is the one that curl takes: the same random environments for both."""

from __future__ import annotations

import os
import random
import shutil
import socket
import subprocess
from threading import Thread
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

import pytest

from geosteer_loader.fetch.errors import FetchFailed
from geosteer_loader.fetch.proxies import proxy_for
from support.long import LONG

if TYPE_CHECKING:
    from collections.abc import Iterator

CURL = shutil.which("curl")

HOSTS = ("a.example.net", "example.net", "A.Example.NET", "a.example.net.", "192.0.2.1", "[2001:db8::1]")
PROXIES = (
    "127.0.0.1:{}", "localhost:{}", "http://127.0.0.1:{}", "HTTP://127.0.0.1:{}", "http://127.0.0.1:{}/", "http://127.0.0.1:{}/x?y",
    "https://127.0.0.1:{}", "me:secret@127.0.0.1:{}", "http://me:p%40ss%3Aw%25rd@127.0.0.1:{}", "http://me@127.0.0.1:{}",
    "http://me:@127.0.0.1:{}", "http://:secret@127.0.0.1:{}", "http://m%C3%A9:a+b@127.0.0.1:{}", "http://a:b:c@127.0.0.1:{}",
    "", "ftp://127.0.0.1:{}", "http://127.0.0.1:x{}", "http://me:a%zzb@127.0.0.1:{}", "://127.0.0.1:{}",
)  # fmt: skip
EXCLUDED = (
    "", "*", "example.net", ".example.net", "a.example.net", "EXAMPLE.net", "example.net.", "ample.net", "net",
    "*.example.net", "example.net:443", "192.0.2.1", "192.0.2.0/24", "192.0.2.1/32", "192.0.3.0/24", "192.0.2", "2001:db8::1",
    "2001:db9::/32", "192.0.2.0/33", "10.0.0.0/8, a.example.net", "b.net ,example.net",
    "b.net,,example.net", ",", "*,b.net", "b.net,*", "..example.net",
)  # fmt: skip
"""Left out: what curl 7.88 does not do as its manual says: networks of IPv6, and networks of length 0; and names with blanks
alone between them, of which newer curl (8.14) takes the first and older takes all."""
PROXY_VARIABLES = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "http_proxy", "HTTP_PROXY")


class Choice(NamedTuple):
    """Who is asked, and how."""

    port: int
    """Of whoever was connected to; 0: nobody, it was refused."""
    scheme: str = ""
    login: str = ""
    """The value of Proxy-Authorization."""


class Listener:
    """A port that notes with what a client begins, and hangs up."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self.seen: list[bytes] = []
        Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                self.seen.append(connection.recv(65536))

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


@pytest.fixture(scope="module")
def listeners() -> Iterator[list[Listener]]:
    if CURL is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("curl is not installed")
    made = [Listener() for _ in range(len(PROXY_VARIABLES) + 1)]
    yield made
    for listener in made:
        listener.close()


def of_curl(host: str, environ: dict[str, str], listeners: list[Listener]) -> Choice:
    """Where curl goes; direct connections are led to the first listener."""
    for listener in listeners:
        listener.seen.clear()
    direct = f"::127.0.0.1:{listeners[0].port}"
    command = [str(CURL), "-s", "-m", "5", "--connect-to", direct, f"https://{host}/"]
    subprocess.run(command, env=environ, check=False, capture_output=True, timeout=20)
    reached = [listener for listener in listeners if listener.seen]
    if not reached:
        return Choice(0)
    (listener,) = reached
    head = listener.seen[0]
    if listener is listeners[0]:
        return Choice(listener.port)
    if not head.startswith(b"CONNECT "):
        return Choice(listener.port, "https")
    fields = dict(line.split(": ", 1) for line in head.decode("latin-1").split("\r\n")[1:] if ": " in line)
    return Choice(listener.port, "http", fields.get("Proxy-Authorization", ""))


def of_ours(host: str, environ: dict[str, str], direct: int) -> Choice:
    try:
        proxy = proxy_for(urlsplit(f"https://{host}/").hostname or "", environ)
    except FetchFailed:
        return Choice(0)
    if proxy is None:
        return Choice(direct)
    parts = urlsplit(proxy.url)
    # what goes over TLS to the proxy is not seen
    return Choice(parts.port or 0, parts.scheme, (proxy.login or "") if parts.scheme == "http" else "")


def environment(randomly: random.Random, listeners: list[Listener]) -> dict[str, str]:
    names = randomly.sample(PROXY_VARIABLES, randomly.choice((1, 1, 2, 3)))
    environ = {
        name: randomly.choice(PROXIES).format(listener.port)
        for name, listener in zip(names, listeners[1:], strict=False)
    }
    for name in randomly.sample(("no_proxy", "NO_PROXY"), randomly.choice((0, 1, 1, 2))):
        environ[name] = randomly.choice(EXCLUDED)
    return environ


@pytest.mark.parametrize("seed", range(4))
def test_random_environments_lead_where_they_lead_curl(seed: int, listeners: list[Listener]) -> None:
    randomly = random.Random(seed)
    wrong = []
    for _ in range(60 if LONG else 15):
        host, environ = randomly.choice(HOSTS), environment(randomly, listeners)
        theirs, ours = of_curl(host, environ, listeners), of_ours(host, environ, listeners[0].port)
        if theirs != ours:
            wrong.append((host, environ, theirs, ours))
    assert wrong == []

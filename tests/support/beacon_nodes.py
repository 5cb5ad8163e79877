"""Nodes with a small object to measure, and a web site whose page measures them, each on an address of loopback."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import threading
from typing import TYPE_CHECKING, Any

from support.servers import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

MEASURED = {"Access-Control-Allow-Origin": "*", "Timing-Allow-Origin": "*", "Cache-Control": "no-store"}
"""Header fields that the object needs."""


@contextlib.contextmanager
def _serving(address: str, port: int, handler: type[http.server.BaseHTTPRequestHandler]) -> Iterator[None]:
    server = http.server.ThreadingHTTPServer((address, port), handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


class Nodes:
    """Servers of one object, all on one port."""

    def __init__(self, nodes: Mapping[str, tuple[int, Mapping[str, str]]]) -> None:
        """Args: nodes: address -> status and header fields of its answers."""
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        """Address, path and header fields of every request."""
        self.port = free_port(list(nodes))
        self._stack = contextlib.ExitStack()
        for address, (status, fields) in nodes.items():
            self._stack.enter_context(_serving(address, self.port, self._handler(address, status, fields)))

    def _handler(
        self, address: str, status: int, fields: Mapping[str, str]
    ) -> type[http.server.BaseHTTPRequestHandler]:
        asked = self.asked

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                asked.append((address, self.path, dict(self.headers)))
                self.send_response(status)
                for name, value in {**fields, "Content-Length": "2"}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *_: object) -> None:
                pass

        return Handler

    def close(self) -> None:
        """End them."""
        self._stack.close()


class PageSite:
    """A site with one page, which hands `/.geosteer/` on to geosteer-http."""

    def __init__(self, geosteer: int, page: str, nodes: Sequence[str]) -> None:
        """Args: geosteer: port of it on 127.0.0.1; nodes: origins that the page may connect to."""
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        """Method, path and header fields of every request handed on."""
        self.port = free_port()
        site, policy = self, f"default-src 'none'; script-src 'self'; connect-src 'self' {' '.join(nodes)}"

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                if self.path.startswith("/.geosteer/"):
                    self.hand_on()
                    return
                self.answer(
                    200,
                    {"Content-Type": "text/html", "Content-Security-Policy": policy, "Set-Cookie": "a=b"},
                    page.encode(),
                )

            def do_POST(self) -> None:
                self.hand_on()

            def hand_on(self) -> None:
                site.asked.append((self.command, self.path, dict(self.headers)))
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                fields = {**dict(self.headers), "X-Forwarded-For": self.client_address[0]}
                with contextlib.closing(
                    http.client.HTTPConnection("127.0.0.1", geosteer, timeout=20)
                ) as behind:
                    behind.request(self.command, self.path, body or None, fields)
                    reply = behind.getresponse()
                    self.answer(reply.status, dict(reply.getheaders()), reply.read())

            def answer(self, status: int, fields: Mapping[str, Any], body: bytes) -> None:
                self.send_response_only(status)
                for name, value in fields.items():
                    if name.lower() != "content-length":
                        self.send_header(name, value)
                if status != 204:
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._stack = contextlib.ExitStack()
        self._stack.enter_context(_serving("127.0.0.1", self.port, Handler))

    def close(self) -> None:
        """End it."""
        self._stack.close()

"""Uvicorn's HTTP/1.1 (with httptools as its parser), bounded, and without a task for an answer that is ready at once.

Built on `uvicorn.protocols.http.httptools_impl`, which is not a public interface: pyproject.toml says which versions it fits.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from time import monotonic
from typing import TYPE_CHECKING

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from geosteer.process import logger
from geosteer.redirect.apps import ASGI, TARGET
from geosteer.redirect.quick_redirects import Sender
from geosteer.redirect.rare_log import RareLog
from geosteer.redirect.replies import wire
from geosteer.redirect.request_target import OddTarget, ascii_only, read_target

if TYPE_CHECKING:
    from uvicorn.config import Config
    from uvicorn.server import ServerState

    from geosteer.redirect.replies import Reply

HEAD = 1 << 16
"""Bytes that a request's head may have."""
HEAD_SECONDS = 10.0
"""How long a client may take for it."""
LAST_SECONDS = 0.5
"""How long a server that ends waits for the first request of a connection that it has accepted."""
PROGRAM = "geosteer-http"

log = logger(PROGRAM)
log_invalid = RareLog(log)


class _Answered:
    """Stands in for uvicorn's request cycle where a request was answered as soon as its head was read."""

    response_complete = True
    disconnected = False
    message_event = asyncio.Event()


class Protocol(HttpToolsProtocol):
    """One connection.

    Answers leave at once unless they have to wait for Redis, or for those before them: then they go uvicorn's way.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, object],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        app: object = self.app
        ours = app if isinstance(app, ASGI) and not self.access_log else None
        self._redirector = ours.redirector if ours is not None else None
        self._quick = ours.quick if ours is not None else None
        self._at_rest = True  # no request is being read
        self._asked = 0.0
        self._size = 0  # of what came since the last whole head
        self._in_head = True
        self._last = False  # the server ends: the next answer closes the connection
        self.url = b""
        self._limit: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to count the time of the first head."""
        super().connection_made(transport)
        self._sender = Sender(self.scheme or "http", self.client[0] if self.client else None)
        self._hurry()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop counting."""
        self._relax()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take in what came: plain requests are answered at once, all else goes to the parser."""
        cycle = self.cycle
        if (
            self._at_rest
            and self._quick is not None
            and not self._last
            and (cycle is None or cycle.response_complete)
            and not self.flow.write_paused
        ):
            now = monotonic()
            answers, size = self._quick.answers(data, self._sender, self.server_state.default_headers, now)
            if size:
                self._send(answers, now)
                if size == len(data):
                    return
                data = data[size:]
        self._parse(data)

    def _send(self, answers: list[bytes], now: float) -> None:
        """Send answers to plain requests; the connection stays open."""
        self.cycle = _Answered  # type: ignore[assignment]
        self._asked = now
        if self._limit is not None:
            self._relax()
        if self.timeout_keep_alive_task is None:
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )
        self.transport.write(b"".join(answers))
        if self.flow.write_paused:
            self.flow.pause_reading()

    def timeout_keep_alive_handler(self) -> None:
        """Close the connection, unless a plain request has come since this was to be called."""
        left = self._asked + self.timeout_keep_alive - monotonic()
        if left > 0:
            self.timeout_keep_alive_task = self.loop.call_later(left, self.timeout_keep_alive_handler)
        else:
            super().timeout_keep_alive_handler()

    def _parse(self, data: bytes) -> None:
        """Feed the parser, as long as no head is too long."""
        for at in range(0, len(data), HEAD):
            part = data[at : at + HEAD]
            self._size += len(part)
            if part.isascii():
                self._feed(part)
            else:
                self._feed_lines(part)
            if self.transport.is_closing():
                return
            if self._size > HEAD:
                self._refuse_rest()
                return
        if self._size and self._limit is None:
            self._hurry()

    def _feed(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            return  # requests to switch protocols are answered in this one
        except httptools.HttpParserError as exc:
            peer = f"{self.client[0]} port {self.client[1]}" if self.client else "the unix socket"
            log_invalid(f"invalid HTTP request from {peer}: {exc}", self.loop.time())
            self.send_400_response("Invalid HTTP request received.")

    def _feed_lines(self, data: bytes) -> None:
        """Feed line by line, the first line of a request percent-encoded: the parser refuses bytes beyond ASCII there.

        Nothing else is changed, bodies above all: their length was announced. Only a first header field that arrives in
        one piece with the end of the first line may be taken for a part of it; such bytes have no meaning there either.
        """
        line_ended = False
        for line in data.splitlines(keepends=True):
            first = self._in_head and not self.headers and not (line_ended and self.url)
            self._feed(ascii_only(line) if first else line)
            if self.transport.is_closing():
                return
            line_ended = line.endswith(b"\n")

    def on_response_complete(self) -> None:
        """Go on with the next request, but not for a client that does not take in its answers."""
        super().on_response_complete()
        if self.flow.write_paused:
            self.flow.pause_reading()

    def resume_writing(self) -> None:
        """It took them in."""
        super().resume_writing()
        self.flow.resume_reading()

    def _refuse_rest(self) -> None:
        """Close on a head without end, or on the body of a request that was answered already."""
        if self.cycle is None:
            self.send_400_response("Request head too long.")
        else:
            self.transport.close()

    def on_message_begin(self) -> None:
        """A head begins."""
        self._at_rest = False
        super().on_message_begin()

    def on_message_complete(self) -> None:
        """The body is whole, if there is one: a head follows."""
        self._in_head = self._at_rest = True
        self.url, self.headers = b"", []
        super().on_message_complete()

    def on_headers_complete(self) -> None:
        """The head is whole: answer."""
        self._in_head = False
        self._size = 0
        self._relax()
        cycle = self.cycle
        if self._redirector is not None and (cycle is None or cycle.response_complete):
            parser, peer = self.parser, self.client
            method, version = parser.get_method().decode("ascii"), parser.get_http_version()
            try:
                reply = self._redirector.reply(
                    method,
                    self.url,
                    self.scheme or "http",
                    peer[0] if peer else None,
                    self.headers,
                    version=version,
                    wait=False,
                )
            except Exception:  # noqa: BLE001  # NotReady waits there; anything else is logged there, with a 500
                reply = None
            if reply is not None:
                self._answer(reply, method, version)
                return
        self.scope[TARGET] = self.url  # type: ignore[literal-required]
        try:
            self.url = read_target(self.url)[2]
        except OddTarget:
            self.url = b"/"  # uvicorn knows the origin form only; the application reads TARGET
        super().on_headers_complete()
        if self._last:
            self.cycle.keep_alive = False

    def _answer(self, reply: Reply, method: str, version: str) -> None:
        parser = self.parser
        keep = (
            reply.status != HTTPStatus.BAD_REQUEST  # where it ends is then none too certain
            and version == "1.1"
            and not self._last
            and parser.should_keep_alive()
            and not parser.should_upgrade()
        )
        self.cycle = _Answered  # type: ignore[assignment]
        self.transport.write(
            wire(reply, self.server_state.default_headers, body=method != "HEAD", close=not keep)
        )
        if not keep:
            self.transport.close()
        self.on_response_complete()

    def shutdown(self) -> None:
        """Answer what is under way and close; also what is about to come, if nothing was asked yet."""
        if self.cycle is None and not self.transport.is_closing():
            self._last = True
            self.loop.call_later(LAST_SECONDS, self._too_slow)
        else:
            super().shutdown()

    def _hurry(self) -> None:
        self._limit = self.loop.call_later(HEAD_SECONDS, self._too_slow)

    def _relax(self) -> None:
        if self._limit is not None:
            self._limit.cancel()
            self._limit = None

    def _too_slow(self) -> None:
        self._limit = None
        if not self.transport.is_closing():
            self.transport.close()

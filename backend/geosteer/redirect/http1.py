"""Uvicorn's HTTP/1.1 (with httptools as its parser), bounded, and without a task for an answer that is ready at once.

Built on `uvicorn.protocols.http.httptools_impl`, which is no public interface: pyproject.toml says which versions it fits.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from geosteer.redirect.apps import ASGI, TARGET

if TYPE_CHECKING:
    from uvicorn.config import Config
    from uvicorn.server import ServerState

    from geosteer.redirect.redirector import Reply

HEAD = 1 << 16
"""Bytes that a request's head may have."""
HEAD_SECONDS = 10.0
"""How long a client may take for it."""


class _Answered:
    """In place of uvicorn's cycle of a request, for one that was answered as soon as its head was read."""

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
        self._redirector = app.redirector if isinstance(app, ASGI) and not self.access_log else None
        self._size = 0  # of what came since the last whole head
        self._limit: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to count the time of the first head."""
        super().connection_made(transport)
        self._hurry()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop counting."""
        self._relax()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take in what came, as long as no head is too long."""
        for at in range(0, len(data), HEAD):
            part = data[at : at + HEAD]
            self._size += len(part)
            super().data_received(part)
            if self.transport.is_closing():
                return
            if self._size > HEAD:
                self._refuse_rest()
                return
        if self._size and self._limit is None:
            self._hurry()

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

    def on_headers_complete(self) -> None:
        """The head is whole: answer."""
        self._size = 0
        self._relax()
        cycle = self.cycle
        if self._redirector is not None and (cycle is None or cycle.response_complete):
            method, peer = self.parser.get_method().decode("ascii"), self.client
            try:
                reply = self._redirector.reply(
                    method,
                    self.url,
                    self.scheme or "http",
                    peer[0] if peer else None,
                    self.headers,
                    wait=False,
                )
            except Exception:  # noqa: BLE001  # NotReady waits there; anything else is logged there, with a 500
                reply = None
            if reply is not None:
                self._answer(reply, method)
                return
        self.scope[TARGET] = self.url  # type: ignore[literal-required]
        super().on_headers_complete()

    def _answer(self, reply: Reply, method: str) -> None:
        parser = self.parser
        keep = (
            reply.status != HTTPStatus.BAD_REQUEST  # where it ends is then none too certain
            and parser.get_http_version() == "1.1"
            and parser.should_keep_alive()
            and not parser.should_upgrade()
        )
        lines = [STATUS_LINE[reply.status]]
        for name, value in self.server_state.default_headers:
            lines += (name, b": ", value, b"\r\n")
        for name, value in reply.headers:
            lines += (name, b": ", value, b"\r\n")
        lines.append(b"\r\n" if keep else b"connection: close\r\n\r\n")
        if method != "HEAD":
            lines.append(reply.body)
        self.cycle = _Answered  # type: ignore[assignment]
        self.transport.write(b"".join(lines))
        if not keep:
            self.transport.close()
        self.on_response_complete()

    def _unsupported_upgrade_warning(self) -> None:
        """Nothing to warn of: whoever asks for another protocol gets an answer in this one."""

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

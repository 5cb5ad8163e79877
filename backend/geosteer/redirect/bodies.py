"""Requests whose answer depends on their body: how much of it is read, and for how long."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping, Sequence
    from wsgiref.types import WSGIEnvironment

    from geosteer.redirect.replies import Reply

SECONDS = 5.0
"""How long a client may take for a body; the server's own limit is longer."""


class BodyWanted(Exception):
    """Raised in place of a reply: call `begin`, read the body, call `finish`."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.limit = limit
        """Bytes of the body at most."""

    def begin(self, length: int | None) -> Reply | None:
        """The reply if it does not depend on the body after all. Args: length: as announced; None: not announced."""
        raise NotImplementedError

    def finish(self, body: bytes) -> Reply:
        """The reply to the whole request."""
        raise NotImplementedError

    def too_long(self) -> Reply:
        """The reply where there is more than `limit`."""
        raise NotImplementedError

    def too_slow(self) -> Reply:
        """The reply where the body does not come."""
        raise NotImplementedError


async def asgi_reply(
    wanted: BodyWanted, headers: Sequence[tuple[bytes, bytes]], receive: Callable[[], Awaitable[MutableMapping[str, Any]]]
) -> Reply:  # fmt: skip
    """The reply, once the body is read from an ASGI server."""
    length = next((value for name, value in headers if name == b"content-length"), None)
    reply = wanted.begin(_number(length.decode("latin-1") if length is not None else ""))
    if reply is not None:
        return reply
    body, more = b"", True
    try:
        async with asyncio.timeout(SECONDS):
            while more:
                event = await receive()
                if event["type"] != "http.request":
                    return wanted.too_slow()  # the client is gone
                body += event.get("body", b"")
                more = event.get("more_body", False)
                if len(body) > wanted.limit:
                    return wanted.too_long()
    except TimeoutError:
        return wanted.too_slow()
    return wanted.finish(body)


def wsgi_reply(wanted: BodyWanted, environ: WSGIEnvironment) -> Reply:
    """The reply, once the body is read from a WSGI server, which limits the time."""
    length = _number(environ.get("CONTENT_LENGTH") or "")
    reply = wanted.begin(length)
    if reply is not None:
        return reply
    ends = environ.get("wsgi.input_terminated", False)  # it ends where the body does, chunked or not
    body = environ["wsgi.input"].read(wanted.limit + 1 if ends else length or 0)
    return wanted.finish(body) if len(body) <= wanted.limit else wanted.too_long()


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None

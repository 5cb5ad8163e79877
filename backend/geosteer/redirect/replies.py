"""HTTP replies, and those other than redirects."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from http import HTTPStatus

    Headers = list[tuple[bytes, bytes]]


class Reply:
    """The answer to one request."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: Headers, body: bytes = b"") -> None:
        self.status = status
        self.headers = headers
        """Names and values; Content-Length is among them, except for status 204."""
        self.body = body


def json_reply(status: HTTPStatus, document: object) -> Reply:
    """A document that must not be cached."""
    return _uncached(status, json.dumps(document).encode() + b"\n", b"application/json")


def refusal(status: HTTPStatus, why: str, *more: tuple[bytes, bytes]) -> Reply:
    """A status with one line of text, and more header fields."""
    return _uncached(status, why.encode("ascii", "replace") + b"\n", b"text/plain", *more)


def _uncached(status: HTTPStatus, body: bytes, content_type: bytes, *more: tuple[bytes, bytes]) -> Reply:
    headers = [
        (b"content-type", content_type),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
        *more,
    ]
    return Reply(status, headers, body)

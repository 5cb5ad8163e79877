"""HTTP replies, and those other than redirects."""

from __future__ import annotations

import json
from functools import cache
from http import HTTPStatus
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    Headers = list[tuple[bytes, bytes]]
    Template = tuple[bytes, int]
    """Header fields as `template` makes them, and the cell in which each use is counted."""


class Reply:
    """The answer to one request."""

    __slots__ = ("body", "headers", "status", "template")

    def __init__(
        self, status: int, headers: Headers, body: bytes = b"", template: Template | None = None
    ) -> None:
        self.status = status
        self.headers = headers
        """Names and values; Content-Length is among them, except for status 204."""
        self.body = body
        self.template = template
        """The answer to every path, if there is one for as long as `Chooser.epoch` stays the same."""


def template(origin: bytes, more: Headers) -> bytes:
    """The header fields of a redirect, with the empty line: `% target` completes them.

    Args: origin: what stands before the target in Location; more: the fields behind it.
    """
    fields = lines_of([(b"location", origin), *more]).replace(b"%", b"%%")
    return fields.replace(b"\r", b"%b\r", 1) + b"\r\n"


@cache
def status_line(status: int) -> bytes:
    """The first line of an answer in HTTP/1.1."""
    return f"HTTP/1.1 {int(status)} {HTTPStatus(status).phrase}\r\n".encode()


def lines_of(headers: Headers) -> bytes:
    """Header fields as HTTP/1.1 has them."""
    return b"".join([b"%b: %b\r\n" % field for field in headers])


def wire(reply: Reply, always: Headers, *, body: bool = True, close: bool = False) -> bytes:
    """A reply as HTTP/1.1 has it (RFC 9112).

    Args: always: header fields of every answer; body: send it; close: the connection ends with this answer.
    """
    end = b"connection: close\r\n\r\n" if close else b"\r\n"
    head = (status_line(reply.status), lines_of(always), lines_of(reply.headers), end)
    return b"".join((*head, reply.body) if body else head)


class OwnCors(Reply):
    """A reply that says itself which pages' scripts may read it."""

    __slots__ = ()


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

"""An HTTP answer, taken in piece by piece and judged. No I/O.

Where only the status matters, the head is read as leniently as curl reads it: a field that breaks the rules says nothing
about a node's health. The framing of a body that is to be matched is read strictly: only the body's own text counts.
Source: RFC 9112, sections 2.2, 4, 6 and 7.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from geosteer_loader.health.checks.content_coding import Damaged, Undecodable, decoder
from geosteer_loader.health.checks.result import Result

if TYPE_CHECKING:
    from collections.abc import Sequence

    from geosteer_loader.health.checks.content_coding import Decoder

HEAD = 64 << 10
"""Bytes that the head of an answer may have."""
BODY = 1 << 20
"""Bytes of a body that are searched, after decoding."""
CODED = 2 * BODY
"""Bytes of a body that are read: what is compressed may be a little longer than what it holds."""

_STATUS = re.compile(rb"HTTP/\d(?:\.\d)?[ \t]+(\d{3})(?![0-9])[^\r\n]*")
_SIZE = re.compile(rb"[ \t]*([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n]*)?\r\n")
_CHUNK_HEAD = 4096
"""Bytes of the line before a chunk."""


class NotHttp(Exception):
    """The answer breaks the rules of HTTP where that matters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What makes the answer a good one."""

    statuses: Sequence[int] = field(default=())
    """Empty: any."""
    body: str = ""
    """Text that the body must contain."""


class Judge:
    """Takes an answer in until it is known to be good or not."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._needle = wanted.body.encode()
        self._buffer = bytearray()
        self._head = _Head()
        self._body: _Body | None = None
        self._search = _Search(self._needle)

    def receive(self, data: bytes) -> Result | None:
        """The result, or None while more is needed. Args: data: what came; empty: the connection was closed."""
        self._buffer += data
        try:
            if self._body is None:
                return self._read_head(ended=not data)
            return self._match(ended=not data)
        except NotHttp as exc:
            return Result(False, f"not HTTP: {exc}")
        except Damaged as exc:
            return Result(False, str(exc))
        except Undecodable as exc:
            return Result(False, f'the body has the encoding "{exc}", which this program cannot decode')

    def _read_head(self, *, ended: bool) -> Result | None:
        while (lines := self._head.take(self._buffer, ended=ended)) is not None:
            status = _status(lines[0])
            if status >= 200 or status == 101:
                return self._answered(status, lines[1:], ended=ended)
            self._head = _Head()  # all others below 200 come before the answer
        return None

    def _answered(self, status: int, lines: Sequence[bytes], *, ended: bool) -> Result | None:
        if self._wanted.statuses and status not in self._wanted.statuses:
            return Result(False, f"status {status}")
        if not self._needle:
            return Result(True)
        self._body = _Body(status, _fields(lines))
        return self._match(ended=ended)

    def _match(self, *, ended: bool) -> Result | None:
        assert self._body is not None
        if self._search.found(self._body.take(self._buffer)):
            return Result(True)
        if self._body.searched >= BODY or self._body.read >= CODED:
            return Result(False, f"the first {BODY >> 20} MiB of the body lack the text")
        if self._body.ended or (ended and self._body.ends_with_connection):
            return Result(False, "the body lacks the text")
        if ended:
            return Result(False, "the connection was closed within the body")
        return None


class _Head:
    """Status line and fields, line by line."""

    def __init__(self) -> None:
        self._lines: list[bytes] = []
        self._size = 0
        self._searched = 0
        """Bytes of the buffer that hold no end of a line."""

    def take(self, buffer: bytearray, *, ended: bool) -> list[bytes] | None:
        """All lines, without the empty one behind them; None: more is needed. They are taken out of the buffer.

        Raises: NotHttp: it is no head, or does not end.
        """
        while (end := buffer.find(b"\n", self._searched)) >= 0:
            line = bytes(buffer[:end]).rstrip(
                b"\r"
            )  # RFC 9112, 2.2: a bare LF may be taken for the end of a line
            del buffer[: end + 1]
            self._searched = 0
            self._size += end + 1
            if not self._lines:
                _status(line)
            if self._size > HEAD:
                break
            if not line:
                return self._lines
            self._lines.append(line)
        self._searched = len(buffer)
        if self._size + len(buffer) > HEAD:
            raise NotHttp(f"the head has more than {HEAD >> 10} KiB")
        if not ended:
            return None
        if buffer and not self._lines:
            _status(bytes(buffer).rstrip(b"\r"))
        if buffer or not self._lines:
            raise NotHttp(
                "the connection was closed " + ("within the head" if buffer else "without an answer")
            )
        return self._lines


class _Search:
    """Finds text in what comes in pieces."""

    def __init__(self, needle: bytes) -> None:
        self._needle = needle
        self._tail = b""

    def found(self, data: bytes) -> bool:
        text = self._tail + data
        self._tail = text[max(len(text) - len(self._needle) + 1, 0) :]
        return self._needle in text


class _Framing(Protocol):
    """Where a body ends."""

    @property
    def ended(self) -> bool:
        """Whether the body is complete."""

    def take(self, buffer: bytearray) -> bytes:
        """Removes from the buffer what belongs to the body, and returns it. Raises: NotHttp."""


class _Body:
    """A body without its framing and its encoding."""

    def __init__(self, status: int, fields: Sequence[tuple[str, str]]) -> None:
        self._framing = _framing(status, fields)
        self._decoder: Decoder = decoder(",".join(_values(fields, "content-encoding")))
        self.read = 0
        """Bytes taken from the framing."""
        self.searched = 0
        """Bytes after decoding."""

    @property
    def ended(self) -> bool:
        return self._framing.ended

    @property
    def ends_with_connection(self) -> bool:
        return isinstance(self._framing, _UntilClosed)

    def take(self, buffer: bytearray) -> bytes:
        """What the buffer adds to the body. Raises: NotHttp, Damaged."""
        data = self._framing.take(buffer)[: CODED - self.read]
        self.read += len(data)
        decoded = self._decoder.decode(data, BODY - self.searched)
        self.searched += len(decoded)
        return decoded


class _UntilClosed:
    def __init__(self) -> None:
        self.ended = False

    def take(self, buffer: bytearray) -> bytes:
        data = bytes(buffer)
        buffer.clear()
        return data


class _Length:
    def __init__(self, length: int) -> None:
        self._left = length

    @property
    def ended(self) -> bool:
        return self._left == 0

    def take(self, buffer: bytearray) -> bytes:
        data = bytes(buffer[: self._left])
        del buffer[: self._left]
        self._left -= len(data)
        return data


class _Chunked:
    def __init__(self) -> None:
        self.ended = False
        self._left: int | None = None
        """Bytes left of the current chunk, with the line end behind it; None: its head comes next."""

    def take(self, buffer: bytearray) -> bytes:
        data = bytearray()
        while not self.ended and buffer:
            if self._left is None and not self._begin(buffer):
                break
            assert self._left is not None
            part = bytes(buffer[: max(self._left - 2, 0)])
            del buffer[: len(part)]
            data += part
            self._left -= len(part)
            if self._left == 2:
                if len(buffer) < 2:
                    break
                if buffer[:2] != b"\r\n":
                    raise NotHttp("a chunk of the body is longer than it says")
                del buffer[:2]
                self._left = None
        return bytes(data)

    def _begin(self, buffer: bytearray) -> bool:
        """Whether the head of a chunk was there."""
        head = _SIZE.match(buffer)
        if head is None:
            if b"\n" in buffer or len(buffer) > _CHUNK_HEAD:
                raise NotHttp("invalid chunk size")
            return False
        size = int(head[1], 16)  # first: a match looks into the buffer
        del buffer[: head.end()]
        self.ended = size == 0  # trailers follow, which are not used
        self._left = size + 2
        return True


def _status(line: bytes) -> int:
    matched = _STATUS.fullmatch(line)
    if matched is None:
        shown = "".join(char if char.isprintable() else "?" for char in line[:40].decode(errors="replace"))
        raise NotHttp(f'the answer begins with "{shown}"')
    return int(matched[1])


def _fields(lines: Sequence[bytes]) -> list[tuple[str, str]]:
    """Names in lower case, and values; lines that are no fields are left out."""
    fields: list[tuple[str, str]] = []
    for line in lines:
        text = line.decode("latin-1")
        if text[:1] in " \t" and fields:  # RFC 9112, 5.2: a folded line goes on with the one before
            fields[-1] = (fields[-1][0], f"{fields[-1][1]} {text.strip()}")
            continue
        name, colon, value = text.partition(":")
        if colon:
            fields.append((name.strip().lower(), value.strip()))
    return fields


def _values(fields: Sequence[tuple[str, str]], name: str) -> list[str]:
    return [value for other, value in fields if other == name]


def _framing(status: int, fields: Sequence[tuple[str, str]]) -> _Framing:
    """How long the body is. Source: RFC 9112, 6.3."""
    if status in {101, 204, 304}:
        return _Length(0)
    codings = ",".join(_values(fields, "transfer-encoding")).lower().split(",")
    codings = [name for word in codings if (name := word.strip()) and name != "identity"]
    if codings == ["chunked"]:
        return _Chunked()
    if codings:
        raise NotHttp(f"unknown transfer encoding {', '.join(codings)[:60]}")
    lengths = {word.strip() for value in _values(fields, "content-length") for word in value.split(",")}
    if not lengths:
        return _UntilClosed()
    if len(lengths) > 1:
        raise NotHttp("several values of Content-Length")
    (length,) = lengths
    if not (length.isascii() and length.isdigit() and len(length) <= 18):
        raise NotHttp("invalid Content-Length")
    return _Length(int(length))

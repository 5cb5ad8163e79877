"""Opening what an operator named as a source: regular files, compressed or not, as bytes or as lines."""

from __future__ import annotations

import bz2
import gzip
import stat
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING

from geosteer.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import BufferedIOBase, BufferedReader
    from pathlib import Path

    from geosteer_loader.sources.source import Progress

CHUNK = 1 << 20
"""Bytes read at a time."""

MAX_LINE = 1 << 16
"""Bytes; the longest line of real data, an AS path, has a few hundred."""

SHOWN = 20
"""Malformed lines that a message names; the others are counted."""


def open_regular(path: Path, place: str = "opening") -> BufferedReader:
    """The file, for reading. *place* is for the message.

    Raises: SourceError: absent, not readable, or not a regular file (a FIFO would block for ever).
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise SourceError(f"{path}: {place}: not a regular file")
        return path.open("rb")
    except OSError as exc:
        raise SourceError(f"{path}: {place}: {exc.strerror or exc}") from exc


@contextmanager
def reading(path: Path, place: str = "reading") -> Iterator[None]:
    """Turns whatever reading and decompressing can raise into a SourceError."""
    try:
        yield
    except EOFError as exc:
        raise SourceError(f"{path}: {place}: the compressed data ends in the middle") from exc
    except (zlib.error, ValueError) as exc:
        raise SourceError(f"{path}: {place}: {exc}") from exc
    except OSError as exc:
        raise SourceError(f"{path}: {place}: {exc.strerror or exc}") from exc


def chunks(path: Path, progress: Progress | None = None) -> Iterator[bytes]:
    """The content in pieces, decompressed when it begins as gzip or bzip2 do.

    Raises: SourceError: absent, not readable, or cut off; everything before the cut was given by then.
    """
    with open_regular(path) as raw:
        with reading(path):
            size = path.stat().st_size
            stream = _decompressed(raw)
        while True:
            with reading(path):
                chunk = stream.read1(CHUNK)  # not `read`: that would lose what precedes a cut
            if not chunk:
                return
            yield chunk
            if progress is not None:
                progress(raw.tell(), size)


def _decompressed(raw: BufferedReader) -> BufferedIOBase:
    magic = raw.peek(3)[:3]
    if magic.startswith(b"\x1f\x8b"):
        return gzip.GzipFile(fileobj=raw)
    return bz2.BZ2File(raw) if magic == b"BZh" else raw


def lines(path: Path, progress: Progress | None = None) -> Iterator[tuple[int, str]]:
    """Each line with its number from 1, without line end (LF, CRLF) and byte order mark; not UTF-8: replaced.

    Raises: SourceError: as `chunks`, or a line is longer than any real one.
    """
    number = 0
    pending = b""
    for chunk in chunks(path, progress):
        *whole, pending = (pending + chunk).split(b"\n")
        for line in whole:
            number += 1
            yield number, _text(number, line)
        if len(pending) > MAX_LINE:
            raise SourceError(f"{path}: line {number + 1}: longer than {MAX_LINE} bytes; not a text file?")
    if pending:
        yield number + 1, _text(number + 1, pending)


def _text(number: int, line: bytes) -> str:
    text = line.removesuffix(b"\r").decode(errors="replace")
    return text.removeprefix("\ufeff") if number == 1 else text


class Problems:
    """The malformed lines of one file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._shown: list[str] = []
        self._count = 0

    def add(self, line: int, reason: str) -> None:
        """Remember that a line is malformed."""
        self._count += 1
        if len(self._shown) < SHOWN:
            self._shown.append(f"{self._path}: line {line}: {reason}")

    def check(self) -> None:
        """Raises: SourceError: with every line remembered, if there was any."""
        if self._count:
            more = self._count - len(self._shown)
            rest = [f"{self._path}: {more} more malformed lines"] if more else []
            raise SourceError("\n".join(self._shown + rest))

"""Opening what an operator named as a source: regular files, compressed or not, as bytes or as lines."""

from __future__ import annotations

import stat
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from geosteer.errors import SourceError
from geosteer_loader.sources.source import LIMIT
from geosteer_loader.sources.text import BYTE_ORDER_MARK, as_utf8

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import BufferedReader

    from geosteer_loader.sources.source import Progress

CHUNK = 1 << 20
"""Bytes read at a time."""

MAX_LINE = 1 << 16
"""Bytes; the longest line of real data, an AS path, has a few hundred."""

SHOWN = 20
"""Malformed lines that a message names; the others are counted."""


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file that a source is read from, maybe compressed or in an archive."""

    path: Path
    member: str | None = None
    """Which file of an archive; `*` and `?` as in file names."""
    limit: int = LIMIT
    """Bytes that may come out of a compressed file."""

    def chunks(self, progress: Progress | None = None) -> Iterator[bytes]:
        """The content in pieces. Raises: SourceError: as `chunks`."""
        return chunks(self.path, progress, self.member, self.limit)

    def part(self, start: int, end: int, progress: Progress | None = None) -> Iterator[bytes]:
        """From byte *start* to before byte *end* of a file that is not compressed. Raises: SourceError: as `chunks`."""
        with open_regular(self.path) as raw, reading(self.path):
            raw.seek(start)
            while start < end and (chunk := raw.read(min(CHUNK, end - start))):
                start += len(chunk)
                yield chunk
                if progress is not None:
                    progress(start, end)

    def lines(self, progress: Progress | None = None) -> Iterator[tuple[int, str]]:
        """Each line with its number. Raises: SourceError: as `lines`."""
        return lines(self.path, progress, self.member, self.limit)


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
        from geosteer_loader.sources.archive import damaged

        with damaged():
            yield
    except ValueError as exc:
        raise SourceError(f"{path}: {place}: {exc}") from exc
    except OSError as exc:
        raise SourceError(f"{path}: {place}: {exc.strerror or exc}") from exc


def chunks(
    path: Path, progress: Progress | None = None, member: str | None = None, limit: int = LIMIT
) -> Iterator[bytes]:
    """The content in pieces: decompressed, and of an archive the *member*; at most *limit* bytes of them.

    Raises: SourceError: absent, not readable, too large, or cut off; everything before the cut was given by then.
    """
    with open_regular(path) as raw:
        with reading(path):
            size = path.stat().st_size
        for chunk in _unpacked(raw, path, member, limit):
            yield chunk
            if progress is not None:
                progress(raw.tell(), size)


def _unpacked(raw: IO[bytes], path: Path, member: str | None, limit: int) -> Iterator[bytes]:
    with reading(path):
        # Five modules of compressions and archives: commands that open no source do without.
        from geosteer_loader.sources.archive import open_packed

        stream = open_packed(raw, member, limit)
    while True:
        with reading(path):
            chunk = stream.read1(CHUNK)  # not `read`: that would lose what precedes a cut
        if not chunk:
            return
        yield chunk


def lines(
    path: Path, progress: Progress | None = None, member: str | None = None, limit: int = LIMIT
) -> Iterator[tuple[int, str]]:
    """Each line with its number from 1, without line end (LF, CRLF) and byte order mark.

    The text is UTF-8 or UTF-16; bytes that are neither are replaced.

    Raises: SourceError: as `chunks`, or a line is longer than any real one.
    """
    return _lines(chunks(path, progress, member, limit), path)


def lines_of(stream: IO[bytes], name: str) -> Iterator[tuple[int, str]]:
    """The same of a stream, such as standard input, which messages call *name*; a zip archive cannot be read so."""
    path = Path(name)
    return _lines(_unpacked(stream, path, None, LIMIT), path)


def _lines(pieces: Iterator[bytes], path: Path) -> Iterator[tuple[int, str]]:
    number = 0
    pending = b""
    for chunk in _utf8(pieces, path):
        *whole, pending = (pending + chunk).split(b"\n")
        for line in whole:
            number += 1
            yield number, _text(number, line)
        if len(pending) > MAX_LINE:
            raise SourceError(f"{path}: line {number + 1}: longer than {MAX_LINE} bytes; not a text file?")
    if pending:
        yield number + 1, _text(number + 1, pending)


def _utf8(pieces: Iterator[bytes], path: Path) -> Iterator[bytes]:
    try:
        yield from as_utf8(pieces)
    except ValueError as exc:
        raise SourceError(f"{path}: reading: {exc}") from exc


def _text(number: int, line: bytes) -> str:
    text = line.removesuffix(b"\r").decode(errors="replace")
    return text.removeprefix(BYTE_ORDER_MARK) if number == 1 else text


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

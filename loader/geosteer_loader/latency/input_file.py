"""Files of measurements: what names one whatever it is called now, and how it is read on from where it was left.

Rotated, renamed and compressed files are the same input as before: an input is told by its first record, by what its beginning
looks like, and by what precedes the place up to which it was read.
"""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

from geosteer_loader.latency.store import Mark
from geosteer_loader.rtt.inputs.own import COLUMNS
from geosteer_loader.sources.archive import HEAD, kind_of, open_packed
from geosteer_loader.sources.source_files import open_regular, reading

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from geosteer_loader.latency.store import Measurements
    from geosteer_loader.rtt.inputs.cut import Cutter

BLOCK = 1 << 18
"""Bytes that are taken in one transaction."""
REMEMBERED = 4096
"""Bytes at the beginning, and before the place that was read to, by which an input is known again."""
_HEADING = ",".join(COLUMNS)


def digest(data: bytes) -> bytes:
    """Of what an input is known by."""
    return hashlib.blake2b(data, digest_size=16).digest()


class InputFile:
    """One file, opened as often as it takes."""

    def __init__(self, path: Path) -> None:
        """Raises: SourceError: not readable, or not a regular file."""
        self.path = path
        with open_regular(path) as raw, reading(path):
            self.packed = kind_of(raw.peek(HEAD)[:HEAD]) != ""
            """Compressed: nothing will be added to it."""

    @contextmanager
    def at(self, offset: int) -> Iterator[tuple[Callable[[int], bytes], bytes | None]]:
        """What reads from byte *offset* of the content on, and the bytes before it; None: it ends before that.

        Raises: SourceError.
        """
        with open_regular(self.path) as raw, reading(self.path):
            stream: IO[bytes] = open_packed(raw) if self.packed else raw  # type: ignore[assignment]
            tail = b""
            if not self.packed:
                raw.seek(max(0, offset - REMEMBERED))
                tail = raw.read(min(offset, REMEMBERED))
                whole = len(tail) == min(offset, REMEMBERED)
            else:
                left = offset
                while left and (chunk := stream.read(min(left, BLOCK))):
                    left -= len(chunk)
                    tail = (tail + chunk)[-REMEMBERED:]
                whole = not left
            yield stream.read, tail if whole else None


def find(file: InputFile, cut: Cutter, store: Measurements) -> Mark | None:
    """How far a file has been read; None: it has no whole record yet.

    Raises: SourceError, DatabaseUnusable.
    """
    with file.at(0) as (read, _):
        beginning = read(BLOCK)
    records, used = cut(beginning, file.packed)
    first = _first(records)
    if first is None:
        if len(beginning) < BLOCK:
            return None
        first, used = beginning.decode("latin-1"), len(beginning)
    name = digest(first.encode())
    head = min(used, REMEMBERED)
    marks = store.marks(name)
    for mark in marks:
        if len(beginning) < mark.head or digest(beginning[: mark.head]) != mark.head_sum:
            continue
        with file.at(mark.read_to) as (_, tail):
            if tail is None or digest(tail) == mark.tail_sum:
                return mark
    return Mark(name, len(marks), head, digest(beginning[:head]), 0, digest(b""))


def segment(name: str, store: Measurements) -> Mark:
    """How far a segment of a spool has been read, which is known by its name."""
    marks = store.marks(digest(b"segment:" + name.encode()))
    return marks[0] if marks else Mark(digest(b"segment:" + name.encode()), 0, 0, digest(b""), 0, digest(b""))


def _first(records: Sequence[str]) -> str | None:
    for record in records:
        text = record.strip()
        if text and text.replace(" ", "").lower() != _HEADING:
            return text
    return None

"""How an MRT file is made up, by the headers of its records: where its last dump begins, and how many prefixes that has.

A dump begins with a table of peers. GoBGP appends one dump to the other in one file (`dump-interval`), and then only the last
one says what is routed now. Nothing marks a dump's end: one that is cut off between two records looks whole. GoBGP never
closes that file either, so while somebody has it open for writing, the last dump counts that another one follows.
"""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from geosteer_loader.sources.archive import HEAD, kind_of
from geosteer_loader.sources.growing import being_written

if TYPE_CHECKING:
    from pathlib import Path

TABLE_DUMP_V2 = 13
PEER_INDEX_TABLE = 1
UNICAST_BITS = {2: 32, 4: 128, 8: 32, 10: 128}
"""Subtype of a record with a prefix -> address bits."""
MAX_RECORD = 1 << 24
"""Bytes; 65,535 entries of 250 bytes each, far above any real record."""

_HEADER = struct.Struct(">IHHI")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """What the headers of an MRT file that is not compressed say."""

    start: int
    """Where the last dump begins that is there to its last record, bytes from the beginning of the file."""
    end: int
    """Where it ends."""
    prefixes: dict[int, int]
    """Address bits -> prefixes of that dump."""
    several: bool
    """Whether another dump is before it."""
    cut: int | None
    """Where a record begins that goes on beyond the end of the file; None: there is none."""
    growing: bool = False
    """Whether somebody has the file open for writing."""


def outline(path: Path) -> Outline | None:
    """The outline of a file, or None where it is compressed. Raises: OSError; ValueError: not MRT, or empty."""
    growing = being_written(path) is True
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return None if kind_of(data[:HEAD]) else _outline(data, growing=growing)


def _outline(data: mmap.mmap, *, growing: bool) -> Outline:
    size, at, start = len(data), 0, 0
    cut: int | None = None
    before: tuple[int, dict[int, int]] | None = None
    prefixes = {32: 0, 128: 0}
    last = b""
    while at < size:
        if size - at < _HEADER.size:
            cut = at
            break
        _, kind, subtype, length = _HEADER.unpack_from(data, at)
        if length > MAX_RECORD:
            raise ValueError(f"record at byte {at}: {length} bytes; not an MRT file?")
        body = at + _HEADER.size
        if body + length > size:
            cut = at
            break
        if kind == TABLE_DUMP_V2:
            if subtype == PEER_INDEX_TABLE:
                if any(prefixes.values()):
                    before = start, prefixes
                    prefixes = {32: 0, 128: 0}
                start, last = at, b""
            elif (bits := UNICAST_BITS.get(subtype)) is not None and length > 4:
                # additional paths of a prefix stand in a record of their own behind it: counted once
                prefix = data[body + 4 : body + 5 + (data[body + 4] + 7) // 8]
                if prefix != last:
                    prefixes[bits] += 1
                    last = prefix
        at = body + length
    if before is not None and (growing or cut is not None):
        return Outline(start=before[0], end=start, prefixes=before[1], several=True, cut=cut, growing=growing)
    return Outline(
        start=start, end=at, prefixes=prefixes, several=before is not None, cut=cut, growing=growing
    )

"""MRT routing table dumps, TABLE_DUMP_V2 (RFC 6396, RFC 8050 for additional paths), as RouteViews and RIPE RIS publish.

Read as a stream: header by header, each record's entries only as far as their AS path. Records of other types, multicast
and other families are left out and counted. Of several dumps one after the other in a file, as GoBGP appends them, the last
whole one counts; in a compressed file there may be but one.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import TYPE_CHECKING

from geosteer.errors import SourceError
from geosteer_loader.sources.bgp_routes import AsPath, Rib, as_path, own_path, plain_path
from geosteer_loader.sources.mrt_outline import MAX_RECORD, PEER_INDEX_TABLE, TABLE_DUMP_V2, outline
from geosteer_loader.sources.source import FAMILIES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from geosteer_loader.sources.bgp_routes import Step
    from geosteer_loader.sources.report import Report
    from geosteer_loader.sources.source import Authorised, Progress, Row
    from geosteer_loader.sources.source_files import SourceFile

UNICAST = {2: (32, False), 4: (128, False), 8: (32, True), 10: (128, True)}
"""Subtype -> address bits, whether entries have a path identifier."""

OTHER = "records other than unicast routes: left out"

_HEADER = struct.Struct(">IHHI")
_ENTRY = struct.Struct(">HIH")
_ADD_PATH_ENTRY = struct.Struct(">HIIH")
_ORIGIN = b"\x40\x01\x01"
"""The attribute that comes first in almost every entry, but for its one byte of value."""
_EXTENDED = 0x10
_AS_PATH = 2
_AS_SET, _AS_SEQUENCE, _CONFEDERATIONS = 1, 2, (3, 4)


class MrtSource:
    """One dump; rows are origins or, for the table `path`, lengths of the shortest path."""

    disjoint = False
    families = FAMILIES

    def __init__(self, file: SourceFile, table: str, authorised: Authorised | None = None) -> None:
        self._file = file
        self.name = str(file.path)
        self._table = table
        self._authorised = authorised

    def rows(self, report: Report, progress: Progress | None = None) -> Iterator[Row]:
        """Prefixes in the order of the file.

        Raises: SourceError: not readable, cut off, damaged, or without any route.
        """
        rib = Rib(report, self._table, self._authorised)
        peers: list[int] = []
        routes = 0
        for at, time, kind, subtype, body in self.records(progress):
            try:
                if kind == TABLE_DUMP_V2 and subtype in UNICAST:
                    bits, add_path = UNICAST[subtype]
                    prefix, offset = _prefix(bits, body)
                    if routes == 0:
                        report.date(time)
                    routes += 1
                    if row := rib.enter(prefix, _paths(body, offset, peers, add_path=add_path)):
                        yield row
                elif kind == TABLE_DUMP_V2 and subtype == PEER_INDEX_TABLE:
                    if routes:
                        raise SourceError(
                            f"{self.name}: record at byte {at}: a second dump begins; a compressed file may hold one alone"
                        )
                    peers = _peers(body)
                else:
                    report.note(OTHER, f"type {kind}, subtype {subtype}")
            except (ValueError, IndexError, struct.error) as exc:
                raise SourceError(f"{self.name}: record at byte {at}: damaged: {exc}") from exc
        if not routes:
            raise SourceError(f"{self.name}: contains no unicast routes of type TABLE_DUMP_V2")
        if last := rib.finish():
            yield last

    def records(self, progress: Progress | None) -> Iterator[tuple[int, int, int, int, bytes]]:
        """Place in the (decompressed) stream, time, type, subtype and body of each record. Raises: SourceError: as `rows`."""
        done, chunks = self._last_dump(progress)
        data = b""
        for chunk in chunks:
            data += chunk
            at = 0
            while len(data) - at >= _HEADER.size:
                time, kind, subtype, size = _HEADER.unpack_from(data, at)
                if size > MAX_RECORD:
                    raise SourceError(
                        f"{self.name}: record at byte {done + at}: {size} bytes; not an MRT file?"
                    )
                end = at + _HEADER.size + size
                if end > len(data):
                    break
                yield done + at, time, kind, subtype, data[at + _HEADER.size : end]
                at = end
            data = data[at:]
            done += at
        if data:
            raise SourceError(f"{self.name}: record at byte {done}: the file is cut off within it")

    def _last_dump(self, progress: Progress | None) -> tuple[int, Iterator[bytes]]:
        """Where the content begins that counts, and its pieces: all, unless it is several dumps."""
        try:
            made_up = outline(self._file.path) if self._file.member is None else None
        except (OSError, ValueError):
            made_up = None  # reading it tells what is wrong
        if made_up is None or not made_up.several:
            return 0, self._file.chunks(progress)
        return made_up.start, self._file.part(made_up.start, made_up.end, progress)


def _peers(body: bytes) -> list[int]:
    return [asn for asn, _ in peer_table(body)]


def peer_table(body: bytes) -> list[tuple[int, bytes]]:
    """AS number and address (4 or 16 bytes) of each of the collector's peers (RFC 6396, 4.3.1).

    Raises: ValueError, IndexError: damaged.
    """
    at = 6 + int.from_bytes(body[4:6], "big")
    count = int.from_bytes(body[at : at + 2], "big")
    at += 2
    peers = []
    for _ in range(count):
        kind = body[at]
        address = body[at + 5 : at + (21 if kind & 1 else 9)]
        at += 5 + (16 if kind & 1 else 4)
        width = 4 if kind & 2 else 2
        peers.append((int.from_bytes(body[at : at + width], "big"), address))
        at += width
    if at != len(body):
        raise ValueError(f"a peer table of {len(body)} bytes, {at} expected")
    return peers


def _prefix(bits: int, body: bytes) -> tuple[tuple[int, int, int], int]:
    """The prefix of a record, and where its entries begin (RFC 6396, 4.3.2)."""
    length = body[4]
    if length > bits:
        raise ValueError(f"prefix length {length}")
    size = (length + 7) // 8
    value = int.from_bytes(body[5 : 5 + size], "big") << (bits - 8 * size)
    # "trailing bits are irrelevant" where the length is no whole number of bytes
    return (bits, value >> (bits - length) << (bits - length), length), 5 + size


def prefix_of(subtype: int, body: bytes) -> tuple[int, int, int] | None:
    """Address bits, first address and length of a record of TABLE_DUMP_V2; None: not a unicast route. Raises: ValueError."""
    known = UNICAST.get(subtype)
    return _prefix(known[0], body)[0] if known else None


def entries(subtype: int, body: bytes) -> Iterator[tuple[int, bytes]]:
    """Index of the peer and AS_PATH of each entry of such a record. Raises: ValueError, IndexError, struct.error: damaged."""
    bits, add_path = UNICAST[subtype]
    return _entries(body, _prefix(bits, body)[1], add_path=add_path)


def _paths(body: bytes, at: int, peers: list[int], *, add_path: bool) -> Iterator[AsPath]:
    """What is wanted of the AS path of each entry of a record."""
    for peer, path in _entries(body, at, add_path=add_path):
        if path:
            yield _decode(path)
        elif peer < len(peers):
            yield own_path(peers[peer])
        else:
            raise ValueError(f"peer index {peer} is outside the peer table of {len(peers)}")


def _entries(body: bytes, at: int, *, add_path: bool) -> Iterator[tuple[int, bytes]]:
    """Index of the peer and AS_PATH of each entry of a record (RFC 6396, 4.3.4; RFC 8050, 4)."""
    count = int.from_bytes(body[at : at + 2], "big")
    at += 2
    entry = _ADD_PATH_ENTRY if add_path else _ENTRY
    for _ in range(count):
        peer, *_, size = entry.unpack_from(body, at)
        at += entry.size
        end = at + size
        if end > len(body):
            raise ValueError("an entry extends beyond its record")
        yield peer, _as_path_attribute(body, at, end)
        at = end
    if at != len(body):
        raise ValueError(f"{len(body) - at} bytes after the last entry")


def _as_path_attribute(body: bytes, at: int, end: int) -> bytes:
    """The value of the attribute AS_PATH, b"" if there is none (RFC 4271, 4.3)."""
    if body[at : at + 3] == _ORIGIN:
        at += 4
    while at < end:
        flags, kind = body[at], body[at + 1]
        if flags & _EXTENDED:
            size = body[at + 2] << 8 | body[at + 3]
            at += 4
        else:
            size = body[at + 2]
            at += 3
        if at + size > end:
            raise ValueError("an attribute reaches beyond its entry")
        if kind == _AS_PATH:
            return body[at : at + size]
        at += size
    return b""


@lru_cache(maxsize=1 << 16)
def _decode(path: bytes) -> AsPath:
    """What is wanted of an AS_PATH; its numbers have four bytes here whatever the peer spoke (RFC 6396, 4.3.4)."""
    if path[0] == _AS_SEQUENCE and len(path) == 2 + 4 * path[1] > 2:
        plain = plain_path(int.from_bytes(path[-4:], "big"), path[1])
        if plain is not None:
            return plain
    return as_path(steps_of(path))


def steps_of(path: bytes) -> list[Step]:
    """The steps of an AS_PATH without its confederations. Raises: ValueError, IndexError, struct.error: damaged."""
    steps: list[Step] = []
    at = 0
    while at < len(path):
        kind, count = path[at], path[at + 1]
        numbers = struct.unpack_from(f">{count}I", path, at + 2)
        at += 2 + 4 * count
        if kind == _AS_SEQUENCE:
            steps += [(number,) for number in numbers]
        elif kind == _AS_SET:
            steps.append(frozenset(numbers))
        elif kind not in _CONFEDERATIONS:
            raise ValueError(f"AS path segment of type {kind}")
    return steps

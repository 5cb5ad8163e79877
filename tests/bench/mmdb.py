"""Writes an MMDB file (format 2.0) of ranges: the same database for every competitor, with continents added."""

from __future__ import annotations

import random
from array import array
from bisect import bisect_left
from typing import TYPE_CHECKING

import maxminddb

from geosteer_loader.sources.countries import CONTINENT
from support.mmdb_writer import MARKER, encode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from geosteer_loader.tables.ranges import Ranges

EMPTY = 0
"""Target of addresses without a record; other targets below 0 are records, above 0 nodes."""


def write(path: Path, ranges: Mapping[int, Ranges], kind: str = "GeoLite2-Country") -> Path:
    """Write the records as data, with the countries' continents; IPv4 lies under `::/96`, without aliases."""
    tree = _Tree()
    records: dict[str, int] = {"": EMPTY}
    data = bytearray()
    offsets = [0]
    for family in ranges.values():
        for record in dict.fromkeys(family.records):
            if record not in records:
                records[record] = -len(offsets)
                offsets.append(len(data))
                data += encode(_place(record))
    v4, v6 = (
        (ranges[bits].starts, [records[record] for record in ranges[bits].records]) for bits in (32, 128)
    )
    tree.v4 = v4
    tree.add(128, v6[0], v6[1], 0, 128, 0, len(v6[0]) - 1)
    count = len(tree.left)
    out = bytearray()
    for left, right in zip(tree.left, tree.right, strict=True):
        for target in (left, right):
            value = target if target > 0 else count + (16 + offsets[-target] if target else 0)
            out += value.to_bytes(4, "big")
    about = {
        "binary_format_major_version": 2, "binary_format_minor_version": 0, "build_epoch": 1_769_904_000,
        "database_type": kind, "description": {"en": "geosteer bench"}, "ip_version": 6, "languages": ["en"],
        "node_count": count, "record_size": 32,
    }  # fmt: skip
    path.write_bytes(out + bytes(16) + data + MARKER + encode(about))
    return path


def alter(path: Path, out: Path, count: int) -> Path:
    """The same database, in which *count* places of the tree point to other data, of other places; all over the tree."""
    with maxminddb.open_database(path) as reader:
        nodes = reader.metadata().node_count
    data = bytearray(path.read_bytes())
    dice = random.Random(7)

    def leaf() -> int:
        while True:
            at = 4 * dice.randrange(2 * nodes)
            if data[at : at + 4] > nodes.to_bytes(4, "big"):
                return at

    for at in [leaf() for _ in range(count)]:
        old = data[at : at + 4]
        while data[at : at + 4] == old:
            other = leaf()
            data[at : at + 4] = data[other : other + 4]
    out.write_bytes(data)
    return out


def _place(record: str) -> dict[str, object]:
    """The data of a record, as City and Country databases shape it."""
    region, *where = record.split(" ")
    if region.startswith("@"):
        return {"continent": {"code": region[1:]}}
    country, _, subdivision = region.partition("-")
    place: dict[str, object] = {"country": {"iso_code": country}}
    if country in CONTINENT:
        place["continent"] = {"code": CONTINENT[country]}
    if subdivision:
        place["subdivisions"] = [{"iso_code": subdivision}]
    if where:
        place["location"] = {"latitude": float(where[0]), "longitude": float(where[1])}
    return place


class _Tree:
    """A binary search tree as two arrays of targets."""

    def __init__(self) -> None:
        self.left = array("i")
        self.right = array("i")
        self.v4: tuple[Sequence[int], Sequence[int]] | None = None

    def add(
        self,
        bits: int,
        starts: Sequence[int],
        targets: Sequence[int],
        start: int,
        host: int,
        low: int,
        high: int,
    ) -> int:
        """The target for the prefix of *host* free bits at *start*, which the ranges *low* to *high* lie in."""
        if bits == 128 and start == 0 and host == 32 and self.v4 is not None:
            return self.add(32, *self.v4, 0, 32, 0, len(self.v4[0]) - 1)
        if low == high and not (bits == 128 and start == 0 and host > 32):
            return targets[low]
        node = len(self.left)
        self.left.append(0)
        self.right.append(0)
        middle = start + (1 << (host - 1))
        cut = bisect_left(starts, middle, low, high + 1)
        left = self.add(bits, starts, targets, start, host - 1, low, max(cut - 1, low))
        first = cut if cut <= high and starts[cut] == middle else cut - 1
        right = self.add(bits, starts, targets, middle, host - 1, first, high)
        self.left[node], self.right[node] = left, right
        return node

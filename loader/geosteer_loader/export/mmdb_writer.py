"""Writes MMDB files whose whole address space is given in order (MaxMind DB file format specification 2.0).

The libraries there are insert one network after the other, in any order, and take 17 s for a country database: too long
for files that follow what is published. In order, each node of the tree is made once.
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from geosteer_loader.export.compiled_tables import Spans

MARKER = b"\xab\xcd\xefMaxMind.com"
SEPARATOR = bytes(16)
ALIASES = ((0xFFFF << 32, 96), (0x0064FF9B << 96, 96), (0x2002 << 112, 16))
"""Where IPv6 carries IPv4: v4-mapped, NAT64, 6to4; they lead to where IPv4 is, ::/96."""
_IPV4 = -1
STEP = 5000
"""Nodes of the tree between two reports of progress."""


def database(
    spans: Mapping[int, Spans],
    records: Sequence[Mapping[str, Any]],
    *,
    kind: str,
    built: int,
    progress: Callable[[int, int], None] | None = None,
) -> bytes:
    """An IPv6 tree with IPv4 in it.

    Args:
        spans: by address bits, 32 and 128; their numbers are those of *records*.
        records: what a lookup gives.
        kind: the database type in the metadata.
        built: its date, seconds since 1970.
        progress: hears of parts of the work, done and all.

    No prefix of an answer has length 0, not even where a whole family has one record.
    """
    data, offsets = b"", []
    for record in records:
        offsets.append(len(data))
        data += encode(record)
    tree = _Tree(progress or (lambda _done, _all: None))
    tree.build(_with_ipv4(spans[128]), spans[32])
    largest = len(tree.left) + len(SEPARATOR) + len(data)
    width = 3 if largest < 1 << 24 else 4
    about = {
        "binary_format_major_version": 2, "binary_format_minor_version": 0, "build_epoch": Unsigned(built, 8),
        "database_type": kind, "description": {"en": "made by geosteer"}, "ip_version": 6, "languages": ["en"],
        "node_count": Unsigned(len(tree.left), 4), "record_size": 8 * width,
    }  # fmt: skip
    return b"".join((tree.encode(width, offsets), SEPARATOR, data, MARKER, encode(about)))


class Unsigned(int):
    """A number with the size of its type, in bytes: 2, 4 or 8."""

    size: int

    def __new__(cls, value: int, size: int) -> Self:
        """A number that fits the size."""
        number = super().__new__(cls, value)
        number.size = size
        return number


def encode(value: Any) -> bytes:
    """A value of the data section: a mapping, list, text or number (of 16 bits, unless it is `Unsigned`)."""
    if isinstance(value, str):
        raw = value.encode()
        return _head(2, len(raw)) + raw
    if isinstance(value, dict):
        return _head(7, len(value)) + b"".join(encode(key) + encode(item) for key, item in value.items())
    if isinstance(value, list):
        return _head(11, len(value)) + b"".join(map(encode, value))
    size = value.size if isinstance(value, Unsigned) else 2
    raw = int(value).to_bytes(size, "big").lstrip(b"\0")
    return _head({2: 5, 4: 6, 8: 9}[size], len(raw)) + raw


def _head(kind: int, size: int) -> bytes:
    """Control byte with size; types above 7 have their number in a byte of its own."""
    code, more = (kind << 5, b"") if kind <= 7 else (0, bytes([kind - 7]))
    if size < 29:
        return bytes([code | size]) + more
    if size < 285:
        return bytes([code | 29]) + more + bytes([size - 29])
    if size < 65821:
        return bytes([code | 30]) + more + struct.pack(">H", size - 285)
    return bytes([code | 31]) + more + (size - 65821).to_bytes(3, "big")


def _with_ipv4(spans: Spans) -> tuple[list[int], list[int]]:
    """Starts and numbers of the IPv6 spans, `_IPV4` where the tree leads to IPv4."""
    blocks = sorted((start, start + (1 << (128 - length)), _IPV4) for start, length in ((0, 96), *ALIASES))
    starts: list[int] = []
    numbers: list[int] = []

    def add(start: int, number: int) -> None:
        if not numbers or numbers[-1] != number:
            starts.append(start)
            numbers.append(number)

    for start, end, number in spans:
        at = start
        for low, high, mark in blocks:
            if high <= at or low >= end:
                continue
            if low > at:
                add(at, number)
            add(max(low, at), mark)
            at = min(high, end)
        if at < end:
            add(at, number)
    return starts, numbers


class _Tree:
    """Nodes as pairs of records: a node's number, or below 0 what it leads to."""

    def __init__(self, progress: Callable[[int, int], None]) -> None:
        self._progress = progress
        self.left: list[int] = []
        self.right: list[int] = []

    def build(self, whole: tuple[list[int], list[int]], ipv4: Spans) -> None:
        """Make all nodes; number n of the spans becomes the record -1 - n."""
        total = len(whole[0]) + len(ipv4.starts)
        self._grow(128, *whole, 0, total)
        root = len(self.left)
        self._grow(32, list(ipv4.starts), list(ipv4.numbers), len(whole[0]), total)
        for side in (self.left, self.right):
            for at, value in enumerate(side[:root]):
                if value == -1 - _IPV4:  # 0: no node leads to the root
                    side[at] = root

    def _grow(self, bits: int, starts: list[int], numbers: list[int], before: int, total: int) -> None:
        """The nodes for all addresses; the top is always parted, so that it is a node and no prefix has length 0.

        Args: before, total: spans done before these, and all, for the progress.
        """
        left, right = self.left, self.right
        left.append(0)
        right.append(0)
        todo = [(len(left) - 1, 0, len(starts), 0, bits - 1)]
        while todo:
            node, low, high, first, depth = todo.pop()
            if not node % STEP:
                self._progress(before + len(starts) - high, total)  # the upper half comes first
            middle = first + (1 << depth)
            # Where the upper half begins among the spans; the one before it may reach into it.
            cut = bisect_left(starts, middle, low, high)
            upper = cut if cut < high and starts[cut] == middle else cut - 1
            if cut - low == 1:
                left[node] = -1 - numbers[low]
            else:
                left[node] = child = len(left)
                left.append(0)
                right.append(0)
                todo.append((child, low, cut, first, depth - 1))
            if high - upper == 1:
                right[node] = -1 - numbers[upper]
            else:
                right[node] = child = len(left)
                left.append(0)
                right.append(0)
                todo.append((child, upper, high, middle, depth - 1))

    def encode(self, width: int, offsets: Sequence[int]) -> bytes:
        """The search tree, records of *width* bytes; *offsets*: where in the data each number's record lies."""
        base = len(self.left) + len(SEPARATOR)
        known = [base + offset for offset in offsets]
        return b"".join(
            [
                (value if value >= 0 else known[-1 - value]).to_bytes(width, "big")
                for pair in zip(self.left, self.right, strict=True)
                for value in pair
            ]
        )

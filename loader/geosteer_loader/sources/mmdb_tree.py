"""The binary search tree in an MMDB file: which networks it holds, and which data each one points to. No I/O.

The reader's own iterator decodes the data of every network anew (17 us each), fails on IPv6 trees that
have no IPv4 part, and cannot say that two networks share their data. Here the nodes are unpacked at once
and walked.
Source: the MaxMind DB format specification, "Binary Search Tree Section".
"""

from __future__ import annotations

import sys
from array import array
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from geosteer_loader.sources.source import Progress

RECORD_SIZES = (24, 28, 32)
"""Bits of one of the two records of a node."""

_HIGH = bytes(byte >> 4 for byte in range(256))
_LOW = bytes(byte & 15 for byte in range(256))
_SLACK = 1 << 16
_STEP = 1 << 14


def tree_size(node_count: int, record_size: int) -> int:
    """Bytes of a search tree."""
    return node_count * record_size // 4


class SearchTree:
    """A tree, unpacked: two records a node."""

    def __init__(self, raw: bytes, node_count: int, record_size: int, bits: int) -> None:
        self._records = _unpack(raw, node_count, record_size)
        self._count = node_count
        self._bits = bits
        self._ipv4 = self._ipv4_start() if bits == 128 else -1

    def networks(self, progress: Progress | None = None) -> Iterator[tuple[int, int, int, int]]:
        """Address bits, first address, length and data pointer of each network, in address order per family.

        An IPv6 tree holds IPv4 under `::/96`, and that part is given as IPv4 alone; branches elsewhere
        that lead into the same nodes (`::ffff:0:0/96`, `2002::/16`, `2001::/32` in MaxMind's files) are
        left out, since clients in those networks are looked up as IPv4. A network that holds `::/96` and
        more is given in both families.

        Raises: ValueError: a branch never ends.
        """
        records, count, ipv4 = self._records, self._count, self._ipv4
        bits = self._bits
        halves = [0, *(1 << (bits - depth) for depth in range(1, bits + 1))]
        todo = [(0, 0, 0)]
        steps, most, tell = 0, 8 * count + _SLACK, _STEP
        while todo:
            node, start, depth = todo.pop()
            while node < count:
                if node == ipv4 and start:
                    break
                if depth == bits or steps > most:
                    raise ValueError("the search tree is corrupt: a branch leads back into the tree")
                steps += 1
                depth += 1
                right = records[2 * node + 1]
                if right != count:
                    todo.append((right, start | halves[depth], depth))
                node = records[2 * node]
            else:
                if node != count:
                    if bits == 32 or start >> 32 or depth < 96:
                        yield bits, start, depth, node
                        if start == 0 and depth < 96 and bits == 128:
                            yield 32, 0, 0, node
                    else:
                        yield 32, start, depth - 96, node
            if progress is not None and steps >= tell:
                progress(min(steps, count), count)
                tell = steps + _STEP

    def families(self) -> frozenset[int]:
        """Address bits of the families that it may have networks of: IPv4 lies within ::/96, which may be a gap."""
        if self._bits == 32:
            return frozenset({32})
        node = 0
        for _ in range(96):
            if node < self._count:
                node = self._records[2 * node]
        return frozenset({128}) if node == self._count else frozenset({32, 128})

    def _ipv4_start(self) -> int:
        """The node below which IPv4 lies, or -1 if the branch ends before it."""
        node = 0
        for _ in range(96):
            if node >= self._count:
                return -1
            node = self._records[2 * node]
        return node if node < self._count else -1


def _unpack(raw: bytes, node_count: int, record_size: int) -> array[int]:
    """All records as numbers, left and right by turns; only C loops on the way."""
    records = array("I", bytes(8 * node_count))
    view = memoryview(records).cast("B")
    if record_size == 28:  # the middle byte of a node's seven holds the highest four bits of both records
        planes = [raw[3::7].translate(_HIGH), raw[0::7], raw[1::7], raw[2::7]]
        planes += [raw[3::7].translate(_LOW), raw[4::7], raw[5::7], raw[6::7]]
        stride, word = 8, 4
    else:
        width = record_size // 8
        planes = [raw[byte::width] for byte in range(width)]
        if width == 3:
            planes.insert(0, bytes(2 * node_count))
        stride, word = 4, 4
    for place, plane in enumerate(planes):
        native = place if sys.byteorder == "big" else place // word * word + word - 1 - place % word
        view[native::stride] = plane
    return records

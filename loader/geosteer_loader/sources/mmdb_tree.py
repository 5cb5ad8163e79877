"""The binary search tree in an MMDB file: which networks it holds, and which data each one points to. No I/O.

The reader's own iterator decodes the data of every network anew (17 us each), fails on IPv6 trees that
have no IPv4 part, and cannot say that two networks share their data. Here the nodes are unpacked at once
and walked.
Source: the MaxMind DB format specification, "Binary Search Tree Section".
"""

from __future__ import annotations

import sys
from array import array
from itertools import chain, compress, islice
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, MutableSequence, Sequence

    from geosteer_loader.sources.source import Progress

RECORD_SIZES = (24, 28, 32)
"""Bits of one of the two records of a node."""

_HIGH = bytes(byte >> 4 for byte in range(256))
_LOW = bytes(byte & 15 for byte in range(256))
_SLACK = 1 << 16
_STEP = 1 << 14
_BLOCK = 32
"""Nodes that are compared at a time."""


def tree_size(node_count: int, record_size: int) -> int:
    """Bytes of a search tree."""
    return node_count * record_size // 4


class Tiling(NamedTuple):
    """The whole address space of one family, cut into prefixes."""

    bits: int
    """32 or 128."""
    starts: Sequence[int]
    """First address of each prefix, ascending; the first is 0, and one ends where the next begins."""
    pointers: array[int]
    """Where the data of each lies: the number of nodes stands for none."""

    def size(self, at: int) -> int:
        """How many addresses one prefix has."""
        end = self.starts[at + 1] if at + 1 < len(self.starts) else 1 << self.bits
        return end - self.starts[at]

    def network(self, at: int) -> tuple[int, int, int]:
        """One prefix as first address, length and pointer."""
        return self.starts[at], self.bits + 1 - self.size(at).bit_length(), self.pointers[at]

    def networks(self) -> Iterator[tuple[int, int, int]]:
        """Each prefix as first address, length and pointer."""
        ends = chain(islice(self.starts, 1, None), (1 << self.bits,))
        longest = self.bits + 1
        for start, end, pointer in zip(self.starts, ends, self.pointers, strict=True):
            yield start, longest - (end - start).bit_length(), pointer


class Walk(NamedTuple):
    """A tree with the way that was taken through it."""

    nodes: int
    record_size: int
    bits: int
    """Address bits of the tree itself."""
    ipv4: int
    """Where its IPv4 part begins; -1: it is all IPv4."""
    raw: bytes | memoryview
    """The tree as it is in the file."""
    tilings: list[Tiling]
    slots: list[array[int]]
    """For each tiling, in which record of the tree the pointer of each prefix stands: left and right by turns; a number that
    is twice the number of nodes stands for a gap that is in no record."""


class SearchTree:
    """A tree, two records a node."""

    def __init__(self, raw: bytes, node_count: int, record_size: int, bits: int) -> None:
        self._raw = raw
        self._size = record_size
        self._count = node_count
        self._bits = bits
        self._ipv4 = self._ipv4_start() if bits == 128 else -1

    def walk(self, progress: Progress | None = None) -> Walk:
        """The address space of each family cut into its networks and the gaps between them, IPv4 before IPv6.

        An IPv6 tree holds IPv4 under `::/96`, and that part is given as IPv4 alone; branches elsewhere
        that lead into the same nodes (`::ffff:0:0/96`, `2002::/16`, `2001::/32` in MaxMind's files) count
        as gaps, since clients in those networks are looked up as IPv4. A network that holds `::/96` and
        more is given in both families.

        Raises: ValueError: a branch never ends.
        """
        records = self._records()
        if self._bits == 32:
            families = [self._family(records, 32, 0, progress, 0)]
        else:
            ipv4 = self._family(records, 32, self._ipv4, progress, 0)
            families = [ipv4, self._family(records, 128, 0, progress, len(ipv4[1]))]
            ipv6 = families[1][0]
            if len(ipv6.starts) > 1 and ipv6.starts[1] == 1 << 32:
                ipv6.pointers[0] = self._count  # ::/96 alone
        tilings, slots = [tiling for tiling, _ in families], [places for _, places in families]
        return self._walk(tilings, slots)

    def mend(self, earlier: Walk) -> tuple[Walk, list[list[int]]] | None:
        """What `walk` gives, and for each tiling which prefixes have another pointer than in *earlier*, another tree's.

        None: the trees differ in more than that, so that this one has to be walked.
        """
        count = self._count
        branches = self._bits == 32 or self._ipv4 < count
        mine = count, self._size, self._bits, self._ipv4
        if not branches or mine != earlier[:4] or len(earlier.raw) != len(self._raw):
            return None
        differing = self._differing(earlier.raw)
        if differing is None:
            return None
        tilings, changed = [], []
        for tiling, slots in zip(earlier.tilings, earlier.slots, strict=True):
            places = (
                list(compress(range(len(slots)), map(differing.__contains__, slots))) if differing else []
            )
            pointers = tiling.pointers[:]
            for place in places:
                pointers[place] = differing[slots[place]]
            tilings.append(tiling._replace(pointers=pointers))
            changed.append(places)
        return self._walk(tilings, earlier.slots), changed

    def _walk(self, tilings: list[Tiling], slots: list[array[int]]) -> Walk:
        return Walk(self._count, self._size, self._bits, self._ipv4, self._raw, tilings, slots)

    def _differing(self, earlier: bytes | memoryview) -> dict[int, int] | None:
        """Records that are others in an *earlier* tree of the same size -> what they are now; None: some lead to nodes."""
        raw, count, width = self._raw, self._count, self._size // 4
        other = memoryview(earlier)
        step = tree_size(_BLOCK, self._size)
        differing: dict[int, int] = {}
        for at in range(0, len(raw), step):
            block, before = raw[at : at + step], other[at : at + step].tobytes()
            if block == before:
                continue
            apart = int.from_bytes(block, "big") ^ int.from_bytes(before, "big")
            while apart:  # node by node: the highest bit that is set lies in the first that differs
                place = (len(block) - (apart.bit_length() + 7) // 8) // width
                low, high = place * width, (place + 1) * width
                node = at // width + place
                now, was = _pair(block[low:high], self._size), _pair(before[low:high], self._size)
                for side in (0, 1):
                    if now[side] != was[side]:
                        if now[side] < count or was[side] < count:
                            return None
                        differing[2 * node + side] = now[side]
                apart &= (1 << 8 * (len(block) - high)) - 1
        return differing

    def _records(self) -> array[int]:
        records = _unpack(self._raw, self._count, self._size)
        records.append(self._count)
        return records

    def _family(
        self, records: array[int], bits: int, root: int, progress: Progress | None, done: int
    ) -> tuple[Tiling, array[int]]:
        """What lies below a node, and in which records; the tree's IPv4 part is left out where it is not the root itself.

        Args: records: of all nodes; done: networks that were found before.
        """
        count, ipv4 = self._count, self._ipv4
        starts: MutableSequence[int] = array("I") if bits == 32 else []
        slots = array("I")
        add, point = starts.append, slots.append
        gap = 2 * count
        if root >= count:
            return Tiling(bits, [0], array("I", (root,))), array("I", (gap,))
        todo: list[tuple[int, int, int]] = []
        push, pop = todo.append, todo.pop
        most, tell = 8 * count + _SLACK, _STEP
        node, start, half = root, 0, 1 << (bits - 1)  # half: addresses of either branch of the node
        while True:
            if not half or len(slots) > most:
                raise ValueError("the search tree is corrupt: a branch leads back into the tree")
            slot = 2 * node
            left = records[slot]
            if left < count and left != ipv4:
                push((slot + 1, start | half, half >> 1))
                node = left
                half >>= 1
                continue
            add(start)
            if left < count:
                if not start and half != 1 << 32:
                    raise ValueError("the search tree is corrupt: a branch leads back into the tree")
                point(gap)
            else:
                point(slot)
            slot += 1
            start |= half
            half >>= 1
            while True:
                node = records[slot]
                if node < count:
                    if node != ipv4:
                        break
                    slot = gap
                add(start)
                point(slot)
                if not todo:
                    return Tiling(bits, starts, array("I", map(records.__getitem__, slots))), slots
                slot, start, half = pop()
            if progress is not None and len(slots) >= tell:
                progress(min(done + len(slots), count), count)
                tell = len(slots) + _STEP

    def families(self) -> frozenset[int]:
        """Address bits of the families that it may have networks of: IPv4 lies within ::/96, which may be a gap."""
        if self._bits == 32:
            return frozenset({32})
        return frozenset({128}) if self._ipv4 == self._count else frozenset({32, 128})

    def _ipv4_start(self) -> int:
        """Where IPv4 lies: a node, or a data pointer or gap at which the branch ends before it."""
        node = 0
        for _ in range(96):
            if node >= self._count:
                break
            node = self._left(node)
        return node

    def _left(self, node: int) -> int:
        """The first record of a node."""
        width = self._size // 4
        return _pair(self._raw[node * width : (node + 1) * width], self._size)[0]


def _pair(node: bytes, record_size: int) -> tuple[int, int]:
    """Both records of a node."""
    half = record_size // 8
    left, right = int.from_bytes(node[:half], "big"), int.from_bytes(node[-half:], "big")
    if record_size == 28:
        return node[3] >> 4 << 24 | left, (node[3] & 15) << 24 | right
    return left, right


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

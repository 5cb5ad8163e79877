"""A leaf page made ready for search: its records found by bisection, with the widest prefix that has one record. No I/O."""

from __future__ import annotations

from geosteer.errors import CorruptPage
from geosteer.lean import array, bisect_right
from geosteer.trie import HEADER, MAX_ENTRIES, SHORT, Page, outline, places, records

LONGEST = 1024
"""Entries of a leaf up to which they are cut into prefixes."""
FEW = 32
"""Distinct records of a leaf from which on they are made into objects one by one, when asked for."""
OBJECTS = 120
"""Bytes of a record's objects besides its text."""


class Leaf:
    """The entries of a leaf page; starts are whole addresses, or their upper halves where the lower are all zero.

    The hot path is `cells[index[bisect_right(starts, address >> shift)]]`: the entries' starts, but for the first, and for
    each entry which (record, prefix length) it has. The length is 0 until an entry was asked for; then the entry is cut, so
    that the widest prefix around the address is an entry of its own and its length need not be found again.

    Where a leaf has many records, each stays as bytes until it is asked for: places take ten times as much as objects.
    """

    __slots__ = (
        "_ends", "_raw", "_texts", "bits", "cells", "first", "grown", "host", "index", "ledger", "shift", "starts", "step",
    )  # fmt: skip

    def __init__(self, raw: bytes, bits: int, first: int, last: int) -> None:
        """Args: raw: the page; first, last: the addresses that it is for.

        Raises: CorruptPage: it is damaged, or not the leaf for these addresses.
        """
        page, at, count = outline(raw)
        if not page.fits(bits, 0, first, last):
            raise CorruptPage("a leaf is not the one its parent names")
        self.bits = bits
        self.host = bits - page.prefix_len
        self.first = first
        self.shift, self.starts = _starts(page, raw, first)
        self.index = bytearray(page.index)
        self.step = 1 + (self.starts.itemsize if isinstance(self.starts, array) else 48)
        """Bytes that an entry takes."""
        self.grown = 0
        """Bytes added since."""
        self.ledger = [0]
        """The sum of these over all leaves of a cache."""
        self.cells: list[tuple[str, int] | None]
        if count < FEW:
            self._raw, self._texts, self._ends = b"", array("H"), array("H")
            self.cells = [_shared(record, 0) for record in records(raw, at, count)]
        else:
            texts, ends = places(raw, at, count)
            self._raw, self._texts, self._ends = raw, array("H", texts), array("H", ends)
            self.cells = [None] * count

    @property
    def cost(self) -> int:
        """About the bytes that it takes when it is fresh."""
        return (
            500 + len(self.index) * self.step + 16 * len(self.cells) + len(self._raw) + 4 * len(self._texts)
        )

    def measure(self, address: int) -> tuple[str, int]:
        """Record of an address and length of the widest prefix around it that lies within one entry; remembers it."""
        starts, index, cells, shift, host = self.starts, self.index, self.cells, self.shift, self.host
        entry = bisect_right(starts, address >> shift)
        low, after = self.first, self.first + (1 << host)
        if entry:
            low = starts[entry - 1] << shift
            host = min(host, (address ^ (low - 1)).bit_length() - 1)
        if entry < len(starts):
            after = starts[entry] << shift
            host = min(host, (address ^ after).bit_length() - 1)
        rest = index[entry]
        known = cells[rest]
        record = known[0] if known is not None else self._record(rest)
        cell = _shared(record, self.bits - host)
        start = address >> host << host
        end = start + (1 << host)
        if host < shift or len(index) >= LONGEST:
            return cell
        if known is None and start <= low and end >= after and index.count(rest) == 1:
            cells[rest] = cell
            self._grow(_weight(record))
            return cell
        try:
            number = cells.index(cell)
        except ValueError:
            number = len(cells)
            if number == MAX_ENTRIES:
                return cell
            cells.append(cell)
            self._grow(_weight(record))
        index[entry] = number
        for cut, place in (
            (end if end < after else None, entry + 1),
            (start if start > low else None, entry),
        ):
            if cut is not None:
                starts.insert(entry, cut >> shift)
                index.insert(place, rest)
                self._grow(self.step)
        return cell

    def _record(self, number: int) -> str:
        return self._raw[self._texts[number] : self._ends[number]].decode("utf-8", "replace")

    def _grow(self, size: int) -> None:
        self.grown += size
        self.ledger[0] += size


def _weight(record: str) -> int:
    """Bytes that a cell adds to a leaf: names are shared between leaves."""
    return 8 if len(record) <= SHORT else OBJECTS + len(record)


_known: dict[tuple[str, int], tuple[str, int]] = {}


def _shared(record: str, length: int) -> tuple[str, int]:
    """The pair, one object for all leaves where few records are many times there (countries, not coordinates)."""
    cell = (record, length)
    if len(record) > SHORT:
        return cell
    known = _known.get(cell)
    if known is not None:
        return known
    if len(_known) < 8192:
        _known[cell] = cell
    return cell


def searchable(bits: int, starts: list[int]) -> tuple[int, array[int] | list[int]]:
    """Bits cut off behind, and the starts without them, as small as `bisect` can search them."""
    if bits == 32:
        return 0, array("I", starts)
    if any(start & 0xFFFFFFFFFFFFFFFF for start in starts):
        return 0, starts
    return 64, array("Q", [start >> 64 for start in starts])


def _starts(page: Page, raw: bytes, first: int) -> tuple[int, array[int] | list[int]]:
    """As `searchable`, of all entries but the first, straight from the page's bytes: no loop over entries."""
    size, front, width, count = page.bits // 8, raw[4], raw[5], len(page.index)
    step = 4 if size == 4 else 8
    if front + width > step:
        return searchable(page.bits, list(page.absolute(first))[1:])
    whole = bytearray(step * (count - 1))
    for place, byte in enumerate(first.to_bytes(size, "big")[:front]):
        if byte:
            whole[place::step] = bytes((byte,)) * (count - 1)
    keys = raw[HEADER + width : HEADER + width * count]
    for place in range(width):
        whole[front + place :: step] = keys[place::width]
    starts = array("I" if step == 4 else "Q")
    starts.frombytes(bytes(whole))
    if _LITTLE:
        starts.byteswap()
    return page.bits - 8 * step, starts


_LITTLE = array("H", (1,)).tobytes() == b"\x01\x00"

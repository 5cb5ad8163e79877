"""A leaf page made ready for search: its records found by bisection, with the widest prefix that has one record. No I/O."""

from __future__ import annotations

from geosteer.cmodules import array, bisect_right
from geosteer.errors import CorruptPage
from geosteer.tables.page_format import HEADER, MAX_ENTRIES, SHORT, Page, outline, places, records

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

OFTEN = 8
"""Times that a length is measured before a leaf is cut: one that soon has to go again would not be worth it."""
LONGEST = 1024
"""Entries that a leaf is cut into at most."""
FEW = 32
"""Distinct records of a leaf from which on it stays as its bytes, if they are no names."""
OBJECTS = 120
"""Bytes of a record's objects besides its text."""


class Ledger:
    """Counts the bytes that leaves grow by after they were counted."""

    __slots__ = ("grown",)

    def __init__(self, grown: list[int]) -> None:
        self.grown = grown
        """One number, the sum over all ledgers of a cache."""


class Leaf:
    """The entries of a leaf page with few distinct records, or names that other leaves have as well.

    The hot path is `cells[index[bisect_right(starts, address >> shift & mask)]]`: the entries' starts, but for the first, and
    for each entry which (record, prefix length) it has; IPv4 starts are whole addresses, so that they need neither shift nor
    mask. The length is 0 where it has to be measured. When that was so for the eighth time, all entries with a record are cut
    into prefixes, so that it need not be again; those of a miss stay whole: in IPv6 they are many prefixes that few ask for.
    """

    __slots__ = (
        "bits",
        "cells",
        "first",
        "grown",
        "host",
        "index",
        "mask",
        "shelf",
        "shift",
        "starts",
        "step",
        "uncut",
    )

    def __init__(self, page: Page, raw: bytes, at: int, count: int, first: int) -> None:
        """Args: page, at, count: the outline of *raw*; first: the address at which it begins.

        Raises: CorruptPage: its records are damaged.
        """
        self.bits = page.bits
        self.host = page.bits - page.prefix_len
        self.first = first
        self.shift, self.mask, self.starts = _searchable(page, raw, first)
        self.index = page.index
        self.step = 1 + (self.starts.itemsize if isinstance(self.starts, array) else 48)
        """Bytes that an entry takes."""
        self.uncut = OFTEN
        """Measurements until it is cut, 0 when it is."""
        self.grown = 0
        """Bytes added since."""
        self.shelf: Ledger | None = None
        """Where it is counted, if it is."""
        self.cells = [_shared(record, 0) for record in records(raw, at, count)]

    @property
    def cost(self) -> int:
        """About the bytes that it takes when it is fresh."""
        return 400 + len(self.index) * self.step + 8 * len(self.cells)

    def measure(self, address: int) -> tuple[str, int]:
        """Record of an address and length of the widest prefix around it that lies within one entry."""
        if self.uncut:
            self.uncut -= 1
            if not self.uncut:
                self._cut()
        starts, shift, mask = self.starts, self.shift, self.mask
        entry = bisect_right(starts, address >> shift & mask)
        record, length = self.cells[self.index[entry]]
        return _shared(record, length or self.bits - _free(self, starts, shift, mask, entry, address))

    def _cut(self) -> None:
        """Make an entry of every prefix that an entry with a record consists of, as far as there is room."""
        old, shift, mask, bits = self.starts, self.shift, self.mask, self.bits
        starts: array[int] | list[int] = array(old.typecode) if isinstance(old, array) else []
        index, cells = bytearray(), self.cells
        numbers: dict[tuple[int, int], int] = {}
        front, low, end = self.first >> shift & ~mask, self.first, self.first + (1 << self.host)
        added = 0
        for entry, number in enumerate(self.index):
            after = (front | old[entry]) << shift if entry < len(old) else end
            record = cells[number][0]
            while record and low < after and len(index) < LONGEST:
                host = (after - low).bit_length() - 1
                if low:
                    host = min(host, (low & -low).bit_length() - 1)
                known = numbers.get((number, host))
                if known is None:
                    if len(cells) == MAX_ENTRIES:
                        break
                    known = numbers[number, host] = len(cells)
                    cells.append(_shared(record, bits - host))
                    added += 8 if _known.get(cells[-1]) is cells[-1] else OBJECTS + len(record)
                starts.append(low >> shift & mask)
                index.append(known)
                low += 1 << host
            if low < after:
                starts.append(low >> shift & mask)
                index.append(number)
            low = after
        del starts[0]  # the first entry begins where the leaf does
        added += self.step * (len(index) - len(self.index))
        self.starts, self.index = starts, bytes(index)
        self.grown += added
        if self.shelf is not None:
            self.shelf.grown[0] += added


class Dense:
    """A leaf page with many distinct records: stays as its bytes, a tenth of what objects would take, and grows by nothing.

    What the hot path looks at leads to `measure` always.
    """

    __slots__ = ("_keys", "_mask", "_places", "_shift", "_tail", "bits", "first", "grown", "host", "shelf")
    starts: Sequence[int] = ()
    index = b"\0"
    cells: Sequence[tuple[str, int]] = (("", 0),)
    shift = mask = 0

    def __init__(self, page: Page, raw: bytes, at: int, count: int, first: int) -> None:
        """As `Leaf`."""
        self.bits = page.bits
        self.host = page.bits - page.prefix_len
        self.first = first
        self._keys, self._shift, self._mask = page.starts[1:], page.shift, page.mask
        self._tail = raw[at - len(page.index) :]
        """The index, then the records."""
        self._places = array("H", places(self._tail, len(page.index), count))
        self.grown = 0
        self.shelf: Ledger | None = None

    @property
    def cost(self) -> int:
        """About the bytes that it takes."""
        keys = self._keys.itemsize if isinstance(self._keys, array) else 48
        return 400 + len(self._tail) + 2 * len(self._places) + keys * len(self._keys)

    def measure(self, address: int) -> tuple[str, int]:
        """Record of an address and length of the widest prefix around it that lies within one entry."""
        keys, shift, mask, tail = self._keys, self._shift, self._mask, self._tail
        entry = bisect_right(keys, address >> shift & mask)
        at = self._places[tail[entry]]
        length = self.bits - _free(self, keys, shift, mask, entry, address)
        return tail[at + 1 : at + 1 + tail[at]].decode("utf-8", "replace"), length


def read_leaf(raw: bytes, bits: int, first: int, last: int) -> Leaf | Dense:
    """A leaf page ready for search; first, last: the addresses that it is for.

    Raises: CorruptPage: it is damaged, or not the leaf for these addresses.
    """
    page, at, count = outline(raw)
    if not page.fits(bits, 0, first, last):
        raise CorruptPage("a leaf is not the one its parent names")
    dense = count >= FEW and len(raw) - at > (1 + SHORT) * count
    return (Dense if dense else Leaf)(page, raw, at, count, first)


def _free(leaf: Leaf | Dense, starts: Sequence[int], shift: int, mask: int, entry: int, address: int) -> int:
    """Bits of an address behind the widest prefix around it that lies within an entry."""
    front, host = leaf.first >> shift & ~mask, leaf.host
    if entry:
        before = ((front | starts[entry - 1]) << shift) - 1
        host = min(host, (address ^ before).bit_length() - 1)
    if entry < len(starts):
        after = (front | starts[entry]) << shift
        host = min(host, (address ^ after).bit_length() - 1)
    return host


_known: dict[tuple[str, int], tuple[str, int]] = {}


def _shared(record: str, length: int) -> tuple[str, int]:
    """The pair, one object for all leaves where few records are many times there (countries, not coordinates)."""
    cell = (record, length)
    if len(record) > SHORT:
        return cell
    known = _known.get(cell)
    if known is not None:
        return known
    if len(_known) < 4096:
        _known[cell] = cell
    return cell


def _searchable(page: Page, raw: bytes, first: int) -> tuple[int, int, array[int] | list[int]]:
    """Shift, mask and starts, but for the first, of a leaf; of IPv4 whole addresses, without a loop over them."""
    if page.bits != 32:
        return page.shift, page.mask, page.starts[1:]
    front, width, count = raw[4], raw[5], len(page.index)
    whole = bytearray(4 * (count - 1))
    for place, byte in enumerate(first.to_bytes(4, "big")[:front]):
        if byte:
            whole[place::4] = bytes((byte,)) * (count - 1)
    keys = raw[HEADER + width : HEADER + width * count]
    for place in range(width):
        whole[front + place :: 4] = keys[place::width]
    starts = array("I")
    starts.frombytes(bytes(whole))
    if _LITTLE:
        starts.byteswap()
    return 0, 0xFFFFFFFF, starts


_LITTLE = array("H", (1,)).tobytes() == b"\x01\x00"

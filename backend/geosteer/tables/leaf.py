"""A leaf page made ready for search: its records found by bisection, with the widest prefix that has one record. No I/O."""

from __future__ import annotations

from geosteer.cmodules import array, bisect_right
from geosteer.errors import CorruptPage
from geosteer.tables.page_format import BIG_ENDIAN, MAX_ENTRIES, SHORT, Page, outline, places, records

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Cell = tuple[str, int]
    """A record, and the length of the prefix that has it; 0: it has to be measured."""

OFTEN = 8
"""Times that a length is measured before a leaf is cut: one that soon has to go again would not be worth it."""
LONGEST = 1024
"""Entries that a leaf is cut into at most."""
FEW = 32
"""Distinct records of a leaf from which on it stays as its bytes, if they are no names."""
OBJECTS = 120
"""Bytes of a record's objects besides its text."""
SHARED = 8192
"""Cells that leaves share at most, about a MiB: a table of countries has half as many, with all lengths of both families."""
MAX_BYTE = 0xFF

STRIDE = 16
"""Records of a leaf that stays as its bytes, of which the place of one is remembered."""


class Ledger:
    """Counts the bytes that leaves grow by after they were counted."""

    __slots__ = ("grown",)

    def __init__(self, grown: list[int]) -> None:
        self.grown = grown
        """One number, the sum over all ledgers of a cache."""


class Leaf:
    """The entries of a leaf page with few distinct records, or names that other leaves have as well.

    The hot path is `cells[index[bisect_right(starts, address >> shift & mask)]]`: the entries' starts, but for the first, and
    for each entry which (record, prefix length) it has. The length is 0 where it has to be measured. When that was so for the
    eighth time, all entries with a record are cut into prefixes, so that it need not be again; those of a miss stay whole: in
    IPv6 they are many prefixes that few ask for.

    Leaves whose records are all short have one list of cells together, any other has its own. An entry takes one byte, or two
    where one of its leaf's cells stands too far behind in the list: those of countries that are not cut seldom do.
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
        "uncut",
    )

    def __init__(self, page: Page, raw: bytes, at: int, count: int, first: int, *, cut: bool) -> None:
        """Args: page, at, count: the outline of *raw*; first: the address at which it begins; cut: it may be cut.

        Raises: CorruptPage: its records are damaged.
        """
        self.bits = page.bits
        self.host = page.bits - page.prefix_len
        self.first = first
        self.shift, self.mask, self.starts = page.shift, page.mask, page.starts[1:]
        self.uncut = OFTEN if cut else 0
        """Measurements until it is cut; 0: it is, or will not be."""
        self.grown = 0
        """Bytes added since."""
        self.shelf: Ledger | None = None
        """Where it is counted, if it is."""
        self.cells: list[Cell]
        self.index: bytes | array[int]
        texts = records(raw, at, count)
        numbers = _shared.numbers_of(texts)
        if numbers is None:
            self.cells, self.index = [(text, 0) for text in texts], page.index
        else:
            self.cells, self.index = _shared.cells, _translated(page.index, numbers)

    @property
    def cost(self) -> int:
        """About the bytes that it takes when it is fresh."""
        own = 0 if self.cells is _shared.cells else sum([OBJECTS + len(record) for record, _ in self.cells])
        return 400 + len(self.index) * self._step() + own

    def _step(self) -> int:
        """Bytes that an entry takes."""
        starts = self.starts.itemsize if isinstance(self.starts, array) else 48
        return starts + (1 if isinstance(self.index, bytes) else 2)

    def measure(self, address: int) -> Cell:
        """Record of an address and length of the widest prefix around it that lies within one entry."""
        if self.uncut:
            self.uncut -= 1
            if not self.uncut:
                self._cut()
        starts, shift, mask = self.starts, self.shift, self.mask
        entry = bisect_right(starts, address >> shift & mask)
        record, length = self.cells[self.index[entry]]
        return record, length or self.bits - _free(self, starts, shift, mask, entry, address)

    def _cut(self) -> None:
        """Make an entry of every prefix that an entry with a record consists of, as far as there is room."""
        old, shift, mask, bits = self.starts, self.shift, self.mask, self.bits
        starts: list[int] = []
        index: list[int] = []
        cells, shared = self.cells, self.cells is _shared.cells
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
                    if shared:
                        known = _shared.number((record, bits - host))
                        if known is None:
                            break
                    else:
                        known = len(cells)
                        if known == MAX_ENTRIES:
                            break
                        cells.append((record, bits - host))
                        added += OBJECTS
                    numbers[number, host] = known
                starts.append(low >> shift & mask)
                index.append(known)
                low += 1 << host
            if low < after:
                starts.append(low >> shift & mask)
                index.append(number)
            low = after
        del starts[0]  # the first entry begins where the leaf does
        added += self._step() * (len(index) - len(self.index))
        self.starts = array(old.typecode, starts) if isinstance(old, array) else starts
        self.index = array("H", index) if shared else bytes(index)
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
    cells: Sequence[Cell] = (("", 0),)
    shift = mask = 0

    def __init__(self, page: Page, raw: bytes, at: int, count: int, first: int) -> None:
        """As `Leaf`, but that it is never cut."""
        self.bits = page.bits
        self.host = page.bits - page.prefix_len
        self.first = first
        self._keys, self._shift, self._mask = page.starts[1:], page.shift, page.mask
        self._tail = raw[at - len(page.index) :]
        """The index, then the records."""
        self._places = places(self._tail, len(page.index), count, STRIDE)
        """Where every sixteenth of them begins."""
        self.grown = 0
        self.shelf: Ledger | None = None

    @property
    def cost(self) -> int:
        """About the bytes that it takes."""
        keys = self._keys.itemsize if isinstance(self._keys, array) else 48
        return 400 + len(self._tail) + 40 * len(self._places) + keys * len(self._keys)

    def measure(self, address: int) -> Cell:
        """Record of an address and length of the widest prefix around it that lies within one entry."""
        keys, shift, mask, tail = self._keys, self._shift, self._mask, self._tail
        entry = bisect_right(keys, address >> shift & mask)
        number = tail[entry]
        at = self._places[number // STRIDE]
        for _ in range(number % STRIDE):
            at += 1 + tail[at]
        length = self.bits - _free(self, keys, shift, mask, entry, address)
        return tail[at + 1 : at + 1 + tail[at]].decode("utf-8", "replace"), length


class Packed:
    """A leaf page with many distinct records that C searches as it came: nothing is kept but its bytes.

    What the hot path in Python looks at leads to `measure` always. Where that is asked again, since C leaves the service to
    Python, the leaf becomes ready for it too, and grows by that.
    """

    __slots__ = ("_dense", "_measured", "bits", "first", "grown", "page", "shelf")
    starts: Sequence[int] = ()
    index = b"\0"
    cells: Sequence[Cell] = (("", 0),)
    shift = mask = 0

    def __init__(self, bits: int, raw: bytes, first: int) -> None:
        """Args: raw: a page that was checked; first: the address at which it begins."""
        self.bits = bits
        self.first = first
        self.page = raw
        self.grown = 0
        self.shelf: Ledger | None = None
        self._dense: Dense | None = None
        self._measured = False

    @property
    def cost(self) -> int:
        """About the bytes that it takes; a fifth of the page more is lost on the heap between pages of all sizes."""
        return 304 + len(self.page) * 6 // 5

    def measure(self, address: int) -> Cell:
        """Record of an address and length of the widest prefix around it that lies within one entry."""
        dense = self._dense
        if dense is None:
            page, at, count = outline(self.page)
            dense = Dense(page, self.page, at, count, self.first)
            if self._measured:
                self._dense = dense
                self.grown = dense.cost
                if self.shelf is not None:
                    self.shelf.grown[0] += self.grown
            self._measured = True
        return dense.measure(address)


packed_quickly: Callable[[bytes, int, int, int, int], bool] | None = None
"""What finds in C, where a program has loaded it, whether a page is a whole leaf that stays as it is."""
_LOW = (1 << 64) - 1


def read_leaf(raw: bytes, bits: int, first: int, last: int, *, cut: bool = True) -> Leaf | Dense | Packed:
    """A leaf page ready for search.

    Args: first, last: the addresses that it is for; cut: it may be cut when it is often asked: Python searches it, and not C.

    Raises: CorruptPage: it is damaged, or not the leaf for these addresses.
    """
    if not cut and packed_quickly is not None:
        host = (last - first).bit_length()
        if (last - first + 1) >> host and packed_quickly(raw, bits, first >> 64, first & _LOW, host):
            return Packed(bits, raw, first)
    page, at, count = outline(raw)
    if not page.fits(bits, 0, first, last):
        raise CorruptPage("a leaf is not the one its parent names")
    dense = count >= FEW and len(raw) - at > (1 + SHORT) * count
    if dense:
        if cut:
            return Dense(page, raw, at, count, first)
        places(raw, at, count, count)
        return Packed(bits, raw, first)
    return Leaf(page, raw, at, count, first, cut=cut)


def _translated(index: bytes, numbers: list[int]) -> bytes | array[int]:
    """The number of each entry's cell; without a loop over the entries."""
    if max(numbers) <= MAX_BYTE:
        return index.translate(bytes(numbers).ljust(256, b"\0"))
    pairs = bytearray(2 * len(index))
    for at, shift in ((0, 8), (1, 0)) if BIG_ENDIAN else ((0, 0), (1, 8)):
        table = bytes([number >> shift & 0xFF for number in numbers])
        pairs[at::2] = index.translate(table.ljust(256, b"\0"))
    translated = array("H")
    translated.frombytes(pairs)
    return translated


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


class SharedCells:
    """The cells of all leaves whose records are short: few records (countries) are in many leaves, with the same lengths.

    Nothing is ever taken out of it: it is bounded by its number of cells, and a leaf for which it has no room keeps its own.
    """

    __slots__ = ("_numbers", "cells")

    def __init__(self) -> None:
        self.cells: list[Cell] = []
        self._numbers: dict[Cell, int] = {}

    def numbers_of(self, texts: Sequence[str]) -> list[int] | None:
        """The cell of each record, to be measured; None: one of them is long, or there is no room."""
        if max(map(len, texts)) > SHORT:
            return None
        numbers = []
        for text in texts:
            number = self.number((text, 0))
            if number is None:
                return None
            numbers.append(number)
        return numbers

    def number(self, cell: Cell) -> int | None:
        """Where a cell stands; None: there is no room for it."""
        number = self._numbers.get(cell)
        if number is None and len(self.cells) < SHARED:
            number = self._numbers[cell] = len(self.cells)
            self.cells.append(cell)
        return number


_shared = SharedCells()

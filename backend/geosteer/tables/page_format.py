"""Pages of the Merkle prefix trie: their format, and how one is decoded. No I/O.

Page: `version, address bytes, height, prefix length, bytes cut off in front, width of a start` (one byte each), `entries,
values` (two bytes each, big-endian), the starts, one index byte per entry, then the values: a digest each (inner page), or a
length byte and UTF-8 text each (leaf). `page_builder` makes them.
"""

from __future__ import annotations

from geosteer.cmodules import array, bisect_right
from geosteer.errors import CorruptPage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

VERSION = 1
MAX_ENTRIES = 256
MAX_BYTES = 8192
MAX_HEIGHT = 8
MAX_RECORD = 255
MAX_LEAVES = 1 << 18
"""Leaf pages of one family of a table, counted at each place where they stand: 5 million ranges of cities take 33,000."""
MAX_INNER = 1 << 14
"""Pages above those that name leaves, on one level."""
HEADER = 10
DIGEST = 16


class Page:
    """One decoded page.

    A key is an address's bits between the bytes cut off in front and those cut off behind: `(address >> shift) & mask`.
    """

    __slots__ = ("bits", "height", "index", "mask", "prefix_len", "shift", "starts", "values")

    def __init__(
        self, bits: int, height: int, prefix_len: int, shift: int, mask: int,
        starts: array[int] | list[int], index: bytes, values: tuple[str, ...] | tuple[bytes, ...],
    ) -> None:  # fmt: skip
        self.bits = bits
        self.height = height
        """0 is a leaf."""
        self.prefix_len = prefix_len
        self.shift = shift
        self.mask = mask
        self.starts = starts
        """Keys of the entries, ascending."""
        self.index = index
        """For each entry, which of `values` it has."""
        self.values = values
        """Distinct records (leaf) or digests (inner page)."""

    def find(self, address: int) -> int:
        """Number of the entry that holds *address*, which must lie in the page's prefix."""
        return bisect_right(self.starts, (address >> self.shift) & self.mask) - 1

    def value(self, entry: int) -> str | bytes:
        """Record or digest of one entry."""
        return self.values[self.index[entry]]

    def uniform(self, address: int, entry: int) -> int:
        """Length of the widest prefix around *address* that lies within the entry that holds it.

        A page exists because its parent prefix was not uniform, so the widest one is never wider than the page.
        """
        starts, shift = self.starts, self.shift
        key = address & ((self.mask << shift) | ((1 << shift) - 1))
        host = self.bits - self.prefix_len
        if entry:
            host = min(host, (key ^ ((starts[entry] << shift) - 1)).bit_length() - 1)
        if entry + 1 < len(starts):
            host = min(host, (key ^ (starts[entry + 1] << shift)).bit_length() - 1)
        return self.bits - host

    def absolute(self, base: int) -> Iterator[int]:
        """Start of each entry as an address, for a page whose prefix begins at *base*."""
        front = base & ~((self.mask << self.shift) | ((1 << self.shift) - 1))
        return (front | (start << self.shift) for start in self.starts)

    def spans(self, base: int) -> Iterator[tuple[int, str | bytes]]:
        """Absolute start and value of each entry, for a page whose prefix begins at *base*."""
        for start, position in zip(self.absolute(base), self.index, strict=True):
            yield start, self.values[position]

    def fits(self, bits: int, height: int, start: int, end: int) -> bool:
        """Whether the page is the one for the addresses *start* to *end* (inclusive) at that height."""
        first = self.starts[0] << self.shift
        domain = (self.mask << self.shift) | ((1 << self.shift) - 1)
        return (
            self.bits == bits
            and self.height == height
            and start & domain == first
            and end - start == (1 << (bits - self.prefix_len)) - 1
        )


outline_quickly: Callable[[bytes], tuple[Any, ...] | None] | None = None
places_quickly: Callable[[bytes, int, int, int], list[int] | None] | None = None
"""What `outline` and `places` leave to C where a program has loaded it; what is None there is found, or refused, here."""


def decode(page: bytes) -> Page:
    """Read a page, trusting nothing.

    Raises: CorruptPage: says what is wrong. That the page is the one asked for is the caller's to check (`Page.fits`).
    """
    parsed, at, distinct = outline(page)
    parsed.values = _digests(page, at, distinct) if parsed.height else records(page, at, distinct)
    return parsed


def outline(page: bytes) -> tuple[Page, int, int]:
    """Read a page but for its values; where they begin, and how many there are.

    Raises: CorruptPage: as `decode`.
    """
    read = outline_quickly(page) if outline_quickly is not None else None
    if read is not None:
        bits, height, prefix_len, shift, mask, kind, keys, index, values_at, distinct = read
        mask = _MASKS[mask.bit_length() >> 3]  # one object for all pages
        return Page(bits, height, prefix_len, shift, mask, array(kind, keys), index, ()), values_at, distinct
    if len(page) < HEADER:
        raise CorruptPage(f"page of {len(page)} bytes")
    version, size, height, prefix_len, front, width = page[:6]
    if version != VERSION:
        raise CorruptPage(f"page format {version}, this program knows {VERSION}")
    bits = 8 * size
    if size not in {4, 16} or height > MAX_HEIGHT or prefix_len > bits or front > prefix_len // 8:
        raise CorruptPage("page header out of range")
    if not 1 <= width <= size - front:
        raise CorruptPage("width of a start out of range")
    count = int.from_bytes(page[6:8], "big")
    distinct = int.from_bytes(page[8:10], "big")
    if not 1 <= distinct <= count <= MAX_ENTRIES or len(page) > MAX_BYTES:
        raise CorruptPage("page counts out of range")
    index_at = HEADER + count * width
    values_at = index_at + count
    if values_at > len(page):
        raise CorruptPage("page ends within its entries")
    shift = 8 * (size - front - width)
    mask = _MASKS[width]
    starts = _keys(page[HEADER:index_at], width, count)
    last = -1
    for start in starts:
        if start <= last:
            raise CorruptPage("starts are not ascending")
        last = start
    host = bits - prefix_len
    first = starts[0] << shift
    if first & ((1 << host) - 1) or ((last << shift) ^ first) >> host:
        raise CorruptPage("entries lie outside the page's prefix")
    index = page[index_at:values_at]
    if index.translate(None, _IN_ORDER[:distinct]):
        raise CorruptPage("an entry names a value that is not there")
    return Page(bits, height, prefix_len, shift, mask, starts, index, ()), values_at, distinct


def _keys(raw: bytes, width: int, count: int) -> array[int] | list[int]:
    """Big-endian keys as the smallest array that bisect can search; only C loops on the way."""
    if width > 8:
        return [int.from_bytes(raw[at : at + width], "big") for at in range(0, len(raw), width)]
    step = 1 if width == 1 else 2 if width == 2 else 4 if width <= 4 else 8
    if step != width:
        padded = bytearray(step * count)
        for byte in range(width):
            padded[step - width + byte :: step] = raw[byte::width]
        raw = bytes(padded)
    keys = array(_TYPES[step])
    keys.frombytes(raw)
    if not BIG_ENDIAN:
        keys.byteswap()
    return keys


_MASKS = tuple([(1 << (8 * width)) - 1 for width in range(17)])
_TYPES = {1: "B", 2: "H", 4: "I", 8: "Q"}
BIG_ENDIAN = array("H", (1,)).tobytes() == b"\x00\x01"
"""Of this machine's numbers."""
_IN_ORDER = bytes(range(256))
SHORT = 6
"""Bytes of a record up to which it is taken for a name that many pages have: `US`, `GB-ENG`, but hardly an AS or a place."""
_interned: dict[bytes, str] = {}


def records(page: bytes, at: int, count: int) -> tuple[str, ...]:
    """The records of a leaf that begin at a place of its bytes.

    Raises: CorruptPage: they are not whole, or not UTF-8.
    """
    texts = []
    for place in places(page, at, count):
        raw = page[place + 1 : place + 1 + page[place]]
        record = _interned.get(raw)
        if record is None:
            try:
                record = raw.decode()
            except UnicodeDecodeError as exc:
                raise CorruptPage("a record is not UTF-8") from exc
            if len(raw) <= SHORT and len(_interned) < 1024:
                _interned[raw] = record
        texts.append(record)
    return tuple(texts)


def places(page: bytes, at: int, count: int, step: int = 1) -> list[int]:
    """Where each record of a leaf has its length, which its text follows; or each *step*th of them.

    Raises: CorruptPage: they are not whole.
    """
    if places_quickly is not None:
        quickly = places_quickly(page, at, count, step)
        if quickly is not None:
            return quickly
    offsets = [at] * count
    try:
        for number in range(count):
            offsets[number] = at
            at += 1 + page[at]
    except IndexError:
        raise CorruptPage("page ends within its records") from None
    if at != len(page):
        raise CorruptPage("page is longer or shorter than its records")
    return offsets[::step]


def _digests(page: bytes, at: int, count: int) -> tuple[bytes, ...]:
    if len(page) - at != count * DIGEST:
        raise CorruptPage("page is longer or shorter than its digests")
    return tuple([page[i : i + DIGEST] for i in range(at, len(page), DIGEST)])


def names(page: Page, raw: bytes, at: int, count: int) -> bytes:
    """The digests of the pages below an inner page, one for each entry, end to end.

    Raises: CorruptPage: they are not whole.
    """
    if len(raw) - at != count * DIGEST:
        raise CorruptPage("page is longer or shorter than its digests")
    blob = raw[at:]
    if page.index == _IN_ORDER[: len(page.index)]:
        return blob
    return b"".join([blob[DIGEST * number : DIGEST * (number + 1)] for number in page.index])

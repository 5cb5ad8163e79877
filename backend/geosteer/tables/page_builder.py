"""Tables made into pages of the Merkle prefix trie; only the loader does that. No I/O.

A table's ranges, sorted by start, are cut at prefix boundaries until each part fits a page; each page is named by the digest
of its bytes; the list (page start -> digest) is cut the same way, one level up, until one page is left. The cut is a function
of the content alone, so equal content gives equal pages, and a small change of a table gives few new ones.
"""

from __future__ import annotations

import sys
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING

from geosteer.cmodules import array, bisect_right
from geosteer.keys import digest
from geosteer.tables.page_format import HEADER, MAX_BYTES, MAX_ENTRIES, MAX_LEAVES, MAX_RECORD, VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class Built:
    """The pages of one family of one table."""

    __slots__ = ("children", "height", "leaves", "names", "pages", "root", "starts")

    def __init__(self) -> None:
        self.pages: dict[bytes, bytes] = {}
        """Digest -> page; parents after their children."""
        self.children: dict[bytes, list[bytes]] = {}
        """Inner page's digest -> digests of the pages below it."""
        self.root = b""
        self.leaves = 0
        self.starts: Sequence[int] = ()
        """Where each leaf begins, ascending."""
        self.names: Sequence[bytes] = ()
        """The digest of each."""
        self.height = 0


def build(bits: int, starts: Sequence[int], records: Sequence[str]) -> Built:
    """Make the pages for disjoint ranges that cover the whole address space.

    Args:
        bits: 32 or 128.
        starts: ascending, the first 0; a range ends where the next begins.
        records: one for each start, at most 255 bytes of UTF-8; "" where nothing is known. Equal neighbours should be merged.

    Raises: ValueError: a record is too long, the ranges do not begin at 0, or they need more than `MAX_LEAVES` pages.
    """
    if not starts or starts[0] != 0:
        raise ValueError("ranges must begin at address 0")
    built = Built()
    encoded = {record: encode_record(record) for record in set(records)}
    values = list(map(encoded.__getitem__, records))
    firsts: list[int] = []
    names: list[bytes] = []
    for low, high, prefix, prefix_len in cut(bits, starts, values):
        page = encode(bits, 0, prefix, prefix_len, starts[low:high], values[low:high])
        name = digest(page)
        built.pages[name] = page
        firsts.append(prefix)
        names.append(name)
    if len(names) > MAX_LEAVES:
        raise ValueError(
            f"{len(starts)} ranges need {len(names)} pages, more than the {MAX_LEAVES} that workers take"
        )
    add_inner(built, bits, firsts, names)
    return built


def encode_record(record: str) -> bytes:
    """A record as a leaf holds it. Raises: ValueError: it is too long."""
    text = record.encode()
    if len(text) > MAX_RECORD:
        raise ValueError(f"a record is longer than {MAX_RECORD} bytes: {record[:40]}...")
    return bytes((len(text),)) + text


def add_inner(built: Built, bits: int, firsts: Sequence[int], names: Sequence[bytes]) -> None:
    """Add to the leaves of a table the pages above them, up to the root.

    Args: firsts: where each leaf begins, ascending; names: its digest.
    """
    built.leaves = len(names)
    built.starts, built.names = firsts, names
    height = 0
    while len(names) > 1:
        height += 1
        above: list[int] = []
        fresh: list[bytes] = []
        for low, high, prefix, prefix_len in cut(bits, firsts, names):
            page = encode(bits, height, prefix, prefix_len, firsts[low:high], names[low:high])
            name = digest(page)
            built.pages[name] = page
            built.children[name] = list(names[low:high])
            above.append(prefix)
            fresh.append(name)
        firsts, names = above, fresh
    built.root, built.height = names[0], height


def cut(
    bits: int, starts: Sequence[int], values: Sequence[bytes], prefix: int = 0, prefix_len: int = 0
) -> Iterator[tuple[int, int, int, int]]:
    """Parts (first entry, end entry, prefix, prefix length) in address order, each fit for a page.

    Args: starts, values: all entries of *prefix*, by default the whole space; the first begins at or before it.
    """
    todo = [(0, len(starts), prefix, prefix_len)]
    while todo:
        low, high, prefix, prefix_len = todo.pop()
        if high - low <= MAX_ENTRIES and fits(bits, prefix, prefix_len, starts[low:high], values[low:high]):
            yield low, high, prefix, prefix_len
            continue
        middle = prefix | 1 << (bits - prefix_len - 1)
        right = (
            bisect_right(starts, middle, low, high) - 1
        )  # the entry that holds the first address of the upper half
        left_end = right if starts[right] == middle else right + 1
        todo.append((right, high, middle, prefix_len + 1))
        todo.append((low, left_end, prefix, prefix_len + 1))


def fits(bits: int, prefix: int, prefix_len: int, starts: Sequence[int], values: Sequence[bytes]) -> bool:
    """Whether these entries of a prefix fit a page. What fits for a prefix also fits for each half of it."""
    count = len(starts)
    if count > MAX_ENTRIES:
        return False
    content = sum(map(len, set(values))) + HEADER
    if count * (bits // 8 + 1) + content <= MAX_BYTES:
        return True
    _, width, _ = _layout(bits, prefix, prefix_len, starts)
    return count * (width + 1) + content <= MAX_BYTES


def _layout(bits: int, prefix: int, prefix_len: int, starts: Sequence[int]) -> tuple[int, int, int]:
    """Bytes cut off in front, width of a start, bits cut off behind."""
    size = bits // 8
    front = min(prefix_len // 8, size - 1)
    used = reduce(or_, starts[1:], prefix) & ((1 << (bits - 8 * front)) - 1)
    behind = ((used & -used).bit_length() - 1) // 8 if used else size - front - 1
    return front, size - front - behind, 8 * behind


def encode(
    bits: int, height: int, prefix: int, prefix_len: int, starts: Sequence[int], values: Sequence[bytes]
) -> bytes:
    """The bytes of the page for these entries of a prefix."""
    front, width, shift = _layout(bits, prefix, prefix_len, starts)
    distinct = dict.fromkeys(values)
    if len(distinct) == len(values):  # most leaves of cities
        index = bytes(range(len(values)))
    else:
        positions = dict(zip(distinct, range(len(distinct)), strict=True))
        index = bytes(map(positions.__getitem__, values))
    return b"".join(
        (
            bytes((VERSION, bits // 8, height, prefix_len, front, width)),
            len(values).to_bytes(2, "big"),
            len(distinct).to_bytes(2, "big"),
            _keys(bits, prefix, starts, front, width, shift),
            index,
            *distinct,
        )
    )


def _keys(bits: int, prefix: int, starts: Sequence[int], front: int, width: int, shift: int) -> bytes:
    """The starts of a page's entries, cut on both sides; only C loops on the way."""
    if bits == 32:
        words, size, skipped = array("I", starts), 4, front
        words[0] = prefix
    elif width <= 8:
        mask = (1 << (8 * width)) - 1
        words, size, skipped = array("Q", [(start >> shift) & mask for start in starts]), 8, 8 - width
        words[0] = (prefix >> shift) & mask
    else:
        mask = (1 << (8 * width)) - 1
        keys = [(prefix >> shift) & mask, *[(start >> shift) & mask for start in starts[1:]]]
        return b"".join([key.to_bytes(width, "big") for key in keys])
    if sys.byteorder == "little":
        words.byteswap()
    raw = words.tobytes()
    if width == size:
        return raw
    cut = bytearray(width * len(words))
    for byte in range(width):
        cut[byte::width] = raw[skipped + byte :: size]
    return bytes(cut)

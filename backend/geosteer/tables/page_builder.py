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
    for _, _, prefix, _, page in cut(bits, 0, starts, values):
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
        for low, high, prefix, _, page in cut(bits, height, firsts, names):
            name = digest(page)
            built.pages[name] = page
            built.children[name] = list(names[low:high])
            above.append(prefix)
            fresh.append(name)
        firsts, names = above, fresh
    built.root, built.height = names[0], height


def cut(
    bits: int, height: int, starts: Sequence[int], values: Sequence[bytes], prefix: int = 0, prefix_len: int = 0
) -> Iterator[tuple[int, int, int, int, bytes]]:  # fmt: skip
    """Pages in address order, each with its part of the entries: first, end, prefix and prefix length.

    Args: starts, values: all entries of *prefix*, by default the whole space; the first begins at or before it.
    """
    todo = [(0, len(starts), prefix, prefix_len)]
    while todo:
        low, high, prefix, prefix_len = todo.pop()
        if high - low <= MAX_ENTRIES:
            page = encode(bits, height, prefix, prefix_len, starts[low:high], values[low:high])
            if page is not None:
                yield low, high, prefix, prefix_len, page
                continue
        middle = prefix | 1 << (bits - prefix_len - 1)
        right = (
            bisect_right(starts, middle, low, high) - 1
        )  # the entry that holds the first address of the upper half
        left_end = right if starts[right] == middle else right + 1
        todo.append((right, high, middle, prefix_len + 1))
        todo.append((low, left_end, prefix, prefix_len + 1))


def encode(
    bits: int, height: int, prefix: int, prefix_len: int, starts: Sequence[int], values: Sequence[bytes]
) -> bytes | None:
    """The page for these entries of a prefix, at most `MAX_ENTRIES`; None: they take more than `MAX_BYTES`.

    What fits for a prefix also fits for each half of it.
    """
    count = len(values)
    distinct = dict.fromkeys(values)
    content = b"".join(distinct)
    room = (MAX_BYTES - HEADER - len(content)) // count - 1
    """Bytes that a start may have."""
    size = bits // 8
    front = min(prefix_len // 8, size - 1)
    if room < 1:
        return None
    keys = (_short_keys if bits == 32 else _long_keys)(prefix, starts, front)
    width = len(keys) // count
    if width > room:
        return None
    if len(distinct) == count:  # most leaves of cities
        index = bytes(range(count))
    else:
        positions = dict(zip(distinct, range(len(distinct)), strict=True))
        index = bytes(map(positions.__getitem__, values))
    return b"".join(
        (
            bytes((VERSION, size, height, prefix_len, front, width)),
            count.to_bytes(2, "big"),
            len(distinct).to_bytes(2, "big"),
            keys,
            index,
            content,
        )
    )


def _short_keys(prefix: int, starts: Sequence[int], front: int) -> bytes:
    """The starts of an IPv4 page's entries, without *front* bytes and the zeros that all end with; only C loops on the way."""
    words = array("I", starts)
    words[0] = prefix
    raw = words.tobytes()
    places = range(3, -1, -1) if sys.byteorder == "little" else range(4)
    planes = [raw[place::4] for place in places[front:]]
    while len(planes) > 1 and not any(planes[-1]):
        del planes[-1]
    width = len(planes)
    if width == 1:
        return planes[0]
    keys = bytearray(width * len(words))
    for place, plane in enumerate(planes):
        keys[place::width] = plane
    return bytes(keys)


def _long_keys(prefix: int, starts: Sequence[int], front: int) -> bytes:
    """The same of IPv6."""
    used = reduce(or_, starts[1:], prefix) & ((1 << (128 - 8 * front)) - 1)
    behind = ((used & -used).bit_length() - 1) // 8 if used else 15 - front
    width, shift = 16 - front - behind, 8 * behind
    mask = (1 << (8 * width)) - 1
    if width > 8:
        keys = [(prefix >> shift) & mask, *[(start >> shift) & mask for start in starts[1:]]]
        return b"".join([key.to_bytes(width, "big") for key in keys])
    words = array("Q", [(start >> shift) & mask for start in starts])
    words[0] = (prefix >> shift) & mask
    if sys.byteorder == "little":
        words.byteswap()
    raw = words.tobytes()
    if width == 8:
        return raw
    cut = bytearray(width * len(words))
    for byte in range(width):
        cut[byte::width] = raw[8 - width + byte :: 8]
    return bytes(cut)

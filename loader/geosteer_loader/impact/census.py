"""How many addresses have which record, before and after: counted in one look at both tables, for all who ask."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from itertools import chain, compress, islice
from operator import ne, sub
from types import MappingProxyType
from typing import TYPE_CHECKING

from geosteer.errors import CorruptPage
from geosteer.keys import FAMILIES
from geosteer.tables import page_format
from geosteer_loader.impact.table_diff import raw_differing_blocks
from geosteer_loader.store.pages import outline

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from geosteer.tables.page_format import Page
    from geosteer_loader.impact.table_diff import RawLeaves, Roots
    from geosteer_loader.store.pages import Outline, Pages
    from geosteer_loader.tables.ranges import Ranges

    Key = Callable[[str], str]

    Sizes = Mapping[tuple[str, str], int]
    """Record before and after -> number of addresses; they cover the whole space."""
    Apart = dict[tuple[str, str], int]
    """The same while it is counted, of records that differ."""

NO_RANGES: Mapping[str, Ranges] = MappingProxyType({})
_BITS = {f".{suffix}": bits for suffix, bits in FAMILIES.items()}


class Census:
    """Each family of a table is read when it is first asked for."""

    def __init__(
        self, pages: Pages, roots: Mapping[str, Roots], built: Mapping[str, Ranges] = NO_RANGES
    ) -> None:
        """Read nothing yet.

        Args:
            roots: field of `current` (`geo.v4`) -> digest of the root page before and after, None where there is none.
            built: digest of a root page -> the ranges that its pages were just made from; counted in place of the pages.
        """
        self._pages = pages
        self._roots = roots
        self._built = built
        self._pairs: dict[tuple[int, Roots], Sizes] = {}
        self._sums: dict[tuple[int, Roots, Key], tuple[Counter[str], Counter[str]]] = {}
        self._keys: dict[Key, dict[str, str]] = {}
        """What each makes of records: both families have the same ones."""

    def pairs(self, field: str, roots: Roots | None = None) -> Sizes:
        """How many addresses have which records before and after.

        Args: roots: other ones than those before and after.
        Raises: CorruptPage: a page is missing or damaged. StoreError.
        """
        bits = _BITS[field[-3:]]
        roots = roots or self._roots.get(field, (None, None))
        key = bits, roots
        if key not in self._pairs:
            self._pairs[key] = self._counted(bits, roots)
        return self._pairs[key]

    def _counted(self, bits: int, roots: Roots) -> Sizes:
        built = self._built.get(roots[1] or "")
        if built is not None and built.since is not None and built.since.root == roots[0]:
            return _whole(built.since.sizes, built.sizes())
        old = outline(self._pages, bits, roots[0])
        new = old if roots[0] == roots[1] else outline(self._pages, bits, roots[1])
        return _counted(self._pages, old, new, built)

    def sums(self, field: str, key: Key, roots: Roots | None = None) -> tuple[Counter[str], Counter[str]]:
        """How many addresses have which of what *key* makes of the records before, and after.

        Those with the record "" are left out.
        Args: roots: other ones than those before and after.
        Raises: as `pairs`.
        """
        bits = _BITS[field[-3:]]
        roots = roots or self._roots.get(field, (None, None))
        if (bits, roots, key) not in self._sums:
            known = self._keys.setdefault(key, {})
            self._sums[bits, roots, key] = summed(self.pairs(field, roots), key, known)
        return self._sums[bits, roots, key]

    def after(self, field: str, key: Key) -> Counter[str]:
        """The same of the records after alone. Raises: as `pairs`."""
        roots = self._roots.get(field, (None, None))
        known = (_BITS[field[-3:]], roots) in self._pairs
        return self.sums(field, key, roots if known else (roots[1], roots[1]))[1]


def summed(pairs: Sizes, key: Key, keys: dict[str, str] | None = None) -> tuple[Counter[str], Counter[str]]:
    """The sizes by what *key* makes of the records before, and after; those with the record "" are left out.

    Args: keys: what *key* is known to make of records; it is added to.
    """
    before: Counter[str] = Counter()
    after: Counter[str] = Counter()
    keys = {} if keys is None else keys
    for (was, now), size in pairs.items():
        if was:
            key_before = keys.get(was)
            if key_before is None:
                key_before = keys[was] = key(was)
            before[key_before] += size
            if was == now:
                after[key_before] += size
                continue
        if now:
            key_after = keys.get(now)
            if key_after is None:
                key_after = keys[now] = key(now)
            after[key_after] += size
    return before, after


def _counted(pages: Pages, old: Outline, new: Outline, built: Ranges | None) -> Sizes:
    """What has changed is found from the pages that differ; all else is what is there after and has not changed."""
    after = built.sizes() if built is not None else _total_of_pages(pages, new)
    return _whole(_apart(pages, old, new, built), after)


def _whole(apart: Sizes, after: Mapping[str, int]) -> Sizes:
    """What differs, and the rest of what is there *after*."""
    sizes, same = dict(apart), dict(after)
    for (_, now), size in sizes.items():
        same[now] -= size
    for record, size in same.items():
        if size:
            sizes[record, record] = size
    return sizes


def _total_of_pages(pages: Pages, table: Outline) -> defaultdict[str, int]:
    # Records stay bytes until all are counted: a table has far more entries than different records.
    total: defaultdict[bytes, int] = defaultdict(int)
    for data in pages.raw(list(table.leaves.values())):
        leaf = _raw_leaf(data)
        for size, number in zip(_sizes(leaf), leaf.index, strict=True):
            total[leaf.values[number]] += size  # type: ignore[index]
    counted = defaultdict(int, {_text(record): size for record, size in total.items()})
    if not table.leaves:
        counted[""] = 1 << table.bits
    return counted


def _apart(
    pages: Pages, old: Outline, new: Outline, built: Ranges | None
) -> defaultdict[tuple[str, str], int]:
    """How many addresses have which two records that differ."""
    apart: defaultdict[tuple[str, str], int] = defaultdict(int)
    for before, after in raw_differing_blocks(pages, old, new):
        count = _count_aligned if _aligned(before, after) else _count_overlaid
        count(before, after, built, apart)
    return apart


def _count_aligned(before: RawLeaves, after: RawLeaves, built: Ranges | None, apart: Apart) -> None:
    """Count one leaf entry by entry, whose starts are the same on both sides."""
    ((first, data),) = after
    had = _entries(before[0][1])
    low = bisect_right(built.starts, first) - 1 if built is not None else 0
    has = built.records[low : low + len(had)] if built is not None else _entries(data)
    for number in compress(range(len(has)), map(ne, had, has)):
        apart[had[number], has[number]] += _size(data, number)


def _count_overlaid(before: RawLeaves, after: RawLeaves, built: Ranges | None, apart: Apart) -> None:
    """Count leaves of the same addresses from boundary to boundary of either side."""
    old = _spread(before)
    first, data = (after or before)[-1]
    end = first + (1 << (8 * data[1] - data[3]))
    new = _spread(after) if built is None or not after else _between(built, after[0][0], end)
    was = now = ""
    starts = sorted(old.keys() | new.keys())
    for start, following in zip(starts, [*starts[1:], end], strict=True):
        was, now = old.get(start, was), new.get(start, now)
        if was != now:
            apart[was, now] += following - start


def _spread(leaves: RawLeaves) -> dict[int, str]:
    """Each entry's first address -> its record."""
    entries: dict[int, str] = {}
    for first, data in leaves:
        leaf = page_format.decode(data)
        entries.update(zip(leaf.absolute(first), map(leaf.values.__getitem__, leaf.index), strict=True))  # type: ignore[arg-type]
    return entries


def _between(ranges: Ranges, first: int, end: int) -> dict[int, str]:
    """The same of what the ranges have from *first* to *end*, exclusive."""
    low = bisect_right(ranges.starts, first)
    high = bisect_left(ranges.starts, end, low)
    entries = {first: ranges.records[low - 1]}
    entries.update(zip(ranges.starts[low:high], ranges.records[low:high], strict=True))
    return entries


def _entries(data: bytes) -> list[str]:
    """The record of each entry of a leaf. Raises: CorruptPage: they are not whole, or an entry names one that is not there."""
    head = page_format.HEADER
    count = int.from_bytes(data[head - 4 : head - 2], "big")
    index = head + count * data[5]
    records = page_format.records(data, index + count, int.from_bytes(data[head - 2 : head], "big"))
    try:
        return list(map(records.__getitem__, data[index : index + count]))
    except IndexError:
        raise CorruptPage("an entry names a value that is not there") from None


def _size(data: bytes, number: int) -> int:
    """How many addresses an entry of a leaf has."""
    size, _, prefix_len, front, width = data[1:6]
    shift = 8 * (size - front - width)
    at = page_format.HEADER + number * width
    start = int.from_bytes(data[at : at + width], "big")
    if number + 1 < int.from_bytes(data[6:8], "big"):
        end = int.from_bytes(data[at + width : at + 2 * width], "big")
    else:
        first = int.from_bytes(data[page_format.HEADER : page_format.HEADER + width], "big")
        end = first + (1 << (8 * size - prefix_len - shift))
    return (end - start) << shift


def _aligned(before: RawLeaves, after: RawLeaves) -> bool:
    """Whether both sides are one leaf, of the same ranges with maybe other records."""
    if not len(before) == len(after) == 1:
        return False
    mine, theirs = before[0][1], after[0][1]
    head = page_format.HEADER
    if len(mine) < head or mine[: head - 2] != theirs[: head - 2]:  # all but the number of records
        return False
    end = head + mine[5] * int.from_bytes(mine[6:8], "big")
    return mine[2] == 0 and mine[head:end] == theirs[head:end]


def _raw_leaf(data: bytes) -> Page:
    """A leaf whose records are the bytes of the text. Raises: CorruptPage."""
    page, at, count = page_format.outline(data)
    if page.height:
        raise CorruptPage("an inner page in the place of a leaf")
    places = page_format.places(data, at, count)
    ends = chain(islice(places, 1, None), (len(data),))
    page.values = tuple([data[start + 1 : end] for start, end in zip(places, ends, strict=True)])
    return page


def _sizes(page: Page) -> list[int]:
    """How many addresses each entry has."""
    starts, shift, host = page.starts, page.shift, page.bits - page.prefix_len
    if len(starts) == 1:
        return [1 << host]
    ends = chain(islice(starts, 1, None), (starts[0] + (1 << (host - shift)),))
    sizes = map(sub, ends, starts)
    return [size << shift for size in sizes] if shift else list(sizes)


def _text(record: bytes) -> str:
    try:
        return record.decode()
    except UnicodeDecodeError as exc:
        raise CorruptPage("a record is not UTF-8") from exc

"""How many addresses have which record, before and after: counted in one look at both tables, for all who ask."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import chain, islice
from operator import sub
from typing import TYPE_CHECKING

from geosteer.errors import CorruptPage
from geosteer.keys import FAMILIES
from geosteer.tables import page_format
from geosteer_loader.impact.table_diff import decoded_blocks, pieces
from geosteer_loader.store.pages import outline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from geosteer.tables.page_format import Page
    from geosteer_loader.impact.table_diff import Leaves, Roots
    from geosteer_loader.store.pages import Outline, Pages

    Sizes = Mapping[tuple[str, str], int]
    """Record before and after -> number of addresses; they cover the whole space."""

_BITS = {f".{suffix}": bits for suffix, bits in FAMILIES.items()}


class Census:
    """Each family of a table is read when it is first asked for."""

    def __init__(self, pages: Pages, roots: Mapping[str, Roots]) -> None:
        """Args: roots: field of `current` (`geo.v4`) -> digest of the root page before and after, None where there is none."""
        self._pages = pages
        self._roots = roots
        self._pairs: dict[tuple[int, Roots], Sizes] = {}

    def pairs(self, field: str, roots: Roots | None = None) -> Sizes:
        """How many addresses have which records before and after.

        Args: roots: other ones than those before and after.
        Raises: CorruptPage: a page is missing or damaged. StoreError.
        """
        bits = _BITS[field[-3:]]
        roots = roots or self._roots.get(field, (None, None))
        key = bits, roots
        if key not in self._pairs:
            old = outline(self._pages, bits, roots[0])
            new = old if roots[0] == roots[1] else outline(self._pages, bits, roots[1])
            self._pairs[key] = _counted(self._pages, old, new)
        return self._pairs[key]

    def after(self, field: str, key: Callable[[str], str]) -> Counter[str]:
        """How many addresses have which of what *key* makes of the records after; those with the record "" are left out.

        Raises: as `pairs`.
        """
        roots = self._roots.get(field, (None, None))
        known = (_BITS[field[-3:]], roots) in self._pairs
        return summed(self.pairs(field, roots if known else (roots[1], roots[1])), 1, key)


def summed(pairs: Sizes, side: int, key: Callable[[str], str]) -> Counter[str]:
    """The sizes by what *key* makes of the records before (*side* 0) or after (1); those with the record "" are left out."""
    sizes: Counter[str] = Counter()
    keys: dict[str, str] = {"": ""}
    for pair, size in pairs.items():
        record = pair[side]
        if record:
            if record not in keys:
                keys[record] = key(record)
            sizes[keys[record]] += size
    return sizes


def _counted(pages: Pages, old: Outline, new: Outline) -> Sizes:
    # Records stay bytes until all are counted: a table has far more entries than different records.
    same: defaultdict[bytes | str, int] = defaultdict(int)
    apart: defaultdict[tuple[bytes | str, bytes | str], int] = defaultdict(int)
    for before, after in decoded_blocks(pages, old, new, _raw_leaf):
        if before is after:
            for _, page in before:
                for size, record in zip(_sizes(page), _records(page), strict=True):
                    same[record] += size
        elif _aligned(before, after):
            ((_, mine),), ((_, theirs),) = before, after
            for size, was, now in zip(_sizes(mine), _records(mine), _records(theirs), strict=True):
                if was == now:
                    same[was] += size
                else:
                    apart[was, now] += size
        else:
            for first, end, mine_there, theirs_there in pieces(before, after):
                apart[mine_there, theirs_there] += end - first
    if not old.leaves and not new.leaves:
        same[""] = 1 << old.bits
    return _in_words([*(((record, record), size) for record, size in same.items()), *apart.items()])


def _raw_leaf(data: bytes) -> Page:
    """A leaf whose records are the bytes of the text. Raises: CorruptPage."""
    page, at, count = page_format.outline(data)
    if page.height:
        raise CorruptPage("an inner page in the place of a leaf")
    records = []
    for _ in range(count):
        end = at + 1 + data[at] if at < len(data) else at
        records.append(data[at + 1 : end])
        at = end
    if at != len(data):
        raise CorruptPage("page is longer or shorter than its records")
    page.values = tuple(records)
    return page


def _records(page: Page) -> Iterator[bytes]:
    """The record of each entry of a raw leaf."""
    return map(page.values.__getitem__, page.index)  # type: ignore[arg-type]


def _sizes(page: Page) -> list[int]:
    """How many addresses each entry has."""
    starts, shift, host = page.starts, page.shift, page.bits - page.prefix_len
    if len(starts) == 1:
        return [1 << host]
    ends = chain(islice(starts, 1, None), (starts[0] + (1 << (host - shift)),))
    sizes = map(sub, ends, starts)
    return [size << shift for size in sizes] if shift else list(sizes)


def _aligned(before: Leaves, after: Leaves) -> bool:
    """Whether both sides are one leaf, of the same ranges with maybe other records."""
    if not len(before) == len(after) == 1:
        return False
    mine, theirs = before[0][1], after[0][1]
    return (mine.prefix_len, mine.shift, mine.starts) == (theirs.prefix_len, theirs.shift, theirs.starts)


def _in_words(counted: Iterable[tuple[tuple[bytes | str, bytes | str], int]]) -> Sizes:
    """The same with records as text. Raises: CorruptPage: one is not UTF-8."""
    texts: dict[bytes | str, str] = {"": ""}
    sizes: dict[tuple[str, str], int] = {}
    for pair, size in counted:
        for record in pair:
            if record not in texts:
                texts[record] = _decoded(record)
        was, now = texts[pair[0]], texts[pair[1]]
        sizes[was, now] = sizes.get((was, now), 0) + size
    return sizes


def _decoded(record: bytes | str) -> str:
    try:
        return record if isinstance(record, str) else record.decode()
    except UnicodeDecodeError as exc:
        raise CorruptPage("a record is not UTF-8") from exc

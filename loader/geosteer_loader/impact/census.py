"""How many addresses have which record, before and after: counted in one look at both tables, for all who ask."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from geosteer.keys import FAMILIES
from geosteer_loader.impact.table_diff import decoded_blocks, pieces, spans
from geosteer_loader.store.pages import outline

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from geosteer_loader.impact.table_diff import Roots
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
    same: dict[str, int] = {}
    apart: dict[tuple[str, str], int] = {}
    for before, after in decoded_blocks(pages, old, new):
        if before is after:
            for start, page in before:
                for first, end, record in spans(page, start):
                    same[record] = same.get(record, 0) + end - first
        else:
            for first, end, was, now in pieces(before, after):
                if was == now:
                    same[was] = same.get(was, 0) + end - first
                else:
                    apart[was, now] = apart.get((was, now), 0) + end - first
    if not old.leaves and not new.leaves:
        same[""] = 1 << old.bits
    return {**{(record, record): size for record, size in same.items()}, **apart}

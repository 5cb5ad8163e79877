"""What differs between two tables, published or planned, found from their pages: equal pages are equal content and skipped."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, MutableSequence, Sequence

    from geosteer_loader.store.pages import Outline, Pages

K = TypeVar("K")

Change = tuple[int, int, str, str]
"""First address, first address behind it, record before, record after; the records differ."""


def changes(pages: Pages, old: Outline, new: Outline) -> Iterator[Change]:
    """Every stretch of addresses that has another record in *new*, in address order; neighbours may be alike.

    Raises: CorruptPage: a leaf is missing or damaged. StoreError.
    """
    for before, after in _blocks(old, new):
        if before != after:
            yield from _changes(pages, old.bits, before, after)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs(Generic[K]):
    """Both tables at once: ranges that cover the whole space, each with what *before* and *after* have there."""

    bits: int
    starts: Sequence[int]
    """First addresses, ascending; the first is 0."""
    values: Sequence[K]

    def spans(self) -> Iterator[tuple[int, int, K]]:
        """Each range as (first address, first address behind it, value)."""
        end = 1 << self.bits
        last = len(self.starts) - 1
        for at, (start, value) in enumerate(zip(self.starts, self.values, strict=True)):
            yield start, self.starts[at + 1] if at < last else end, value


def paired(
    pages: Pages,
    old: Outline,
    new: Outline,
    value: Callable[[str, str], K],
    progress: Callable[[int], None] | None = None,
) -> Pairs[K]:
    """The whole space by what *value* makes of the records before and after; neighbours that are alike are merged.

    Args: progress: hears how many leaves of *new* are done.
    Raises: CorruptPage: a leaf is missing or damaged. StoreError.
    """
    starts: MutableSequence[int] = array("I") if old.bits == 32 else []
    values: list[K] = []
    same = [name for before, after in _blocks(old, new) if before == after for _, name in before]
    equal = pages.each(same)
    done = 0
    for before, after in _blocks(old, new):
        done += len(after)
        if progress is not None:
            progress(done)
        stretch: Iterable[tuple[int, K]]
        if before == after:
            page = next(equal)
            page_values = [value(str(record), str(record)) for record in page.values]
            spans = page.spans(before[0][0])
            stretch = ((first, page_values[at]) for (first, _), at in zip(spans, page.index, strict=True))
        else:
            stretch = ((first, value(was, now)) for first, was, now in _merged(pages, before, after))
        for first, item in stretch:
            if not values or values[-1] != item:
                starts.append(first)
                values.append(item)
    return Pairs(bits=old.bits, starts=starts or [0], values=values or [value("", "")])


_Leaves = list[tuple[int, str]]


def _blocks(old: Outline, new: Outline) -> Iterator[tuple[_Leaves, _Leaves]]:
    """Stretches of leaves, of both tables, that cover the same addresses: a leaf they share, or all up to the next one."""
    before: _Leaves = []
    after: _Leaves = []
    for start in sorted(old.leaves.keys() | new.leaves.keys()):
        was, now = old.leaves.get(start), new.leaves.get(start)
        # A page's bytes say how long its prefix is, so from one start the same page holds the same addresses.
        if was is not None and was == now:
            if before or after:
                yield before, after
            before, after = [], []
            yield [(start, was)], [(start, was)]
            continue
        if was is not None:
            before.append((start, was))
        if now is not None:
            after.append((start, now))
    if before or after:
        yield before, after


def _changes(pages: Pages, bits: int, before: _Leaves, after: _Leaves) -> Iterator[Change]:
    end = _end(pages, bits, before or after)
    last: tuple[int, str, str] | None = None
    for first, was, now in _merged(pages, before, after):
        if last is not None and last[1] != last[2]:
            yield last[0], first, last[1], last[2]
        last = first, was, now
    if last is not None and last[1] != last[2]:
        yield last[0], end, last[1], last[2]


def _end(pages: Pages, bits: int, leaves: _Leaves) -> int:
    """The first address behind the last of the leaves."""
    start, name = leaves[-1]
    return start + (1 << (bits - next(pages.each([name])).prefix_len))


def _merged(pages: Pages, before: _Leaves, after: _Leaves) -> Iterator[tuple[int, str, str]]:
    """(first address, record before, record after) at every boundary of either side; "" where a side has no leaves."""
    old, new = _records(pages, before), _records(pages, after)
    nowhere = 1 << 129
    was = now = ""
    next_old, next_new = next(old, (nowhere, "")), next(new, (nowhere, ""))
    while (start := min(next_old[0], next_new[0])) < nowhere:
        if next_old[0] == start:
            was, next_old = next_old[1], next(old, (nowhere, ""))
        if next_new[0] == start:
            now, next_new = next_new[1], next(new, (nowhere, ""))
        yield start, was, now


def _records(pages: Pages, leaves: _Leaves) -> Iterator[tuple[int, str]]:
    for (start, _), page in zip(leaves, pages.each([name for _, name in leaves]), strict=True):
        for first, record in page.spans(start):
            yield first, str(record)

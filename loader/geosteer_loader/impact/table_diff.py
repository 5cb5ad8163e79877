"""What differs between two tables, published or planned, found from their pages: equal pages are equal content and skipped."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, MutableSequence, Sequence

    from geosteer.tables.page_format import Page
    from geosteer_loader.store.pages import Outline, Pages

    Leaves = list[tuple[int, Page]]
    """First addresses and decoded pages."""
    RawLeaves = list[tuple[int, bytes]]
    """First addresses and the bytes of pages."""

K = TypeVar("K")

Roots = tuple[str | None, str | None]
"""Digests of a table's root page before and after; None where there is none."""

Change = tuple[int, int, str, str]
"""First address, first address behind it, record before, record after; the records differ."""


def changes(pages: Pages, old: Outline, new: Outline) -> Iterator[Change]:
    """Every stretch of addresses that has another record in *new*, in address order; neighbours may be alike.

    Raises: CorruptPage: a leaf is missing or damaged. StoreError.
    """
    for before, after in decoded_blocks(pages, old, new):
        if before is not after:
            for first, end, was, now in pieces(before, after):
                if was != now:
                    yield first, end, was, now


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
    done = 0
    for before, after in decoded_blocks(pages, old, new):
        done += len(after)
        if progress is not None:
            progress(done)
        stretch: Iterable[tuple[int, K]]
        if before is after:
            ((start, page),) = before
            page_values = [value(str(record), str(record)) for record in page.values]
            stretch = zip(page.absolute(start), [page_values[at] for at in page.index], strict=True)
        else:
            stretch = ((first, value(was, now)) for first, _, was, now in pieces(before, after))
        for first, item in stretch:
            if not values or values[-1] != item:
                starts.append(first)
                values.append(item)
    return Pairs(bits=old.bits, starts=starts or [0], values=values or [value("", "")])


_Leaves = list[tuple[int, str]]
"""First addresses and digests."""


def _blocks(old: Outline, new: Outline) -> Iterator[tuple[_Leaves, _Leaves]]:
    """Stretches of leaves, of both tables, that cover the same addresses, as short as their boundaries allow."""
    before: _Leaves = []
    after: _Leaves = []
    for start in sorted(old.leaves.keys() | new.leaves.keys()):
        was, now = old.leaves.get(start), new.leaves.get(start)
        if was is not None and now is not None and (before or after):
            yield before, after
            before, after = [], []
        # A page's bytes say how long its prefix is, so from one start the same page holds the same addresses.
        if was is not None and was == now:
            yield [(start, was)], [(start, was)]
            continue
        if was is not None:
            before.append((start, was))
        if now is not None:
            after.append((start, now))
        if not (old.leaves and new.leaves):  # each leaf has the other table's nothing beside it
            yield before, after
            before, after = [], []
    if before or after:
        yield before, after


def decoded_blocks(pages: Pages, old: Outline, new: Outline) -> Iterator[tuple[Leaves, Leaves]]:
    """Stretches of leaves of both tables that cover the same addresses; the same list twice where the leaf is the same.

    Raises: CorruptPage: a leaf is missing or damaged. StoreError.
    """
    blocks = list(_blocks(old, new))
    first = pages.each([name for before, _ in blocks for _, name in before])
    second = pages.each([name for before, after in blocks if before != after for _, name in after])
    for before, after in blocks:
        was = [(start, next(first)) for start, _ in before]
        yield was, was if before == after else [(start, next(second)) for start, _ in after]


def raw_differing_blocks(pages: Pages, old: Outline, new: Outline) -> Iterator[tuple[RawLeaves, RawLeaves]]:
    """The stretches with other leaves, each leaf as the bytes of its page.

    Raises: CorruptPage: a leaf is missing or damaged. StoreError.
    """
    blocks = [(before, after) for before, after in _blocks(old, new) if before != after]
    first = pages.raw([name for before, _ in blocks for _, name in before])
    second = pages.raw([name for _, after in blocks for _, name in after])
    for before, after in blocks:
        yield [(start, next(first)) for start, _ in before], [(start, next(second)) for start, _ in after]


def spans(page: Page, base: int) -> list[tuple[int, int, str]]:
    """Each entry of a leaf that begins at *base*, as first address, first address behind it, and record."""
    starts = list(page.absolute(base))
    ends = [*starts[1:], base + (1 << (page.bits - page.prefix_len))]
    records: Sequence[str] = page.values  # type: ignore[assignment]  # it is a leaf
    return list(zip(starts, ends, [records[at] for at in page.index], strict=True))


def pieces(before: Leaves, after: Leaves) -> list[tuple[int, int, str, str]]:
    """The addresses of a block in order, as (first address, first address behind it, record before, record after).

    A side without leaves has the record "" everywhere.
    """
    old = [span for start, page in before for span in spans(page, start)]
    new = [span for start, page in after for span in spans(page, start)]
    equal = set(old).intersection(new)
    apart = _merged([span for span in old if span not in equal], [span for span in new if span not in equal])
    return sorted([*((first, end, record, record) for first, end, record in equal), *apart])


def _merged(
    old: Sequence[tuple[int, int, str]], new: Sequence[tuple[int, int, str]]
) -> Iterator[tuple[int, int, str, str]]:
    """Spans of two tables laid over each other; both cover the same addresses, or one is empty."""
    if not old or not new:
        yield from ((first, end, record, "") for first, end, record in old)
        yield from ((first, end, "", record) for first, end, record in new)
        return
    left, right = iter(old), iter(new)
    mine, theirs = next(left, None), next(right, None)
    while mine is not None and theirs is not None:
        end = min(mine[1], theirs[1])
        yield max(mine[0], theirs[0]), end, mine[2], theirs[2]
        if mine[1] == end:
            mine = next(left, None)
        if theirs[1] == end:
            theirs = next(right, None)

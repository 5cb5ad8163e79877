"""All layers of all tables compiled down to one: disjoint prefixes, each with what the tables together say there.

Few combinations of records occur, so that what a decision comes to is worked out once for each, not once for each prefix.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from typing import TYPE_CHECKING, TypeVar

from geosteer.errors import CorruptPage, StoreError
from geosteer.keys import FAMILIES, TABLES, root_field
from geosteer_loader.progress import Silent
from geosteer_loader.store.pages import Pages, read_table

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator, MutableSequence, Sequence

    from geosteer.sync.generation import Generation
    from geosteer.tables.tree import Tree
    from geosteer_loader.progress import Meter
    from geosteer_loader.store.store import Store

    Records = tuple[str, ...]

K = TypeVar("K", bound="Hashable")

STEP = 5000
"""Combinations of records between two reports of progress."""


class Spans:
    """One family's address space in order: where each span begins, and the number of what holds there."""

    __slots__ = ("bits", "numbers", "starts")

    def __init__(self, bits: int) -> None:
        self.bits = bits
        # 4 bytes a start, where a list takes 36
        self.starts: MutableSequence[int] = array("I") if bits == 32 else []
        """First addresses, ascending; the first is 0."""
        self.numbers = array("I")
        """One for each start; neighbours differ."""

    def add(self, start: int, number: int) -> None:
        """Append a span; it ends where the next one begins."""
        if not self.numbers or self.numbers[-1] != number:
            self.starts.append(start)
            self.numbers.append(number)

    def shift(self, block: tuple[int, int], by: int) -> None:
        """Raise the numbers in a block, which is given as (first address, length)."""
        start, length = block
        low, high = self._cut(start), self._cut(start + (1 << self.bits - length))
        self.numbers[low:high] = array("I", [number + by for number in self.numbers[low:high]])

    def _cut(self, at: int) -> int:
        """The index of the span that begins at an address: one is cut in two where none does."""
        index = bisect_left(self.starts, at)
        if at >> self.bits or (index < len(self.starts) and self.starts[index] == at):
            return index
        self.starts.insert(index, at)
        self.numbers.insert(index, self.numbers[index - 1])
        return index

    def __iter__(self) -> Iterator[tuple[int, int, int]]:
        """Each span as (first address, first address behind it, number)."""
        last = len(self.starts) - 1
        for at, start in enumerate(self.starts):
            end = self.starts[at + 1] if at < last else 1 << self.bits
            yield start, end, self.numbers[at]


class Cells:
    """What the tables say together, everywhere."""

    def __init__(
        self, tables: Sequence[str], combinations: Sequence[Records], spans: dict[int, Spans]
    ) -> None:
        self.tables = tables
        """The tables that count, in the order of the records."""
        self.combinations = combinations
        """Every combination of their records that occurs, "" for a miss."""
        self.spans = spans
        """Address bits -> spans with the numbers of combinations."""

    def classes(
        self,
        classify: Callable[[Records], K],
        progress: Callable[[int, int], None] = lambda _done, _all: None,
    ) -> tuple[list[K], list[int]]:
        """The distinct results of *classify*, and for each combination the number of its own.

        Args: progress: hears of combinations, done and all.
        """
        numbers: dict[K, int] = {}
        mapped = []
        for done, records in enumerate(self.combinations):
            if not done % STEP:
                progress(done, len(self.combinations))
            mapped.append(numbers.setdefault(classify(records), len(numbers)))
        return list(numbers), mapped

    def spread(self, mapped: Sequence[int]) -> dict[int, Spans]:
        """Spans as wide as can be with the numbers that *mapped* has for the combinations."""
        spans = {}
        for bits, old in self.spans.items():
            spans[bits] = new = Spans(bits)
            for start, number in zip(old.starts, old.numbers, strict=True):
                new.add(start, mapped[number])
        return spans


def read_cells(
    store: Store, generation: Generation, wanted: Iterable[str], meter: Callable[[str], Meter] = Silent
) -> Cells:
    """The published tables among *wanted*, put together; *meter* shows the progress of the table that it is given.

    Raises: StoreError: a page is absent or damaged, or Redis failed.
    """
    chosen = set(wanted)
    tables = [name for name in TABLES if name in chosen]
    combinations: dict[Records, int] = {}
    spans = {}
    for bits in FAMILIES.values():
        columns = []
        for table in tables:
            with meter(root_field(table, bits)) as shown:
                columns.append(_column(store, generation.trees.get((table, bits)), bits, shown))
        spans[bits] = _merged(bits, columns, combinations)
    return Cells(tables, list(combinations), spans)


def prefixes(start: int, end: int, bits: int) -> Iterator[tuple[int, int]]:
    """The fewest prefixes, as (first address, length), that make up the addresses from *start* to before *end*."""
    while start < end:
        size = min((start & -start).bit_length() - 1 if start else bits, (end - start).bit_length() - 1)
        yield start, bits - size
        start += 1 << size


def carved(spans: Spans, left_out: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int, int]]:
    """The spans without some blocks, which are given as (first address, length)."""
    blocks = sorted((start, start + (1 << (spans.bits - length))) for start, length in left_out)
    for start, end, number in spans:
        at = start
        for low, high in blocks:
            if high <= at or low >= end:
                continue
            if low > at:
                yield at, low, number
            at = high
        if at < end:
            yield at, end, number


Column = tuple["Sequence[int]", "Sequence[str]"]


def _column(store: Store, tree: Tree | None, bits: int, shown: Meter) -> Column:
    """Starts and records of a whole table, one family; one that is not published is one miss."""
    try:
        return read_table(Pages(store), bits, tree.root.hex() if tree is not None else None, shown.progress)
    except CorruptPage as exc:
        raise StoreError(f"{store.name}: {exc} (geosteer publish writes it again)") from exc


def _merged(bits: int, columns: Sequence[Column], combinations: dict[Records, int]) -> Spans:
    """The columns side by side; new combinations of records are added to *combinations*."""
    spans = Spans(bits)
    if len(columns) == 1:
        for start, record in zip(*columns[0], strict=True):
            spans.add(start, combinations.setdefault((record,), len(combinations)))
        return spans
    edges: set[int] = {0}
    for starts, _ in columns:
        edges.update(starts)
    changes = [dict(zip(*column, strict=True)) for column in columns]
    now = [""] * len(columns)
    for edge in sorted(edges):
        for at, change in enumerate(changes):
            if edge in change:
                now[at] = change[edge]
        spans.add(edge, combinations.setdefault(tuple(now), len(combinations)))
    return spans

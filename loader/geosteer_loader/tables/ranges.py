"""Disjoint ranges of one address family: what the sources come to, and what the pages are built from."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from operator import sub
from typing import TYPE_CHECKING, NamedTuple, TypeVar, overload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, MutableSequence

    from geosteer_loader.sources.source import Edits

T = TypeVar("T")


class Late(Sequence[T]):
    """A sequence that is made when it is first looked at."""

    __slots__ = ("_made", "_make")

    def __init__(self, make: Callable[[], Sequence[T]]) -> None:
        self._make = make
        self._made: Sequence[T] | None = None

    def made(self) -> Sequence[T]:
        """The sequence itself."""
        if self._made is None:
            self._made = self._make()
        return self._made

    def __len__(self) -> int:
        return len(self.made())

    def __iter__(self) -> Iterator[T]:
        return iter(self.made())

    @overload
    def __getitem__(self, at: int) -> T: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[T]: ...
    def __getitem__(self, at: int | slice) -> T | Sequence[T]:
        return self.made()[at]


class Since(NamedTuple):
    """What is different from a table that was made before."""

    root: str
    """Digest of that table's root page, of one family; "" where there was none."""
    sizes: Mapping[tuple[str, str], int]
    """Record before and after -> number of addresses, of records that differ; "" where nothing is known."""
    total: Mapping[str, int]
    """Record -> how many addresses have it now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranges:
    """Ranges that cover the whole address space of a family, or of one prefix; one ends where the next begins."""

    bits: int
    """32 or 128."""
    starts: Sequence[int]
    """First addresses, ascending; the first is 0, or that of the prefix."""
    records: Sequence[str]
    """One for each start, neighbours differ; "" where nothing is known."""
    prefixes: int
    """Prefixes with a record that the sources gave."""
    edits: Edits | None = None
    """What has changed since an earlier reading, where the one source knows it."""
    part: Callable[[int, int], tuple[Sequence[int], Sequence[bytes]]] | None = None
    """What a prefix (first address, length) holds, as `recut.Content`; there with `edits`."""
    since: Since | None = None
    """What has changed since an earlier table, where that is known."""

    def whole(self) -> tuple[Sequence[int], Sequence[str]]:
        """Starts and records, as fast as they can be read."""
        starts, records = self.starts, self.records
        return (
            starts.made() if isinstance(starts, Late) else starts,
            records.made() if isinstance(records, Late) else records,
        )

    def covered(self) -> int:
        """Number of addresses that have a record."""
        return sum(end - start for start, end, record in self.spans() if record)

    def sizes(self) -> Mapping[str, int]:
        """How many addresses have which record."""
        if self.since is not None:
            return self.since.total
        total: defaultdict[str, int] = defaultdict(int)
        starts, records = self.whole()
        sizes = map(sub, chain(islice(starts, 1, None), (1 << self.bits,)), starts)
        for size, record in zip(sizes, records, strict=True):
            total[record] += size
        return total

    def counted(self) -> Ranges:
        """The same, with the sizes known from now on."""
        return self if self.since is not None else replace(self, since=Since("", {}, self.sizes()))

    def spans(self) -> Iterator[tuple[int, int, str]]:
        """Each range as (first address, first address behind it, record)."""
        ends = chain(self.starts, (1 << self.bits,))
        next(ends)
        return zip(self.starts, ends, self.records, strict=True)


class RangeBuilder:
    """Makes `Ranges` of pieces that arrive in address order and do not overlap."""

    def __init__(self, bits: int, first: int = 0, end: int | None = None) -> None:
        """Args: first, end: the addresses to cover, *end* exclusive; by default all of the family."""
        self._bits = bits
        # 4 bytes a start, where a list takes 36
        self._starts: MutableSequence[int] = array("I", (first,)) if bits == 32 else [first]
        self._records = [""]
        self.first = self._end = first
        self.last = 1 << bits if end is None else end
        """First address to cover, and the first behind them."""
        self._prefixes = 0

    def add(self, start: int, prefix_len: int, record: str) -> None:
        """Append a prefix; the space between the last one and it is unknown.

        Raises: ValueError: it begins within or before the last one.
        """
        if start != self._end:
            self.skip(start)
        self.span(start + (1 << (self._bits - prefix_len)), record)
        if record:
            self._prefixes += 1

    def span(self, end: int, record: str) -> None:
        """Append what lies between the last piece and *end* (exclusive), if there is any space."""
        if end <= self._end:
            return
        if record != self._records[-1]:
            if self._end > self.first:
                self._starts.append(self._end)
                self._records.append(record)
            else:
                self._records[-1] = record
        self._end = end

    def skip(self, start: int) -> None:
        """Leave what lies between the last piece and *start* unknown.

        Raises: ValueError: *start* lies before the end of the last piece.
        """
        if start < self._end:
            raise ValueError(f"{start:#x} lies before {self._end:#x}, the end of the piece before it")
        self.span(start, "")

    def finish(self, prefixes: int | None = None) -> Ranges:
        """The ranges; *prefixes* is their count where it is not the number of `add` calls with a record."""
        self.skip(self.last)
        return Ranges(
            bits=self._bits,
            starts=self._starts,
            records=self._records,
            prefixes=self._prefixes if prefixes is None else prefixes,
        )

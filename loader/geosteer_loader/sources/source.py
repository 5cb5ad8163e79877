"""What every source is: something that gives rows once, and counts what it leaves out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol, overload, runtime_checkable

if TYPE_CHECKING:
    from array import array
    from collections.abc import Mapping

    from geosteer_loader.sources.report import Report

Row = tuple[int, int, int, str]
"""Address bits (32 or 128), first address, prefix length, record.

Record "" is a hole: known to be unknown, so that a wider prefix does not count there either.
"""


class Edits(NamedTuple):
    """What is different from an earlier reading of a source, in one family."""

    of: str
    """Names that reading."""
    touched: list[tuple[int, int]]
    """Prefixes (first address, length) that have another record."""
    sizes: Mapping[tuple[str, str], int]
    """Record before and after -> number of addresses, of those; "" where nothing is known."""
    ranges: int
    """How many more ranges there are, of neighbours with other records; below 0: fewer."""


class PointedRecords(Sequence["str | None"]):
    """Records by what points to them."""

    __slots__ = ("pointers", "texts")

    def __init__(self, pointers: array[int], texts: Mapping[int, str | None]) -> None:
        """Args: pointers: one for each record; texts: what they point to."""
        self.pointers = pointers
        self.texts = texts

    def __len__(self) -> int:
        return len(self.pointers)

    def __iter__(self) -> Iterator[str | None]:
        return map(self.texts.__getitem__, self.pointers)

    @overload
    def __getitem__(self, at: int) -> str | None: ...
    @overload
    def __getitem__(self, at: slice) -> list[str | None]: ...
    def __getitem__(self, at: int | slice) -> str | list[str | None] | None:
        if isinstance(at, slice):
            return list(map(self.texts.__getitem__, self.pointers[at]))
        return self.texts[self.pointers[at]]


class Tiles(NamedTuple):
    """Prefixes side by side that fill the address space of a family."""

    bits: int
    """32 or 128."""
    starts: Sequence[int]
    """First addresses, ascending; the first is 0, and a prefix ends where the next begins."""
    records: PointedRecords
    """One for each; None where the source lists nothing."""
    networks: int
    """How many have a record."""
    edits: Edits | None = None
    """What has changed, where the source knows it."""


FAMILIES = frozenset({32, 128})
"""Address bits of IPv4 and IPv6."""

LIMIT = 4 << 30
"""Bytes that may come out of a compressed file, unless the configuration says otherwise (`max_size`)."""

Progress = Callable[[int, int], None]
"""Called now and then with how much is done and how much there is in all, in units of the source's own."""


Authorised = Callable[[int, int, int], "frozenset[int] | None"]
"""Which ASes may originate a prefix (address bits, first address, length); None: nothing is known against any (RFC 6811)."""


class Source(Protocol):
    """One input file."""

    @property
    def name(self) -> str:
        """The file as messages show it."""

    @property
    def disjoint(self) -> bool:
        """Whether the rows of each family come in address order and do not overlap."""

    @property
    def families(self) -> frozenset[int]:
        """Address bits of the families that it may have rows of."""

    def rows(self, report: Report, progress: Progress | None = None) -> Iterator[Row]:
        """Read the file once, from its beginning.

        Raises: SourceError: `file: place: reason`; rows given before it are worth nothing.
        """


@runtime_checkable
class TiledSource(Source, Protocol):
    """A disjoint source that can give its rows at once, which takes less time than one by one."""

    def tiles(self, report: Report, progress: Progress | None = None) -> Iterator[Tiles]:
        """Read the file once: what `rows` gives, and the gaps between. Raises: SourceError: as `rows`."""

"""What every source is: something that gives rows once, and counts what it leaves out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from geosteer_loader.sources.report import Report

Row = tuple[int, int, int, str]
"""Address bits (32 or 128), first address, prefix length, record.

Record "" is a hole: known to be unknown, so that a wider prefix does not count there either.
"""


class Since(NamedTuple):
    """What is different from a table that was made before."""

    root: str
    """Digest of that table's root page, of one family; "" where there was none."""
    sizes: Mapping[tuple[str, str], int]
    """Record before and after -> number of addresses, of records that differ; "" where nothing is known."""
    total: Mapping[str, int]
    """Record -> how many addresses have it now."""


class Tiles(NamedTuple):
    """Prefixes side by side that fill the address space of a family."""

    bits: int
    """32 or 128."""
    starts: Sequence[int]
    """First addresses, ascending; the first is 0, and a prefix ends where the next begins."""
    records: Sequence[str | None]
    """One for each; None where the source lists nothing."""
    since: Since | None = None
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

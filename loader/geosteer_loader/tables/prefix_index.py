"""Prefixes of one family with their records, kept in order while they change, and read as ranges. No I/O.

A prefix is a number here, `first address << 8 | length`: numbers in order are prefixes in address order, wider ones first.
One prefix takes about 120 bytes.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from typing import TYPE_CHECKING

from geosteer_loader.tables.flatten import sweep
from geosteer_loader.tables.ranges import RangeBuilder

if TYPE_CHECKING:
    from collections.abc import Iterable

    from geosteer_loader.tables.ranges import Ranges

ONE_BY_ONE = 1000
"""Prefixes up to which it costs less to find the place of each than to look at all."""


class PrefixIndex:
    """The prefixes of one family that have a record; "" is a record too, that of a hole."""

    def __init__(self, bits: int) -> None:
        """Args: bits: 32 or 128."""
        self.bits = bits
        self._records: dict[int, str] = {}
        self._ordered: list[int] = []
        self._lengths: Counter[int] = Counter()
        """Length -> prefixes that have it."""
        self.prefixes = 0
        """How many have a record other than ""."""

    def get(self, prefix: int) -> str | None:
        """The record of exactly that prefix."""
        return self._records.get(prefix)

    def update(self, changes: Iterable[tuple[int, str | None]]) -> list[int]:
        """Give prefixes another record, or none; those of them that had another before.

        A prefix may come once only.
        """
        records, lengths = self._records, self._lengths
        different, fresh, gone = [], [], []
        for prefix, record in changes:
            before = records.get(prefix)
            if record == before:
                continue
            different.append(prefix)
            self.prefixes += bool(record) - bool(before)
            if record is None:
                del records[prefix]
                lengths[prefix & 255] -= 1
                gone.append(prefix)
            else:
                records[prefix] = record
                if before is None:
                    lengths[prefix & 255] += 1
                    fresh.append(prefix)
        self._take_out(gone)
        if fresh:
            self._ordered += sorted(fresh)
            self._ordered.sort()  # two runs in order: merged, and not sorted anew
        return different

    def ranges(self, low: int, prefix_len: int) -> Ranges:
        """What the addresses of a prefix have, by longest match. Args: low: its first address."""
        end = low + (1 << (self.bits - prefix_len))
        ordered, records = self._ordered, self._records
        first, after = bisect_left(ordered, low << 8 | prefix_len), bisect_left(ordered, end << 8)
        inside = ((prefix >> 8, prefix & 255, records[prefix]) for prefix in ordered[first:after])
        return sweep(
            RangeBuilder(self.bits, low, end), self.bits, inside, (end, self._around(low, prefix_len))
        )

    def _around(self, low: int, prefix_len: int) -> str:
        """The record of the longest prefix that is wider than the one given, and holds it; "" without any."""
        for length in range(prefix_len - 1, -1, -1):
            if self._lengths[length]:
                host = self.bits - length
                record = self._records.get(low >> host << host << 8 | length)
                if record is not None:
                    return record
        return ""

    def _take_out(self, gone: list[int]) -> None:
        if len(gone) <= ONE_BY_ONE:
            for prefix in gone:
                del self._ordered[bisect_left(self._ordered, prefix)]
        else:
            records = self._records
            self._ordered = [prefix for prefix in self._ordered if prefix in records]

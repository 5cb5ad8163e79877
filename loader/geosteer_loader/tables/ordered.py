"""Prefixes of several sources in one order: by family, first address and length, so that wider ones come before those in them.

A source that is disjoint gives its prefixes in that order, and is read as it goes; of others the distinct prefixes are kept,
about 120 bytes each, and sorted.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING

from geosteer.decision.client import prefix_text
from geosteer.errors import SourceError
from geosteer_loader.sources.networks import NetworkSource

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from geosteer_loader.sources.report import Report
    from geosteer_loader.sources.source import Progress, Row, Source

TWICE = "listed twice with different records; the later line wins"

_BEHIND = (129, 0, 0)
"""Comes after every prefix."""


def ordered(source: Source, report: Report, progress: Progress | None) -> Iterator[Row]:
    """The prefixes of a source in order, each once: the later line wins.

    Raises: SourceError: it cannot be read, or is not disjoint although it says so.
    """
    if isinstance(source, NetworkSource):  # its prefixes are in memory as it is, and distinct
        return merged(source.streams())
    rows = source.rows(report, progress)
    return _checked(source, rows) if source.disjoint else _sorted(source, rows, report)


def _checked(source: Source, rows: Iterator[Row]) -> Iterator[Row]:
    family, end = 0, 0
    for row in rows:
        bits, start, prefix_len, _ = row
        if start < end or bits != family:
            if bits <= family:
                raise out_of_order(source, row)
            family = bits
        end = start + (1 << (bits - prefix_len))
        yield row


def out_of_order(source: Source, row: Row) -> SourceError:
    """The error for a source that says that it is disjoint."""
    place = prefix_text(*row[:3])
    return SourceError(f"{source.name}: {place}: overlaps the prefix before it or is out of order")


def _sorted(source: Source, rows: Iterator[Row], report: Report) -> Iterator[Row]:
    families: dict[int, dict[int, str]] = {}
    texts: dict[str, str] = {}  # one text for all prefixes that have the same
    for bits, start, prefix_len, record in rows:
        prefixes = families.setdefault(bits, {})
        prefix = start << 8 | prefix_len  # in the order of these numbers wider prefixes come first
        if prefixes.get(prefix, record) != record:
            report.note(TWICE, f"{source.name}: {prefix_text(bits, start, prefix_len)}")
        prefixes[prefix] = texts.setdefault(record, record)
    for bits in sorted(families):
        prefixes = families.pop(bits)
        for prefix in sorted(prefixes):
            yield bits, prefix >> 8, prefix & 255, prefixes[prefix]


def merged(streams: Sequence[Iterator[Row]]) -> Iterator[Row]:
    """The prefixes of several streams, each of them in order; of equal ones only that of the last stream."""
    heads = []
    for number, rows in enumerate(streams):
        first = next(rows, None)
        if first is not None:
            heads.append((first[:3], number, first, rows))
    heapify(heads)
    while heads:
        prefix, number, row, rows = heappop(heads)
        limit = heads[0][0] if heads else _BEHIND
        if prefix != limit:
            yield row
        for following in rows:  # as long as no other stream has anything before it
            if following >= limit:
                heappush(heads, (following[:3], number, following, rows))
                break
            yield following

"""Many prefixes, nested and from several sources, become disjoint ranges: the longest match wins.

What overlaps goes through py-radix, which keeps one record for each prefix and gives them back in address
order; one sweep over that order yields the ranges. A single source that is disjoint as it is needs
neither, nor do two sources of one family each: a prefix costs about 600 bytes in py-radix, and nothing there.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import radix

from geosteer.decision.client import prefix_text
from geosteer.errors import SourceError
from geosteer_loader.tables.ranges import RangeBuilder, Ranges

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from geosteer_loader.sources.report import Report
    from geosteer_loader.sources.source import Progress, Source

FAMILIES = (32, 128)
"""Address bits of IPv4 and IPv6."""

TWICE = "listed twice with different records; the later line wins"

_PARTS = 1000


def flatten(sources: Sequence[Source], report: Report, progress: Progress | None = None) -> dict[int, Ranges]:
    """Ranges by address bits (32 and 128, both always there) for what all sources together say.

    The longest prefix around an address wins, whatever its source; among equal prefixes the
    later source, and within a source the later line. A hole (record "") counts as a prefix like any
    other.
    Raises: SourceError: a source cannot be read, or is not disjoint although it says so.
    """
    if _apart(sources):
        return _stream(sources, report, progress)
    return _overlay(sources, report, progress)


def _apart(sources: Sequence[Source]) -> bool:
    """Whether no source can overlap another or itself: one disjoint source, or several of a family each."""
    if not all(source.disjoint for source in sources):
        return False
    if len(sources) == 1:
        return True
    families = [bits for source in sources for bits in source.families]
    return len(families) == len(set(families))


def _stream(sources: Sequence[Source], report: Report, progress: Progress | None) -> dict[int, Ranges]:
    builders = {bits: RangeBuilder(bits) for bits in FAMILIES}
    for number, source in enumerate(sources):
        share = partial(_share, progress, number, len(sources)) if progress else None
        for bits, start, prefix_len, record in source.rows(report, share):
            try:
                builders[bits].add(start, prefix_len, record)
            except ValueError as exc:
                place = prefix_text(bits, start, prefix_len)
                raise SourceError(
                    f"{source.name}: {place}: overlaps the prefix before it or is out of order"
                ) from exc
    return {bits: builder.finish() for bits, builder in builders.items()}


def _overlay(sources: Sequence[Source], report: Report, progress: Progress | None) -> dict[int, Ranges]:
    trees = {bits: radix.Radix() for bits in FAMILIES}
    for number, source in enumerate(sources):
        share = partial(_share, progress, number, len(sources)) if progress else None
        for bits, start, prefix_len, record in source.rows(report, share):
            data = trees[bits].add(packed=start.to_bytes(bits // 8, "big"), masklen=prefix_len).data
            if data.get("source") == number and data["record"] != record:
                report.note(TWICE, f"{source.name}: {prefix_text(bits, start, prefix_len)}")
            data["record"] = record
            data["source"] = number
    ranges = {}
    for bits in FAMILIES:
        tree = trees.pop(bits)  # one family's prefixes are given back before the next one's ranges are made
        ranges[bits] = sweep(
            RangeBuilder(bits),
            bits,
            ((int.from_bytes(node.packed, "big"), node.prefixlen, node.data["record"]) for node in tree),
        )
    return ranges


def sweep(
    builder: RangeBuilder,
    bits: int,
    prefixes: Iterable[tuple[int, int, str]],
    around: tuple[int, str] | None = None,
) -> Ranges:
    """Ranges of longest match from distinct prefixes (first address, length, record).

    They must come in address order, wider ones first where two begin at one address.
    Args: around: end and record of the longest prefix that holds all of them, if one does.
    """
    holding = [around] if around else []  # prefixes that hold the present one, as (end, record), widest first
    count = 0
    for start, prefix_len, record in prefixes:
        while holding and holding[-1][0] <= start:
            builder.span(*holding.pop())
        if holding:
            builder.span(start, holding[-1][1])
        builder.skip(start)
        holding.append((start + (1 << (bits - prefix_len)), record))
        count += record != ""
    while holding:
        builder.span(*holding.pop())
    return builder.finish(count)


def _share(progress: Progress, number: int, sources: int, done: int, total: int) -> None:
    """Turns the progress of one source into that of all."""
    progress(_PARTS * number + _PARTS * done // max(total, 1), _PARTS * sources)

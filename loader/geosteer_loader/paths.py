"""AS-path lengths from several vantage points as one table: `lon=3 ams=4`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from geosteer_loader.ranges import RangeBuilder

if TYPE_CHECKING:
    from collections.abc import Mapping

    from geosteer_loader.ranges import Ranges


def join(views: Mapping[str, Mapping[int, Ranges]]) -> dict[int, Ranges]:
    """One table of the *views* (vantage point -> address bits -> ranges whose record is a length).

    A vantage point that has no path to an address is left out of its record.
    """
    bits = sorted({bits for view in views.values() for bits in view})
    return {each: _join(each, {vantage: view[each] for vantage, view in views.items()}) for each in bits}


def _join(bits: int, views: Mapping[str, Ranges]) -> Ranges:
    events = sorted(
        (start, number, record)
        for number, ranges in enumerate(views.values())
        for start, record in zip(ranges.starts, ranges.records, strict=True)
    )
    names = list(views)
    lengths = [""] * len(names)
    builder = RangeBuilder(bits)
    for position, (start, number, length) in enumerate(events):
        lengths[number] = length
        end = events[position + 1][0] if position + 1 < len(events) else 1 << bits
        if end > start:
            record = " ".join(f"{name}={value}" for name, value in zip(names, lengths, strict=True) if value)
            builder.span(end, record)
    return builder.finish(sum(ranges.prefixes for ranges in views.values()))

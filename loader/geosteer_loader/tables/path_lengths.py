"""AS-path lengths as several vantage points see them, as one table: `lon=3 ams=4`.

Each vantage point's routes are flattened by themselves, so that longest match is decided where the routes were seen; what is
left of each are disjoint ranges, and these are merged in one sweep over all their boundaries.
"""

from __future__ import annotations

from heapq import merge as merge_sorted
from typing import TYPE_CHECKING

from geosteer.decision.records import lengths_text
from geosteer.errors import ConfigError
from geosteer.tables.page_format import MAX_RECORD
from geosteer_loader.sources.bgp_routes import MAX_LENGTH
from geosteer_loader.tables.flatten import flatten
from geosteer_loader.tables.ranges import RangeBuilder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, MutableMapping, Sequence

    from geosteer_loader.sources.report import Report
    from geosteer_loader.sources.source import Progress, Source
    from geosteer_loader.tables.ranges import Ranges

_PARTS = 1000


def flatten_views(
    views: Mapping[str, Sequence[Source]], report: Report, progress: Progress | None = None
) -> dict[int, Ranges]:
    """The table `path` by address bits, of *views* (vantage point -> its sources, later ones before earlier ones).

    One vantage point at a time is read: what takes memory while it is read is given back before the next one's turn.
    Raises: ConfigError: so many or so long names of vantage points do not fit a record. SourceError: a source cannot be read.
    """
    check_room(list(views))
    flat = {}
    for number, (vantage, sources) in enumerate(views.items()):
        flat[vantage] = flatten(sources, report, _part(progress, number, len(views)))
    return merge(flat)


def merge(views: Mapping[str, MutableMapping[int, Ranges]]) -> dict[int, Ranges]:
    """One table of the *views* (vantage point -> address bits -> ranges whose record is a length).

    A vantage point that has no path to an address is left out of its record. The views' ranges are taken out of *views*
    family by family, so that no family is in memory twice.
    """
    bits = sorted({bits for view in views.values() for bits in view})
    return {
        each: merge_views(
            RangeBuilder(each), {name: view.pop(each) for name, view in views.items() if each in view}
        )
        for each in bits
    }


def merge_views(builder: RangeBuilder, views: Mapping[str, Ranges]) -> Ranges:
    """The same of one family, or of one prefix of it: what *builder* is to cover, and every view does."""
    names = list(views)
    lengths = [""] * len(names)
    records: dict[tuple[str, ...], str] = {}  # one text for all ranges that look the same

    def record() -> str:
        seen = tuple(lengths)
        text = records.get(seen)
        if text is None:
            text = records[seen] = lengths_text(zip(names, seen, strict=True))
        return text

    end = builder.first
    for start, number, length in merge_sorted(*map(_boundaries, range(len(names)), views.values())):
        if start > end:  # several views may have a boundary here, and only all of them together make a record
            builder.span(start, record())
            end = start
        lengths[number] = length
    builder.span(builder.last, record())
    return builder.finish(sum(ranges.prefixes for ranges in views.values()))


def _boundaries(number: int, ranges: Ranges) -> Iterator[tuple[int, int, str]]:
    return ((start, number, record) for start, record in zip(ranges.starts, ranges.records, strict=True))


def check_room(names: Sequence[str]) -> None:
    """Raises: ConfigError: so many or so long names of vantage points do not fit a record."""
    longest = lengths_text((name, MAX_LENGTH) for name in names)
    size = len(longest.encode())
    if size > MAX_RECORD:
        reason = f"vantage points with such names need {size} bytes in a record, which holds {MAX_RECORD}"
        raise ConfigError([f"sources.path: {len(names)} {reason}: use shorter names, or fewer"])


def _part(progress: Progress | None, number: int, views: int) -> Progress | None:
    """Turns the progress of one view into that of all."""
    if progress is None:
        return None

    def shown(done: int, total: int) -> None:
        progress(_PARTS * number + _PARTS * done // max(total, 1), _PARTS * views)

    return shown

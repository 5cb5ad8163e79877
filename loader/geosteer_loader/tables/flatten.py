"""Many prefixes, nested and from several sources, become disjoint ranges: the longest match wins.

What may overlap comes in order, merged from all sources, and one sweep over that order yields the ranges. A single source that
is disjoint as it is needs no more than a look at each prefix, nor do two sources of one family each.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from functools import cache, partial
from itertools import compress, groupby, islice
from operator import is_, is_not, itemgetter, ne
from typing import TYPE_CHECKING

from geosteer.tables.page_builder import encode_record
from geosteer_loader.sources.source import TiledSource
from geosteer_loader.tables.ordered import merged, ordered, out_of_order
from geosteer_loader.tables.ranges import Late, RangeBuilder, Ranges

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, MutableSequence, Sequence

    from geosteer_loader.sources.report import Report
    from geosteer_loader.sources.source import Progress, Source, Tiles

FAMILIES = (32, 128)
"""Address bits of IPv4 and IPv6."""

MANY = 8
"""Where more than one prefix for so many records has changed, nearly all of them are needed."""

_PARTS = 1000
_FAMILY, _PREFIX = itemgetter(0), itemgetter(1, 2, 3)


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
    ranges: dict[int, Ranges] = {}
    builders = {bits: RangeBuilder(bits) for bits in FAMILIES}
    for source, share in zip(sources, _shares(progress, len(sources)), strict=True):
        if isinstance(source, TiledSource):
            ranges |= _tiled(source, report, share)
            continue
        for row in source.rows(report, share):
            bits, start, prefix_len, record = row
            try:
                builders[bits].add(start, prefix_len, record)
            except ValueError as exc:
                raise out_of_order(source, row) from exc
    return {bits: ranges[bits] if bits in ranges else builder.finish() for bits, builder in builders.items()}


def _tiled(source: TiledSource, report: Report, progress: Progress | None) -> dict[int, Ranges]:
    """What a source comes to that fills the space of its families."""
    families, encoded = source.families, _Encoded({})
    joined: dict[int, Ranges] = {}
    for tiles in source.tiles(report, progress):
        if tiles.records.texts is not encoded.texts:  # both families have the same, as a rule
            encoded = _Encoded(tiles.records.texts)
        if tiles.bits in families:
            joined[tiles.bits] = _joined(tiles, encoded)
    return joined


def _joined(tiles: Tiles, encoded: _Encoded) -> Ranges:
    """Ranges from prefixes that fill the space: equal neighbours become one."""
    if tiles.edits is None:
        starts, records = _merged(tiles)
        return Ranges(bits=tiles.bits, starts=starts, records=records, prefixes=tiles.networks)
    if len(tiles.edits.touched) > len(encoded.texts) // MANY:
        encoded.fill()
    whole = cache(partial(_merged, tiles))
    return Ranges(
        bits=tiles.bits,
        starts=Late(lambda: whole()[0]),
        records=Late(lambda: whole()[1]),
        prefixes=tiles.networks,
        edits=tiles.edits,
        part=_Part(tiles, encoded),
    )


class _Part:
    """What prefixes hold, as pages have it."""

    def __init__(self, tiles: Tiles, encoded: _Encoded) -> None:
        self._tiles = tiles
        self._encoded = encoded

    def __call__(self, first: int, prefix_len: int) -> tuple[MutableSequence[int], list[bytes]]:
        """Where the ranges of a prefix begin, and their values. Raises: ValueError: a record is too long."""
        bits, starts = self._tiles.bits, self._tiles.starts
        low = bisect_right(starts, first) - 1
        high = bisect_left(starts, first + (1 << (bits - prefix_len)), low)
        values = list(map(self._encoded.__getitem__, self._tiles.records.pointers[low:high]))
        begin: MutableSequence[int] = array("I") if bits == 32 else []
        if any(map(is_, values, islice(values, 1, None))):  # equal ones are one object
            different = [True, *map(is_not, values, islice(values, 1, None))]
            begin.extend(compress(starts[low:high], different))
            values = list(compress(values, different))
        else:
            begin.extend(starts[low:high])
        begin[0] = first
        return begin, values


class _Encoded(dict[int, bytes]):
    """Pointer -> the record as pages have it."""

    def __init__(self, texts: Mapping[int, str | None]) -> None:
        super().__init__()
        self.texts = texts
        self._known: dict[str, bytes] = {}

    def fill(self) -> None:
        """Encode all at once, which costs a third of one by one."""
        if len(self) == len(self.texts):
            return
        texts = [text or "" for text in self.texts.values()]
        self._known.update({text: encode_record(text) for text in set(texts)})
        self.update(zip(self.texts, map(self._known.__getitem__, texts), strict=True))

    def __missing__(self, pointer: int) -> bytes:
        text = self.texts[pointer] or ""
        encoded = self._known.get(text)
        if encoded is None:
            encoded = self._known[text] = encode_record(text)
        self[pointer] = encoded
        return encoded


def _merged(tiles: Tiles, low: int = 0, high: int | None = None) -> tuple[MutableSequence[int], list[str]]:
    """Where ranges begin, and their records, of some of the prefixes."""
    records = [record or "" for record in tiles.records[low:high]]
    first = [True, *map(ne, records, islice(records, 1, None))]
    starts: MutableSequence[int] = array("I") if tiles.bits == 32 else []
    starts.extend(compress(tiles.starts[low:high], first))
    return starts, list(compress(records, first))


def _overlay(sources: Sequence[Source], report: Report, progress: Progress | None) -> dict[int, Ranges]:
    shares = _shares(progress, len(sources))
    rows = merged([ordered(source, report, share) for source, share in zip(sources, shares, strict=True)])
    ranges = {
        bits: sweep(RangeBuilder(bits), bits, map(_PREFIX, family)) for bits, family in groupby(rows, _FAMILY)
    }
    return {bits: ranges[bits] if bits in ranges else RangeBuilder(bits).finish() for bits in FAMILIES}


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
    end, text = around or (-1, "")  # of the innermost prefix so far
    holding: list[tuple[int, str]] = []  # prefixes that hold it, as (end, record), widest first
    count = 0
    for start, prefix_len, record in prefixes:
        if start < end:
            builder.span(start, text)
            holding.append((end, text))
        else:
            builder.span(end, text)
            while holding and holding[-1][0] <= start:
                builder.span(*holding.pop())
            if holding:
                builder.span(start, holding[-1][1])
            elif start > end:
                builder.skip(start)
        end, text = start + (1 << (bits - prefix_len)), record
        count += record != ""
    builder.span(end, text)
    while holding:
        builder.span(*holding.pop())
    return builder.finish(count)


def _shares(progress: Progress | None, sources: int) -> Sequence[Progress | None]:
    """For each source a progress of its own, which adds to that of all: they may be read side by side."""
    if progress is None:
        return [None] * sources
    parts = [0] * sources

    def share(number: int) -> Progress:
        def heard(done: int, total: int) -> None:
            parts[number] = _PARTS * done // max(total, 1)
            progress(sum(parts), _PARTS * sources)

        return heard

    return [share(number) for number in range(sources)]

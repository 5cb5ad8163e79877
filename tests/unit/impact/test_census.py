"""What is found from the pages of two tables is what their ranges say, boundary by boundary."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from geosteer.tables import page_builder
from geosteer_loader.impact.census import Census, summed
from geosteer_loader.impact.table_diff import changes, paired
from geosteer_loader.store.pages import Pages, outline
from geosteer_loader.tables import ranges as rows
from support.long import LONG

if TYPE_CHECKING:
    from geosteer.tables.page_builder import Built

Ranges = tuple[list[int], list[str]]
"""First addresses, and a record for each."""


def table(rng: random.Random, bits: int, count: int) -> Ranges:
    """Some ranges, equal neighbours merged; clustered, so that pages are of all sizes."""
    centres = [rng.randrange(1 << bits) for _ in range(3)]
    starts = {0}
    while len(starts) < count:
        starts.add(min((1 << bits) - 1, rng.choice(centres) ^ rng.randrange(1 << rng.randrange(4, bits))))
    return merged([(start, rng.choice(["", "A", "B", "C", "D 1 2"])) for start in sorted(starts)])


def merged(ranges: list[tuple[int, str]]) -> Ranges:
    starts: list[int] = []
    records: list[str] = []
    for start, record in ranges:
        if not records or records[-1] != record:
            starts.append(start)
            records.append(record)
    return starts, records


def altered(rng: random.Random, bits: int, ranges: Ranges) -> Ranges:
    """Some ranges have another record, some begin elsewhere, some are gone, some are new."""
    entries = dict(zip(*ranges, strict=True))
    for start in rng.sample(sorted(entries)[1:], min(len(entries) - 1, rng.choice([0, 1, 5, 40]))):
        record = entries.pop(start)
        what = rng.random()
        if what < 0.5:
            entries[start] = rng.choice(["", "A", "B", "E"])
        elif what < 0.8:
            entries[min((1 << bits) - 1, start + rng.randrange(1, 300))] = record
    return merged(sorted(entries.items()))


def relabelled(rng: random.Random, ranges: Ranges) -> Ranges:
    """The same ranges, one in a hundred with another record, all over the table."""
    starts, records = ranges[0], list(ranges[1])
    for at in rng.sample(range(len(records)), (len(records) + 99) // 100):
        around = records[max(at - 1, 0) : at + 2]
        records[at] = rng.choice(
            [record for record in ("A", "B", "C", "E", "F", "G") if record not in around]
        )
    return starts, records


def reference(bits: int, before: Ranges | None, after: Ranges | None) -> list[tuple[int, int, str, str]]:
    """Every stretch with its records, from boundary to boundary of either."""
    sides = [side or ([0], [""]) for side in (before, after)]
    edges = sorted({*sides[0][0], *sides[1][0], 1 << bits})
    found = []
    for start, end in pairwise(edges):
        was, now = (records[bisect_right(starts, start) - 1] for starts, records in sides)
        found.append((start, end, was, now))
    return found


def joined(stretches: list[tuple[int, int, str, str]]) -> list[tuple[int, int, str, str]]:
    """Neighbours that are alike become one."""
    whole: list[tuple[int, int, str, str]] = []
    for first, end, was, now in stretches:
        if whole and whole[-1][1:] == (first, was, now):
            first = whole.pop()[0]  # noqa: PLW2901
        whole.append((first, end, was, now))
    return whole


@pytest.mark.parametrize("bits", [32, 128])
@pytest.mark.parametrize("kind", ["altered", "relabelled", "other", "equal", "new", "gone"])
def test_pages_tell_what_ranges_tell(bits: int, kind: str) -> None:
    rng = random.Random(f"{bits} {kind}")
    for count in (1, 40, 700, 2500) if LONG else (1, 300, 900):
        first = table(rng, bits, count)
        second = table(rng, bits, count + 50) if kind == "other" else altered(rng, bits, first)
        before, after = {
            "altered": (first, second), "relabelled": (first, relabelled(rng, first)),
            "other": (first, second), "equal": (first, first), "new": (None, first),
            "gone": (first, None),
        }[kind]  # fmt: skip
        built: list[Built | None] = [
            None if side is None else page_builder.build(bits, *side) for side in (before, after)
        ]
        pages = Pages(None, [each for each in built if each is not None])  # type: ignore[arg-type]  # all are here
        was, now = (None if each is None else each.root.hex() for each in built)
        old, new = outline(pages, bits, was), outline(pages, bits, now)
        expected = reference(bits, before, after)
        moved = [stretch for stretch in expected if stretch[2] != stretch[3]]
        assert joined(list(changes(pages, old, new))) == joined(moved)
        pairs = paired(pages, old, new, lambda *records: records)
        assert [(first, end, *value) for first, end, value in pairs.spans()] == joined(expected)
        sizes: Counter[tuple[str, str]] = Counter()
        for start, end, *records in expected:
            sizes[records[0], records[1]] += end - start
        field = "geo.v4" if bits == 32 else "geo.v6"
        census = Census(pages, {field: (was, now)})
        by_letter: list[Counter[str]] = [Counter(), Counter()]
        for pair, size in sizes.items():
            for side, record in enumerate(pair):
                if record:
                    by_letter[side][record[:1]] += size
        assert census.after(field, lambda record: record[:1]) == by_letter[1]
        assert census.pairs(field) == sizes
        if after is not None and now is not None:  # counted from the ranges, which says the same
            ranges = rows.Ranges(bits=bits, starts=after[0], records=after[1], prefixes=0)
            for roots in (was, now), (now, now):
                counted = Census(pages, {field: roots}, {now: ranges})
                assert counted.pairs(field) == Census(pages, {field: roots}).pairs(field)
        for side in (0, 1):
            assert summed(census.pairs(field), lambda record: record[:1])[side] == by_letter[side]
        assert census.after(field, lambda record: record[:1]) == by_letter[1]

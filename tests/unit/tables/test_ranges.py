"""Disjoint ranges, built of pieces in address order."""

from __future__ import annotations

import pytest

from geosteer_loader.tables.ranges import RangeBuilder


def test_nothing_gives_one_unknown_range():
    ranges = RangeBuilder(32).finish()
    assert (list(ranges.starts), ranges.records, ranges.prefixes, ranges.covered()) == ([0], [""], 0, 0)


def test_gaps_are_unknown_and_equal_neighbours_become_one_range():
    builder = RangeBuilder(32)
    for start, length, record in (
        (0x0A000000, 9, "A"),
        (0x0A800000, 9, "A"),
        (0x0B000000, 8, "B"),
        (0x0D000000, 8, "B"),
    ):
        builder.add(start, length, record)
    ranges = builder.finish()
    assert list(ranges.spans()) == [
        (0, 0x0A000000, ""), (0x0A000000, 0x0B000000, "A"), (0x0B000000, 0x0C000000, "B"),
        (0x0C000000, 0x0D000000, ""),
        (0x0D000000, 0x0E000000, "B"), (0x0E000000, 1 << 32, ""),
    ]  # fmt: skip
    assert ranges.prefixes == 4
    assert ranges.covered() == 3 << 24


@pytest.mark.parametrize("bits", [32, 128])
def test_prefixes_at_both_ends_of_the_address_space_leave_no_empty_range(bits: int):
    builder = RangeBuilder(bits)
    builder.add(0, 1, "A")
    builder.add(1 << (bits - 1), 1, "B")
    ranges = builder.finish()
    assert list(ranges.starts) == [0, 1 << (bits - 1)]
    assert ranges.records == ["A", "B"]
    assert ranges.covered() == 1 << bits


def test_a_hole_is_no_different_from_a_gap():
    builder = RangeBuilder(32)
    builder.add(1 << 24, 8, "")
    builder.add(2 << 24, 8, "A")
    ranges = builder.finish()
    assert list(ranges.starts) == [0, 2 << 24, 3 << 24]
    assert ranges.prefixes == 1


@pytest.mark.parametrize("start", [0, 0x0A000000, 0x0A7FFFFF])
def test_overlap_and_disorder_are_refused(start: int):
    builder = RangeBuilder(32)
    builder.add(0x0A000000, 9, "A")
    with pytest.raises(ValueError, match="lies before"):
        builder.add(start, 32, "B")

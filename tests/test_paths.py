"""AS-path lengths of several vantage points in one table."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from geosteer_loader.paths import join
from geosteer_loader.ranges import RangeBuilder, Ranges

LENGTHS = st.lists(st.tuples(st.integers(0, 15), st.sampled_from(["", "1", "2"])), max_size=6)


def view(pieces: list[tuple[int, str]]) -> Ranges:
    builder = RangeBuilder(32)
    for start, length in sorted(dict(pieces).items()):
        builder.skip(start << 28)
        builder.span((start + 1) << 28, length)
    return builder.finish(len(pieces))


def at(ranges: Ranges, address: int) -> str:
    return next(record for start, end, record in ranges.spans() if start <= address < end)


@given(LENGTHS, LENGTHS)
def test_each_address_has_the_length_from_every_vantage_point_that_has_a_path(
    lon: list[tuple[int, str]], ams: list[tuple[int, str]]
) -> None:
    views = {"lon": view(lon), "ams": view(ams)}
    joined = join({name: {32: ranges} for name, ranges in views.items()})[32]
    for address in range(0, 1 << 32, 1 << 28):
        parts = [f"{name}={at(ranges, address)}" for name, ranges in views.items() if at(ranges, address)]
        assert at(joined, address) == " ".join(parts)
    assert joined.starts[0] == 0
    assert all(one != other for one, other in zip(joined.records, joined.records[1:], strict=False))


def test_the_prefixes_of_all_views_are_counted() -> None:
    joined = join({"lon": {32: view([(1, "3")])}, "ams": {32: view([(1, "2"), (5, "2")])}})
    assert joined[32].prefixes == 3

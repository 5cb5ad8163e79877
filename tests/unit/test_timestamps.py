"""Times in text are the times that `datetime` makes of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geosteer.timestamps import format_time, parse_time

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MOMENTS = st.integers(-62130585600, 253402300799).map(lambda seconds: EPOCH + timedelta(seconds=seconds))


@given(MOMENTS)
def test_a_time_means_the_second_that_the_calendar_says(moment: datetime):
    text = moment.strftime("%Y").zfill(4) + moment.strftime("-%m-%dT%H:%M:%SZ")
    seconds = (moment - EPOCH) // timedelta(seconds=1)
    assert parse_time(text) == seconds
    assert format_time(seconds) == text


@given(st.integers(0, 253402300799), st.floats(0, 1, exclude_max=True))
def test_a_time_comes_back_without_its_fraction(seconds: int, fraction: float):
    assert parse_time(format_time(seconds + fraction)) in {seconds, seconds + round(fraction)}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("2026-02-01T00:00:00Z", 1769904000),
        ("2024-02-29T23:59:59Z", 1709251199),
        ("2000-03-01T00:00:00Z", 951868800),
        ("2026-02-01T00:00:00.25Z", 1769904000.25),
        ("1969-12-31T23:59:59Z", -1),
    ],
)
def test_known_times_are_read_with_or_without_a_fraction(text: str, seconds: float):
    assert parse_time(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "", "Z", "T", "TZ", "2026-02-01", "2026-02-01T00:00:00", "2026-02-01T00:00:00+00:00", "2026-02-01 00:00:00Z",
        "2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z", "2026-02-00T00:00:00Z", "2026-02-32T00:00:00Z",
        "2026-02-01T00:00Z", "2026-02T00:00:00Z", "2026-02-01T00:00:00:00Z",
        "2026-02-31T00:00:00Z", "2026-02-29T00:00:00Z", "2100-02-29T00:00:00Z", "2026-04-31T00:00:00Z",
        "x-02-01T00:00:00Z", "1769904000",
        "2026-02-01T24:00:00Z", "2026-02-01T00:60:00Z", "2026-02-01T00:00:61Z", "2026-02-01T00:00:nanZ",
        "2026-02-01T00:00:infZ", "2026-02-01T-1:00:00Z", "2026-02-01T00:00:-1Z", "2026-02-01T00:00:1e9Z",
        "9" * 400 + "-01-01T00:00:00Z", "-" + "9" * 400 + "-01-01T00:00:00Z", "10000-01-01T00:00:00Z", "0000-01-01T00:00:00Z",
        "2026-02-01T00:00:0" + "0" * 5000 + "Z", "2_026-02-01T00:00:00Z", "\u0662026-02-01T00:00:00Z", "9" * 5000,
    ],
)  # fmt: skip
def test_what_is_no_time_is_refused(text: str):
    with pytest.raises(ValueError):  # noqa: PT011  # int() words some of the refusals
        parse_time(text)


@given(st.integers(1, 9999), st.integers(1, 12), st.integers(1, 31))
def test_a_date_is_one_where_the_calendar_has_it(year: int, month: int, day: int):
    text = f"{year:04}-{month:02}-{day:02}T00:00:00Z"
    try:
        moment = datetime(year, month, day, tzinfo=UTC)
    except ValueError:
        with pytest.raises(ValueError, match="no such date"):
            parse_time(text)
    else:
        assert parse_time(text) == (moment - EPOCH).total_seconds()

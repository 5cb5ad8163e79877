"""Times as they stand in Redis: ISO 8601 in UTC, for example `2026-02-01T00:00:00Z`."""

from __future__ import annotations

LONGEST = 40
"""Characters of a time."""
_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
"""Of each month; February has one more in a leap year."""


def parse_time(text: str) -> float:
    """Seconds since 1970 of an ISO 8601 UTC time, with or without a fraction.

    Plain arithmetic, since `datetime` would cost a worker's start more than it saves here.
    Raises: ValueError: not such a time, or not of the years 1 to 9999.
    """
    if len(text) > LONGEST or not text.isascii() or "_" in text:
        raise ValueError(f"not an ISO 8601 UTC time: {text[:LONGEST]!r}")
    date, separator, clock = text.partition("T")
    if not separator or not clock.endswith("Z"):
        raise ValueError(f"not an ISO 8601 UTC time: {text!r}")
    year, month, day = map(int, date.split("-"))
    hours, minutes, seconds = clock[:-1].split(":")
    hour, minute, second = int(hours), int(minutes), float(seconds)
    if not (
        1 <= year <= 9999 and 1 <= month <= 12 and 1 <= day <= _DAYS[month - 1] + (month == 2 and _leap(year))
    ):
        raise ValueError(f"no such date: {text!r}")
    if not (0 <= hour < 24 and 0 <= minute < 60 and 0 <= second < 61):
        raise ValueError(f"no such time: {text!r}")
    return _days(year, month, day) * 86400 + hour * 3600 + minute * 60 + second


def maybe_time(text: object) -> float | None:
    """Seconds since 1970 of an ISO 8601 UTC time; None: *text* is not such a time."""
    try:
        return parse_time(text) if isinstance(text, str) else None
    except ValueError:
        return None


def format_time(seconds: float) -> str:
    """ISO 8601 UTC of seconds since 1970, whole seconds."""
    days, rest = divmod(int(seconds), 86400)
    year, month, day = _date(days)
    return f"{year:04}-{month:02}-{day:02}T{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}Z"


def format_time_ms(seconds: float) -> str:
    """ISO 8601 UTC with milliseconds: workers tell the time by beats, and a whole second is a step in a ramp."""
    whole, milliseconds = divmod(round(seconds * 1000), 1000)
    return f"{format_time(whole)[:-1]}.{milliseconds:03}Z"


def _leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def _days(year: int, month: int, day: int) -> int:
    """Days from 1970-01-01; months count from March, so that a leap day ends the year."""
    year -= month <= 2
    months = (month + 9) % 12
    return year * 365 + year // 4 - year // 100 + year // 400 + (153 * months + 2) // 5 + day - 1 - 719468


def _date(days: int) -> tuple[int, int, int]:
    era, day = divmod(days + 719468, 146097)
    year = (day - day // 1460 + day // 36524 - day // 146096) // 365
    day -= 365 * year + year // 4 - year // 100
    months = (5 * day + 2) // 153
    month = months + 3 if months < 10 else months - 9
    return era * 400 + year + (month <= 2), month, day - (153 * months + 2) // 5 + 1

"""Times in verdicts and beats: as everywhere in Redis, but with milliseconds."""

from __future__ import annotations

from geosteer.timestamps import format_time, parse_time


def stamp(seconds: float) -> str:
    """ISO 8601 UTC with milliseconds: workers tell the time by beats, and a whole second is a step in a ramp."""
    whole, milli = divmod(round(seconds * 1000), 1000)
    return f"{format_time(whole)[:-1]}.{milli:03}Z"


def maybe_time(text: object) -> float | None:
    """Seconds since 1970; None: no such time."""
    try:
        return parse_time(text) if isinstance(text, str) else None
    except ValueError:
        return None

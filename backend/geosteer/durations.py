"""Durations as configuration files spell them: `90s`, `1h30m`. Imported only where a file is parsed."""

from __future__ import annotations

import re

UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
"""Units of a duration -> seconds."""

LONGEST = 40
"""Characters of a duration."""

_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)", re.ASCII)
_WHOLE = re.compile(f"(?:{_PART.pattern})+", re.ASCII)


def parse_duration(text: str, unit: str = "s") -> int | float:
    """The sum of the parts of *text* in *unit*, rounded to the microsecond; an int where it is whole.

    Raises: ValueError: not a duration; the message does not quote the text.
    """
    if len(text) > LONGEST or not _WHOLE.fullmatch(text):
        raise ValueError('not a duration such as 30, "30s", "10m", "2h" or "1d"')
    seconds = sum(float(size) * UNITS[name] for size, name in _PART.findall(text))
    amount = round(seconds / UNITS[unit], 6)
    return int(amount) if amount == int(amount) else amount

"""What is published of routes that were judged by ROAs: figures of a table, and what somebody should see to."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from geosteer.timestamps import maybe_time

if TYPE_CHECKING:
    from collections.abc import Mapping

JUDGED = ("bgp", "path")
"""Tables that are made of routes."""
WORDS = 300
"""Characters that are kept of a reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What became of a table's routes."""

    vrps: int
    """Validated ROA payloads that they were judged by."""
    built: str
    """When the validator wrote those, ISO 8601 UTC."""
    max_age: float
    """Seconds after which they are old."""
    trouble: str
    """Why earlier ones are in use; "" where the validator's file is."""
    valid: int
    invalid: int
    """Routes that were passed over."""
    not_found: int

    def to_json(self) -> str:
        """As it is published, in field `bgp.rpki` or `path.rpki`."""
        return json.dumps(asdict(self), separators=(",", ":"))


def published_warnings(fields: Mapping[str, str], now: float) -> list[str]:
    """What somebody should see to, by what is published of the ROAs. *fields*: of `current`; *now*: seconds since 1970."""
    lines: dict[str, None] = {}
    for table in JUDGED:
        figures = published_figures(fields, table)
        if figures is None:
            continue
        if figures.trouble:
            lines[f"rpki: {figures.trouble}"] = None
        built = maybe_time(figures.built)
        if built is None or now - built > figures.max_age:
            lines[f"rpki: the ROAs in use are of {figures.built}: does the validator still run?"] = None
    return list(lines)


def published_figures(fields: Mapping[str, str], table: str) -> Figures | None:
    """What is published of one table's routes; None: they were not judged, or that is damaged."""
    try:
        read = json.loads(fields.get(f"{table}.rpki", ""))
        figures = Figures(**{name: read[name] for name in Figures.__slots__})
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    numbers = (figures.vrps, figures.max_age, figures.valid, figures.invalid, figures.not_found)
    if not all(type(value) in {int, float} and 0 <= value < 1 << 53 for value in numbers):
        return None
    words = (figures.built, figures.trouble)
    return figures if all(isinstance(text, str) and len(text) <= WORDS for text in words) else None

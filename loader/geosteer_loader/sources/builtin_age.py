"""How old the built-in country table is, and what to say of it; without what reads the table."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from geosteer.timestamps import maybe_time

if TYPE_CHECKING:
    from collections.abc import Mapping

FORMAT = "builtin"
"""The word of the configuration."""

MONTH = 31 * 86400
"""Seconds after which the data is called old: registries give out new space every day."""

OLD_DATA = "the built-in country table is of "
"""How what is said of an old table begins."""

ADVICE = "name a newer source in [[sources.geo]] (MaxMind, IPinfo, DB-IP), or upgrade geosteer, which brings a newer table"
"""What to do about an old table."""


def stale(built: float, now: float) -> str:
    """What is to be said of a built-in table of that date, "" while it is less than a month old.

    Args: both in seconds since 1970.
    """
    if now - built <= MONTH:
        return ""
    day = datetime.fromtimestamp(built, UTC).date().isoformat()
    days = int((now - built) / 86400)
    return f"{OLD_DATA}{day}, {days} days old: {ADVICE}"


def stale_published(fields: Mapping[str, str], now: float) -> list[str]:
    """The same of what is published, by the fields of `current`; empty where table `geo` has another source, or is new."""
    try:
        sources = json.loads(fields.get("geo.source", ""))
        builtin = any(source.get("format") == FORMAT for source in sources)
    except (ValueError, AttributeError, TypeError, RecursionError):
        return []
    built = maybe_time(fields.get("geo.built", "")) if builtin else None
    told = "" if built is None else stale(built, now)
    return [told] if told else []

"""What the journal tells of tables that follow BGP sessions: they are published every few seconds, and told of once an hour.

So they never push out what operators did. Field `journalled` of `current` says while such publishes go on which generation the
journal knows last, and since when: `412 2026-11-28T12:00:00Z`. Whoever publishes next, be it another program, tells of them
before it tells of itself, so that the journal has every number in one unbroken row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from geosteer.timestamps import format_time, maybe_time
from geosteer_loader.journal.events import Note
from geosteer_loader.store.history import count

if TYPE_CHECKING:
    from collections.abc import Mapping

FIELD = "journalled"
EVERY = 3600.0
"""Seconds of publishes that become one event."""


def untold(before: Mapping[str, str]) -> list[Note]:
    """The event of the publishes of which the journal knows nothing yet. Args: before: the fields of `current`."""
    generation, _, began = before.get(FIELD, "").partition(" ")
    known, newest = count(generation), count(before.get("generation", ""))
    if not 0 < known < newest or maybe_time(began) is None:
        return []
    return [_note(known, newest, began)]


def going_on(before: Mapping[str, str], now: float) -> str | None:
    """The field after one more such publish; None: it is time to tell. Args: now: the primary's time."""
    generation, _, text = before.get(FIELD, "").partition(" ")
    began = maybe_time(text)
    if not count(generation) or began is None:
        return f"{count(before.get('generation', ''))} {format_time(now)}"
    return f"{generation} {text}" if 0 <= now - began < EVERY else None


def told(before: Mapping[str, str], generation: str) -> list[Note]:
    """The event of all of them, with the one that is being published as *generation*."""
    known, _, began = before.get(FIELD, "").partition(" ")
    return [_note(count(known), count(generation), began)]


def _note(known: int, newest: int, began: str) -> Note:
    many = newest - known
    return Note(
        kind="live",
        before=str(known),
        after=str(newest),
        what=f"{many} generation{'s' if many > 1 else ''} since {began}, of tables that follow BGP sessions",
    )

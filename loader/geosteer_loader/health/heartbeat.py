"""A writer's promise that it keeps node states: `count time period`, renewed every period."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from geosteer.sync.node_states import FOREVER, LONGEST_PERIOD, MISSED
from geosteer.timestamps import format_time_ms, maybe_time
from geosteer_loader.health.terms import AHEAD, DAY

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_COUNT = 10**15
"""Beats; a larger count was not counted."""


class Beat(NamedTuple):
    """One field of the hash `beat`."""

    number: int
    time: float
    """Seconds since 1970, by the primary's clock."""
    period: float
    """Seconds until the next."""

    def silent(self, now: float) -> bool:
        """Whether workers take its writer for dead."""
        return self.period > 0 and now - self.time > MISSED * self.period

    def text(self) -> str:
        """As it stands in Redis."""
        return f"{self.number} {format_time_ms(self.time)} {self.period:g}"


def read(text: str | None) -> Beat | None:
    """The beat in a text; None: not a beat."""
    parts = (text or "").split()
    try:
        number, time, period = int(parts[0]), maybe_time(parts[1]), float(parts[2])
    except (ValueError, IndexError):
        return None
    if time is None or not 0 <= number <= MAX_COUNT or not 0 <= period < FOREVER:
        return None
    return Beat(number, time, min(period, LONGEST_PERIOD))  # as workers take it


def following(text: str | None, now: float, period: float) -> Beat:
    """The beat that comes after the one in *text*."""
    last = read(text)
    return Beat(last.number % MAX_COUNT + 1 if last else 1, now, min(period, LONGEST_PERIOD))


def unusable(beats: Mapping[str, str], now: float) -> list[str]:
    """Writers whose beat no program of ours has written: malformed, or from the future."""
    return [name for name, text in beats.items() if (beat := read(text)) is None or beat.time > now + AHEAD]


def abandoned(beats: Mapping[str, str], now: float) -> list[str]:
    """Writers that have been silent for a day, and for three of their periods."""
    return [
        name
        for name, text in beats.items()
        if (beat := read(text)) and beat.time < now - max(DAY, MISSED * beat.period)
    ]

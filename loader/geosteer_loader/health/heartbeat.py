"""A writer's promise that it keeps node states: `count time period`, renewed every period."""

from __future__ import annotations

from typing import NamedTuple

from geosteer.sync.node_states import MISSED
from geosteer_loader.health.timestamps import maybe_time, stamp


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
        return f"{self.number} {stamp(self.time)} {self.period:g}"


def read(text: str | None) -> Beat | None:
    """The beat in a text; None: it is none."""
    parts = (text or "").split()
    try:
        number, time, period = int(parts[0]), maybe_time(parts[1]), float(parts[2])
    except (ValueError, IndexError):
        return None
    return Beat(number, time, period) if time is not None else None


def following(text: str | None, now: float, period: float) -> Beat:
    """The beat that comes after the one in *text*."""
    last = read(text)
    return Beat(last.number + 1 if last else 1, now, period)

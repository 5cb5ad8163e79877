"""Where the numbers of nodes stand, so that those of near nodes do not cover each other."""

from __future__ import annotations

from math import atan2, cos, hypot, sin
from typing import TYPE_CHECKING

from geosteer_loader.web.projection import HEIGHT, WIDTH

if TYPE_CHECKING:
    from collections.abc import Sequence

ROUNDS = 120
PULL = 0.04
"""Of the way back to its place that a label goes in each round."""

Point = tuple[float, float]


def apart(places: Sequence[Point], radius: float) -> list[Point]:
    """A place for each round label near its own, pushed away from the others until they are *radius* twice apart."""
    at = list(places)
    for turn in range(ROUNDS):
        if turn < ROUNDS - 20:  # the last rounds only part them
            at = [
                (x + (px - x) * PULL, y + (py - y) * PULL)
                for (x, y), (px, py) in zip(at, places, strict=True)
            ]
        for first in range(len(at)):
            for second in range(first):
                (x1, y1), (x2, y2) = at[first], at[second]
                distance = hypot(x1 - x2, y1 - y2)
                short = 2 * radius - distance
                if short > 0:
                    angle = (
                        atan2(y1 - y2, x1 - x2) if distance > 1 else 2.4 * (first + turn)
                    )  # of one place: anywhere
                    dx, dy = cos(angle) * short / 2, sin(angle) * short / 2
                    at[first], at[second] = (x1 + dx, y1 + dy), (x2 - dx, y2 - dy)
        at = [(min(max(x, radius), WIDTH - radius), min(max(y, radius), HEIGHT - radius)) for x, y in at]
    return at

"""Which decisions are logged: each with the same probability, whatever happened to those before it."""

from __future__ import annotations

from math import log, log1p

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

MANY = 1 << 62
"""Decisions between two lines at most."""


class Sampler:
    """Counts down to the next decision that is logged."""

    __slots__ = ("_random", "_sample", "left")

    def __init__(self, sample: float, random: Callable[[], float]) -> None:
        """Args: sample: above 0, at most 1; random: uniform in [0, 1)."""
        self._sample, self._random = sample, random
        self.left = 0
        """Decisions up to the next that is logged, itself included; the caller counts it down to 0, then draws again."""
        self.draw()

    def draw(self) -> None:
        """Draw how far off the next one is: a geometric distribution."""
        if self._sample >= 1:
            self.left = 1
            return
        steps = log(1.0 - self._random()) / log1p(-self._sample)
        self.left = int(min(steps, MANY)) + 1

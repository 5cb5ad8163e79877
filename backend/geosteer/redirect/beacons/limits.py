"""Rates that nobody exceeds, in memory that does not grow: the generic cell rate algorithm (ITU-T I.371) over a fixed table.

Each place of the table holds the time at which its source would have sent so much at the allowed rate. Networks that share
a place share its rate: with 65,536 places and a secret salt that happens to few, and to nobody on purpose.
"""

from __future__ import annotations

from array import array

PLACES = 1 << 16


class Limit:
    """So many a second, and some more at once after a pause."""

    def __init__(self, rate: float, burst: float, salt: bytes = b"", places: int = 1) -> None:
        """Args: rate: a second; burst: that may come at once; places: 1: one limit for all."""
        self._interval = 1 / rate
        self._tolerance = (burst - 0.999) / rate  # a little more, for rounding
        self._salt = salt
        self._due = array("d", bytes(8 * places))

    def allows(self, key: str, now: float) -> bool:
        """Whether one more may come. Args: now: monotonic seconds; key: whose it is."""
        return self._due[self._place(key)] <= now + self._tolerance

    def take(self, key: str, now: float) -> None:
        """One came."""
        place = self._place(key)
        self._due[place] = max(self._due[place], now) + self._interval

    def _place(self, key: str) -> int:
        return hash((self._salt, key)) % len(self._due)

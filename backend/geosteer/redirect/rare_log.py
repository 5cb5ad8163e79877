"""A rate limit for log lines that clients can cause at will. No clock of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

SECONDS = 10.0


class RareLog:
    """Writes a line at most every few seconds, with the number of lines left out before it."""

    def __init__(self, log: Callable[[str], None], seconds: float = SECONDS) -> None:
        self._log = log
        self._seconds = seconds
        self._silent_until = float("-inf")
        self._left_out = 0

    def __call__(self, text: str, now: float) -> None:
        """Write it, unless a line was written less than `seconds` before *now* (monotonic)."""
        if now < self._silent_until:
            self._left_out += 1
            return
        more = f" ({self._left_out} more since the last such line)" if self._left_out else ""
        self._left_out = 0
        self._silent_until = now + self._seconds
        self._log(text + more)

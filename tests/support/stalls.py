"""How long the machine itself keeps a thread waiting that wants to run: no server's fault, and no reason to fail a test."""

from __future__ import annotations

import threading
import time
from typing import Self

TICK = 0.005
"""Seconds between two looks."""


class Stalls:
    """Looks at the clock all the time, from a thread of its own, in a `with` block.

    A bound on an answer's time is `limit + stalls.longest()`: on an idle machine that adds next to nothing.
    """

    def __init__(self) -> None:
        self._seen: list[tuple[float, float]] = []
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._ended.clear()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        assert self._thread is not None
        self._thread.join()

    def longest(self, since: float = 0.0) -> float:
        """Seconds of the longest stall that began after *since* (monotonic)."""
        return max((seconds for at, seconds in self._seen.copy() if at >= since), default=0.0)

    def _watch(self) -> None:
        began = time.monotonic()
        while not self._ended.wait(TICK):
            ended = time.monotonic()
            if ended - began > 2 * TICK:
                self._seen.append((began, ended - began - TICK))
            began = ended

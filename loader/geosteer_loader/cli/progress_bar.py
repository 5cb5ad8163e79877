"""A progress bar on a terminal; nothing elsewhere, where the log gets a line."""

from __future__ import annotations

import os
import sys
from time import monotonic
from typing import TYPE_CHECKING, Self

import click

from geosteer_loader.progress import Silent

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from geosteer_loader.progress import Meter

_STEPS = 1000


AFTER = 1.0
"""Seconds of work before the bar appears: what is done sooner needs none."""


class Bar:
    """A bar on stderr, which leaves stdout to the results; it appears once the work takes longer than `AFTER`."""

    def __init__(self, label: str, clock: Callable[[], float] = monotonic) -> None:
        self._bar = click.progressbar(length=_STEPS, label=label, file=sys.stderr)
        self._shown = 0
        self._clock = clock
        self._begin = clock()
        self._visible = False

    def progress(self, done: int, total: int) -> None:
        """Draws when a thousandth more is done."""
        if not self._visible:
            if self._clock() - self._begin < AFTER:
                return
            self._visible = True
            self._bar.__enter__()
        steps = min(_STEPS * done // max(total, 1), _STEPS)
        if steps > self._shown:
            self._bar.update(steps - self._shown)
            self._shown = steps

    def __enter__(self) -> Self:
        self._begin = self._clock()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._visible:
            return
        if kind is None:
            self.progress(1, 1)
        self._bar.__exit__(kind, exc, trace)


def meter(label: str) -> Meter:
    """A bar where a person looks on at a terminal that can redraw a line, else silence."""
    able = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
    return Bar(label) if able else Silent(label)

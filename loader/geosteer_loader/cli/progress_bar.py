"""A progress bar on a terminal; nothing elsewhere, where the log gets a line."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Self

import click

from geosteer_loader.progress import Silent

if TYPE_CHECKING:
    from types import TracebackType

    from geosteer_loader.progress import Meter

_STEPS = 1000


class Bar:
    """A bar on stderr, which leaves stdout to the results."""

    def __init__(self, label: str) -> None:
        self._bar = click.progressbar(length=_STEPS, label=label, file=sys.stderr)
        self._shown = 0

    def progress(self, done: int, total: int) -> None:
        """Draws when a thousandth more is done."""
        steps = min(_STEPS * done // max(total, 1), _STEPS)
        if steps > self._shown:
            self._bar.update(steps - self._shown)
            self._shown = steps

    def __enter__(self) -> Self:
        self._bar.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.progress(1, 1)
        self._bar.__exit__(kind, exc, trace)


def meter(label: str) -> Meter:
    """A bar where a person looks on, else silence."""
    return Bar(label) if sys.stderr.isatty() else Silent(label)

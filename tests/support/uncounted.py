"""What coverage does not measure within a test that it does."""

from __future__ import annotations

import importlib
import pkgutil
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

from coverage import Coverage

import geosteer
import geosteer_loader

if TYPE_CHECKING:
    from collections.abc import Iterator

FIRST = 1.0
"""Seconds of processor time for which a test is measured, and for which what is set up for it is.

With half of it some tests have not come yet to what they are about.
"""


def import_all() -> None:
    """Import every module where coverage is measured.

    Otherwise those that a test imports late, when it is no longer measured, would seem not to have been run at all.
    """
    if Coverage.current() is None:
        return
    for package in (geosteer, geosteer_loader):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith(".__main__"):
                importlib.import_module(module.name)


@contextmanager
def counted_at_first(seconds: float = FIRST) -> Iterator[None]:
    """Measure for so much processor time: what runs for longer goes round the same lines, at a fourth of its pace."""
    measuring = Coverage.current()
    if measuring is None:
        yield
        return
    stopped = False

    def stop(*_: object) -> None:
        nonlocal stopped
        if Coverage.current() is measuring:  # else within `uncounted`, after which the timer comes again
            stopped = True
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
            measuring.stop()

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
        if stopped:
            measuring.start()


@contextmanager
def uncounted() -> Iterator[None]:
    """Count no lines meanwhile: where a whole database is published, counting takes four times as long as the rest."""
    measuring = Coverage.current()
    if measuring is None:
        yield
        return
    measuring.stop()
    try:
        yield
    finally:
        measuring.start()

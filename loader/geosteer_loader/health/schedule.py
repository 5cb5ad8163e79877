"""When each check is due, and how many may be under way. No I/O but the file limit."""

from __future__ import annotations

import resource
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from geosteer_loader.health.watchlist import Check

HURRY = 1.0
"""Seconds over which the first probes of all checks are spread."""
MOST = 1000
"""Probes under way at most; the others wait, which costs them nothing of their own time."""
SPARE = 100
"""File descriptors that are not for probes."""
EACH = 4
"""File descriptors that a probe may need: a node has several addresses."""


def first(check: Check, last: float | None, position: float, now: float) -> tuple[float, float]:
    """When to make a check first and for the second time, after a start.

    Args: last: when it was made before the start; position: of the check among all, 0 to below 1.
    A restart keeps to the times of before, so that it makes no failure count sooner. Otherwise the first probes come
    quickly, and from the second on they are spread evenly over the interval.
    """
    if last is not None and now < last + check.interval:
        return last + check.interval, last + 2 * check.interval
    quickly = now + position * min(HURRY, check.interval)
    return quickly, now + (1 + position) * check.interval


def following(check: Check, due: float, now: float) -> float:
    """When to make a check next that was due at *due*; what was missed is not made up for."""
    late = max(now - due, 0.0)
    return due + check.interval * (1 + late // check.interval)


def overdue(check: Check, last: float | None, period: float, now: float) -> bool:
    """Whether a run that comes about every *period* seconds has to make a check."""
    return last is None or now - last >= check.interval - period / 2


def allowed() -> int:
    """How many probes may be under way; raises this process's limit of open files as far as it may go."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = EACH * MOST + SPARE
    if soft == resource.RLIM_INFINITY:
        return MOST
    if soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return max(1, min(MOST, (soft - SPARE) // EACH))

"""When a check's results make it up or down: three thresholds, as gdnsd counts. Pure.

Source: gdnsd.config(5), `up_thresh`, `ok_thresh`, `down_thresh`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """How many results change a state."""

    up: int
    """Successes in a row that bring up what is down."""
    ok: int
    """Successes in a row after which one that is up forgets its failures."""
    down: int
    """Failures, not forgotten in between, that take down what is up."""


@dataclass(frozen=True, slots=True)
class Health:
    """One check's state, and how far it is from another."""

    up: bool
    failures: int = 0
    """While up: failures that are not forgotten."""
    successes: int = 0
    """Good results in a row, while they count towards something."""

    @property
    def failing(self) -> bool:
        """Whether it is up with failures on its record."""
        return self.up and self.failures > 0

    @property
    def last_good(self) -> bool:
        """Whether the last result was a good one."""
        return self.successes > 0 or (self.up and self.failures == 0)


def step(before: Health | None, good: bool, profile: Profile) -> Health:
    """The health after one more result; the first result is the state."""
    if before is None:
        return Health(good)
    if before.up:
        return _while_up(before, good, profile)
    if not good:
        return Health(False)
    successes = before.successes + 1
    return Health(True) if successes >= profile.up else Health(False, 0, successes)


def _while_up(before: Health, good: bool, profile: Profile) -> Health:
    if not good:
        failures = before.failures + 1
        return Health(False) if failures >= profile.down else Health(True, failures)
    successes = before.successes + 1
    if not before.failures or successes >= profile.ok:
        return Health(True)
    return Health(True, before.failures, successes)

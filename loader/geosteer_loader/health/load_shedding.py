"""How much of its clients a loaded node gives away: one small step at a time. Pure.

The writer that reports loads keeps the value; workers only apply it. A steep reaction to loads that arrive late, made by
every worker for itself, would swing between too much and too little.
"""

from __future__ import annotations

SOFT = 0.8
"""Part of its capacity below which a node takes clients back."""
HARD = 1.0
"""Part of its capacity above which it gives clients away in large steps."""
MIDDLE = (SOFT + HARD) / 2
"""From here on it gives clients away in small steps."""

SMALL, LARGE = 0.05, 0.15
"""Steps, in parts of the node's clients."""


def step(shed: float, load: float) -> float:
    """The part of its clients that a node gives away after one more step.

    Args: shed: before, 0..1; load: in parts of the node's capacity.
    """
    if load > HARD:
        change = LARGE
    elif load > MIDDLE:
        change = SMALL
    elif load < SOFT:
        change = -SMALL
    else:
        change = 0.0
    return round(min(max(shed + change, 0.0), 1.0), 4)


def due(stepped: float, settle: float, now: float) -> bool:
    """Whether the last step, at *stepped*, has had *settle* seconds to show its effect.

    Reports that come from cron are never on time to the second: a twentieth is let pass.
    """
    return now - stepped >= settle * 0.95

"""Which nodes a client is asked to measure: the one it gets, the next best, and one more, so that others stay measured too."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from geosteer.decision.model import Node

RANKED = 12
"""Nodes that are looked at: the first two, and ten of which one is drawn.

With ten the estimates were far better than with the three nearest, and better than with any node (reports were simulated).
"""


def candidates(ranked: Sequence[Node], draw: float) -> tuple[Node, ...]:
    """Three nodes at most. Args: ranked: best first; draw: uniform in [0, 1)."""
    others = ranked[2:RANKED]
    return (*ranked[:2], *([others[int(draw * len(others))]] if others else ()))

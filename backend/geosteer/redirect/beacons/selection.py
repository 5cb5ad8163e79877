"""Which nodes a client is asked to measure: the one it gets, the next best, and one more, so that others stay measured too."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from geosteer.decision.model import Node

RANKED = 12
"""Nodes that are looked at as a rule: the first two, and ten of which one is drawn.

With ten the estimates were far better than with the three nearest, and better than with any node (reports were simulated).
"""
EVERY = 1 << 16
"""So many are looked at where the third is one of the rest."""
NEARBY = 0.75
"""Part of the lists whose third is one of those ten.

Where all nodes nearby take a detour, the best one is among the rest.
"""
TURN = 14_400
"""Seconds for which it is the turn of one node of the rest.

All clients measure the same one: spread over all the rest, samples were too few for any of them to become known.
"""


def candidates(ranked: Sequence[Node], draw: float) -> tuple[Node, ...]:
    """Three nodes at most. Args: ranked: best first; draw: uniform in [0, 1)."""
    others = ranked[2:RANKED]
    return (*ranked[:2], *([others[int(draw * len(others))]] if others else ()))


def distant_candidates(ranked: Sequence[Node], now: float) -> tuple[Node, ...]:
    """The first two, and of those beyond the ten the one whose turn it is; () where there are none beyond.

    Args: ranked: all nodes, best first; now: seconds since 1970.
    """
    rest = {node.name: node for node in ranked[RANKED:]}
    names = sorted(node.name for node in ranked)
    at = int(now // TURN) % max(1, len(names))
    turn = next((rest[name] for name in names[at:] + names[:at] if name in rest), None)
    return (*ranked[:2], turn) if turn is not None else ()

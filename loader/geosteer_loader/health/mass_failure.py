"""When so many nodes fail at once that something else is the likelier cause. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from geosteer_loader.health.watchlist import MapWeights

SHARE = 0.8
"""A prober of which more than this part of the nodes turns bad within a round doubts itself."""
LEAST = 5
"""Fewer nodes say nothing about the prober."""


def doubtful(turned: int, good: int) -> bool:
    """Whether a prober should doubt itself: *turned* nodes turned bad within a round, *good* ones did not."""
    return turned + good >= LEAST and turned > SHARE * (turned + good)


class NodeFailure(NamedTuple):
    """A node that is down, would be, or fails and soon may be."""

    since: float
    """When it went down, or when the probers came to call it down."""
    round: float
    """Seconds from one probe of it to the next."""
    done: bool
    """It is down already, only failing, or has no earlier state that could be kept."""


def hold(
    maps: Sequence[MapWeights], falls: Mapping[str, NodeFailure], now: float
) -> tuple[dict[str, float], list[str]]:
    """Nodes that keep their state for one more round -> when that ends; and why, for operators.

    In a map of which more than `max_down` of the weight would go down within a round, the nodes that are not yet
    down stay as they are until they were found down for a full round.
    """
    held: dict[str, float] = {}
    why = []
    for weighted in maps:
        falling = {
            name: fall
            for name, fall in falls.items()
            if name in weighted.weights and (not fall.done or now - fall.since < fall.round)
        }
        weight = sum(weighted.weights[name] for name in falling)
        if weight <= weighted.max_down * weighted.total:
            continue
        waiting = {
            name: fall.since + fall.round
            for name, fall in falling.items()
            if not fall.done and now < fall.since + fall.round
        }
        for name, until in waiting.items():
            held[name] = max(until, held.get(name, 0.0))
        if waiting:
            why.append(
                f"map {weighted.name}: {weight / weighted.total:.0%} of its weight would be down at once, more than "
                f"max_down {weighted.max_down:.0%}: kept for one more round: {', '.join(sorted(waiting))}"
            )
    return held, why

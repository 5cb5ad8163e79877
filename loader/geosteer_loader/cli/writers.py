"""What the commands that write node states share: `probe` and `feed`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from geosteer_loader.config.host import HostConfig
    from geosteer_loader.health.exchange import Exchange
    from geosteer_loader.health.writer_report import PostResult
    from geosteer_loader.store.store import Store

PERIOD = 60.0
"""Seconds between two runs from cron, unless `--period` says otherwise."""


def exchange(store: Store, name: str, config: HostConfig) -> Exchange:
    """The exchange of the writer with that name."""
    from geosteer_loader.health.exchange import Exchange
    from geosteer_loader.health.transitions import Rule

    return Exchange(store, name, Rule(rule=config.prober.rule, forget=config.prober.forget))


def summary(posted: PostResult) -> str:
    """What changed, and how many nodes are in which state."""
    from geosteer_loader.health.operator_log import changes
    from geosteer_loader.health.transitions import state_of

    states = {
        name: {**fields, **posted.judgement.changes.get(name, {})} for name, fields in posted.states.items()
    }
    counted = [state_of(fields) for fields in states.values()]
    known = [f"{counted.count(word)} {word}" for word in ("up", "down", "unknown") if word in counted]
    lines = [*changes(posted), f"{len(counted)} nodes: {', '.join(known)}" if known else "no nodes"]
    return "\n".join(lines)

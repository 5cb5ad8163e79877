"""Which nodes gdnsd is to give: the file of states that it watches (gdnsd-plugin-extfile(8))."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from geosteer.decision.model import Node
    from geosteer_loader.export.bundle import Bundle
    from geosteer_loader.export.published_state import Picture


def up_nodes(nodes: Sequence[Node], picture: Picture) -> set[str]:
    """The nodes of a map that may be given, as `geosteer.decision.director` goes on where none may.

    First those that are only drained count, then all that no operator put down, then all.
    """
    states, now = picture.states, picture.now

    def forced(node: Node) -> str:
        override = states[node.name].forced(now) if node.name in states else None
        return override.state if override else ""

    def gone(node: Node) -> bool:
        state = states.get(node.name)
        if forced(node) == "up":
            return False
        probed_down = state is not None and state.state == "down"
        assumed = (state is None or state.state == "unknown") and node.assume == "down"
        return forced(node) == "down" or probed_down or assumed

    def percent(node: Node) -> float:
        override = states[node.name].forced(now) if node.name in states else None
        return override.percent if override else 100

    there = {node.name for node in nodes if not gone(node)}
    sharing = {node.name for node in nodes if node.name in there and _share(node, picture) > 0}
    spared = {node.name for node in nodes if forced(node) != "down" and percent(node) > 0}
    return sharing or there or spared or {node.name for node in nodes}


def states(made: Bundle, nodes: Sequence[Node], name: str, picture: Picture) -> str:
    """The file of states: every address and host name of a map's nodes; several nodes may share one."""
    up = up_nodes(nodes, picture)
    lines: dict[str, str] = {}
    for node in nodes:
        state = picture.states.get(node.name)
        if node.name in up and 0 < _share(node, picture) < 1:
            made.lose(f"nodes.{node.name}", "is to keep a share of its clients, and keeps all of them")
        # A TTL below every service's means: the least that the service has.
        word = "DOWN" if node.name not in up else "UP/0" if state and state.failing else "UP"
        for what in (*node.a, *node.aaaa, *([f"{node.hostname}."] if node.hostname else [])):
            if lines.get(what, "DOWN") == "DOWN":
                lines[what] = word
    return f"# map {name}\n" + "".join(f"{json.dumps(what)} => {word}\n" for what, word in lines.items())


def _share(node: Node, picture: Picture) -> float:
    state = picture.states.get(node.name)
    return 1.0 if state is None else state.share(picture.now, node.ramp)

"""Which nodes gdnsd is to give: the file of states that it watches (gdnsd-plugin-extfile(8))."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from geosteer.decision.layer_walk import ASK_STATES, UNKNOWN, levels, node_share

if TYPE_CHECKING:
    from collections.abc import Sequence

    from geosteer.decision.model import Node
    from geosteer_loader.export.bundle import Bundle
    from geosteer_loader.export.published_state import Picture


def up_nodes(nodes: Sequence[Node], picture: Picture) -> set[str]:
    """The nodes of a map that may be given: at the first level of leniency that leaves some, whatever `all_down` says."""
    for level in levels("all"):
        up = {node.name for node in nodes if not _share(node, picture, level)[1]}
        if up:
            return up
    return set()


def states(bundle: Bundle, nodes: Sequence[Node], name: str, picture: Picture) -> str:
    """The file of states: every address and host name of a map's nodes; several nodes may share one."""
    up = up_nodes(nodes, picture)
    lines: dict[str, str] = {}
    for node in nodes:
        state = picture.states.get(node.name)
        if node.name in up and 0 < _share(node, picture)[0] < 1:
            bundle.lose(f"nodes.{node.name}", "keeps all of its clients, not the share that it should")
        # A TTL below every service's means: the least that the service has.
        word = "DOWN" if node.name not in up else "UP/0" if state and state.failing else "UP"
        for what in (*node.a, *node.aaaa, *([f"{node.hostname}."] if node.hostname else [])):
            if lines.get(what, "DOWN") == "DOWN":
                lines[what] = word
    return f"# map {name}\n" + "".join(f"{json.dumps(what)} => {word}\n" for what, word in lines.items())


def _share(node: Node, picture: Picture, level: int = ASK_STATES) -> tuple[float, str]:
    """Its share of its clients, and why it may not be given; gdnsd's own weights say what a map gives to it."""
    return node_share(node, 1, picture.states.get(node.name, UNKNOWN), picture.now, level)

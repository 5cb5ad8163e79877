"""The walk through the layers of a map: which of them name a client, which nodes may serve, and what counts against a node.

Everything that decides walks here: for one client the director, for all clients of a kind `geosteer.decision.distribution`.
"""

from __future__ import annotations

from geosteer.decision.node_state import NodeState

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from geosteer.decision.model import Entries, Map, Node
    from geosteer.decision.policy import Candidate

ASK_STATES, GIVE_DRAINED, IGNORE_PROBES, IGNORE_DRAINS, IGNORE_ALL = range(5)
"""Levels of leniency, tried one after the other until some node of the map may serve."""

COUNTS_AGAINST = {
    # level        probes  drained  put down
    ASK_STATES:    (True,  True,    True),
    GIVE_DRAINED:  (True,  False,   True),   # who keeps no client (drained to 0 %, sheds all) keeps all then
    IGNORE_PROBES: (False, True,    True),   # who is down or assumed down; ramp and shed are not looked at either
    IGNORE_DRAINS: (False, False,   True),
    IGNORE_ALL:    (False, False,   False),  # whom an operator put down, which is loud
}  # fmt: skip
"""Level -> what counts against a node, beside a weight of 0, which always does."""

UNKNOWN = NodeState()
"""The state of a node that nothing is known of."""


def levels(all_down: str) -> tuple[int, ...]:
    """The levels that a map goes through; `all_down = "none"` refuses to answer where probes would have to be ignored."""
    return _STRICT if all_down == "none" else _ALL


_STRICT, _ALL = tuple(range(IGNORE_PROBES)), tuple(COUNTS_AGAINST)


def node_share(
    node: Node, weight: float, state: NodeState, now: float, level: int = ASK_STATES
) -> tuple[float, str]:
    """How much of its clients a node keeps, 0 to 1, and why it may not be given to clients, "" if it may.

    Args: weight: in the layer, times the node's own; now: seconds since 1970.
    """
    if weight <= 0:
        return 0.0, "weight 0"
    whole = not (state.override or state.came_back or state.shed or level)  # it keeps all of its clients
    if whole and state.state == "up":
        return 1.0, ""  # what follows would come to the same
    probes, drained, put_down = COUNTS_AGAINST[level]
    if not put_down:
        return 1.0, ""
    override = state.override and state.forced(now)
    if override and override.state == "down":
        return 0.0, "operator: down"
    if probes:
        share = 1.0 if whole else state.share(now, node.ramp)
        if not (override and override.state == "up"):
            if state.state == "down":
                return share, f"down: {state.reason}" if state.reason else "down"
            if state.state == "unknown" and node.assume == "down":
                return share, "unknown, assumed down"
    else:
        share = override.percent / 100 if override else 1.0
    if share > 0:
        return share, ""
    if not drained:
        return 1.0, ""
    return share, "operator: drained" if override and override.percent <= 0 else "sheds all"


def named(
    area: Map, keys: Callable[[str, str], Iterable[str]], record: Callable[[str], str]
) -> Iterator[tuple[str, Entries]]:
    """The layers of a map that name a client, each with its key (`countries GB`), then `default`.

    Args:
        keys: layer and record -> what the record is called there, most specific first.
        record: table -> what it says of the client; asked as late as possible.
    """
    for layer, table, entries in area.layers:
        text = record(table)
        if text:
            for key in keys(layer, text):
                if key in entries:
                    yield f"{layer} {key}", entries[key]
                    break
    yield "default", area.default


def walk(
    area: Map,
    layers: Iterable[tuple[str, Entries]],
    serving: Callable[[str, Entries], list[Candidate]],
    accept: Callable[[str, list[Candidate]], bool],
) -> bool:
    """Offer a client to one layer after the other; whether any of them had a node that may serve.

    Args:
        serving: the nodes of a layer that may serve. Where no layer has one, `any` counts: all nodes of the map.
        accept: whether the candidates keep the client; else it goes on to the next layer that has some.
    """
    offered = False
    for layer, entries in layers:
        candidates = serving(layer, entries)
        if candidates:
            offered = True
            if accept(layer, candidates):
                return True
    if not offered:
        candidates = serving("any", area.everyone)
        if candidates:
            offered = True
            accept("any", candidates)
    return offered

"""Decisions by policy `best` without the walk: whom a map names is found once, then only node states are looked at.

After a change of a node's state every worker of a host decides anew at the same time; this is what is left to do then. Pure.
"""

from __future__ import annotations

from geosteer.decision.layer_walk import UNKNOWN, named, node_share

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from geosteer.decision.model import Entries, Node, Service
    from geosteer.decision.node_state import NodeState

    Part = tuple[tuple[str, ...], str, tuple[Node, ...]]
    """Record types that get the same, the layer that answers with its key, and the nodes, best first."""
    Chosen = tuple[int, tuple[Part, ...]]
    """Seconds to live, and what each record type gets."""


class Shortlist:
    """The nodes that a service may give to clients of one record, layer by layer, each layer's by weight."""

    __slots__ = ("_levels", "_service")

    def __init__(self, service: Service, keys: Callable[[str, str], Iterable[str]], record: str) -> None:
        """Args: service: one that `is_eligible`; keys: as `Director.keys`; record: what its table says of the clients."""
        self._service = service
        self._levels: list[tuple[str, Entries]] = [
            (layer, tuple(sorted(entries, key=lambda entry: -entry[1])))
            for layer, entries in named(service.map, keys, lambda _: record)
        ]

    def choose(self, states: Mapping[str, NodeState], now: float) -> Chosen | None:
        """What the director decides for these clients while no override ends by itself; None: it is not that simple.

        It is where a node keeps a part of its clients, where nodes are equal, and where no layer has one that may serve.
        Args: states: by node; now: seconds since 1970.
        """
        service, parts, ttl = self._service, [], self._service.ttl
        for kinds in service.choices:
            part = self._part(kinds, states, now)
            if part is None:
                return None
            parts.append(part)
            for node in part[2]:
                if states.get(node.name, UNKNOWN).failing:
                    ttl = service.ttl_min
        return ttl, tuple(parts)

    def _part(self, kinds: tuple[str, ...], states: Mapping[str, NodeState], now: float) -> Part | None:
        """What record types get that get the same."""
        for layer, entries in self._levels:
            nodes = _serving(entries, kinds[0], self._service.max_answers, states, now)
            if nodes is None:
                return None
            if nodes:
                return kinds, layer, nodes
        return None


def is_eligible(service: Service) -> bool:
    """Whether its decisions follow from one table's record and node states, but for ties."""
    return service.policy == "best" and len(service.tables) == 1 and not service.spare


def _serving(
    entries: Entries, kind: str, limit: int, states: Mapping[str, NodeState], now: float
) -> tuple[Node, ...] | None:
    """The first nodes that may serve and keep all of their clients; None: a hash of the client's network has a say."""
    nodes: tuple[Node, ...] = ()
    least = 0.0
    for node, weight in entries:
        share, reason = node_share(node, weight, states.get(node.name, UNKNOWN), now)
        if reason or kind not in node.kinds:
            continue
        if nodes and weight == least:
            return None
        if len(nodes) == limit:
            break
        if share < 1:
            return None
        nodes += (node,)
        least = weight
    return nodes

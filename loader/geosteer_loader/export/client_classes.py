"""Classes of clients that a set of services treats alike, and what each service answers to a class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from geosteer.decision import policy
from geosteer.decision.client import Client
from geosteer.decision.distribution import Distribution, Projection, View

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from geosteer.decision.director import Director
    from geosteer.decision.model import Node, Service
    from geosteer.decision.node_state import NodeState

    Key = tuple[Any, ...]

_SOMEBODY = Client(32, 0, 24)


class Answers:
    """What one service answers to clients of one kind."""

    def __init__(
        self,
        director: Director,
        distribution: Distribution,
        service: Service,
        records: Mapping[str, str],
        states: Mapping[str, NodeState],
        now: float,
    ) -> None:
        """Args: records: table -> what it says of the clients, "" on a miss; now: seconds since 1970."""
        self._director = director
        self._distribution = distribution
        self._service = service
        self._records = records
        self._states = states
        self._now = now
        self.seen = {
            table: Projection(director, service, table)(records.get(table, "")) for table in service.tables
        }
        """Table -> what the service makes of its record."""

    def settled(self) -> dict[str, tuple[Node, ...]] | None:
        """Record type -> nodes, best first, where all of them get the same; None where a hash or a draw settles it."""

        def look(table: str) -> tuple[str, int]:
            return self._records.get(table, ""), 1

        decision = self._director.decide(self._service, _SOMEBODY, look, self._states, self._now)
        return None if decision.split else decision.answer

    def chances(self, kind: str) -> dict[Node, float]:
        """Each node that some of them get as the first of their answer -> the part of them that do; empty: refused."""
        chances = self._distribution.chances(self._service, self.seen, 1).get(kind, {})
        return {node: part for node in self._service.map.nodes if (part := chances.get(node.name, 0.0)) > 0}

    def ranking(self, serving: Callable[[Node], bool] = lambda _: True) -> policy.Groups:
        """Groups of equals, best first, as they are tried one after the other: layer by layer, then all that are left.

        Weights decide, shares don't. *serving* says which nodes count, where the policy compares them with each other.
        """
        view = View(self._service, self.seen)
        ranked: policy.Groups = []
        taken: set[str] = set()
        for _, entries in (*view.layers, ("any", self._service.map.everyone)):
            here = [
                policy.Candidate(node, weight, 1.0)
                for node, weight in entries
                if weight > 0 and serving(node)
            ]
            for group in view.groups(self._service, here) if here else []:
                fresh = [candidate for candidate in group if candidate.node.name not in taken]
                taken.update(candidate.node.name for candidate in fresh)
                if fresh:
                    ranked.append(fresh)
        return ranked


def coarse(service: Service, answers: Answers) -> Key:
    """What a service answers to a place: places are too many to have a class each; what they come to is one of few."""
    settled = answers.settled()
    if settled is not None:
        return tuple((kind, *(node.name for node in nodes)) for kind, nodes in settled.items())
    return tuple(
        (kind, *sorted((node.name, round(part, 6)) for node, part in answers.chances(kind).items()))
        for kind in service.kinds
    )

"""Which nodes the clients of a region get from one configuration, with which probability.

The director decides for one client; this decides for all clients that the tables say the same of, by the same walk.
"""

from __future__ import annotations

from geosteer.decision import policy
from geosteer.decision.layer_walk import UNKNOWN, levels, node_share, walk
from geosteer.decision.model import NEARNESS
from geosteer.decision.node_state import NodeState
from geosteer.decision.probabilities import Group, highest, kept
from geosteer.decision.records import lengths_of, place_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Hashable, Mapping, Sequence

    from geosteer.decision.director import Director
    from geosteer.decision.model import Entries, Map, Model, Node, Service
    from geosteer.decision.policy import Candidate
    from geosteer.decision.probabilities import Chances

    Projected = tuple[Hashable, ...]
    """What a service makes of one table's record: the keys that its map names, the place, path lengths, times."""

DRAWING = frozenset(("weighted", "hash"))
"""Policies that draw by weight; the others rank, and draw among equals only."""


class Projection:
    """What one service sees of records: nothing but what can make a difference to its answer."""

    def __init__(self, director: Director, service: Service, table: str) -> None:
        self._keys = director.keys
        self._layers = [(layer, entries) for layer, asked, entries in service.map.layers if asked == table]
        self._middles = service.middles
        self.place = service.policy in NEARNESS and table == "geo"
        """Whether places make a difference, not only regions."""
        self._measured: Collection[str] | None = None
        """Whose numbers in the record make a difference."""
        if service.policy == "path" and table == "path":
            self._measured = {node.vantage or node.name for node in service.map.nodes}
        elif service.policy == "latency" and table == "rtt":
            self._measured = {node.name for node in service.map.nodes}

    def __call__(self, record: str) -> Projected:
        """The first key of each of the map's layers that ask this table, None where it names none; place and lengths."""
        seen: list[Hashable] = []
        for layer, entries in self._layers:
            seen.append(next((key for key in self._keys(layer, record) if key in entries), None))
        if self.place:
            seen.append(place_of(record, self._middles))
        if self._measured is not None:
            numbers = lengths_of(record).items()
            seen.append(tuple(sorted(item for item in numbers if item[0] in self._measured)))
        return tuple(seen)


class View:
    """What a service knows of the clients of one kind: the layers that name them, their place, path lengths, times."""

    __slots__ = ("layers", "lengths", "place", "times")

    def __init__(self, service: Service, seen: Mapping[str, Projected]) -> None:
        """Args: seen: table -> what the service's projection keeps of its record."""
        parts = {table: iter(facts) for table, facts in seen.items()}
        self.layers: list[tuple[str, Entries]] = []
        """With their keys, `default` last."""
        for layer, table, entries in service.map.layers:
            key = next(parts[table])
            if key is not None:
                self.layers.append((f"{layer} {key}", entries[str(key)]))
        self.layers.append(("default", service.map.default))
        place = next(parts["geo"]) if service.policy in NEARNESS else None
        lengths = next(parts["path"]) if service.policy == "path" else ()
        times = next(parts["rtt"]) if service.policy == "latency" else ()
        assert place is None or isinstance(place, tuple)
        assert isinstance(lengths, tuple)
        assert isinstance(times, tuple)
        self.place: tuple[float, float] | None = place
        self.lengths: dict[str, int] = dict(lengths)
        self.times: dict[str, int] = dict(times)

    def groups(self, service: Service, candidates: Sequence[Candidate]) -> policy.Groups:
        """Candidates in groups of which chance decides the order; for `weighted` and `hash` that is one group."""
        if service.policy in DRAWING:
            return [list(candidates)]
        return policy.groups(
            service, candidates, "", lambda: self.place, lambda: self.lengths, lambda: self.times
        )


class Distribution:
    """One configuration with the nodes in certain states."""

    def __init__(self, model: Model, states: Mapping[str, NodeState], now: float) -> None:
        """Args: now: seconds since 1970, for overrides that end and nodes that ramp up."""
        self.standing = {
            name: standing
            for name, node in model.nodes.items()
            if (standing := _standing(node, states.get(name, UNKNOWN), now)) is not None
        }
        """Node -> the level of leniency at which it may serve first, and its share then."""
        self._known: dict[tuple[object, ...], tuple[Chances, float]] = {}
        self._levels: dict[tuple[str, str], int | None] = {}

    def chances(
        self, service: Service, seen: Mapping[str, Projected], answers: int = 0
    ) -> dict[str, Chances]:
        """Record type -> node -> probability; nothing for a record type where the map refuses to answer.

        Args: seen: table -> what the service's projection keeps of its record; answers: nodes of an answer that count; 0: all.
        """
        return self.chances_of(service, View(service, seen), answers)

    def chances_of(self, service: Service, view: View, answers: int = 0) -> dict[str, Chances]:
        """The same for clients of whom *view* is known; types for which all have the same nodes share one dictionary."""
        chances: dict[str, Chances] = {}
        for kinds in service.choices:
            chances.update(
                dict.fromkeys(kinds, self._walk(service, kinds[0], view, answers or service.max_answers))
            )
        return chances

    def _level(self, area: Map, kind: str) -> int | None:
        """The level of leniency at which some node of a map may serve; where one may, none of a later level is ever asked."""
        key = area.name, kind
        if key not in self._levels:
            self._levels[key] = min(
                (
                    self.standing[node.name][0]
                    for node, weight in area.everyone
                    if weight > 0 and node.name in self.standing and node.has(kind)
                ),
                default=None,
            )
        return self._levels[key]

    def _walk(self, service: Service, kind: str, view: View, answers: int) -> Chances:
        area = service.map
        level = self._level(area, kind)
        if level is None or level not in levels(area.all_down):
            return {}
        chances: Chances = {}
        met: list[list[Group]] = []
        left = 1.0
        gone: set[str] = set()

        def serving(_layer: str, entries: Entries) -> list[Candidate]:
            return [
                policy.Candidate(node, weight, self.standing[node.name][1])
                for node, weight in entries
                if weight > 0
                and node.name in self.standing
                and self.standing[node.name][0] == level
                and node.has(kind)
            ]

        def accept(_layer: str, candidates: list[Candidate]) -> bool:
            nonlocal left
            by_weight = service.policy in DRAWING
            groups = [Group.of(group, by_weight=by_weight) for group in view.groups(service, candidates)]
            # Who gave a client away in one layer gives it away in the next one, too.
            fresh = [group.without(gone) for group in groups]
            here, unkept = self._keepers(fresh, answers)
            for node, chance in here.items():
                chances[node] = chances.get(node, 0.0) + chance * left
            met.append(groups)
            gone.update(candidate.node.name for candidate in candidates)
            left *= unkept
            return not left

        walk(area, view.layers, serving, accept)
        if left:
            for node, chance in highest([group for groups in met for group in groups]).items():
                chances[node] = chances.get(node, 0.0) + chance * left
        return chances

    def _keepers(self, groups: list[Group], answers: int) -> tuple[Chances, float]:
        """As `kept`; remembered, since few layers serve many regions."""
        key = answers, tuple([(group.names, group.runners) for group in groups])
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = kept(groups, answers)
        return known


def all_up(model: Model) -> dict[str, NodeState]:
    """States in which every node serves all its clients."""
    states = {name: NodeState() for name in model.nodes}
    for state in states.values():
        state.state = "up"
    return states


def _standing(node: Node, state: NodeState, now: float) -> tuple[int, float] | None:
    for level in levels("all"):
        share, reason = node_share(node, node.weight, state, now, level)
        if not reason:
            return level, share
    return None

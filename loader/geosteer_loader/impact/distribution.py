"""Which nodes the clients of a region get from one configuration, with which probability: the walk through a map's layers.

The director decides for one client; this decides for all clients that the tables say the same of. How a node fares (whether
it may serve, and with which share) is asked of the director itself, so that the rule stands in one place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from geosteer.decision import policy
from geosteer.decision.director import ASK_STATES, IGNORE_PROBES, Director
from geosteer.decision.model import Map, Service
from geosteer.decision.node_state import NodeState
from geosteer.decision.records import lengths_of, place_of
from geosteer_loader.impact.probabilities import drawn, highest, kept

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence

    from geosteer.decision.model import Entries, Model, Node
    from geosteer.decision.policy import Candidate, Groups
    from geosteer_loader.impact.probabilities import Chances

    Regard = tuple[Hashable, ...]
    """What a service makes of one table's record: the keys that its map names, the place, the path lengths."""


class Lens:
    """What one service sees of records: nothing but what can make a difference to its answer."""

    def __init__(self, director: Director, service: Service, table: str) -> None:
        self._keys = director.keys
        self._layers = [(layer, entries) for layer, asked, entries in service.map.layers if asked == table]
        self.place = service.policy == "nearest" and table == "geo"
        """Whether places make a difference, not only regions."""
        self._lengths = service.policy == "path" and table == "path"

    def __call__(self, record: str) -> Regard:
        """The first key of each of the map's layers that ask this table, None where it names none; place and lengths."""
        seen: list[Hashable] = []
        for layer, entries in self._layers:
            seen.append(next((key for key in self._keys(layer, record) if key in entries), None))
        if self.place:
            seen.append(place_of(record))
        if self._lengths:
            seen.append(record)
        return tuple(seen)


class Forecast:
    """One configuration with the nodes in certain states."""

    def __init__(self, model: Model, states: Mapping[str, NodeState], now: float) -> None:
        """Args: now: seconds since 1970, for overrides that end and nodes that ramp up."""
        self.standing = {
            (name, kind): found
            for name, node in model.nodes.items()
            for kind, found in _standing(model, node, states, now).items()
        }
        """Node and record type -> what has to be ignored for it to serve, and its share then; absent: it never does."""

    def chances(self, service: Service, seen: Mapping[str, Regard]) -> dict[str, Chances]:
        """Record type -> node -> probability, for clients of which *seen* holds what the service's lenses saw, by table.

        Nothing for a record type where the map refuses to answer.
        """
        named, place, lengths = _asked(service, seen)
        return {kind: self._walk(service, kind, named, place, lengths) for kind in service.kinds}

    def _walk(
        self,
        service: Service,
        kind: str,
        named: Sequence[Entries],
        place: tuple[float, float] | None,
        lengths: str,
    ) -> Chances:
        everyone = service.map.everyone
        ignore = min(
            (
                self.standing[node.name, kind][0]
                for node, weight in everyone
                if self._known(node, kind, weight)
            ),
            default=None,
        )
        if ignore is None or (ignore >= IGNORE_PROBES and service.map.all_down == "none"):
            return {}
        layers = [found for entries in named if (found := self._serving(entries, kind, ignore))]
        layers = layers or [self._serving(everyone, kind, ignore)]
        if service.policy in {"weighted", "hash"}:
            return drawn(layers[0], service.max_answers)
        chances: Chances = {}
        left, met, gone = 1.0, [], set[str]()
        for candidates in layers:
            groups = _groups(service, candidates, place, lengths)
            met.append(groups)
            # Who gave the client away in one layer gives it away in the next one, too.
            thinned = [[_thinned(one) if one.node.name in gone else one for one in group] for group in groups]
            here, nobody = kept(thinned, service.max_answers)
            _add(chances, here, left)
            gone.update(candidate.node.name for candidate in candidates)
            left *= nobody
            if not left:
                return chances
        _add(chances, highest(met), left)
        return chances

    def _serving(self, entries: Entries, kind: str, ignore: int) -> list[Candidate]:
        return [
            policy.Candidate(node, weight, self.standing[node.name, kind][1])
            for node, weight in entries
            if self._known(node, kind, weight) and self.standing[node.name, kind][0] <= ignore
        ]

    def _known(self, node: Node, kind: str, weight: float) -> bool:
        return weight > 0 and (node.name, kind) in self.standing


def all_up(model: Model) -> dict[str, NodeState]:
    """States in which every node serves all its clients."""
    states = {name: NodeState() for name in model.nodes}
    for state in states.values():
        state.state = "up"
    return states


def _standing(
    model: Model, node: Node, states: Mapping[str, NodeState], now: float
) -> dict[str, tuple[int, float]]:
    """Record type -> what has to be ignored for the node to serve (as the director counts it), and its share then."""
    alone = {"": Map("", {"default": {node.name: 100}}, model.nodes)}
    found: dict[str, tuple[int, float]] = {}
    for form in ("address", "cname"):
        service = Service("", {"map": "", "policy": "weighted", "answer": form}, alone)
        decision = Director(model).decide(service, None, _nothing, states, now, trace=True)
        for kind in service.kinds:
            rows = [row for row in decision.trace if row["type"] == kind and row["layer"] == "default"]
            for ignore, row in enumerate(rows):
                if row["excluded"] is None:
                    share = float(row["share"])
                    if ignore == ASK_STATES and node.name in states:
                        share = states[node.name].share(now, node.ramp)  # the trace rounds it
                    found[kind] = ignore, share
                    break
    return found


def _nothing(_table: str) -> tuple[str, int]:
    return "", 0


def _asked(
    service: Service, seen: Mapping[str, Regard]
) -> tuple[list[Entries], tuple[float, float] | None, str]:
    """What the map's layers and then its default offer, the client's place, the lengths of its paths."""
    parts = {table: iter(regard) for table, regard in seen.items()}
    named = []
    for _layer, table, entries in service.map.layers:
        key = next(parts[table])
        if key is not None:
            named.append(entries[str(key)])
    place = next(parts["geo"]) if service.policy == "nearest" else None
    lengths = next(parts["path"]) if service.policy == "path" else ""
    assert place is None or isinstance(place, tuple)
    return [*named, service.map.default], place, str(lengths)


def _groups(
    service: Service, candidates: list[Candidate], place: tuple[float, float] | None, lengths: str
) -> Groups:
    if service.policy == "nearest":
        return policy.nearest(candidates, "", place, service.near_km)
    if service.policy == "path":
        return policy.path(candidates, "", lengths_of(lengths))
    return policy.best(candidates, "")


def _thinned(candidate: Candidate) -> Candidate:
    return policy.Candidate(candidate.node, candidate.weight, 0.0)


def _add(chances: Chances, more: Mapping[str, float], times: float) -> None:
    for node, chance in more.items():
        chances[node] = chances.get(node, 0.0) + chance * times

"""The decision: layers of a map -> candidates -> policy -> answer, with its scope and reasons. Pure: no I/O, clock or dice."""

from __future__ import annotations

from geosteer.decision import policy
from geosteer.decision.decision import Decision, note_change
from geosteer.decision.layer_walk import IGNORE_ALL, UNKNOWN, levels, named, node_share, walk
from geosteer.decision.records import Keys, lengths_of, place_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from geosteer.decision.client import Client
    from geosteer.decision.model import Entries, Model, Node, Service
    from geosteer.decision.node_state import NodeState

    TableLookup = Callable[[str], tuple[str, int]]
    """Table -> record ("" on a miss) and length of the widest prefix around the client that has it."""


class Director:
    """Decides from one published configuration."""

    def __init__(self, model: Model) -> None:
        self.services: Mapping[str, Service] = model.services
        """By name, wildcards as `*.x`."""
        self.keys: Callable[[str, str], Sequence[str]] = Keys(model.continents).of
        """Layer and record -> what the record is called in that layer, most specific first."""

    def decide(
        self, service: Service, client: Client | None, look: TableLookup, states: Mapping[str, NodeState], now: float,
        ticket: float = 0.0, *, trace: bool = False,
    ) -> Decision:  # fmt: skip
        """Choose the nodes for every record type that the service has.

        Args:
            client: None if the client is unknown: then only `default` and `any` can answer.
            look: asked lazily, once for each table at most; whatever it raises comes through.
            states: by node; a node that is not there is unknown.
            now: seconds since 1970.
            ticket: in [0, 1), for the policy `weighted`.
            trace: keep the candidates met, for an explanation.
        """
        decision = Decision()
        decision.ttl = service.ttl
        choices = [(kind,) for kind in service.kinds] if trace else service.choices
        walk = _Walk(self, service, client, look, states, now, ticket, decision, trace)
        for kinds in choices:
            walk.choose(kinds)
        self._finish(decision, service, states, now)
        return decision

    def _finish(
        self, decision: Decision, service: Service, states: Mapping[str, NodeState], now: float
    ) -> None:
        for nodes in decision.answer.values():
            for node in nodes:
                if node.name in states and states[node.name].failing:
                    decision.ttl = service.ttl_min
        for node in service.map.nodes:
            state = states.get(node.name)
            if state is not None and state.override is not None:
                override = state.forced(now)
                if override is not None and override.until is not None:
                    note_change(decision, override.until)
        if decision.valid_until is not None:
            decision.ttl = max(1, min(decision.ttl, int(decision.valid_until - now)))


class _Walk:
    """The way through the layers of a map, for one record type after the other."""

    __slots__ = (
        "cells", "client", "decision", "director", "kept", "kind", "layer", "level", "look", "met", "network", "now",
        "service", "split", "states", "ticket", "trace",
    )  # fmt: skip

    def __init__(
        self, director: Director, service: Service, client: Client | None, look: TableLookup,
        states: Mapping[str, NodeState], now: float, ticket: float, decision: Decision, trace: bool,
    ) -> None:  # fmt: skip
        self.director = director
        self.service = service
        self.client = client
        self.look = look
        self.states = states
        self.now = now
        self.ticket = ticket
        self.decision = decision
        self.trace = trace
        self.network = ""
        self._begin("")

    def _begin(self, kind: str) -> None:
        self.kind = kind
        self.level = 0
        self.layer = ""
        """Whose nodes the client gets, with the key that names the client: `countries GB`."""
        self.kept: list[policy.Candidate] = []
        """Who gets the client, best first."""
        self.met: list[tuple[policy.Candidate, str]] = []
        """Who may serve and does not keep the client, with the layer, in the order met."""
        self.split = False
        self.cells: dict[str, tuple[str, int]] = {}
        """Table -> record and prefix length, of the tables that were needed."""

    def choose(self, kinds: tuple[str, ...]) -> None:
        """Put down the nodes for record types that get the same, and in which prefix around the client that holds."""
        self._begin(kinds[0])
        nodes = self._nodes()
        decision, client = self.decision, self.client
        scope = 1
        if client is not None:
            lengths = [length for _, length in self.cells.values()]
            if self.split:
                lengths.append(24 if client.bits == 32 else 48)
            scope = client.scope(max(lengths, default=1))
        for kind in kinds:
            decision.answer[kind] = nodes
            if nodes:
                decision.layer[kind] = self.layer
            decision.asked[kind] = self.cells
            decision.scopes[kind] = scope
            decision.split_by[kind] = self.split
        decision.scope = max(decision.scope, scope)
        if self.split:
            decision.split = True
        if not nodes:
            decision.refused = True

    def _nodes(self) -> tuple[Node, ...]:
        """The nodes, best first; empty when the map refuses to answer."""
        area = self.service.map
        for self.level in levels(area.all_down):
            if self.level == IGNORE_ALL:
                self.decision.loud = f"map {area.name}: no node may serve, operators' overrides are ignored"
            chosen = self._through()
            if chosen is not None:
                return chosen
        return ()

    def _through(self) -> tuple[Node, ...] | None:
        """From layer to layer until one keeps the client; None where no node may serve."""
        if not walk(self.service.map, self._named(), self._serving, self._accept):
            return None
        if not self.kept:
            self._give_to_highest()
        if self.service.spare and len(self.kept) < self.service.max_answers:
            self.kept += self._next_best()
        return tuple([candidate.node for candidate in self.kept])

    def _accept(self, layer: str, candidates: list[policy.Candidate]) -> bool:
        """Whether some of a layer's nodes keep the client; they are the answer then."""
        self.kept = self._keepers(candidates, layer)
        if not self.kept:
            return False
        self.layer = layer
        return True

    def _next_best(self) -> list[policy.Candidate]:
        """Who would get the client if those chosen could not serve, layer by layer, as many as are still wanted."""
        seen, spare = {candidate.node.name for candidate in self.kept}, []
        for layer, entries in (*self._named(), ("any", self.service.map.everyone)):
            for candidate in self._keepers(self._serving(layer, entries), layer):
                if candidate.node.name not in seen:
                    seen.add(candidate.node.name)
                    spare.append(candidate)
            if len(seen) >= self.service.max_answers:
                break
        return spare[: self.service.max_answers - len(self.kept)]

    def _give_to_highest(self) -> None:
        """The client goes to the highest share among the nodes that do not keep it; of equals, to the first that was met."""
        chosen, layer = max(self.met, key=lambda met: met[0].share)
        for candidate, _ in self.met:
            if candidate is not chosen:
                self._note_growth(candidate, chosen.share)
        self.kept, self.layer = [chosen], layer

    def _named(self) -> Iterable[tuple[str, Entries]]:
        """The map's layers that name the client, then `default`."""
        area = self.service.map
        return (
            (("default", area.default),)
            if self.client is None
            else named(area, self.director.keys, self._record)
        )

    def _record(self, table: str) -> str:
        """What a table says of the client; tables are asked as late as possible, and once."""
        cell = self.cells.get(table)
        if cell is None:
            matched = self.decision.matched
            cell = matched.get(table)
            if cell is None:
                cell = matched[table] = self.look(table)
            self.cells[table] = cell
        return cell[0]

    def _serving(self, layer: str, entries: Entries) -> list[policy.Candidate]:
        kind, level, states, now, serving = self.kind, self.level, self.states, self.now, []
        for node, weight in entries:
            state = states.get(node.name, UNKNOWN)
            share, reason = node_share(node, weight, state, now, level)
            if not reason and kind not in node.kinds:
                reason = f"no {kind}"
            if not reason:
                serving.append(policy.Candidate(node, weight, share))
            if self.trace:
                self.decision.trace.append(
                    {
                        "type": kind, "layer": layer, "node": node.name, "weight": weight, "share": share,
                        "state": state.state, "excluded": reason or None,
                    }
                )  # fmt: skip
        return serving

    def _keepers(self, candidates: list[policy.Candidate], layer: str) -> list[policy.Candidate]:
        """Those who keep the client, best first, as many as are wanted; those who don't are added to *met*."""
        limit = self.service.max_answers
        keepers: list[policy.Candidate] = []
        # Whom one layer found at the edge of its catchment does not take the client as another layer's.
        gone = {candidate.node.name for candidate, _ in self.met} if self.service.offsets else ()
        for group in self._ranked(candidates) if len(candidates) > 1 else (candidates,):
            if len(group) > 1:
                self.split = True
            for candidate in group:
                if candidate.node.name not in gone and (candidate.share >= 1 or self._keeps(candidate)):
                    keepers.append(candidate)
                    if len(keepers) == limit:
                        return keepers
                else:
                    self.met.append((candidate, layer))
                    if self.trace:
                        declined = self.kind, candidate.node.name, candidate.share
                        self.decision.declined.append(declined)
        return keepers

    def _ranked(self, candidates: list[policy.Candidate]) -> policy.Groups:
        """The candidates by the policy, best first."""
        service = self.service
        if service.policy == "weighted":
            self.decision.memo = False
            return [policy.weighted(candidates, self.ticket)]
        if service.policy == "hash":
            return [policy.hashed(candidates, self.client.key if self.client is not None else "")]
        return policy.groups(service, candidates, self._network(), self._place, self._lengths, self._times)

    def _place(self) -> tuple[float, float] | None:
        return place_of(self._record("geo"), self.service.middles) if self.client is not None else None

    def _lengths(self) -> dict[str, int]:
        return lengths_of(self._record("path")) if self.client is not None else {}

    def _times(self) -> dict[str, int]:
        return lengths_of(self._record("rtt")) if self.client is not None else {}

    def _keeps(self, candidate: policy.Candidate) -> bool:
        self.split = True
        draw = policy.unit(candidate.node.name, self._network())[0]
        if draw < candidate.share:
            return True
        self._note_growth(candidate, draw)
        return False

    def _note_growth(self, candidate: policy.Candidate, share: float) -> None:
        """The answer may change when a node that ramps up passes that share."""
        state = self.states.get(candidate.node.name, UNKNOWN)
        when = state.reaches(share, self.now, candidate.node.ramp)
        if when is not None:
            note_change(self.decision, when)

    def _network(self) -> str:
        if not self.network and self.client is not None:
            self.network = self.client.network
        return self.network


__all__ = ["Decision", "Director"]

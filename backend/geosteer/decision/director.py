"""The decision: layers of a map -> candidates -> policy -> answer, with its scope and reasons. Pure: no I/O, clock or dice."""

from __future__ import annotations

from geosteer.decision import policy
from geosteer.decision.node_state import NodeState
from geosteer.decision.records import lengths_of, place_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Any

    from geosteer.decision.client import Client
    from geosteer.decision.model import Entries, Model, Node, Service

    Look = Callable[[str], tuple[str, int]]
    """Table -> record ("" on a miss) and length of the widest prefix around the client that has it."""

ASK_STATES, GIVE_DRAINED, IGNORE_PROBES, IGNORE_DRAINS, IGNORE_ALL = range(5)
"""What counts against a node: everything; all but being drained; overrides and zero weights; `down` by an operator and zero
weights; zero weights."""

REGIONS = 512
"""Regions remembered with their country and continent at most: every country, not every subdivision."""

_UNKNOWN = NodeState()


class Decision:
    """Which nodes one client gets for one service."""

    __slots__ = (
        "answer", "layer", "loud", "matched", "memo", "refused", "scope", "split", "trace", "ttl", "valid_until",
    )  # fmt: skip

    def __init__(self) -> None:
        self.answer: dict[str, tuple[Node, ...]] = {}
        """Record type (A, AAAA or CNAME) -> chosen nodes, best first."""
        self.layer: dict[str, str] = {}
        """Record type -> the layer that answered, with its key: `countries GB`."""
        self.matched: dict[str, tuple[str, int]] = {}
        """Table -> record and prefix length, for the tables consulted."""
        self.scope = 1
        """Prefix length around the client in which the answer holds; never 0."""
        self.split = False
        """A hash of the client's network or a draw settled the answer."""
        self.memo = True
        """The same question may get the same answer until something changes; false for draws."""
        self.ttl = 0
        """Seconds."""
        self.valid_until: float | None = None
        """When the answer changes by itself, seconds since 1970."""
        self.refused = False
        """No node may be given: `all_down = "none"`."""
        self.loud = ""
        """What an operator must hear of, "" if nothing."""
        self.trace: list[dict[str, Any]] = []
        """Candidates met, with the reason why not; filled on request."""


class Director:
    """Decides from one published configuration."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self.services: Mapping[str, Service] = model.services
        """By name, wildcards as `*.x`."""
        self._keys: dict[str, tuple[str, str, str]] = {}

    def decide(
        self, service: Service, client: Client | None, look: Look, states: Mapping[str, NodeState], now: float,
        ticket: float = 0.0, *, trace: bool = False,
    ) -> Decision:  # fmt: skip
        """Choose the nodes for every record type that the service has.

        Args:
            client: None where nobody is known: then only `default` and `any` can answer.
            look: asked lazily, once for each table at most; whatever it raises comes through.
            states: by node; a node that is not there is unknown.
            now: seconds since 1970.
            ticket: in [0, 1), for the policy `weighted`.
            trace: keep the candidates met, for an explanation.
        """
        decision = Decision()
        decision.ttl = service.ttl
        for kind in service.kinds:
            walk = _Walk(self, service, client, look, states, now, ticket, decision, kind, trace)
            decision.answer[kind] = walk.choose()
            decision.refused = decision.refused or not decision.answer[kind]
        self._finish(decision, service, client, states, now)
        return decision

    def _finish(
        self,
        decision: Decision,
        service: Service,
        client: Client | None,
        states: Mapping[str, NodeState],
        now: float,
    ) -> None:
        if client is not None:
            length = max((length for _, length in decision.matched.values()), default=1)
            if decision.split:
                length = max(length, 24 if client.bits == 32 else 48)
            decision.scope = client.scope(length)
        if any(
            states.get(node.name, _UNKNOWN).failing for nodes in decision.answer.values() for node in nodes
        ):
            decision.ttl = min(decision.ttl, service.ttl_min)
        for node in service.map.nodes:
            state = states.get(node.name)
            if state is not None and state.override is not None:
                override = state.forced(now)
                if override is not None and override.until is not None:
                    note_change(decision, override.until)
        if decision.valid_until is not None:
            decision.ttl = max(1, min(decision.ttl, int(decision.valid_until - now)))

    def keys(self, layer: str, record: str) -> Sequence[str]:
        """What a table's record is called in a layer of a map, most specific first; nothing for a miss."""
        if not record:
            return ()
        if layer == "networks":
            return (record,)
        if layer == "asns":
            return [origin for origin in record.split(" ") if origin != "AS0"]
        region = record.partition(" ")[0]
        known = self._keys.get(region)
        if known is None:
            if len(self._keys) >= REGIONS:
                self._keys.clear()
            known = self._keys[region] = self._split(region)
        key = known[0 if layer == "subdivisions" else 1 if layer == "countries" else 2]
        return (key,) if key else ()

    def _split(self, region: str) -> tuple[str, str, str]:
        """Subdivision, country, continent of a `geo` record without its location."""
        if region.startswith("@"):
            return "", "", region[1:]
        country, dash, _ = region.partition("-")
        return region if dash else "", country, self._model.continents.get(country, "")


class _Walk:
    """One way through the layers of a map, for one record type."""

    __slots__ = (
        "client",
        "decision",
        "director",
        "kind",
        "look",
        "network",
        "now",
        "service",
        "states",
        "ticket",
        "trace",
    )

    def __init__(
        self, director: Director, service: Service, client: Client | None, look: Look,
        states: Mapping[str, NodeState], now: float, ticket: float, decision: Decision, kind: str, trace: bool,
    ) -> None:  # fmt: skip
        self.director = director
        self.service = service
        self.client = client
        self.look = look
        self.states = states
        self.now = now
        self.ticket = ticket
        self.decision = decision
        self.kind = kind
        self.trace = trace
        self.network = ""

    def choose(self) -> tuple[Node, ...]:
        """The nodes, best first; empty when the map refuses to answer."""
        chosen = self._layers(ASK_STATES)
        if chosen is None:
            chosen = self._layers(GIVE_DRAINED)
        if chosen is None and self.service.map.all_down == "none":
            return ()
        if chosen is None:
            chosen = self._layers(IGNORE_PROBES) or self._layers(IGNORE_DRAINS)
        if chosen is None:
            self.decision.loud = (
                f"map {self.service.map.name}: no node may serve, operators' overrides are ignored"
            )
            chosen = self._layers(IGNORE_ALL)
        return chosen or ()

    def _layers(self, ignore: int) -> tuple[Node, ...] | None:
        """Through the layers that name the client until one keeps it; None where none has a serving node."""
        met: list[tuple[float, policy.Candidate, str]] = []
        for layer, entries in self._named():
            candidates = self._serving(entries, ignore, layer)
            if candidates:
                kept = self._rank(candidates, met, layer)
                if kept:
                    return self._answer(layer, kept, ignore)
        if met:
            layer, kept = self._highest(met)
            return self._answer(layer, kept, ignore)
        candidates = self._serving(self.service.map.everyone, ignore, "any")
        if not candidates:
            return None
        kept = self._rank(candidates, met, "any")
        return self._answer("any", kept or self._highest(met)[1], ignore)

    def _next_best(self, kept: Sequence[policy.Candidate], ignore: int) -> list[policy.Candidate]:
        """Who would get the client if these could not serve, layer by layer, as many as are still wanted."""
        seen, found = {candidate.node.name for candidate in kept}, []
        for layer, entries in (*self._named(), ("any", self.service.map.everyone)):
            for candidate in self._rank(self._serving(entries, ignore, layer), [], layer):
                if candidate.node.name not in seen:
                    seen.add(candidate.node.name)
                    found.append(candidate)
            if len(seen) >= self.service.max_answers:
                break
        return found[: self.service.max_answers - len(kept)]

    def _highest(
        self, met: Sequence[tuple[float, policy.Candidate, str]]
    ) -> tuple[str, list[policy.Candidate]]:
        """Layer and node of the highest share among those who do not keep the client."""
        share, chosen, layer = max(met, key=lambda one: one[0])
        for _, candidate, _ in met:
            if candidate is not chosen:
                self._note_growth(candidate, share)
        return layer, [chosen]

    def _named(self) -> Iterator[tuple[str, Entries]]:
        """The map's layers that name the client, then `default`; tables are asked as late as possible."""
        if self.client is not None:
            for layer, table, entries in self.service.map.layers:
                for key in self.director.keys(layer, self._cell(table)[0]):
                    if key in entries:
                        yield f"{layer} {key}", entries[key]
                        break
        yield "default", self.service.map.default

    def _cell(self, table: str) -> tuple[str, int]:
        matched = self.decision.matched
        cell = matched.get(table)
        if cell is None:
            cell = matched[table] = self.look(table)
        return cell

    def _serving(self, entries: Entries, ignore: int, layer: str) -> list[policy.Candidate]:
        kind, serving = self.kind, []
        for node, weight in entries:
            state = self.states.get(node.name, _UNKNOWN)
            share, reason = self._share(node, weight, state, ignore)
            if not reason and not node.has(kind):
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

    def _share(self, node: Node, weight: float, state: NodeState, ignore: int) -> tuple[float, str]:
        """How much of its clients the node keeps, and why it may not be given, "" if it may."""
        if weight <= 0:
            return 0.0, "weight 0"
        if ignore == IGNORE_ALL:
            return 1.0, ""
        override = state.forced(self.now)
        if override and override.state == "down":
            return 0.0, "operator: down"
        if ignore >= IGNORE_PROBES:
            share = override.percent / 100 if override else 1.0
            if share <= 0 and ignore == IGNORE_DRAINS:
                return 1.0, ""
            return share, "" if share > 0 else "operator: drained"
        share = state.share(self.now, node.ramp)
        if not (override and override.state == "up"):
            if state.state == "down":
                return share, f"down: {state.reason}" if state.reason else "down"
            if state.state == "unknown" and node.assume == "down":
                return share, "unknown, assumed down"
        if share <= 0 and ignore == GIVE_DRAINED:
            return 1.0, ""
        if share <= 0:
            return share, "operator: drained" if override and override.percent <= 0 else "sheds all"
        return share, ""

    def _rank(
        self, candidates: list[policy.Candidate], met: list[tuple[float, policy.Candidate, str]], layer: str
    ) -> list[policy.Candidate]:
        """Those who keep the client, best first; those who don't are added to *met*."""
        name, limit = self.service.policy, self.service.max_answers
        if name in {"weighted", "hash"}:
            return self._drawn(candidates, name)[:limit]
        kept: list[policy.Candidate] = []
        for group in self._groups(candidates, name):
            if len(group) > 1:
                self.decision.split = True
            for candidate in group:
                if self._keeps(candidate):
                    kept.append(candidate)
                    if len(kept) == limit:
                        return kept
                else:
                    met.append((candidate.share, candidate, layer))
        return kept

    def _drawn(self, candidates: list[policy.Candidate], name: str) -> list[policy.Candidate]:
        if len(candidates) == 1:
            return candidates
        self.decision.split = True
        if name == "weighted":
            self.decision.memo = False
            return policy.weighted(candidates, self.ticket)
        ranked = policy.hashed(candidates, self._network())
        for place, candidate in enumerate(ranked[1:], 1):
            above = ranked[min(place, self.service.max_answers) - 1]
            self._note_growth(candidate, policy.overtaking(candidate, above, self._network()))
        return ranked

    def _groups(self, candidates: list[policy.Candidate], name: str) -> policy.Groups:
        if len(candidates) == 1:
            return [candidates]
        if name == "nearest" and self.client is not None:
            place = place_of(self._cell("geo")[0])
            return policy.nearest(candidates, self._network(), place, self.service.near_km)
        if name == "path" and self.client is not None:
            return policy.path(candidates, self._network(), lengths_of(self._cell("path")[0]))
        return policy.best(candidates, self._network())

    def _keeps(self, candidate: policy.Candidate) -> bool:
        if candidate.share >= 1:
            return True
        self.decision.split = True
        draw = policy.unit(candidate.node.name, self._network())[0]
        if draw < candidate.share:
            return True
        self._note_growth(candidate, draw)
        return False

    def _note_growth(self, candidate: policy.Candidate, share: float) -> None:
        """The answer may change when a node that ramps up passes that share."""
        state = self.states.get(candidate.node.name, _UNKNOWN)
        when = state.reaches(share, self.now, candidate.node.ramp)
        if when is not None:
            note_change(self.decision, when)

    def _network(self) -> str:
        if not self.network and self.client is not None:
            self.network = self.client.network
        return self.network

    def _answer(self, layer: str, kept: Sequence[policy.Candidate], ignore: int) -> tuple[Node, ...]:
        self.decision.layer[self.kind] = layer
        if self.service.spare and len(kept) < self.service.max_answers:
            kept = [*kept, *self._next_best(kept, ignore)]
        return tuple([candidate.node for candidate in kept])


def note_change(decision: Decision, when: float) -> None:
    """The answer changes by itself at *when*, if not before."""
    if decision.valid_until is None or when < decision.valid_until:
        decision.valid_until = when

"""The candidates of a decision as `geosteer explain` tells of them: what each has to offer, and what became of it."""

from __future__ import annotations

import json
from math import isfinite
from typing import TYPE_CHECKING, Any

from geosteer.decision import policy
from geosteer.decision.model import NEARNESS
from geosteer.decision.probabilities import Group, kept
from geosteer.decision.records import SLOWEST, lengths_of, place_of
from geosteer.timestamps import format_time
from geosteer_loader.query.explanation import Candidate, Equals, Nearness, PathLength, RoundTrip

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from geosteer.decision.client import Client
    from geosteer.decision.decision import Decision
    from geosteer.decision.model import Node, Offset, Service
    from geosteer_loader.query.context import Context

    Row = Mapping[str, Any]
    """A candidate in `Decision.trace`."""


def keeps(row: Row, asker: Client | None) -> bool:
    """Whether a serving candidate keeps this client, by its share."""
    return policy.keeps(row["node"], row["share"], asker.network if asker else "")


def candidates(
    context: Context, service: Service, decision: Decision, asker: Client | None, kinds: Sequence[str]
) -> list[Candidate]:
    """The candidates met, each once for a type and a layer, as they stood when they were met last."""
    met: dict[tuple[str, str, str], tuple[Row, str | None]] = {}
    for row in decision.trace:
        if row["type"] in kinds:
            key = row["type"], row["layer"], row["node"]
            before, ignored = met.pop(key, ({"excluded": None}, None))
            now_ignored = before["excluded"] if row["excluded"] is None else None
            met[key] = row, now_ignored or ignored
    chances = _chances([row for row, _ in met.values()], service, asker)
    return [
        _candidate(row, ignored, chances.get(key), context, service, decision, asker)
        for key, (row, ignored) in met.items()
    ]


def _candidate(
    row: Row,
    ignored: str | None,
    chance: float | None,
    context: Context,
    service: Service,
    decision: Decision,
    asker: Client | None,
) -> Candidate:
    node = context.model.nodes[row["node"]]
    state = context.states.get(node.name)
    weight = round(row["weight"], 4)
    load = context.loads.get(node.name)
    answered = decision.layer.get(row["type"]) == row["layer"]
    answer = decision.answer.get(row["type"], ()) if answered else ()
    chosen = node in answer
    declined = any(
        (kind, name) == (row["type"], node.name) for kind, name, _ in decision.declined
    )  # for its share, or at the edge of its catchment
    given_away = row["excluded"] is None and (declined or not keeps(row, asker))
    forced = state is not None and state.forced(context.now) is not None
    ramping = state is not None and state.ramping(context.now, node.ramp)
    return Candidate(
        type=row["type"],
        layer=row["layer"],
        node=node.name,
        weight=int(weight) if weight == int(weight) else weight,
        share=round(row["share"], 4),
        state=row["state"],
        excluded=row["excluded"],
        ignored=ignored,
        chance=chance,
        shed=round(state.shed, 4) if state else 0.0,
        failing=state is not None and state.failing,
        load=round(load, 4) if load is not None else None,
        went_by=_went_by(node, service, decision, _whom(context, asker)),
        rank=answer.index(node) + 1 if chosen else None,
        chosen=chosen,
        spilled=given_away and not chosen,
        unwilling=given_away and chosen,
        override=json.loads(context.overrides[node.name]) if forced else None,
        ramps_until=format_time(state.since + node.ramp) if state and ramping else None,
    )


def _went_by(
    node: Node, service: Service, decision: Decision, whom: str
) -> Nearness | PathLength | RoundTrip | None:
    times = _times(service, decision)
    if times:
        time = times.get(node.name)
        if time is not None and time > SLOWEST:
            return RoundTrip(None, f"fails for {time - SLOWEST} % of {whom}")
        return RoundTrip(time, None, *_biased(node, service, time, service.offsets))
    if service.policy in NEARNESS:
        place = _place(service, decision)
        away = policy.distance(place, node.location) if place else float("inf")
        known = away if isfinite(away) else None
        return Nearness(
            None if known is None else round(known, 1), *_biased(node, service, known, service.offsets_km)
        )
    if service.policy == "path":
        vantage = node.vantage or node.name
        return PathLength(vantage, _lengths(decision).get(vantage))
    return None


def _biased(
    node: Node, service: Service, measure: float | None, offsets: Mapping[str, Offset]
) -> tuple[float | None, float | None, float | None]:
    """A node's bias, what is added for its `max_share`, and what its distance or time counts as with both.

    None where it has none, or where nothing is known.
    """
    factor, offset = service.factors.get(node.name), offsets.get(node.name)
    if measure is None or (factor is None and offset is None):
        return None, None, None
    added = offset.add if offset is not None else 0.0
    counts = measure * (1.0 if factor is None else factor) + added
    return service.bias.get(node.name) or None, round(added, 1) or None, round(counts, 1)


def _whom(context: Context, asker: Client | None) -> str:
    """The AS of a client, or its network."""
    if asker is None:
        return "its clients"
    return context.cell("bgp", asker.bits, asker.address)[0].partition(" ")[0] or asker.network


def _place(service: Service, decision: Decision) -> tuple[float, float] | None:
    return place_of(decision.matched.get("geo", ("", 0))[0], service.middles)


def _times(service: Service, decision: Decision) -> dict[str, int]:
    """Node of the map -> its round-trip time, where the policy goes by it."""
    if service.policy != "latency":
        return {}
    times = lengths_of(decision.matched.get("rtt", ("", 0))[0])
    return {node.name: times[node.name] for node in service.map.nodes if node.name in times}


def _lengths(decision: Decision) -> dict[str, int]:
    return lengths_of(decision.matched.get("path", ("", 0))[0])


def _chances(
    rows: Sequence[Row], service: Service, asker: Client | None
) -> dict[tuple[str, str, str], float]:
    """(type, layer, node) -> its part of those who come to its layer; empty where the policy does not draw."""
    if service.policy not in {"weighted", "hash"}:
        return {}
    layers: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        layers.setdefault((row["type"], row["layer"]), []).append(row)
    chances_by_row = {}
    for (kind, layer), members in layers.items():
        serving = [row for row in members if row["excluded"] is None]
        if service.policy == "weighted":
            chances = draw_chances(serving, asker)
        elif serving:
            chances, _ = kept([Group([(row["node"], row["share"], row["weight"]) for row in serving])], 1)
        else:
            chances = {}
        for row in members:
            chances_by_row[kind, layer, row["node"]] = round(chances.get(row["node"], 0.0), 6)
    return chances_by_row


def draw_chances(serving: Sequence[Row], asker: Client | None) -> dict[str, float]:
    """Node -> its part of one client's draws among a layer's serving candidates; nothing where none keeps the client."""
    weights = {row["node"]: row["weight"] for row in serving if keeps(row, asker)}
    total = sum(weights.values())
    return {node: weight / total for node, weight in weights.items()}


def equals(
    context: Context, service: Service, decision: Decision, asker: Client | None, kinds: Sequence[str]
) -> list[Equals]:
    """The candidates of the layers that answered between which the policy makes no difference, and what orders them."""
    return [equal for kind in kinds for equal in _equals(kind, context, service, decision, asker)]


def _equals(
    kind: str, context: Context, service: Service, decision: Decision, asker: Client | None
) -> Iterator[Equals]:
    layer = decision.layer.get(kind)
    latest = {row["node"]: row for row in decision.trace if (row["type"], row["layer"]) == (kind, layer)}
    serving = [
        policy.Candidate(context.model.nodes[row["node"]], row["weight"], row["share"])
        for row in latest.values()
        if row["excluded"] is None
    ]
    if len(serving) < 2 or service.policy == "weighted":
        return
    network = asker.network if asker else ""
    if service.policy == "hash":
        groups: policy.Groups = [policy.hashed(serving, asker.key if asker else "")]
        by = "a hash of node and client, weighted"
    else:
        groups = policy.groups(
            service,
            serving,
            network,
            lambda: _place(service, decision) if asker else None,
            lambda: _lengths(decision),
            lambda: _times(service, decision),
        )
        by = "a hash of node and client"
    whom = f"the client counts as {network}" if network else "nothing is known of the client"
    for group in groups:
        if len(group) > 1:
            alike = _alike(group, service, decision, asker)
            yield Equals(
                type=kind,
                nodes=[candidate.node.name for candidate in group],
                reason=f"{alike}, so they are ordered by {by} ({whom})",
            )


def _alike(
    group: Sequence[policy.Candidate], service: Service, decision: Decision, asker: Client | None
) -> str:
    """In what they do not differ."""
    if service.policy == "hash":
        return "policy hash"
    if service.policy == "path" and asker is not None and _lengths(decision):
        return "the same path length and weight"
    if asker is not None and not _times(service, decision).keys().isdisjoint(
        each.node.name for each in group
    ):
        times = {_times(service, decision).get(each.node.name) for each in group}
        return "the same time and weight" if len(times) == 1 else "about as fast, and of the same weight"
    if service.policy in NEARNESS and asker is not None and _place(service, decision) is not None:
        places = {candidate.node.location for candidate in group}
        return "the same distance and weight" if len(places) == 1 else "about as near, and of the same weight"
    return "the same weight"

"""Why a decision came out as it did: the layers tried, what each candidate has to offer, and why the scope is that narrow."""

from __future__ import annotations

import json
from math import isfinite
from typing import TYPE_CHECKING, Any

from geosteer.decision import policy
from geosteer.decision.client import prefix_text
from geosteer.decision.probabilities import Group, kept
from geosteer.decision.records import lengths_of, place_of
from geosteer.timestamps import format_time

if TYPE_CHECKING:
    from collections.abc import Sequence

    from geosteer.decision.client import Client
    from geosteer.decision.decision import Decision
    from geosteer.decision.director import Director
    from geosteer.decision.model import Service
    from geosteer_loader.query.context import Sight

HASHED = {32: 24, 128: 48}
"""Address bits -> length of the client's network as hashes and draws see it."""


def layers(
    director: Director, service: Service, decision: Decision, asker: Client | None, kinds: Sequence[str]
) -> list[dict[str, Any]]:
    """The layers that were asked, in their order: `type`, `layer`, `table`, `key` (or None), `outcome`."""
    found = []
    for kind in kinds:
        met = [{**one, "keeps": _keeps(one, asker)} for one in decision.trace if one["type"] == kind]
        labels = {one["layer"] for one in met}
        rows: list[dict[str, Any]] = []
        for layer, table, entries in service.map.layers:
            if table not in decision.matched:
                break
            record = decision.matched[table][0]
            keys = director.keys(layer, record)
            key = next((one for one in keys if one in entries), None)
            if key is not None and f"{layer} {key}" not in labels:
                break  # an earlier layer answered
            outcome = (
                _outcome(f"{layer} {key}", met, decision.layer.get(kind)) if key else _nothing(record, keys)
            )
            rows.append({"type": kind, "layer": layer, "table": table, "key": key, "outcome": outcome})
            if not labels - {f"{one['layer']} {one['key']}" for one in rows}:
                break
        for layer in ("default", "any"):
            if layer in labels:
                outcome = _outcome(layer, met, decision.layer.get(kind))
                rows.append({"type": kind, "layer": layer, "table": None, "key": None, "outcome": outcome})
        found += rows
    return found


def _nothing(record: str, keys: Sequence[str]) -> str:
    if not record:
        return "the table has nothing for the client"
    return f"does not name {' or '.join(keys)}" if keys else f"{record} is none"


def _outcome(label: str, met: Sequence[dict[str, Any]], answered: str | None) -> str:
    mine = [one for one in met if one["layer"] == label and one["excluded"] is None]
    if label == answered:
        return "answers" if any(one["keeps"] for one in mine) else "answers, since nobody keeps the client"
    return "its nodes give the client away" if mine else "has no serving node"


def policy_reason(service: Service, decision: Decision, asker: Client | None) -> str | None:
    """Why the policy could not go by what it is named after, in words."""
    if service.policy not in {"nearest", "path"}:
        return None
    if asker is None:
        return "nobody is known, so nodes rank as in best"
    if service.policy == "nearest" and "geo" in decision.matched:
        known = place_of(decision.matched["geo"][0]) is not None
        return None if known else "geo has no place for the client, so nodes rank as in best"
    if service.policy == "path" and "path" in decision.matched and not decision.matched["path"][0]:
        return "no vantage point has a path to the client, so nodes rank as in best"
    return None


def _keeps(one: dict[str, Any], asker: Client | None) -> bool:
    """Whether a serving candidate keeps this client, by its share."""
    return policy.keeps(one["node"], one["share"], asker.network if asker else "")


def candidates(
    sight: Sight, service: Service, decision: Decision, asker: Client | None, kinds: Sequence[str]
) -> list[dict[str, Any]]:
    """The candidates met, each once, with what the policy went by and whether it was chosen.

    `rank` is the place among the answers; `ignored` is why a node would not have served, had there been any other; `spilled`
    says that a node gives this client away, to keep no more than its share of them, `unwilling` that it was chosen all the
    same, since nobody keeps the client; `override` is what an operator said, while it is in force; `ramps_until` is when a
    node that came back has its whole share; `failing` says that checks fail, which shortens the TTL of its answers.
    """
    latest: dict[tuple[str, str, str], dict[str, Any]] = {}
    for one in decision.trace:
        if one["type"] in kinds:
            key = one["type"], one["layer"], one["node"]
            before = latest.pop(key, {"excluded": None})
            ignored = before["excluded"] if one["excluded"] is None else None
            latest[key] = {**one, "ignored": ignored or before.get("ignored")}
    found = list(latest.values())
    if service.policy in {"weighted", "hash"}:
        _add_chances(found, service, asker)
    for one in found:
        _describe(one, sight, service, decision, asker)
    return found


def _describe(
    one: dict[str, Any], sight: Sight, service: Service, decision: Decision, asker: Client | None
) -> None:
    node = sight.model.nodes[one["node"]]
    weight = round(one["weight"], 4)
    one["weight"] = int(weight) if weight == int(weight) else weight
    state = sight.states.get(node.name)
    one["shed"] = round(state.shed, 4) if state else 0.0
    one["failing"] = state is not None and state.failing
    load = sight.loads.get(node.name)
    one["load"] = round(load, 4) if load is not None else None
    if service.policy == "nearest":
        here = place_of(decision.matched.get("geo", ("", 0))[0])
        away = policy.distance(here, node.location) if here else float("inf")
        one["km"] = round(away, 1) if isfinite(away) else None
    if service.policy == "path":
        one["vantage"] = node.vantage or node.name
        one["path_length"] = lengths_of(decision.matched.get("path", ("", 0))[0]).get(one["vantage"])
    answered = decision.layer.get(one["type"]) == one["layer"]
    nodes = decision.answer.get(one["type"], ()) if answered else ()
    keeps = one["excluded"] is not None or _keeps(one, asker)
    one["rank"] = nodes.index(node) + 1 if node in nodes else None
    one["chosen"] = node in nodes
    one["spilled"] = not keeps and node not in nodes
    one["unwilling"] = not keeps and node in nodes
    one["share"] = round(one["share"], 4)
    forced = state is not None and state.forced(sight.now) is not None
    one["override"] = json.loads(sight.overrides[node.name]) if forced else None
    ramping = state is not None and state.ramping(sight.now, node.ramp)
    one["ramps_until"] = format_time(state.since + node.ramp) if state and ramping else None


def _add_chances(rows: Sequence[dict[str, Any]], service: Service, asker: Client | None) -> None:
    """Each one's part, for the first answer, of those who come to its layer: of this client's draws, or of all clients."""
    layers: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for one in rows:
        one["chance"] = 0.0
        if one["excluded"] is None:
            layers.setdefault((one["type"], one["layer"]), []).append(one)
    for serving in layers.values():
        if service.policy == "weighted":
            chances = draw_chances(serving, asker)
        else:
            group = Group([(one["node"], one["share"], one["weight"]) for one in serving])
            chances, _ = kept([group], 1)
        for one in serving:
            one["chance"] = round(chances.get(one["node"], 0.0), 6)


def draw_chances(serving: Sequence[dict[str, Any]], asker: Client | None) -> dict[str, float]:
    """Node -> its part of one client's draws among a layer's serving candidates; nothing where nobody keeps the client."""
    weights = {one["node"]: one["weight"] for one in serving if _keeps(one, asker)}
    total = sum(weights.values())
    return {node: weight / total for node, weight in weights.items()}


def scope_reason(service: Service, decision: Decision, asker: Client | None, kinds: Sequence[str]) -> str:
    """Why the scope is as long as it is, in words."""
    if asker is None:
        return "nobody is known, so no table was asked"
    if asker.fixed:
        return "the IPv4 address that it carries is told by all of its bits only"
    tables = {table: length for kind in kinds for table, (_, length) in decision.asked[kind].items()}
    reasons = [(length, _table_reason(table, length, tables, asker)) for table, length in tables.items()]
    if any(decision.split_by[kind] for kind in kinds):
        reasons.append((HASHED[asker.bits], _split_reason(service, decision, HASHED[asker.bits], kinds)))
    reasons.append((asker.floor, "a wider prefix would hold addresses that are looked up in another way"))
    reasons.append((1, "the same for every client, but an answer for all would be kept when nodes change"))
    reason = max(reasons, key=lambda one: one[0])[1]
    if asker.extra:
        reason += f"; {asker.extra} bits more, since the address carries an IPv4 one"
    return reason


def _split_reason(service: Service, decision: Decision, length: int, kinds: Sequence[str]) -> str:
    layers: dict[tuple[str, str], int] = {}
    partly = False
    for one in decision.trace:
        if one["excluded"] is None and one["type"] in kinds:
            place = one["type"], one["layer"]
            layers[place] = layers.get(place, 0) + 1
            partly = partly or one["share"] < 1
    several = max(layers.values(), default=0) > 1
    if service.policy == "weighted" and several:
        return "a draw settled it"
    if service.policy == "hash" and several:
        return f"a hash of the client's /{length} settled it"
    if partly:
        return f"which clients a node keeps is settled by a hash of their /{length}"
    return f"which of equal nodes comes first is settled by a hash of the client's /{length}"


def _table_reason(table: str, length: int, tables: dict[str, int], asker: Client) -> str:
    prefix = prefix_text(asker.bits, asker.address, length)
    if len(tables) == 1:
        return f"{table} {prefix} is the widest prefix with one record, and no other table was asked"
    others = ", ".join(sorted(tables))
    return f"{table} {prefix} is the narrowest of the tables asked ({others})"

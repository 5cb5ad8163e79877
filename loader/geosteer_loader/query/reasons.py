"""Why a decision came out as it did: the layers tried, and why the scope is that narrow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from geosteer.decision.client import prefix_text
from geosteer.decision.model import NEARNESS
from geosteer.decision.records import country_of, place_of
from geosteer_loader.query.candidates import keeps
from geosteer_loader.query.explanation import Layer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from geosteer.decision.client import Client
    from geosteer.decision.decision import Decision
    from geosteer.decision.director import Director
    from geosteer.decision.model import Service
    from geosteer_loader.query.candidates import Row

HASHED = {32: 24, 128: 48}
"""Address bits -> length of the client's network as hashes and draws see it."""


def layers(
    director: Director, service: Service, decision: Decision, asker: Client | None, kinds: Sequence[str]
) -> list[Layer]:
    """The layers that were asked, in their order."""
    return [layer for kind in kinds for layer in _layers(kind, director, service, decision, asker)]


def _layers(
    kind: str, director: Director, service: Service, decision: Decision, asker: Client | None
) -> list[Layer]:
    answered = decision.layer.get(kind)
    met = [row for row in decision.trace if row["type"] == kind]
    labels = {row["layer"] for row in met}
    layer_rows: list[Layer] = []
    for layer, table, entries in service.map.layers:
        if table not in decision.matched:
            break
        record = decision.matched[table][0]
        keys = director.keys(layer, record)
        key = next((each for each in keys if each in entries), None)
        label = f"{layer} {key}"
        if key is not None and label not in labels:
            break  # an earlier layer answered
        outcome = _outcome(label, met, answered, asker) if key else _nothing(record, keys)
        layer_rows.append(Layer(type=kind, layer=layer, table=table, key=key, outcome=outcome))
        if not labels - {f"{row.layer} {row.key}" for row in layer_rows}:
            break
    for layer in ("default", "any"):
        if layer in labels:
            outcome = _outcome(layer, met, answered, asker)
            layer_rows.append(Layer(type=kind, layer=layer, table=None, key=None, outcome=outcome))
    return layer_rows


def _nothing(record: str, keys: Sequence[str]) -> str:
    if not record:
        return "the table has no record for the client"
    return f"does not name {' or '.join(keys)}" if keys else f"the record {record} has no key for this layer"


def _outcome(label: str, met: Sequence[Row], answered: str | None, asker: Client | None) -> str:
    serving = [row for row in met if row["layer"] == label and row["excluded"] is None]
    if label != answered:
        return "its nodes give the client away" if serving else "has no serving node"
    if any(keeps(row, asker) for row in serving):
        return "answers"
    return "answers, although the client is outside every node's share"


def policy_reason(service: Service, decision: Decision, asker: Client | None) -> str | None:
    """Why the policy could not go by what it is named after, in words."""
    if service.policy not in {"nearest", "path", "latency"}:
        return None
    if asker is None:
        return "nothing is known of the client, so nodes rank as in best"
    if service.policy in NEARNESS and "geo" in decision.matched:
        record = decision.matched["geo"][0]
        unmeasured = "no time of any node is known; " if service.policy == "latency" else ""
        if place_of(record) is not None:
            return f"{unmeasured}nodes rank as in nearest" if unmeasured else None
        if place_of(record, service.middles) is not None:
            middle = f"its country's middle ({country_of(record)}) stands in"
            return f"{unmeasured}geo has no place for the client, so {middle}"
        return f"{unmeasured}geo has no place for the client, so nodes rank as in best"
    if service.policy == "path" and "path" in decision.matched and not decision.matched["path"][0]:
        return "no vantage point has a path to the client, so nodes rank as in best"
    return None


def scope_reason(service: Service, decision: Decision, asker: Client | None, kinds: Sequence[str]) -> str:
    """Why the scope is as long as it is, in words."""
    if asker is None:
        return "nothing is known of the client, so no table was asked"
    if asker.fixed:
        return "only all of its bits give the IPv4 address that it carries"
    tables = {table: length for kind in kinds for table, (_, length) in decision.asked[kind].items()}
    reasons = [(length, _table_reason(table, length, tables, asker)) for table, length in tables.items()]
    if any(decision.split_by[kind] for kind in kinds):
        reasons.append((HASHED[asker.bits], _split_reason(service, decision, HASHED[asker.bits], kinds)))
    reasons.append((asker.floor, "a wider prefix would hold addresses that are looked up in another way"))
    reasons.append((1, "the same for every client, but an answer for all would be kept when nodes change"))
    reason = max(reasons, key=lambda item: item[0])[1]
    if asker.extra:
        reason += f"; {asker.extra} bits more, since the address carries an IPv4 one"
    return reason


def _split_reason(service: Service, decision: Decision, length: int, kinds: Sequence[str]) -> str:
    layers: dict[tuple[str, str], int] = {}
    partly = False
    for candidate in decision.trace:
        if candidate["excluded"] is None and candidate["type"] in kinds:
            place = candidate["type"], candidate["layer"]
            layers[place] = layers.get(place, 0) + 1
            partly = partly or candidate["share"] < 1
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

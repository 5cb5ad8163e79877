"""What is published and how the nodes are, as one document for people, programs and monitoring."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from geosteer.decision.node_state import NodeState, Override
from geosteer.keys import FAMILIES, TABLES, root_field
from geosteer.sync.node_states import MISSED
from geosteer.timestamps import parse_time
from geosteer_loader.health import overrides
from geosteer_loader.health.last_seen import alarms, looks
from geosteer_loader.store import current as published
from geosteer_loader.store.lease import holder
from geosteer_loader.store.store import texts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from geosteer_loader.store.store import Store


def gather(store: Store) -> dict[str, Any]:
    """The status as JSON types; ages are in seconds by the primary's clock.

    Raises: StoreError: Redis failed, or nothing usable is published.
    """
    fields = published.read(store)
    document = published.document(store, fields)
    now = store.now()
    age = _age(fields.get("published", ""), now)
    said = overrides.read(store, now)
    nodes = _nodes(store, document, said, now)
    seen = looks(store, now)
    checked = [name for name, spec in document["nodes"].items() if spec.get("checks")]
    for name, node in nodes.items():
        look = seen.get(name)
        node["unchecked"] = round(look.age, 1) if look and not look.fresh else None
        node["never_checked"] = look is None and name in checked
        node["warning"] = look.warning if look else ""
    return {
        "redis": store.name,
        "prefix": store.keys.braced.strip("{}"),
        "schema": int(fields.get("schema", 0)),
        "generation": int(fields.get("generation", 0)),
        "published": fields.get("published", ""),
        "age": age,
        "held": fields.get("held") or None,
        "publisher": holder(store) or None,
        "tables": _tables(store, fields, now),
        "nodes": nodes,
        "overrides": said,
        "beats": _beats(store, now),
        "maps_without_node": _empty_maps(document, nodes),
        "warnings": [*store.memory_warnings(), *alarms(seen, checked, age or 0.0)],
    }


def excluded(node: Mapping[str, Any], state: NodeState, now: float) -> str | None:
    """Why a node may not be given to clients now, or None (the rule is that of `geosteer.decision.director`)."""
    if node.get("weight", 100) <= 0:
        return "weight 0"
    forced = state.forced(now)
    if forced and forced.state == "down":
        return "operator: down"
    if not (forced and forced.state == "up"):
        if state.state == "down":
            return f"down: {state.reason}" if state.reason else "down"
        if state.state == "unknown" and node.get("assume") == "down":
            return "unknown, assumed down"
    if state.share(now, node.get("ramp") or 0) <= 0:
        return "operator: drained" if forced and forced.percent <= 0 else "sheds all"
    return None


def _tables(store: Store, fields: Mapping[str, str], now: float) -> dict[str, Any]:
    tables: dict[str, Any] = {}
    for name in TABLES:
        roots = {suffix: fields.get(root_field(name, bits)) for suffix, bits in FAMILIES.items()}
        if not any(roots.values()):
            continue
        built = fields.get(f"{name}.built", "")
        tables[name] = {
            **roots,
            "built": built,
            "age": _age(built, now),
            "prefixes": int(fields.get(f"{name}.prefixes", 0)),
            "ranges": int(fields.get(f"{name}.ranges", 0)),
            "source": _json(fields.get(f"{name}.source", "")),
            "there": all(store.present([root for root in roots.values() if root])),
        }
    return tables


def _nodes(
    store: Store, document: Mapping[str, Any], said: Mapping[str, Mapping[str, Any]], now: float
) -> dict[str, Any]:
    names = sorted(document["nodes"])
    replies = store.pipe([("HGETALL", store.keys.node(name)) for name in names])
    nodes: dict[str, Any] = {}
    for name, reply in zip(names, replies, strict=True):
        spec = document["nodes"][name]
        state = NodeState()
        fields = texts(reply)
        state.update(fields)
        state.override = Override.read(json.dumps(said[name])) if name in said else None
        reason = excluded(spec, state, now)
        nodes[name] = {
            "state": state.state,
            "since": fields.get("since"),
            "reason": state.reason,
            "failing": state.failing,
            "shed": state.shed,
            "share": 0.0 if reason else round(state.share(now, spec.get("ramp") or 0), 4),
            "serving": reason is None,
            "excluded": reason,
            "override": said.get(name) if state.forced(now) else None,
        }
    return nodes


def _beats(store: Store, now: float) -> dict[str, Any]:
    beats: dict[str, Any] = {}
    for writer, text in sorted(store.hash(store.keys.beat).items()):
        try:
            said, time, period = text.split()
            count, age, seconds = int(said), now - parse_time(time), float(period)
        except ValueError:
            continue
        beats[writer] = {
            "count": count,
            "time": time,
            "period": seconds,
            "age": round(age, 1),
            "silent": seconds > 0 and age > MISSED * seconds + 1,  # its time is in whole seconds
        }
    return beats


def _empty_maps(document: Mapping[str, Any], nodes: Mapping[str, Any]) -> list[str]:
    """Maps of which no node may be given to clients: what `all_down` is for."""
    empty = []
    for name, spec in sorted(document["maps"].items()):
        layers = [spec["default"], *(some for layer in spec["order"] for some in spec[layer].values())]
        used = {node for layer in layers for node, weight in layer.items() if weight > 0}
        if not any(nodes[node]["serving"] for node in used if node in nodes):
            empty.append(name)
    return empty


def _age(time: str, now: float) -> float | None:
    try:
        return round(max(now - parse_time(time), 0.0), 1)
    except ValueError:
        return None


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return []

"""A decision in words and numbers, for people: the shape of `geosteer explain --json`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from geosteer.decision.client import prefix_text
from geosteer.timestamps import format_time

if TYPE_CHECKING:
    from geosteer.decision.client import Client
    from geosteer.decision.decision import Decision
    from geosteer.decision.model import Service


def explanation(
    service: Service, decision: Decision | None, client: Client | None, tier: str, generation: str | None
) -> dict[str, Any]:
    """What a front end would answer and why, for every record type of the service; *decision* is None in tier `fallback`."""
    document: dict[str, Any] = {
        "name": service.name, "type": "ANY", "client": str(client) if client is not None else None, "tier": tier,
        "generation": int(generation) if generation is not None else None, "map": service.map.name,
        "policy": service.policy, "layer": None, "key": None, "matched": {}, "scope": 1, "candidates": [], "answer": [],
        "nodes": [],
        "refused": False, "warning": None, "valid_until": None,
    }  # fmt: skip
    if decision is None:
        return document
    layer, _, key = next(iter(decision.layer.values()), "").partition(" ")
    document["layer"], document["key"] = layer or None, key or None
    document["matched"] = {
        table: {"prefix": prefix_text(client.bits, client.address, length), "record": record or None}
        for table, (record, length) in decision.matched.items()
        if client is not None
    }
    document["scope"] = decision.scope
    document["candidates"] = [
        {**candidate, "share": round(candidate["share"], 4)} for candidate in decision.trace
    ]
    document["answer"] = [
        {"type": kind, "content": content, "ttl": decision.ttl}
        for kind, nodes in decision.answer.items()
        for node in nodes
        for content in node.contents(kind)
    ]
    document["nodes"] = list(dict.fromkeys(node.name for nodes in decision.answer.values() for node in nodes))
    document["refused"] = decision.refused
    document["warning"] = decision.loud or None
    if decision.valid_until is not None:
        document["valid_until"] = format_time(decision.valid_until)
    return document

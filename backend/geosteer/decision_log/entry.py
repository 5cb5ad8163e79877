"""What stands in a line of the decision log. No address is in it: networks are cut to /24 or /48."""

from __future__ import annotations

from geosteer.decision.client import prefix_text
from geosteer.timestamps import format_time_ms

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from geosteer.decision.client import Client
    from geosteer.decision.decision import Decision
    from geosteer.decision.model import Node, Service

LAST_RESORT = "last resort"
"""In place of a layer: servers took turns, and nothing was decided."""
PASSED_OVER = 8
"""Nodes that did not get the client, named at most."""
PATH_CHARACTERS = 1024
"""Of a path that policy `hash` went by; a longer one is left out, and the line cannot be decided again."""


def decided(
    service: Service, client: Client | None, decision: Decision, ticket: float, path: str | None, limit: int
) -> dict[str, Any]:
    """What was decided, and all that it was decided from but states and configuration.

    Args: path: what policy `hash` went by in place of the client's network; limit: nodes asked for, 0: as configured.
    """
    kind, label = next(iter(decision.layer.items()), ("", ""))
    layer, _, key = label.partition(" ")
    fields: dict[str, Any] = {
        "service": service.name,
        "layer": layer or None,
        "key": key or None,
        "tables": dict(_tables(client, decision)) if client is not None else {},
        "nodes": {kind: [node.name for node in nodes] for kind, nodes in decision.answer.items()},
        "not": list(_passed_over(kind, decision)),
        "scope": decision.scope,
        "ttl": decision.ttl,
    }
    if len(set(decision.layer.values())) > 1:
        fields["layers"] = decision.layer
    if service.policy == "weighted":
        fields["ticket"] = ticket
    if limit:
        fields["limit"] = limit
    if path and service.policy == "hash":
        fields["path"] = path if len(path) <= PATH_CHARACTERS else None
    return fields


def not_decided(service: str, chosen: Mapping[str, Node], ttl: int) -> dict[str, Any]:
    """An answer of the round robin of last resort."""
    return {
        "service": service,
        "layer": LAST_RESORT,
        "key": None,
        "tables": {},
        "nodes": {kind: [node.name] for kind, node in chosen.items()},
        "not": [],
        "scope": 1,
        "ttl": ttl,
    }


def circumstances(
    front_end: str, now: float, tier: str, generation: str | None, client: Client | None, resolver: Client | None
) -> dict[str, Any]:  # fmt: skip
    """When, where and for whom. Args: now: by the clock that states are compared with, seconds since 1970."""
    return {
        "time": format_time_ms(now),
        "now": now,
        "front_end": front_end,
        "tier": tier,
        "generation": int(generation) if generation is not None else None,
        "client": client.network or None if client is not None else None,
        "resolver": resolver.network if resolver is not None else None,
    }


def _tables(client: Client, decision: Decision) -> Iterator[tuple[str, dict[str, Any]]]:
    """Table -> record ("" on a miss), and its prefix, cut where it is longer than the log may tell."""
    longest = 24 if client.bits == 32 else 48
    for table, (record, length) in decision.matched.items():
        prefix = prefix_text(client.bits, client.address, min(length, longest))
        yield table, {"record": record, "prefix": prefix, "length": length}


def _passed_over(kind: str, decision: Decision) -> Iterator[tuple[str, str]]:
    """The nodes that would have come first, with the reason why they did not get the client, for one record type."""
    chosen = {node.name for node in decision.answer.get(kind, ())}
    reasons = {
        row["node"]: row["excluded"] for row in decision.trace if row["type"] == kind and row["excluded"]
    }
    for declined_kind, name, share in decision.declined:
        if declined_kind == kind:
            reasons.setdefault(name, f"keeps {share:.4g} of its clients, and not this one")
    names = [name for name in reasons if name not in chosen]
    return ((name, reasons[name]) for name in names[:PASSED_OVER])

"""`geosteer lookup` and `geosteer explain`: what the tables say of an address, and why a client gets its nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from geosteer.client import Client, parse
from geosteer.clock import format_time
from geosteer.director import Decision, Director
from geosteer.errors import ConfigError
from geosteer.lean import Address
from geosteer.model import Model
from geosteer.schema import TABLES
from geosteer_loader import store as stores
from geosteer_loader.view import View

if TYPE_CHECKING:
    from collections.abc import Sequence

    from geosteer.model import Service
    from geosteer_loader.config import Config

TIER = "live"
"""A command that reads Redis itself has no other tier: without Redis it fails."""


def lookup(config: Config, addresses: Sequence[str]) -> list[dict[str, Any]]:
    """For each address, and each published table, `prefix` (the widest with one record) and `record` (None on a miss).

    Raises: ConfigError: an address is none. StoreError: Redis failed, or nothing is published.
    """
    clients = _clients(addresses)
    with stores.connect(config.redis) as store:
        view = View(store)
        tables = [
            table for table in TABLES if any((table, bits) in view.generation.trees for bits in (32, 128))
        ]
        found = []
        for text, client in zip(addresses, clients, strict=True):
            row: dict[str, Any] = {"address": text}
            for table in tables:
                record, length = view.cell(table, client.bits, client.address)
                row[table] = {
                    "prefix": prefix_text(client.bits, client.address, length),
                    "record": record or None,
                }
            found.append(row)
        return found


def explain(
    config: Config,
    name: str,
    client: str,
    qtype: str | None = None,
    ticket: float = 0.0,
    *,
    plan: bool = False,
) -> dict[str, Any]:
    """Why *client* gets what it gets for the service *name*.

    Args:
        client: an address or network; "" for nobody known.
        qtype: A, AAAA or CNAME; default: every type that the service has.
        ticket: in [0, 1), the draw of the policy `weighted`.
        plan: decide with the configuration in the file instead of the published one.

    Raises: ConfigError: no such service, type or address. StoreError: Redis failed, or nothing is published.
    """
    (asker,) = _clients([client]) if client else (None,)
    with stores.connect(config.redis) as store:
        view = View(store)
        model = Model(config.document) if plan else view.generation.model
        service = _service(model, name)
        kinds = _kinds(service, qtype)

        def look(table: str) -> tuple[str, int]:
            assert asker is not None
            return view.cell(table, asker.bits, asker.address)

        states = view.mirror.states
        decision = Director(model).decide(service, asker, look, states, view.now, ticket, trace=True)
        number = int(view.generation.number)
    return {
        "name": name.lower().rstrip("."),
        "service": service.name,
        "type": qtype.upper() if qtype else "ANY",
        "client": client or None,
        "tier": TIER,
        "generation": number,
        "map": service.map.name,
        "policy": service.policy,
        "layer": next((decision.layer[kind] for kind in kinds if kind in decision.layer), None),
        "matched": _matched(decision, asker),
        "scope": decision.scope,
        "candidates": _candidates(decision, service, kinds),
        "answer": [
            {"type": kind, "content": content, "ttl": decision.ttl}
            for kind in kinds
            for node in decision.answer[kind]
            for content in node.contents(kind)
        ],
        "nodes": list(dict.fromkeys(node.name for kind in kinds for node in decision.answer[kind])),
        "refused": decision.refused,
        "warning": decision.loud or None,
        "valid_until": format_time(decision.valid_until) if decision.valid_until is not None else None,
    }


def prefix_text(bits: int, address: int, length: int) -> str:
    """The prefix of that length around an address, for example `8.8.8.0/24`."""
    base = address >> (bits - length) << (bits - length)
    return f"{Address(base.to_bytes(bits // 8, 'big'))}/{length}"


def _clients(addresses: Sequence[str]) -> list[Client]:
    clients, problems = [], []
    for text in addresses:
        try:
            clients.append(parse(text))
        except ValueError:
            problems.append(f"{text}: neither an IP address nor a network")
    if problems:
        raise ConfigError(problems)
    return clients


def _service(model: Model, name: str) -> Service:
    """The service that answers a name: itself, or the closest wildcard (RFC 4592)."""
    wanted = name.lower().rstrip(".")
    found = model.services.get(wanted)
    parent = wanted
    while found is None and "." in parent:
        parent = parent.partition(".")[2]
        found = model.services.get(f"*.{parent}")
    if found is None:
        known = ", ".join(sorted(model.services)[:10]) or "none"
        raise ConfigError([f"{name}: no such service (there are: {known})"])
    return found


def _kinds(service: Service, qtype: str | None) -> tuple[str, ...]:
    if qtype is None or qtype.upper() == "ANY":
        return service.kinds
    kinds = tuple(kind for kind in service.kinds if kind in {qtype.upper(), "CNAME"})
    if not kinds:
        raise ConfigError([f"{service.name}: has no {qtype}, only {', '.join(service.kinds)}"])
    return kinds


def _matched(decision: Decision, asker: Client | None) -> dict[str, dict[str, str | None]]:
    if asker is None:
        return {}
    return {
        table: {"prefix": prefix_text(asker.bits, asker.address, length), "record": record or None}
        for table, (record, length) in decision.matched.items()
    }


def _candidates(decision: Decision, service: Service, kinds: Sequence[str]) -> list[dict[str, Any]]:
    """Those met on the way, and for `weighted` each one's chance in the first draw."""
    candidates = [dict(candidate) for candidate in decision.trace if candidate["type"] in kinds]
    if service.policy == "weighted":
        for candidate in candidates:
            rivals = [
                one["weight"] * one["share"]
                for one in candidates
                if one["excluded"] is None
                and (one["type"], one["layer"]) == (candidate["type"], candidate["layer"])
            ]
            mine = candidate["weight"] * candidate["share"] if candidate["excluded"] is None else 0
            candidate["chance"] = round(mine / sum(rivals), 6) if mine else 0.0
    return candidates

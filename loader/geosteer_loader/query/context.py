"""What a decision is explained from: what is published now, or what a publish would make of the configuration."""

from __future__ import annotations

import logging
from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from geosteer.decision.model import Model
from geosteer_loader.health import watchlist
from geosteer_loader.health.verdicts import decode
from geosteer_loader.progress import Silent
from geosteer_loader.publish.proposal import propose
from geosteer_loader.store import current as published
from geosteer_loader.store import node_states
from geosteer_loader.store.generation_view import View
from geosteer_loader.store.redis_errors import NotPermitted
from geosteer_loader.store.store import texts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from geosteer.decision.node_state import NodeState
    from geosteer_loader.config.config import Config
    from geosteer_loader.progress import Meter
    from geosteer_loader.store.store import Store
    from geosteer_loader.tables.ranges import Ranges

    Cell = Callable[[str, int, int], tuple[str, int]]
    """Table, address bits, address -> record ("" on a miss) and length of the widest prefix around it that has it."""


log = logging.getLogger(__name__)

LIVE, PLANNED = "live", "planned"
"""Tiers of what is published, and of what a publish would make."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """All that decides about clients at one moment."""

    model: Model
    cell: Cell
    states: Mapping[str, NodeState]
    overrides: Mapping[str, str]
    """Node -> JSON of what an operator said, in force or not."""
    loads: Mapping[str, float]
    """Node -> its load as it was reported last, in parts of its capacity."""
    now: float
    """Seconds since 1970, by Redis."""
    generation: int | None
    """None: it is only planned."""
    tier: str
    """Where answers come from."""


def live(store: Store) -> Context:
    """What is published. Raises: StoreError: nothing usable is, or Redis failed."""
    view = View(store)
    generation = view.generation
    return Context(
        model=generation.model,
        cell=view.cell,
        states=view.mirror.states,
        overrides=view.mirror.overrides,
        loads=loads_of(store, generation.document),
        now=view.now,
        generation=published.number(generation.fields, "generation"),
        tier=LIVE,
    )


def planned(config: Config, store: Store, meter: Callable[[str], Meter] = Silent) -> Context:
    """What a publish of *config* would make, with the nodes' states of now. Nothing is written.

    Tables whose sources did not change are looked up as they are published; the others are built.
    Args: meter: shows the progress of the table that it is given.
    Raises: SourceError: a source cannot be read. StoreError: Redis failed.
    """
    now = store.now()
    proposal = propose(config, store, published.read(store, repairing=True), meter)
    tables, document = proposal.tables, proposal.document
    unbuilt = {table.name for table in tables if table.kept}
    built = {(table.name, bits): ranges for table in tables for bits, ranges in table.ranges.items()}
    view = View(store) if unbuilt else None
    mirror = node_states.read(store, document["nodes"])

    def cell(table: str, bits: int, address: int) -> tuple[str, int]:
        ranges = built.get((table, bits))
        if ranges is not None:
            return cell_of(ranges, address)
        return view.cell(table, bits, address) if view is not None and table in unbuilt else ("", 0)

    return Context(
        model=Model(document),
        cell=cell,
        states=mirror.states,
        overrides=mirror.overrides,
        loads=loads_of(store, document),
        now=now,
        generation=None,
        tier=PLANNED,
    )


def cell_of(ranges: Ranges, address: int) -> tuple[str, int]:
    """Record of an address, and the length of the widest prefix around it within the range that holds it."""
    starts, bits = ranges.starts, ranges.bits
    at = bisect_right(starts, address) - 1
    host = bits
    if at:
        host = (address ^ (starts[at] - 1)).bit_length() - 1
    if at + 1 < len(starts):
        host = min(host, (address ^ starts[at + 1]).bit_length() - 1)
    return ranges.records[at], bits - host


def loads_of(store: Store, document: Mapping[str, Any]) -> dict[str, float]:
    """Node -> its load as it was reported last, in parts of its capacity; of those reported. Raises: StoreError."""
    writers = list(store.hash(store.keys.beat, tolerant=True))
    latest: dict[str, tuple[float, float]] = {}
    try:
        replies = store.pipe([("HGETALL", store.keys.verdict(name)) for name in writers], tolerant=True)
    except NotPermitted as exc:
        log.warning("loads of nodes are not known: %s", exc)
        return {}
    for reply in replies:
        for node, text in texts(reply).items():
            verdict = decode(text)
            if verdict is not None and verdict.load is not None:
                latest[node] = max(latest.get(node, (0.0, 0.0)), (verdict.loaded, verdict.load))
    nodes = watchlist.read(document).nodes
    return {name: load / nodes[name].capacity for name, (_, load) in latest.items() if name in nodes}

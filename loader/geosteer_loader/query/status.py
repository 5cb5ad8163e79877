"""What is published and how the nodes are, as one document for people, programs and monitoring."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from geosteer.decision.layer_walk import node_share
from geosteer.decision.model import Model
from geosteer.decision.node_state import NodeState
from geosteer.keys import FAMILIES, TABLES, root_field
from geosteer.sync.node_states import MISSED
from geosteer.timestamps import maybe_time
from geosteer_loader.health import heartbeat, overrides
from geosteer_loader.health.last_seen import alarms, last_checks
from geosteer_loader.impact.over_share import over_share
from geosteer_loader.query.doubts import doubts
from geosteer_loader.sources.builtin_age import stale_published
from geosteer_loader.store import current as published
from geosteer_loader.store import failure, node_states
from geosteer_loader.store.foreign import told
from geosteer_loader.store.lease import holder
from geosteer_loader.store.redis_errors import NotPermitted
from geosteer_loader.tables.validation_figures import published_figures, published_warnings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from geosteer.decision.model import Node
    from geosteer.sync.node_states import Mirror
    from geosteer_loader.health.last_seen import LastCheck
    from geosteer_loader.store.failure import Failure
    from geosteer_loader.store.store import Store
    from geosteer_loader.tables.validation_figures import Figures

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class TableStatus:
    """One published table."""

    v4: str | None
    v6: str | None
    """Digests of the root pages."""
    built: str
    """Date of the data."""
    age: float | None
    """Seconds since then; None: not known."""
    prefixes: int
    ranges: int
    source: list[dict[str, Any]]
    """The files that it was made of."""
    there: bool
    """Its root pages are in Redis."""
    rpki: Figures | None = None
    """What its routes were judged by, and how many are valid, invalid, not found; None: they were not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeStatus:
    """One node."""

    state: str
    """What the probes say: up, down or unknown."""
    since: str | None
    reason: str
    failing: bool
    shed: float
    share: float
    """0..1: how much of its clients it keeps; 0 while it does not serve."""
    serving: bool
    excluded: str | None
    """Why it does not serve."""
    override: dict[str, Any] | None
    """What an operator said, while it is in force."""
    unchecked: float | None
    """Seconds since the last check, where none still counts."""
    never_checked: bool
    warning: str
    """What somebody should see to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BeatStatus:
    """Who keeps node states."""

    count: int
    time: str
    period: float
    """Seconds until the next beat."""
    age: float
    silent: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """All of it; ages are in seconds by the primary's clock."""

    redis: str
    prefix: str
    schema: int
    generation: int
    published: str
    age: float | None
    held: str | None
    publisher: str | None
    """Who publishes at this moment."""
    tables: dict[str, TableStatus]
    zones: int
    services: int
    """How many are published; without one no name is answered."""
    nodes: dict[str, NodeStatus]
    overrides: dict[str, dict[str, Any]]
    """Those in force."""
    beats: dict[str, BeatStatus]
    failure: Failure | None
    """Of the last publish, where that failed or was refused."""
    failing_for: float | None
    """Seconds since the first failure in a row; None: the last publish succeeded."""
    maps_without_node: list[str]
    """Maps of which no node may be given to clients: what `all_down` is for."""
    warnings: list[str]
    unknown: list[str]
    """What the user of Redis may not read, and the command that would."""
    foreign: list[str] = field(default_factory=list)
    """Keys that hold what geosteer did not write, and who replaces it; they are shown as if they were not there."""

    def to_json(self) -> dict[str, Any]:
        """As `geosteer status --json` prints it: the fields above, by their names."""
        return asdict(self)


def gather(store: Store) -> Status:
    """The status now. Raises: StoreError: Redis failed, or nothing usable is published."""
    fields = published.read(store)
    document = published.document(store, fields)
    now = store.now()
    age = _age(fields.get("published", ""), now)
    overrides_in_force = overrides.read(store, now)
    model = Model(document)
    names = sorted(model.nodes)
    mirror = node_states.read(store, names)
    reader = _Reader()
    nothing: dict[str, LastCheck] = {}
    seen = reader.read("when nodes were checked", lambda: last_checks(store, now), nothing)
    checked = (
        [name for name, spec in document["nodes"].items() if spec.get("checks")]
        if seen is not nothing
        else []
    )
    nodes = {
        name: _node(
            model.nodes[name], mirror, overrides_in_force.get(name), seen.get(name), name in checked, now
        )
        for name in names
    }
    failed = reader.read("whether publishing fails", lambda: failure.read(store), None)
    return Status(
        redis=store.name,
        prefix=store.keys.braced.strip("{}"),
        schema=published.number(fields, "schema"),
        generation=published.number(fields, "generation"),
        published=fields.get("published", ""),
        age=age,
        held=fields.get("held") or None,
        publisher=reader.read("who publishes", lambda: holder(store), "") or None,
        tables=_tables(store, fields, now, reader),
        zones=len(document.get("zones") or ()),
        services=len(model.services),
        nodes=nodes,
        overrides=overrides_in_force,
        beats=_beats(store, now),
        failure=failed,
        failing_for=(_age(failed.since, now) or 0.0) if failed else None,
        maps_without_node=_empty_maps(model, nodes),
        warnings=[
            *store.server_warnings(),
            *stale_published(fields, now),
            *published_warnings(fields, now),
            *over_share(document),
            *overrides.lost(overrides_in_force, model.nodes),
            *alarms(seen, checked, age or 0.0),
            *doubts(store, fields, mirror.fields, now),
        ],
        unknown=reader.unknown,
        foreign=[told(key) for key in sorted(store.foreign)],
    )


class _Reader:
    """Reads what a user of Redis may read, and notes the rest."""

    def __init__(self) -> None:
        self.unknown: list[str] = []

    def read(self, what: str, act: Callable[[], T], otherwise: T) -> T:
        """What *act* returns; *otherwise* where the ACL does not allow it. Raises: StoreError: it failed."""
        try:
            return act()
        except NotPermitted as exc:
            self.unknown.append(f"{what} ({exc.what})")
            return otherwise


def _node(
    node: Node,
    mirror: Mirror,
    override: dict[str, Any] | None,
    last: LastCheck | None,
    checked: bool,
    now: float,
) -> NodeStatus:
    state = mirror.states.get(node.name) or NodeState()
    share, reason = node_share(node, node.weight, state, now)
    return NodeStatus(
        state=state.state,
        since=mirror.fields.get(node.name, {}).get("since"),
        reason=state.reason,
        failing=state.failing,
        shed=state.shed,
        share=0.0 if reason else round(share, 4),
        serving=not reason,
        excluded=reason or None,
        override=override if state.forced(now) else None,
        unchecked=round(last.age, 1) if last and not last.fresh else None,
        never_checked=last is None and checked,
        warning=last.warning if last else "",
    )


def _tables(store: Store, fields: Mapping[str, str], now: float, reader: _Reader) -> dict[str, TableStatus]:
    tables = {}
    for name in TABLES:
        roots = {suffix: fields.get(root_field(name, bits)) for suffix, bits in FAMILIES.items()}
        if not any(roots.values()):
            continue
        built = fields.get(f"{name}.built", "")
        tables[name] = TableStatus(
            v4=roots["v4"],
            v6=roots["v6"],
            built=built,
            age=_age(built, now),
            prefixes=published.number(fields, f"{name}.prefixes"),
            ranges=published.number(fields, f"{name}.ranges"),
            source=_sources(fields.get(f"{name}.source", "")),
            rpki=published_figures(fields, name),
            there=_there(store, [root for root in roots.values() if root], name, reader),
        )
    return tables


def _there(store: Store, roots: list[str], table: str, reader: _Reader) -> bool:
    return reader.read(f"whether {table} is all there", lambda: all(store.present(roots)), otherwise=True)


def _beats(store: Store, now: float) -> dict[str, BeatStatus]:
    beats = {}
    for writer, text in sorted(store.hash(store.keys.beat, tolerant=True).items()):
        beat = heartbeat.read(text)
        if beat is not None:
            age = now - beat.time
            beats[writer] = BeatStatus(
                count=beat.number,
                time=text.split()[1],
                period=beat.period,
                age=round(age, 1),
                silent=beat.period > 0 and age > MISSED * beat.period + 1,  # its time may be in whole seconds
            )
    return beats


def _empty_maps(model: Model, nodes: Mapping[str, NodeStatus]) -> list[str]:
    return [
        name
        for name, each in sorted(model.maps.items())
        if not any(nodes[node.name].serving for node, weight in each.everyone if weight > 0)
    ]


def _age(time: str, now: float) -> float | None:
    then = maybe_time(time)
    return None if then is None else round(max(now - then, 0.0), 1)


def _sources(text: str) -> list[dict[str, Any]]:
    try:
        entries = json.loads(text)
    except (ValueError, RecursionError):
        return []
    return [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []

"""What workers on this host answer: `status`, `lookup` and `explain` with `--backend`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from geosteer.decision.client import from_question, prefix_text
from geosteer.decision.node_state import NodeState
from geosteer.decision.round_robin import SCOPE, RoundRobin, scope_of_network
from geosteer.errors import ConfigError
from geosteer.keys import TABLES
from geosteer.process import below
from geosteer.sync.tier import FALLBACK
from geosteer.zones import absolute, matches
from geosteer_loader.query import explain
from geosteer_loader.query.explanation import Candidate, Explanation, Record
from geosteer_loader.query.lookup import Cell, Lookup, read_clients
from geosteer_loader.query.onlooker import watching
from geosteer_loader.query.status import gather
from geosteer_loader.store.store import connect

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from geosteer.decision.model import Service
    from geosteer_loader.query.onlooker import Onlooker
    from geosteer_loader.query.status import Status

LAST_RESORT = "last resort"
"""In place of a layer of the map."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerStatus:
    """Where the answers of a worker come from that starts now."""

    tier: str
    """`live`, `stale` or `fallback`."""
    redis: str
    """The server that it reads from, or tries to."""
    troubles: list[str]
    """What it would log."""
    max_stale: float
    """Seconds for which a worker that runs already steers by what it knows, once Redis is away."""
    servers: dict[str, int]
    """The round robin of last resort: name -> weight."""
    status: Status | None
    """What is published; None: Redis is not live."""

    def to_json(self) -> dict[str, Any]:
        """As `geosteer status --backend FILE --json` prints it: the status, and the rest under `worker`."""
        worker = asdict(self)
        del worker["status"]
        return {**(self.status.to_json() if self.status else {}), "worker": worker}


def status(backend: Path) -> WorkerStatus:
    """What a worker with these settings has. Raises: ConfigError: no worker can use them. StoreError."""
    with watching(backend) as onlooker:
        published = None
        if onlooker.live:
            with connect(onlooker.connection()) as store:
                published = gather(store)
        return WorkerStatus(
            tier=onlooker.tier.name,
            redis=onlooker.redis,
            troubles=list(onlooker.troubles) if onlooker.live else [onlooker.trouble],
            max_stale=onlooker.settings.max_stale,
            servers={server.name: server.well_connected for server in onlooker.servers()},
            status=published,
        )


def lookup(backend: Path, addresses: Sequence[str]) -> list[Lookup]:
    """As `geosteer_loader.query.lookup.lookup`, as workers see it. Raises: ConfigError. StoreError: Redis is not live."""
    clients = read_clients(addresses)
    with watching(backend) as onlooker:
        context = onlooker.context()
        assert onlooker.tier.generation is not None
        trees = onlooker.tier.generation.trees
        tables = [table for table in TABLES if any((table, bits) in trees for bits in (32, 128))]
        found = []
        for text, client in zip(addresses, clients, strict=True):
            cells = {}
            for table in tables:
                record, length = context.cell(table, client.bits, client.address)
                cells[table] = Cell(prefix_text(client.bits, client.address, length), record or None)
            found.append(Lookup(text, cells))
        return found


def explain_by(
    backend: Path,
    name: str,
    client: str,
    qtype: str | None = None,
    ticket: float = 0.0,
    *,
    own_draw: bool = False,
) -> Explanation:
    """As `geosteer_loader.query.explain.explain`; where Redis is not live, what comes of the round robin.

    Raises: ConfigError: no such service, type or address. StoreError: nothing can be answered.
    """
    if client:
        read_clients([client])
    with watching(backend) as onlooker:
        if onlooker.live:
            return explain.explain_in(onlooker.context(), name, client, qtype, ticket, own_draw=own_draw)
        return _last_resort(onlooker, name, client, qtype)


def _last_resort(onlooker: Onlooker, name: str, client: str, qtype: str | None) -> Explanation:
    """One slot of the round robin, drawn as a worker draws it."""
    known, wanted = onlooker.tier.known, name.lower().rstrip(".")
    service: Service | None = None
    if known is not None:
        service = explain.find_service(known.model, name)
        kinds = explain.kinds_of(service, qtype, wanted)
    else:
        kinds = _listed(onlooker, name, qtype)
    servers, ttl = onlooker.servers(), onlooker.settings.fallback_ttl
    robin, scope = RoundRobin(servers, below), SCOPE
    if service is not None and service.bindings:
        asker = from_question(client.partition("/")[0], client)
        chosen = robin.drawn(kinds, asker.network if asker is not None else "")
        scope = scope_of_network(asker)
    else:
        chosen = robin.next(kinds)
    if service is not None:
        asked = explain.Question(wanted, qtype.upper() if qtype else "ANY", client or None)
        answer = explain.records_of(service, asked, {kind: (node,) for kind, node in chosen.items()}, ttl)
    else:
        answer = [
            Record(kind, content, ttl) for kind, node in chosen.items() for content in node.contents(kind)
        ]
    seconds = onlooker.settings.max_stale
    return Explanation(
        name=wanted,
        service=service.name if service else wanted,
        type=qtype.upper() if qtype else "ANY",
        client=client or None,
        tier=FALLBACK,
        generation=None,
        map=service.map.name if service else "",
        policy=service.policy if service else "",
        ticket=None,
        layer=LAST_RESORT if chosen else None,
        key=None,
        answered_by=dict.fromkeys(chosen, LAST_RESORT),
        policy_reason="without Redis servers take turns by weight, whoever asks"
        if scope == SCOPE
        else "without Redis servers are drawn by weight and the client's network, so that A, AAAA and HTTPS agree",
        layers=[],
        matched={},
        scope=scope,
        scope_reason="the same for every client, but an answer for all would be kept when Redis is back"
        if scope == SCOPE
        else "the server is drawn by the client's network",
        candidates=[
            _server(
                onlooker, kind, server.name, server.well_connected, [each.name for each in chosen.values()]
            )
            for kind in kinds
            for server in servers
            if server.has(kind)
        ],
        equals=[],
        answer=answer,
        nodes=list(dict.fromkeys(node.name for node in chosen.values())),
        refused=not servers,
        warning=f"{onlooker.trouble}; a worker that runs already steers by what it knows for up to {seconds:g} s",
        valid_until=None,
    )


def _server(onlooker: Onlooker, kind: str, name: str, weight: int, chosen: Sequence[str]) -> Candidate:
    state = onlooker.tier.mirror.states.get(name) or NodeState()
    total = sum(server.well_connected for server in onlooker.servers() if server.has(kind))
    return Candidate(
        type=kind,
        layer=LAST_RESORT,
        node=name,
        weight=weight,
        share=1.0,
        state=state.state,
        excluded=None,
        ignored=None,
        chance=round(weight / total, 6),
        shed=0.0,
        failing=False,
        load=None,
        went_by=None,
        rank=1 if name in chosen else None,
        chosen=name in chosen,
        spilled=False,
        unwilling=False,
        override=None,
        ramps_until=None,
    )


def _listed(onlooker: Onlooker, name: str, qtype: str | None) -> tuple[str, ...]:
    """Record types of a service that only `[fallback]` knows. Raises: ConfigError: it does not."""
    wanted = name.lower().rstrip(".")
    for zone, spec in onlooker.settings.zones.items():
        for service in spec.get("services") or ():
            pattern, cname = (
                (service, False)
                if isinstance(service, str)
                else (service["name"], service.get("answer") == "cname")
            )
            if matches(absolute(pattern, zone), wanted):
                kinds = ("CNAME",) if cname else ("A", "AAAA")
                return tuple(kind for kind in kinds if not qtype or kind in {qtype.upper(), "CNAME", "ANY"})
    raise ConfigError(
        [f"{name}: Redis is not live ({onlooker.trouble}), and [fallback] has no such service: workers fail"]
    )

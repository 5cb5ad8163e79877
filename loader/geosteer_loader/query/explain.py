"""`geosteer explain`: why a client gets its nodes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from geosteer.decision.client import from_question, prefix_text
from geosteer.decision.director import Director
from geosteer.decision.policy import own_ticket
from geosteer.errors import ConfigError
from geosteer.keys import TABLES
from geosteer.timestamps import format_time, format_time_ms
from geosteer_loader.journal.events import headline
from geosteer_loader.journal.writing import program
from geosteer_loader.progress import Silent
from geosteer_loader.query import candidates, context, reasons
from geosteer_loader.query.explanation import Explanation, Match, Record
from geosteer_loader.query.lookup import read_clients
from geosteer_loader.query.past import Timeline
from geosteer_loader.store import current
from geosteer_loader.store import store as stores
from geosteer_loader.tables.origin_validation import passed_over

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from geosteer.decision.client import Client
    from geosteer.decision.decision import Decision
    from geosteer.decision.model import Model, Node, Service
    from geosteer_loader.config.config import Config
    from geosteer_loader.progress import Meter
    from geosteer_loader.query.context import Context
    from geosteer_loader.query.past import Past


def explain(
    config: Config,
    name: str,
    client: str,
    qtype: str | None = None,
    ticket: float = 0.0,
    *,
    own_draw: bool = False,
    plan: bool = False,
    meter: Callable[[str], Meter] = Silent,
) -> Explanation:
    """Why *client* gets what it gets for the service *name*.

    Args:
        client: an address or network, as a DNS question's client network; "" for nobody known.
        qtype: A, AAAA, CNAME, HTTPS or SVCB; default: every type that the service has.
        ticket: in [0, 1), the draw of the policy `weighted`.
        own_draw: the client's own draw counts in place of *ticket*, where the service goes by that.
        meter: shows the progress of the table that it is given, where the plan builds one.
        plan: decide as after a publish of the configuration and its sources, in place of what is published.

    Raises: ConfigError: no such service, type or address. StoreError: Redis failed, or nothing is published. SourceError: a
    source of the plan cannot be read.
    """
    if client:
        read_clients([client])
    with stores.connect(config.redis) as store:
        seen = context.planned(config, store, meter) if plan else context.live(store)
        explanation = explain_in(seen, name, client, qtype, ticket, own_draw=own_draw)
        if plan or config.rpki is None or not client:
            return explanation
        fields = current.read(store)
        (asker,) = read_clients([client])
        return replace(explanation, notes=passed_over(config.rpki, fields, asker))


def explain_then(
    config: Config,
    name: str,
    client: str,
    moment: Callable[[float], float] | None,
    qtype: str | None = None,
    ticket: float = 0.0,
    generation: int | None = None,
    *,
    own_draw: bool = False,
) -> Explanation:
    """Why *client* got what it got at a time in the past.

    Args:
        moment: the server's time -> the one that is asked about, seconds since 1970; None: when *generation* was published.
        generation: take this one; default: the one in force then.

    Raises: OutOfReach: history or journal do not tell (any more). Else as `explain`.
    """
    if client:
        read_clients([client])
    with stores.connect(config.redis) as store:
        timeline = Timeline(store)
        if moment is not None:
            time = moment(timeline.now)
        else:
            assert generation is not None
            time = timeline.entry(generation).written
        past = timeline.at(time, generation)
        explanation = explain_in(past.context, name, client, qtype, ticket, own_draw=own_draw)
        shedding = {candidate.node for candidate in explanation.candidates if candidate.shed}
        return replace(explanation, at=format_time_ms(time), notes=[*notes(past), *_loads(past, shedding)])


def notes(past: Past) -> list[str]:
    """What is to be known of an answer in the past."""
    lines = [
        f"{format_time_ms(event.time)}: {headline(event)}: may not have reached every worker, or had already"
        for event in past.near
    ]
    lines += [
        f"{format_time_ms(until)}: the override of {node} ends then, by each worker's own clock"
        for node, until in past.endings()
    ]
    lines += past.doubts
    if past.program and past.program != program():
        lines.append(
            f"decided by the policies of geosteer {program()}; version {past.program} published that generation"
        )
    return lines


def _loads(past: Past, nodes: Collection[str]) -> list[str]:
    """What is known of the loads of nodes that shed: loads are told only where they changed what a node sheds."""
    lines = []
    for name in sorted(nodes):
        event = past.sheds.get(name)
        known = f"{format_time_ms(event.time)}: {headline(event)}" if event else "before the journal begins"
        lines.append(f"{name} sheds since {known}; its load is not kept for other times")
    return lines


def explain_in(
    seen: Context, name: str, client: str, qtype: str | None, ticket: float, *, own_draw: bool = False
) -> Explanation:
    """The same, from what is known already. Raises: ConfigError, StoreError: as `explain`."""
    service = find_service(seen.model, name)
    asker = asker_of(client, seen) if client else None
    if own_draw and service.bindings:
        ticket = own_ticket(service, asker)
    question = Question(name.lower().rstrip("."), qtype.upper() if qtype else "ANY", client or None)
    return describe(seen, service, asker, kinds_of(service, qtype, question.name), ticket, question)


class Question(NamedTuple):
    """What was asked, as it is repeated."""

    name: str
    type: str
    client: str | None


def describe(
    seen: Context,
    service: Service,
    asker: Client | None,
    kinds: Sequence[str],
    ticket: float = 0.0,
    question: Question | None = None,
) -> Explanation:
    """One decision in full, for some of the service's record types. Raises: StoreError: a page is absent."""

    def look(table: str) -> tuple[str, int]:
        assert asker is not None
        return seen.cell(table, asker.bits, asker.address)

    director = Director(seen.model)
    decision = director.decide(service, asker, look, seen.states, seen.now, ticket, trace=True)
    layer, _, key = next((decision.layer[kind] for kind in kinds if kind in decision.layer), "").partition(
        " "
    )
    chosen = {kind: () if decision.refused else decision.answer[kind] for kind in kinds}
    asked = question or Question(service.name, "ANY", str(asker) if asker else None)
    return Explanation(
        name=asked.name,
        service=service.name,
        type=asked.type,
        client=asked.client,
        tier=seen.tier,
        generation=seen.generation,
        map=service.map.name,
        policy=service.policy,
        ticket=ticket if service.policy == "weighted" else None,
        layer=layer or None,
        key=key or None,
        answered_by={kind: decision.layer[kind] for kind in kinds if kind in decision.layer},
        policy_reason=reasons.policy_reason(service, decision, asker),
        layers=reasons.layers(director, service, decision, asker, kinds),
        matched=_matched(decision, asker, kinds),
        scope=max(decision.scopes[kind] for kind in kinds),
        scope_reason=reasons.scope_reason(service, decision, asker, kinds),
        candidates=candidates.candidates(seen, service, decision, asker, kinds),
        equals=candidates.equals(seen, service, decision, asker, kinds),
        answer=records_of(service, asked, chosen, decision.ttl),
        nodes=list(dict.fromkeys(node.name for nodes in chosen.values() for node in nodes)),
        refused=decision.refused,
        warning=decision.loud or None,
        valid_until=format_time(decision.valid_until) if decision.valid_until is not None else None,
    )


def records_of(
    service: Service, asked: Question, chosen: Mapping[str, Sequence[Node]], ttl: int
) -> list[Record]:
    """The records that a question gets, when these nodes are chosen for each type of address."""
    addresses = [
        (kind, content)
        for kind, nodes in chosen.items()
        for content in dict.fromkeys(content for node in nodes for content in node.contents(kind))
    ]
    bound = [binding for binding in service.bindings if binding.owner in {asked.name, service.name}]
    below = {binding.owner for binding in bound} - {service.name}
    records = [] if below else addresses
    if addresses:
        records += [
            (binding.kind, binding.content(addresses))
            for binding in bound
            if binding.owner in (below or {service.name})
        ]
    wanted = asked.type
    return [
        Record(kind, content, ttl) for kind, content in records if wanted in {"ANY", kind} or kind == "CNAME"
    ]


def asker_of(text: str, seen: Context) -> Client | None:
    """Whom a worker takes for the client; None where the text says only that it may not be known.

    Raises: ConfigError: neither an address nor a network.
    """
    (client,) = read_clients([text])
    if not client.length:
        return None

    def cells(network: Client) -> list[tuple[str, int]]:
        return [seen.cell(table, network.bits, network.address) for table in TABLES]

    # No resolver is told; a private network that nothing names is taken for its own.
    return from_question(text.partition("/")[0], text, cells)


def find_service(model: Model, name: str) -> Service:
    """The service that answers a name: itself, or the closest wildcard (RFC 4592). Raises: ConfigError: there is none."""
    wanted = name.lower().rstrip(".")
    service = model.services.get(wanted)
    if service is None and wanted.startswith("_"):
        owners = {binding.owner: each for each in model.services.values() for binding in each.bindings}
        service = owners.get(wanted)
    parent = wanted
    while service is None and "." in parent:
        parent = parent.partition(".")[2]
        service = model.services.get(f"*.{parent}")
    if service is None:
        known = ", ".join(sorted(model.services)[:10]) or "none"
        raise ConfigError([f"{name}: no such service (there are: {known})"])
    return service


def kinds_of(service: Service, qtype: str | None, name: str = "") -> tuple[str, ...]:
    """The types of address, or CNAME, of a service that a question is about: for HTTPS and SVCB all, as the hints are of each.

    Args: name: which of the service's names is asked; default: its own. Raises: ConfigError: it has none of that type.
    """
    if qtype is None or qtype.upper() == "ANY":
        return service.kinds
    owners = {binding.owner for binding in service.bindings}
    owner = name if name in owners else service.name
    bound = [binding.kind for binding in service.bindings if binding.owner == owner]
    if qtype.upper() in bound:
        return service.kinds
    own = service.kinds if owner == service.name else ()
    kinds = tuple(kind for kind in own if kind in {qtype.upper(), "CNAME"})
    if not kinds:
        has = ", ".join(dict.fromkeys([*own, *bound]))
        raise ConfigError([f"{owner}: has no {qtype}, only {has}"])
    return kinds


def _matched(decision: Decision, asker: Client | None, kinds: Sequence[str]) -> dict[str, Match]:
    if asker is None:
        return {}
    return {
        table: Match(prefix_text(asker.bits, asker.address, length), record or None)
        for table, (record, length) in decision.matched.items()
        if any(table in decision.asked[kind] for kind in kinds)
    }

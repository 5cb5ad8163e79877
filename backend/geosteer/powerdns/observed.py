"""A responder that also tells operators what it decides, at the debug name of each service; loaded where settings say so."""

from __future__ import annotations

import os

from geosteer import zones
from geosteer.decision.client import from_question
from geosteer.decision.networks import Networks
from geosteer.powerdns.debug_name import quoted, service_entry, service_name, told, told_without_decision
from geosteer.powerdns.responder import Responder
from geosteer.sync.lookups import NotReady
from geosteer.zones import Entry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from geosteer.powerdns.protocol import Question
    from geosteer.sync.tier import Tier


class ObservedResponder(Responder):
    """Answers as `Responder` does, and tells resolvers in the operators' networks why."""

    def __init__(
        self,
        tier: Tier,
        random: Callable[[int], int],
        ticket: Callable[[], float],
        log: Callable[[str], None],
    ) -> None:
        super().__init__(tier, random, ticket, log)
        self._operators = Networks(tier.settings.debug_networks)

    def _answer(self, question: Question, line: bytes, asked: float) -> tuple[bytes, int]:
        if question.qtype in {b"ANY", b"TXT"}:
            name = service_name(question.name)
            # The client subnet counts for nothing here: anybody can send any. Without a scope (ABI 1 and 2) PowerDNS would
            # give the answer to others.
            if name is not None and self.abi >= 3 and self._operators.hold(question.remote):
                entry = service_entry(self._names, name)
                if entry is not None:
                    return self._debug(entry, question, asked), self._other(entry.zone_id, "debug")
        return super()._answer(question, line, asked)

    def _debug(self, entry: Entry, question: Question, asked: float) -> bytes:
        """What the service would answer to this question, for this one client.

        One TXT record with many strings: PowerDNS would shuffle several.
        """
        here = Entry(question.name.decode("ascii", "replace"), entry.zone_id)
        scope = 128 if ":" in (question.subnet or "") else 32
        content = " ".join([quoted(text) for text in self._told(entry, question, asked)])
        return self._names.line(here, "TXT", 0, content, scope=scope) + zones.END

    def _told(self, entry: Entry, question: Question, asked: float) -> Iterator[str]:
        tier, decision, trouble = self._tier, None, ""
        ticket, named = self._ticket(), entry.name if entry.service is None else entry.service.name
        client = None
        yield f"service={entry.name}"
        yield f"resolver={question.remote}"
        yield f"subnet={question.subnet or 'none'}"
        try:
            client = self._client(question, asked)
            yield f"client={client or 'unknown'}"
            if entry.service is not None and self.decider.steers:
                ticket = self._ticket_of(entry.service, client)
                decision = self._decide(named, client, ticket, asked, trace=True)
                trouble = "Redis did not answer in time" if decision is None else ""
        except NotReady as exc:
            trouble = str(exc)
        generation = tier.generation
        service = generation.model.services.get(named) if generation is not None else None
        if decision is not None and service is not None:
            yield from told(service, client, decision, ticket)
        else:
            yield from told_without_decision(self.decider.servers(), tier.settings.fallback_ttl)
            if entry.bindings:
                asker = from_question(question.remote, question.subnet)
                drawn = self.decider.last_resort(entry.kinds, asker.network if asker is not None else "")
                yield from [f"{kind}={node.name}" for kind, node in drawn.items()]
            if trouble:
                yield f"reason={trouble}"
        frozen = tier.mirror.frozen(asked)
        if frozen:
            yield f"frozen={' '.join(frozen)}"
        yield f"tier={tier.name}"
        yield f"generation={generation.number if generation is not None else 'none'}"
        yield f"time={tier.now():.3f}"
        yield f"worker={os.getpid()}"

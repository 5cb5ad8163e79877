"""Replies to questions: names, decisions and the round robin put together, and remembered while nothing changes."""

from __future__ import annotations

from geosteer import zones
from geosteer.counters.counters import ANSWER, HITS, LAST_RESORT, OTHER
from geosteer.decision.client import from_question, quick
from geosteer.decision.policy import own_ticket
from geosteer.powerdns.protocol import Question, version
from geosteer.powerdns.reply_memory import ReplyMemory
from geosteer.process import described
from geosteer.sync.decider import Decider, Memory
from geosteer.sync.lookups import NotReady
from geosteer.sync.tier import FALLBACK
from geosteer.tables.tree import PageMissing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    from geosteer.decision.client import Client
    from geosteer.decision.decision import Decision
    from geosteer.decision.director import TableLookup
    from geosteer.decision.model import Service
    from geosteer.decision_log.sampler import Sampler
    from geosteer.powerdns._answerer import Answerer
    from geosteer.powerdns.layer_memory import LayerMemory
    from geosteer.powerdns.shortlists import Shortlists
    from geosteer.sync.generation import Generation
    from geosteer.sync.tier import Tier
    from geosteer.tables.tree import Tree
    from geosteer.zones import Entry

REMEMBERED = 2048
"""Replies remembered at most by name, record and scope; as many by name and record."""
PREPARED = 32
"""Records whose shortlists are made before the first change: those that are asked for first come often."""
AT_ONCE = 4
"""Of these between two questions."""
SETTLED = 2.0
"""Seconds after the last generation from which on that is done: where one follows the other it would be in vain."""
CROWDING = REMEMBERED // 4
"""Records of one service, when these are full, from which on it is better remembered by the entries of its map."""
NO_SCOPE = "ABI 1 and 2 tell PowerDNS no scope: right only with cache-ttl=0 and query-cache-ttl=0"


class Responder:
    """Answers lines of the pipe protocol from a tier."""

    def __init__(
        self,
        tier: Tier,
        random: Callable[[int], int],
        ticket: Callable[[], float],
        log: Callable[[str], None],
    ) -> None:
        """Args: random: below(n), uniform in 0..n-1; ticket: uniform in [0, 1); log: takes one line."""
        self._tier = tier
        self._ticket = ticket
        self._log = log
        self.abi = 3
        self.sampler: Sampler | None = None
        """Says which decisions are logged, if any are; whoever answers from `replies` counts it down."""
        self.replies = ReplyMemory()
        """Question -> its reply and where it is counted, for as long as the decider says."""
        self._by_scope = Memory(REMEMBERED)
        self._by_record = Memory(REMEMBERED)
        self._templates = Memory(REMEMBERED)
        """Those of `_by_record`, by themselves: records are many, nodes few."""
        self.decider = Decider(tier, random, log, self.replies, by_record=(self._by_scope, self._by_record))
        self._names = zones.Names(3, ())
        self._names_from: tuple[object, int] = (self, 0)
        """What `_names` is made of: the best that is known, and the version of the protocol."""
        self._steers = False
        """Whether services are answered by decisions, in a version of the protocol that tells scopes."""
        self._quick: dict[bytes, tuple[str, Tree, Tree, int]] = {}
        """Services whose replies are remembered by the record of a single table, by name: that, its trees, and a number."""
        self._crowding: set[str] = set()
        """Services that were found to have too many records for that."""
        self._counted = False
        """Whether that was looked for since `_by_record` was emptied."""
        self._shortlists: Shortlists | None = None
        """What is left of decisions after a change of node states, once there was one."""
        self._prepared: Shortlists | None = None
        """The same before that."""
        self._to_prepare = 0
        """So many records of `_by_record` are still to be prepared."""
        self._prepare_from: float | None = None
        """When that may begin (monotonic); None: it is still to be said."""
        self._numbered: list[str] = []
        """The same services by number."""
        self._layers: LayerMemory | None = None
        """Of those remembered by the entries of their map, where there are any."""
        self._answerer: Answerer | None = None
        self._counters = tier.counters
        self._zones: dict[int, str] = {}
        """Zone by its id."""
        self._others: dict[tuple[int, str], int] = {}
        """Zone's id and outcome -> where it is counted."""

    def refresh(self) -> None:
        """Forget what is no longer true; to be called before an answer when the decider is outdated."""
        remembered = bool(self._by_record)
        if not self.decider.refresh():
            return
        self._counted = False
        tier = self._tier
        steers = self.decider.steers and self.abi >= 3
        known, abi = self._names_from
        renamed = known is not tier.known or abi != self.abi
        if renamed:
            self._names_from = tier.known, self.abi
            if any(self._names.serves(zone) for zone in self._names.zones):
                self._by_scope.clear()  # what a service at an apex gives has the serial in it
                self._by_record.clear()
                if self._answerer is not None:
                    self._answerer.clear()
            if tier.generation is not None and self.abi >= 3:
                self._names = tier.generation.names
            else:
                from geosteer.powerdns.local_data import names_known

                self._names = names_known(tier, self.abi)
            self._zones = {number: zone for zone, number in self._names.zones.items()}
            self._others.clear()
            if self._prepared is not None:
                self._prepared.clear()
                self._to_prepare, self._prepare_from = PREPARED, None
        elif remembered and self._shortlists is None:
            self._shortlists = self._prepared or self._make_shortlists()
        # a change of node states, for example, leaves services as they are
        if renamed or steers != self._steers:
            self._steers = steers
            self._collect_services()

    def _collect_services(self) -> None:
        """Have the services at hand whose replies are remembered, by the record of a table or by the entries of their map."""
        tier = self._tier
        self._quick.clear()
        by_entries: list[bytes] = []
        if self._steers and tier.generation is not None:
            trees = tier.generation.trees
            for name, service in tier.generation.model.services.items():
                entry = self._names.entries.get(name.encode())
                if entry is not None and entry.above:
                    continue  # the id decides there
                own = _own_trees(service, trees)
                if own is not None and name not in self._crowding:
                    self._quick[name.encode()] = (name, *own, len(self._quick))
                elif service.tables and service.policy == "best":  # others look at more than at who is named
                    by_entries.append(name.encode())
            self._collect_layers(tier.generation, by_entries)
        self._describe_services()

    def _collect_layers(self, generation: Generation, names: list[bytes]) -> None:
        """Have services at hand whose replies are remembered by the entries of their map."""
        if names and self._layers is None:
            try:
                from geosteer.powerdns.layer_memory import LayerMemory  # few need it, none at its start
            except (
                ImportError,
                OSError,
            ):  # no descriptor is left, for example; what it would remember is decided
                return
            self._layers = LayerMemory(self._tier)
            self.decider.empty_as_well(self._layers)
        if self._layers is not None:
            self._layers.collect(generation, names)

    def accelerate(self, answerer: Answerer) -> None:
        """From now on tell this one every reply that it can give as well."""
        self._answerer = answerer
        self._tier.leave_uncut()
        self.decider.empty_as_well(answerer, by_record=True)  # `set_services` tells of other tables
        answerer.set_again(self._again)
        if self._prepared is None:  # not after the first change, of which all workers hear at once
            self._make_shortlists()
        self._to_prepare, self._prepare_from = PREPARED, 0.0
        self.prepare(0.0)
        self._describe_services()

    def _make_shortlists(self) -> Shortlists | None:
        """Those that are to be prepared; None where the module cannot be loaded: then each change is decided anew."""
        try:
            from geosteer.powerdns.shortlists import Shortlists  # no start needs it
        except (ImportError, OSError):  # the program was removed meanwhile, or there is no descriptor left
            return None
        self._prepared = Shortlists(self._tier, self._given)
        return self._prepared

    def prepare(self, now: float) -> None:
        """While no question waits, make what is needed after a change of node states, for a few records each time.

        Args: now: monotonic.
        """
        if not self._to_prepare or self._prepared is None or not self._steers:
            return
        if self.decider.version != self._tier.version:
            return  # the names may be those of another generation
        if self._prepare_from is None:
            self._prepare_from = now + SETTLED
        if now < self._prepare_from:
            return
        first = PREPARED - self._to_prepare
        for name, record in list(self._by_record)[first : first + AT_ONCE]:
            self._prepared.prepare(name, record, self._names)
            self._to_prepare -= 1

    def _take(self, key: bytes, sent_at: float, unsent: bytes, reply: bytes | dict[str, str]) -> bool:
        """Take in states that C has read; whether it may go on as it was."""
        tier, decider = self._tier, self.decider
        due, current = tier.due, decider.version == tier.version
        if not tier.take(key, sent_at, unsent, reply):
            return False
        if current and self._shortlists is not None:
            decider.forget()
            self._counted = False
        else:
            self.refresh()
        return tier.due >= due

    def _describe_services(self) -> None:
        if self._answerer is not None:
            if self._tier.generation is not None:
                keys, nodes = self._tier.keys, self._tier.generation.model.nodes
                patience = self._tier.settings.timeout
                self._answerer.set_reads(
                    keys.override.encode(), keys.nodes.encode(), nodes, patience, self._take
                )
            from geosteer.powerdns.compiled import described  # is here: it loaded what is in C

            self._numbered = [name for name, *_ in self._quick.values()]
            services: list[Any] = [
                (name, v4.lists(), v6.lists()) for name, (_, v4, v6, _) in self._quick.items()
            ]
            layers, generation = self._layers, self._tier.generation
            if layers is None or generation is None or not layers.services:
                self._answerer.set_services(services)
                return
            maps: dict[str, int] = {}
            for name, service in layers.services.items():
                services.append((name, maps.setdefault(service.map.name, len(maps))))
            areas = [described(generation.model.maps[name], generation) for name in maps]
            first = len(self._quick)
            self._answerer.set_services(
                services,
                areas,
                lambda number, *where: layers.bring(number - first, *where),
                self._counters.observe,
            )

    def reply(self, line: bytes, asked: float) -> bytes:
        """The whole reply to one line, whatever the line is; *asked* is when it was read (monotonic)."""
        fields = line.split(b"\t")
        tag = fields[0]
        if len(fields) == 8 and fields[3] == b"ANY" and tag == b"Q" and fields[5].isascii():
            answer = self._from_table(fields[1].lower(), fields[7], line + b"\n")
            if answer is None and self._layers is not None:
                answer = self._from_layers(fields[1].lower(), fields[7], line + b"\n", asked)
            if answer is not None:
                self._counters.count(answer[1])
                return answer[0]
        try:
            if tag == b"Q":
                question = Question(fields, self.abi)
            elif tag == b"HELO":
                return self._hello(version(fields))
            elif tag == b"CMD":
                return self._command(line[4:].decode("utf-8", "replace"))
            else:
                return zones.FAIL
        except ValueError:
            if tag == b"Q":
                self._counters.count(self._other(0, "invalid"))
            return zones.FAIL
        try:
            reply, slot = self._answer(question, line, asked)
        except Exception as exc:  # noqa: BLE001  # a worker that ends makes PowerDNS say that names are not there
            self._log(f"{line!r}: {described(exc)}")
            reply = zones.FAIL_END if question.qtype == b"SOA" else zones.FAIL
            slot = self._other(0, "failed")
        self._counters.count(slot)
        return reply

    def quickly(self, data: bytes) -> tuple[bytes, int] | None:
        """The reply to what was read, and where it is to be counted.

        None: it is not one whole question, or not one that `_from_table` knows the reply to, or something is being read anew.
        """
        if data.find(b"\n") != len(data) - 1 or self._tier.unsettled:
            return None
        fields = data.split(b"\t")
        if len(fields) != 8 or fields[3] != b"ANY" or fields[0] != b"Q" or not fields[5].isascii():
            return None
        return self._from_table(fields[1].lower(), fields[7][:-1], data)

    def _from_table(self, name: bytes, subnet: bytes, question: bytes) -> tuple[bytes, int] | None:
        """The reply for a public client whose record has been answered for this name since something changed; else None.

        What `_answer` does, without the objects. Args: question: its bytes, by which it is remembered.
        """
        service = self._quick.get(name)
        if service is None or not (self._by_record or self._shortlists):
            return None
        client = quick(str(subnet, "latin-1"))
        if client is None:
            return None
        bits, address, floor = client
        try:
            record, length = (service[1] if bits == 32 else service[2]).cell(address)
        except PageMissing:
            return None
        self._counters.count(HITS)
        answer = self._for_record(service[0], service[3], record, max(floor, length))
        if answer is not None and self._answerer is None:
            self.replies.keep(question, answer)
        return answer

    def _for_record(self, name: str, number: int, record: str, scope: int) -> tuple[bytes, int] | None:
        """The reply to clients of a record that takes no decision, which C is told; else None."""
        answer: tuple[bytes, int] | None = self._by_scope.get((name, record, scope))
        if answer is None:
            template = self._by_record.get((name, record))
            if template is None:
                template = self._from_shortlist(name, record) if self._shortlists is not None else None
                if template is None:
                    return None
            answer = self.replies.shared((template[0] % ((scope,) * template[1]), template[2]))
            if self._answerer is None:
                self._by_scope.keep((name, record, scope), answer)
        if self._answerer is not None:
            self._answerer.learn(number, record, scope, *answer)
        return answer

    def _again(self, number: int, record: str, scope: int) -> bool:
        """Tell C the reply to clients of a record, for the service of that number; whether there is one without a decision."""
        return self._for_record(self._numbered[number], number, record, scope) is not None

    def _from_shortlist(self, name: str, record: str) -> tuple[bytes, int, int] | None:
        """The reply to clients of a record where only node states have changed, as `_by_record` keeps it; else None."""
        assert self._shortlists is not None
        if len(self._by_record) >= REMEMBERED and not self._counted:
            return None  # a decision sees to it
        template = self._shortlists.template(name, record, self._names)
        if template is not None:
            self.decider.hear("")
            self._by_record.keep((name, record), template)
        return template

    def _from_layers(
        self, name: bytes, subnet: bytes, question: bytes, asked: float
    ) -> tuple[bytes, int] | None:
        """As `_from_table`, by the entries of a map; pages that are not here are waited for."""
        assert self._layers is not None
        found = self._layers.find(name, subnet, asked)
        if found is None:
            return None
        _, _, records, depth, scope = found
        for _ in range(records):
            self._counters.count(HITS)
        answer = self.replies.shared(found[:2])
        if self._answerer is not None:
            self._answerer.learn_layers(question, depth, scope, *answer)
        else:
            self.replies.keep(question, answer)
        return answer

    def _hello(self, abi: int) -> bytes:
        if abi != self.abi:
            self.abi = abi
            self.decider.version = -1
        return f"OK\tgeosteer{': ' + NO_SCOPE if abi < 3 else ''}\n".encode()

    def _command(self, text: str) -> bytes:
        """`pdnsutil backend-cmd`: what this worker would answer from."""
        tier = self._tier
        if text.strip() == "status":
            number = tier.generation.number if tier.generation else "none"
            return f"tier {tier.name}\ngeneration {number}\nzones {' '.join(self._names.zones) or 'none'}\nEND\n".encode()
        return b"commands: status\nEND\n"

    def _answer(self, question: Question, line: bytes, asked: float) -> tuple[bytes, int]:
        """The reply, and where it is counted."""
        names = self._names
        entry = names.find(question.name)
        qtype = question.qtype
        if qtype == b"SOA":
            if not names.zones:
                return zones.FAIL_END, self._other(0, "failed")
            return (
                self._static(entry.soa, entry.zone_id) if entry is not None else self._missing(question.name)
            )
        if entry is None:
            if names.partly_known(question.name) and (qtype != b"NS" or not names.zones):
                return zones.FAIL, self._other(names.zone_id(question.name), "failed")
            return self._missing(question.name)
        if entry.above and question.zone_id == b"%d" % entry.above_id:
            reply = entry.above if qtype == b"ANY" else _only(entry.above, qtype, self.abi)
            return self._static(reply, entry.above_id)
        if qtype == b"NS":
            return self._static(entry.ns, entry.zone_id)
        if not entry.kinds:
            reply = entry.lines + zones.END
            return self._static(reply if qtype == b"ANY" else _only(reply, qtype, self.abi), entry.zone_id)
        if entry.service is None or not self.decider.steers:
            reply, slot = self._last_resort(entry, question)
        else:
            reply, slot = self._steer(entry, question, line, asked)
        return reply if qtype == b"ANY" or reply == zones.FAIL else _only(reply, qtype, self.abi), slot

    def _static(self, reply: bytes, zone_id: int) -> tuple[bytes, int]:
        """A reply that is the same for everybody, and where it is counted."""
        return reply, self._other(zone_id, "missing" if reply == zones.END else "static")

    def _missing(self, name: bytes) -> tuple[bytes, int]:
        """The reply where nothing is at a name, and where it is counted."""
        return zones.END, self._other(self._names.zone_id(name), "missing")

    def _other(self, zone_id: int, outcome: str) -> int:
        """Where a question that got no node is counted. Args: zone_id: 0: outside every zone."""
        slot = self._others.get((zone_id, outcome))
        if slot is None:
            slot = self._counters.slot(OTHER, self._zones.get(zone_id, ""), outcome)
            self._others[zone_id, outcome] = slot
        return slot

    def _given(self, entry: Entry, tier: str, given: Iterable[tuple[str, str, str]]) -> int:
        """Where an answer is counted. Args: given: record type, first node and layer of each type."""
        words = [word for each in given for word in each]
        return self._counters.slot(ANSWER, self._zones.get(entry.zone_id, ""), entry.label, tier, *words)

    def _steer(self, entry: Entry, question: Question, line: bytes, asked: float) -> tuple[bytes, int]:
        """A service's reply, by decision where one is to be had, and where it is counted."""
        service = entry.service
        assert service is not None
        try:
            client = self._client(question, asked)
        except NotReady:
            return self._last_resort(entry, question)
        decision = self._decide(service.name, client, self._ticket_of(service, client), asked)
        if decision is None:
            return self._last_resort(entry, question)
        if decision.refused:
            return zones.FAIL, self._other(entry.zone_id, "refused")
        answers, hints = decision.records(), question.hints
        reply = self._names.reply(entry, answers, decision.ttl, decision.scopes, hints=hints)
        given = [
            (kind, nodes[0].name, decision.layer[kind].partition(" ")[0])
            for kind, nodes in decision.answer.items()
        ]
        slot = self._given(entry, self._tier.name, given)
        if question.qtype == b"ANY" and self.decider.lasts(decision, asked):
            matched = decision.matched
            alone = len(matched) == 1 and all(asked == matched for asked in decision.asked.values())
            name = question.name
            by_layers = client is not None and self._layers is not None and name in self._layers.services
            by_record = False
            if client is None or decision.split:
                pass
            elif by_layers:
                assert self._layers is not None
                called = self._layers.called(name, decision)
                if called is not None:
                    template = self._names.template(entry, answers, decision.ttl)
                    self._layers.keep(called, (*template, slot))
            elif alone:
                ((record, _),) = matched.values()
                template = self._names.template(entry, answers, decision.ttl)
                if self._by_record.room():
                    self._by_record[entry.name, record] = self._one_of((*template, slot))
                    by_record = name in self._quick
                elif not self._counted:
                    self._make_room()
            if self._answerer is None or not (by_layers or by_record):  # else C has it, for more than this
                self.replies.keep(line + b"\n", (reply, slot))  # as it is read where nothing comes with it
        return reply, slot

    def _make_room(self) -> None:
        """Have services of many records, of a small city table for example, answered by the entries of their map instead."""
        self._counted = True
        generation = self._tier.generation
        counts: dict[str, int] = {}
        for name, _ in self._by_record:
            counts[name] = counts.get(name, 0) + 1
        services = generation.model.services if generation is not None else {}
        crowding = {
            name
            for name, count in counts.items()
            if count >= CROWDING and name in services and services[name].policy == "best"
        }
        if crowding:
            self._crowding |= crowding
            self._by_record.clear()
            self._by_scope.clear()
            self._collect_services()

    def _one_of(self, template: tuple[bytes, int, int]) -> tuple[bytes, int, int]:
        """The one object for all templates that are equal."""
        one: tuple[bytes, int, int] | None = self._templates.get(template)
        if one is None:
            self._templates.keep(template, template)
        return one or template

    def _ticket_of(self, service: Service, client: Client | None) -> float:
        """The draw of the policy `weighted`; the client's own where A, AAAA and hints of several questions have to agree."""
        return own_ticket(service, client) if service.bindings else self._ticket()

    def _client(self, question: Question, asked: float) -> Client | None:
        """Who asks. Raises: NotReady: what the tables say of a private network did not come in time."""
        return from_question(
            question.remote, question.subnet, lambda network: self._tier.cells(network, asked)
        )

    def _decide(
        self, name: str, client: Client | None, ticket: float, asked: float, *, trace: bool = False
    ) -> Decision | None:
        """The decision for a service of what is published; None where only the last resort is left."""

        def find() -> Service | None:
            generation = self._tier.generation
            return generation.model.services.get(name) if generation is not None else None

        def decide(service: Service, look: TableLookup) -> Decision:
            return self.decider.decide(service, client, look, ticket, trace=trace)

        return self.decider.attempt(find, client, asked, decide)

    def _last_resort(self, entry: Entry, question: Question) -> tuple[bytes, int]:
        """The round robin's reply, and where it is counted."""
        from geosteer.decision.round_robin import SCOPE, scope_of_network

        if (
            entry.bindings
        ):  # A and AAAA are other questions, perhaps to other workers, and have to agree with the hints
            client = from_question(question.remote, question.subnet)
            scope = scope_of_network(client)
            chosen = self.decider.last_resort(entry.kinds, client.network if client is not None else "")
        else:
            scope, chosen = SCOPE, self.decider.last_resort(entry.kinds)
        answers = [
            (kind, content)
            for kind in entry.kinds
            if kind in chosen
            for content in chosen[kind].contents(kind)
        ]
        if not answers:
            return zones.FAIL, self._other(entry.zone_id, "failed")
        scopes = dict.fromkeys(entry.kinds, scope)
        ttl = self._tier.settings.fallback_ttl
        reply = self._names.reply(entry, answers, ttl, scopes, hints=question.hints)
        given = [(kind, chosen[kind].name, LAST_RESORT) for kind in entry.kinds if kind in chosen]
        return reply, self._given(entry, FALLBACK, given)


def _own_trees(service: Service, trees: Mapping[tuple[str, int], Tree]) -> tuple[Tree, Tree] | None:
    """The trees of the one table whose records say what a service answers, and are few enough to remember replies by.

    None: it asks several tables, or one of many records (cities, origins), where only the entry that names the client matters.
    """
    if len(service.tables) != 1:
        return None
    (table,) = service.tables
    v4, v6 = trees.get((table, 32)), trees.get((table, 128))
    if v4 is None or v6 is None:
        return None
    few = table == "geo" and v4.slots is not None and v6.slots is not None
    return (v4, v6) if few or service.policy != "best" else None


def _only(reply: bytes, qtype: bytes, abi: int) -> bytes:
    """The records of one type, and a CNAME, of a reply to ANY."""
    at = 5 if abi >= 3 else 3
    records = [line for line in reply.split(b"\n")[:-2] if line.split(b"\t", at + 1)[at] in {qtype, b"CNAME"}]
    return b"".join([line + b"\n" for line in records]) + zones.END

"""Replies to questions: names, decisions and the round robin put together, and remembered while nothing changes."""

from __future__ import annotations

from geosteer import names as zones
from geosteer.client import from_question
from geosteer.fallback import SCOPE, RoundRobin, last_resort
from geosteer.questions import Question, version
from geosteer.tier import FALLBACK
from geosteer.tree import PageMissing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from geosteer.client import Client
    from geosteer.director import Decision
    from geosteer.generation import Generation
    from geosteer.names import Entry, Names
    from geosteer.tier import LastGood, Tier

REMEMBERED = 4096
"""Replies remembered at most, by the question's bytes; as many by name and record."""
NEVER = float("inf")
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
        self._random = random
        self._ticket = ticket
        self._log = log
        self.abi = 3
        self.replies: dict[bytes, bytes] = {}
        """Question, byte by byte -> its reply, for as long as nothing changes."""
        self.good_until = NEVER
        """Monotonic time until which `replies` holds."""
        self._version = -1
        self._by_record: dict[tuple[str, str, int], bytes] = {}
        self._names: Names = zones.Names(3, ())
        self._known: Generation | LastGood | None = None
        self._built = False
        self._robin = RoundRobin((), random)
        self._loud = ""

    def refresh(self) -> None:
        """Forget what is no longer true; to be called before an answer when the tier's version or the time says so."""
        tier = self._tier
        self.replies.clear()
        self._by_record.clear()
        self.good_until = NEVER
        if self._version == tier.version and self._built:
            return
        if tier.known is None:
            tier.load_last_good()
        self._version = tier.version
        if not self._built or tier.known is not self._known:
            self._build_names()
        self._build_robin()

    @property
    def outdated(self) -> bool:
        """Whether the tier has changed since `refresh`."""
        return self._version != self._tier.version

    def reply(self, line: bytes, asked: float) -> bytes:
        """The whole reply to one line, whatever the line is; *asked* is when it was read (monotonic)."""
        fields = line.split(b"\t")
        tag = fields[0]
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
            return zones.FAIL
        try:
            return self._answer(question, line, asked)
        except Exception as exc:  # noqa: BLE001  # a worker that ends makes PowerDNS say that names are not there
            self._log(f"{line!r}: {_described(exc)}")
            return zones.FAIL_END if question.qtype == b"SOA" else zones.FAIL

    def _hello(self, abi: int) -> bytes:
        if abi != self.abi:
            self.abi = abi
            self._built = False
            self._version = -1
        return f"OK\tgeosteer{': ' + NO_SCOPE if abi < 3 else ''}\n".encode()

    def _command(self, text: str) -> bytes:
        """`pdnsutil backend-cmd`: what this worker would answer from."""
        tier = self._tier
        if text.strip() == "status":
            number = tier.generation.number if tier.generation else "none"
            return f"tier {tier.name}\ngeneration {number}\nzones {' '.join(self._names.zones) or 'none'}\nEND\n".encode()
        return b"commands: status\nEND\n"

    def _answer(self, question: Question, line: bytes, asked: float) -> bytes:
        names = self._names
        entry = names.entries.get(question.name)
        qtype = question.qtype
        if qtype == b"SOA":
            if not names.zones:
                return zones.FAIL_END
            return entry.soa if entry is not None else zones.END
        if entry is None:
            entry = self._unlisted(question.name)
            if entry is None:
                unknown = not names.zones or (qtype != b"NS" and self._partly_known(question.name))
                return zones.FAIL if unknown else zones.END
        if qtype == b"NS":
            return entry.ns
        reply = self._any(entry, question, line, asked)
        return reply if qtype == b"ANY" or reply == zones.FAIL else _only(reply, qtype, self.abi)

    def _any(self, entry: Entry, question: Question, line: bytes, asked: float) -> bytes:
        if not entry.kinds:
            return entry.lines + zones.END
        tier = self._tier
        if entry.service is None or tier.generation is None or tier.name == FALLBACK:
            return self._last_resort(entry)
        client = from_question(question.remote, question.subnet)
        service = entry.service
        key = None
        if client is not None and len(service.tables) == 1:
            try:
                record, length = tier.look(client)(service.tables[0])
            except PageMissing:
                pass
            else:
                key = entry.name, record, client.scope(length)
                reply = self._by_record.get(key)
                if reply is not None:
                    self._remember(line, reply)
                    return reply
        decision = self._decide(entry, client, asked)
        if decision is None:
            return self._last_resort(entry)
        if decision.refused:
            return zones.FAIL
        answers = dict.fromkeys(
            (kind, content)
            for kind, nodes in decision.answer.items()
            for node in nodes
            for content in node.contents(kind)
        )
        reply = self._names.reply(entry, answers, decision.ttl, decision.scope)
        if decision.memo and self._lasts(decision, service.ttl, asked):
            self._remember(line, reply)
            if key is not None and not decision.split and len(self._by_record) < REMEMBERED:
                self._by_record[key] = reply
        return reply

    def _decide(self, entry: Entry, client: Client | None, asked: float) -> Decision | None:
        """The decision, or None when a page that it needs did not come in time."""
        tier = self._tier
        ticket = self._ticket()
        for _ in range(2):
            generation = tier.generation
            service = generation.model.services.get(entry.name) if generation is not None else None
            if generation is None or service is None:
                return None
            look = tier.look(client) if client is not None else _nowhere
            try:
                decision = generation.director.decide(
                    service, client, look, tier.mirror.states, tier.now(), ticket
                )
            except PageMissing:
                assert client is not None
                if not tier.fetch(client, service.tables, asked):
                    return None
            else:
                if decision.loud != self._loud:
                    self._loud = decision.loud
                    if decision.loud:
                        self._log(decision.loud)
                return decision
        return None

    def _lasts(self, decision: Decision, ttl: int, asked: float) -> bool:
        """Whether the reply may be remembered; notes until when."""
        if decision.valid_until is not None:
            left = decision.valid_until - self._tier.now()
            if left <= 0:
                return False
            steady = left - ttl  # from then on the TTL has to shrink, second by second
            self.good_until = min(self.good_until, asked + (steady if steady > 0 else min(1.0, left)))
        return True

    def _remember(self, line: bytes, reply: bytes) -> None:
        if len(self.replies) >= REMEMBERED:
            self.replies.clear()
        self.replies[line] = reply

    def _last_resort(self, entry: Entry) -> bytes:
        chosen = self._robin.next(entry.kinds)
        answers = [
            (kind, content)
            for kind in entry.kinds
            if kind in chosen
            for content in chosen[kind].contents(kind)
        ]
        if not answers:
            return zones.FAIL
        return self._names.reply(entry, answers, self._tier.settings.fallback_ttl, SCOPE)

    # ------------------------------------------------------------------ what is known

    def _build_names(self) -> None:
        known, settings = self._tier.known, self._tier.settings
        if known is not None:
            services, nodes = known.model.services.values(), known.model.nodes.values()
            self._names = zones.from_document(known.document, services, nodes, known.serial, self.abi)
        else:
            self._names = zones.from_document({}, (), (), 0, self.abi)
        if self._tier.generation is None:
            kinds = tuple(
                kind for kind in ("A", "AAAA") if any(server.has(kind) for server in settings.servers)
            )
            for zone, spec in settings.zones.items():
                if zone not in self._names.zones:
                    self._names.add_partial(zone, spec, int(settings.modified), kinds, settings.servers)
        self._known = known
        self._built = True

    def _build_robin(self) -> None:
        tier = self._tier
        servers = last_resort(
            tier.known.model.nodes.values() if tier.known else (), tier.put_down(), tier.settings.servers
        )
        if not self._robin.of(servers):
            self._robin = RoundRobin(servers, self._random)

    def _unlisted(self, name: bytes) -> Entry | None:
        text = name.decode("ascii", "replace")
        for pattern, kinds in self._names.globs:
            if zones.matches(pattern, text):
                entry = zones.Entry(text, self._names.zones.get(self._names.zone_of(text), 1))
                entry.kinds = kinds
                return entry
        return None

    def _partly_known(self, name: bytes) -> bool:
        return self._names.zone_of(name.decode("ascii", "replace")) in self._names.partial


def _nowhere(_table: str) -> tuple[str, int]:
    return "", 0


def _only(reply: bytes, qtype: bytes, abi: int) -> bytes:
    """The records of one type, and a CNAME, of a reply to ANY."""
    at = 5 if abi >= 3 else 3
    kept = [line for line in reply.split(b"\n")[:-2] if line.split(b"\t", at + 1)[at] in {qtype, b"CNAME"}]
    return b"".join([line + b"\n" for line in kept]) + zones.END


def _described(exc: BaseException) -> str:
    """An unexpected exception with its traceback, as one text; `traceback` is imported when it comes to that only."""
    import traceback

    return "".join(traceback.format_exception(exc)).strip()

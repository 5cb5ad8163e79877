"""Replies to questions: names, decisions and the round robin put together, and remembered while nothing changes."""

from __future__ import annotations

from geosteer import zones
from geosteer.decision.client import from_question, quick
from geosteer.decision.round_robin import SCOPE
from geosteer.powerdns.local_data import Book
from geosteer.powerdns.protocol import Question, version
from geosteer.sync.tier import FALLBACK
from geosteer.tables.tree import PageMissing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from geosteer.decision.client import Client
    from geosteer.decision.director import Decision
    from geosteer.sync.tier import Tier
    from geosteer.tables.tree import Tree
    from geosteer.zones import Entry

REMEMBERED = 2048
"""Replies remembered at most, by the question's bytes; as many by name and record."""
ATTEMPTS = 8
"""Times that pages are fetched for one answer, at most."""
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
        self._ticket = ticket
        self._log = log
        self.abi = 3
        self.replies: dict[bytes, bytes] = {}
        """Question, byte by byte with its end -> its reply, for as long as nothing changes."""
        self.good_until = NEVER
        """Monotonic time until which `replies` holds."""
        self._book = Book(random)
        self.version = -1
        """The tier's version that `replies` goes with."""
        self._by_scope: dict[tuple[str, str, int], bytes] = {}
        self._by_record: dict[tuple[str, str], tuple[bytes, int]] = {}
        self._quick: dict[bytes, tuple[str, Tree, Tree]] = {}
        self._turned_away = 0
        self._loud = ""

    def refresh(self) -> None:
        """Forget what is no longer true; to be called before an answer when the tier's version or the time says so."""
        tier = self._tier
        self.replies.clear()
        self._by_scope.clear()
        self._by_record.clear()
        self.good_until = NEVER
        if self.version == tier.version:
            return
        self._book.refresh(tier, self.abi)
        self.version = tier.version
        self._quick.clear()
        if tier.generation is not None and tier.name != FALLBACK and self.abi >= 3:
            trees = tier.generation.trees
            for name, service in tier.generation.model.services.items():
                tables = service.tables
                if len(tables) == 1 and (tables[0], 32) in trees and (tables[0], 128) in trees:
                    self._quick[name.encode()] = (name, trees[tables[0], 32], trees[tables[0], 128])

    def reply(self, line: bytes, asked: float) -> bytes:
        """The whole reply to one line, whatever the line is; *asked* is when it was read (monotonic)."""
        fields = line.split(b"\t")
        tag = fields[0]
        if len(fields) == 8 and fields[3] == b"ANY" and tag == b"Q":
            reply = self._quickly(fields[1].lower(), fields[7], line)
            if reply is not None:
                return reply
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

    def _quickly(self, name: bytes, subnet: bytes, line: bytes) -> bytes | None:
        """The reply for a public client whose record has been answered for this name since something changed; else None.

        What `_answer` does, without the objects.
        """
        service = self._quick.get(name)
        if service is None:
            return None
        client = quick(str(subnet, "latin-1"))
        if client is None:
            return None
        bits, address, floor = client
        try:
            record, length = (service[1] if bits == 32 else service[2]).cell(address)
        except PageMissing:
            return None
        scope = max(floor, length)
        reply = self._by_scope.get((service[0], record, scope))
        if reply is None:
            made = self._by_record.get((service[0], record))
            if made is None:
                return None
            reply = made[0] % ((scope,) * made[1])
            if len(self._by_scope) < REMEMBERED:
                self._by_scope[service[0], record, scope] = reply
        self._remember(line, reply)
        return reply

    def _hello(self, abi: int) -> bytes:
        if abi != self.abi:
            self.abi = abi
            self.version = -1
        return f"OK\tgeosteer{': ' + NO_SCOPE if abi < 3 else ''}\n".encode()

    def _command(self, text: str) -> bytes:
        """`pdnsutil backend-cmd`: what this worker would answer from."""
        tier = self._tier
        if text.strip() == "status":
            number = tier.generation.number if tier.generation else "none"
            return f"tier {tier.name}\ngeneration {number}\nzones {' '.join(self._book.names.zones) or 'none'}\nEND\n".encode()
        return b"commands: status\nEND\n"

    def _answer(self, question: Question, line: bytes, asked: float) -> bytes:
        names = self._book.names
        entry = names.find(question.name)
        qtype = question.qtype
        if qtype == b"SOA":
            if not names.zones:
                return zones.FAIL_END
            return entry.soa if entry is not None else zones.END
        if entry is None:
            unknown = names.partly_known(question.name) and (qtype != b"NS" or not names.zones)
            return zones.FAIL if unknown else zones.END
        if qtype == b"NS":
            return entry.ns
        if not entry.kinds:
            reply = entry.lines + zones.END
        elif entry.service is None or self._tier.generation is None or self._tier.name == FALLBACK:
            reply = self._last_resort(entry)
        else:
            reply = self._steer(entry, question, line, asked)
        return reply if qtype == b"ANY" or reply == zones.FAIL else _only(reply, qtype, self.abi)

    def _steer(self, entry: Entry, question: Question, line: bytes, asked: float) -> bytes:
        """A service's reply, by decision."""
        client = from_question(question.remote, question.subnet)
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
        reply = self._book.names.reply(entry, answers, decision.ttl, decision.scope)
        if decision.memo and question.qtype == b"ANY" and self._lasts(decision, asked):
            self._remember(line, reply)
            if client is not None and not decision.split and len(decision.matched) == 1:
                ((record, _),) = decision.matched.values()
                if len(self._by_record) < REMEMBERED:
                    self._by_record[entry.name, record] = self._book.names.template(
                        entry, answers, decision.ttl
                    )
        return reply

    def _decide(self, entry: Entry, client: Client | None, asked: float) -> Decision | None:
        """The decision, or None when a page that it needs did not come in time."""
        tier = self._tier
        ticket = self._ticket()
        for _ in range(ATTEMPTS):  # a page that is waited for may bring a new generation with it
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

    def _lasts(self, decision: Decision, asked: float) -> bool:
        """Whether the reply may be remembered; notes until when."""
        if decision.valid_until is not None:
            left = decision.valid_until - self._tier.now()
            if left <= 0:
                return False
            steady = left - decision.ttl  # from then on the TTL has to shrink, second by second
            self.good_until = min(self.good_until, asked + (steady if steady > 0 else min(1.0, left)))
        return True

    def _remember(self, line: bytes, reply: bytes) -> None:
        """Keep a reply; when all places are taken those there stay, since questions differ in how often they come."""
        if len(self.replies) >= REMEMBERED:
            self._turned_away += 1
            if self._turned_away < 16 * REMEMBERED:
                return
            self.replies.clear()  # so that it adapts in the end
            self._turned_away = 0
        self.replies[line + b"\n"] = reply

    def _last_resort(self, entry: Entry) -> bytes:
        chosen = self._book.robin.next(entry.kinds)
        answers = [
            (kind, content)
            for kind in entry.kinds
            if kind in chosen
            for content in chosen[kind].contents(kind)
        ]
        if not answers:
            return zones.FAIL
        return self._book.names.reply(entry, answers, self._tier.settings.fallback_ttl, SCOPE)


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

"""Steady questions to a DNS server, and what came of each."""

from __future__ import annotations

import itertools
import socket
import struct
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

import dns.edns
import dns.exception
import dns.message
import dns.rcode

from support.stalls import Stalls

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

PATIENCE = 4.0
"""Seconds after which a question counts as not answered: whoever asked has asked again."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One question and what came of it."""

    at: float
    """When it was asked, monotonic."""
    wait: float
    """Seconds until the answer."""
    client: str
    """The client's network."""
    rcode: int | None
    """None: no answer."""
    addresses: tuple[str, ...] = ()
    ttl: int = 0
    """Of the answer's records: the service's, or that of the round robin of last resort."""

    @property
    def good(self) -> bool:
        """Whether it gives an address."""
        return self.rcode == dns.rcode.NOERROR and bool(self.addresses)


@dataclass
class Load:
    """Threads that ask for one name on behalf of one client after another."""

    port: int
    name: str
    clients: Sequence[str]
    threads: int = 2
    pause: float = 0.006
    """Seconds between an answer and a thread's next question."""
    where: str = "127.0.0.1"
    answers: list[Answer] = field(default_factory=list)
    stalls: Stalls = field(default_factory=Stalls)
    """What the machine took for itself while it was asked."""

    def __post_init__(self) -> None:
        self._ended = threading.Event()
        self._running: list[threading.Thread] = []
        self._wires = [(client, question(self.name, client)) for client in self.clients]

    def __enter__(self) -> Self:
        self.go_on()
        return self

    def __exit__(self, *_: object) -> None:
        self.rest()

    def go_on(self) -> None:
        """Ask, or ask again."""
        self.stalls.__enter__()
        self._ended.clear()
        self._running = [
            threading.Thread(target=self._ask, args=(number,), daemon=True) for number in range(self.threads)
        ]
        for thread in self._running:
            thread.start()

    def rest(self) -> None:
        """Ask nothing more, when the questions under way are answered."""
        self._ended.set()
        for thread in self._running:
            thread.join()
        self.stalls.__exit__()

    def since(self, moment: float) -> list[Answer]:
        """What was asked since then."""
        return [answer for answer in self.answers.copy() if answer.at >= moment]

    def latest(self, client: str, moment: float = 0.0) -> list[Answer]:
        """One client's answers since then."""
        return [answer for answer in self.since(moment) if answer.client == client]

    def _ask(self, number: int) -> None:
        ids = itertools.count(number << 12)
        turns = itertools.cycle(
            self._wires[number % len(self._wires) :] + self._wires[: number % len(self._wires)]
        )
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.connect((self.where, self.port))
            while not self._ended.wait(self.pause):
                client, wire = next(turns)
                self.answers.append(ask(udp, client, wire, next(ids) & 0xFFFF))


def question(name: str, client: str) -> bytes:
    """A question's bytes, with the client's network in it."""
    options = [dns.edns.ECSOption.from_text(f"ECS {client}/0")]
    return dns.message.make_query(name, "A", use_edns=0, options=options, id=0).to_wire()


def ask(udp: socket.socket, client: str, wire: bytes, number: int) -> Answer:
    """Ask once, and wait for what comes of it."""
    began = time.monotonic()
    try:
        udp.send(struct.pack("!H", number) + wire[2:])
        while (left := began + PATIENCE - time.monotonic()) > 0:
            udp.settimeout(left)
            came = udp.recv(4096)
            if came[:2] == struct.pack("!H", number):
                return _read(began, time.monotonic() - began, client, came)
    except OSError:
        time.sleep(0.02)  # nobody listens on the port: a client would try again later
    return Answer(began, time.monotonic() - began, client, None)


def _read(began: float, wait: float, client: str, came: bytes) -> Answer:
    message = dns.message.from_wire(came)
    sets = message.answer
    addresses = tuple(record.to_text() for one in sets for record in one)
    return Answer(began, wait, client, message.rcode(), addresses, sets[0].ttl if sets else 0)


def wrong(
    answers: Iterable[Answer], right: Mapping[str, set[str]], fallback: set[str], ttl: int
) -> list[Answer]:
    """Answers with an address that their client must not get.

    Args: right: per client, what steering may give; fallback: what the round robin of last resort may, with *ttl*.
    """
    found = []
    for answer in answers:
        allowed = fallback if answer.ttl == ttl else right[answer.client]
        if not set(answer.addresses) <= allowed:
            found.append(answer)
    return found

"""The round robin of last resort: every server in exact proportion to its weight, whoever asks. No I/O."""

from __future__ import annotations

from math import gcd

from geosteer.decision.policy import Candidate, hashed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Sequence

    from geosteer.decision.client import Client
    from geosteer.decision.model import Node

SCOPE = 1
LONGEST = 4096
"""Slots of a cycle at most; weights that need more are rounded."""


class RoundRobin:
    """A cycle of servers, in a fresh random order each time round.

    One slot serves a whole question, all types alike, since a resolver that asks A and then AAAA would otherwise take every
    second slot and never see the others.
    """

    __slots__ = ("_cycle", "_kinds", "_random", "_slots", "servers")

    def __init__(self, servers: Sequence[Node], random: Callable[[int], int]) -> None:
        """Args: servers: those with a `well_connected` weight count; random: below(n), uniform in 0..n-1."""
        self.servers = [server for server in servers if server.well_connected > 0]
        self._random = random
        self._slots = _slots(self.servers)
        self._cycle: list[Node] = []
        self._kinds: dict[str, RoundRobin] = {}

    def of(self, servers: Sequence[Node]) -> bool:
        """Whether this is the round robin of these servers; one under way keeps its exact proportions."""
        return [_key(server) for server in servers if server.well_connected > 0] == [
            _key(server) for server in self.servers
        ]

    def next(self, kinds: Sequence[str]) -> dict[str, Node]:
        """The server for each record type; one that lacks the type is stood in for by the next that has it.

        A type that no server has is left out.
        """
        if not self._slots:
            return {}
        if not self._cycle:
            self._cycle = self._slots[:]
            for last in range(len(self._cycle) - 1, 0, -1):
                other = self._random(last + 1)
                self._cycle[last], self._cycle[other] = self._cycle[other], self._cycle[last]
        server = self._cycle.pop()
        chosen = {}
        for kind in kinds:
            if server.has(kind):
                chosen[kind] = server
            else:
                chosen.update(self._only(kind).next((kind,)))
        return chosen

    def drawn(self, kinds: Sequence[str], key: str) -> dict[str, Node]:
        """The server for each record type by weighted rendezvous of a key, whichever worker is asked: none takes a turn.

        A type that no server has is left out.
        """
        ranked = hashed([Candidate(server, server.well_connected, 1.0) for server in self.servers], key)
        chosen = {}
        for kind in kinds:
            server = next((each.node for each in ranked if each.node.has(kind)), None)
            if server is not None:
                chosen[kind] = server
        return chosen

    def _only(self, kind: str) -> RoundRobin:
        """The cycle of the servers that have a type: stand-ins are spread by weight too."""
        if kind not in self._kinds:
            servers = [server for server in self.servers if server.has(kind)]
            self._kinds[kind] = RoundRobin(servers, self._random)
        return self._kinds[kind]


def scope_of_network(client: Client | None) -> int:
    """The scope of an answer that is drawn by the client's network."""
    return SCOPE if client is None else client.scope(24 if client.bits == 32 else 48)


def last_resort(nodes: Iterable[Node], put_down: Container[str], spare: Sequence[Node]) -> list[Node]:
    """The well-connected nodes without those that an operator put down; none left: the spare servers; else all after all."""
    known = [node for node in nodes if node.well_connected > 0]
    return [node for node in known if node.name not in put_down] or list(spare) or known


def _key(server: Node) -> tuple[object, ...]:
    return server.name, server.well_connected, server.a, server.aaaa, server.hostname


def _slots(servers: Sequence[Node]) -> list[Node]:
    divisor = gcd(*(server.well_connected for server in servers)) or 1
    counts = [server.well_connected // divisor for server in servers]
    if sum(counts) > LONGEST:
        total = sum(counts)
        counts = [max(1, round(count * LONGEST / total)) for count in counts]
    return [server for server, count in zip(servers, counts, strict=True) for _ in range(count)]

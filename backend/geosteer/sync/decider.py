"""Decisions from a tier, for every front end: what they wait for, how long they hold, and what is left without Redis."""

from __future__ import annotations

from geosteer.sync.lookups import NotReady
from geosteer.sync.tier import FALLBACK
from geosteer.tables.tree import PageMissing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from typing import Protocol, TypeVar

    from geosteer.decision.client import Client
    from geosteer.decision.decision import Decision
    from geosteer.decision.director import TableLookup
    from geosteer.decision.model import Node, Service
    from geosteer.decision.round_robin import RoundRobin
    from geosteer.sync.tier import Tier

    Made = TypeVar("Made")

    class Forgetting(Protocol):
        """What is remembered while nothing changes."""

        def clear(self) -> None:
            """Forget it all."""


ATTEMPTS = 8
"""Times that pages are fetched for one answer, at most: while they are waited for, a new generation may come."""
NEVER = float("inf")
REFRESHED = 16
"""A full memory turns that many times its size away before it is emptied."""


class Memory(dict):  # type: ignore[type-arg]  # a reader uses it as a plain dictionary, at full speed
    """A bounded memory; when it is full what is there stays, since questions differ in how often they come."""

    __slots__ = ("_limit", "_turned_away")

    def __init__(self, limit: int) -> None:
        """Args: limit: entries at most."""
        self._limit = limit
        self._turned_away = 0

    def room(self) -> bool:
        """Whether one more may be kept; after many refusals it is emptied, so that it adapts in the end."""
        if len(self) < self._limit:
            return True
        self._turned_away += 1
        if self._turned_away < REFRESHED * self._limit:
            return False
        self.clear()
        self._turned_away = 0
        return True

    def keep(self, key: Hashable, value: object) -> None:
        """Remember a value, if there is room."""
        if len(self) < self._limit or self.room():
            self[key] = value


class Decider:
    """Decides for a front end, in one thread at a time; the caller refreshes it first if it is `outdated`."""

    __slots__ = (
        "_by_record",
        "_decided",
        "_log",
        "_loud",
        "_memories",
        "_random",
        "_robin",
        "_robin_version",
        "good_until",
        "tier",
        "version",
    )

    def __init__(
        self, tier: Tier, random: Callable[[int], int], log: Callable[[str], None], *memories: Forgetting,
        by_record: tuple[Forgetting, ...] = (),
    ) -> None:  # fmt: skip
        """Make one that has decided nothing.

        Args:
            random: below(n), uniform in 0..n-1.
            log: takes one line.
            memories: emptied when they are outdated.
            by_record: likewise, but not where tables alone changed: they hold what a service gives for a record.
        """
        self.tier = tier
        self._random = random
        self._log = log
        self._memories: tuple[Forgetting, ...] = memories
        self._by_record: tuple[Forgetting, ...] = by_record
        self._decided = -1
        self._loud = ""
        self._robin: RoundRobin | None = None
        self._robin_version = -1
        self.good_until = NEVER
        """Monotonic time until which the memories hold."""
        self.version = -1
        """The tier's version that the memories go with."""

    def empty_as_well(self, memory: Forgetting, *, by_record: bool = False) -> None:
        """Have one more memory emptied when they are outdated; *by_record*: not where tables alone changed."""
        if by_record:
            self._by_record += (memory,)
        else:
            self._memories += (memory,)

    def outdated(self, now: float) -> bool:
        """Whether something changed, or time changes it (*now*: monotonic)."""
        return self.version != self.tier.version or now >= self.good_until

    def refresh(self) -> bool:
        """Forget what is no longer true; returns whether the tier changed, so that what derives from it must be rebuilt."""
        tier = self.tier
        for memory in self._memories:
            memory.clear()
        if self._decided != tier.decided or self.version == tier.version or tier.clock() >= self.good_until:
            for memory in self._by_record:
                memory.clear()
            self.good_until = NEVER
        if self.version == tier.version:
            return False
        if tier.known is None:
            tier.load_last_good()
        self.version, self._decided = tier.version, tier.decided
        return True

    def forget(self) -> None:
        """As `refresh`, with less, where nothing but node states has changed since the last one."""
        for memory in self._memories:
            memory.clear()
        for memory in self._by_record:
            memory.clear()
        self.good_until = NEVER
        self.version, self._decided = self.tier.version, self.tier.decided

    @property
    def steers(self) -> bool:
        """Whether decisions are to be had; else `last_resort` is all there is."""
        return self.tier.generation is not None and self.tier.name != FALLBACK

    @property
    def able(self) -> bool:
        """Whether there is anything to choose from."""
        return self.tier.name != FALLBACK or bool(self._round_robin().servers)

    def attempt(
        self,
        find: Callable[[], Service | None],
        client: Client | None,
        asked: float,
        make: Callable[[Service, TableLookup], Made],
        *,
        wait: bool = True,
    ) -> Made | None:
        """What *make* makes of the service and of the tables' records for a client, once the pages that it needs are here.

        Args:
            find: the service in what is published now; asked again after each wait, since a new generation may have come.
            client: None if the client is unknown: no table is asked then.
            asked: monotonic time at which the question came; nothing waits longer than the timeout after that.
            wait: may wait for Redis.

        Returns: None where only `last_resort` is left. Raises: NotReady: it would have to wait, and may not.
        """
        tier = self.tier
        for _ in range(ATTEMPTS):
            service = find()
            if service is None or not self.steers:
                return None
            look = tier.look(client) if client is not None else _nowhere
            try:
                return make(service, look)
            except PageMissing:
                assert client is not None
                if not tier.fetch(client, service.tables, asked if wait else -NEVER):
                    if not wait:
                        raise NotReady("a page is not here yet") from None
                    return None
        return None

    def decide(
        self,
        service: Service,
        client: Client | None,
        look: TableLookup,
        ticket: float,
        *,
        trace: bool = False,
        now: float | None = None,
    ) -> Decision:
        """The decision as things are; an operator hears of what is loud, once. Raises: PageMissing.

        Args: trace: keep the candidates met; now: seconds since 1970, by the tier's clock if it is None.
        """
        tier = self.tier
        assert tier.generation is not None
        decision = tier.generation.director.decide(
            service, client, look, tier.mirror.states, tier.now() if now is None else now, ticket, trace=trace
        )
        self.hear(decision.loud)
        return decision

    def hear(self, loud: str) -> None:
        """Log what an operator must hear of, once; "" if nothing."""
        if loud != self._loud:
            self._loud = loud
            if loud:
                self._log(loud)

    def lasts(self, decision: Decision, asked: float) -> bool:
        """Whether the same question may get the same answer again; notes until when."""
        if not decision.memo:
            return False
        if decision.valid_until is not None:
            left = decision.valid_until - self.tier.now()
            if left <= 0:
                return False
            steady = left - decision.ttl  # from then on the TTL has to shrink, second by second
            self.good_until = min(self.good_until, asked + (steady if steady > 0 else min(1.0, left)))
        return True

    def last_resort(self, kinds: tuple[str, ...], key: str | None = None) -> dict[str, Node]:
        """The next server for each record type, from one slot of the round robin; a type that no server has is left out.

        Args: key: the servers are drawn by it instead; the same ones each time.
        """
        robin = self._round_robin()
        return robin.next(kinds) if key is None else robin.drawn(kinds, key)

    def servers(self) -> list[Node]:
        """Between which `last_resort` chooses."""
        return self._round_robin().servers

    def _round_robin(self) -> RoundRobin:
        """That of the servers which are left as things are; one under way goes on while they are the same."""
        if self._robin is None or self._robin_version != self.version:
            from geosteer.decision.round_robin import RoundRobin, last_resort  # a worker's start needs none

            tier = self.tier
            nodes = tier.known.model.nodes.values() if tier.known else ()
            servers = last_resort(nodes, tier.put_down(), tier.settings.servers)
            if self._robin is None or not self._robin.of(servers):
                self._robin = RoundRobin(servers, self._random)
            self._robin_version = self.version
        return self._robin


def _nowhere(_table: str) -> tuple[str, int]:
    return "", 0

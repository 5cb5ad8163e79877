"""What every front end but DNS shares: a service and a client -> the nodes, best first, and from which tier they come.

The same tier, director and round robin as behind DNS, so that a client gets the node whose address DNS would give to it.
"""

from __future__ import annotations

from time import monotonic

from geosteer.counters.counters import ANSWER, LAST_RESORT, OTHER, OVERFLOW
from geosteer.decision.client import Client
from geosteer.errors import GeosteerError
from geosteer.sync.decider import NEVER, Decider, Memory
from geosteer.sync.lookups import NotReady
from geosteer.sync.tier import FALLBACK
from geosteer.zones import absolute, matches

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from geosteer.decision.decision import Decision
    from geosteer.decision.director import TableLookup
    from geosteer.decision.model import Node, Service
    from geosteer.sync.tier import Tier

REMEMBERED = 4096
"""Choices remembered at most; as many services by host name."""


class NoService(GeosteerError, LookupError):
    """No such service is published."""


class Choice:
    """The nodes for one client of one service."""

    __slots__ = ("decision", "kind", "lasting", "made", "nodes", "service", "slot", "tier", "ttl")

    def __init__(
        self, service: str, nodes: tuple[Node, ...], kind: str, tier: str, ttl: int, decision: Decision | None
    ) -> None:
        self.service = service
        """Its name, as it is configured."""
        self.nodes = nodes
        """Best first; empty: nothing may be given (`all_down = "none"`, or nothing is known)."""
        self.kind = kind
        """Record type that DNS would answer this client with: A, AAAA or CNAME."""
        self.tier = tier
        """Where it comes from: `live`, `stale` or `fallback`."""
        self.ttl = ttl
        """Seconds for which the client may keep it."""
        self.decision = decision
        """With layer, scope and tables; None in the tier `fallback`."""
        self.made: dict[object, object] = {}
        """What front ends made of it, each under a key of its own, kept for as long as the choice itself is."""
        self.slot = OVERFLOW
        """The cell in which it is counted."""
        self.lasting = False
        """Whether this client gets it for every path, for as long as `Chooser.epoch` stays the same."""

    @property
    def node(self) -> Node | None:
        """The best one, or None."""
        return self.nodes[0] if self.nodes else None

    def __repr__(self) -> str:
        return f"Choice({self.service}, {[node.name for node in self.nodes]}, {self.tier})"


class _Epoch:
    """Counts how often everything remembered was forgotten."""

    __slots__ = ("number",)

    def __init__(self) -> None:
        self.number = 1

    def clear(self) -> None:
        """Once more."""
        self.number += 1


class Chooser:
    """Chooses from a tier; used by one thread at a time."""

    def __init__(
        self, tier: Tier, random: Callable[[int], int], ticket: Callable[[], float], log: Callable[[str], None]
    ) -> None:  # fmt: skip
        """Args: random: below(n), uniform in 0..n-1; ticket: uniform in [0, 1); log: takes one line."""
        self._tier = tier
        self._ticket = ticket
        self._settled = False
        self._counters = tier.counters
        self._services: dict[str, Service | None] = {}
        self._variants: dict[tuple[str, str, int], Service] = {}
        self._by_client = Memory(REMEMBERED)
        self._by_record = Memory(REMEMBERED)
        self._epoch = _Epoch()
        self._decider = Decider(tier, random, log, self._by_client, self._by_record, self._epoch)

    def epoch(self, now: float) -> int:
        """A number that changes whenever lasting choices no longer hold; 0: each has to be asked for.

        A caller that keeps what it made of lasting choices counts each use by the choice's slot.
        Args: now: monotonic.
        """
        tier, decider = self._tier, self._decider
        if tier.unsettled or decider.version != tier.version or now >= decider.good_until:
            return 0
        return self._epoch.number

    def count(self, slot: int) -> None:
        """Count one more use of a choice with that slot."""
        self._counters.count(slot)

    def choose(
        self, name: str, client: Client | None, asked: float, *, path: str = "", limit: int = 0, wait: bool = True
    ) -> Choice:  # fmt: skip
        """The nodes for *client*.

        Args:
            name: the service, or a host name below a service `*.x`; lower case, no final dot.
            client: None if the client is unknown.
            asked: monotonic time at which the question came; nothing waits longer than the timeout after that.
            path: the key of policy `hash`; "": the client's network, as in DNS.
            limit: nodes at most; those of the next layers too, where it is more than the service's `max_answers`; 0: that.
            wait: may wait for Redis, for the time of the settings.

        Raises: NoService: not configured. NotReady: it would have to wait, and may not.
        """
        tier = self._tier
        if tier.unsettled:
            self._settle(asked, wait=wait)
        decider = self._decider
        if decider.version != tier.version or asked >= decider.good_until:
            self._refresh(asked)
        key = (name, limit, client.bits, client.address) if client is not None else (name, limit)
        remembered: Choice | None = self._by_client.get(key)
        if remembered is not None:
            self._counters.count(remembered.slot)
            return remembered
        counters = self._counters
        counters.begin(asked)
        try:
            choice = self._choose(name, client, key, asked, path, limit, wait=wait)
        except NoService:
            counters.count(counters.slot(OTHER, "", "missing"))
            counters.observe(monotonic() - asked)
            raise
        finally:
            counters.end()
        counters.count(choice.slot)
        counters.observe(monotonic() - asked)
        return choice

    def _choose(
        self, name: str, client: Client | None, key: tuple[object, ...], asked: float, path: str, limit: int,
        *, wait: bool,
    ) -> Choice:  # fmt: skip
        """As `choose`, where nothing is remembered for this client under *key*."""
        service = self._service(name)
        if service is None:
            return self._unlisted(name, client)
        latest = service

        def find() -> Service | None:
            nonlocal latest
            self._refresh(asked)
            service = self._service(name)
            latest = service or latest
            return self._variant(service, _kind(service.kinds, client), limit) if service else None

        def make(variant: Service, look: TableLookup) -> tuple[Choice, bool]:
            return self._chosen(variant, _seen_by_hashes(variant, client, path), look, asked)

        outcome = self._decider.attempt(find, client, asked, make, wait=wait)
        if outcome is None:
            return self._last_resort(latest.name, latest.kinds, _kind(latest.kinds, client))
        choice, lasting = outcome
        choice.lasting = lasting
        if lasting:
            self._by_client.keep(key, choice)
        return choice

    def explain(
        self, name: str, client: Client | None, asked: float, *, path: str = "", ticket: float = 0.0
    ) -> tuple[Service, Decision | None]:  # fmt: skip
        """The service, and the decision for all of its record types with the candidates met; None in the tier `fallback`.

        Raises: NoService: not configured.
        """
        self._settle(asked, wait=True)
        self._refresh(asked)
        latest = self._service(name)

        def find() -> Service | None:
            nonlocal latest
            self._refresh(asked)
            latest = self._service(name)
            return latest

        def make(service: Service, look: TableLookup) -> Decision:
            who = _seen_by_hashes(service, client, path)
            return self._decider.decide(service, who, look, ticket, trace=True)

        decision = self._decider.attempt(find, client, asked, make)
        if latest is None:
            raise NoService(name)
        return latest, decision

    def ranked(
        self, name: str, client: Client | None, asked: float, limit: int, ticket: float, *, wait: bool = True
    ) -> tuple[str, str, tuple[Node, ...]]:
        """Service, record type and at most *limit* nodes, best first, as `choose` would choose them.

        Nothing is counted, logged or remembered: nobody is sent there. Returns: no nodes in the tier `fallback`.
        Raises: NoService, NotReady: as `choose`.
        """
        self._settle(asked, wait=wait)
        self._refresh(asked)
        latest: Service | None = None

        def find() -> Service | None:
            nonlocal latest
            self._refresh(asked)
            service = self._service(name)
            if service is None:
                return None
            latest = self._variant(service, _kind(service.kinds, client), limit)
            return latest

        def make(variant: Service, look: TableLookup) -> tuple[Node, ...]:
            return self._decider.decide(variant, client, look, ticket).answer[variant.kinds[0]]

        nodes = self._decider.attempt(find, client, asked, make, wait=wait)
        if latest is None:
            raise NoService(name)
        return latest.name, latest.kinds[0], nodes or ()

    def close(self) -> None:
        """Nothing will be asked any more."""

    @property
    def able(self) -> bool:
        """Whether there is anything to choose from now."""
        self._refresh(-NEVER)
        return self._decider.able

    # ------------------------------------------------------------------ decisions

    def _settle(self, asked: float, *, wait: bool) -> None:
        """Let the tier take in what Redis announced, or has to tell first."""
        tier = self._tier
        tier.settle(asked if wait else -NEVER)
        if wait:
            self._settled = True
        elif tier.reading or (tier.generation is None and not self._settled):
            raise NotReady("Redis was not asked yet")

    def _chosen(
        self, service: Service, client: Client | None, look: TableLookup, asked: float
    ) -> tuple[Choice, bool]:
        """From the tables, and whether it may be kept for this client, whatever the path; raises PageMissing."""
        key = (service, *[look(table)[0] for table in service.tables])
        remembered: Choice | None = self._by_record.get(key)
        if remembered is not None:
            return remembered, True
        ticket = self._ticket() if service.policy == "weighted" else 0.0
        decision = self._decider.decide(service, client, look, ticket)
        (kind,) = service.kinds
        choice = Choice(service.name, decision.answer[kind], kind, self._tier.name, decision.ttl, decision)
        layer = decision.layer.get(kind, "").partition(" ")[0]
        choice.slot = self._slot(choice, service.name, layer, nobody="refused")
        if not self._decider.lasts(decision, asked):
            return choice, False
        if decision.split:
            return choice, not isinstance(client, ByPath)
        self._by_record.keep(key, choice)
        return choice, True

    def _slot(self, choice: Choice, service: str, layer: str, *, nobody: str) -> int:
        """Where a choice is counted. Args: service: as it is configured; nobody: the outcome without a node."""
        if choice.node is None:
            return self._counters.slot(OTHER, "", nobody)
        return self._counters.slot(ANSWER, "", service, choice.tier, choice.kind, choice.node.name, layer)

    def _last_resort(self, name: str, kinds: tuple[str, ...], kind: str, pattern: str = "") -> Choice:
        """One slot of the round robin serves all record types, as in DNS. Args: pattern: that the name matches, if any."""
        chosen = self._decider.last_resort(kinds)
        if kind not in chosen and chosen:
            kind = next(iter(chosen))
        nodes = (chosen[kind],) if kind in chosen else ()
        choice = Choice(name, nodes, kind, FALLBACK, self._tier.settings.fallback_ttl, None)
        choice.slot = self._slot(choice, pattern or name, LAST_RESORT, nobody="failed")
        return choice

    # ------------------------------------------------------------------ what is known

    def _refresh(self, now: float) -> None:
        """Forget what is no longer true."""
        if self._decider.outdated(now) and self._decider.refresh():
            self._services.clear()
            self._variants.clear()

    def _service(self, name: str) -> Service | None:
        """The service of that name, or of the closest wildcard above it (RFC 4592)."""
        try:
            return self._services[name]
        except KeyError:
            pass
        known = self._tier.known
        services = known.model.services if known is not None else {}
        match, parent = services.get(name), name
        while match is None and "." in parent:
            parent = parent.partition(".")[2]
            match = services.get(f"*.{parent}")
        if len(self._services) >= REMEMBERED:  # anybody can make up host names
            self._services.clear()
        self._services[name] = match
        return match

    def _unlisted(self, name: str, client: Client | None) -> Choice:
        """For a name that is not among the published services: those of the worker's own settings are left.

        Raises: NoService: there is no such service; not raised before anything was published, since that is unknown then.
        """
        tier = self._tier
        if tier.generation is None:
            for zone, spec in tier.settings.zones.items():
                for service in spec.get("services") or ():
                    pattern, cname = (service, False) if isinstance(service, str) else (
                        service["name"], service.get("answer") == "cname"
                    )  # fmt: skip
                    if matches(absolute(pattern, zone), name):
                        kinds = ("CNAME",) if cname else ("A", "AAAA")
                        return self._last_resort(name, kinds, _kind(kinds, client), pattern)
        if tier.known is None:
            choice = Choice(name, (), "", FALLBACK, tier.settings.fallback_ttl, None)
            choice.slot = self._counters.slot(OTHER, "", "failed")
            return choice
        raise NoService(name)

    def _variant(self, service: Service, kind: str, limit: int) -> Service:
        """The service as this question wants it: one record type, so many nodes."""
        limit = limit or service.max_answers
        key = service.name, kind, limit
        variant = self._variants.get(key)
        if variant is None:
            if len(self._variants) >= REMEMBERED:
                self._variants.clear()
            variant = self._variants[key] = service.variant(kind, limit)
        return variant


_NOBODY = Client(32, 0, 0)


class ByPath(Client):
    """A client whom the policy `hash` knows by the path that it asks for, so that one object lives on few nodes.

    Which clients a node keeps still depends on their network.
    """

    __slots__ = ("_nobody", "_path")

    def __init__(self, client: Client | None, path: str) -> None:
        self._nobody = client is None
        client = client or _NOBODY
        super().__init__(
            client.bits, client.address, client.length, extra=client.extra, floor=client.floor, fixed=client.fixed
        )  # fmt: skip
        self._path = path

    @property
    def key(self) -> str:
        return self._path

    @property
    def network(self) -> str:
        return "" if self._nobody else super().network


def _kind(kinds: tuple[str, ...], client: Client | None) -> str:
    """The record type that a client of this family uses, of those that the service has."""
    wanted = "AAAA" if client is not None and client.bits == 128 else "A"
    return wanted if wanted in kinds or not kinds else kinds[0]


def _seen_by_hashes(service: Service, client: Client | None, path: str) -> Client | None:
    return ByPath(client, path) if path and service.policy == "hash" else client


__all__ = ["Choice", "Chooser", "NoService", "NotReady"]

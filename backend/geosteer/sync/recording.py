"""Decisions on their way into the decision log, the same for every front end. Loaded only where `[log]` asks for it."""

from __future__ import annotations

from geosteer.counters.counters import LOG_LINES, LOG_LOST
from geosteer.decision.client import parse
from geosteer.decision_log.entry import circumstances, decided, not_decided
from geosteer.decision_log.log_file import DecisionLog
from geosteer.decision_log.sampler import Sampler
from geosteer.sync.decider import Decider

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from geosteer.decision.client import Client
    from geosteer.decision.decision import Decision
    from geosteer.decision.director import TableLookup
    from geosteer.decision.model import Node, Service
    from geosteer.sync.decider import Forgetting
    from geosteer.sync.tier import Tier


class RecordingDecider(Decider):
    """Keeps the last decision with all that went into it, on request."""

    __slots__ = ("chosen", "last", "recording")

    def __init__(
        self, tier: Tier, random: Callable[[int], int], log: Callable[[str], None], *memories: Forgetting,
        by_record: tuple[Forgetting, ...] = (),
    ) -> None:  # fmt: skip
        super().__init__(tier, random, log, *memories, by_record=by_record)
        self.recording = False
        self.last: tuple[Service, Client | None, float, float, Decision] | None = None
        """Service, client, ticket, time by the clock of those who write states, and what came of it."""
        self.chosen: dict[str, Node] | None = None
        """Servers of last resort."""

    def record(self) -> None:
        """From now on keep it, until `recording` is taken back."""
        self.recording, self.last, self.chosen = True, None, None

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
        """As `Decider.decide`, with the candidates met where it is recorded."""
        if not self.recording:
            return super().decide(service, client, look, ticket, trace=trace, now=now)
        now = self.tier.now() if now is None else now
        decision = super().decide(service, client, look, ticket, trace=True, now=now)
        self.last = service, client, ticket, now, decision
        return decision

    def last_resort(self, kinds: tuple[str, ...], key: str | None = None) -> dict[str, Node]:
        """As `Decider.last_resort`."""
        chosen = super().last_resort(kinds, key)
        if self.recording:
            self.chosen = chosen
        return chosen


class Recorder:
    """Says which decisions of a front end are logged, and logs them."""

    __slots__ = ("_front_end", "_tier", "file", "sampler")

    def __init__(
        self, tier: Tier, front_end: str, random: Callable[[], float], log: Callable[[str], None]
    ) -> None:
        """Args: random: uniform in [0, 1); log: takes one line for an operator."""
        self._tier, self._front_end = tier, front_end
        self.sampler = Sampler(tier.settings.log_sample, random)
        self.file = DecisionLog(tier.settings.log_file, log)

    def write(
        self, decider: RecordingDecider, name: str, *, resolver: str = "", client: Client | None = None,
        path: str | None = None, limit: int = 0,
    ) -> None:  # fmt: skip
        """Log what the decider has kept, if it has anything.

        Args: name: of the service, where servers of last resort were chosen; client: who got them.
        """
        tier = self._tier
        if decider.chosen is not None:
            now, what = tier.now(), not_decided(name, decider.chosen, tier.settings.fallback_ttl)
        elif decider.last is not None:
            service, client, ticket, now, decision = decider.last
            what = decided(service, client, decision, ticket, path, limit)
        else:
            return
        number = tier.generation.number if tier.generation is not None else None
        who = _asker(resolver)
        fields = circumstances(self._front_end, now, tier.name, number, client, who) | what
        tier.counters.count(LOG_LINES if self.file.write(fields) else LOG_LOST)


def _asker(resolver: str) -> Client | None:
    try:
        asker = parse(resolver)
    except ValueError:
        return None
    return asker if asker.address else None

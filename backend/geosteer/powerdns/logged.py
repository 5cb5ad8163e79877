"""A responder whose decisions are logged, some of them: which, is drawn. Loaded only where `[log]` asks for it."""

from __future__ import annotations

from geosteer.powerdns.observed import ObservedResponder
from geosteer.sync.recording import Recorder, RecordingDecider

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from geosteer.powerdns.protocol import Question
    from geosteer.sync.tier import Tier
    from geosteer.zones import Entry

FRONT_END = "pdns"
REMOTE = 5
"""Field of a question that has the resolver's address."""


class LoggedResponder(ObservedResponder):
    """Answers as `ObservedResponder` does, and logs a sample of its decisions, those of remembered replies among them."""

    def __init__(
        self,
        tier: Tier,
        random: Callable[[int], int],
        ticket: Callable[[], float],
        log: Callable[[str], None],
    ) -> None:
        super().__init__(tier, random, ticket, log)
        self._recorder = Recorder(tier, FRONT_END, ticket, log)
        self.sampler = self._recorder.sampler
        self._deciding = RecordingDecider(
            tier, random, log, self.replies, by_record=(self._by_scope, self._by_record)
        )
        self.decider = self._deciding
        self._service = ""

    def reply(self, line: bytes, asked: float) -> bytes:
        """As `Responder.reply`."""
        sampler = self._recorder.sampler
        sampler.left -= 1
        if sampler.left > 0:
            return super().reply(line, asked)
        sampler.draw()
        decider = self._deciding
        decider.record()
        try:
            reply = super().reply(line, asked)
        finally:
            decider.recording = False
        resolver = line.split(b"\t", REMOTE + 1)[REMOTE:][:1]
        self._recorder.write(decider, self._service, resolver=b"".join(resolver).decode("ascii", "replace"))
        return reply

    def _from_table(self, name: bytes, subnet: bytes, question: bytes) -> tuple[bytes, int] | None:
        # what is logged has to be decided, not remembered
        return None if self._deciding.recording else super()._from_table(name, subnet, question)

    def _from_layers(
        self, name: bytes, subnet: bytes, question: bytes, asked: float
    ) -> tuple[bytes, int] | None:
        return None if self._deciding.recording else super()._from_layers(name, subnet, question, asked)

    def _last_resort(self, entry: Entry, question: Question) -> tuple[bytes, int]:
        self._service = entry.name if entry.service is None else entry.service.name
        return super()._last_resort(entry, question)

    def _debug(self, entry: Entry, question: Question, asked: float) -> bytes:
        self._deciding.recording = False  # nobody gets a node by it
        return super()._debug(entry, question, asked)

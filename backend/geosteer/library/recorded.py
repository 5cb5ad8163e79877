"""A chooser whose choices are logged, some of them: which, is drawn. Loaded only where `[log]` asks for it."""

from __future__ import annotations

from geosteer.library.chooser import Choice, Chooser
from geosteer.sync.decider import Memory
from geosteer.sync.recording import Recorder, RecordingDecider

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from geosteer.decision.client import Client
    from geosteer.sync.tier import Tier


class RecordedChooser(Chooser):
    """Chooses as `Chooser` does, and logs a sample of its decisions, those of remembered choices among them."""

    def __init__(
        self,
        tier: Tier,
        random: Callable[[int], int],
        ticket: Callable[[], float],
        log: Callable[[str], None],
        front_end: str,
    ) -> None:
        """Args: as of `Chooser`; front_end: as the log names it."""
        super().__init__(tier, random, ticket, log)
        self._recorder = Recorder(tier, front_end, ticket, log)
        self._sampler = self._recorder.sampler
        self._deciding = RecordingDecider(tier, random, log, self._by_client, self._by_record, self._epoch)
        self._decider = self._deciding

    def epoch(self, now: float) -> int:  # noqa: ARG002
        """0: any answer may be one to log."""
        return 0

    def close(self) -> None:
        """Close the log."""
        self._recorder.file.close()

    def choose(
        self, name: str, client: Client | None, asked: float, *, path: str = "", limit: int = 0, wait: bool = True
    ) -> Choice:  # fmt: skip
        """As `Chooser.choose`."""
        sampler = self._sampler
        sampler.left -= 1
        if sampler.left > 0:
            return super().choose(name, client, asked, path=path, limit=limit, wait=wait)
        decider, remembered = self._deciding, (self._by_client, self._by_record)
        self._by_client, self._by_record = Memory(1), Memory(1)  # what is logged has to be decided
        decider.record()
        try:
            choice = super().choose(name, client, asked, path=path, limit=limit, wait=wait)
        finally:
            decider.recording = False
            self._by_client, self._by_record = remembered
        sampler.draw()  # only now: who may not wait comes again
        self._recorder.write(decider, choice.service, client=client, path=path or None, limit=limit)
        return choice

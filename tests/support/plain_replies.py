"""What a worker answers that remembers nothing: each question decided anew, to compare workers that remember with."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from geosteer.powerdns.protocol import Lines
from geosteer.powerdns.responder import Responder
from geosteer.process import below, ticket
from geosteer.settings import load
from geosteer.sync.tier import Tier

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Plain(Responder):
    """A responder without memory."""

    def _from_table(self, *_: object) -> None:
        return None

    def _from_layers(self, *_: object) -> None:
        return None

    def answer(self, line: bytes) -> bytes:
        """The whole reply to a line, after all that Redis has announced."""
        tier = self._tier
        tier.tick()
        tier.wait(0.0, lambda: False)  # what has come is taken
        now = tier._clock()
        tier.settle(now)
        self.decider.version = -1  # nothing that was remembered counts
        self.refresh()
        return self.reply(line, now)

    def answers(self, stream: bytes) -> bytes:
        """The replies to a stream of lines."""
        return b"".join([self.answer(line) for line in Lines().feed(stream)])


@contextmanager
def plain(config: Path) -> Iterator[Plain]:
    """One for a worker's settings, once it is live."""
    tier = Tier(load(str(config)), below, writes=False)
    tier.start()
    tier.wait(tier._clock(), lambda: tier.name == "live")
    assert tier.name == "live"
    try:
        yield Plain(tier, below, ticket, lambda _: None)
    finally:
        tier.close()

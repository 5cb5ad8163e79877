"""Few events of a session that flaps: so many an hour, and one that tells of the others. No clock; time is an argument."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from geosteer_loader.journal.events import Note

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST = 12
"""Events of a session in a span that are told one by one: it came up, was whole and was lost four times."""
SPAN = 3600.0
"""Seconds."""
MOST_PEERS = 4096


@dataclass(slots=True)
class _Span:
    began: float
    told: int = 0
    more: int = 0
    last: str = ""


class Flapping:
    """Lets events of sessions through, up to `MOST` in a `SPAN`, so that they push out no others in the journal."""

    def __init__(self) -> None:
        self._spans: dict[str, _Span] = {}

    def take(self, note: Note, now: float) -> Iterator[Note]:
        """The events to tell, given one that happened."""
        yield from self.due(now)
        span = self._spans.get(note.subject)
        if span is None:
            if len(self._spans) >= MOST_PEERS:
                self._spans.clear()
            span = self._spans[note.subject] = _Span(now)
        if span.told < MOST:
            span.told += 1
            yield note
        else:
            span.more += 1
            span.last = note.what

    def due(self, now: float) -> Iterator[Note]:
        """The events that tell of others, of spans that are over."""
        for peer, span in list(self._spans.items()):
            if now - span.began >= SPAN:
                del self._spans[peer]
                yield from _told(peer, span)

    def rest(self) -> Iterator[Note]:
        """The same of all spans, at the end of the service."""
        spans, self._spans = self._spans, {}
        for peer, span in spans.items():
            yield from _told(peer, span)


def _told(peer: str, span: _Span) -> Iterator[Note]:
    if span.more:
        why = f"it flaps: {span.more} more events within an hour, the last of them: {span.last}"
        yield Note(kind="session", subject=peer, what=span.last, why=why)

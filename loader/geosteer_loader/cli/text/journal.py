"""Events of the journal, as text for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from geosteer.timestamps import format_time_ms
from geosteer_loader.cli.text.formatting import columns
from geosteer_loader.config.values import printable
from geosteer_loader.journal.events import told

if TYPE_CHECKING:
    from collections.abc import Sequence

    from geosteer_loader.journal.events import Event


def text(events: Sequence[Event], *, full: bool = False) -> str:
    """What `geosteer journal` shows."""
    if not events:
        return "no events"
    return columns(("TIME", "KIND", "ABOUT", "WHAT", "WHO"), [_cells(event) for event in events], full=full)


def line(event: Event) -> str:
    """One event, as it comes."""
    time, kind, subject, what, who = _cells(event)
    return "  ".join(filter(None, (time, f"{kind:9}", subject, what, f"({who})")))


def _cells(event: Event) -> tuple[str, str, str, str, str]:
    return (
        format_time_ms(event.time), printable(event.kind), printable(event.subject), told(event), printable(event.who),
    )  # fmt: skip

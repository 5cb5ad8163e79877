"""Signs that somebody wrote past the journal, or cut it: no ACL of Redis lets a user append and nothing more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from geosteer.errors import StoreError
from geosteer.timestamps import format_time_ms
from geosteer_loader.journal.reading import first
from geosteer_loader.store.redis_errors import ConnectionLost

if TYPE_CHECKING:
    from geosteer_loader.journal.events import Event
    from geosteer_loader.query.past import Timeline
    from geosteer_loader.store.store import Store

AHEAD = 60.0
"""Seconds by which the newest id may be ahead of the server's clock."""


def cuts(store: Store, keep: float) -> list[str]:
    """Whether the stream lost entries otherwise than by its bounds, one line for each sign; reads a few values only.

    Args: keep: seconds for which events are kept. Raises: StoreError.
    """
    info, now = _information(store), store.now()
    length, added = info.get("length", 0), info.get("entries-added", 0)
    lines = []
    last = info.get("last-generated-id", 0) / 1000
    if last > now + AHEAD:
        lines.append(
            f"the newest id is of {format_time_ms(last)}, which is still to come: somebody chose it, or the server's clock "
            "was wrong; events count by their own time"
        )
    if added > length and length < store.journal_length:
        oldest = first(store)
        if oldest is None:
            lines.append(f"all of the {added} events are gone: somebody removed them")
        elif oldest.time > now - keep:
            lines.append(
                f"{added - length} of {added} events are gone, though the oldest that is left, of "
                f"{format_time_ms(oldest.time)}, is not as old as [journal] keep: somebody removed them, or that was shorter"
            )
    return lines


def gaps(timeline: Timeline) -> list[str]:
    """Where an event does not begin with what the one before it ended with: something was changed past the journal."""
    found: list[tuple[float, str]] = []
    for what, tracks in timeline.tracks().items():
        for subject, track in tracks.items():
            for before, after in track.gaps():
                whose = f"{what} of {subject}" if subject else what
                found.append((after.time, f"{whose}: changed past the journal {_between(before, after)}"))
    return [line for _, line in sorted(found)] + timeline.unexplained()


def _between(before: Event, after: Event) -> str:
    return f"between {format_time_ms(before.time)} and {format_time_ms(after.time)}"


def _information(store: Store) -> dict[str, int]:
    """Counts of XINFO STREAM; ids as their milliseconds. Empty where there is no journal, or this user may not ask."""
    try:
        reply: Any = store.call("XINFO", "STREAM", store.keys.journal)
    except ConnectionLost:
        raise
    except StoreError:
        return {}
    pairs = reply.items() if isinstance(reply, dict) else zip(reply[::2], reply[1::2], strict=False)
    counts = {}
    for name, value in pairs:
        text = value.decode(errors="replace").partition("-")[0] if isinstance(value, bytes) else str(value)
        key = name.decode(errors="replace") if isinstance(name, bytes) else str(name)
        if text.isdecimal():
            counts[key] = int(text)
    return counts

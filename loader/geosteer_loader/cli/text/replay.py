"""What `geosteer replay` found, as text for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from geosteer.timestamps import format_time_ms
from geosteer_loader.query.replay import Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping

    from geosteer_loader.query.replay import Difference, Replay

WORDS = {
    Outcome.SAME: "decided as logged",
    Outcome.NEAR: "decided as logged without an event of that second, or with it already",
    Outcome.DIFFERENT: "DIFFERENT",
    Outcome.LAST_RESORT: "not decided: servers of last resort took turns",
    Outcome.OUT_OF_REACH: "out of reach of journal and history",
    Outcome.INCOMPLETE: "incomplete: the path was too long for the log",
    Outcome.UNREADABLE: "unreadable",
}
SHOWN = 20
"""Differences shown at most; `--json` has more of them."""


def text(found: Replay) -> str:
    """What `geosteer replay` shows."""
    lines = [_difference(difference) for difference in found.differences[:SHOWN]]
    more = found.outcomes[Outcome.DIFFERENT] - len(lines)
    if more > 0:
        lines.append(f"and {more:,} more")
    width = len(f"{found.lines:,}")
    lines.append(f"{found.lines:>{width},} lines")
    lines += [
        f"{count:>{width},} {WORDS[outcome]}{_since(found) if outcome is Outcome.OUT_OF_REACH else ''}"
        for outcome, count in found.outcomes.items()
        if count
    ]
    return "\n".join(lines)


def _difference(difference: Difference) -> str:
    told = (
        f"line {difference.line}: {difference.time} {difference.service} {difference.client or 'unknown client'}: "
        f"logged {_nodes(difference.logged)}, decided {_nodes(difference.decided)}"
    )
    reasons = [difference.reason, *difference.near] if difference.reason else difference.near
    return "\n    ".join([told, *reasons])


def _nodes(nodes: Mapping[str, list[str]]) -> str:
    return ", ".join([f"{kind} {' '.join(names) or 'none'}" for kind, names in nodes.items()]) or "nothing"


def _since(found: Replay) -> str:
    return f" (they begin at {format_time_ms(found.since)})" if found.since is not None else ""

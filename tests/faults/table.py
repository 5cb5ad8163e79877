"""The table: a row is run, its outcome judged, and printed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from faults import alone, hostile, probers, programs
from faults.rows import ROWS, Row
from faults.scene import Scene

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

HEAD = """\
| what happens | questions | without an answer | wrong node | longest wait | answers came from | recovered after |
|---|---|---|---|---|---|---|"""
SPARE = 2.0
"""Seconds that an answer may take longer beside other work, and a quarter of what a recovery may."""


def rows() -> list[Row]:
    """All of them, in order."""
    assert programs.ROWS is hostile.ROWS is probers.ROWS is ROWS  # to import them puts theirs into it
    return ROWS


def outcome(row: Row, folder: Path, *, inside: bool = False) -> dict[str, Any]:
    """Let it happen; what came of it. *inside*: this process is in the namespace that it wants."""
    if row.alone and not inside:
        return alone.run(row.name, folder)
    with Scene(folder, **row.scene) as scene:
        scene.expected = row.tiers - row.may
        row.happen(scene)
        return scene.outcome()


def check(row: Row, found: Mapping[str, Any], *, busy: bool = False) -> list[str]:
    """What is not as expected; the time that the machine itself had none for us counts against nobody.

    Args: busy: other work goes on beside it, so that times may be longer by `SPARE`.
    """
    bad = []
    stalled = found["stalled"]
    spare = SPARE if busy else 0.0
    tiers = set(found["tiers"])
    if found["wrong"]:
        bad.append(f"{found['wrong']} answers with a node that the client must not get")
    if found["unanswered"] > row.unanswered:
        bad.append(f"{found['unanswered']} questions without an answer")
    if found["failed"] > row.failed:
        bad.append(f"{found['failed']} answers without an address")
    if found["longest"] > row.longest + stalled + spare:
        bad.append(
            f"an answer took {found['longest']:.3f} s (the machine itself stalled for {stalled:.3f} s)"
        )
    if not row.tiers - row.may <= tiers <= row.tiers | row.may:
        bad.append(f"answers came from {sorted(tiers)}, not {sorted(row.tiers)}")
    if row.recovery is not None and (
        found["recovery"] is None or found["recovery"] > row.recovery + stalled + 4 * spare
    ):
        bad.append(f"recovered after {found['recovery']} s")
    return bad


def line(row: Row, found: Mapping[str, Any]) -> str:
    """The row as Markdown."""
    lost = found["unanswered"] + found["failed"]
    recovery = "" if found["recovery"] is None else f"{1000 * found['recovery']:.0f} ms"
    tiers = ", ".join(tier for tier in ("live", "stale", "fallback") if tier in found["tiers"])
    cells = [
        row.name,
        found["asked"],
        lost,
        found["wrong"],
        f"{1000 * found['longest']:.0f} ms",
        tiers,
        recovery,
    ]
    return f"| {' | '.join(str(cell) for cell in cells)} |"

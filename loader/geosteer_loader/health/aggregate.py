"""From the verdicts of several probers to one state of the node. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from geosteer_loader.health.terms import DOWN, UP

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from geosteer_loader.health.verdicts import Verdict

UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What the probers say together."""

    state: str
    """`up`, `down` or `unknown`."""
    since: float | None = None
    """When enough of them had come to that view, seconds since 1970; None: no verdict is fresh."""
    failing: bool | None = None
    """Up, but down as soon as those that see failures call it down; None: unknown."""
    reason: str = ""


def decide(
    verdicts: Sequence[Verdict], current: str, *, rule: str, now: float, forget: float, checked: bool
) -> Outcome:
    """The state that follows from all verdicts on a node.

    Args:
        verdicts: one of each prober that ever gave one, fresh or not.
        current: the state that the node has.
        rule: `majority`, `any` or `all`: how many of the fresh verdicts must call it down.
        forget: seconds after which an unchecked node is unknown; until then it keeps its state.
        checked: the node has checks, so a verdict is to be expected.
    """
    fresh = [verdict for verdict in verdicts if verdict.fresh(now)]
    if not fresh:
        return _without_fresh(verdicts, current, now, forget, checked=checked)
    downs = [verdict for verdict in fresh if verdict.state == DOWN]
    state = _vote(len(downs), len(fresh), rule, current)
    if state == DOWN:
        voters = downs or fresh
        reason = _reason(downs, len(fresh))
        return Outcome(
            state=state, since=_decided_at(voters, len(fresh), rule, current), failing=False, reason=reason
        )
    bad = [verdict for verdict in fresh if verdict.state == DOWN or verdict.failing]
    failing = _vote(len(bad), len(fresh), rule, current) == DOWN
    ups = [verdict for verdict in fresh if verdict.state == UP]
    return Outcome(
        state=state,
        since=_decided_at(ups, len(fresh), rule, current, up=True),
        failing=failing,
        reason=_reason(bad, len(fresh)) if failing else "",
    )


def _without_fresh(
    verdicts: Sequence[Verdict], current: str, now: float, forget: float, *, checked: bool
) -> Outcome:
    checks = [verdict.checked for verdict in verdicts if verdict.state is not None]
    # Without a verdict the time of the change is unknown; a node with checks will get one.
    keep = now - max(checks) < forget if checks else checked
    if keep or current == UNKNOWN:
        return Outcome(state=current)
    return Outcome(state=UNKNOWN, failing=False, reason=f"no prober checks it (was {current})")


def _vote(downs: int, total: int, rule: str, current: str) -> str:
    if total == 1:
        return DOWN if downs else UP
    if rule == "any":
        return DOWN if downs else UP
    if rule == "all":
        return DOWN if downs == total else UP
    if 2 * downs == total:
        return current
    return DOWN if 2 * downs > total else UP


def _decided_at(voters: Sequence[Verdict], total: int, rule: str, current: str, *, up: bool = False) -> float:
    """When the rule was met: enough of the *voters* had come to their view."""
    times = sorted(verdict.since for verdict in voters)
    wins: Callable[[int], bool] = (
        (lambda count: _vote(total - count, total, rule, current) != DOWN)
        if up
        else (lambda count: _vote(count, total, rule, current) == DOWN)
    )
    return next((time for count, time in enumerate(times, 1) if wins(count)), times[-1] if times else 0.0)


def _reason(bad: Sequence[Verdict], total: int) -> str:
    latest = max(bad, key=lambda verdict: verdict.since, default=None)
    if latest is None:
        return ""
    return latest.reason if total == 1 else f"{latest.reason} ({len(bad)} of {total} probers)"

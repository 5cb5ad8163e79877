"""From all verdicts and the states that nodes have to what must be written. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from geosteer.timestamps import format_time
from geosteer_loader.health.aggregate import DOWN, UNKNOWN, UP, decide
from geosteer_loader.health.mass_failure import Fall, hold
from geosteer_loader.health.timestamps import maybe_time

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from geosteer_loader.health.aggregate import Outcome
    from geosteer_loader.health.verdicts import Verdict
    from geosteer_loader.health.watchlist import Watchlist

    Fields = Mapping[str, str]
    """Of a node's hash."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """How several probers' verdicts become one."""

    rule: str = "majority"
    """`majority`, `any` or `all`: how many must call a node down."""
    forget: float = 3600
    """Seconds without a fresh verdict after which a node is unknown."""


@dataclass(slots=True)
class Judgement:
    """What follows."""

    changes: dict[str, dict[str, str]] = field(default_factory=dict)
    """Node -> fields of its hash to write."""
    held: list[str] = field(default_factory=list)
    """Why nodes keep a state that their probers no longer see, for operators."""
    again: float | None = None
    """When to judge again if nothing else happens, seconds since 1970."""


def judge(
    watchlist: Watchlist,
    verdicts: Mapping[str, Mapping[str, Verdict]],
    states: Mapping[str, Fields],
    rule: Rule,
    now: float,
) -> Judgement:
    """What must be written so that the nodes' hashes say what the verdicts do; nothing for what they say already.

    Args: verdicts: prober -> node -> verdict; states: node -> its hash.
    """
    opinions: dict[str, list[Verdict]] = {}
    for one in verdicts.values():
        for name, verdict in one.items():
            opinions.setdefault(name, []).append(verdict)
    outcomes = {
        name: decide(
            opinions.get(name, ()),
            state_of(states.get(name, {})),
            rule=rule.rule,
            now=now,
            forget=rule.forget,
            checked=bool(node.checks),
        )
        for name, node in watchlist.nodes.items()
        if not _as_it_was(opinions.get(name, ()), states.get(name, {}), now)
    }
    falls = _falls(watchlist, outcomes, states, now)
    held, why = hold(watchlist.maps, falls, now)
    found = Judgement(held=why, again=min(held.values(), default=None))
    for name in watchlist.nodes:
        fields, outcome = states.get(name, {}), outcomes.get(name)
        changed: dict[str, str] = {}
        if outcome is not None:
            changed = _held(outcome, fields) if name in held else _changed(outcome, fields, now)
        changed |= _shed(opinions.get(name, ()), fields, now - rule.forget)
        if changed:
            found.changes[name] = changed
    return found


def _as_it_was(opinions: Sequence[Verdict], fields: Fields, now: float) -> bool:
    """Whether a node is up, says so, and nobody sees a failure: hundreds are, and a change of another cannot wait for them."""
    return (
        fields.get("state") == UP
        and fields.get("failing") == "no"
        and any(one.fresh(now) for one in opinions)
        and not any(one.state == DOWN or one.failing for one in opinions)
    )


def state_of(fields: Fields) -> str:
    """The state in a node's hash."""
    state = fields.get("state", UNKNOWN)
    return state if state in {UP, DOWN} else UNKNOWN


def _falls(
    watchlist: Watchlist, outcomes: Mapping[str, Outcome], states: Mapping[str, Fields], now: float
) -> dict[str, Fall]:
    falls = {}
    for name, outcome in outcomes.items():
        fields, node = states.get(name, {}), watchlist.nodes[name]
        if outcome.state != DOWN:
            if outcome.failing:
                # Probes are spread over the round: those that come later are about to fall, too.
                falls[name] = Fall(now, node.round, done=True)
            continue
        if state_of(fields) == DOWN:
            # Cut to whole seconds in the hash: it was up to one second later.
            since = (maybe_time(fields.get("since")) or 0.0) + 1
            falls[name] = Fall(since, node.round, done=True)
        elif outcome.since is not None:
            # A first state has no last one that could be kept; it counts for the others all the same.
            falls[name] = Fall(outcome.since, node.round, done=state_of(fields) == UNKNOWN)
    return falls


def _changed(outcome: Outcome, fields: Fields, now: float) -> dict[str, str]:
    current = state_of(fields)
    if outcome.state != current:
        # Without a state before, it has been like this for as long as the probers say.
        known = "state" in fields
        since = now if known or outcome.since is None else min(outcome.since, now)
        return {
            "state": outcome.state,
            "since": format_time(since),
            "reason": outcome.reason,
            "failing": "yes" if outcome.failing else "no",
            # Only one that comes back from being down gets its clients back little by little.
            "before": current,
        }
    if outcome.failing is None or outcome.failing == (fields.get("failing") == "yes"):
        return {}
    return {"failing": "yes" if outcome.failing else "no", "reason": outcome.reason}


def _held(outcome: Outcome, fields: Fields) -> dict[str, str]:
    if fields.get("failing") == "yes":
        return {}
    return {"failing": "yes", "reason": outcome.reason}


def _shed(opinions: Sequence[Verdict], fields: Fields, forgotten: float) -> dict[str, str]:
    """What feeds keep; nothing is shed any more once nobody has reported a load for long."""
    wanted = max((one.shed for one in opinions if one.loaded > forgotten), default=0.0)
    try:
        current = float(fields.get("shed", "0"))
    except ValueError:
        current = -1.0
    return {} if current == wanted else {"shed": f"{wanted:g}"}

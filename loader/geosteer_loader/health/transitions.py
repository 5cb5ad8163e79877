"""From all verdicts and the states that nodes have to what must be written. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from geosteer.timestamps import format_time, maybe_time
from geosteer_loader.health.aggregate import UNKNOWN, decide
from geosteer_loader.health.mass_failure import NodeFailure, hold
from geosteer_loader.health.terms import AHEAD, DOWN, UP

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
    """`majority`, `any` or `all`: how many of the fresh verdicts must call a node down."""
    forget: float = 3600
    """Seconds without a fresh verdict after which a node is unknown."""


@dataclass(slots=True)
class Judgement:
    """What follows from all verdicts."""

    changes: dict[str, dict[str, str]] = field(default_factory=dict)
    """Node -> fields of its hash to write."""
    held: list[str] = field(default_factory=list)
    """Why nodes keep a state that their probers no longer see, one line for each map."""
    loads: dict[str, float | None] = field(default_factory=dict)
    """Node whose shed changes -> the load that asks for it, in the unit of its capacity; None: no load is reported."""
    again: float | None = None
    """When to judge again if nothing else happens, seconds since 1970."""


def judge(
    watchlist: Watchlist,
    verdicts: Mapping[str, Mapping[str, Verdict]],
    states: Mapping[str, Fields],
    rule: Rule,
    now: float,
) -> Judgement:
    """What must be written so that the nodes' hashes say what the verdicts do: only what differs.

    Args: verdicts: prober -> node -> verdict; states: node -> its hash.
    """
    opinions: dict[str, list[Verdict]] = {}
    for by_node in verdicts.values():
        for name, verdict in by_node.items():
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
        if not _unchanged(opinions.get(name, ()), states.get(name, {}), now)
    }
    falls = _falls(watchlist, outcomes, states, now)
    held, why = hold(watchlist.maps, falls, now)
    judgement = Judgement(held=why, again=min(held.values(), default=None))
    for name in watchlist.nodes:
        fields, outcome = states.get(name, {}), outcomes.get(name)
        changed: dict[str, str] = {}
        if outcome is not None:
            changed = _held(outcome, fields) if name in held else _changed(outcome, fields, now)
        shed, load = _shed(opinions.get(name, ()), now - rule.forget)
        if shed != _shed_of(fields):
            changed["shed"] = f"{shed:g}"
            judgement.loads[name] = load
        if changed:
            judgement.changes[name] = changed
    return judgement


def _unchanged(opinions: Sequence[Verdict], fields: Fields, now: float) -> bool:
    """Whether a node is up, its hash says so, and nobody sees a failure.

    Hundreds of nodes are, and a change of another cannot wait until each is judged.
    """
    return (
        fields.get("state") == UP
        and fields.get("failing") == "no"
        and any(verdict.fresh(now) for verdict in opinions)
        and not any(verdict.state == DOWN or verdict.failing for verdict in opinions)
        and _since(fields, now) is not None
    )


def state_of(fields: Fields) -> str:
    """The state in a node's hash."""
    state = fields.get("state", UNKNOWN)
    return state if state in {UP, DOWN} else UNKNOWN


def _since(fields: Fields, now: float) -> float | None:
    """When the node got into its state, seconds since 1970; None: the hash has no time that can be true."""
    since = maybe_time(fields.get("since"))
    return since if since is not None and since <= now + AHEAD else None


def _falls(
    watchlist: Watchlist, outcomes: Mapping[str, Outcome], states: Mapping[str, Fields], now: float
) -> dict[str, NodeFailure]:
    falls = {}
    for name, outcome in outcomes.items():
        fields, node = states.get(name, {}), watchlist.nodes[name]
        if outcome.state != DOWN:
            if outcome.failing:
                # Probes are spread over the round: nodes that are probed later are about to fail, too.
                falls[name] = NodeFailure(now, node.round, done=True)
            continue
        if state_of(fields) == DOWN:
            # The hash has whole seconds: it was up to one second later.
            since = (_since(fields, now) or 0.0) + 1
            falls[name] = NodeFailure(since, node.round, done=True)
        elif outcome.since is not None:
            # Before its first state a node has none that could be kept; it counts for the others all the same.
            falls[name] = NodeFailure(outcome.since, node.round, done=state_of(fields) == UNKNOWN)
    return falls


def _changed(outcome: Outcome, fields: Fields, now: float) -> dict[str, str]:
    current = state_of(fields)
    if outcome.state != current:
        # Without a state before, it has been like this for as long as the probers say.
        since = now if "state" in fields or outcome.since is None else min(outcome.since, now)
        return {
            "state": outcome.state,
            "since": format_time(since),
            "reason": outcome.reason,
            "failing": _word(outcome.failing),
            # Only a node that comes back from being down gets its clients back little by little.
            "before": current,
        }
    changed: dict[str, str] = {}
    if "state" in fields and _since(fields, now) is None:
        changed["since"] = format_time(now)  # damaged
    if outcome.failing is not None and fields.get("failing", "no") != _word(outcome.failing):
        changed |= {"failing": _word(outcome.failing), "reason": outcome.reason}
    return changed


def _word(failing: bool | None) -> str:
    return "yes" if failing else "no"


def _held(outcome: Outcome, fields: Fields) -> dict[str, str]:
    if fields.get("failing") == "yes":
        return {}
    return {"failing": "yes", "reason": outcome.reason}


def _shed(opinions: Sequence[Verdict], forgotten: float) -> tuple[float, float | None]:
    """The shed that feeds ask for, and for which load; none once nobody has reported a load for long."""
    reported = [(verdict.shed, verdict.load) for verdict in opinions if verdict.loaded > forgotten]
    return max(reported, key=lambda pair: pair[0], default=(0.0, None))


def _shed_of(fields: Fields) -> float:
    """The shed in a node's hash; -1 where it is not a number."""
    try:
        return float(fields.get("shed", "0"))
    except ValueError:
        return -1.0

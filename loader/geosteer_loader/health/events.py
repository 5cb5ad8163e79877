"""What the journal is told of node states, overrides and their writers. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from geosteer.decision.node_state import Override
from geosteer.timestamps import format_time
from geosteer_loader.health import heartbeat
from geosteer_loader.health.terms import DOWN, UP
from geosteer_loader.journal.events import Note, node_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from geosteer_loader.health.transitions import Judgement
    from geosteer_loader.health.watchlist import Watchlist


def nodes(
    watched: Watchlist,
    states: Mapping[str, Mapping[str, str]],
    judgement: Judgement,
    writer: str,
) -> Iterator[Note]:
    """Events of the nodes whose hashes change. Args: states: the hashes before; judgement: what is written into them."""
    for name, fields in judgement.changes.items():
        before = states.get(name, {})
        after = {**before, **fields}
        yield Note(
            kind="state"
            if fields.keys() & {"state", "since"}
            else "failing"
            if "failing" in fields
            else "shed",
            subject=name,
            before=node_text(before),
            after=node_text(after),
            what=f"{_said(fields, before)} (by {writer})",
            why="; ".join(filter(None, (fields.get("reason", ""), _for_load(name, watched, judgement)))),
        )
        ramp = watched.nodes[name].ramp if name in watched.nodes else 0.0
        if fields.get("state") == UP and fields.get("before") == DOWN and ramp > 0:
            yield Note(kind="ramp", subject=name, what=f"gets its clients back over {ramp:g} s")


def _for_load(name: str, watched: Watchlist, judgement: Judgement) -> str:
    """The load for which a node begins to shed more or less; "": its shed does not change."""
    if name not in judgement.loads:
        return ""
    load = judgement.loads[name]
    return "no load is reported" if load is None else f"load {load:g} of {watched.nodes[name].capacity:g}"


def _said(fields: Mapping[str, str], before: Mapping[str, str]) -> str:
    parts = []
    if "state" in fields:
        parts.append(f"{fields['state']}, was {fields.get('before', 'unknown')}")
    elif "failing" in fields:
        parts.append("failing" if fields["failing"] == "yes" else "no longer failing")
    elif "since" in fields:
        parts.append("the time of its last change was invalid")
    if "shed" in fields:
        parts.append(f"sheds {fields['shed']}, was {before.get('shed', '0')}")
    return ", ".join(parts)


def removed(hashes: Mapping[str, Mapping[str, str]]) -> Iterator[Note]:
    """Events of nodes whose hashes are removed, since they are not configured any more."""
    for name, fields in hashes.items():
        if fields:
            yield Note(
                kind="forgotten", subject=name, before=node_text(fields), what="not configured any more"
            )


def overridden(node: str, before: str | None, after: str | None, why: str) -> Note:
    """The event of an override that an operator sets or removes. Args: before, after: its JSON; None: there is none."""
    kind = "ended" if after is None else "override"
    return Note(kind=kind, subject=node, before=before or "", after=after or "", why=why)


def ended(overrides: Mapping[str, str], after: float, now: float) -> dict[str, float]:
    """Node -> when its override ran out, for those that did later than *after*, up to *now* (seconds since 1970)."""
    times = {}
    for name, text in overrides.items():
        try:
            until = Override.read(text).until
        except (ValueError, ArithmeticError):
            continue
        if until is not None and after < until <= now:
            times[name] = until
    return times


def expired(overrides: Mapping[str, str], times: Mapping[str, float]) -> Iterator[Note]:
    """Events of overrides whose time ran out: they stay in Redis, and do nothing."""
    for name, until in times.items():
        text = overrides[name]
        yield Note(
            kind="expired", subject=name, before=text, after=text, what=f"ran out at {format_time(until)}"
        )


def last_beat(beats: Mapping[str, str], now: float) -> float:
    """When any writer was heard last, up to *now*; *now* where none ever was: what ran out since then is news."""
    times = [beat.time for text in beats.values() if (beat := heartbeat.read(text)) and beat.time <= now]
    return max(times, default=now)


def came(writer: str, beat: str | None, now: float, *, withdrawn: bool) -> Iterator[Note]:
    """The event of a writer that begins, or begins again. Args: beat: its last one."""
    known = heartbeat.read(beat)
    if known is None or withdrawn:
        yield Note(kind="prober", subject=writer, what="came")
    elif known.silent(now):
        yield Note(kind="prober", subject=writer, what=f"came back, silent since {format_time(known.time)}")


def gone(writers: Iterable[str]) -> Iterator[Note]:
    """Events of writers that others remove."""
    for writer in writers:
        yield Note(
            kind="prober", subject=writer, what="forgotten: silent for too long, or its beat was malformed"
        )

"""What the journal holds: one event after the other, each a stream entry of flat fields in one order. No I/O."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from geosteer.sync.node_states import LONGEST
from geosteer.timestamps import format_time_ms, maybe_time
from geosteer_loader.config.values import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

KINDS = {
    "publish": "a generation was published; before and after are its number and that of the one before",
    "live": "generations of an hour in which nothing changed but tables that follow BGP sessions: from `before` to `after`",
    "rollback": "the same, by going back to a generation that is held from then on",
    "refused": "a publish was refused: by a guard, or by a hold",
    "failed": "a publish failed",
    "override": "an operator's override was set; before and after are its JSON",
    "ended": "an operator's override was removed",
    "expired": "the time of an operator's override ran out",
    "state": "a node's state changed; before and after are its whole hash",
    "failing": "a node's checks began to fail, or no longer do, without a change of its state",
    "shed": "a node sheds more or less of its clients for its load",
    "ramp": "a node came back and gets its clients little by little",
    "forgotten": "the state of a node that is no longer configured was removed",
    "session": "a BGP session of `geosteer follow` came up, is whole, was lost, or is forgotten",
    "latency": "a window of measured round-trip times ended; the next publish takes what came of it",
    "prober": "a prober or feed came, went, withdrew its verdicts, or was forgotten",
}
"""Kind of an event -> what it tells."""

STATES = ("state", "failing", "shed", "forgotten")
"""Kinds whose `before` and `after` are a node's hash."""
OVERRIDES = ("override", "ended")
"""Kinds whose `before` and `after` are a node's override; `expired` changes nothing in Redis."""

FIELDS = ("kind", "at", "who", "subject", "before", "after", "what", "why", "by")
"""Of an entry. Always all of them, in this order: Redis stores the names once for many entries then."""

NODE_FIELDS = ("state", "since", "failing", "shed", "before", "reason")
"""Of a node's hash: all that decides, and why."""

WORDS = 1000
"""Characters of `what` and `why`, at most."""
MOST = 32_000
"""Characters of any field that is believed."""

END_OF_TIME = 253402300800.0
"""The year 10000, seconds since 1970: ISO 8601 has four digits."""
CLOCKS = 5.0
"""Seconds by which an entry's id may be off its `at`; if it is more, the clock of one server was ahead of another's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """An event that is about to be written: what the writer says of it."""

    kind: str
    """One of `KINDS`."""
    subject: str = ""
    """The node, or the writer of states; "" for a publish."""
    before: str = ""
    after: str = ""
    what: str = ""
    """What happened, in words."""
    why: str = ""
    """The reason that was given, or that the checks found."""

    def fields(self, at: float, who: str, by: str) -> list[str]:
        """Names and values as XADD takes them. Args: at: the primary's time; by: the version of this program."""
        values = (
            self.kind,
            format_time_ms(at),
            who,
            self.subject,
            self.before,
            self.after,
            self.what[:WORDS],
            self.why[:WORDS],
            by,
        )
        return [word for pair in zip(FIELDS, values, strict=True) for word in pair]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """An event as it stands in the journal. Whoever may write there wrote it: nothing of it can be trusted."""

    id: str
    """Of the stream entry: milliseconds of the server's clock, and a number within them."""
    time: float
    """When it happened by the primary's clock, seconds since 1970."""
    kind: str
    """One of `KINDS`, or anything else."""
    at: str
    """ISO 8601 UTC, as its writer says."""
    who: str
    """`login@host`."""
    subject: str
    before: str
    after: str
    what: str
    why: str
    by: str
    """Version of the program that wrote it."""

    @property
    def node(self) -> str:
        """The node that it is about; "" where it is about none."""
        return self.subject if self.kind in {*STATES, *OVERRIDES, "expired", "ramp"} else ""

    def to_json(self) -> dict[str, Any]:
        """As `geosteer journal --json` prints it; states and overrides as objects."""
        document: dict[str, Any] = {"id": self.id, "time": format_time_ms(self.time)}
        document |= {name: getattr(self, name) for name in FIELDS}
        if self.node:
            document |= {name: _object(document[name]) for name in ("before", "after")}
        return document


def headline(event: Event) -> str:
    """The event in a few words, on one line; control characters are shown as escape sequences."""
    return " ".join(word for word in (printable(event.kind), printable(event.subject), told(event)) if word)


def told(event: Event) -> str:
    """What an event tells, without its kind and subject, on one line; control characters as escape sequences."""
    text = event.what
    if event.kind in OVERRIDES:
        ended = event.kind == "ended"
        said = _override_text(event.before if ended else event.after)
        text = " ".join(filter(None, (text, f"was {said}" if ended and said else said)))
    elif event.kind in {"publish", "rollback"}:
        text = f"generation {event.after}: {text}"
    return printable(f"{text}: {event.why}" if text and event.why else text or event.why)


def _override_text(text: str) -> str:
    data = _object(text)
    if not isinstance(data, dict):
        return ""
    percent = data.get("percent")
    parts = [
        str(data.get("state") or ""),
        f"{percent} %" if percent is not None else "",
        f"until {data['until']}" if data.get("until") else "",
    ]
    return ", ".join(filter(None, parts))


def decode(id_: str, fields: Mapping[str, str]) -> Event:
    """The event in a stream entry, whatever that holds; what is longer than `MOST` counts as absent."""
    values = {name: fields.get(name, "") for name in FIELDS}
    values = {name: text if len(text) <= MOST else "" for name, text in values.items()}
    return Event(id=id_, time=_time(id_, values["at"]), **values)


def node_text(fields: Mapping[str, str]) -> str:
    """A node's hash as one text; "": there is none. Fields that workers do not take are left out."""
    known = {
        name: fields[name] for name in NODE_FIELDS if len(fields.get(name, "x" * (LONGEST + 1))) <= LONGEST
    }
    return json.dumps(known, ensure_ascii=False, separators=(",", ":")) if known else ""


def node_fields(text: str) -> dict[str, str]:
    """A node's hash from such a text; empty where it is not one."""
    data = _object(text)
    if not isinstance(data, dict):
        return {}
    return {name: data[name] for name in NODE_FIELDS if isinstance(data.get(name), str)}


def not_after(event: Event, now: float) -> Event:
    """The event, at a time that can be true: nothing that is read at *now* happened later. Else by its id, or at 0.

    So one event of the future does not draw all that follow it there.
    """
    if event.time <= now + CLOCKS:
        return event
    by_id = _time_of_id(event.id)
    return replace(event, time=by_id if by_id <= now + CLOCKS else 0.0)


def _time(id_: str, at: str) -> float:
    """By the id, which is given when the change is carried out; by *at* where the server's clock was off then."""
    by_id, told = _time_of_id(id_), maybe_time(at)
    return by_id if told is None or abs(by_id - told) <= CLOCKS else told


def _time_of_id(id_: str) -> float:
    """Seconds since 1970; 0 where it is of no year that can be written."""
    milliseconds = id_.partition("-")[0]
    seconds = int(milliseconds) / 1000 if milliseconds.isdecimal() and len(milliseconds) <= 15 else 0.0
    return seconds if seconds < END_OF_TIME else 0.0


def _object(text: str) -> Any:
    try:
        return json.loads(text) if text else None
    except (ValueError, RecursionError):
        return text

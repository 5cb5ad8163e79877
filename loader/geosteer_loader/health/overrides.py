"""Operators' overrides of nodes: up, down, drain, for a time or until revoked, whatever the probes see."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from geosteer.decision.node_state import Override
from geosteer.errors import ConfigError, StoreError
from geosteer.timestamps import format_time, maybe_time
from geosteer_loader.config.values import printable
from geosteer_loader.health import events
from geosteer_loader.health.terms import AHEAD, DOWN
from geosteer_loader.journal.reading import read as read_journal
from geosteer_loader.journal.writing import additions
from geosteer_loader.store import current as published
from geosteer_loader.store.history import whoami, writable
from geosteer_loader.store.replacing import discard_known
from geosteer_loader.store.store import texts

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping, Sequence

    from geosteer_loader.health.emptied_maps import Emptied
    from geosteer_loader.journal.events import Note
    from geosteer_loader.store.store import Command, Store

STATES = ("up", "down", "drain", "auto")
"""`auto` removes an override: the probes decide again."""

TRIES = 20
"""How often a change is tried while others change overrides."""


class _Changed(Exception):  # not an error
    """Somebody changed an override meanwhile: look again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What an operator asks for."""

    state: str
    """One of `STATES`."""
    percent: float | None = None
    """Per cent of its clients that a node keeps; for `up` and `drain`."""
    seconds: float | None = None
    """How long it lasts; None: until it is revoked."""
    why: str = ""

    def problems(self) -> list[str]:
        """Options that contradict each other."""
        contradictions = []
        if self.percent is not None and self.state not in {"up", "drain"}:
            contradictions.append(f"--percent: has no meaning with {self.state}")
        if self.state == "auto" and (self.seconds is not None or self.why):
            contradictions.append("--for, --why: have no meaning with auto, which removes an override")
        return contradictions


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """An override as it stands in Redis."""

    node: str
    override: dict[str, Any] | None
    """Its JSON; None: it cannot be read, and workers ignore it."""
    configured: bool
    """The node is in the published configuration; without it the override has no effect."""
    ended: bool
    """Its time is over."""

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "node": self.node,
            "override": self.override,
            "configured": self.configured,
            "ended": self.ended,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One node's override before and after."""

    node: str
    before: str | None
    """JSON; None: there was none."""
    after: str | None
    """JSON; None: there is none."""

    @property
    def changed(self) -> bool:
        """Whether anything was written."""
        return self.before != self.after


def override(
    store: Store, globs: Sequence[str], wish: Wish, consent: Callable[[Sequence[Emptied]], None] | None = None
) -> list[Change]:
    """Carry out the wish for every node that one of the *globs* matches now; nodes in order of their names.

    Only what changes is written, in one command.
    Args: consent: called before maps lose their last node; raises an error where that is not wanted.
    Raises: ConfigError: the wish makes no sense, or a glob matches no node (the text has the names that exist).
        StoreError: nothing is published, or Redis failed; nothing was changed then.
    """
    if problems := wish.problems():
        raise ConfigError(problems)
    document = published.document(store, published.read(store))
    overrides = store.hash(store.keys.override, tolerant=True)
    # An override may outlive its node; `auto` has to reach it.
    known = set(document["nodes"]) | (set(overrides) if wish.state == "auto" else set())
    names = _expanded(globs, known)
    now = store.now()
    changes = _changes(names, overrides, wish, now)
    if consent is not None and (gone := _emptied(store, document, overrides, changes, now)):
        consent(gone)
    discard_known(store, [store.keys.override])
    ran_out = _ran_out(store, overrides, now)
    for _ in range(TRIES):
        if _write(store, overrides, changes, ran_out, wish.why, now):
            return changes
        overrides = store.hash(store.keys.override, tolerant=True)
        changes = _changes(names, overrides, wish, now)
    raise StoreError(f"{store.name}: others changed overrides at the same time, {TRIES} times over")


def listed(store: Store) -> list[Listed]:
    """Every override there is, also those without effect, by node. Raises: StoreError."""
    document = published.document(store, published.read(store))
    now = store.now()
    rows = []
    for node, text in sorted(store.hash(store.keys.override, tolerant=True).items()):
        try:
            until = Override.read(text).until
            fields: dict[str, Any] | None = _fields(text)
        except (ValueError, ArithmeticError):
            until, fields = None, None
        ended = until is not None and now >= until
        rows.append(Listed(node=node, override=fields, configured=node in document["nodes"], ended=ended))
    return rows


def read(store: Store, now: float) -> dict[str, dict[str, Any]]:
    """Every override in force at *now* as its JSON says, by node; what cannot be read is left out, as workers do."""
    in_force = {}
    for name, text in store.hash(store.keys.override, tolerant=True).items():
        try:
            until = Override.read(text).until
        except (ValueError, ArithmeticError):
            continue
        if until is None or now < until:
            in_force[name] = _fields(text)
    return dict(sorted(in_force.items()))


def lost(in_force: Mapping[str, Mapping[str, Any]], nodes: Container[str]) -> list[str]:
    """A line for each override that has no effect, since no node of that name is configured (any more).

    Args: in_force: as `read` gives them.
    """
    return [
        printable(
            f"override of {node} is lost: no such node is configured ({_said(fields)}); if it was renamed, say it for the new "
            f"name; geosteer node auto {node} removes it"
        )
        for node, fields in in_force.items()
        if node not in nodes
    ]


def _said(fields: Mapping[str, Any]) -> str:
    why = f": {fields['why']}" if fields.get("why") else ""
    return f"{fields.get('state')}, {fields.get('who') or 'somebody'} since {fields.get('since') or '?'}{why}"


def _expanded(globs: Sequence[str], known: set[str]) -> list[str]:
    names: set[str] = set()
    problems = []
    for glob in globs:
        matched = {name for name in known if fnmatchcase(name, glob.lower())}
        if not matched:
            problems.append(f"{glob}: no such node; there are: {', '.join(sorted(known)) or 'none'}")
        names |= matched
    if problems:
        raise ConfigError(problems)
    return sorted(names)


def _after(before: str | None, wish: Wish, now: float) -> str | None:
    if wish.state == "auto":
        return None
    wanted: dict[str, Any] = {"state": wish.state}
    if wish.percent is not None:
        wanted["percent"] = int(wish.percent) if wish.percent == int(wish.percent) else wish.percent
    if wish.seconds is not None:
        wanted["until"] = format_time(math.ceil(now + wish.seconds))
    why = writable(wish.why)
    known = _fields(before)
    since = maybe_time(known.get("since"))
    if since is None or since > now + AHEAD:
        known, since = {}, None  # damaged: written anew
    if known and _essence(known) == {**wanted, "why": why}:
        return before
    same = known.get("state") == wish.state and known.get("percent") == wanted.get("percent")
    wanted["since"] = known["since"] if same else format_time(now)
    wanted["who"] = whoami()
    wanted["why"] = why
    return json.dumps(wanted, ensure_ascii=False)


def _changes(names: Sequence[str], overrides: Mapping[str, str], wish: Wish, now: float) -> list[Change]:
    return [
        Change(node=name, before=overrides.get(name), after=_after(overrides.get(name), wish, now))
        for name in names
    ]


def _emptied(
    store: Store,
    document: Mapping[str, Any],
    overrides: Mapping[str, str],
    changes: Sequence[Change],
    now: float,
) -> list[Emptied]:
    """Maps that the changes would leave without a node that may be given to clients."""  # fmt: skip
    taken = {change.node for change in changes if change.changed and _takes_out(change.after, now)}
    if not taken:
        return []
    # Imported where they are needed: `status` and `node auto` take no node out.
    from geosteer_loader.health import emptied_maps
    from geosteer_loader.health.transitions import state_of

    nodes = list(document["nodes"])
    replies = store.pipe([("HGETALL", store.keys.node(name)) for name in nodes], tolerant=True)
    down = {name for name, reply in zip(nodes, replies, strict=True) if state_of(texts(reply)) == DOWN}
    up = {name for name, text in overrides.items() if _fields(text).get("state") == "up"}
    out = {name for name, text in overrides.items() if _takes_out(text, now)}
    return emptied_maps.emptied(document, (down - up) | out, taken)


def _takes_out(text: str | None, now: float) -> bool:
    """Whether an override leaves its node no clients."""
    try:
        override = Override.read(text) if text is not None else None
    except (ValueError, ArithmeticError):
        return False
    if override is None or (override.until is not None and now >= override.until):
        return False
    return override.state == DOWN or override.percent == 0


def _fields(text: str | None) -> dict[str, Any]:
    try:
        fields = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    return fields if isinstance(fields, dict) else {}


def _essence(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Everything but who said it first, and when."""
    return {key: value for key, value in fields.items() if key not in {"who", "since"}}


def _ran_out(store: Store, overrides: Mapping[str, str], now: float) -> list[Note]:
    """What the journal was not told yet of overrides whose time is over: no writer of states has beaten since."""
    try:
        beats = store.hash(store.keys.beat, tolerant=True)
        since = events.last_beat(beats, now) if beats else 0.0
        times = events.ended(overrides, since, now)
        if times:
            told = {
                event.subject
                for event in read_journal(store, min(times.values()))
                if event.kind == "expired" and event.before == overrides.get(event.subject)
            }
            times = {name: until for name, until in times.items() if name not in told}
    except StoreError as exc:
        store.warn_once(f"the journal is not read: {exc}")
        return []
    return list(events.expired(overrides, times))


def _write(
    store: Store,
    known: Mapping[str, str],
    changes: Sequence[Change],
    ran_out: Sequence[Note],
    why: str,
    now: float,
) -> bool:
    """Write what changes, in one step; False: the overrides are not those that are known (any more)."""
    made = [change for change in changes if change.changed]
    if not made:
        return True
    key = store.keys.override
    gone = [change.node for change in made if change.after is None]
    pairs = [word for change in made if change.after is not None for word in (change.node, change.after)]
    reason = writable(why)
    told = [events.overridden(change.node, change.before, change.after, reason) for change in made]

    def prepare(run: Callable[..., Any]) -> Sequence[Command]:
        if texts(run("HGETALL", key)) != known:
            raise _Changed
        return [
            *([("HDEL", key, *gone)] if gone else []),
            *([("HSET", key, *pairs)] if pairs else []),
            *additions(store, [*ran_out, *told], now),
        ]

    try:
        return store.transact((key,), prepare) is not None
    except _Changed:
        return False

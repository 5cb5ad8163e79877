"""An operator's word on nodes: up, down, drain, for as long as it is said, whatever the probes see."""

from __future__ import annotations

import json
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from geosteer.decision.node_state import Override
from geosteer.errors import ConfigError
from geosteer.timestamps import format_time
from geosteer_loader.store import current as published
from geosteer_loader.store.history import whoami

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from geosteer_loader.store.store import Store

STATES = ("up", "down", "drain", "auto")
"""`auto` removes an override: the probes decide again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What an operator asks for."""

    state: str
    """One of `STATES`."""
    percent: float | None = None
    """Per cent of its clients that a node keeps; for `up` and `drain`."""
    seconds: float | None = None
    """How long it lasts; None: until somebody says otherwise."""
    why: str = ""

    def problems(self) -> list[str]:
        """What does not go together."""
        found = []
        if self.percent is not None and self.state not in {"up", "drain"}:
            found.append(f"--percent: has no meaning with {self.state}")
        if self.state == "auto" and (self.seconds is not None or self.why):
            found.append("--for, --why: have no meaning with auto, which removes an override")
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What became of one node's override."""

    node: str
    before: str | None
    """JSON; None: there was none."""
    after: str | None
    """JSON; None: there is none."""

    @property
    def changed(self) -> bool:
        """Whether anything was written."""
        return self.before != self.after


def override(store: Store, globs: Sequence[str], wish: Wish) -> list[Change]:
    """Carry out the wish for every node that one of the *globs* matches now; nodes in order of their names.

    Only what changes is written, in one command.
    Raises: ConfigError: the wish makes no sense, or a glob matches no node (the text has the names that exist).
        StoreError: nothing is published, or Redis failed; nothing was changed then.
    """
    if problems := wish.problems():
        raise ConfigError(problems)
    document = published.document(store, published.read(store))
    overrides = store.hash(store.keys.override)
    # An override may outlive its node; `auto` has to reach it.
    known = set(document["nodes"]) | (set(overrides) if wish.state == "auto" else set())
    names = _expanded(globs, known)
    now = store.now()
    changes = [
        Change(node=name, before=overrides.get(name), after=_after(overrides.get(name), wish, now))
        for name in names
    ]
    _write(store, [change for change in changes if change.changed])
    return changes


def read(store: Store, now: float) -> dict[str, dict[str, Any]]:
    """Every override in force at *now* as its JSON says, by node; what is no override is left out, as workers do."""
    found = {}
    for name, text in store.hash(store.keys.override).items():
        try:
            until = Override.read(text).until
        except ValueError:
            continue
        if until is None or now < until:
            found[name] = dict(json.loads(text))
    return dict(sorted(found.items()))


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
        wanted["until"] = format_time(now + wish.seconds)
    said = _fields(before)
    if said and _essence(said) == {**wanted, "why": wish.why}:
        return before
    same = said.get("state") == wish.state and said.get("percent") == wanted.get("percent")
    wanted["since"] = said["since"] if same and "since" in said else format_time(now)
    wanted["who"] = whoami()
    wanted["why"] = wish.why
    return json.dumps(wanted, ensure_ascii=False)


def _fields(text: str | None) -> dict[str, Any]:
    try:
        fields = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    return fields if isinstance(fields, dict) else {}


def _essence(said: Mapping[str, Any]) -> dict[str, Any]:
    """What decides: everything but who said it first, and when."""
    return {key: value for key, value in said.items() if key not in {"who", "since"}}


def _write(store: Store, changes: Sequence[Change]) -> None:
    gone = [change.node for change in changes if change.after is None]
    if gone:
        store.call("HDEL", store.keys.override, *gone)
    said = [word for change in changes if change.after is not None for word in (change.node, change.after)]
    if said:
        store.call("HSET", store.keys.override, *said)

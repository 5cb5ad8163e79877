"""Going back to a generation that is kept, and holding it there until an operator says otherwise."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from geosteer.errors import ConfigError, StoreError
from geosteer.keys import SCHEMA, TABLES, own_fields
from geosteer.timestamps import format_time
from geosteer_loader.journal import live_series
from geosteer_loader.journal.events import Note
from geosteer_loader.journal.writing import additions
from geosteer_loader.store import current as published
from geosteer_loader.store.history import Entry, entries, whoami, writable
from geosteer_loader.store.lease import Lease
from geosteer_loader.store.object_writer import Writer
from geosteer_loader.store.refusals import SchemaUnknown
from geosteer_loader.verify.wholeness import Checker

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from geosteer_loader.store.store import Command, Store
    from geosteer_loader.verify.wholeness import Flaw

log = logging.getLogger(__name__)

PARTS = (*TABLES, "config")
"""What can be taken back by itself."""


class NotWhole(StoreError):
    """A generation cannot be gone back to: something that it needs is missing or damaged."""

    def __init__(self, store: str, flaws: Sequence[Flaw]) -> None:
        more = f" (and {len(flaws) - 1} more)" if len(flaws) > 1 else ""
        super().__init__(
            f"{store}: that generation is no longer whole: {flaws[0]}{more}; nothing was changed"
        )
        self.flaws = tuple(flaws)


def rollback(
    store: Store, generation: int | None = None, only: Sequence[str] = (), why: str = ""
) -> dict[str, str]:
    """Publish again what *generation* had, as a new generation with a hold; the fields of `current` as they are then.

    Args:
        store: where it is published.
        generation: a kept one; default: the one before that which is published (or was gone back to).
        only: some of `PARTS`; the others stay as they are. Default: all.
        why: for status and history.

    Raises: ConfigError: no such generation is kept. Locked: a publisher is at work. NotWhole: an object that it needs is
        missing or damaged. StoreError.
    """
    with Lease(store) as lease:
        before = published.read(store)
        writer = Writer(store)
        target = _target(store, before, generation)
        parts = [part for part in PARTS if part in only] or list(PARTS)
        after = {
            key: value
            for key, value in before.items()
            if key not in {*published.STAMPS, "schema", live_series.FIELD}
        }
        for part in parts:
            for gone in _fields(before, part):
                after.pop(gone)
            after.update(_fields(target.fields, part))
        _check_whole(store, after)
        what = "" if len(parts) == len(PARTS) else f" ({', '.join(parts)})"
        reason = f": {writable(why)}" if why else ""
        after["held"] = (
            f"{whoami()} {format_time(store.now())}: back to generation {target.generation}{what}{reason}"
        )
        after["restored"] = str(target.generation)
        changed = f"rollback to {target.generation}{what}"

        def events(fields: Mapping[str, str], now: float) -> Sequence[Command]:
            note = Note(
                kind="rollback",
                before=before.get("generation", ""),
                after=fields["generation"],
                what=f"back to generation {target.generation}{what}, held",
                why=why,
            )
            return additions(store, [*live_series.untold(before), note], now)

        now = published.flip(store, lease, before, after, changed, writer.check, events)
        _wait(store)
        return now


def _wait(store: Store) -> None:
    try:
        replicas, having = published.confirmed(store)
    except StoreError as exc:
        log.warning("waiting for replicas: %s", exc)
        return
    if having < replicas:
        log.warning("%s", published.late(replicas, having))


def _target(store: Store, before: Mapping[str, str], generation: int | None) -> Entry:
    history = entries(store)
    if generation is None:
        newest = published.number(before, "restored") or published.number(before, "generation")
        older = [entry for entry in history if entry.generation < newest]
        if not older:
            raise ConfigError([f"no generation before {newest} is kept"])
        # Those of BGP sessions are some seconds old: nobody goes back to one without naming it.
        return next((entry for entry in reversed(older) if not entry.live), older[-1])
    for entry in history:
        if entry.generation == generation:
            if published.number(entry.fields, "schema", SCHEMA) > SCHEMA:
                raise SchemaUnknown(f"generation {generation}", entry.fields["schema"], SCHEMA)
            return entry
    names = ", ".join(str(entry.generation) for entry in history) or "none"
    raise ConfigError([f"generation {generation} is not kept; there are: {names}"])


def _fields(fields: Mapping[str, str], part: str) -> dict[str, str]:
    if part == "config":
        return {"config": fields["config"]} if "config" in fields else {}
    return own_fields(fields, part)


def _check_whole(store: Store, fields: Mapping[str, str]) -> None:
    flaws = list(Checker(store).check(fields))
    if flaws:
        raise NotWhole(store.name, flaws)

"""What is published now: reading it, and replacing it in one step."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

from geosteer.errors import StoreError
from geosteer.keys import FAMILIES, SCHEMA, TABLES
from geosteer.timestamps import format_time, maybe_time
from geosteer_loader.store import document as documents
from geosteer_loader.store import history
from geosteer_loader.store.redis_errors import ConnectionLost
from geosteer_loader.store.refusals import ChangedMeanwhile, SchemaUnknown
from geosteer_loader.store.store import texts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from geosteer_loader.store.lease import Lease
    from geosteer_loader.store.store import Command, Store

STAMPS = ("generation", "published")
"""Fields of `current` that differ in every generation."""

LAST = 2**32 - 2
"""The latest time of publishing that is believed, seconds since 1970: it is the serial of every zone, which has 32 bits."""

_HEX = re.compile(r"[0-9a-f]{32}")

REPLICA_WAIT = 1000
"""Milliseconds that replicas get to confirm a flip; it is reported, not required."""


def read(store: Store, *, repairing: bool = False) -> dict[str, str]:
    """The fields of `current`; empty when nothing is published.

    Args: repairing: for publishing anew, whatever stands there.
    Raises: SchemaUnknown: a newer geosteer published with a meaning that this one does not know.
    """
    fields = store.hash(store.keys.current, tolerant=repairing)
    schema = number(fields, "schema", SCHEMA)
    if schema > SCHEMA:
        raise SchemaUnknown(store.name, fields["schema"], SCHEMA)
    if not schema and not repairing:
        raise StoreError(f"{store.name}: schema {fields['schema'][:40]!r} is malformed: publish again")
    return fields


def number(fields: Mapping[str, str], name: str, default: int = 0) -> int:
    """A field of `current` as a whole number; *default* where it is absent, 0 where it is not a valid count."""
    text = fields.get(name)
    return default if text is None else history.count(text)


def doubts(fields: Mapping[str, str]) -> list[str]:
    """What `current` says that cannot be believed, a line for each field, which begins with its name."""
    lines = []
    for name, value in fields.items():
        table, _, kind = name.partition(".")
        if kind and table not in TABLES:
            continue  # readers ignore what they do not know
        if name in {"generation", "schema", "restored"} or kind in {"prefixes", "ranges"}:
            if not history.count(value) and value != "0":
                lines.append(f"{name}: invalid number: {value[:40]!r}")
        elif name == "published" or (kind == "built" and value):
            then = maybe_time(value)
            if then is None:
                lines.append(f"{name}: not a time: {value[:40]!r}")
            elif then > LAST:
                lines.append(f"{name}: too far in the future: {value[:40]}")
        elif (name == "config" or kind in FAMILIES) and not _HEX.fullmatch(value):
            lines.append(f"{name}: not a digest: {value[:40]!r}")
    lines += [f"{name}: is absent" for name in STAMPS if fields and name not in fields]
    return lines


def document(store: Store, fields: Mapping[str, str]) -> dict[str, Any]:
    """The published configuration document.

    Raises: StoreError: nothing is published. CorruptDocument: it is missing, damaged or malformed. FormatUnknown.
    """
    name = fields.get("config")
    if name is None:
        raise StoreError(f"{store.name}: nothing is published under {store.keys.braced} yet")
    return documents.decode(store.name, name, store.objects([name])[0])


def flip(
    store: Store,
    lease: Lease,
    before: Mapping[str, str],
    after: Mapping[str, str],
    changed: str,
    check: Callable[[Callable[..., Any]], None],
    also: Callable[[Mapping[str, str], float], Sequence[Command]] = lambda _fields, _now: (),
    size: int = 0,
    *,
    live: bool = False,
) -> dict[str, str]:
    """Publish *after* in place of *before*, and note it in the history; the fields as they stand then.

    Generation and time of publishing are added here, and both only ever rise; *after* may name a schema. *check* raises
    an error where what *after* names is not there; it is given a function that runs a command. *also*: the fields and the
    primary's time -> commands that belong into the same transaction. *size*: bytes that were written for it. *live*:
    nothing differs but tables that follow BGP sessions.
    Raises: LostLock. ChangedMeanwhile: `current` is no longer *before*. StoreError. Nothing was published.
    """
    now = store.now()
    newest = history.last(store)  # outlives `current` where that was evicted
    fields = {"schema": str(SCHEMA), **_stamps(newest, before, now), **after}
    entry = history.addition(
        store, fields, changed, history.whoami(), format_time(now), size=size, before=newest, live=live
    )

    def commands(run: Callable[..., Any]) -> Sequence[Command]:
        if texts(run("HGETALL", store.keys.current)) != before:
            raise ChangedMeanwhile(store.name, store.keys.current)
        check(run)
        return [
            ("DEL", store.keys.current),  # whatever fields it had, those with names that are no text too
            ("HSET", store.keys.current, *(word for pair in fields.items() for word in pair)),
            entry,
            *also(fields, now),
        ]

    try:
        lease.run(commands, watch=(store.keys.current, store.keys.object))
    except ConnectionLost as exc:
        _make_sure(store, fields, exc)
    return fields


def confirmed(store: Store) -> tuple[int, int]:
    """How many replicas there are, and how many of them have all that was written until now, given some time.

    Raises: StoreError.
    """
    replicas = int(store.info("replication").get("connected_slaves", 0))
    return replicas, int(store.call("WAIT", replicas, REPLICA_WAIT)) if replicas else 0


def late(replicas: int, having: int) -> str:
    """The warning when not all of them have it."""
    return f"{having} of {replicas} replicas confirmed within {REPLICA_WAIT} ms"


def _stamps(newest: history.Entry | None, before: Mapping[str, str], now: float) -> dict[str, str]:
    generation, published = 0, 0.0
    for known in (before, newest.fields if newest else {}):
        generation = max(generation, number(known, "generation"))
        then = maybe_time(known.get("published")) or 0.0
        if then < LAST:
            published = max(published, then)
    # The time is the serial of every zone, so it has to rise even where the clock does not.
    return {
        "generation": str((generation + 1) % 10**history.DIGITS),
        "published": format_time(max(now, published + 1)),
    }


def _make_sure(store: Store, fields: Mapping[str, str], lost: ConnectionLost) -> None:
    """Returns when a transaction was carried out although its reply was lost; raises StoreError when not."""
    for pause in (0.05, 0.2, 0.5):
        time.sleep(pause)
        try:
            arrived = store.hash(store.keys.current) == fields
        except StoreError:
            continue
        if not arrived:
            raise lost
        return
    generation = fields["generation"]
    raise ConnectionLost(
        f"{lost}; whether generation {generation} is published: see `geosteer status`"
    ) from lost

"""What is published now: reading it, and replacing it in one step."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from geosteer.errors import Refused, StoreError
from geosteer.keys import SCHEMA, digest
from geosteer.timestamps import format_time, parse_time
from geosteer_loader.store import history
from geosteer_loader.store.author import whoami
from geosteer_loader.store.errors import ConnectionLost
from geosteer_loader.store.store import texts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from geosteer_loader.store.lease import Lease
    from geosteer_loader.store.store import Command, Store

STAMPS = ("generation", "published")
"""Fields of `current` that differ in every generation."""

REPLICA_WAIT = 1000
"""Milliseconds that replicas get to confirm a flip; it is reported, not required."""


def read(store: Store) -> dict[str, str]:
    """The fields of `current`; empty when nothing is published.

    Raises: Refused: a newer geosteer published with a meaning that this one does not know.
    """
    fields = store.hash(store.keys.current)
    schema = fields.get("schema", str(SCHEMA))
    if not schema.isdecimal() or int(schema) > SCHEMA:
        raise Refused(f"{store.name}: schema {schema} is published, this program knows {SCHEMA}: upgrade it")
    return fields


def document(store: Store, fields: Mapping[str, str]) -> dict[str, Any]:
    """The published configuration document.

    Raises: StoreError: nothing is published, or the document is missing or damaged.
    """
    name = fields.get("config")
    if name is None:
        raise StoreError(f"{store.name}: nothing is published under {store.keys.braced} yet")
    data = store.objects([name])[0]
    if data is None or digest(data).hex() != name:
        raise StoreError(f"{store.name}: the published configuration is missing or damaged; publish again")
    return dict(json.loads(data))


def flip(
    store: Store,
    lease: Lease,
    before: Mapping[str, str],
    after: Mapping[str, str],
    changed: str,
    check: Callable[[Callable[..., Any]], None],
) -> dict[str, str]:
    """Publish *after* in place of *before*, and note it in the history; the fields as they stand then.

    Generation and time of publishing are added here, and both only ever rise; *after* may name a schema. *check* raises an
    error where what *after* names is not there; it is given a function that runs a command.
    Raises: Refused: the lock is lost, or `current` is no longer *before*; StoreError. Nothing was published.
    """
    now = store.now()
    fields = {"schema": str(SCHEMA), **_stamps(store, before, now), **after}
    entry = history.addition(store, fields, changed, whoami(), format_time(now))

    def commands(run: Callable[..., Any]) -> Sequence[Command]:
        if texts(run("HGETALL", store.keys.current)) != before:
            raise Refused(f"{store.name}: {store.keys.current} was changed by somebody else meanwhile")
        check(run)
        gone = [name for name in before if name not in fields]
        return [
            *([("HDEL", store.keys.current, *gone)] if gone else []),
            ("HSET", store.keys.current, *(word for pair in fields.items() for word in pair)),
            entry,
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
    """What to say where not all of them have it."""
    return f"{having} of {replicas} replicas confirmed within {REPLICA_WAIT} ms"


def _stamps(store: Store, before: Mapping[str, str], now: float) -> dict[str, str]:
    generation, published = 0, 0.0
    newest = history.last(store)  # outlives `current` where that was evicted
    for known in (before, newest.fields if newest else {}):
        if known.get("generation", "").isdecimal():
            generation = max(generation, int(known["generation"]))
        try:
            published = max(published, parse_time(known["published"]))
        except (KeyError, ValueError):
            continue
    # The time is the serial of every zone, so it has to rise even where the clock does not.
    return {"generation": str(generation + 1), "published": format_time(max(now, published + 1))}


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
    raise StoreError(f"{lost}; whether generation {generation} is published: see `geosteer status`") from lost

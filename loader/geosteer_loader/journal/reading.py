"""Reading the journal, a bounded number of entries at a time; whoever may write there wrote what it holds."""

from __future__ import annotations

import time
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from geosteer_loader.journal.events import decode
from geosteer_loader.store.store import texts

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from geosteer_loader.journal.events import Event
    from geosteer_loader.store.store import Store

BATCH = 500
"""Entries of one reply."""

MOST = 1_000_000
"""Events that are read of a journal, at most."""

FOLLOW = 0.5
"""Seconds between two looks for new events."""


def read(store: Store, since: float | None = None, until: float | None = None) -> Iterator[Event]:
    """Events in the order in which they were written.

    Args: since, until: seconds since 1970 by the server's clock, both included; None: from the first, to the last.
    Raises: StoreError.
    """
    low, high = _id(since, "-"), _id(until, "+")
    for _ in range(MOST // BATCH):
        entries = store.call("XRANGE", store.keys.journal, low, high, "COUNT", BATCH)
        for id_, fields in entries:
            yield decode(id_.decode(), texts(fields))
        if len(entries) < BATCH:
            return
        low = f"({entries[-1][0].decode()}"


def read_back(store: Store, since: float | None = None, until: float | None = None) -> Iterator[Event]:
    """The same, the newest first."""
    low, high = _id(since, "-"), _id(until, "+")
    for _ in range(MOST // BATCH):
        entries = store.call("XREVRANGE", store.keys.journal, high, low, "COUNT", BATCH)
        for id_, fields in entries:
            yield decode(id_.decode(), texts(fields))
        if len(entries) < BATCH:
            return
        high = f"({entries[-1][0].decode()}"


def first(store: Store) -> Event | None:
    """The oldest event that is kept; None: the journal is empty. Raises: StoreError."""
    entries = store.call("XRANGE", store.keys.journal, "-", "+", "COUNT", 1)
    return decode(entries[0][0].decode(), texts(entries[0][1])) if entries else None


def follow(store: Store, after: str, sleep: Callable[[float], None] = time.sleep) -> Iterator[Event]:
    """Events that are written from now on, for ever. Args: after: the id of the last one that is known; "": of none.

    Raises: StoreError.
    """
    last = after or "0-0"
    while True:
        entries = store.call("XRANGE", store.keys.journal, f"({last}", "+", "COUNT", BATCH)
        for id_, fields in entries:
            last = id_.decode()
            yield decode(last, texts(fields))
        if len(entries) < BATCH:
            sleep(FOLLOW)


def select(
    events: Iterable[Event], globs: Sequence[str] = (), kinds: Collection[str] = ()
) -> Iterator[Event]:
    """Those of the *kinds* (none: of all), about nodes that one of the *globs* matches (none: about anything)."""
    for event in events:
        if kinds and event.kind not in kinds:
            continue
        if globs and not (event.node and any(fnmatchcase(event.node, glob.lower()) for glob in globs)):
            continue
        yield event


def _id(moment: float | None, default: str) -> str:
    return default if moment is None else str(max(int(moment * 1000), 0))

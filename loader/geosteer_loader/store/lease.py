"""The publisher's lease: a lock in Redis with a time limit, so that a killed publisher blocks nobody long.

Its value is a JSON text with a token of this process. It says who publishes, and every write that must not be
made without the lock compares it in the same transaction (`Lease.run`).
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import threading
from typing import TYPE_CHECKING, Any, Self

from geosteer.errors import GeosteerError, Refused
from geosteer.timestamps import format_time

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from geosteer_loader.store.store import Command, Store

SECONDS = 30.0
"""How long the lock outlives a publisher that was killed. One at work renews it three times in that time."""


class Lease:
    """The lock, held from entering the context to leaving it.

    Entering raises: Refused: somebody else holds it; the text says who and since when.
    """

    def __init__(self, store: Store, seconds: float = SECONDS) -> None:
        self._store = store
        self._milliseconds = int(seconds * 1000)
        self._turn = threading.Lock()
        self._done = threading.Event()
        self._renewer: threading.Thread | None = None
        self.value = b""
        """What the lock holds while it is ours."""

    def __enter__(self) -> Self:
        store = self._store
        self.value = json.dumps(
            {
                "who": f"{socket.gethostname()}/{os.getpid()}",
                "since": format_time(store.now()),
                "token": secrets.token_hex(8),
            }
        ).encode()
        if not store.call("SET", store.keys.lock, self.value, "NX", "PX", self._milliseconds):
            raise Refused(f"{store.name}: another publisher is at work: {holder(store) or 'it just ended'}")
        # A thread, since building a table may take minutes in calls that do not return in between.
        self._renewer = threading.Thread(target=self._renew, name="lease", daemon=True)
        self._renewer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        if self._renewer is not None:
            self._renewer.join()
        try:
            self.write([("DEL", self._store.keys.lock)])
        except GeosteerError:
            # Lost with the connection or to the time limit; either way Redis ends it by itself.
            return

    def run(
        self, prepare: Callable[[Callable[..., Any]], Sequence[Command]], watch: Sequence[str] = ()
    ) -> list[Any]:
        """Run in one MULTI what *prepare* returns, only while the lock is ours and no key of *watch* changes.

        *prepare* gets a function that runs a command at once, to look before it decides.
        Raises: Refused: it is not ours, or a key changed; nothing was done.
        """
        lock = self._store.keys.lock

        def ours(run: Callable[..., Any]) -> Sequence[Command]:
            if run("GET", lock) != self.value:
                raise Refused(f"{self._store.name}: the publisher's lock was lost; nothing was changed since")
            return prepare(run)

        with self._turn:  # a renewal in between would count as a change of the lock
            replies = self._store.transact((lock, *watch), ours)
        if replies is None:
            raise Refused(f"{self._store.name}: somebody else published or took the lock meanwhile")
        return replies

    def write(self, commands: Sequence[Command]) -> list[Any]:
        """Run *commands* in one MULTI, only while the lock is ours; raises Refused like `run`."""
        return self.run(lambda _run: commands)

    def _renew(self) -> None:
        while not self._done.wait(self._milliseconds / 3000):
            try:
                self.write([("PEXPIRE", self._store.keys.lock, self._milliseconds)])
            except Refused:
                return
            except GeosteerError:
                continue  # the flip finds out whether the lock is still ours


def holder(store: Store) -> str:
    """Who publishes now and since when, in text; "" when nobody does."""
    value = store.call("GET", store.keys.lock)
    if value is None:
        return ""
    try:
        held = json.loads(value)
        return f"{held['who']} since {held['since']}"
    except (ValueError, KeyError, TypeError, RecursionError):
        return f"somebody ({value[:80].decode(errors='replace')})"

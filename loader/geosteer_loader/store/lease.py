"""The publisher's lease: a lock in Redis with a time limit, so that a killed publisher does not block others for long.

Its value is a JSON text with a token of this process. It says who publishes, and every write that must not be
made without the lock compares it in the same transaction (`Lease.run`).
"""

from __future__ import annotations

import json
import os
import threading
from typing import TYPE_CHECKING, Any, Self

from geosteer.errors import CorruptPage, GeosteerError, StoreError
from geosteer.timestamps import format_time
from geosteer_loader.store.redis_errors import ConnectionLost
from geosteer_loader.store.refusals import ChangedMeanwhile, Locked, LostLock
from geosteer_loader.store.replacing import discard_known

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from geosteer_loader.store.store import Command, Store

SECONDS = 30.0
"""How long the lock outlives a publisher that was killed. One at work renews it three times in that time."""


class Lease:
    """The lock, held from entering the context to leaving it.

    Entering raises: Locked: somebody else holds it.
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
                "who": f"{os.uname().nodename}/{os.getpid()}",
                "since": format_time(store.now()),
                "token": os.urandom(8).hex(),
            }
        ).encode()
        if not self._take():
            who = holder(store)
            if store.keys.lock not in store.foreign:
                # Every lock of ours runs out; one that does not was written by hand, and gets as long as ours have.
                store.call("PEXPIRE", store.keys.lock, self._milliseconds, "NX")
                raise Locked(store.name, who)
            discard_known(store, [store.keys.lock])
            if not self._take():
                raise Locked(store.name, holder(store))
        # A thread, since building a table may take minutes in calls that do not return in between.
        self._renewer = threading.Thread(target=self._renew, name="lease", daemon=True)
        self._renewer.start()
        return self

    def _take(self) -> bool:
        lock = self._store.keys.lock
        return bool(self._store.call("SET", lock, self.value, "NX", "PX", self._milliseconds))

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Gives the lock back. Raises: LostLock: an error of Redis came of the lock having been lost before."""
        self._done.set()
        if self._renewer is not None:
            self._renewer.join()
        try:
            self.write([("DEL", self._store.keys.lock)])
        except LostLock as lost:
            # What another publisher changed or removed since shows as damage, which it is not.
            if isinstance(exc, StoreError | CorruptPage) and not isinstance(exc, ConnectionLost):
                raise lost from exc
        except GeosteerError:
            return  # lost with the connection: Redis ends it by itself

    def run(
        self, prepare: Callable[[Callable[..., Any]], Sequence[Command]], watch: Sequence[str] = ()
    ) -> list[Any]:
        """Run in one MULTI what *prepare* returns, only while the lock is ours and no key of *watch* changes.

        *prepare* gets a function that runs a command at once, to look before it decides.
        Raises: LostLock: it is not ours. ChangedMeanwhile: a key changed. Nothing was done then.
        """
        lock = self._store.keys.lock

        def ours(run: Callable[..., Any]) -> Sequence[Command]:
            if run("GET", lock) != self.value:
                raise LostLock(self._store.name)
            return prepare(run)

        with self._turn:  # a renewal in between would count as a change of the lock
            replies = self._store.transact((lock, *watch), ours)
        if replies is None:
            self.check()
            raise ChangedMeanwhile(self._store.name, " or ".join(watch) or lock)
        return replies

    def check(self) -> None:
        """Returns while the lock is ours. Raises: LostLock: it is not. StoreError: Redis cannot tell."""
        if self._store.call("GET", self._store.keys.lock) != self.value:
            raise LostLock(self._store.name)

    def write(self, commands: Sequence[Command]) -> list[Any]:
        """Run *commands* in one MULTI, only while the lock is ours; raises as `run`."""
        return self.run(lambda _run: commands)

    def _renew(self) -> None:
        while not self._done.wait(self._milliseconds / 3000):
            try:
                self.write([("PEXPIRE", self._store.keys.lock, self._milliseconds)])
            except LostLock:
                return
            except GeosteerError:
                continue  # the flip finds out whether the lock is still ours


def holder(store: Store) -> str:
    """The running publisher and since when, in text; "": none."""
    (value,) = store.pipe([("GET", store.keys.lock)], tolerant=True)
    if value is None:
        return ""
    try:
        held = json.loads(value)
        return f"{held['who']} since {held['since']}"
    except (ValueError, KeyError, TypeError, RecursionError):
        return f"somebody ({value[:80].decode(errors='replace')})"

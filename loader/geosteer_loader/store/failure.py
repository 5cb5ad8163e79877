"""Why the last publish failed or was refused, left in Redis for `status`; the next one that succeeds removes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from geosteer.timestamps import format_time, maybe_time
from geosteer_loader.store.history import whoami
from geosteer_loader.store.replacing import discard_known

if TYPE_CHECKING:
    from geosteer_loader.store.store import Store

LONGEST = 1000
"""Characters that are kept of a reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A publish that failed, after the last one that succeeded."""

    since: str
    """When the first of the failures in a row was, ISO 8601 UTC."""
    when: str
    """When the last of them was."""
    who: str
    guard: str
    """Names of the guards that refused it, separated by blanks; "" where none did."""
    why: str


def note(store: Store, why: str, guard: str = "") -> None:
    """Write that a publish failed. Raises: StoreError."""
    key = store.keys.failure
    now = format_time(store.now())
    since = store.hash(key, tolerant=True).get("since", "")
    discard_known(store, [key])
    fields = {
        "since": since if maybe_time(since) is not None else now,
        "when": now,
        "who": whoami(),
        "guard": guard,
        "why": why[:LONGEST],
    }
    store.call("HSET", key, *(word for pair in fields.items() for word in pair))


def clear(store: Store) -> None:
    """Remove it: a publish succeeded. Raises: StoreError."""
    store.call("DEL", store.keys.failure)


def read(store: Store) -> Failure | None:
    """What is left of the last publish, if that failed; values are cut, whoever wrote them. Raises: StoreError."""
    fields = store.hash(store.keys.failure, tolerant=True)
    if not fields:
        return None
    words = {name: fields.get(name, "")[:LONGEST] for name in Failure.__slots__}
    return Failure(**words)

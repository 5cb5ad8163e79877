"""Removing what another program left under our keys: who writes there does it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from geosteer_loader.store.foreign import is_wrong_type
from geosteer_loader.store.redis_errors import is_redis_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from geosteer_loader.store.store import Command, Store

log = logging.getLogger(__name__)


def discard_any(store: Store, keys: Iterable[str]) -> None:
    """Look at these keys, and remove those that hold something of another type. Raises: StoreError."""
    store.pipe([_question(store, key) for key in keys], tolerant=True)
    discard_known(store, keys)


def discard_known(store: Store, keys: Iterable[str]) -> None:
    """Remove those of these keys that were seen to hold something of another type. Raises: StoreError."""
    for key in keys:
        if key in store.foreign:
            store.transact((key,), _removal(store, key))
            store.foreign.discard(key)
            log.warning("%s: %s: what another program left there was removed", store.name, key)


def _removal(store: Store, key: str) -> Callable[[Callable[..., Any]], Sequence[Command]]:
    """Looks again, since somebody else may have repaired it."""

    def prepare(run: Callable[..., Any]) -> Sequence[Command]:
        try:
            run(*_question(store, key))
        except Exception as exc:
            if is_redis_error(exc) and is_wrong_type(exc):
                return [("DEL", key)]
            raise
        return []

    return prepare


def _question(store: Store, key: str) -> Command:
    """A cheap command that only a key of the right type answers."""
    if key in {store.keys.history, store.keys.journal}:
        return ("XREVRANGE", key, "+", "-", "COUNT", 1)
    return ("GET" if key == store.keys.lock else "HLEN", key)

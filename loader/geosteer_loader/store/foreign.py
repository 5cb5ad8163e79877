"""Keys of ours under which another program left something of another type: read as empty, and removed by who writes there."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import redis

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from geosteer_loader.store.store import Command, Store

log = logging.getLogger(__name__)

FOREIGN: dict[Any, Any] = {}
"""Stands for the fields of a hash whose key holds something else; compared by identity."""

EMPTY: dict[Any, Any] = {"HGETALL": FOREIGN, "GET": None, "HLEN": 0, "XREVRANGE": []}
"""Command -> what a reader takes for the answer where the key holds something of another type."""

_REPAIRS = {
    "current": "geosteer publish",
    "object": "geosteer publish",
    "history": "geosteer publish",
    "failure": "geosteer publish",
    "journal": "geosteer publish",
    "lock": "geosteer publish",
    "override": "the next geosteer node",
    "beat": "a prober or feed",
    "node": "a prober or feed",
    "verdict": "a prober or feed",
}
"""Kind of key -> who replaces what another program left there."""


def is_wrong_type(exc: BaseException) -> bool:
    """Whether it is Redis's error for a key that holds something of another type."""
    return isinstance(exc, redis.ResponseError) and str(exc).startswith("WRONGTYPE")


def told(key: str) -> str:
    """What is wrong with a key of another type, and who repairs it."""
    kind = key.partition("}:")[2].partition(":")[0]
    repairs = f" ({_REPAIRS[kind]} replaces it)" if kind in _REPAIRS else ""
    return f"{key}: holds something that geosteer did not write{repairs}"


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
        except redis.ResponseError as exc:
            if is_wrong_type(exc):
                return [("DEL", key)]
            raise
        return []

    return prepare


def _question(store: Store, key: str) -> Command:
    """A cheap command that only a key of the right type answers."""
    if key in {store.keys.history, store.keys.journal}:
        return ("XREVRANGE", key, "+", "-", "COUNT", 1)
    return ("GET" if key == store.keys.lock else "HLEN", key)

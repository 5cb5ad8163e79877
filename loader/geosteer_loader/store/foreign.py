"""Keys of ours under which another program left something of another type: they are read as empty."""

from __future__ import annotations

from typing import Any

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
    "session": "geosteer follow",
    "beat": "a prober or feed",
    "node": "a prober or feed",
    "verdict": "a prober or feed",
}
"""Kind of key -> who replaces what another program left there."""


def is_wrong_type(exc: BaseException) -> bool:
    """Whether it is Redis's error for a key that holds something of another type."""
    import redis

    return isinstance(exc, redis.ResponseError) and str(exc).startswith("WRONGTYPE")


def told(key: str) -> str:
    """What is wrong with a key of another type, and who repairs it."""
    kind = key.partition("}:")[2].partition(":")[0]
    repairs = f" ({_REPAIRS[kind]} replaces it)" if kind in _REPAIRS else ""
    return f"{key}: holds something that geosteer did not write{repairs}"

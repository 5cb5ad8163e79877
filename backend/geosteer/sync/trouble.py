"""Why a connection to Redis ended, as one of the few kinds that are counted."""

from __future__ import annotations

_KINDS = (
    ("no reply", "timeout"),
    ("timed out", "timeout"),
    ("resolve", "name"),
    ("no such host", "name"),
    ("closed the connection", "closed"),
    ("reset", "closed"),
    ("broken pipe", "closed"),
    ("refused", "refused"),
    ("no such file", "refused"),
    ("unreachable", "refused"),
    ("temporarily unavailable", "refused"),
    ("not what redis answers", "protocol"),
    ("noauth", "auth"),
    ("wrongpass", "auth"),
    ("noperm", "permission"),
    ("loading", "loading"),
    ("masterdown", "masterdown"),
    ("readonly", "readonly"),
    ("misconf", "readonly"),
    ("oom", "memory"),
    ("maxclients", "memory"),
    ("certificate", "tls"),
    ("tls", "tls"),
    ("ssl", "tls"),
    ("frozen", "frozen"),
)
"""Words of a reason, in lower case, and the kind; the first that matches counts."""


def kind_of(reason: str) -> str:
    """One of `REDIS_ERRORS`."""
    text = reason.lower()
    return next((kind for words, kind in _KINDS if words in text), "other")

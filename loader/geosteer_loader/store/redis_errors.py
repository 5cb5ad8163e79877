"""What Redis and the way to it answer when something is wrong, with advice."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, TypeGuard

from geosteer.errors import StoreError
from geosteer_loader.store import foreign

if TYPE_CHECKING:
    from collections.abc import Sequence

    import redis


class ConnectionLost(StoreError):  # the tree of errors names what happened
    """The connection broke or fell silent: whether the last command was carried out is not known."""


class NotPermitted(StoreError):  # the tree of errors names what happened
    """The ACL of the user that is logged in does not allow it."""

    def __init__(self, name: str, what: str, said: str) -> None:
        super().__init__(f"{name}: the ACL of this user does not allow {what or 'it'}: {said}")
        self.what = what
        """The command and its key, for example `GET {geosteer}:lock`; "": not known."""


_CLASSES: tuple[tuple[str, str], ...] = (
    ("AuthenticationError", "user name or password is missing or wrong ([redis] username, password)"),
    ("BusyLoadingError", "it is still loading its data"),
    ("OutOfMemoryError", "it has no memory left (maxmemory)"),
    ("ReadOnlyError", "it is a replica; publish to its primary"),
)
"""redis-py cuts the code off the messages of these."""

_QUOTED = re.compile(r"^Command # \d+ \(.*?\) of pipeline caused error: ", re.DOTALL)
"""A pipeline's error quotes the command, and with it a page's bytes."""

_OF_A_KEY = re.compile(r"^Command # \d+ \((\w+) (\{[^}\s]*\}:[^\s)]{1,300})")
"""A command and its key, which a pipeline's error quotes."""

_CONNECTING = re.compile(r"^Error -?\d+ connecting to .*?\. (?=\w)")
"""The address is in the URL, which is named already."""

_CONNECTION: tuple[tuple[str, str], ...] = (
    ("max number of clients", "it has no room for another client (maxclients)"),
    (
        "Connection not ready",
        "it closes new connections at once; perhaps it has no room for another client (maxclients)",
    ),
    ("certificate required", "it wants a client certificate ([redis] cert, key)"),
    ("client certificate", ""),
    ("Broken pipe", "it closed the connection; perhaps it has no room for another client (maxclients)"),
    ("reset by peer", "it closed the connection; perhaps it has no room for another client (maxclients)"),
)
"""What a connection that failed says, and what that means."""

_CODES = {
    "MISCONF": "it cannot save to its disk and refuses writes",
    "WRONGTYPE": "holds something that geosteer did not write",
    "NOREPLICAS": "too few replicas are in reach (min-replicas-to-write)",
}


def translated(name: str, exc: redis.RedisError, command: Sequence[object] = ()) -> StoreError:
    """The error of the Redis called *name* as ours: `name: what it means: what Redis said`.

    Args: command: what was sent, as far as it may be shown, where it was one; a pipeline's error says it itself.
    """
    import redis

    cause = exc.__context__
    if isinstance(exc, redis.WatchError) and cause is not None and broken(exc):
        exc = cause  # type: ignore[assignment]
    quoted = _OF_A_KEY.match(str(exc))
    message = _QUOTED.sub("", str(exc)).rstrip(".")
    words = list(quoted.groups()) if quoted else [str(word) for word in command[:2]]
    if message.startswith("WRONGTYPE") and len(words) > 1:
        return StoreError(f"{name}: {foreign.told(words[1])}: {message}")
    if isinstance(exc, redis.exceptions.NoPermissionError):
        return NotPermitted(name, " ".join(words), message)
    for kind, meaning in _CLASSES:
        if isinstance(exc, getattr(redis, kind)):
            return StoreError(f"{name}: {meaning}: {message}")
    if isinstance(exc, redis.TimeoutError):
        return ConnectionLost(f"{name}: no answer in time: {message}")
    if isinstance(exc, redis.ConnectionError):
        message = _CONNECTING.sub("cannot connect: ", message)
        meaning = next((meaning for part, meaning in _CONNECTION if part in message), "")
        return ConnectionLost(f"{name}: {meaning}: {message}" if meaning else f"{name}: {message}")
    meaning = _CODES.get(message.partition(" ")[0], "")
    return StoreError(f"{name}: {meaning}: {message}" if meaning else f"{name}: {message}")


def broken(exc: redis.WatchError) -> bool:
    """Whether redis-py says "a watched key changed" while in truth the connection broke."""
    import redis

    return isinstance(exc.__context__, redis.ConnectionError | redis.TimeoutError)


def is_redis_error(value: object) -> TypeGuard[redis.RedisError]:
    """Whether it is an error of redis-py, which need not have been imported."""
    module = sys.modules.get("redis")
    return module is not None and isinstance(value, module.RedisError)

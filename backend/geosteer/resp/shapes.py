"""The shapes that replies to each command have. No I/O.

A server that answers anything else is as good as away: its connection is given up, so that handlers need not look again.
"""

from __future__ import annotations

from geosteer.errors import BadReply

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    Command = Sequence[Any]
    Shape = Callable[[Any, Command], Any]


def _hash(reply: Any, command: Command) -> dict[bytes, bytes]:
    """Fields and values; in RESP2 they come as one list."""
    if isinstance(reply, list) and len(reply) % 2 == 0:
        _texts(reply, command)  # before any of them becomes a key
        reply = dict(zip(reply[::2], reply[1::2], strict=True))
    if not isinstance(reply, dict):
        raise _unexpected(reply, command)
    _texts(reply, command)
    _texts(reply.values(), command)
    return reply


def _values(reply: Any, command: Command) -> list[bytes | None]:
    """As many values as fields were asked for after the key, None for those that are not there."""
    if not isinstance(reply, list) or len(reply) != len(command) - 2:
        raise _unexpected(reply, command)
    for value in reply:
        _value(value, command)
    return reply


def _value(reply: Any, command: Command) -> bytes | None:
    if reply is not None and not isinstance(reply, bytes):
        raise _unexpected(reply, command)
    return reply


def _time(reply: Any, command: Command) -> list[int]:
    """Seconds since 1970 and microseconds."""
    if not isinstance(reply, list) or len(reply) != 2:
        raise _unexpected(reply, command)
    _texts(reply, command)
    for number in reply:
        if not (number.isdigit() and len(number) <= 11):
            raise _unexpected(number, command)
    return [int(number) for number in reply]


def _status(reply: Any, command: Command) -> bytes:
    """`OK`, `PONG`."""
    if not isinstance(reply, bytes):
        raise _unexpected(reply, command)
    return reply


def _greeting(reply: Any, command: Command) -> Any:
    """What the server says of itself, which nobody needs."""
    if not isinstance(reply, dict | list):
        raise _unexpected(reply, command)
    return reply


def _primary(reply: Any, command: Command) -> list[bytes] | None:
    """Host and port; None: it knows no primary of that name."""
    if reply is None:
        return None
    if not isinstance(reply, list) or len(reply) != 2:
        raise _unexpected(reply, command)
    _texts(reply, command)
    return reply


def _role(reply: Any, command: Command) -> list[Any]:
    """`master`, `slave` or `sentinel`, and more that depends on it."""
    if not isinstance(reply, list) or not reply:
        raise _unexpected(reply, command)
    _texts(reply[:1], command)
    return reply


def check_push(push: Any) -> Any:
    """A push of the form that Redis sends: a kind, and for `invalidate` a list of keys, or None for all.

    Raises: BadReply.
    """
    if not push or not isinstance(push[0], bytes):
        raise BadReply("a push without a kind")
    if push[0] == b"invalidate":
        if len(push) != 2 or not (push[1] is None or isinstance(push[1], list)):
            raise _unexpected(push, PUSH)
        _texts(push[1] or (), PUSH)
    return push


def _texts(values: Any, command: Command) -> None:
    others = set(map(type, values))
    others.discard(bytes)
    if others:
        raise BadReply(f"a reply to {command[0]} with a {others.pop().__name__} in it")


def _unexpected(reply: object, command: Command) -> BadReply:
    return BadReply(f"a {type(reply).__name__} as the reply to {command[0]}")


PUSH = ("a write",)
SHAPES: Mapping[object, Shape] = {
    "ASKING": _status,
    "CLIENT": _status,
    "HELLO": _greeting,
    "HGET": _value,
    "HGETALL": _hash,
    "HMGET": _values,
    "PING": _status,
    "ROLE": _role,
    "SELECT": _status,
    "SENTINEL": _primary,
    "TIME": _time,
}
"""For each command that is sent: the reply as its handler takes it. Raises: BadReply."""

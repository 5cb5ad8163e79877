"""Requests, and the replies and pushes (RESP3) that come for them: bytes in, replies out. No I/O.

Source: https://redis.io/docs/latest/develop/reference/protocol-spec/. The other end is not trusted: a reply's size is bounded
before the parser, which allocates what a header promises, sees it, and its shape before a handler does.
"""

from __future__ import annotations

import hiredis

from geosteer.cmodules import deque
from geosteer.errors import BadReply

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    Handler = Callable[[Any], object]
    Command = Sequence[Any]
    """Of `bytes | str | int`, the first a str."""
    Shape = Callable[[Any, Command], Any]

MOST_BYTES = 1 << 25
"""Of one reply; the largest that are needed, a configuration document or the inner pages of a large table, take some MiB."""
MOST_VALUES = 1 << 18
"""That the aggregates of one reply may announce: ten times what 10,000 nodes need."""
MOST_LINE = 1 << 16
"""Bytes of a line, for example an error."""
LENGTH = 10
"""Bytes of a text's header at most where it is read by itself: it is of less than 16 MiB."""
_MORE: Any = object()
"""What the parser returns when a reply is not whole; by default that is False, which a server can send as well."""
_LISTS = b"*>~"
_LINES = b"+-:_#,("
_INVALIDATE = b">2\r\n$10\r\ninvalidate\r\n*1\r\n"
"""How a push that names one key begins: all but a text, the key."""
_FEW = 5
"""Values that are due up to which each is looked at by itself."""
_SHORT = 255
"""Bytes of a text up to which many are looked at together."""
_USUAL = 128
"""Bytes of a text and its header, on average, up to which all of them are looked at together: a turn has many replies."""
_PIECES = 256
"""Of a hash that is read by itself: its header, two for each field and value, an empty one."""
_HEADERS = {size: b"$%d" % size for size in range(_SHORT + 1)}


class Framing:
    """Goes from header to header ahead of the parser, and refuses a reply that is too large."""

    __slots__ = ("_announced", "_content", "_due", "_rest", "_taken")

    def __init__(self) -> None:
        self._rest = b""
        """A header that is not whole yet."""
        self._content = 0
        """Bytes of a text that are still to come."""
        self._due = 1
        """Values that are still to come before the reply is whole."""
        self._announced = 0
        """Values that this reply's aggregates have announced."""
        self._taken = 0
        """Bytes of this reply that were passed on."""

    def pass_on(self, data: bytes) -> bytes:
        """What of the bytes that came can go to the parser now.

        Raises: BadReply: the reply is too large. ValueError: not the protocol.
        """
        if self._rest:
            data = self._rest + data
            self._rest = b""
        size, at, due, begin = len(data), self._content, self._due, -self._taken
        find, skip = data.find, True
        while at < size:
            end = find(b"\r\n", at, at + MOST_LINE)
            if end < 0:
                if size - at >= MOST_LINE:
                    raise BadReply(f"a line of more than {MOST_LINE} bytes")
                self._rest = data[at:]
                data, size = data[:at], at
                break
            kind = data[at]
            if kind == 36 or kind == 61:  # $ and =, a text  # noqa: PLR1714  # quicker than a set
                length = int(data[at + 1 : end])
                at = end + 4 + length if length >= 0 else end + 2
                if at - begin > MOST_BYTES:
                    raise BadReply(f"a reply of more than {MOST_BYTES >> 20} MiB")
                due -= 1
                if length <= _SHORT and skip and due > _FEW:
                    skip = False
                    texts, at = _short_texts(data, at, due)
                    due -= texts
            elif kind in _LINES:
                at = end + 2
                due -= 1
            elif kind == 62 and data.startswith(_INVALIDATE, at):
                at += len(_INVALIDATE)  # one value, its text, is due instead
            else:
                skip = due == 1
                due += self._members(kind, int(data[at + 1 : end])) - 1
                at = end + 2
            if not due:
                due, begin, self._announced = 1, at, 0
        self._content, self._due, self._taken = at - size, due, size - begin
        if self._taken > MOST_BYTES:
            raise BadReply(f"a reply of more than {MOST_BYTES >> 20} MiB")
        return data

    @property
    def at_rest(self) -> bool:
        """Whether a reply begins with what comes next."""
        return self._due == 1 and not self._content and not self._rest

    def _members(self, kind: int, count: int) -> int:
        """How many values belong to an aggregate whose header says *count*."""
        if kind == 37:  # %, a map: keys and values
            count *= 2
        elif kind not in _LISTS:
            raise BadReply(f"a value of unknown type {chr(kind)!r}")
        self._announced += count
        if self._announced > MOST_VALUES:
            raise BadReply(f"a reply of more than {MOST_VALUES} values")
        return max(count, 0)


def _short_texts(data: bytes, at: int, due: int) -> tuple[int, int]:
    """Steps over short texts that follow one another, as in a hash, many with a few calls.

    Returns: how many whole ones there are, at most *due*, and where they end; none where one of them is long or holds a line
    end.
    """
    part = data[at : at + _USUAL * due]
    pieces = part.split(b"\r\n", 2 * due)
    count = (len(pieces) - 1) >> 1  # the last piece is not known to be whole
    if not count or pieces[: 2 * count : 2] != [*map(_HEADERS.get, map(len, pieces[1 : 2 * count : 2]))]:
        return 0, at
    return count, at + len(part) - len(b"\r\n".join(pieces[2 * count :]))


class Conversation:
    """Requests and replies in order, and pushes between them."""

    __slots__ = ("_framing", "_on_push", "_reader", "ended", "out", "waiting")

    def __init__(self, on_push: Handler) -> None:
        self._framing = Framing()
        self._reader = hiredis.Reader(notEnoughData=_MORE)
        self._on_push = on_push
        self.out = bytearray()
        """Bytes to be sent."""
        self.waiting: deque[tuple[Handler, float, Command]] = deque()
        """For each request without a reply: what takes it, when it was sent, and what was asked."""
        self.ended = False
        """Given up: what comes now is not for anybody."""

    def ask(self, command: Command, handler: Handler, now: float) -> None:
        """Queue a request.

        Args: handler: takes the reply: an error as a `hiredis.ReplyError` object, else of the shape that `SHAPES` has for it.
        """
        self.out += hiredis.pack_command(tuple(command))
        self.waiting.append((handler, now, command))

    @property
    def at_rest(self) -> bool:
        """Whether nothing is under way: no request, no reply of which a part came."""
        return not self.waiting and not self.out and self._framing.at_rest

    def expect(self, command: Command, handler: Handler, now: float) -> None:
        """As `ask`, for a request that was sent already."""
        self.waiting.append((handler, now, command))

    def feed(self, data: bytes) -> None:
        """Take in what came, and hand out every whole reply and push.

        Raises: Exception: these are no replies, or a handler failed on one; the conversation is of no use any more.
        """
        if data.startswith((b">", b"%")) and self._framing.at_rest and self._take_quickly(data):
            return
        reader = self._reader
        reader.feed(self._framing.pass_on(data))
        while not self.ended and (reply := reader.gets()) is not _MORE:
            if isinstance(reply, hiredis.PushNotification):
                self._on_push(check_push(reply))
            elif self.waiting:
                handler, _, command = self.waiting.popleft()
                if not isinstance(reply, hiredis.ReplyError):
                    reply = SHAPES[command[0]](reply, command)
                handler(reply)
            else:
                raise BadReply("a reply without a request")

    def _take_quickly(self, data: bytes) -> bool:
        """Hand out what came where that is one push of a key or one small hash, as by far the most often; else do nothing.

        A change of a node's state reaches all workers of a host at once, and its time is what each takes to hear of it.
        """
        waiting = self.waiting
        if self.ended:
            return False
        if data[0] == 62:  # >, a push
            key = _key_of(data)
            if key is not None:
                self._on_push([b"invalidate", [key]])
            return key is not None
        if not waiting or waiting[0][2][0] != "HGETALL":
            return False
        fields = _hash_of(data)
        if fields is not None:
            waiting.popleft()[0](fields)
        return fields is not None


def _key_of(data: bytes) -> bytes | None:
    """The key of a push that names one, where that is what came, whole, and nothing else; else None."""
    if not data.startswith(_INVALIDATE):
        return None
    pieces = data[len(_INVALIDATE) :].split(b"\r\n", 2)
    if len(pieces) != 3 or pieces[2] or pieces[0] != _HEADERS.get(len(pieces[1])):
        return None
    return pieces[1]


def _hash_of(data: bytes) -> dict[str, str] | None:
    """As `_hash`, where a hash of short texts is what came, whole, and nothing else; else None."""
    header, *pieces = data.split(b"\r\n", _PIECES)
    if not pieces or pieces.pop() or len(pieces) & 3:  # not whole, or a text of the next reply came with it
        return None
    texts = pieces[1::2]
    if header != b"%%%d" % (len(texts) >> 1) or pieces[::2] != [*map(_HEADERS.get, map(len, texts))]:
        return None
    words = [text.decode("utf-8", "replace") for text in texts]
    return dict(zip(words[::2], words[1::2], strict=True))


def texts_of(data: bytes, count: int) -> list[bytes] | None:
    """So many texts, where they are what came, whole, and nothing else; else None.

    By itself what `Conversation.feed` does with all that can come: for pages that a question waits for.
    """
    texts, at = [], 0
    for _ in range(count):
        end = data.find(b"\r\n", at, at + LENGTH)
        size = data[at + 1 : end]
        if end < 0 or data[at] != 36 or not size.isdigit() or (size[0] == 48 and size != b"0"):  # $; 01
            return None
        begin = end + 2
        at = begin + int(size)
        texts.append(data[begin:at])
        if data[at : at + 2] != b"\r\n":
            return None
        at += 2
    return texts if at == len(data) else None


def _hash(reply: Any, command: Command) -> dict[str, str]:
    """Fields and values as text; in RESP2 they come as one list. What is not UTF-8 is marked, since it can match nothing."""
    if isinstance(reply, list) and len(reply) % 2 == 0:
        _texts(reply, command)  # before any of them becomes a key
        reply = dict(zip(reply[::2], reply[1::2], strict=True))
    if not isinstance(reply, dict):
        raise _unexpected(reply, command)
    _texts(reply, command)
    _texts(reply.values(), command)
    return {key.decode("utf-8", "replace"): value.decode("utf-8", "replace") for key, value in reply.items()}


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


def _time(reply: Any, command: Command) -> list[bytes]:
    """Seconds since 1970 and microseconds, in digits."""
    if not isinstance(reply, list) or len(reply) != 2:
        raise _unexpected(reply, command)
    _texts(reply, command)
    for number in reply:
        if not (number.isdigit() and len(number) <= 11):
            raise _unexpected(number, command)
    return reply


def _status(reply: Any, command: Command) -> bytes:
    """`OK`, `PONG`."""
    if not isinstance(reply, bytes):
        raise _unexpected(reply, command)
    return reply


def _greeting(reply: Any, command: Command) -> Any:
    """The server's description of itself, which is not used."""
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

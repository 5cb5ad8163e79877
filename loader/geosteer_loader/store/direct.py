"""A plain connection to Redis for the few commands that a short command of an operator sends.

redis-py takes longer to import than such a command takes in all. What is out of the ordinary (an error, a reply of another
shape) is left to it: it asks again, and says what is wrong.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import hiredis

from geosteer.cmodules import socket
from geosteer.errors import BadReply
from geosteer.resp.conversation import Framing
from geosteer.resp.url import Address

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from geosteer_loader.config.redis import RedisSettings
    from geosteer_loader.store.store import Command

_CHUNK = 1 << 16
_MORE: Any = object()
_BROKEN = (OSError, BadReply, ValueError, TypeError, hiredis.HiredisError)


class Unusable(Exception):  # not an error: redis-py is asked
    """The reply is an error or of another shape, or there is no connection. What was asked may have been done."""


def reaches(settings: RedisSettings) -> bool:
    """Whether the settings name one server by an address or a path. Raises: ValueError: an invalid URL."""
    return Address(settings.url).scheme in {"unix", "redis", "rediss"}


class Direct:
    """A connection, opened when it is first used."""

    def __init__(self, settings: RedisSettings) -> None:
        self._settings = settings
        self._socket: Any = None
        self._reader: Any = None
        self._framing = Framing()

    def ask(self, commands: Sequence[Command]) -> list[Any]:
        """The replies to several commands sent at once, as redis-py shapes them.

        Raises: Unusable. TimeoutError: no reply in time.
        """
        try:
            if self._socket is None:
                self._open()
            return self._exchange(commands)
        except TimeoutError:
            self.close()
            raise
        except _BROKEN as exc:
            raise Unusable from exc

    def queue(self, commands: Sequence[Command]) -> None:
        """Begin a transaction of these commands. Raises: Unusable: one is refused, so that none will be run. TimeoutError."""
        try:
            self._send(b"".join(map(_packed, (("MULTI",), *commands))))
            replies = [self._reply() for _ in range(len(commands) + 1)]
        except TimeoutError:
            self.close()
            raise
        except _BROKEN as exc:
            raise Unusable from exc
        if any(reply != b"QUEUED" for reply in replies[1:]):
            raise Unusable

    def execute(self) -> list[Any] | None:
        """Run what was queued; the replies, errors among them as objects; None: a watched key has changed, nothing was done.

        Raises: Unusable: nothing was done. OSError: the connection broke or fell silent; it may have been done.
        """
        try:
            self._send(_packed(("EXEC",)))
            replies = self._reply()
        except TimeoutError:
            self.close()
            raise
        except _BROKEN as exc:
            raise OSError("the connection broke") from exc
        if replies is not None and not isinstance(replies, list):
            raise Unusable
        return replies

    def close(self) -> None:
        """Close the connection; the next command would open it again."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _open(self) -> None:
        settings = self._settings
        address = Address(settings.url)
        ((host, port),) = address.places
        place: Any = host
        if address.scheme == "unix":
            family = socket.AF_UNIX
        else:
            family, _, _, _, place = socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)[0]
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        self._socket.settimeout(settings.timeout)
        self._socket.connect(place)
        if address.tls:
            self._socket = _encrypted(self._socket, host, settings)
        self._reader = hiredis.Reader(notEnoughData=_MORE)
        self._framing = Framing()
        first: list[Command] = []
        if settings.password is not None:
            user = () if settings.username is None else (settings.username,)
            first.append(("AUTH", *user, settings.password))
        if address.database:
            first.append(("SELECT", address.database))
        if first:
            self._exchange(first)

    def _exchange(self, commands: Sequence[Command]) -> list[Any]:
        self._send(b"".join(map(_packed, commands)))
        return [_shaped(command, self._reply()) for command in commands]

    def _send(self, data: bytes) -> None:
        while data:
            data = data[self._socket.send(data) :]

    def _reply(self) -> Any:
        while (reply := self._reader.gets()) is _MORE:
            data = self._socket.recv(_CHUNK)
            if not data:
                raise OSError("the connection was closed")
            self._reader.feed(self._framing.pass_on(data))
        return reply


def _encrypted(plain: Any, host: str, settings: RedisSettings) -> Any:
    """The connection with TLS, after the handshake. Raises: OSError: it failed, or a certificate cannot be used."""
    from socket import socket as tls_ready  # the ssl module wraps no plainer one

    from geosteer.resp.tls import client_context

    paths = {"ca": settings.ca, "cert": settings.cert, "key": settings.key}
    files = {name: str(path) for name, path in paths.items() if path is not None}
    if settings.tls_strict:
        files["tls_strict"] = "yes"
    context = client_context(files)
    opened = tls_ready(fileno=plain.detach())
    try:
        opened.settimeout(settings.timeout)
        return context.wrap_socket(opened, server_hostname=host)
    except BaseException:
        opened.close()
        raise


def _packed(command: Command) -> bytes:
    packed: bytes = hiredis.pack_command(command)  # type: ignore[arg-type]
    return packed


def _shaped(command: Command, reply: Any) -> Any:
    """Raises: Unusable: an error."""
    if isinstance(reply, hiredis.ReplyError):
        raise Unusable
    return SHAPES[str(command[0])](reply)


def _pairs(reply: list[bytes]) -> dict[bytes, bytes]:
    return dict(zip(reply[::2], reply[1::2], strict=True))


def _entries(reply: list[Any]) -> list[tuple[bytes, dict[bytes, bytes]]]:
    return [(id_, _pairs(fields)) for id_, fields in reply]


def _information(reply: bytes) -> dict[str, str]:
    lines = (line.partition(":") for line in reply.decode(errors="replace").splitlines())
    return {name: value for name, colon, value in lines if colon}


def _as_it_is(reply: Any) -> Any:
    return reply


SHAPES: dict[str, Callable[[Any], Any]] = {
    "HGETALL": _pairs,
    "XRANGE": _entries,
    "XREVRANGE": _entries,
    "HEXISTS": bool,
    "INFO": _information,
    **dict.fromkeys(
        (
            "AUTH",
            "SELECT",
            "GET",
            "HGET",
            "HMGET",
            "HLEN",
            "TIME",
            "HELLO",
            "XINFO",
            "WATCH",
            "UNWATCH",
            "CLIENT",
        ),
        _as_it_is,
    ),
}
"""Commands that may be sent -> what redis-py makes of the reply."""

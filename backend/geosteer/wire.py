"""The lean RESP3 connection to Redis: the protocol half (bytes in, replies out), and the non-blocking socket below it."""

from __future__ import annotations

import hiredis

from geosteer.lean import EAGAIN, EINPROGRESS, EINTR, deque, socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    Handler = Callable[[Any], object]
    Command = Sequence[bytes | str | int]

SILENCE = 0.5
"""Seconds without a word from Redis after which it is asked for a PING."""
GONE = 1.0
"""Seconds without a reply after which the connection is given up."""
CHUNK = 1 << 18
DEFAULT_PORT = 6379


class Conversation:
    """Requests and replies in order, and pushes between them (RESP3). No I/O."""

    __slots__ = ("_on_push", "_reader", "ended", "out", "waiting")

    def __init__(self, on_push: Handler) -> None:
        self._reader = hiredis.Reader()
        self._on_push = on_push
        self.out = bytearray()
        """Bytes to be sent."""
        self.waiting: deque[tuple[Handler, float]] = deque()
        """For each request without a reply: what takes it, and when it was sent."""
        self.ended = False
        """Given up: what comes now is nobody's."""

    def ask(self, command: Command, handler: Handler, now: float) -> None:
        """Queue a request; *handler* takes its reply, an error as a `hiredis.ReplyError` object."""
        self.out += hiredis.pack_command(tuple(command))  # type: ignore[arg-type]
        self.waiting.append((handler, now))

    def feed(self, data: bytes) -> None:
        """Take in what came, and hand out every whole reply and push.

        Raises: hiredis.ProtocolError, ValueError: these are no replies.
        """
        reader = self._reader
        reader.feed(data)
        while not self.ended and (reply := reader.gets()) is not False:
            if isinstance(reply, hiredis.PushNotification):
                self._on_push(reply)
            elif self.waiting:
                self.waiting.popleft()[0](reply)
            else:
                raise ValueError("a reply that nobody asked for")


class Address:
    """Where Redis is, from its URL: `unix:///path`, `redis://[user[:password]@]host[:port][/db]`."""

    __slots__ = ("database", "host", "password", "path", "port", "tls", "username")

    def __init__(self, url: str) -> None:
        """Raises: ValueError: no such URL."""
        scheme, separator, rest = url.partition("://")
        if not separator or scheme not in {"unix", "redis", "rediss"}:
            raise ValueError(f"no Redis URL that a worker understands: {scheme}://")
        self.tls = scheme == "rediss"
        rest, _, query = rest.partition("?")
        self.database = 0
        for item in query.split("&"):
            if item.startswith("db="):
                self.database = int(item[3:])
        login, at, rest = rest.rpartition("@")
        user, _, password = login.partition(":")
        self.username, self.password = (_unquote(user), _unquote(password)) if at else ("", "")
        self.path, self.host, self.port = "", "", 0
        if scheme == "unix":
            self.path = _unquote(rest)
            return
        rest, _, database = rest.partition("/")
        self.database = int(database or self.database)
        if rest.startswith("["):
            self.host, _, port = rest[1:].partition("]")
            port = port.removeprefix(":")
        else:
            self.host, _, port = rest.partition(":")
        self.host = self.host or "localhost"
        self.port = int(port or DEFAULT_PORT)

    def __str__(self) -> str:
        """Without the password."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"unix://{self.path}" if self.path else f"redis{'s' if self.tls else ''}://{host}:{self.port}"


class Link:
    """One connection, never waited for.

    `up` after the connection stands, not before; whether Redis is *live* is the tier's to say.
    """

    __slots__ = (
        "_address", "_clock", "_conversation", "_heard", "_on_closed", "_on_open", "_on_push", "_resolved", "_socket",
        "_tls", "timeout", "up",
    )  # fmt: skip

    def __init__(
        self, address: Address, timeout: float, clock: Callable[[], float], on_open: Callable[[], None],
        on_push: Handler, on_closed: Callable[[str], None], tls: dict[str, str] | None = None,
    ) -> None:  # fmt: skip
        self._address = address
        self.timeout = timeout
        """Seconds after which an unanswered request makes the link suspect."""
        self._clock = clock
        self._on_open = on_open
        self._on_push = on_push
        self._on_closed = on_closed
        self._tls = tls or {}
        self._socket: Any = None
        self._conversation = Conversation(on_push)
        self._heard = 0.0
        self._resolved: _Lookup | None = None
        self.up = False

    @property
    def fd(self) -> int:
        """What to poll, or -1."""
        if self._resolved is not None:
            return self._resolved.fd
        return self._socket.fileno() if self._socket is not None else -1

    @property
    def wants_write(self) -> bool:
        """Whether to poll for room to write as well."""
        return self._socket is not None and (not self.up or bool(self._conversation.out))

    @property
    def outstanding(self) -> int:
        """Requests without a reply."""
        return len(self._conversation.waiting)

    def connect(self) -> None:
        """Begin; `on_open` queues the first requests, `on_closed` hears of a failure."""
        address = self._address
        self._heard = self._clock()
        if address.path:
            self._begin(socket.AF_UNIX, address.path)
        elif address.host[:1].isdigit() or ":" in address.host:
            family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
            self._begin(family, (address.host, address.port))
        else:
            self._resolved = _Lookup(address.host, address.port)

    def _begin(self, family: int, where: Any) -> None:
        self._conversation = Conversation(self._on_push)
        self.up = False
        try:
            self._socket = self._make(family)
            self._socket.setblocking(False)
            self._socket.connect(where)
        except OSError as exc:
            if (
                exc.errno != EINPROGRESS
            ):  # EAGAIN too: the backlog of a unix socket is full, nothing was begun
                self.close(_reason(exc))
                return
        self._on_open()  # its requests wait in the buffer, and leave in one write
        if self._socket is not None:
            self.writable()

    def _make(self, family: int) -> Any:
        if not self._address.tls:
            made = socket.socket(family, socket.SOCK_STREAM)
            if family != socket.AF_UNIX:
                made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return made
        from geosteer.tls import client_socket

        return client_socket(family, self._address.host, self._tls)

    def ask(self, command: Command, handler: Handler) -> None:
        """Queue a request; `writable` sends it."""
        self._conversation.ask(command, handler, self._clock())

    def writable(self) -> None:
        """Send what is queued, as far as it goes."""
        if self._socket is None:
            return
        try:
            if not self.up:
                error = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if error:
                    self.close(_reason(OSError(error, "")))
                    return
            out = self._conversation.out
            if out:
                del out[: self._socket.send(out)]
            self.up = True
        except (BlockingIOError, InterruptedError):
            return
        except OSError as exc:
            if exc.errno != _ENOTCONN:  # the connection is still being made
                self.close(_reason(exc))

    def readable(self) -> None:
        """Take in what came; replies and pushes go to their handlers."""
        if self._resolved is not None:
            self._after_lookup()
            return
        if self._socket is None:
            return
        if not self.up:
            self.writable()
        while self._socket is not None:
            try:
                data = self._socket.recv(CHUNK)
            except (BlockingIOError, InterruptedError):
                return
            except OSError as exc:
                if exc.errno not in {EAGAIN, EINTR, _ENOTCONN}:
                    self.close(_reason(exc))
                return
            if not data:
                self.close("Redis closed the connection")
                return
            self._heard = self._clock()
            conversation = self._conversation
            try:
                conversation.feed(data)
            except (hiredis.ProtocolError, ValueError) as exc:
                self.close(f"not the Redis protocol: {exc}")
                return
            if len(data) < CHUNK:
                break
        if self._conversation.out:
            self.writable()

    def _after_lookup(self) -> None:
        found, self._resolved = self._resolved, None
        assert found is not None
        result = found.result()
        if result is None:
            self.close(f"{self._address.host}: no such host")
        else:
            self._begin(*result)

    def suspect_at(self) -> float | None:
        """When the link becomes suspect: its oldest request is *timeout* old; None without requests."""
        waiting = self._conversation.waiting
        return waiting[0][1] + self.timeout if waiting else None

    def suspect(self, now: float) -> bool:
        """Whether a reply is overdue."""
        at = self.suspect_at()
        return at is not None and now >= at

    def tick(self, now: float) -> float:
        """Do what time asks for; returns when to be called again."""
        if self._socket is None and self._resolved is None:
            return now + GONE
        waiting = self._conversation.waiting
        since = waiting[0][1] if waiting else self._heard
        if (waiting or not self.up) and now - max(since, 0.0) >= GONE:
            self.close("no reply for a second")
            return now
        if waiting or not self.up:
            return since + GONE
        if now - self._heard >= SILENCE:
            self.ask(("PING",), _ignore)
            self.writable()
            return now + GONE
        return self._heard + SILENCE

    def close(self, reason: str) -> None:
        """Give the connection up; requests without a reply are forgotten."""
        if self._socket is not None:
            try:
                self._socket.close()
            except OSError:
                pass
            self._socket = None
        if self._resolved is not None:
            self._resolved.drop()
            self._resolved = None
        self.up = False
        self._conversation.ended = True
        self._conversation = Conversation(self._on_push)
        self._on_closed(reason)


class _Lookup:
    """A host name being resolved in a thread of its own, since the system's resolver blocks."""

    __slots__ = ("_ends", "_found", "fd")

    def __init__(self, host: str, port: int) -> None:
        import _thread
        import os

        self.fd, end = os.pipe()
        self._found: list[Any] = []
        found = self._found

        def run() -> None:
            try:
                found.extend(socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM))
            except OSError:
                pass
            finally:
                os.close(end)

        _thread.start_new_thread(run, ())

    def result(self) -> tuple[int, Any] | None:
        self.drop()
        return (self._found[0][0], self._found[0][4]) if self._found else None

    def drop(self) -> None:
        import os

        os.close(self.fd)


_ENOTCONN = 107


def _ignore(_: object) -> None:
    """A PING's reply has done its work by coming."""


def _reason(exc: OSError) -> str:
    import os

    return os.strerror(exc.errno).lower() if exc.errno else str(exc)


def _unquote(text: str) -> str:
    head, *parts = text.split("%")
    return head + "".join([chr(int(part[:2], 16)) + part[2:] for part in parts])

"""The lean RESP3 connection to Redis: the protocol half (bytes in, replies out), and the non-blocking socket below it."""

from __future__ import annotations

from errno import EAGAIN, EINPROGRESS, EINTR, ENOTCONN

import hiredis

from geosteer.cmodules import deque, pack_address, socket
from geosteer.resp.url import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from geosteer.resp.resolver import Lookup
    from geosteer.resp.tls import Tunnel
    from geosteer.resp.url import Address, Place

    Handler = Callable[[Any], object]
    Command = Sequence[bytes | str | int]

SILENCE = 0.5
"""Seconds without a word from Redis after which it is asked for a PING."""
GONE = 1.0
"""Seconds without a reply after which the connection is given up."""
RESOLVED = 10.0
"""Seconds that a host name may take to be resolved."""
CHUNK = 1 << 14
"""Bytes read at once: some pages; more would be allocated anew for each reply, from the system."""


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


class Link:
    """One connection to one place after another until one stands, never waited for.

    `up` after the connection stands, not before; whether Redis is *live* is the tier's to say.
    """

    __slots__ = (
        "_address", "_clock", "_connected", "_context", "_conversation", "_entered", "_files", "_greet", "_heard", "_left",
        "_lookup", "_on_closed", "_on_open", "_on_push", "_opened", "_place", "_socket", "_tunnel", "timeout",
    )  # fmt: skip

    def __init__(
        self, address: Address, timeout: float, clock: Callable[[], float], greet: Callable[[Link], None],
        on_open: Callable[[], None], on_push: Handler, on_closed: Callable[[str], None],
        tls: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        """Make a link that has not begun to connect.

        Args:
            greet: queues what a server wants to hear first, on the link that it is given.
            on_open: queues the first requests.
            on_push, on_closed: take a push, and why the connection was given up.
            tls: paths of certificates, as `tls.client_context` takes them.
        """
        self._address = address
        self.timeout = timeout
        """Seconds after which an unanswered request makes the link suspect."""
        self._clock = clock
        self._greet, self._on_open, self._on_push, self._on_closed = greet, on_open, on_push, on_closed
        self._files = tls or {}
        self._context: ssl.SSLContext | None = None
        self._conversation = Conversation(on_push)
        self._heard = 0.0
        self._place: Place = address.places[0]
        self._left: list[Place] = []
        self._opened: Callable[[], None] = self._enter
        self._lookup: Lookup | None = None
        self._socket: Any = None
        self._tunnel: Tunnel | None = None
        self._connected = False
        self._entered = False

    @property
    def up(self) -> bool:
        """Whether the connection stands, and its other end is the server that was looked for."""
        return self._connected and self._entered

    @property
    def place(self) -> Place:
        """Where it connects to, or has connected to."""
        return self._place

    @property
    def several(self) -> bool:
        """Whether another connection may lead to another server."""
        return len(self._address.places) > 1

    @property
    def fd(self) -> int:
        """What to poll, or -1."""
        if self._lookup is not None:
            return self._lookup.fd
        return self._socket.fileno() if self._socket is not None else -1

    @property
    def wants_write(self) -> bool:
        """Whether to poll for room to write as well."""
        if self._socket is None:
            return False
        out = self._conversation.out if self._tunnel is None else self._tunnel.sealed
        return not self._connected or bool(out)

    @property
    def outstanding(self) -> int:
        """Requests without a reply."""
        return len(self._conversation.waiting)

    def connect(self) -> None:
        """Begin; `on_closed` hears of a failure."""
        self._dial(self._address.places, self._enter)

    def ask(self, command: Command, handler: Handler) -> None:
        """Queue a request; `writable` sends it."""
        self._conversation.ask(command, handler, self._clock())

    def writable(self) -> None:
        """Send what is queued, as far as it goes."""
        if self._socket is None:
            return
        try:
            if not self._connected:
                error = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if error:
                    raise OSError(error, "")
            out = self._conversation.out
            if self._tunnel is not None:
                out = self._tunnel.seal(out)
            if out:
                del out[: self._socket.send(out)]
            self._connected = True
        except (BlockingIOError, InterruptedError):
            return
        except OSError as exc:
            if exc.errno != ENOTCONN:  # the connection is still being made
                self._failed(exc)

    def readable(self) -> None:
        """Take in what came; replies and pushes go to their handlers."""
        if self._lookup is not None:
            self._after_lookup()
            return
        if self._socket is not None and not self._connected:
            self.writable()
        while self._socket is not None:
            conversation = self._conversation
            try:
                data = self._socket.recv(CHUNK)
                if not data:
                    raise OSError("Redis closed the connection")
                whole = len(data) < CHUNK
                self._heard = self._clock()
                if self._tunnel is not None:
                    data = self._tunnel.open(data)
                if data:
                    conversation.feed(data)
            except (BlockingIOError, InterruptedError):
                return
            except OSError as exc:
                if exc.errno not in {EAGAIN, EINTR, ENOTCONN}:
                    self._failed(exc)
                return
            except (hiredis.ProtocolError, ValueError) as exc:
                self.close(f"not the Redis protocol: {exc}")
                return
            if whole or conversation.ended:
                break
        if self._connected and (self._conversation.out or self.wants_write):
            self.writable()

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
        if self._lookup is not None:
            if now - self._heard < RESOLVED:
                return self._heard + RESOLVED
            self._failed(OSError(f"{self._place[0]}: its address was not found in time"))
            return now
        if self._socket is None:
            return now + GONE
        waiting = self._conversation.waiting
        if waiting or not self._connected:
            since = waiting[0][1] if waiting else self._heard
            if now - since < GONE:
                return since + GONE
            self._failed(OSError("no reply for a second"))
            return now
        if now - self._heard >= SILENCE:
            self.ask(("PING",), ignore)
            self.writable()
            return now + GONE
        return self._heard + SILENCE

    def close(self, reason: str) -> None:
        """Give the connection up; requests without a reply are forgotten."""
        place, places = self._place, self._address.places
        self._left = []
        self._hang_up()
        self._on_closed(reason if places == [place] else f"{shown(place)}: {reason}")

    def leave(self, reason: str) -> None:
        """Give the connection up for one to another server, where there are several."""
        self.close(reason)

    # ------------------------------------------------------------------ for the links that look for their server

    def _enter(self) -> None:
        """The other end is the server that was looked for: greet it and begin."""
        self._entered = True
        self._greet(self)
        self._verify()
        self._on_open()

    def _verify(self) -> None:
        """Ask a server that was greeted whether it is the one."""

    def _dial(self, places: Sequence[Place], opened: Callable[[], None]) -> None:
        """Connect to the first of *places* that can be had, and queue there what *opened* queues."""
        self._left = list(places)
        self._opened = opened
        self._go_on("nowhere to connect to")

    def _go_on(self, reason: str) -> None:
        """Try the next place, or give up for *reason* when there is none."""
        self._hang_up()
        while self._left:
            self._place = self._left.pop(0)
            self._heard = self._clock()
            try:
                if not self._begin(*self._place):
                    return
            except OSError as exc:
                reason = _reason(exc)
                self._hang_up()
                continue
            self._opened()  # its requests wait in the buffer, and leave in one write
            self.writable()
            return
        self.close(reason)

    def _begin(self, host: str, port: int) -> bool:
        """Begin to connect; whether it has come that far, or the name has to be resolved first. Raises: OSError."""
        family, where = (_family(host), (host, port)) if port else (socket.AF_UNIX, host)
        if family is None:
            from geosteer.resp.resolver import Lookup

            self._lookup = Lookup(host, port)
            return False
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        self._socket.setblocking(False)
        if port:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self._socket.connect(where)
        except OSError as exc:
            # EAGAIN too is a failure: the backlog of a unix socket is full, nothing was begun
            if exc.errno != EINPROGRESS:
                raise
        if self._address.tls:
            from geosteer.resp.tls import Tunnel, client_context

            if self._context is None:
                self._context = client_context(self._files)
            self._tunnel = Tunnel(self._context, self._address.places[0][0])
        return True

    def _after_lookup(self) -> None:
        lookup = self._lookup
        assert lookup is not None
        if not lookup.done:
            return
        found, self._lookup = lookup.result(), None
        self._left[:0] = found
        self._go_on(f"{self._place[0]}: no such host")

    def _failed(self, exc: OSError) -> None:
        """There is another place to try as long as the one that was looked for was not found."""
        self._context = None  # the certificates may have been replaced meanwhile
        if self.up:
            self.close(_reason(exc))
        else:
            self._go_on(_reason(exc))

    def _hang_up(self) -> None:
        if self._socket is not None:
            try:
                self._socket.close()
            except OSError:
                pass
            self._socket = None
        if self._lookup is not None:
            self._lookup.drop()
            self._lookup = None
        self._tunnel = None
        self._connected = self._entered = False
        self._conversation.ended = True
        self._conversation = Conversation(self._on_push)


def ignore(_: object) -> None:
    """What takes a reply that has done its work by coming."""


def _family(host: str) -> int | None:
    """Of an address; None of a name."""
    if ":" in host:
        return socket.AF_INET6
    try:
        pack_address(host)
    except ValueError:
        return None
    return socket.AF_INET


def _reason(exc: OSError) -> str:
    import os

    return os.strerror(exc.errno).lower() if exc.errno else str(exc)

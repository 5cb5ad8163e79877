"""The link to Redis: a conversation on one channel after another, given up when the other end fails or falls silent."""

from __future__ import annotations

from select import POLLIN, POLLOUT

from hiredis import ProtocolError, ReplyError

from geosteer.errors import BadReply
from geosteer.resp.channel import CHUNK, Dialer, reason_of
from geosteer.resp.conversation import Conversation, texts_of
from geosteer.resp.url import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from geosteer.resp.channel import Channel
    from geosteer.resp.conversation import Command, Handler
    from geosteer.resp.url import Address, Place

SILENCE = 0.5
"""Seconds of silence after which Redis is sent a PING."""
GONE = 1.0
"""Seconds without a reply after which the connection is given up."""
PATIENCE = 10.0
"""Seconds that one reply may take, as long as more of it arrives, while there is nothing else to answer from."""
RESOLVED = 10.0
"""Seconds that a host name may take to be resolved."""
LONGEST = 60.0
"""Seconds of one poll at most, whatever a question may take."""
TURN = 4
"""Reads from Redis before a question that waits has its turn: a server that never stops must not keep answers back."""
REASON = 200
"""Characters of a reason that go to the log."""

exchange_quickly: Callable[[int, bytes, int, float], list[bytes] | bytes | int] | None = None
"""What sends a request and has its texts, or what came instead, where a program has loaded what is in C; a number of bytes
where not more could be sent."""


class Link:
    """One connection to one place after another until one stands, never waited for.

    `up` once the connection is established; whether Redis is *live* is the tier's decision.
    """

    __slots__ = (
        "_address", "_channel", "_clock", "_conversation", "_dialer", "_entered", "_greet", "_heard", "_on_closed", "_on_open",
        "_on_push", "_opened", "_replied", "patient", "timeout",
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
        self.patient = True
        """Bytes that arrive count as life, whole reply or not: there is much to read, and nothing else to answer from."""
        self._clock = clock
        self._greet, self._on_open, self._on_push, self._on_closed = greet, on_open, on_push, on_closed
        first = address.places[0]
        self._dialer = Dialer(first, first[0] if address.tls else "", tls or {})
        self._channel: Channel | None = None
        self._conversation = Conversation(on_push)
        self._heard = 0.0
        self._replied = 0.0
        """When the last reply was whole."""
        self._opened: Callable[[], None] = self._enter
        self._entered = False

    @property
    def up(self) -> bool:
        """Whether the connection stands, and its other end is the server that was looked for."""
        return self._entered and self._channel is not None and self._channel.connected

    @property
    def place(self) -> Place:
        """Where it connects to, or has connected to."""
        return self._dialer.place

    @property
    def several(self) -> bool:
        """Whether another connection may lead to another server."""
        return len(self._address.places) > 1

    @property
    def fd(self) -> int:
        """What to poll, or -1."""
        if self._channel is not None:
            return self._channel.fd
        lookup = self._dialer.lookup
        return lookup.fd if lookup is not None else -1

    @property
    def resolving(self) -> bool:
        """Whether the name of the server is still being looked up."""
        return self._channel is None and self._dialer.lookup is not None

    @property
    def answered(self) -> bool:
        """Whether a whole reply has come, on this connection or an earlier one."""
        return self._replied > 0

    def poll_mask(self) -> tuple[int, int]:
        """What to poll, or -1, and for what."""
        channel = self._channel
        if channel is None:
            return self.fd, POLLIN
        return channel.fd, POLLIN | POLLOUT if channel.wants_write(self._conversation.out) else POLLIN

    @property
    def wants_write(self) -> bool:
        """Whether to poll for room to write as well."""
        return self._channel is not None and self._channel.wants_write(self._conversation.out)

    def connect(self) -> None:
        """Begin; `on_closed` hears of a failure."""
        self._dial(self._address.places, self._enter)

    def ask(self, command: Command, handler: Handler) -> None:
        """Queue a request; `writable` sends it."""
        self._conversation.ask(command, handler, self._clock())

    def accepts(self, reply: Any) -> bool:
        """Whether a reply is not an error; an error ends the connection: a Redis that refuses is as good as down."""
        if isinstance(reply, ReplyError):
            self.close(str(reply))
            return False
        return True

    def writable(self) -> None:
        """Send what is queued, as far as it goes."""
        if self._channel is not None:
            try:
                self._channel.send(self._conversation.out)
            except OSError as exc:
                self._hear_out(self._channel)
                if self._channel is not None:
                    self._failed(exc)

    def texts(
        self, request: bytes, count: int, until: float, expect: Callable[[], None]
    ) -> list[bytes] | None:
        """Send a request where nothing else is under way, and wait for its replies: so many texts.

        It takes a fraction of the steps of `ask`, `writable` and `readable`, for what a question waits for.

        Args: request: packed; until: monotonic; expect: calls `expect` for each of its commands.

        Returns: None: it was not sent, or *expect* was called, and the replies go to the handlers when they come.
        """
        channel, conversation = self._channel, self._conversation
        if channel is None or not self.at_rest:
            return None
        seconds = min(max(until - self._clock(), 0.0), LONGEST)
        came = exchange_quickly(channel.fd, request, count, seconds) if exchange_quickly is not None else 0
        if isinstance(came, list):
            self.heard()
            return came
        data: bytes | None
        if isinstance(came, bytes):
            data = came or None
        else:
            conversation.out += request[came:]
            data = None
            try:
                channel.send(conversation.out)
                if not conversation.out:
                    data = channel.await_data(seconds)
            except OSError as exc:
                expect()
                self._hear_out(channel)
                if self._channel is channel:
                    self._failed(exc)
                return None
        if data is not None:
            self._heard = self._clock()
            texts = texts_of(data, count)
            if texts is not None:
                self._replied = self._heard
                return texts
        expect()
        if data is not None:
            self._feed(conversation, data)
        return None

    def expect(self, command: Command, handler: Handler) -> None:
        """A handler for a command that `texts` has sent."""
        self._conversation.expect(command, handler, self._clock())

    @property
    def at_rest(self) -> bool:
        """Whether nothing is under way on a plain connection: others may send a request then, and hand what came to `take`."""
        channel = self._channel
        return (
            channel is not None and self._entered and channel.plain and channel.connected
            and self._conversation.at_rest
        )  # fmt: skip

    def heard(self) -> None:
        """Note that a request which was sent at rest has its reply, whole, and that nothing else came."""
        self._heard = self._replied = self._clock()

    def take(self, command: Command, handler: Handler, sent_at: float, unsent: bytes, data: bytes) -> None:
        """Go on from a request that was sent at rest, but for *unsent*; *data*: what came since, whatever it is."""
        conversation = self._conversation
        conversation.out += unsent
        conversation.expect(command, handler, sent_at)
        if data:
            self._heard = self._clock()
            self._feed(conversation, data)

    def readable(self) -> None:
        """Take in what came, but no more than a turn's worth; replies and pushes go to their handlers."""
        if self._dialer.lookup is not None and self._dialer.resolved():
            self._go_on(f"{self.place[0]}: no such host")
            return
        if self._channel is not None and not self._channel.connected:
            self.writable()
        for _ in range(TURN):
            channel, conversation = self._channel, self._conversation
            if channel is None:
                return
            try:
                data = channel.receive()
                if data is None:
                    break
                self._heard = self._clock()
                plain = channel.opened(data)
            except OSError as exc:
                self._failed(exc)
                return
            if not self._feed(conversation, plain):
                return
            if len(data) < CHUNK or conversation.ended:
                break
        if self._conversation.out or self.wants_write:
            self.writable()

    def _feed(self, conversation: Conversation, data: bytes) -> bool:
        """Have the conversation take in what came; whether it went well: else the connection is given up."""
        try:
            if data:
                unanswered = len(conversation.waiting)
                conversation.feed(data)
                if len(conversation.waiting) != unanswered:
                    self._replied = self._heard
        except Exception as exc:  # noqa: BLE001  # whatever the other end makes fail, it must not end the program
            if not conversation.ended:
                name = "" if isinstance(exc, BadReply | ProtocolError) else f"{type(exc).__name__}: "
                self.close(f"not what Redis answers: {name}{exc}")
            return False
        return True

    def _hear_out(self, channel: Channel) -> None:
        """Take in what a server said before it closed: one that is full tells so before it is asked."""
        try:
            data = channel.receive()
            if data:
                self._conversation.feed(channel.opened(data))
        except Exception:  # noqa: BLE001, S110  # the connection has failed already: that is what is told
            pass

    def suspect_at(self) -> float | None:
        """When the link becomes suspect: its oldest request is *timeout* old; None without requests."""
        waiting = self._conversation.waiting
        return waiting[0][1] + self.timeout if waiting else None

    def tick(self, now: float) -> float:
        """Do what time asks for; returns when to be called again."""
        if self._dialer.lookup is not None:
            if now - self._heard < RESOLVED:
                return self._heard + RESOLVED
            self._failed(OSError(f"{self.place[0]}: the host name did not resolve in time"))
            return now
        if self._channel is None:
            return now + GONE
        if self._conversation.waiting or not self._channel.connected:
            since = self._silent_since()
            if now - since >= GONE:
                self.readable()  # what stood still may have been this process, and the reply is here
                if self._channel is None:
                    return now
                since = self._silent_since()
            if now - since < GONE:
                return since + GONE
            self._failed(OSError("no reply for a second"))
            return now
        if now - self._heard >= SILENCE:
            self.ask(("PING",), ignore)
            self.writable()
            return now + GONE
        return self._heard + SILENCE

    def _silent_since(self) -> float:
        """Since when something has been waited for, and nothing came."""
        waiting = self._conversation.waiting
        since = max(waiting[0][1], self._replied) if waiting else self._heard
        return max(since, min(self._heard, since + PATIENCE)) if self.patient else since

    def close(self, reason: str) -> None:
        """Give the connection up; requests without a reply are forgotten."""
        reason = in_words(reason)
        reason = "".join([char if char.isprintable() else "?" for char in reason[:REASON]])
        place, places = self.place, self._address.places
        self._dialer.left = []
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
        self._dialer.start(places)
        self._opened = opened
        self._go_on("nowhere to connect to")

    def _go_on(self, reason: str) -> None:
        """Try the next place, or give up for *reason* when there is none."""
        self._hang_up()
        try:
            self._channel = self._dialer.next(reason)
        except OSError as exc:
            self.close(str(exc))
            return
        self._heard = self._clock()
        if self._channel is not None:
            self._opened()  # its requests wait in the buffer, and leave in one write
            self.writable()

    def _failed(self, exc: OSError) -> None:
        """There is another place to try as long as the one that was looked for was not found."""
        self._dialer.forget_certificates()
        if self.up:
            self.close(reason_of(exc))
        else:
            self._go_on(reason_of(exc))

    def _hang_up(self) -> None:
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        self._dialer.drop()
        self._entered = False
        self._conversation.ended = True
        self._conversation = Conversation(self._on_push)


def wrong_type(reply: Any) -> bool:
    """Whether it is Redis's error for one key that holds something else than it should: no trouble of the server's."""
    return isinstance(reply, ReplyError) and str(reply).startswith("WRONGTYPE")


def ignore(_: Any) -> None:
    """What takes a reply that has done its work by coming."""


def in_words(error: str) -> str:
    """An error of Redis with what it means in front, where its own words do not tell an operator."""
    if "max number of clients" in error:
        return f"it has no room for another client (maxclients): {error}"
    if error.startswith("ERR unknown command") and "HELLO" in error[:40]:
        return f"it has no HELLO, which workers need (older than Redis 6, or renamed): {error}"
    return error

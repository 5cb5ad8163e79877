"""The link into a Redis Cluster: all keys of a prefix share a slot, so it stays with the node that has that slot.

Source: https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/ (MOVED, ASK).
"""

from __future__ import annotations

from select import POLLIN, POLLOUT, epoll

import hiredis

from geosteer.resp.link import Link, ignore
from geosteer.resp.url import Address, parse_place, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from geosteer.resp.conversation import Command, Handler
    from geosteer.resp.url import Place


class ClusterLink(Link):
    """Goes where MOVED says; while the slot is being migrated, asks a second node for what it has already (ASK)."""

    __slots__ = ("_both", "_moved", "_nodes", "_owner", "_side", "_well")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._nodes: list[Place] = list(self._address.places)
        self._owner: Place | None = None
        self._well = True
        """The last connection led to what was looked for."""
        self._moved = False
        """The one redirection that a connection may take was taken."""
        self._side: Link | None = None
        self._both: epoll | None = None

    @property
    def several(self) -> bool:
        """Whether another connection may lead to another server."""
        return len(self._nodes) > 1

    @property
    def fd(self) -> int:
        """What to poll, or -1: with two connections a descriptor that stands for both."""
        own = super().fd
        if self._side is None or self._both is None:
            return own
        for fd, write in ((own, super().wants_write), (self._side.fd, self._side.wants_write)):
            if fd >= 0:
                mask = POLLIN | POLLOUT if write else POLLIN
                try:
                    self._both.modify(fd, mask)
                except OSError:  # a new one; those that were closed are gone by themselves
                    self._both.register(fd, mask)
        return self._both.fileno()

    def poll_mask(self) -> tuple[int, int]:
        """What to poll, or -1, and for what."""
        return self.fd, POLLIN | POLLOUT if self.wants_write else POLLIN

    @property
    def wants_write(self) -> bool:
        """Whether to poll for room to write as well."""
        return self._side is None and super().wants_write

    def connect(self) -> None:
        """Begin with the node that had the slot, then all that are known."""
        if not self._well:
            self._nodes.append(self._nodes.pop(0))
        owner = [self._owner] if self._owner is not None else []
        self._owner, self._well, self._moved = None, False, False
        self._dial([*owner, *self._nodes], self._enter)

    def ask(self, command: Command, handler: Handler) -> None:
        """Queue a request; `writable` sends it."""
        super().ask(command, lambda reply: self._take(command, handler, reply))

    @property
    def at_rest(self) -> bool:
        """False: what comes may send on to another node, which only a handler of `ask` can follow."""
        return False

    def texts(self, *_: object) -> list[bytes] | None:
        """None, and nothing is sent: what comes may send on to another node, which only a handler of `ask` can follow."""
        return None

    def writable(self) -> None:
        """Send what is queued, as far as it goes."""
        super().writable()
        if self._side is not None:
            self._side.writable()

    def readable(self) -> None:
        """Take in what came; replies and pushes go to their handlers."""
        super().readable()
        if self._side is not None:
            self._side.readable()
            self.writable()  # what came there may have led to questions here

    def suspect_at(self) -> float | None:
        """When the first of the connections becomes suspect."""
        times = [super().suspect_at(), self._side.suspect_at() if self._side is not None else None]
        return min([time for time in times if time is not None], default=None)

    def tick(self, now: float) -> float:
        """Do what time asks for; returns when to be called again."""
        due = super().tick(now)
        return due if self._side is None else min(due, self._side.tick(now))

    def leave(self, reason: str) -> None:
        """Give the node up, and ask another who has the slot."""
        self._owner, self._well = None, False
        self.close(reason)

    def _take(self, command: Command, handler: Handler, reply: Any) -> None:
        if isinstance(reply, hiredis.ReplyError):
            word, _, rest = str(reply).partition(" ")
            if word == "MOVED":
                self._move(self._named(rest))
                return
            if word == "ASK":
                self._ask_aside(self._named(rest), command, handler)
                return
        elif command[0] == "HGETALL":
            self._owner, self._well, self._moved = self.place, True, False
        handler(reply)

    def _named(self, text: str) -> Place:
        """The node of a redirection, "SLOT HOST:PORT"; without a host it is that of the node that says so."""
        host, _, port = text.partition(" ")[2].rpartition(":")
        return parse_place(host or self.place[0], port)

    def _move(self, place: Place) -> None:
        if self._moved:
            self.close(f"sends on to {shown(place)}, after another had sent here")
            return
        self._moved = True
        self._dial([place], self._enter)

    def _ask_aside(self, place: Place, command: Command, handler: Handler) -> None:
        if self._side is None or self._side.place != place:
            self._end_side()
            try:
                self._both = epoll(2)
            except OSError as exc:
                self.close(str(exc))
                return
            self._side = Link(
                Address(f"redis://{shown(place)}"), self.timeout, self._clock, self._greet, _nothing, self._on_push,
                self._side_closed,
            )  # fmt: skip
            self._side.patient = False
            self._side.connect()
        side = self._side
        if side is not None:  # it was refused at once
            side.ask(("ASKING",), ignore)
            side.ask(command, handler)
            side.writable()

    def _side_closed(self, reason: str) -> None:
        """Its requests are lost; on another connection they will be asked again."""
        if self._side is not None:
            self.close(f"the node that the slot is being moved to: {reason}")

    def _hang_up(self) -> None:
        super()._hang_up()
        self._end_side()

    def _end_side(self) -> None:
        side, self._side = self._side, None
        if side is not None:
            side.close("")
        if self._both is not None:
            self._both.close()
            self._both = None


def _nothing() -> None:
    """There is nothing to read at first on a connection aside."""

"""One poll over a tier's connection, its timer, and what else a program reads."""

from __future__ import annotations

from select import POLLIN, poll
from time import monotonic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from geosteer.sync.tier import Tier

    Events = list[tuple[int, int]]


class Pump:
    """Keeps a tier going: `arm`, `poll`, `handle`, again and again.

    `poll` alone waits, and touches nothing of the tier: with a lock around the other two, threads may share it.
    """

    __slots__ = ("_poller", "_tier", "_until", "_watched")

    def __init__(self, tier: Tier, reads: Iterable[int]) -> None:
        """Args: reads: descriptors to be read from; the caller reads them."""
        self._tier = tier
        self._poller = poll()
        for fd in reads:
            self._poller.register(fd, POLLIN)
        self._watched = (-1, 0)
        self._until = 0.0

    def arm(self) -> None:
        """Take over what the tier wants to be waited for."""
        mask = self._tier.poll_mask()
        if mask != self._watched:
            if self._watched[0] not in {-1, mask[0]}:
                try:
                    self._poller.unregister(self._watched[0])
                except (KeyError, ValueError):
                    pass
            if mask[0] >= 0:
                self._poller.register(*mask)
            self._watched = mask
        self._until = self._tier.due

    @property
    def outdated(self) -> bool:
        """Whether the tier wants something else by now than `poll` waits for."""
        return self._tier.due < self._until or self._tier.poll_mask() != self._watched

    def poll(self) -> Events:
        """Wait until something can be read, or the tier's time has come."""
        return self._poller.poll(max(0.0, self._until - monotonic()) * 1000 + 0.5)

    def handle(self, events: Events, *, idle: bool = True) -> None:
        """Let the tier do what it was waited for; *idle*: no question is waiting."""
        tier = self._tier
        for fd, event in events:
            if fd == self._watched[0] and fd == tier.poll_mask()[0]:
                tier.handle(event)
        if monotonic() >= tier.due:
            tier.tick(idle=idle)

"""A connection to Redis that one scrape may use for so long and for so many bytes, whatever the other end sends."""

from __future__ import annotations

from time import monotonic
from typing import Any

import redis
from geosteer.errors import BadReply
from geosteer.resp.conversation import Framing

SECONDS = 8.0
"""For all that one scrape asks of Redis: less than the 10 s after which Prometheus gives a scrape up."""
BYTES = 1 << 27
"""For all its replies; each has the bounds that workers set."""
CHUNK = 1 << 16


class Budget:
    """What is left for this scrape."""

    def __init__(self) -> None:
        self.until = 0.0
        self.bytes = 0

    def renew(self) -> None:
        """A scrape begins."""
        self.until, self.bytes = monotonic() + SECONDS, BYTES

    def left(self) -> float:
        """Seconds. Raises: redis.TimeoutError: none."""
        left = self.until - monotonic()
        if left <= 0:
            raise redis.TimeoutError(f"not all was told within {SECONDS:g} s")
        return left

    def take(self, size: int) -> None:
        """Count bytes that came. Raises: redis.ConnectionError: they are too many."""
        self.bytes -= size
        if self.bytes < 0:
            raise redis.ConnectionError(f"more than {BYTES >> 20} MiB for one scrape")


class BoundedSocket:
    """A socket as redis-py uses it; replies are looked at before the parser sees them."""

    def __init__(self, inner: Any, budget: Budget) -> None:
        self._inner, self._budget = inner, budget
        self._framing = Framing()
        self._rest = b""

    def recv(self, size: int, flags: int = 0) -> bytes:
        """As a socket's. Raises: redis.RedisError: no time, or no room, is left, or these are no replies."""
        if flags:
            return bytes(self._inner.recv(size, flags))
        while not self._rest:
            data = self._receive()
            if not data:
                return b""
            self._rest = self._checked(data)
        data, self._rest = self._rest[:size], self._rest[size:]
        return data

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        """As `recv`."""
        data = self.recv(nbytes or len(buffer), flags)
        buffer[: len(data)] = data
        return len(data)

    def sendall(self, data: Any) -> None:
        """As a socket's."""
        self._limit()
        self._inner.sendall(data)

    def settimeout(self, seconds: float | None) -> None:
        """As a socket's; but a reply may never take longer than the scrape."""
        self._inner.settimeout(seconds)

    def _receive(self) -> bytes:
        usual = self._inner.gettimeout()
        self._limit()
        try:
            return bytes(self._inner.recv(CHUNK))
        finally:
            self._inner.settimeout(usual)

    def _limit(self) -> None:
        usual, left = self._inner.gettimeout(), self._budget.left()
        if usual is None or usual > left:
            self._inner.settimeout(left)

    def _checked(self, data: bytes) -> bytes:
        self._budget.take(len(data))
        try:
            return self._framing.pass_on(data)
        except (BadReply, ValueError) as exc:
            raise redis.ConnectionError(f"not what Redis answers: {exc}") from exc

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def bound(client: redis.Redis, budget: Budget) -> None:
    """Have a client that has not connected yet keep to the budget."""
    pool: Any = client.connection_pool
    usual = pool.connection_class

    class Bounded(usual):  # type: ignore[misc,valid-type]  # whichever kind the settings ask for
        def _connect(self) -> Any:
            budget.left()
            return BoundedSocket(super()._connect(), budget)

    pool.connection_class = Bounded

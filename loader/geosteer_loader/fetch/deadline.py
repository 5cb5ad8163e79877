"""A time limit for all that a connection does, however slowly its peer sends.

A socket timeout restarts with every byte, and nothing checks the clock within a TLS handshake, headers and chunk sizes;
so a timer shuts the sockets down, and their readers see the end.
"""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Self, TypeVar

from urllib3.connection import HTTPSConnection
from urllib3.connectionpool import HTTPSConnectionPool

from geosteer_loader.fetch.errors import FetchFailed

if TYPE_CHECKING:
    from urllib3 import PoolManager

    Manager = TypeVar("Manager", bound=PoolManager)


class Deadline:
    """The time that there is; within its context watched connections end with it."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._end = time.monotonic() + seconds
        self._sockets: list[socket.socket] = []
        self._timer: threading.Timer | None = None

    @property
    def left(self) -> float:
        """Seconds; not above 0 when it is over."""
        return self._end - time.monotonic()

    def check(self) -> None:
        """Raises: FetchFailed: it is over."""
        if self.left <= 0:
            raise FetchFailed(f"not finished within {self._seconds:g} s")

    def watch(self, manager: Manager) -> Manager:
        """Watch the connections that a pool manager will make."""
        deadline = self

        class Connection(HTTPSConnection):
            def _new_conn(self) -> socket.socket:
                connection = super()._new_conn()
                deadline._add(connection)
                return connection

            def connect(self) -> None:
                super().connect()
                if self.sock is not None:  # TLS has taken the first one's place
                    deadline._add(self.sock)

        class Pool(HTTPSConnectionPool):
            ConnectionCls = Connection

        manager.pool_classes_by_scheme = {**manager.pool_classes_by_scheme, "https": Pool}
        return manager

    def __enter__(self) -> Self:
        self._timer = threading.Timer(max(self.left, 0), self._over)
        self._timer.daemon = True
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._sockets = []

    def _add(self, connection: socket.socket) -> None:
        self._sockets.append(connection)
        if self.left <= 0:
            self._over()

    def _over(self) -> None:
        for connection in self._sockets:
            with suppress(OSError, ValueError):
                # The plain socket's: that of TLS would take its state away from under the reader.
                socket.socket.shutdown(connection, socket.SHUT_RDWR)

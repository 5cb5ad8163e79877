"""What stands around a Redis in some rows: a slow way to it, and somebody who keeps node states."""

from __future__ import annotations

import contextlib
import queue
import socket
import threading
import time
from typing import TYPE_CHECKING, Self

import redis

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.servers import RedisServer


class Delay:
    """A relay that hands everything on, *seconds* later, in both directions."""

    def __init__(self, folder: Path, target: Path, seconds: float) -> None:
        self._target, self._seconds = target, seconds
        self._path = folder / "slow"
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self._path))
        self._listener.listen()

    @property
    def url(self) -> str:
        return f"unix://{self._path}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.socket(socket.AF_UNIX)
                far.connect(str(self._target))
                for one, other in ((near, far), (far, near)):
                    late: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()
                    threading.Thread(target=self._take, args=(one, late), daemon=True).start()
                    threading.Thread(target=self._give, args=(late, other), daemon=True).start()

    def _take(self, source: socket.socket, late: queue.SimpleQueue[tuple[float, bytes]]) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                late.put((time.monotonic() + self._seconds, data))
        late.put((time.monotonic() + self._seconds, b""))

    def _give(self, late: queue.SimpleQueue[tuple[float, bytes]], sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                due, data = late.get()
                time.sleep(max(0.0, due - time.monotonic()))
                if not data:
                    sink.shutdown(socket.SHUT_RDWR)
                    return
                sink.sendall(data)


class Liar:
    """A relay to Redis that, while `lie` is set, says that in place of all that Redis says."""

    def __init__(self, folder: Path, target: Path) -> None:
        self.lie: Callable[[], bytes] | None = None
        self.url = f"unix://{folder / 'liar'}"
        self._target = target
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(folder / "liar"))
        self._listener.listen(50)

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.socket(socket.AF_UNIX)
                far.connect(str(self._target))
                for source, sink, lies in ((near, far, False), (far, near, True)):
                    threading.Thread(target=self._carry, args=(source, sink, lies), daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket, lies: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                lie = self.lie if lies else None
                sink.sendall(data if lie is None else lie())
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


class Beats:
    """Somebody who keeps node states and says so, every *period* seconds, while the server takes it."""

    def __init__(self, server: RedisServer, period: float) -> None:
        self._server, self._period = server, period
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _beat(self) -> None:
        count = 0
        with self._server.client(socket_timeout=0.2) as client:
            while not self._ended.wait(self._period):
                count += 1
                now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
                with contextlib.suppress(redis.RedisError, OSError):
                    client.hset("{geosteer}:beat", "tester", f"{count} {now} {self._period}")

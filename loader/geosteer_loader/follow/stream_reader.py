"""A stream of updates as it arrives: on a socket of this service, or its standard input, read in a thread of its own.

One writer at a time: a second connection waits until the first one has ended. A line is cut off where it gets longer than any
real one, and counted as malformed.
"""

from __future__ import annotations

import logging
import os
import select
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from geosteer_loader.config.live_sources import STDIN
from geosteer_loader.follow.unix_socket import POLL, close, listen
from geosteer_loader.rib.session import Phase
from geosteer_loader.rib.stream import MAX_LINE

if TYPE_CHECKING:
    from collections.abc import Callable

    from geosteer_loader.config.live_sources import LiveConfig
    from geosteer_loader.rib.stream import Stream

log = logging.getLogger(__name__)

CHUNK = 1 << 16
"""Bytes read at a time."""
TELL_EVERY = 60.0
"""Seconds between two warnings of malformed lines."""
RESET_EVERY = 60.0
"""Seconds between two orders to begin a session anew."""


class StreamReader:
    """Reads into a `Stream`, which others look at under `lock`."""

    def __init__(self, live: LiveConfig, stream: Stream, clock: Callable[[], float] = time.monotonic) -> None:
        """Begins at once. Raises: CannotListen."""
        self.stream = stream
        self.lock = threading.Lock()
        self._live = live
        self._clock = clock
        self._closing = threading.Event()
        self._told_at = float("-inf")
        self._reset_at: dict[str, float] = {}
        self._listener = None if live.socket == STDIN else listen(live.socket)
        self._thread = threading.Thread(target=self._run, daemon=True, name=f"reader of {live.socket}")
        self._thread.start()

    def close(self) -> None:
        """End it; the standard input cannot be closed while it is read, and ends with the process."""
        self._closing.set()
        if self._listener is not None:
            self._thread.join(timeout=5)
            close(self._listener, self._live.socket)

    def _run(self) -> None:
        if self._listener is None:
            self._read(0, 1)
            return
        while not self._closing.is_set():
            try:
                connection, _ = self._listener.accept()
            except TimeoutError:
                continue
            except OSError as exc:
                log.warning("%s: %s", self._live.socket, exc.strerror or exc)
                self._closing.wait(POLL)
                continue
            with connection:
                connection.setblocking(True)
                self._read(connection.fileno(), connection.fileno())

    def _read(self, source: int, answers: int) -> None:
        """Read one connection to its end."""
        with self.lock:
            self.stream.connected(self._clock())
        log.info("%s: a writer has connected", self._live.socket)
        pending, dropping = bytearray(), False
        while not self._closing.is_set():
            try:
                if not select.select([source], [], [], POLL)[0]:
                    continue
                chunk = os.read(source, CHUNK)
            except OSError as exc:
                log.info("%s: %s", self._live.socket, exc.strerror or exc)
                break
            if not chunk:
                break
            pending += chunk
            end = pending.rfind(b"\n")
            if end >= 0:
                lines = bytes(pending[:end]).split(b"\n")
                del pending[: end + 1]
                self._take(lines[1:] if dropping else lines)
                dropping = False
                self._reset(answers)
            if len(pending) > MAX_LINE:
                if not dropping:
                    with self.lock:
                        self.stream.refuse(ValueError(f"longer than {MAX_LINE} bytes"))
                        self.stream.cut_off(self._clock())
                dropping = True
                pending.clear()
            if self.stream.broken:
                log.warning("%s: a line was cut off: the connection is ended", self._live.socket)
                break
        if self._closing.is_set():
            return  # the sessions are what they are: they did not end
        with self.lock:
            self.stream.disconnected("the connection ended", self._clock())
        log.info("%s: the writer has gone", self._live.socket)

    def _take(self, lines: list[bytes]) -> None:
        stream, now = self.stream, self._clock()
        with self.lock:
            bad = stream.counts.bad
            for line in lines:
                stream.line(line, now)
            stream.tick(now)
            bad, count, why = stream.counts.bad - bad, stream.counts.bad, stream.last_bad
        if bad and now - self._told_at >= TELL_EVERY:
            self._told_at = now
            log.warning("%s: malformed line, %d since the start: %s", self._live.socket, count, why)

    def _reset(self, answers: int) -> None:
        """Have ExaBGP begin the sessions anew that go on although nobody saw them begin."""
        if not self._live.reset:
            return
        now = self._clock()
        with self.lock:
            peers = [
                peer
                for peer in self.stream.unseen()
                if now - self._reset_at.get(peer, float("-inf")) >= RESET_EVERY
                and self.stream.sessions[peer].phase is not Phase.LOADING
            ]
        for peer in peers:
            self._reset_at[peer] = now
            log.warning("%s: session %s is told to begin anew", self._live.socket, peer)
            with suppress(OSError):
                os.write(answers, f"neighbor {peer} teardown 4\n".encode())

"""Where `geosteer bgp` asks for the routes of sessions: a line with an address, answered by one line (`rib.told`).

One asker at a time, in a thread of its own; who is slow is left, so that nobody holds up the next one, or the service.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from typing import TYPE_CHECKING

from geosteer_loader.follow.unix_socket import POLL, CannotListen, close, listen
from geosteer_loader.rib import told
from geosteer_loader.sources.prefix import parse_address

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping
    from pathlib import Path

    from geosteer_loader.follow.stream_reader import StreamReader

log = logging.getLogger(__name__)

LONGEST = 256
"""Bytes of a question."""
PATIENCE = 2.0
"""Seconds that an asker has to ask, and as many to read the answer."""


class RouteSocket:
    """Answers until `close`. Where the socket cannot be made, a warning says so and nobody is answered."""

    def __init__(self, path: Path, readers: Mapping[str, StreamReader]) -> None:
        """Args: readers: name of each stream -> what reads it."""
        self._path = path
        self._readers = readers
        self._closing = threading.Event()
        self._listener: socket.socket | None = None
        try:
            self._listener = listen(path)
        except CannotListen as exc:
            log.warning("%s: `geosteer bgp` cannot ask for routes of sessions", exc)
            return
        self._thread = threading.Thread(target=self._run, args=(self._listener,), daemon=True, name=str(path))
        self._thread.start()

    def close(self) -> None:
        """End it."""
        self._closing.set()
        if self._listener is not None:
            self._thread.join(timeout=5)
            close(self._listener, self._path)
            self._listener = None

    def _run(self, listener: socket.socket) -> None:
        while not self._closing.is_set():
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                continue
            except OSError as exc:
                log.warning("%s: %s", self._path, exc.strerror or exc)
                self._closing.wait(POLL)
                continue
            with connection:
                try:
                    reply = self._answer(_line(connection))
                    connection.settimeout(PATIENCE)
                    connection.sendall(reply)
                except OSError as exc:
                    log.debug("%s: %s", self._path, exc.strerror or exc)

    def _answer(self, question: bytes) -> bytes:
        try:
            bits, address = parse_address(question.decode().strip())
        except ValueError:
            return json.dumps({"error": "not an address"}).encode() + b"\n"
        sessions = []
        for name, reader in self._readers.items():
            with reader.lock:
                sessions += told.answer(name, reader.stream, bits, address, time.monotonic())
        return told.encode(sessions)


def _line(connection: socket.socket) -> bytes:
    """What is asked, up to the end of its line; empty if that does not come. Raises: OSError."""
    question = b""
    end = time.monotonic() + PATIENCE
    while b"\n" not in question and len(question) < LONGEST and (left := end - time.monotonic()) > 0:
        connection.settimeout(left)
        chunk = connection.recv(LONGEST)
        if not chunk:
            break
        question += chunk
    line, found, _ = question.partition(b"\n")
    return line if found else b""

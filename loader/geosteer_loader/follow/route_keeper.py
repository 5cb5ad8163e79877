"""The file that keeps what sessions hold over a restart of the service.

It is written aside and renamed, so that whatever ends the service leaves the one before; one that is damaged, of another
version, or old is not used, and what is published stays until the sessions themselves are whole again.
"""

from __future__ import annotations

import logging
import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

from geosteer.timestamps import format_time
from geosteer_loader.export.atomic_files import NotWritten, clear_away, folder, replace
from geosteer_loader.rib import kept_routes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from geosteer_loader.follow.stream_reader import StreamReader

log = logging.getLogger(__name__)

KEEP_EVERY = 600.0
"""Seconds between two writes while routes change."""
SOONER = 60.0
"""The same after a session came, went, or was whole."""
MOST_AGE = 3600.0
"""Seconds after which the file says nothing of what is routed now."""


class RouteKeeper:
    """Writes the file, in a thread of its own, and reads it once."""

    def __init__(
        self,
        path: Path,
        readers: Mapping[str, StreamReader],
        elapsed: float,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """Args: readers: by the stream's name; elapsed: seconds from their clock to 1970's."""
        self._path = path
        self._readers = readers
        self._elapsed = elapsed
        self._wall = wall
        self._thread: threading.Thread | None = None
        self._kept_at = float("-inf")
        self._lines = 0
        self._told = ""

    def restore(self, now: float) -> None:
        """Give the streams what was kept. Args: now: seconds since 1970."""
        clear_away(self._path)
        try:
            with self._path.open("rb") as file:
                content = file.read(kept_routes.MOST_BYTES + 1)
            at, sessions = kept_routes.decode(content, self._elapsed)
            if not -SOONER <= now - at <= MOST_AGE:
                raise ValueError(f"of {format_time(at)}, too old or still to come")
        except FileNotFoundError:
            return
        except (OSError, ValueError, MemoryError) as exc:
            log.warning("%s: %s: the routes of before the restart are not used", self._path, exc)
            return
        for name, reader in self._readers.items():
            with reader.lock:
                kept = [each for each in sessions if each.stream == name]
                reader.stream.restore(kept, at - self._elapsed, now - self._elapsed)
        log.info("%s: %d sessions as of %s", self._path, len(sessions), format_time(at))

    def look(self, now: float, *, happened: bool) -> None:
        """Write if that is due. Args: happened: a session changed its state."""
        if happened:
            self._kept_at = min(self._kept_at, now - KEEP_EVERY + SOONER)
        if now - self._kept_at < KEEP_EVERY or (self._thread is not None and self._thread.is_alive()):
            return
        self._kept_at = now
        lines = sum(reader.stream.counts.lines for reader in self._readers.values())
        if lines != self._lines or happened:
            self._lines = lines
            self._thread = threading.Thread(target=self._write, daemon=True, name=str(self._path))
            self._thread.start()

    def close(self) -> None:
        """Write it a last time."""
        if self._thread is not None:
            self._thread.join(timeout=60)
        self._write()

    def _write(self) -> None:
        try:
            with ExitStack() as locks:
                for reader in self._readers.values():
                    locks.enter_context(reader.lock)
                sessions = [
                    each for name, reader in self._readers.items() for each in reader.stream.kept(name)
                ]
            if not sessions:  # none was whole yet: what an earlier run kept says more
                return
            pieces = kept_routes.encode(sessions, self._wall(), self._elapsed)
            folder(self._path.parent)
            replace(self._path, kept_routes.sealed(pieces))
            self._told = ""
        except (NotWritten, ValueError) as exc:
            if str(exc) != self._told:
                self._told = str(exc)
                log.warning("%s: the routes are not kept over a restart", exc)

"""What operators and the next run are told of BGP sessions: the log, the journal, Redis for metrics, and a file."""

from __future__ import annotations

import logging
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

from geosteer.errors import StoreError
from geosteer.timestamps import format_time
from geosteer_loader.export.atomic_files import NotWritten, clear_away, folder, replace
from geosteer_loader.follow.flapping import Flapping
from geosteer_loader.journal import writing as journal
from geosteer_loader.journal.events import Note
from geosteer_loader.rib import saved
from geosteer_loader.rib.figures import encode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from geosteer_loader.follow.route_keeper import RouteKeeper
    from geosteer_loader.follow.route_socket import RouteSocket
    from geosteer_loader.follow.stream_reader import StreamReader
    from geosteer_loader.rib.saved import Saved
    from geosteer_loader.store.store import Command, Store

log = logging.getLogger(__name__)

SAVE_EVERY = 60.0
"""Seconds between two writes of the file and of what metrics read, unless something happened."""
AWAY = 10.0
"""Seconds for which Redis is left alone after it failed."""
WORDS = {"up": "came up", "whole": "is whole", "lost": "was lost", "forgotten": "is forgotten"}


def load(path: Path, elapsed: float) -> Saved:
    """What a run before kept; empty where nothing can be read. Args: elapsed: as for `saved.read`."""
    clear_away(path)
    try:
        with path.open("rb") as file:
            content = file.read(saved.MOST_BYTES + 1)
        return saved.read(content.decode(), elapsed)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as exc:
        log.warning("%s: %s: nothing is known of earlier sessions", path, exc)
        return {}


class SessionLog:
    """Tells of the sessions of all streams."""

    def __init__(
        self,
        readers: Mapping[str, StreamReader],
        state: Path,
        connect: Callable[[], Store],
        elapsed: float,
        asked: RouteSocket | None = None,
        keeper: RouteKeeper | None = None,
    ) -> None:
        """Args: readers: by the stream's name; elapsed: seconds from their clock to 1970's; asked: closed with it."""
        self._readers = readers
        self._state = state
        self._connect = connect
        self._elapsed = elapsed
        self._asked = asked
        self._keeper = keeper
        self._store: Store | None = None
        self._notes: list[Note] = []
        self._flapping = Flapping()
        self._save_at = float("-inf")
        self._redis_at = float("-inf")
        self._told = ""
        self._cleared = False

    def look(self, now: float) -> None:
        """Tell what happened since the last look."""
        happened = False
        for name, reader in self._readers.items():
            with reader.lock:
                happenings = reader.stream.happenings()
            for one in happenings:
                happened = True
                text = f"session {one.peer} {WORDS[one.what]}" + (f": {one.why}" if one.why else "")
                log.log(logging.WARNING if one.what == "lost" else logging.INFO, "%s: %s", name, text)
                note = Note(kind="session", subject=one.peer, what=one.what, why=one.why)
                self._notes += self._flapping.take(note, now)
        self._notes += self._flapping.due(now)
        if self._keeper is not None:
            self._keeper.look(now, happened=happened)
        if happened or now >= self._save_at:
            self._save_at = now + SAVE_EVERY
            self._save()
            self._publish(now)
        elif self._notes and now >= self._redis_at:
            self._publish(now)

    def close(self) -> None:
        """Write the file a last time."""
        if self._asked is not None:
            self._asked.close()
        if self._keeper is not None:
            self._keeper.close()
            self._keeper = None
        self._save()
        self._notes += self._flapping.rest()
        if self._notes:
            self._publish(self._redis_at)
        if self._store is not None:
            self._store.close()
            self._store = None

    def _save(self) -> None:
        with ExitStack() as locks:
            for reader in self._readers.values():
                locks.enter_context(reader.lock)
            text = saved.text({name: reader.stream for name, reader in self._readers.items()}, self._elapsed)
        try:
            folder(self._state.parent)
            replace(self._state, text)
        except NotWritten as exc:
            if str(exc) != self._told:
                self._told = str(exc)
                log.warning("%s: after a restart nothing is known of the sessions", exc)

    def _publish(self, now: float) -> None:
        """The journal's events, and what metrics read."""
        if now < self._redis_at:
            return
        notes, self._notes = self._notes[:100], self._notes[100:]
        try:
            if self._store is None:
                self._store = self._connect()
            if notes:
                journal.note(self._store, notes)
            words = [word for pair in self._figures() for word in pair]
            key = self._store.keys.session
            commands: list[Command] = [("HSET", key, *words)] if words else []
            if not self._cleared:  # those of a run before may be gone for good
                commands.insert(0, ("DEL", key))
            self._store.pipe(commands)
            self._cleared = True
        except StoreError as exc:
            self._notes = [*notes, *self._notes][-1000:]
            self._redis_at = now + AWAY
            log.debug("sessions are not told to Redis: %s", exc)

    def _figures(self) -> list[tuple[str, str]]:
        at = format_time(time.time())
        figures: list[tuple[str, str]] = []
        for name, reader in self._readers.items():
            with reader.lock:
                figures += [
                    (f"{name} {peer}", encode(session, at))
                    for peer, session in reader.stream.sessions.items()
                ]
        return figures

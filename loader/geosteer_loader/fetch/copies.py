"""The folder of copies: one file for each URL, replaced only by a whole and checked one, and taken back if it proves bad.

| file | what |
|---|---|
| `NAME` | the copy that tables are built from |
| `NAME.json` | what the server called it (`State`); never a credential |
| `NAME.part`, `NAME.part.json` | a download that was cut off, to be resumed by the next run |
| `NAME.before` | the copy before, until tables were built from the new one |
| `NAME.lock` | held while another run fetches |
"""

from __future__ import annotations

import fcntl
import logging
import os
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

from geosteer.timestamps import format_time
from geosteer_loader.fetch.copy_state import State, beside
from geosteer_loader.fetch.errors import FetchFailed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from geosteer_loader.config.sources import SourceConfig
    from geosteer_loader.config.url_sources import Remote

log = logging.getLogger(__name__)


class Copies:
    """The copies of all sources that are URLs, for one run."""

    def __init__(
        self,
        sources: Iterable[SourceConfig],
        environ: Mapping[str, str] = os.environ,
        gate: AbstractContextManager[object] | None = None,
    ) -> None:
        """Args: gate: held while a copy is replaced; default: nobody else looks at them meanwhile."""
        self._sources = {source.path: source for source in sources if source.remote is not None}
        self._gate = gate or nullcontext()
        self._environ = environ
        self._fresh: list[Path] = []

    @property
    def any(self) -> bool:
        """Whether there are any."""
        return bool(self._sources)

    def refresh(self) -> None:
        """Fetch what changed; where that fails, the copy before is used, with a warning.

        Raises: FetchFailed: of a source that has no copy yet.
        """
        if not self._sources:
            return
        from geosteer_loader.fetch.one_source import (
            Fetch,  # with it comes the HTTP library, which files do not need
        )

        for path, source in self._sources.items():
            assert source.remote is not None
            try:
                with _alone(path):
                    fetch = Fetch(source, source.remote, self._environ)
                    fetch.get()
                    with self._gate:
                        if fetch.adopt():
                            self._fresh.append(path)
            except FetchFailed as exc:
                if not path.exists():
                    raise
                log.warning("%s; the copy of %s is used", exc, format_time(path.stat().st_mtime))

    def take_back(self, reason: str) -> bool:
        """Put back the copies before those that *reason*, the text of an error, names; whether there were any."""
        taken = []
        for path in self._fresh:
            source = self._sources[path]
            if reason.startswith(str(path)) and source.remote is not None:
                taken += [path] if _take_back(source, source.remote) else []
        self._fresh = [path for path in self._fresh if path not in taken]
        return bool(taken)

    def accept(self) -> None:
        """The fresh copies are good: those before them are no longer needed."""
        for path in self._fresh:
            beside(path, "before").unlink(missing_ok=True)
        self._fresh = []


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """One run at a time fetches a file. Raises: FetchFailed: another one does, or the folder cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with beside(path, "lock").open("wb") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as exc:
                raise FetchFailed(f"{path}: another run is fetching it") from exc
            yield
    except OSError as exc:
        raise FetchFailed(f"{exc.filename or path}: {exc.strerror or exc}") from exc


def _take_back(source: SourceConfig, remote: Remote) -> bool:
    path = source.path
    before = beside(path, "before")
    if not before.exists():
        return False
    state = State.load(path, remote.url)
    before.replace(path)
    State(copy=state.before, rejected=state.copy).save(path, remote.url)
    return True

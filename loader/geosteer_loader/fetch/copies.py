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
from contextlib import contextmanager, suppress
from dataclasses import asdict
from email.utils import parsedate_to_datetime
from typing import IO, TYPE_CHECKING

from geosteer.clock import format_time
from geosteer_loader.fetch import checksum
from geosteer_loader.fetch.download import Answer, Client, Request
from geosteer_loader.fetch.errors import FetchFailed, Useless
from geosteer_loader.fetch.state import Named, State, beside, read_json, write_json
from geosteer_loader.fetch.unpack import unpack
from geosteer_loader.health.expand import Expander, Unset

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from geosteer_loader.checks.sources import Remote, SourceConfig
    from geosteer_loader.fetch.checksum import Checksum

log = logging.getLogger(__name__)

MAX_CHECKSUM = 1 << 16
"""Bytes of a checksum file."""

INFLATED = ("mmdb",)
"""Formats whose readers want the file as it is; the others read compressed files."""


class Copies:
    """The copies of all sources that are URLs, for one run."""

    def __init__(self, sources: Iterable[SourceConfig], environ: Mapping[str, str] = os.environ) -> None:
        self._sources = {source.path: source for source in sources if source.remote is not None}
        self._environ = environ
        self._fresh: list[Path] = []

    def refresh(self) -> None:
        """Fetch what changed; where that fails, the copy before is used, with a warning.

        Raises: FetchFailed: of a source that has no copy yet.
        """
        for path, source in self._sources.items():
            assert source.remote is not None
            try:
                with _alone(path):
                    if _Fetch(source, source.remote, self._environ).run():
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


class _Fetch:
    """One source being fetched."""

    def __init__(self, source: SourceConfig, remote: Remote, environ: Mapping[str, str]) -> None:
        self._path = source.path
        self._remote = remote
        self._inflate = source.format in INFLATED
        self._where = f"{source.place}: {remote.url}"
        self._client = Client(Expander(environ), remote.timeout)
        self._state = State.load(self._path, remote.url)

    def run(self) -> bool:
        """Fetch the source if it changed; whether its copy is one from which no table was built yet.

        Raises: FetchFailed.
        """
        try:
            wanted = self._checksum()
            named = None if self._state.has(wanted) else self._download(wanted)
            if named is not None:
                self._adopt(named)
        except (FetchFailed, Unset, ValueError) as exc:
            raise FetchFailed(f"{self._where}: {exc}") from exc
        except OSError as exc:
            raise FetchFailed(f"{self._where}: {exc.filename or self._path}: {exc.strerror or exc}") from exc
        return beside(self._path, "before").exists()

    def _checksum(self) -> Checksum | None:
        if self._remote.checksum is None:
            return None
        file = beside(self._path, "sum")
        try:
            with file.open("w+b") as target:
                self._client.get(self._request(self._remote.checksum), {}, target, 0, MAX_CHECKSUM)
                target.seek(0)
                text = target.read().decode(errors="replace")
            return checksum.parse(text, self._remote.name)
        except (FetchFailed, ValueError) as exc:
            raise FetchFailed(f"its checksum {self._remote.checksum}: {exc}") from exc
        finally:
            file.unlink(missing_ok=True)

    def _download(self, wanted: Checksum | None) -> Named | None:
        """Get the file into the `.part`; None when it did not change."""
        part, note = beside(self._path, "part"), beside(self._path, "part.json")
        conditions = self._state.conditions()
        begun = Named.read(read_json(note))
        with part.open("r+b" if part.exists() else "w+b") as target:
            size = target.seek(0, os.SEEK_END)
            answer = Answer(status=416)
            try:
                if size and begun is not None and begun.strong:
                    resumed = {"Range": f"bytes={size}-", "If-Range": begun.strong}
                    answer = self._get(target, {**conditions, **resumed}, size)
                if answer.status == 416:  # also when there is nothing to resume
                    answer = self._get(target, conditions, 0)
            except Useless:
                _remove(part, note)
                raise
        note.unlink(missing_ok=True)
        if answer.status == 304:
            part.unlink()
            return None
        if wanted is not None and (found := checksum.of(part, wanted.algorithm)) != wanted:
            part.unlink()
            raise FetchFailed(f"has the checksum {found.digits}, not {wanted.digits}")
        return Named(etag=answer.etag, modified=answer.modified, sum=str(wanted) if wanted else None)

    def _get(self, target: IO[bytes], conditions: Mapping[str, str], offset: int) -> Answer:
        def begun(answer: Answer) -> None:
            """What comes now may be cut off, and is to be resumed only if it is still the same."""
            note = Named(etag=answer.etag, modified=answer.modified)
            write_json(beside(self._path, "part.json"), asdict(note))

        asked = self._request(self._remote.url)
        return self._client.get(asked, conditions, target, offset, self._remote.max_size, begun)

    def _request(self, url: str) -> Request:
        remote = self._remote
        return Request(
            url=url, headers=remote.headers, username=remote.username, password=remote.password, ca=remote.ca
        )

    def _adopt(self, named: Named) -> None:
        """Put the file that was downloaded into the place of the copy; the copy before is kept beside it."""
        path = self._path
        part, fresh, before = (beside(path, ending) for ending in ("part", "new", "before"))
        try:
            unpack(part, fresh, self._remote.member, self._remote.max_size, inflate=self._inflate)
            _date(fresh, named.modified)
            old = self._state.copy
            if path.exists() and not before.exists():
                os.link(path, before)
            elif before.exists():
                old = self._state.before
            fresh.replace(path)
        finally:
            _remove(part, fresh)
        State(copy=named, before=old).save(path, self._remote.url)
        log.info("%s: fetched, %d bytes", self._where, path.stat().st_size)


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


def _date(path: Path, modified: str | None) -> None:
    """Give a file the date that the server gives it, so that the age of the data is known."""
    if modified is not None:
        with suppress(ValueError, TypeError):
            seconds = parsedate_to_datetime(modified).timestamp()
            os.utime(path, (seconds, seconds))


def _remove(*paths: Path) -> None:
    for path in paths:
        path.unlink(missing_ok=True)

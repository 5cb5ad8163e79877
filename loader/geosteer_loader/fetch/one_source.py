"""Fetching one source: checksum, download, unpacking, and into the place of the copy."""

from __future__ import annotations

import logging
import os
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from email.utils import parsedate_to_datetime
from typing import IO, TYPE_CHECKING

from geosteer_loader.config.environment import Expander, Unset
from geosteer_loader.fetch import checksum
from geosteer_loader.fetch.copy_state import Named, State, beside, read_json, write_json
from geosteer_loader.fetch.download import Answer, Client, Request, same_host
from geosteer_loader.fetch.errors import FetchFailed, Useless
from geosteer_loader.fetch.unpack import unpack

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from geosteer_loader.config.sources import SourceConfig
    from geosteer_loader.config.url_sources import Remote
    from geosteer_loader.fetch.checksum import Checksum

log = logging.getLogger(__name__)

MAX_CHECKSUM = 1 << 16
"""Bytes of a checksum file."""

STILL_BAD = "it is still the version from which no table could be built"

INFLATED = ("mmdb",)
"""Formats whose readers want the file as it is; the others read compressed files."""


class Fetch:
    """One source being fetched."""

    def __init__(self, source: SourceConfig, remote: Remote, environ: Mapping[str, str]) -> None:
        self._path = source.path
        self._remote = remote
        self._inflate = source.format in INFLATED
        self._where = f"{source.place}: {remote.url}"
        self._client = Client(Expander(environ), remote.timeout, environ)
        self._state = State.load(self._path, remote.url)
        self._got: Named | None = None

    def get(self) -> None:
        """Download the source if it changed. Raises: FetchFailed."""
        with self._told():
            wanted = self._checksum()
            if self._state.rejects(checksum=wanted):
                raise FetchFailed(STILL_BAD)
            self._got = None if self._state.has(wanted) else self._download(wanted)

    def adopt(self) -> bool:
        """Put what was downloaded into the place of the copy; whether that is one from which no table was built yet.

        Raises: FetchFailed.
        """
        with self._told():
            if self._got is not None:
                self._adopt(self._got)
        return beside(self._path, "before").exists()

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Tell of what fails with the name of the source. Raises: FetchFailed."""
        try:
            yield
        except (FetchFailed, Unset, ValueError) as exc:
            raise FetchFailed(f"{self._where}: {exc}") from exc
        except OSError as exc:
            raise FetchFailed(f"{self._where}: {exc.filename or self._path}: {exc.strerror or exc}") from exc

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
                    answer = self._get(target, {**conditions, **resumed}, size, begun)
                if answer.status == 416:  # also when there is nothing to resume
                    answer = self._get(target, conditions, 0, None)
            except Useless:
                _remove(part, note)
                raise
        note.unlink(missing_ok=True)
        if answer.status in {304, 416}:
            part.unlink()
            if answer.status == 416 or self._state.copy is None:
                raise FetchFailed(f"status {answer.status} to an unconditional request")
            if self._state.rejects(etag=answer.etag):
                raise FetchFailed(STILL_BAD)
            return None
        if wanted is not None and (actual := checksum.of(part, wanted.algorithm)) != wanted:
            part.unlink()
            raise FetchFailed(f"has the checksum {actual.digits}, expected {wanted.digits}")
        return Named(etag=answer.etag, modified=answer.modified, sum=str(wanted) if wanted else None)

    def _get(
        self, target: IO[bytes], conditions: Mapping[str, str], offset: int, resumed: Named | None
    ) -> Answer:
        def begun(answer: Answer) -> None:
            """What comes now may be cut off, and is to be resumed only if it is still the same."""
            note = Named(etag=answer.etag, modified=answer.modified)
            if answer.status == 206 and resumed is not None and note.strong != resumed.strong:
                raise Useless("sends a range of a different version")
            write_json(beside(self._path, "part.json"), asdict(note))

        asked = self._request(self._remote.url)
        return self._client.get(asked, conditions, target, offset, self._remote.max_size, begun)

    def _request(self, url: str) -> Request:
        remote = self._remote
        if not same_host(url, remote.url):  # a checksum from elsewhere: the secrets are not for that host
            return Request(url=url, ca=remote.ca, tls_strict=remote.tls_strict)
        return Request(
            url=url, headers=remote.headers, username=remote.username, password=remote.password, ca=remote.ca,
            tls_strict=remote.tls_strict,
        )  # fmt: skip

    def _adopt(self, named: Named) -> None:
        """Put the file that was downloaded into the place of the copy; the copy before is kept beside it."""
        path, state = self._path, self._state
        part, fresh, before = (beside(path, ending) for ending in ("part", "new", "before"))
        try:
            unpack(part, fresh, self._remote.member, self._remote.max_size, inflate=self._inflate)
            _date(fresh, named.modified)
            old = state.before if before.exists() else state.copy
            if path.exists() and not before.exists():
                os.link(path, before)
            fresh.replace(path)
        except ValueError:
            if state.copy is not None:
                replace(state, rejected=named).save(path, self._remote.url)
            raise
        finally:
            _remove(part, fresh)
        State(copy=named, before=old).save(path, self._remote.url)
        log.info("%s: fetched, %d bytes", self._where, path.stat().st_size)


def _date(path: Path, modified: str | None) -> None:
    """Give a file the date that the server gives it, so that the age of the data is known."""
    if modified is not None:
        with suppress(ValueError, TypeError):
            seconds = parsedate_to_datetime(modified).timestamp()
            os.utime(path, (seconds, seconds))


def _remove(*paths: Path) -> None:
    for path in paths:
        path.unlink(missing_ok=True)

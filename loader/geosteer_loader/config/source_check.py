"""A look at the sources of a configuration: whether each is what it is said to be, by its beginning and within seconds."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from geosteer.errors import SourceError
from geosteer_loader.config.sources import missing_source
from geosteer_loader.sources.builtin import BuiltinSource
from geosteer_loader.sources.builtin_age import FORMAT, stale
from geosteer_loader.sources.formats import MAY_BE_EMPTY, source_of
from geosteer_loader.sources.recognise import UnrecognisedError
from geosteer_loader.sources.report import Report
from geosteer_loader.sources.source_files import SourceFile

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from geosteer_loader.config.section import Problems
    from geosteer_loader.config.sources import SourceConfig
    from geosteer_loader.sources.source import Progress

LINES = 2000
"""Lines of a text that are read."""

ROWS = 5000
"""Rows of any format that are looked at."""

SECONDS = 2.0
"""For one source, whatever its size and however it is compressed."""


class _EnoughError(Exception):
    """The time is up; what was read until then is in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Beginning(SourceFile):
    """A file of which no more is read than there is time for."""

    deadline: float
    """By the monotonic clock."""

    def chunks(self, progress: Progress | None = None) -> Iterator[bytes]:
        for chunk in SourceFile.chunks(self, progress):
            self.check(0, 0)
            yield chunk

    def lines(self, progress: Progress | None = None) -> Iterator[tuple[int, str]]:
        for numbered in islice(SourceFile.lines(self, progress), LINES):
            self.check(0, 0)
            yield numbered

    def check(self, _done: int, _whole: int) -> None:
        """Serves as a `Progress`. Raises: _EnoughError."""
        if time.monotonic() > self.deadline:
            raise _EnoughError


def check_sources(sources: Mapping[str, Sequence[SourceConfig]], problems: Problems, now: float) -> None:
    """Note what is wrong with the sources; a URL whose copy is not there yet is a warning, and an old built-in table.

    Args: now: seconds since 1970.
    """
    for table, listed in sources.items():
        for source in listed:
            place = f"{source.place}.path"
            missing = missing_source(source)
            if missing:
                problems.add(place, missing)
            elif source.live is not None:
                continue
            elif source.remote is not None and not source.path.is_file():
                problems.warn(place, "is not fetched yet, so that its content cannot be checked")
            elif wrong := wrong_content(table, source):
                problems.add(place, wrong)
            elif source.format == FORMAT and (
                old := stale(BuiltinSource(SourceFile(source.path)).date(), now)
            ):
                problems.warn(source.place, old)


def wrong_content(table: str, source: SourceConfig, seconds: float = SECONDS) -> str:
    """What is wrong with the beginning of a source, "" for nothing."""
    deadline = time.monotonic() + seconds
    file = _Beginning(source.path, source.member, source.max_size, deadline=deadline)
    try:
        rows = source_of(table, source.format, file).rows(Report(), file.check)
        with suppress(_EnoughError):
            if not any(record for *_, record in islice(rows, ROWS)) and table not in MAY_BE_EMPTY:
                return f"{source.path}: no prefix in it has a record (format {source.format})"
            for _ in islice(rows, ROWS):  # lines further on may be malformed
                pass
    except UnrecognisedError as exc:
        return exc.line
    except SourceError as exc:
        first, *more = str(exc).splitlines()
        rest = f" (and {len(more)} more lines)" if more else ""
        return f"{first}{rest} (format {source.format})"
    return ""

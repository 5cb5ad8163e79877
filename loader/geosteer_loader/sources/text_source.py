"""What all text formats share: an entry on each line, comments, and a refusal that names every malformed line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from geosteer_loader.sources.source import FAMILIES
from geosteer_loader.sources.source_files import Problems

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from geosteer_loader.sources.report import Report
    from geosteer_loader.sources.source import Progress, Row
    from geosteer_loader.sources.source_files import SourceFile


class Reading(Protocol):
    """One pass over the lines of a file: what a line means may depend on those before it."""

    def comment(self, number: int, text: str) -> None:
        """Take note of a comment."""

    def entry(self, number: int, text: str) -> Iterable[Row]:
        """The rows of a line without blanks around it. Raises: ValueError: says what is wrong with it."""

    def end(self) -> Iterable[Row]:
        """The rows that are left when all lines were read. Raises: SourceError: the file as a whole is not of the format."""


class PlainReading:
    """A reading whose comments say nothing, and of which nothing is left at the end."""

    def comment(self, number: int, text: str) -> None:
        """Nothing is noted."""

    def end(self) -> Iterable[Row]:
        """Nothing is left."""
        return ()


class TextSource:
    """A file with an entry on each line."""

    disjoint = False
    families = FAMILIES
    comments = "#"
    """Characters that begin a comment."""

    def __init__(self, file: SourceFile) -> None:
        self._file = file
        self.name = str(file.path)

    def reading(self, report: Report) -> Reading:
        """A new pass. Raises: SourceError: the file cannot be read, or is not of the format."""
        raise NotImplementedError

    def rows(self, report: Report, progress: Progress | None = None) -> Iterator[Row]:
        """Prefixes in the order of the file.

        Raises: SourceError: not readable, or lines are malformed (all of them are named).
        """
        problems = Problems(self._file.path)
        reading = self.reading(report)
        comments, entry = self.comments, reading.entry
        for number, line in self._file.lines(progress):
            text = line.strip()
            if not text:
                continue
            if text[0] in comments:
                reading.comment(number, text)
                continue
            try:
                rows = entry(number, text)
            except ValueError as exc:
                problems.add(number, str(exc))
                continue
            yield from rows
        problems.check()
        yield from reading.end()

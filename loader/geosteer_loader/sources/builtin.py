"""The country table that ships with the loader: where an operator begins, until a source of their own takes its place.

A text under xz, `prefix,country` in address order, IPv4 first, no two prefixes overlapping. Lines with `#` in front are its
header; `# date: 2026-02-01` is the day that the data tells of. `builtin_writer` makes such a file.
"""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from geosteer.errors import SourceError
from geosteer_loader.sources.countries import COUNTRIES
from geosteer_loader.sources.prefix import parse_prefix
from geosteer_loader.sources.source import FAMILIES
from geosteer_loader.sources.source_files import Problems

if TYPE_CHECKING:
    from collections.abc import Iterator

    from geosteer_loader.sources.report import Report
    from geosteer_loader.sources.source import Progress, Row
    from geosteer_loader.sources.source_files import SourceFile

SHIPPED = Path(__file__).with_name("data") / "countries.csv.xz"
"""The file that the loader brings along."""

_DATE = "# date:"


class BuiltinSource:
    """The shipped file, or another of its form."""

    disjoint = True
    families = FAMILIES

    def __init__(self, file: SourceFile) -> None:
        self._file = file
        self.name = str(file.path)

    def rows(self, report: Report, progress: Progress | None = None) -> Iterator[Row]:
        """Prefixes in address order.

        Raises: SourceError: not readable, without a date, or lines are malformed or out of order.
        """
        problems = Problems(self._file.path)
        before = (0, -1)
        for number, line in self._file.lines(progress):
            if line.startswith("#"):
                if line.startswith(_DATE):
                    report.date(self._seconds(number, line))
                continue
            prefix, comma, country = line.partition(",")
            try:
                bits, start, length = parse_prefix(prefix)
                if not comma or country not in COUNTRIES:
                    raise ValueError(f"unknown country code {country[:20]!r}")
                if (bits, start) <= before:
                    raise ValueError(f"out of order: {prefix}")
            except ValueError as exc:
                problems.add(number, str(exc))
                continue
            before = (bits, start + (1 << (bits - length)) - 1)
            yield bits, start, length, country
        problems.check()
        if report.built is None:
            raise SourceError(f"{self._file.path}: no line `{_DATE} YEAR-MONTH-DAY`")

    def date(self) -> int:
        """The day that the data tells of, in seconds since 1970; only the header is read.

        Raises: SourceError: not readable, or no date in it.
        """
        with closing(self._file.lines()) as lines:  # type: ignore[type-var]  # a generator
            for number, line in lines:
                if line.startswith(_DATE):
                    return self._seconds(number, line)
                if not line.startswith("#"):
                    break
        raise SourceError(f"{self._file.path}: no line `{_DATE} YEAR-MONTH-DAY` at its beginning")

    def _seconds(self, number: int, line: str) -> int:
        try:
            day = datetime.strptime(line.removeprefix(_DATE).strip(), "%Y-%m-%d").replace(tzinfo=UTC)
        except ValueError as exc:
            raise SourceError(f"{self._file.path}: line {number}: not a date: {line[:40]!r}") from exc
        return int(day.timestamp())

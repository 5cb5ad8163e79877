"""Round-trip times by prefix, as `geosteer latency` writes them: `192.0.2.0/24,fra1=12 ams1=15`, milliseconds, best first.

`192.0.2.0/25,-`: nothing is known there, though it lies in a prefix of which something is.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from geosteer.errors import SourceError
from geosteer.tables.page_format import MAX_RECORD
from geosteer.timestamps import parse_time
from geosteer_loader.sources.prefix import parse_prefix
from geosteer_loader.sources.source import FAMILIES
from geosteer_loader.sources.source_files import Problems

if TYPE_CHECKING:
    from collections.abc import Iterator

    from geosteer_loader.sources.report import Report
    from geosteer_loader.sources.source import Progress, Row
    from geosteer_loader.sources.source_files import SourceFile

NODES = 16
"""Nodes of a record at most."""
HEADER = "# geosteer rtt 1 "
"""How the file begins; the time of its samples follows."""
HOLE = "-"
_NODE = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,62}=[1-9][0-9]{0,4}"
_TIMES = re.compile(rf"{_NODE}(?: {_NODE}){{0,{NODES - 1}}}")


class RttSource:
    """One file."""

    disjoint = False
    families = FAMILIES

    def __init__(self, file: SourceFile) -> None:
        self._file = file
        self.name = str(file.path)

    def rows(self, report: Report, progress: Progress | None = None) -> Iterator[Row]:
        """Prefixes in the order of the file.

        Raises: SourceError: not readable, or lines are malformed (all of them are named).
        """
        problems = Problems(self._file.path)
        known: dict[str, str] = {}
        for number, line in self._file.lines(progress):
            text = line.strip()
            if number == 1:
                self._date(text, report)
            if not text or text[0] == "#":
                continue
            prefix, _, record = text.partition(",")
            try:
                bits, start, length = parse_prefix(prefix)
            except ValueError as exc:
                problems.add(number, str(exc))
                continue
            if record == HOLE:
                yield bits, start, length, ""
                continue
            if record not in known:
                if _TIMES.fullmatch(record) is None or len(record) > MAX_RECORD:
                    problems.add(number, f"expected at most {NODES} of node=milliseconds: {record[:60]!r}")
                    continue
                known[record] = record  # one text for all that have the same
            yield bits, start, length, known[record]
        problems.check()

    def _date(self, text: str, report: Report) -> None:
        if text.startswith(HEADER):
            try:
                report.date(int(parse_time(text.removeprefix(HEADER))))
            except ValueError as exc:
                raise SourceError(f"{self._file.path}: line 1: {exc}") from None

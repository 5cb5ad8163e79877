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
from geosteer_loader.sources.text_source import PlainReading, TextSource

if TYPE_CHECKING:
    from collections.abc import Iterable

    from geosteer_loader.sources.report import Report
    from geosteer_loader.sources.source import Row
    from geosteer_loader.sources.text_source import Reading

NODES = 16
"""Nodes of a record at most."""
HEADER = "# geosteer rtt 1 "
"""How the file begins; the time of its samples follows."""
HOLE = "-"
_NODE = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,62}=[1-9][0-9]{0,4}"
_TIMES = re.compile(rf"{_NODE}(?: {_NODE}){{0,{NODES - 1}}}")


class RttSource(TextSource):
    """One file."""

    def reading(self, report: Report) -> Reading:
        """A new pass."""
        return _Reading(self.name, report)


class _Reading(PlainReading):
    def __init__(self, name: str, report: Report) -> None:
        self._name = name
        self._report = report
        self._known: dict[str, str] = {}

    def comment(self, number: int, text: str) -> None:
        """The first line has the date. Raises: SourceError: it is none."""
        if number == 1 and text.startswith(HEADER):
            try:
                self._report.date(int(parse_time(text.removeprefix(HEADER))))
            except ValueError as exc:
                raise SourceError(f"{self._name}: line 1: {exc}") from None

    def entry(self, _number: int, text: str) -> Iterable[Row]:
        """The row of a line. Raises: ValueError: malformed."""
        prefix, _, record = text.partition(",")
        bits, start, length = parse_prefix(prefix)
        if record == HOLE:
            return ((bits, start, length, ""),)
        if record not in self._known:
            if _TIMES.fullmatch(record) is None or len(record) > MAX_RECORD:
                raise ValueError(f"expected at most {NODES} of node=milliseconds: {record[:60]!r}")
            self._known[record] = record  # one text for all that have the same
        return ((bits, start, length, self._known[record]),)

"""Routing tables as `bgpdump -m` (and -M) prints them: one line for each entry, fields between bars.

`TABLE_DUMP2|1400824800|B|157.130.10.233|701|1.0.0.0/24|701 6453 15169|IGP|...`: type, time, B for a table, peer address, peer
AS, prefix, AS path. Lines of updates (A, W, STATE) say nothing of a whole table and are left out.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from geosteer.errors import SourceError
from geosteer_loader.sources.bgp_routes import AsPath, Rib, as_path, own_path
from geosteer_loader.sources.prefix import parse_network
from geosteer_loader.sources.text_source import PlainReading, TextSource

if TYPE_CHECKING:
    from collections.abc import Iterable

    from geosteer_loader.sources.bgp_routes import Step
    from geosteer_loader.sources.report import Report
    from geosteer_loader.sources.source import Authorised, Row
    from geosteer_loader.sources.source_files import SourceFile
    from geosteer_loader.sources.text_source import Reading

SECONDS_DIGITS = 10
"""Of a time in seconds since 1970; 10 digits last until 2286."""

UPDATES = "updates, not a table: left out"

_NUMBER = re.compile(r"[0-9]+")
_MEMBERS = r"[ ,]*[0-9]{1,10}(?:[ ,]+[0-9]{1,10})*[ ,]*"
_STEP = re.compile(rf"\{{{_MEMBERS}\}}|\({_MEMBERS}\)|\[{_MEMBERS}\]|[0-9]{{1,10}}(?:,[0-9]{{1,10}})*")
_PATH = re.compile(rf"\s*(?:{_STEP.pattern})(?:\s+(?:{_STEP.pattern}))*\s*")


class BgpdumpSource(TextSource):
    """One printed table; rows are origins or, for the table `path`, lengths of the shortest path."""

    comments = ""

    def __init__(self, file: SourceFile, table: str, authorised: Authorised | None = None) -> None:
        super().__init__(file)
        self._table = table
        self._authorised = authorised

    def reading(self, report: Report) -> Reading:
        """A new pass."""
        return _Reading(self.name, report, Rib(report, self._table, self._authorised))


class _Reading(PlainReading):
    def __init__(self, name: str, report: Report, rib: Rib) -> None:
        self._name = name
        self._report = report
        self._rib = rib
        self._seen, self._prefix = "", (0, 0, 0)

    def entry(self, number: int, text: str) -> Iterable[Row]:
        """The row of the prefix before, where this line begins another. Raises: ValueError: malformed."""
        fields = text.split("|")
        try:
            if not fields[0].startswith("TABLE_DUMP") or fields[2] != "B":
                _refuse_other(fields)
                self._report.note(UPDATES, f"line {number}")
                return ()
            if not self._seen:
                self._date(fields[1])
            if fields[5] != self._seen:
                self._prefix, self._seen = parse_network(fields[5]), fields[5]
            path = parse_path(fields[6]) if fields[6].strip() else own_path(int(fields[4]))
        except IndexError:
            raise ValueError("too few fields") from None
        row = self._rib.enter(self._prefix, (path,))
        return (row,) if row else ()

    def _date(self, seconds: str) -> None:
        if seconds.isascii() and seconds.isdecimal() and len(seconds) <= SECONDS_DIGITS:
            self._report.date(int(seconds))

    def end(self) -> Iterable[Row]:
        """The row of the last prefix. Raises: SourceError: there was no route of a table."""
        if not self._seen:
            raise SourceError(f"{self._name}: contains no routing table entry (TABLE_DUMP..|..|B|..)")
        last = self._rib.finish()
        return (last,) if last else ()


def _refuse_other(fields: list[str]) -> None:
    """Raises: ValueError: not a line of bgpdump at all."""
    if not fields[0].startswith(("BGP4MP", "TABLE_DUMP")) or len(fields) < 3:
        raise ValueError(f"not a line of bgpdump -m: {fields[0][:60]!r}")


@lru_cache(maxsize=1 << 16)
def parse_path(text: str) -> AsPath:
    """What is wanted of a path such as `701 6453 {38266,38267}`; confederations stand in brackets or parentheses.

    The members of a set are parted by commas, blanks or both, as different programs print them.

    Raises: ValueError: not a path.
    """
    return as_path(parse_steps(text))


def parse_steps(text: str) -> list[Step]:
    """The steps of such a path. Raises: ValueError: not a path."""
    steps: list[Step] = []
    if not _PATH.fullmatch(text):
        raise ValueError(f"not an AS path: {text[:80]!r}")
    for step in _STEP.findall(text):
        members = [int(number) for number in _NUMBER.findall(step)]
        if max(members) > 0xFFFFFFFF:
            raise ValueError(f"not an AS path: {text[:80]!r}")
        if step[0] == "{" or len(set(members)) > 1:
            steps += [] if step[0] in "([" else [frozenset(members)]
        elif step[0] not in "([":
            steps.append((members[0],))
    return steps

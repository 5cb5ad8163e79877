"""Lists of prefixes with their origin AS: pyasn's .dat, CAIDA's prefix2as, and plain `prefix AS15169`.

Origins stand in the order of the file: CAIDA writes several as `10_20`, most frequent first, and the members of an AS set
as `10,20`. Which prefixes and ASes count is the module `bgp`'s to say.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from geosteer_loader.sources.bgp import (
    MAX_ORIGINS,
    TOO_MANY,
    UNORIGINATED,
    is_public,
    origin_record,
    unusable,
)
from geosteer_loader.sources.files import Problems, lines
from geosteer_loader.sources.prefix import parse_prefix

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from geosteer_loader.sources import Progress, Report, Row

_ORIGIN = re.compile(r"(?:AS)?([0-9]{1,10})", re.IGNORECASE)
_BETWEEN = re.compile(r"[_,\s{}]+")


class OriginListSource:
    """One list; *split* says that prefix and length are columns of their own (prefix2as)."""

    disjoint = False

    def __init__(self, path: Path, *, split: bool) -> None:
        self.path = path
        self.name = str(path)
        self._split = split

    def rows(self, report: Report, progress: Progress | None = None) -> Iterator[Row]:
        """Prefixes in the order of the file.

        Raises: SourceError: not readable, or lines are malformed (all of them are named).
        """
        problems = Problems(self.path)
        records: dict[str, str] = {}
        for number, line in lines(self.path, progress):
            text = line.strip()
            if not text or text[0] in ";#":
                continue
            prefix, _, rest = text.replace("\t", " ").partition(" ")
            if self._split:
                length, _, rest = rest.lstrip().partition(" ")
                prefix = f"{prefix}/{length}"
            try:
                if "/" not in prefix:  # a prefix2as line would pass as an address with several origins
                    raise ValueError(f"no prefix length: {prefix!r}")
                network = parse_prefix(prefix)
                if rest not in records:
                    records[rest] = _record(rest, f"{prefix} {rest}", report)
                record = records[rest]
            except ValueError as exc:
                problems.add(number, str(exc))
                continue
            why = unusable(*network) or (None if record else UNORIGINATED)
            if why:
                report.note(why, text)
            else:
                yield *network, record
        problems.check()


def _record(text: str, example: str, report: Report) -> str:
    """The record for the origins written in a line, without those that are private or reserved.

    Raises: ValueError: not AS numbers.
    """
    words = [word for word in _BETWEEN.split(text.strip()) if word]
    found = [_ORIGIN.fullmatch(word) for word in words]
    numbers = [int(one[1]) for one in found if one]
    if not numbers or len(numbers) < len(found) or max(numbers) > 0xFFFFFFFF:
        raise ValueError(f"no AS number: {text[:60]!r}")
    origins = list(dict.fromkeys(filter(is_public, numbers)))
    if len(origins) > MAX_ORIGINS:
        report.note(TOO_MANY, example)
    return origin_record(origins[:MAX_ORIGINS])

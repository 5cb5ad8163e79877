"""Country lists as lines `prefix,country[,latitude,longitude]`, for example to correct a database by hand.

The country is `GB` or, with a subdivision, `US-CA`; an empty one is a hole: known to be unknown. A first
line with names of columns, comments (`#`), empty lines, quoted fields, a byte order mark, CRLF, gzip and
bzip2 are all fine.
"""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

from geosteer_loader.sources.countries import COUNTRIES, NOWHERE, REGIONS, geo_record, oddity, on_earth
from geosteer_loader.sources.files import Problems, lines
from geosteer_loader.sources.prefix import parse_prefix

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from geosteer_loader.sources.report import Report
    from geosteer_loader.sources.source import Progress, Row


class CsvSource:
    """One file."""

    disjoint = False

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = str(path)

    def rows(self, report: Report, progress: Progress | None = None) -> Iterator[Row]:
        """Prefixes in the order of the file.

        Raises: SourceError: not readable, or lines are malformed (all of them are named).
        """
        problems = Problems(self.path)
        first = True
        for number, line in lines(self.path, progress):
            text = line.strip()
            if not text or text[0] == "#":
                continue
            try:
                fields = _fields(text)
                header, first = first and _is_header(fields), False
                if header:
                    continue
                bits, start, length = parse_prefix(fields[0])
                record = _record(fields[1:])
            except ValueError as exc:
                problems.add(number, str(exc))
                continue
            if odd := oddity(fields[1].partition("-")[0]):
                report.note(odd, f"line {number}: {text}")
            yield bits, start, length, record
        problems.check()


def _fields(text: str) -> list[str]:
    if '"' not in text:
        return [part.strip() for part in text.split(",")]
    try:
        return [part.strip() for part in next(csv.reader([text]))]
    except csv.Error as exc:
        raise ValueError(f"no list of fields: {text[:60]!r}") from exc


def _is_header(fields: list[str]) -> bool:
    """Whether the line has names of columns: a prefix has digits or colons, and a name is no country."""
    prefix = any(char.isdigit() or char == ":" for char in fields[0])
    return not prefix and len(fields) > 1 and fields[1].upper() not in COUNTRIES


def _record(fields: list[str]) -> str:
    if len(fields) not in {1, 3}:
        raise ValueError("not `prefix,country` or `prefix,country,latitude,longitude`")
    country, dash, sub = fields[0].partition("-")
    code = country.upper()
    if code and code not in COUNTRIES and code not in REGIONS and code not in NOWHERE:
        raise ValueError(f"unknown country code {country!r}")
    lat = lon = None
    if len(fields) == 3 and any(fields[1:]):
        lat, lon = map(_degrees, fields[1:])
        if not on_earth(lat, lon):
            raise ValueError(f"no place on earth: {fields[1]},{fields[2]}")
    record = geo_record(code, sub, lat, lon)
    if dash and not record.startswith(f"{code}-"):
        raise ValueError(f"no subdivision: {fields[0]!r}")
    return record


def _degrees(text: str) -> float:
    try:
        return float(text)
    except ValueError as exc:
        raise ValueError(f"no degrees: {text!r}") from exc

"""Country lists as lines `prefix,country[,latitude,longitude]`, for example to correct a database by hand.

The country is `GB` or, with a subdivision, `US-CA`; an empty one is a hole: known to be unknown. A line with names of columns
(`network,cc`) says which column is which, from there on. Comments (`#`), empty lines, quoted fields, a byte order mark,
CRLF and compression are all fine.
"""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, NamedTuple

from geosteer.decision.records import on_earth
from geosteer_loader.sources.countries import CONTINENTS, COUNTRIES, geo_record, is_known, locate
from geosteer_loader.sources.prefix import parse_prefix
from geosteer_loader.sources.source import FAMILIES
from geosteer_loader.sources.source_files import Problems

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from geosteer_loader.sources.report import Report
    from geosteer_loader.sources.source import Progress, Row
    from geosteer_loader.sources.source_files import SourceFile

_WORDS = {
    "prefix": ("prefix", "network", "cidr", "subnet", "ip_prefix", "ip_network", "net", "ip"),
    "country": ("country", "cc", "country_code", "country_iso_code", "iso_code", "iso", "countrycode"),
    "registered": ("registered_country", "registered_country_code", "registered_country_iso_code"),
    "continent": ("continent", "continent_code"),
    "sub": ("subdivision", "region_code", "subdivision_code", "subdivision_1_iso_code", "region"),
    "lat": ("latitude", "lat"),
    "lon": ("longitude", "lon", "lng", "long"),
}
_ROLES = {word: role for role, words in _WORDS.items() for word in words}
"""Name of a column -> what stands in it; columns of other names are left alone."""

_FORM = "expected `prefix,country` or `prefix,country,latitude,longitude`"


class CsvSource:
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
        columns = _Columns(None)
        first = True
        for number, line in self._file.lines(progress):
            text = line.strip()
            if not text or text[0] == "#":
                continue
            try:
                fields = _fields(text)
                is_header, first = _is_header(fields, first=first), False
                if is_header:
                    columns = _Columns(fields)
                    continue
                entry = columns.entry(fields)
                bits, start, length = parse_prefix(entry.prefix)
                record = _record(entry)
            except ValueError as exc:
                problems.add(number, str(exc))
                continue
            code = entry.country.partition("-")[0]
            if odd := locate(code, entry.continent, entry.registered).oddity:
                report.note(odd, f"line {number}: {text}")
            yield bits, start, length, record
        problems.check()


class _Entry(NamedTuple):
    """The fields of one line that count; "" where a column is not there."""

    prefix: str
    country: str
    sub: str = ""
    lat: str = ""
    lon: str = ""
    continent: str = ""
    registered: str = ""


class _Columns:
    """Which column is which."""

    def __init__(self, header: Sequence[str] | None) -> None:
        """Args: header: names of columns; None: there are none. Raises: ValueError: none of prefixes or countries."""
        self._places: dict[str, int] | None = None
        if header is None:
            return
        places: dict[str, int] = {}
        for place, word in enumerate(header):
            if role := _ROLES.get(_word(word)):
                places.setdefault(role, place)
        if {"prefix", "country"} <= places.keys():
            in_order = [places.get(role) for role in ("prefix", "country", "lat", "lon")][: len(header)]
            self._places = None if in_order == [*range(len(header))] else places
        elif len(header) not in {2, 4}:
            raise ValueError(f"no column of prefixes or none of countries: {','.join(header)[:80]!r}")

    def entry(self, fields: Sequence[str]) -> _Entry:
        """One line. Raises: ValueError: too few or too many fields."""
        if self._places is None:
            if len(fields) not in {2, 4}:
                raise ValueError(_FORM)
            return _Entry(fields[0], fields[1], "", *fields[2:])
        if len(fields) <= max(self._places["prefix"], self._places["country"]):
            raise ValueError("fewer fields than the header has columns")
        return _Entry(**{role: fields[place] for role, place in self._places.items() if place < len(fields)})


def _fields(text: str) -> list[str]:
    if '"' not in text:
        return [part.strip() for part in text.split(",")]
    try:
        return [part.strip() for part in next(csv.reader([text]))]
    except csv.Error as exc:
        raise ValueError(f"malformed CSV: {text[:60]!r}") from exc


def _word(field: str) -> str:
    return field.lower().replace(" ", "_").replace("-", "_")


def _is_header(fields: Sequence[str], *, first: bool) -> bool:
    """Whether a line has names of columns: known ones; on the *first* line any that are no prefix and country."""
    words = [_word(field) for field in fields]
    if len(words) > 1 and words[0] in _ROLES and any(_ROLES.get(word) for word in words[1:]):
        return True
    has_prefix = any(char.isdigit() or char == ":" for char in fields[0])
    return (
        first
        and not has_prefix
        and len(fields) > 1
        and bool(fields[0])
        and fields[1].upper() not in COUNTRIES
    )


def _record(entry: _Entry) -> str:
    country, dash, sub = entry.country.partition("-")
    code = country.upper()
    if code and not is_known(code):
        raise ValueError(f"unknown country code {country!r}")
    if entry.continent and entry.continent.upper() not in CONTINENTS:
        raise ValueError(f"unknown continent code {entry.continent!r}")
    lat = lon = None
    if entry.lat or entry.lon:
        lat, lon = _degrees(entry.lat), _degrees(entry.lon)
        if not on_earth(lat, lon):
            raise ValueError(f"coordinates out of range: {entry.lat},{entry.lon}")
    record = geo_record(code, sub or entry.sub, lat, lon, entry.continent, entry.registered)
    if dash and not record.startswith(f"{code}-"):
        raise ValueError(f"invalid subdivision: {entry.country!r}")
    return record


def _degrees(text: str) -> float:
    try:
        return float(text)
    except ValueError as exc:
        raise ValueError(f"invalid number of degrees: {text!r}") from exc

"""Country lists as lines `prefix,country[,latitude,longitude]`, for example to correct a database by hand.

The country is `GB` or, with a subdivision, `US-CA`; an empty one is a hole: known to be unknown. A line with names of columns
(`network,cc`) says which column is which, from there on. Comments (`#`), empty lines, quoted fields, a byte order mark,
CRLF, UTF-16, compression, and semicolons or tabs in place of commas are all fine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from geosteer.decision.records import on_earth
from geosteer_loader.sources.columns import delimiter_of, places_of, role_of, split_fields
from geosteer_loader.sources.countries import CONTINENTS, COUNTRIES, geo_record, is_known, locate
from geosteer_loader.sources.prefix import parse_prefix
from geosteer_loader.sources.text_source import PlainReading, TextSource

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from geosteer_loader.sources.report import Report
    from geosteer_loader.sources.source import Row
    from geosteer_loader.sources.text_source import Reading

_FORM = "expected `prefix,country` or `prefix,country,latitude,longitude`"


class CsvSource(TextSource):
    """One file."""

    def reading(self, report: Report) -> Reading:
        """A new pass."""
        return _Reading(report)


class _Reading(PlainReading):
    def __init__(self, report: Report) -> None:
        self._report = report
        self._columns = _Columns(None)
        self._first = True
        self._delimiter = ""

    def entry(self, number: int, text: str) -> Iterable[Row]:
        """The row of a line, none of a header. Raises: ValueError: malformed."""
        self._delimiter = self._delimiter or delimiter_of(text)
        fields = split_fields(text, self._delimiter)
        is_header, self._first = _is_header(fields, first=self._first), False
        if is_header:
            self._columns = _Columns(fields)
            return ()
        entry = self._columns.entry(fields)
        bits, start, length = parse_prefix(entry.prefix)
        record = _record(entry)
        code = entry.country.partition("-")[0]
        if odd := locate(code, entry.continent, entry.registered).oddity:
            self._report.note(odd, f"line {number}: {text}")
        return ((bits, start, length, record),)


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
        places = {role: place for role, place in places_of(header).items() if role in _Entry._fields}
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


def _is_header(fields: Sequence[str], *, first: bool) -> bool:
    """Whether a line has names of columns: known ones; on the *first* line any that are no prefix and country."""
    named = [role_of(field) in _Entry._fields for field in fields]
    if named[0] and any(named[1:]):
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

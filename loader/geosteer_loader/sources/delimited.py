"""Databases as delimited text: a prefix, or the first and last address of a range, on each line, then what is known of it.

Ranges need not be prefixes, and addresses may be decimal numbers. DB-IP, ip-location-db, IP2Location, IPinfo, iptoasn and
others write such files, with or without names of columns; IPv4-mapped ranges (::ffff:0:0/96), as IP2Location's IPv6 files have
them, are the IPv4 addresses that they carry. An empty country, `-` and ZZ are holes: known to be unknown.
"""

from __future__ import annotations

import json
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from geosteer.decision.records import geo_text, on_earth
from geosteer.errors import SourceError
from geosteer_loader.sources.columns import NOTHING, Layout, places_of, split_fields
from geosteer_loader.sources.countries import CONTINENTS, geo_region
from geosteer_loader.sources.head import Head
from geosteer_loader.sources.prefix import parse_address, parse_network, split_range
from geosteer_loader.sources.text_source import PlainReading, TextSource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from geosteer_loader.sources.report import Report
    from geosteer_loader.sources.source import Row
    from geosteer_loader.sources.source_files import SourceFile
    from geosteer_loader.sources.text_source import Reading

    Range = tuple[int, int, int]
    """Address bits, first and last address."""

UNSORTED = "ranges out of address order: the longest match counts"
RECORDS = 1 << 16
"""Different records that are kept, so that equal ones are the same text."""
GEO_ROLES = ("country", "continent", "registered", "sub", "lat", "lon")
"""What of a line tells where on earth its addresses are."""
WHERE = ("prefix", "first", "last")
"""What of a line tells which addresses it is of."""

_MAPPED = 0xFFFF


class Fields(NamedTuple):
    """How the lines of a file become fields."""

    layout: Layout
    split: Callable[[str], list[str]]
    """Raises: ValueError."""


class DelimitedSource(TextSource):
    """One file of countries: delimited text, or a JSON object on each line."""

    comments = "#;%"

    def reading(self, report: Report) -> Reading:
        """A new pass. Raises: SourceError: the columns cannot be told."""
        return GeoReading(report, fields_of(self._file, ("country", "continent")))


def fields_of(file: SourceFile, needs: Sequence[str]) -> Fields:
    """How a file's lines become fields; they have at least one of the roles *needs*. Raises: SourceError: they do not."""
    head = Head.read(file)
    try:
        if head.data and head.data[0].startswith("{"):
            fields = json_fields(head.data)
        else:
            layout = head.layout
            fields = Fields(layout, lambda text: split_fields(text, layout.delimiter))
    except ValueError as exc:
        raise SourceError(f"{file.path}: line {head.line}: {exc}") from exc
    if not any(role in fields.layout.places for role in needs):
        wanted = " or ".join(needs)
        raise SourceError(f"{file.path}: line {head.line}: no column of {wanted}: {head.shown!r}")
    return fields


def json_names(lines: Sequence[str]) -> list[str]:
    """The names that JSON objects have: one of which nothing is known may lack some. Lines that are none have no names."""
    names: dict[str, None] = {}
    for line in lines:
        with suppress(ValueError):
            names.update(dict.fromkeys(_flat(line)))
    return list(names)


def json_fields(lines: Sequence[str]) -> Fields:
    """The same for JSON objects with the names of the first *lines*. Raises: ValueError: there is no network."""
    names = json_names(lines)
    places = places_of(names)
    if "prefix" not in places and not {"first", "last"} <= places.keys():
        raise ValueError(f"no network or range: {', '.join(names)[:80]!r}")
    layout = Layout(",", places, None, integers=False, quoted=False, wide=False)

    def split(text: str) -> list[str]:
        values = _flat(text)
        return [values.get(name, "") for name in names]

    return Fields(layout, split)


def _flat(line: str) -> dict[str, str]:
    """The text and numbers of an object, and of those in it. Raises: ValueError: not an object."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as exc:
        raise ValueError(f"not a JSON object: {line[:60]!r}") from exc
    if not isinstance(value, dict):
        raise ValueError(f"not a JSON object: {line[:60]!r}")  # it is data
    found: dict[str, str] = {}
    for name, content in value.items():
        for inner, text in content.items() if isinstance(content, dict) else ((name, content),):
            if isinstance(text, str | int | float) or text is None:
                found.setdefault(inner, "" if text is None else str(text))
    return found


class Places:
    """Where lines are, by their fields."""

    def __init__(self, layout: Layout, report: Report) -> None:
        self._report = report
        places = layout.places
        self._prefix = places.get("prefix", -1)
        self._first, self._last = places.get("first", -1), places.get("last", -1)
        self._integers, self._wide = layout.integers, layout.wide
        self._least: dict[int, int] = {32: 0, 128: 0}
        self._around: dict[int, list[int]] = {32: [], 128: []}

    def rows(self, fields: Sequence[str], number: int) -> tuple[int, list[tuple[int, int]]]:
        """Address bits and prefixes (first address, length) of a line. Raises: ValueError: malformed, or overlaps another."""
        if self._prefix >= 0:
            bits, start, length = parse_network(fields[self._prefix].strip())
            if bits == 128 and length >= 96 and start >> 32 == _MAPPED:
                bits, start, length = 32, start & 0xFFFFFFFF, length - 96
            return bits, [(start, length)]
        bits, first, last = self._range(fields[self._first].strip(), fields[self._last].strip())
        if last < first:
            raise ValueError(f"the range ends before it begins: {fields[self._first]}-{fields[self._last]}")
        if bits == 128 and first >> 32 == last >> 32 == _MAPPED:
            bits, first, last = 32, first & 0xFFFFFFFF, last & 0xFFFFFFFF
        self._check(bits, first, last, number)
        return bits, list(split_range(bits, first, last))

    def _range(self, low: str, high: str) -> Range:
        if self._integers:
            if not (low.isascii() and low.isdecimal() and high.isascii() and high.isdecimal()):
                raise ValueError(f"not the number of an address: {low if not low.isdecimal() else high!r}")
            first, last = int(low[:40]), int(high[:40])
            if last >> 128:
                raise ValueError(f"not the number of an address: {high!r}")
            bits = 128 if self._wide or first >> 32 else 32
            if last >> bits:
                raise ValueError(f"begins as an IPv4 address and ends as none: {low}-{high}")
            return bits, first, last
        bits, first = parse_address(low)
        other, last = parse_address(high)
        if other != bits:
            raise ValueError(f"the range begins and ends in different families: {low}-{high}")
        return bits, first, last

    def _check(self, bits: int, first: int, last: int, number: int) -> None:
        """In address order, a range may hold others, as prefixes do, and cross none."""
        around = self._around[bits]
        if first < self._least[bits]:
            self._report.note(UNSORTED, f"line {number}")
            around.clear()
        self._least[bits] = first
        while around and around[-1] < first:
            around.pop()
        if around and last > around[-1]:
            raise ValueError("the range overlaps one before it")
        around.append(last)


class FieldReading(PlainReading):
    """Lines of fields, of which the first may be a header."""

    def __init__(self, report: Report, fields: Fields) -> None:
        layout = fields.layout
        self.report = report
        self.places = Places(layout, report)
        self._split = fields.split
        self._header = layout.header is not None
        self._fewest = max(place for role, place in layout.places.items() if role in WHERE) + 1

    def entry(self, number: int, text: str) -> Iterable[Row]:
        """The rows of a line. Raises: ValueError: malformed."""
        fields = self._split(text)
        if self._header:
            self._header = False
            return ()
        if len(fields) < self._fewest:
            raise ValueError(f"{len(fields)} fields, expected at least {self._fewest}")
        return self.row(number, text, fields)

    def row(self, number: int, text: str, fields: list[str]) -> Iterable[Row]:
        """The rows of a line's fields. Raises: ValueError: malformed."""
        raise NotImplementedError


class GeoReading(FieldReading):
    """Lines to countries."""

    def __init__(self, report: Report, fields: Fields) -> None:
        super().__init__(report, fields)
        places = fields.layout.places
        self._columns = [(role, places[role]) for role in GEO_ROLES if role in places]
        self._fewest = max(self._fewest, min(place for _, place in self._columns) + 1)
        self._record: Callable[..., tuple[str, str | None]] = lru_cache(maxsize=RECORDS)(self._make)

    def row(self, number: int, text: str, fields: list[str]) -> Iterable[Row]:
        """The rows of a line's fields. Raises: ValueError: malformed."""
        count = len(fields)
        record, odd = self._record(*[fields[at] if at < count else "" for _, at in self._columns])
        bits, prefixes = self.places.rows(fields, number)
        if odd:
            self.report.note(odd, f"line {number}: {text}")
        return [(bits, start, length, record) for start, length in prefixes]

    def _make(self, *texts: str) -> tuple[str, str | None]:
        """The record of a line's fields, and what is odd about it. Raises: ValueError: no codes, or not on earth."""
        return geo_of({role: text for (role, _), text in zip(self._columns, texts, strict=True)})


def geo_of(told: Mapping[str, str]) -> tuple[str, str | None]:
    """The record for what is told by role, and what a log should say of it.

    Raises: ValueError: codes that are none, or coordinates out of range.
    """
    known = {role: text.strip() for role, text in told.items() if text.strip() not in NOTHING}
    country, _, sub = known.get("country", "").partition("-")
    for code in (country, known.get("registered", "")):
        if code and not (len(code) == 2 and code.isascii() and code.isalnum()):
            raise ValueError(f"not a country code: {code[:60]!r}")
    continent = known.get("continent", "").upper()
    if continent not in CONTINENTS and continent not in {"", "ZZ"}:
        raise ValueError(f"unknown continent code {continent[:60]!r}")
    region, odd = geo_region(country, sub or known.get("sub"), continent, known.get("registered", ""))
    lat, lon = known.get("lat", ""), known.get("lon", "")
    if not region or not (lat and lon):
        return region, odd
    degrees = _degrees(lat), _degrees(lon)
    if not on_earth(*degrees):
        raise ValueError(f"coordinates out of range: {lat},{lon}")
    return geo_text(region, *degrees), odd


def _degrees(text: str) -> float:
    try:
        return float(text)
    except ValueError as exc:
        raise ValueError(f"invalid number of degrees: {text[:60]!r}") from exc

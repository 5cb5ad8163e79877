"""Columns of delimited text: how a line becomes fields, and which field is what, by its header or by its content."""

from __future__ import annotations

import csv
import re
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from geosteer_loader.sources.countries import CONTINENTS, is_known
from geosteer_loader.sources.prefix import parse_network

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

T = TypeVar("T")

DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs"}
"""What parts fields, and how messages call it."""

WORDS = {
    "prefix": ("prefix", "network", "cidr", "subnet", "ip_prefix", "ip_network", "net", "ip"),
    "first": (
        "start_ip", "ip_start", "ip_range_start", "range_start", "network_start_ip", "network_start_integer", "ip_from",
        "start_address", "first_ip", "start",
    ),
    "last": (
        "end_ip", "ip_end", "ip_range_end", "range_end", "network_last_ip", "network_last_integer", "ip_to",
        "end_address", "last_ip", "end",
    ),
    "country": (
        "country_iso_code", "country_code", "iso_code", "cc", "iso", "countrycode", "alpha2code", "country",
    ),
    "registered": ("registered_country_iso_code", "registered_country_code", "registered_country"),
    "continent": ("continent_code", "continent"),
    "sub": ("subdivision_1_iso_code", "subdivision_code", "region_code", "subdivision", "region"),
    "lat": ("latitude", "lat"),
    "lon": ("longitude", "lon", "lng", "long"),
    "asn": ("autonomous_system_number", "asn", "as_number", "origin_asn", "origin_as"),
    "geoname": ("geoname_id",),
    "registered_geoname": ("registered_country_geoname_id",),
}  # fmt: skip
"""What may stand in a column -> names of such columns, the surest first: beside `country_code`, `country` is a name."""
_ROLES = {word: role for role, words in WORDS.items() for word in words}

NOTHING = frozenset({"", "-", "None"})
"""What stands in a field of which nothing is known."""

_NAMES = frozenset({"region", "subdivision"})
"""Columns that databases have names of regions in, not codes."""

_ASN = re.compile(r"(?:AS)?[0-9]{1,10}(?:\.[0-9]{1,5})?", re.IGNORECASE)
_DEGREES = re.compile(r"[+-]?[0-9]{1,3}(?:\.[0-9]+)?")
_FEW = 20
"""Lines below which one malformed line is more than a tenth of them."""


class Layout(NamedTuple):
    """How the lines of a delimited text are made up."""

    delimiter: str
    places: Mapping[str, int]
    """Role, as in `WORDS` -> column, counted from 0."""
    header: Sequence[str] | None
    """Names of the columns, where the text has them."""
    integers: bool
    """Addresses are decimal numbers."""
    quoted: bool
    """The first field stands in quotes."""
    wide: bool
    """The numbers are of IPv6 addresses."""

    def __str__(self) -> str:
        """As people read it: `first, last, country, parted by commas`."""
        roles = ", ".join(sorted(self.places, key=lambda role: self.places[role]))
        return f"{roles}, parted by {DELIMITERS[self.delimiter]}"


def role_of(name: str) -> str | None:
    """What stands in a column of that name; None: it does not matter here."""
    return _ROLES.get(_word(name))


def places_of(header: Sequence[str]) -> dict[str, int]:
    """Role -> column for the names of columns."""
    columns: dict[str, int] = {}
    for place, name in enumerate(header):
        columns.setdefault(_word(name), place)
    return {
        role: columns[word]
        for role, words in WORDS.items()
        if (word := next((word for word in words if word in columns), None))
    }


def delimiter_of(text: str) -> str:
    """What parts the fields of a line: the first candidate outside quotes; a comma if there is none."""
    quoted = False
    for char in text:
        if char == '"':
            quoted = not quoted
        elif char in DELIMITERS and not quoted:
            return char
    return ","


def split_fields(text: str, delimiter: str = ",") -> list[str]:
    """The fields of a line, without blanks around them. Raises: ValueError: quotes that do not end, or with text behind.

    Between tabs such quotes are text like any other.
    """
    if '"' not in text:
        return [part.strip() for part in text.split(delimiter)]
    if text[0] == text[-1] == '"' and '""' not in text:
        parts = text[1:-1].split(f'"{delimiter}"')
        if text.count('"') == 2 * len(parts):  # every field is quoted, and none has a quote in it
            return parts
    try:
        (fields,) = csv.reader([text], delimiter=delimiter, skipinitialspace=True, strict=True)
    except (csv.Error, ValueError) as exc:
        if delimiter == "\t":  # quotes are part of the text there, such as iptoasn's names of ASes
            return [part.strip() for part in text.split(delimiter)]
        raise ValueError(f"malformed CSV: {text[:60]!r}") from exc
    return [part.strip() for part in fields]


def layout_of(lines: Sequence[str]) -> Layout:
    """How the first *lines* of a text, without comments and empty ones, are made up.

    Raises: ValueError: says what is missing.
    """
    if not lines:
        raise ValueError("no line with data")
    delimiter = delimiter_of(lines[0])
    fields = split_fields(lines[0], delimiter)
    if len(fields) < 2:
        raise ValueError(f"its first line has no fields parted by {', '.join(DELIMITERS.values())}")
    if not is_place(fields[0]) and not (len(fields) > 2 and is_place(fields[1])):
        return _headed(lines, delimiter, fields)
    return _unheaded(split_lines(lines, delimiter), delimiter, quoted=lines[0][0] == '"')


def split_lines(lines: Sequence[str], delimiter: str) -> list[list[str]]:
    """The fields of those lines that have any."""
    rows = []
    for line in lines:
        with suppress(ValueError):
            rows.append(split_fields(line, delimiter))
    return rows


def is_place(text: str) -> bool:
    """Whether a field is a prefix, an address, or the decimal number of one."""
    if text.isascii() and text.isdecimal():
        return True
    try:
        parse_network(text.partition("/")[0])
    except ValueError:
        return False
    return True


def _is_address(text: str) -> bool:
    return "/" not in text and is_place(text)


def _is_degrees(text: str) -> bool:
    return text in NOTHING or _DEGREES.fullmatch(text) is not None


def is_code(text: str) -> bool:
    """Whether a field is a country code, or says that none is known."""
    return text in NOTHING or is_known(text.upper().partition("-")[0])


def mostly(check: Callable[[T], object], values: Sequence[T]) -> bool:
    """Whether nine of ten pass a check, two of three of a few: the others are malformed lines, named when they are read."""
    return sum(not check(value) for value in values) * (3 if len(values) < _FEW else 10) <= len(values)


def is_asn(text: str) -> bool:
    """Whether a field is the number of an AS, or says that there is none."""
    return text in NOTHING or _ASN.fullmatch(text) is not None


def _headed(lines: Sequence[str], delimiter: str, header: Sequence[str]) -> Layout:
    places = places_of(header)
    if "prefix" not in places and not {"first", "last"} <= places.keys():
        raise ValueError(f"no column of prefixes or ranges: {delimiter.join(header)[:80]!r}")
    if {"first", "last"} <= places.keys():
        places.pop("prefix", None)
    else:
        places = {role: place for role, place in places.items() if role not in {"first", "last"}}
    if "sub" in places and _word(header[places["sub"]]) in _NAMES:
        del places["sub"]
    second = split_fields(lines[1], delimiter) if len(lines) > 1 else []
    start = second[places["first"]] if len(second) > places.get("first", len(second)) else ""
    return _finished(delimiter, places, header, start, second, quoted=lines[-1][0] == '"')


def _unheaded(rows: list[list[str]], delimiter: str, *, quoted: bool) -> Layout:
    first = rows[0]
    columns = list(zip(*(row + [""] * (len(first) - len(row)) for row in rows), strict=False))[: len(first)]
    places = {"prefix": 0}
    rest = 1
    if _is_address(first[0]) and _is_address(first[1]) and first[0].isdecimal() == first[1].isdecimal():
        places = {"first": 0, "last": 1}
        rest = 3 if len(first) > 3 and "/" in first[2] and is_place(first[2]) else 2
    elif first[0].isdecimal():
        raise ValueError("its lines begin with a single number")
    _name(columns, rest, places)
    return _finished(delimiter, places, None, first[0] if "first" in places else "", first, quoted=quoted)


def _name(columns: Sequence[Sequence[str]], at: int, places: dict[str, int]) -> None:
    """Find out what the columns from *at* on are, by what stands in all lines."""
    if at >= len(columns):
        return
    if mostly(is_asn, columns[at]) and any(text not in NOTHING for text in columns[at]):
        places["asn"] = at
        at += 1
    elif (
        at + 1 < len(columns)
        and mostly(lambda text: text.upper() in CONTINENTS or text in NOTHING or text == "ZZ", columns[at])
        and mostly(is_code, columns[at + 1])
        and any(text not in NOTHING for text in columns[at + 1])
    ):
        places["continent"] = at
        at += 1
    if at < len(columns) and mostly(is_code, columns[at]):
        places["country"] = at
    for lat in range(at + 1, len(columns) - 1):
        pair = columns[lat : lat + 2]
        if all(mostly(_is_degrees, column) and any("." in text for text in column) for column in pair):
            places["lat"], places["lon"] = lat, lat + 1
            return


def _finished(
    delimiter: str,
    places: Mapping[str, int],
    header: Sequence[str] | None,
    start: str,
    first: Sequence[str],
    *,
    quoted: bool,
) -> Layout:
    integers = start.isascii() and start.isdecimal()
    wide = integers and len(first) > places["last"] and int(first[places["last"]] or 0) >> 32 > 0
    return Layout(delimiter, places, header, integers, quoted, wide)


def _word(name: str) -> str:
    return name.strip().lower().replace(" ", "_").replace("-", "_")

"""Statistics of the regional Internet registries, delegated and extended: who was given which addresses.

`apnic|AU|ipv4|1.0.0.0|256|20110811|assigned|A91872ED`: registry, country, type, first address, how many (IPv4) or prefix
length (IPv6), date, status, and in extended files an opaque id. A version line and summaries come first. What is available or
reserved belongs to nobody and counts as not listed; AS numbers are not of this table.
Source: the registries' common "RIR statistics exchange format", version 2 and 2.3.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from geosteer.errors import SourceError
from geosteer_loader.sources.countries import geo_region
from geosteer_loader.sources.prefix import parse_address, parse_prefix, split_range
from geosteer_loader.sources.text_source import TextSource

if TYPE_CHECKING:
    from collections.abc import Iterable

    from geosteer_loader.sources.report import Report
    from geosteer_loader.sources.source import Row
    from geosteer_loader.sources.text_source import Reading

REGISTRIES = frozenset({"afrinic", "apnic", "arin", "iana", "lacnic", "nro", "ripencc"})

UNASSIGNED = "available or reserved: left out"

_GIVEN = frozenset({"allocated", "assigned"})
_LEFT = frozenset({"available", "reserved"})
_VERSION = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_FIELDS = 7


def is_version(line: str) -> bool:
    """Whether a line is the header of such a file: `2|apnic|20240101|...`."""
    fields = line.split("|")
    return (
        len(fields) >= _FIELDS
        and _VERSION.fullmatch(fields[0]) is not None
        and fields[1].lower() in REGISTRIES
    )


def is_record(line: str) -> bool:
    """Whether a line is a record or a summary of such a file."""
    fields = line.split("|")
    return len(fields) >= 6 and fields[0].lower() in REGISTRIES and fields[2] in {"asn", "ipv4", "ipv6"}


class RegistrySource(TextSource):
    """One file, or several one after the other."""

    def reading(self, report: Report) -> Reading:
        """A new pass."""
        return _Reading(self.name, report)


class _Reading:
    def __init__(self, name: str, report: Report) -> None:
        self._name = name
        self._report = report
        self._empty = True

    def comment(self, _number: int, text: str) -> None:
        """Nothing is noted."""

    def entry(self, number: int, text: str) -> Iterable[Row]:
        """The rows of a line, none of headers, AS numbers and what is not given out. Raises: ValueError: malformed."""
        if not is_record(text):
            if is_version(text):
                return ()
            raise ValueError(f"not a line of a registry's statistics: {text[:60]!r}")
        fields = text.split("|")
        if fields[5] == "summary" or fields[2] == "asn":
            return ()
        if len(fields) < _FIELDS:
            raise ValueError(f"{len(fields)} fields, expected at least {_FIELDS}")
        _, country, kind, start, value, _, status = fields[:_FIELDS]
        bits, prefixes = _prefixes(kind, start, value)
        self._empty = False
        if status in _LEFT:
            self._report.note(UNASSIGNED, f"line {number}: {text}")
            return ()
        if status not in _GIVEN:
            raise ValueError(f"unknown status {status[:60]!r}")
        code = country.strip() if country.strip() != "*" else ""
        if code and not (len(code) == 2 and code.isascii() and code.isalnum()):
            raise ValueError(f"not a country code: {country[:60]!r}")
        record, odd = geo_region(code, None, "", "")
        if odd:
            self._report.note(odd, f"line {number}: {text}")
        return [(bits, first, length, record) for first, length in prefixes]

    def end(self) -> Iterable[Row]:
        """Nothing is left. Raises: SourceError: there were no addresses."""
        if self._empty:
            raise SourceError(f"{self._name}: contains no record of addresses")
        return ()


def _prefixes(kind: str, start: str, value: str) -> tuple[int, list[tuple[int, int]]]:
    """Address bits and prefixes (first address, length) of a record. Raises: ValueError: malformed."""
    if not (value.isascii() and value.isdecimal()) or len(value) > 10:
        raise ValueError(f"not a number of addresses or a prefix length: {value[:60]!r}")
    if kind == "ipv6":
        bits, first, length = parse_prefix(f"{start}/{value}")
        if bits != 128:
            raise ValueError(f"not an IPv6 address: {start!r}")
        return bits, [(first, length)]
    bits, first = parse_address(start)
    last = first + int(value) - 1
    if bits != 32 or last < first or last >> 32:
        raise ValueError(f"not a range of IPv4 addresses: {start} and {value} addresses")
    return bits, list(split_range(bits, first, last))

"""Country zones in rbldnsd's ip4set format, for example `zz.countries.nerd.dk.rbldnsd`.

A line is a range and a value `:A:TXT`; the text is the country code, and A = 127.0.X.Y has X*256 + Y =
ISO numeric code. Read as rbldnsd 1.0 reads it, except that what it ignores with a warning is an error
here, and that the longest prefix counts (rbldnsd looks by /32, /24, /16, /8 and returns all that it finds
there).
Source: rbldnsd(8), "ip4set Dataset", and trials with rbldnsd.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from geosteer_loader.sources.countries import NUMERIC, WITHDRAWN_NUMERIC, geo_record, is_known, locate
from geosteer_loader.sources.prefix import split_range
from geosteer_loader.sources.text_source import PlainReading, TextSource

if TYPE_CHECKING:
    from collections.abc import Iterable

    from geosteer_loader.sources.report import Report
    from geosteer_loader.sources.source import Row
    from geosteer_loader.sources.text_source import Reading

Value = tuple[int, str]
"""Address and text that a line answers with."""

DEFAULT: Value = (0x7F000002, "")
"""What rbldnsd gives for lines without a value before any default line: 127.0.0.2 and no text."""

DISAGREE = "code and number name different countries: the code counts"
NUMBER = "unknown country codes beside a known number: the number counts"
TOO_LARGE = "larger than $MAXRANGE4: ignored"

_ENTRY = re.compile(r"(!?)\s*([0-9][0-9./-]*)(?=[\s:]|$)(.*)")
_ADDRESS = re.compile(r":\s*([0-9.]+)\s*(?::(.*)|[#;].*)?")
_DIRECTIVE = re.compile(r"[#;:]?\$(.*)")


class NerdSource(TextSource):
    """One zone file; a range that is no prefix gives several rows, an exclusion holes."""

    comments = "#;"

    def reading(self, report: Report) -> Reading:
        """A new pass."""
        return _Reading(report)


class _Reading(PlainReading):
    def __init__(self, report: Report) -> None:
        self._report = report
        self._default, self._most = DEFAULT, 1 << 32
        self._records: dict[Value, tuple[str, str | None]] = {}

    def comment(self, _number: int, text: str) -> None:
        """A directive may look like a comment."""
        self._directed(text)

    def entry(self, number: int, text: str) -> Iterable[Row]:
        """The rows of a line. Raises: ValueError: malformed."""
        if self._directed(text):
            return ()
        if text[0] == ":":
            self._default = _value(text, self._default)
            return ()
        first, last, value = _entry(text, self._default)
        if last - first >= self._most:
            self._report.note(TOO_LARGE, f"line {number}")
            return ()
        record = self._record(number, text, value) if value is not None else ""
        return [(32, start, length, record) for start, length in split_range(32, first, last)]

    def _directed(self, text: str) -> bool:
        directive = _DIRECTIVE.match(text)
        if directive:
            self._most = _limit(directive[1], self._most)
        return directive is not None

    def _record(self, number: int, text: str, value: Value) -> str:
        if value not in self._records:
            self._records[value] = _record(*value)
        record, odd = self._records[value]
        if odd:
            self._report.note(odd, f"line {number}: {text}")
        return record


def _entry(text: str, default: Value) -> tuple[int, int, Value | None]:
    """First and last address and the value, None for an exclusion."""
    entry = _ENTRY.fullmatch(text)
    if entry is None:
        raise ValueError(f"invalid IPv4 range: {text[:60]!r}")
    first, last = parse_range(entry[2])
    return first, last, None if entry[1] else _value(entry[3].strip(), default)


def parse_range(text: str) -> tuple[int, int]:
    """First and last address of `1.2.3.4`, `1.2.3`, `10/8`, `1.2.0.0-1.2.3.255`, `1.7.1-3`, `1.2-1.3`.

    Raises: ValueError: says what is wrong.
    """
    left, dash, right = text.partition("-")
    if not dash:
        return _network(text)
    low, high = _octets(left), _octets(right)
    if len(high) == 1:
        high = [*low[:-1], *high]
    elif len(high) < len(low):
        raise ValueError(f"the end of the range is shorter than its beginning: {text!r}")
    first, last = _number(low, 0), _number(high, 255)
    if last < first:
        raise ValueError(f"the range ends before it begins: {text!r}")
    return first, last


def _network(text: str) -> tuple[int, int]:
    address, slash, size = text.partition("/")
    octets = _octets(address)
    length = 8 * len(octets)
    if slash:
        if not size.isdigit() or int(size) > 32:
            raise ValueError(f"prefix length out of range, 0 to 32: {text!r}")
        length = int(size)
    elif length == 8:
        raise ValueError(f"a single number is not a range: {text!r}")
    first = _number(octets, 0)
    hosts = (1 << (32 - length)) - 1
    if first & hosts:
        raise ValueError(f"host bits are set: {text!r}")
    return first, first | hosts


def _octets(text: str) -> list[int]:
    parts = text.split(".")
    if len(parts) > 4 or not all(part.isdigit() and len(part) <= 3 and int(part) <= 255 for part in parts):
        raise ValueError(f"invalid IPv4 address: {text!r}")
    return list(map(int, parts))


def _number(octets: list[int], filler: int) -> int:
    return int.from_bytes(bytes(octets) + bytes([filler]) * (4 - len(octets)), "big")


def _value(text: str, default: Value) -> Value:
    """The value of a line from what stands behind its range."""
    if not text or text[0] in "#;":
        return default
    if text[0] != ":":
        return default[0], text
    match = _ADDRESS.fullmatch(text)
    octets = _octets(match[1]) if match else []
    if match is None or len(octets) not in {1, 4} or not any(octets):
        raise ValueError(f"invalid value, expected `:A:TXT`: {text[:60]!r}")
    address = _number(octets, 0) if len(octets) == 4 else 0x7F000000 | octets[0]
    return address, default[1] if match[2] is None else match[2].strip()


def _limit(directive: str, most: int) -> int:
    """Addresses that a range may have, of `MAXRANGE4 /8` or `MAXRANGE4 256`; it can only be lowered."""
    words = directive.split()
    if len(words) < 2 or words[0] != "MAXRANGE4":
        return most
    length = words[1].removeprefix("/")
    if not length.isascii() or not length.isdigit():
        return most
    if length != words[1]:
        return min(most, 1 << (32 - min(int(length), 32)))
    return min(most, int(length) or most)


def _record(address: int, text: str) -> tuple[str, str | None]:
    """The record for a value, and what is odd about it."""
    code = text.upper() if len(text) == 2 and text.isascii() and text.isalpha() else ""
    value = address & 0x7FFF if address >> 16 == 0x7F00 else 0
    number = NUMERIC.get(value) or WITHDRAWN_NUMERIC.get(value)
    if is_known(text.upper()):
        record, by_number = geo_record(text), geo_record(number)
        if record and by_number and record != by_number and not record.startswith("@"):
            return record, DISAGREE
        return record, locate(text).oddity
    if number is not None:
        return geo_record(number), NUMBER if code else locate(number).oddity
    return "", locate(code).oddity

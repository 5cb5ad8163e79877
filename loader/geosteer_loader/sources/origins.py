"""Lists of prefixes with their origin AS: pyasn's .dat, CAIDA's prefix2as, and plain `prefix AS15169`.

Origins stand in the order of the file: CAIDA writes several as `10_20`, most frequent first, and the members of an AS set
as `10,20`; others write sets as `{10 20}`. Which prefixes and ASes count is decided in the module `routes`.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from geosteer.errors import SourceError
from geosteer_loader.sources.bgp_routes import (
    ALL_INVALID,
    AS_SET,
    INVALID,
    MAX_ORIGINS,
    NOT_FOUND,
    PRIVATE,
    TOO_MANY,
    UNORIGINATED,
    VALID,
    is_public,
    origin_record,
    unusable,
)
from geosteer_loader.sources.prefix import parse_network
from geosteer_loader.sources.text_source import TextSource

if TYPE_CHECKING:
    from collections.abc import Iterable

    from geosteer_loader.sources.report import Report
    from geosteer_loader.sources.source import Authorised, Row
    from geosteer_loader.sources.source_files import SourceFile
    from geosteer_loader.sources.text_source import Reading

_ORIGIN = re.compile(r"(?:AS)?(?:([0-9]{1,5})\.)?([0-9]{1,10})", re.IGNORECASE)
_HALF = 1 << 16
_ORIGINAL = re.compile(
    r"[;#]\s*Original (?:file|source)\s*:.*?\b(?:rib|bview|rib_v6v4|rib6)[._]?(\d{8})\.(\d{4})\b", re.ASCII
)
_BETWEEN = re.compile(r"[_,\s{}]+")
_SET = re.compile(r"[0-9]\s*,|\{\s*[0-9]+[\s,]+[0-9]")


class _Origins(NamedTuple):
    """What is made of the origins of a line."""

    record: str
    """"" without a public one."""
    odd: tuple[str, ...]
    """Kinds for the report."""
    numbers: tuple[int, ...]
    """All of them, private ones too."""
    of_a_set: bool
    """They are members of AS sets, so that the route has no origin that could be valid."""
    invalid: bool = False
    """None of them counts."""


class OriginListSource(TextSource):
    """One list; *split* says that prefix and length are columns of their own (prefix2as)."""

    comments = ";#"

    def __init__(self, file: SourceFile, *, split: bool, authorised: Authorised | None = None) -> None:
        super().__init__(file)
        self._split = split
        self._authorised = authorised

    def reading(self, report: Report) -> Reading:
        """A new pass."""
        return _Reading(self.name, OriginRows(report, self._authorised), report, split=self._split)


class _Reading:
    def __init__(self, name: str, origins: OriginRows, report: Report, *, split: bool) -> None:
        self._name = name
        self._origins = origins
        self._report = report
        self._parts = _split if split else _joined
        self._empty = True

    def comment(self, _number: int, text: str) -> None:
        """A header may have the date."""
        if self._empty and (date := header_date(text)):
            self._report.date(date)

    def entry(self, _number: int, text: str) -> Iterable[Row]:
        """The row of a line. Raises: ValueError: malformed."""
        self._empty = False
        prefix, rest = self._parts(text)
        network = parse_network(prefix)
        return self._origins.rows(network, rest, text)

    def end(self) -> Iterable[Row]:
        """Nothing is left. Raises: SourceError: there was no line."""
        if self._empty:
            raise SourceError(f"{self._name}: contains no prefix")
        return ()


class OriginRows:
    """The rows of prefixes with their origins, as text; which count is decided here for all formats of such lists."""

    def __init__(self, report: Report, authorised: Authorised | None) -> None:
        self._report = report
        self._authorised = authorised
        self._known: dict[str, _Origins] = {}

    def rows(self, network: tuple[int, int, int], text: str, line: str) -> Iterable[Row]:
        """The row of a prefix, none where it does not count. Raises: ValueError: not AS numbers.

        Args: text: the origins, most seen first; line: for the report.
        """
        origins = self.check(text)
        why = unusable(*network)
        if why is None and self._authorised is not None:
            origins = _judged(network, origins, self._authorised(*network), self._report)
            why = ALL_INVALID if origins.invalid else None
        why = why or (None if origins.record else UNORIGINATED)
        if why:
            self._report.note(why, line)
            return ()
        for kind in origins.odd:
            self._report.note(kind, line)
        return ((*network, origins.record),)

    def check(self, text: str) -> _Origins:
        """What the origins of a line come to. Raises: ValueError: not AS numbers."""
        origins = self._known.get(text)
        if origins is None:
            origins = self._known[text] = _origins(text)
        return origins


def header_date(line: str) -> int | None:
    """When the routes were seen, as a line of pyasn's header tells it, seconds since 1970.

    By the name of the dump that they were taken from (`; Original file : rib.20140513.0600.bz2`), whose time is UTC; when
    they were converted (`; Converted on`) says nothing of their age.
    """
    match = _ORIGINAL.match(line)
    if match is None:
        return None
    try:
        then = datetime.strptime(match[1] + match[2], "%Y%m%d%H%M").replace(tzinfo=UTC)
    except ValueError:
        return None
    return max(int(then.timestamp()), 0) or None


def parse_asn(text: str) -> int:
    """The number of an AS: `15169`, `AS15169` or, as two halves, `1.10` (asdot, RFC 5396). Raises: ValueError: none."""
    match = _ORIGIN.fullmatch(text)
    if match is None:
        raise ValueError(f"invalid AS number: {text[:60]!r}")
    high, low = match[1], int(match[2])
    number = low if high is None else int(high) * _HALF + low
    if number >= _HALF * _HALF or (high is not None and low >= _HALF):
        raise ValueError(f"invalid AS number: {text[:60]!r}")
    return number


def _split(text: str) -> tuple[str, str]:
    """Prefix and origins of a line whose prefix and length are columns of their own. Raises: ValueError: they are not."""
    address, _, rest = text.replace("\t", " ").partition(" ")
    if "/" in address:
        raise ValueError(f"prefix and length in one column (format pyasn has them so): {address!r}")
    length, _, rest = rest.lstrip().partition(" ")
    return f"{address}/{length}", rest


def _joined(text: str) -> tuple[str, str]:
    """Prefix and origins of a line. Raises: ValueError: no prefix length."""
    prefix, _, rest = text.replace("\t", " ").partition(" ")
    if "/" not in prefix:  # a prefix2as line would pass as an address with several origins
        hint = " (format prefix2as has it in the next column)" if rest.lstrip()[:1].isdigit() else ""
        raise ValueError(f"missing prefix length: {prefix!r}{hint}")
    return prefix, rest


def _origins(text: str) -> _Origins:
    """What a line's origins come to, without those that are private or reserved.

    Raises: ValueError: not AS numbers.
    """
    words = [word for word in _BETWEEN.split(text.strip()) if word]
    numbers = [parse_asn(word) for word in words]
    if not numbers:
        raise ValueError(f"invalid AS number: {text[:60]!r}")
    public = list(dict.fromkeys(filter(is_public, numbers)))
    odd = {
        AS_SET: _SET.search(text) is not None,
        PRIVATE: not all(map(is_public, numbers)),
        TOO_MANY: len(public) > MAX_ORIGINS,
    }
    kinds = tuple(kind for kind, seen in odd.items() if seen)
    return _Origins(origin_record(public[:MAX_ORIGINS]), kinds, tuple(dict.fromkeys(numbers)), odd[AS_SET])


def _judged(
    network: tuple[int, int, int], origins: _Origins, allowed: frozenset[int] | None, report: Report
) -> _Origins:
    """The origins that count, by those that RPKI allows the network (None: nothing is known)."""
    if allowed is None:
        report.judged[NOT_FOUND] += len(origins.numbers)
        return origins
    valid = () if origins.of_a_set else tuple(asn for asn in origins.numbers if asn in allowed)
    report.judged[VALID] += len(valid)
    if len(valid) == len(origins.numbers):
        return origins
    report.judged[INVALID] += len(origins.numbers) - len(valid)
    for asn in origins.numbers:
        if asn not in valid:
            report.pass_over(network, None if origins.of_a_set else asn)
    public = [asn for asn in valid if is_public(asn)]
    return origins._replace(record=origin_record(public[:MAX_ORIGINS]), odd=(), invalid=not valid)

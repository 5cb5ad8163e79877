"""What BGP data means for the tables `bgp` and `path`: which routes count, whose they are, how far away.

- The origin of a path is its last AS. Private and reserved ones are skipped backwards along the path, as pyasn does: the AS
  before them is the one that announces the network to the world. An AS set at the end gives all its members.
- A prefix has the origins that its entries name, most named first, ties to the lower number.
- Default routes and bogon prefixes (v4-mapped networks among them) are left out, and so is a prefix for which no public AS is
  left: a wider prefix then counts there. Prefixes longer than /24 and /48 stay.
- A route whose origin is invalid by RFC 6811, where routes are judged, counts neither as an origin nor as a path.
- The length of a path counts as routers count it (RFC 4271, 9.1.2.2): prepending counts, a set is one, confederations are
  none (RFC 5065, 5.3).

Source: IANA's registries of AS numbers and of special-purpose addresses.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from geosteer.decision.client import prefix_text
from geosteer.decision.records import origins_text
from geosteer_loader.sources.prefix import parse_prefix

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from geosteer_loader.sources.report import Report
    from geosteer_loader.sources.source import Authorised, Row

    Step = tuple[int] | frozenset[int]
    """Of a path: an AS, or the members of an AS set."""

RESERVED_ASES = ((0, 0), (23456, 23456), (64496, 65551), (4200000000, 4294967295))
"""First and last of each block: AS 0, AS_TRANS, documentation and private use; 65536 begins the 32-bit documentation block."""

BOGONS = (
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
    "192.0.2.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
    "224.0.0.0/4", "240.0.0.0/4", "2001:db8::/32", "3fff::/20",
)  # fmt: skip
"""Networks that nobody can reach from outside; of IPv6 also all that is not in 2000::/3."""

MAX_LENGTH = 15
"""A longer path counts as this long: its length tells nothing any more."""

MAX_ORIGINS = 16
"""As many as a record of 255 bytes holds; the networks of the most origins known have about 10."""

DEFAULT_ROUTE = "default routes: left out"
BOGON = "bogon prefixes: left out"
UNORIGINATED = "no public origin AS: left out"
SKIPPED = "private or reserved origin AS: the AS before it counts"
AS_SET = "origin is an AS set: all its members count"
PRIVATE = "private or reserved AS among several origins: left out"
NO_ROUTE = "no route to it: left out"
ALL_INVALID = "rpki invalid: passed over"
VALID, INVALID, NOT_FOUND = "valid", "invalid", "not found"
"""What RFC 6811 calls a route."""
TOO_MANY = f"more than {MAX_ORIGINS} origins: the others are left out"

_BY_OCTET: dict[tuple[int, int], list[tuple[int, int]]] = {}
for _bits, _start, _length in map(parse_prefix, BOGONS):
    _first = _start >> (_bits - 8)
    for _octet in range(_first, _first + (1 << max(8 - _length, 0))):
        _BY_OCTET.setdefault((_bits, _octet), []).append((_start, _length))
_GLOBAL_UNICAST = 0b001
_NO_PATH = 1 << 32
"""Longer than any path."""


def is_public(asn: int) -> bool:
    """Whether an AS number can be somebody's on the Internet."""
    return not any(first <= asn <= last for first, last in RESERVED_ASES)


def unusable(bits: int, start: int, prefix_len: int) -> str | None:
    """Why a prefix is left out, or None."""
    if prefix_len == 0:
        return DEFAULT_ROUTE
    if bits == 128 and start >> 125 != _GLOBAL_UNICAST:
        return BOGON
    for block, length in _BY_OCTET.get((bits, start >> (bits - 8)), ()):
        if length <= prefix_len and (start ^ block) >> (bits - length) == 0:
            return BOGON
    return None


def origin_record(origins: Iterable[int]) -> str:
    """The record of a `bgp` table for origins in order, for example `AS10 AS20`; "" without any."""
    return origins_text(origins)


@dataclass(frozen=True, slots=True, kw_only=True)
class AsPath:
    """What is wanted of the AS path of one route."""

    origins: tuple[int, ...]
    """Public ASes that the route may come from: one, several of a set, or none."""
    length: int
    """Hops, as routers count them."""
    odd: str | None
    """A kind for the report."""
    origin: int | None = None
    """The last AS, be it public or not, as origin validation takes it (RFC 6811, 2); None: an AS set."""
    text: str = field(default="", compare=False)
    """The whole path as people read it, where it is kept (`steps_text`): nothing that counts depends on it."""


def as_path(steps: Sequence[Step]) -> AsPath:
    """From the steps of a path, first to last; confederations are left out before."""
    origin = None if not steps or isinstance(steps[-1], frozenset) else steps[-1][0]
    for back, step in enumerate(reversed(steps)):
        origins = tuple(sorted(asn for asn in set(step) if is_public(asn)))
        if origins:
            odd = SKIPPED if back else AS_SET if isinstance(step, frozenset) else None
            return AsPath(origins=origins, length=len(steps), odd=odd, origin=origin)
    return AsPath(origins=(), length=len(steps), odd=None, origin=origin)


def steps_text(steps: Sequence[Step]) -> str:
    """A path as people read it, from near to far: `3356 1 {7,8}`."""
    return " ".join(
        f"{{{','.join(map(str, sorted(step)))}}}" if isinstance(step, frozenset) else str(step[0])
        for step in steps
    )


@lru_cache(maxsize=1 << 16)
def plain_path(last: int, length: int) -> AsPath | None:
    """The same for a path without sets and confederations, by its last AS and its length; None if that AS is not public."""
    return AsPath(origins=(last,), length=length, odd=None, origin=last) if is_public(last) else None


def own_path(peer: int) -> AsPath:
    """The same for an empty path: the route is from the peer's own network."""
    return replace(as_path(((peer,),)), length=0)


class Rib:
    """Turns the entries of a routing table into rows; entries of one prefix should follow each other."""

    def __init__(self, report: Report, table: str, authorised: Authorised | None = None) -> None:
        """Args: authorised: by it routes are judged; those with an invalid origin do not count."""
        self._report = report
        self._authorised = authorised
        self._allowed: frozenset[int] | None = None
        self._states: dict[int | None, str] = {}
        self._lengths = table == "path"
        self._prefix: tuple[int, int, int] | None = None
        self._votes: dict[int, int] = {}
        self._length = 0
        self._odd: set[str] = set()
        self._texts: dict[tuple[int, ...], str] = {}

    def enter(self, prefix: tuple[int, int, int], paths: Iterable[AsPath]) -> Row | None:
        """Add entries of a prefix (address bits, first address, length); the row of the one before, if that is complete."""
        row = None
        if prefix != self._prefix:
            row = self.finish()
            self._prefix = prefix
            self._length = _NO_PATH
            if self._authorised is not None:
                self._allowed = self._authorised(*prefix)
                self._states = {}
        if self._authorised is not None:
            paths = self._not_invalid(paths)
        votes, shortest = self._votes, self._length
        for path in paths:
            for origin in path.origins:
                votes[origin] = votes.get(origin, 0) + 1
            shortest = min(shortest, path.length)
            if path.odd:
                self._odd.add(path.odd)
        self._length = shortest
        return row

    def finish(self) -> Row | None:
        """The row of the prefix entered last, if it has one."""
        prefix, votes, odd = self._prefix, self._votes, self._odd
        self._prefix, self._votes, self._odd = None, {}, set()
        if prefix is None:
            return None
        record, why = self._record(votes)
        why = unusable(*prefix) or why
        if self._states:
            why = self._judge(prefix, why)
        if why is None and not self._lengths:
            for kind in sorted(odd):
                self._report.note(kind, prefix_text(*prefix))
            if len(votes) > MAX_ORIGINS:
                self._report.note(TOO_MANY, prefix_text(*prefix))
        if why is not None:
            self._report.note(why, prefix_text(*prefix))
            return None
        return *prefix, record

    def _not_invalid(self, paths: Iterable[AsPath]) -> Iterator[AsPath]:
        allowed, states = self._allowed, self._states
        for path in paths:
            if allowed is None:
                states[path.origin] = NOT_FOUND
            elif path.origin in allowed:
                states[path.origin] = VALID
            else:
                states[path.origin] = INVALID
                continue
            yield path

    def _judge(self, prefix: tuple[int, int, int], why: str | None) -> str | None:
        """Count the states of a prefix's routes; why it is left out."""
        if why in {DEFAULT_ROUTE, BOGON}:
            return why
        for origin, state in self._states.items():
            self._report.judged[state] += 1
            if state == INVALID:
                self._report.pass_over(prefix, origin)
        return ALL_INVALID if INVALID in self._states.values() and why in {NO_ROUTE, UNORIGINATED} else why

    def _record(self, votes: dict[int, int]) -> tuple[str, str | None]:
        if self._length == _NO_PATH:  # a record without entries
            return "", NO_ROUTE
        if self._lengths:
            return str(min(self._length, MAX_LENGTH)), None
        origins = tuple(votes)
        if len(origins) > 1:
            origins = tuple(sorted(votes, key=lambda asn: (-votes[asn], asn)))[:MAX_ORIGINS]
        record = self._texts.get(origins)
        if record is None:  # one text for all prefixes with these origins
            record = self._texts[origins] = origin_record(origins)
        return record, None if origins else UNORIGINATED

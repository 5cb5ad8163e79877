"""Every page of a table gone through, trusting nothing: digests, places, order, coverage, prefix boundaries, records."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from geosteer.decision.client import prefix_text
from geosteer.tables.page_format import MAX_LEAVES
from geosteer_loader.sources.bgp_routes import is_public
from geosteer_loader.sources.countries import CONTINENTS, COUNTRIES
from geosteer_loader.verify.findings import Problem
from geosteer_loader.verify.wholeness import Place, children, fetched, opened

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Collection, Iterator, Sequence

    from geosteer.tables import page_format
    from geosteer_loader.store.store import Store

SAMPLE = 1000
"""Ranges of each family of a table that are looked up again, at their first and last address and somewhere within."""

_GEO = re.compile(
    r"(?:@(?P<continent>[A-Z]{2})|(?P<country>[A-Z]{2})(?:-[A-Z0-9]{1,3})?)"
    r"(?: (?P<lat>-?\d{1,2}(?:\.\d{1,2})?) (?P<lon>-?\d{1,3}(?:\.\d{1,2})?))?"
)
_LENGTH = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*=\d{1,3}")
_TIME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*=[1-9]\d{0,4}")


@dataclass(slots=True)
class Inspection:
    """What was found in one family of one table."""

    pages: int = 0
    ranges: int = 0
    problems: list[Problem] = field(default_factory=list)
    sound: set[str] = field(default_factory=set)
    """Digests of the pages that are there and are what they should be."""
    damaged: set[str] = field(default_factory=set)
    """Digests under which something else lies."""
    addresses: list[int] = field(default_factory=list)
    """A sample: boundaries of ranges, and addresses within them."""


class Inspector:
    """Goes through tables of one store."""

    def __init__(self, store: Store, networks: Collection[str] | None, rng: random.Random) -> None:
        """Args: networks: names that the configuration knows, None if that cannot be read; rng: chooses the sample."""
        self._store = store
        self._networks = networks
        self._rng = rng

    def inspect(
        self, table: str, bits: int, root: str, progress: Callable[[int, int], None] | None = None
    ) -> Inspection:
        """Go through all pages below a root page; *progress* hears of leaves, done and all. Raises: StoreError."""
        inspection = Inspection()
        where = f"{table}.{'v4' if bits == 32 else 'v6'}"
        level = [Place(root, None, 0, (1 << bits) - 1)]
        covered = 0
        last: str | None = None
        sample = _Reservoir(self._rng)
        while level:
            below: list[Place] = []
            for number, (place, page) in enumerate(self._pages(inspection, where, bits, level), 1):
                if page.height:
                    below += children(place, page)
                    if len(below) > MAX_LEAVES:
                        what = f"page {place.name}: repeats its child pages without end"
                        inspection.problems.append(Problem(where, what))
                        return inspection
                    continue
                if progress is not None:
                    progress(number, len(level))
                spans = list(page.spans(place.start))
                ends = [start - 1 for start, _ in spans[1:]] + [place.end]
                covered += place.end - place.start + 1
                self._check_records(inspection, where, table, bits, page, spans)
                for (start, record), end in zip(spans, ends, strict=True):
                    if record != last:
                        inspection.ranges += 1
                    last = str(record)
                    sample.offer((start, end))
            level = below
        if covered != 1 << bits:
            share = 100 * (1 - covered / (1 << bits))
            inspection.problems.append(Problem(where, f"{share:.4g} % of the address space is not covered"))
        inspection.addresses = sorted(set(sample.addresses(bits)))
        return inspection

    def _pages(
        self, inspection: Inspection, where: str, bits: int, level: Sequence[Place]
    ) -> Iterator[tuple[Place, page_format.Page]]:
        """The sound ones of these pages; what is wrong with others is noted."""
        for place, data in fetched(self._store, level):
            inspection.pages += 1
            wrong, page = opened(place, bits, data)
            if page is not None:
                inspection.sound.add(place.name)
                yield place, page
                continue
            if data is not None:
                inspection.damaged.add(place.name)
            inspection.problems.append(
                Problem(f"{where} {place.prefix(bits)}", f"page {place.name}: {wrong}")
            )

    def _check_records(
        self, inspection: Inspection, where: str, table: str, bits: int, page: page_format.Page,
        spans: Sequence[tuple[int, str | bytes]],
    ) -> None:  # fmt: skip
        wrong = {str(value): why for value in page.values if (why := self._wrong(table, str(value)))}
        before: str | bytes | None = None
        for start, record in spans:
            at = f"{where} {prefix_text(bits, start, bits).partition('/')[0]}"
            if record in wrong:
                inspection.problems.append(Problem(at, f"record {str(record)[:60]!r}: {wrong[str(record)]}"))
            if record == before:
                inspection.problems.append(Problem(at, "has the same record as the range before it"))
            before = record

    def _wrong(self, table: str, record: str) -> str:
        """Why a record does not belong in this table; "" if it does."""
        if not record:
            return ""
        if table == "geo":
            return _wrong_place(record)
        words = record.split(" ")
        if table == "bgp":
            numbers = [
                int(word[2:]) if word[:2] == "AS" and word[2:].isdecimal() and len(word) < 13 else 0
                for word in words
            ]
            return "" if all(map(is_public, numbers)) else "not a list of public AS numbers"
        if table == "rtt":
            return "" if all(map(_TIME.fullmatch, words)) else "not a list of nodes and milliseconds"
        if table == "path":
            return "" if all(map(_LENGTH.fullmatch, words)) else "not a list of path lengths"
        known = self._networks is None or record in self._networks
        return "" if known else "a network that the configuration does not have"


def _wrong_place(record: str) -> str:
    parts = _GEO.fullmatch(record)
    if not parts:
        return "not of the form CC[-SUB][ LAT LON] or @CONTINENT"
    if parts["country"] and parts["country"] not in COUNTRIES:
        return "no such country"
    if parts["continent"] and parts["continent"] not in CONTINENTS:
        return "no such continent"
    if parts["lat"] and (abs(float(parts["lat"])) > 90 or abs(float(parts["lon"])) > 180):
        return "invalid latitude or longitude"
    return ""


class _Reservoir:
    """An even sample of ranges, of however many come by."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._kept: list[tuple[int, int]] = []
        self._count = 0

    def offer(self, span: tuple[int, int]) -> None:
        """Consider a range."""
        self._count += 1
        if len(self._kept) < SAMPLE:
            self._kept.append(span)
        elif (at := self._rng.randrange(self._count)) < SAMPLE:
            self._kept[at] = span

    def addresses(self, bits: int) -> Iterator[int]:
        """First, last and some address of every range kept, and addresses from anywhere."""
        for start, end in self._kept:
            yield from (start, end, self._rng.randint(start, end))
        for _ in range(SAMPLE):
            yield self._rng.getrandbits(bits)

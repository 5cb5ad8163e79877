"""How many addresses have which record, and which record an address has, read from pages."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from typing import TYPE_CHECKING

from geosteer.decision.records import country_of
from geosteer.errors import CorruptPage
from geosteer.keys import FAMILIES, root_field
from geosteer.tables import page_format
from geosteer_loader.impact.table_diff import paired
from geosteer_loader.impact.traffic import networks
from geosteer_loader.store.pages import outline

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from geosteer_loader.impact.census import Census
    from geosteer_loader.impact.traffic import Traffic
    from geosteer_loader.store.pages import Pages


ELSEWHERE = "@"
"""Stands for records that name no country."""


class Tally:
    """Counts addresses by what *key* makes of their record; pages that tables share are read once."""

    def __init__(self, fetch: Callable[[str], bytes | None], key: Callable[[str], str]) -> None:
        self._fetch = fetch
        self._key = key
        self._known: dict[str, Counter[str]] = {}

    def count(self, page: str) -> Counter[str]:
        """Key -> number of addresses below a page, of which the digest is given; records that are "" are left out.

        Raises: CorruptPage: a page is missing or damaged.
        """
        known = self._known.get(page)
        if known is None:
            known = self._known[page] = self._count(opened(self._fetch, page))
        return known

    def forget(self, most: int) -> None:
        """Drop what is known where it is of more than so many pages."""
        if len(self._known) > most:
            self._known.clear()

    def _count(self, page: page_format.Page) -> Counter[str]:
        counts: Counter[str] = Counter()
        if page.height:
            for position in page.index:
                counts.update(self.count(_digest(page, position)))
            return counts
        base = page.starts[0] << page.shift
        ends = [start << page.shift for start in page.starts[1:]]
        ends.append(base + (1 << (page.bits - page.prefix_len)))
        keys = [self._key(str(record)) if record else "" for record in page.values]
        for start, end, position in zip(page.starts, ends, page.index, strict=True):
            if keys[position]:
                counts[keys[position]] += end - (start << page.shift)
        return counts


def country_or_elsewhere(record: str) -> str:
    """The country of a `geo` record, `ELSEWHERE` when it names none."""
    return country_of(record) or ELSEWHERE


def countries(
    pages: Pages, fields: Mapping[str, str], census: Census, traffic: Traffic | None = None
) -> dict[str, float]:
    """Country -> its IPv4 addresses in the table `geo` that *fields* (of `current`) name; with *traffic*, its part of that.

    Empty without such a table. Args: census: counts those addresses after.
    Raises: CorruptPage: a page is missing or damaged. StoreError.
    """
    sizes: dict[str, float] = {}
    if traffic is None:
        if root_field("geo", 32) in fields:
            sizes.update(census.after(root_field("geo", 32), country_or_elsewhere))
        sizes.pop(ELSEWHERE, None)
        return sizes
    for bits in FAMILIES.values():
        root = fields.get(root_field("geo", bits))
        if root is None:
            continue
        table = outline(pages, bits, root)
        places = paired(pages, table, table, lambda _was, now: country_of(now))
        for first, _, weight in networks(traffic, bits):
            place = places.values[bisect_right(places.starts, first) - 1]
            if place:
                sizes[place] = sizes.get(place, 0.0) + weight
    return sizes


def record_at(fetch: Callable[[str], bytes | None], root: str, address: int) -> str:
    """The record of an address in the table with that root page; "" on a miss.

    Raises: CorruptPage: a page is missing or damaged.
    """
    page = opened(fetch, root)
    while page.height:
        page = opened(fetch, _digest(page, page.index[page.find(address)]))
    return str(page.value(page.find(address)))


def opened(fetch: Callable[[str], bytes | None], name: str) -> page_format.Page:
    """A page by its digest. Raises: CorruptPage: missing or damaged."""
    data = fetch(name)
    if data is None:
        raise CorruptPage(f"page {name} is missing")
    return page_format.decode(data)


def _digest(page: page_format.Page, position: int) -> str:
    value = page.values[position]
    assert isinstance(value, bytes)
    return value.hex()

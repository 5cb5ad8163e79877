"""The data of a run: the country table that all competitors get, and the clients that ask."""

from __future__ import annotations

import os
import random
from bisect import bisect_right
from functools import cache, cached_property
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

from geosteer_loader.sources.formats import open_source
from geosteer_loader.sources.report import Report
from geosteer_loader.tables.flatten import flatten

from . import mmdb, synthetic

if TYPE_CHECKING:
    from geosteer_loader.tables.ranges import Ranges

    Tables = dict[int, Ranges]
    """Address bits -> ranges."""

ROOT = Path(__file__).resolve().parents[2]
REAL = ("country-2026-02-01.mmdb", "country-2026-01-31.mmdb")
"""Two days of a country table, the later one first."""
ROUTES = ("bgp/ipasn_20140513.dat.gz", "bgp/ipasn6_20151101.dat.gz")


def folder() -> Path:
    """Where real data lies, if there is any: `$GEOSTEER_DATA`, else `../shared/data` beside the checkout."""
    return Path(os.environ.get("GEOSTEER_DATA") or ROOT.parent / "shared" / "data")


def real(name: str) -> Path | None:
    """A file of the real data, or None."""
    path = folder() / name
    return path if path.is_file() else None


class Country:
    """The country table of a run."""

    def __init__(self, given: Path | None, work: Path, quick: bool) -> None:
        """Args: given: an MMDB file, else the real data, else (and when *quick*) one is made up, in *work*."""
        self.path = given or (None if quick else real(REAL[0]))
        """The MMDB file as it was found."""
        self.before = None if given or quick else real(REAL[1])
        """The same, a day earlier."""
        if self.path is None:
            self.made_up = True
            self.tables = synthetic.country(20_000 if quick else 240_000)
            self.path = mmdb.write(work / "source.mmdb", self.tables)
        else:
            self.made_up = False
            self.tables = flatten([open_source("geo", "mmdb", self.path)], Report())
        self.shared = mmdb.write(work / "country.mmdb", self.tables)
        """The same table with continents, for all competitors."""

    @cached_property
    def earlier(self) -> Tables:
        """The same table a day earlier, or made up to differ a little."""
        if self.before is None:
            return synthetic.altered(self.tables)
        return flatten([open_source("geo", "mmdb", self.before)], Report())

    @property
    def about(self) -> dict[str, object]:
        """What the report says of it."""
        return {
            "file": "made up" if self.made_up else self.path.name if self.path else "",
            "ranges": {str(bits): len(ranges.starts) for bits, ranges in self.tables.items()},
            "bytes": self.shared.stat().st_size,
        }

    @property
    def title(self) -> str:
        """The same in a line."""
        told = self.about
        count = sum(len(ranges.starts) for ranges in self.tables.values())
        return f"{told['file']}, {count:,} ranges"

    def record(self, bits: int, address: int, *, earlier: bool = False) -> str:
        """What the table says of an address."""
        ranges = (self.earlier if earlier else self.tables)[bits]
        return ranges.records[bisect_right(ranges.starts, address) - 1]


def routed(tables: Tables, count: int, quick: bool) -> list[int]:
    """Distinct routed IPv4 /24 that the table knows, in random order."""
    dice = random.Random(synthetic.SEED)
    spans = _announced(32) if not quick else []
    geo = tables[32]
    if not spans:
        spans = [(low, high) for low, high, record in geo.spans() if record]
    whole = [(-(-low // 256), high // 256) for low, high in spans if high // 256 > -(-low // 256)]
    sums = list(accumulate(high - low for low, high in whole))
    found: dict[int, None] = {}
    for _ in range(count * 20):
        if len(found) == count or not sums:
            break
        point = dice.randrange(sums[-1])
        number = bisect_right(sums, point)
        high = whole[number][1]
        network = (high - (sums[number] - point)) * 256
        if (
            synthetic.UNICAST[0] <= network <= synthetic.UNICAST[1]
            and geo.records[bisect_right(geo.starts, network) - 1]
        ):
            found[network] = None
    return list(found)


def addresses(tables: Tables, bits: int, count: int, seed: int, quick: bool) -> list[str]:
    """Distinct addresses as text: IPv4 within routed space, each address as likely as any other; IPv6 within announced
    prefixes, each prefix as likely as any other."""
    dice = random.Random(seed)
    spans = _announced(bits) if not quick else []
    if not spans:
        spans = [(low, high) for low, high, record in tables[bits].spans() if record]
    sums = list(accumulate(high - low if bits == 32 else 1 for low, high in spans))
    found: dict[str, None] = {}
    while len(found) < count:
        low, high = spans[bisect_right(sums, dice.randrange(sums[-1]))]
        found[synthetic.text(bits, dice.randrange(low, high))] = None
    return list(found)


@cache
def _announced(bits: int) -> list[tuple[int, int]]:
    """First address and the one behind the last of each announced range, of the real data; empty without it."""
    path = real(ROUTES[bits == 128])
    if path is None:
        return []
    ranges = flatten([open_source("bgp", "pyasn", path)], Report())[bits]
    return [(low, high) for low, high, record in ranges.spans() if record]

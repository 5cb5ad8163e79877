"""The data of a run: the country table that all competitors get, the clients that ask, and larger tables made up for scale."""

from __future__ import annotations

import os
import random
import sys
from array import array
from bisect import bisect_right
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

from geosteer_loader.countries import CONTINENT
from geosteer_loader.overlay import flatten
from geosteer_loader.ranges import RangeBuilder, Ranges
from geosteer_loader.sources import Report, open_source

from . import mmdb

if TYPE_CHECKING:
    from collections.abc import Sequence

    Tables = dict[int, Ranges]
    """Address bits -> ranges."""

ROOT = Path(__file__).resolve().parents[2]
REAL = ("country-2026-02-01.mmdb", "country-2026-01-31.mmdb")
"""Two days of a country table, the later one first."""
ROUTES = ("bgp/ipasn_20140513.dat.gz", "bgp/ipasn6_20151101.dat.gz")
SEED = 20260201
UNICAST = (0x01000000, 0xDFFFFFFF)
"""First and last IPv4 address that may be a client's."""


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
            self.tables = synthetic_country(20_000 if quick else 240_000)
            self.path = mmdb.write(work / "source.mmdb", self.tables)
        else:
            self.made_up = False
            self.tables = flatten([open_source("geo", "mmdb", self.path)], Report())
        self.shared = mmdb.write(work / "country.mmdb", self.tables)
        """The same table with continents, for all competitors."""

    @property
    def about(self) -> dict[str, object]:
        """What the report says of it."""
        return {
            "file": "made up" if self.made_up else self.path.name if self.path else "",
            "ranges": {str(bits): len(ranges.starts) for bits, ranges in self.tables.items()},
            "bytes": self.shared.stat().st_size,
        }

    def record(self, bits: int, address: int) -> str:
        """What the table says of an address."""
        ranges = self.tables[bits]
        return ranges.records[bisect_right(ranges.starts, address) - 1]


def synthetic_country(prefixes: int, seed: int = SEED) -> Tables:
    """A country table: prefixes of realistic lengths, neighbours often of one country, a tenth of the space unknown."""
    dice = random.Random(seed)
    names = sorted(CONTINENT)
    weights = list(accumulate(1 / rank for rank in range(1, len(names) + 1)))
    dice.shuffle(names)

    def fill(bits: int, first: int, last: int, lengths: Sequence[int], count: int) -> Ranges:
        builder = RangeBuilder(bits)
        at = first
        gap = (last - first) // max(count, 1)
        record = "US"
        for _ in range(count):
            length = dice.choice(lengths)
            size = 1 << (bits - length)
            at = -(-at // size) * size
            if at + size > last:
                break
            if dice.random() < 0.7:
                record = dice.choices(names, cum_weights=weights)[0]
            builder.add(at, length, record if dice.random() > 0.02 else "")
            at += size + (int(dice.expovariate(1) * max(gap - size, 0)) if dice.random() < 0.1 else 0)
        return builder.finish()

    per = (UNICAST[1] - UNICAST[0]) // max(prefixes * 7 // 10, 1)
    middle = 32 - per.bit_length() + 1
    lengths4 = [min(24, max(8, middle + step)) for step in (-2, -1, 0, 0, 1, 1, 2, 3, 4)]
    return {
        32: fill(32, UNICAST[0], UNICAST[1] + 1, lengths4, prefixes * 7 // 10),
        128: fill(128, 0x2001 << 112, 0x2C10 << 112, (29, 32, 32, 32, 40, 44, 48, 48), prefixes * 3 // 10),
    }


def routed(tables: Tables, count: int, quick: bool) -> list[int]:
    """Distinct routed IPv4 /24 that the table knows, in random order."""
    dice = random.Random(SEED)
    spans = _routed_spans() if not quick else []
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
        low, high = whole[number]
        network = (high - (sums[number] - point)) * 256
        if UNICAST[0] <= network <= UNICAST[1] and geo.records[bisect_right(geo.starts, network) - 1]:
            found[network] = None
    return list(found)


def _routed_spans() -> list[tuple[int, int]]:
    path = real(ROUTES[0])
    if path is None:
        return []
    ranges = flatten([open_source("bgp", "pyasn", path)], Report())[32]
    return [(low, high) for low, high, record in ranges.spans() if record]


def addresses(tables: Tables, bits: int, count: int, seed: int) -> list[str]:
    """Distinct addresses within known ranges, as text, each range as likely as any other."""
    from ipaddress import ip_address

    dice = random.Random(seed)
    ranges = tables[bits]
    known = [(low, high) for low, high, record in ranges.spans() if record]
    found: dict[int, None] = {}
    while len(found) < count:
        low, high = dice.choice(known)
        found[dice.randrange(low, high)] = None
    kind = 4 if bits == 32 else 6
    return [str(ip_address(value.to_bytes(bits // 8, "big"))) for value in found] if kind else []


def synthetic_city(count: int, seed: int = SEED) -> Tables:
    """About *count* City-like ranges (`US-CA 37.75 -122.42`), nine tenths of them IPv4; equal neighbours do not occur."""
    dice = random.Random(seed)
    names = sorted(CONTINENT)
    places = [
        sys.intern(
            f"{dice.choice(names)}-{dice.choice('ABCDEFGHIJ')}{dice.randrange(10)}"
            f" {dice.randrange(-5500, 7000) / 100:g} {dice.randrange(-18000, 18000) / 100:g}"
        )
        for _ in range(min(150_000, max(100, count // 30)))
    ]
    return _scattered(dice, places, count, (24, 64))


def synthetic_routes(count: int, seed: int = SEED + 1) -> Tables:
    """About *count* origin-AS ranges (`AS15169`), of some 70,000 networks."""
    dice = random.Random(seed)
    origins = [sys.intern(f"AS{dice.randrange(1, 400_000)}") for _ in range(min(75_000, max(100, count // 14)))]
    return _scattered(dice, origins, count, (24, 48))


def _scattered(dice: random.Random, records: Sequence[str], count: int, finest: tuple[int, int]) -> Tables:
    """Ranges that begin at random /24 (/25, /26 where there are too many) or /48, neighbours near each other in place too."""
    made = {}
    for bits, part, fine, (first, last) in (
        (32, 0.9, finest[0], UNICAST),
        (128, 0.1, finest[1], (0x2001 << 112, (0x2C10 << 112) - 1)),
    ):
        wanted = max(1, int(count * part))
        length = fine
        while bits == 32 and length < 30 and (last - first) >> (bits - length) < 4 * wanted:
            length += 1
        shift = bits - length
        low, high = first >> shift, (last >> shift) + 1
        numbers = sorted(dice.sample(range(low, high), wanted)) if bits == 32 else sorted(_crowded(dice, wanted))
        starts: Sequence[int] = (
            array("I", [0, *(number << shift for number in numbers)])
            if bits == 32
            else [0, *(number << shift for number in numbers)]
        )
        chosen = [""]
        at = 0
        for _ in range(wanted):
            # places come in runs: a provider's customers live near each other
            at = dice.randrange(len(records)) if dice.random() < 0.25 else at + dice.randrange(1, 4)
            record = records[at % len(records)]
            chosen.append(record if record != chosen[-1] else records[(at + 1) % len(records)])
        made[bits] = Ranges(bits=bits, starts=starts, records=chosen, prefixes=wanted)
    return made


def _crowded(dice: random.Random, count: int) -> list[int]:
    """Distinct /64 numbers, sixteen or so in each of many /32."""
    found: dict[int, None] = {}
    while len(found) < count:
        base = dice.randrange(0x20010000, 0x2C100000) << 32
        for _ in range(min(16, count - len(found))):
            found[base + dice.randrange(1 << 16) * (1 << 16)] = None
    return list(found)

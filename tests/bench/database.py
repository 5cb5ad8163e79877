"""The data of a run: the country table that all competitors get, the clients that ask, and larger tables made up for scale."""

from __future__ import annotations

import os
import random
import sys
from bisect import bisect_right
from functools import cache, cached_property
from itertools import accumulate, islice
from pathlib import Path
from socket import AF_INET, AF_INET6, inet_ntop
from typing import TYPE_CHECKING

from geosteer_loader.countries import CONTINENT
from geosteer_loader.overlay import flatten
from geosteer_loader.ranges import RangeBuilder, Ranges
from geosteer_loader.sources import Report, open_source

from . import mmdb

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Tables = dict[int, Ranges]
    """Address bits -> ranges."""

ROOT = Path(__file__).resolve().parents[2]
CHANGED = 100
"""Ranges that differ between two made-up tables."""
REAL = ("country-2026-02-01.mmdb", "country-2026-01-31.mmdb")
"""Two days of a country table, the later one first."""
ROUTES = ("bgp/ipasn_20140513.dat.gz", "bgp/ipasn6_20151101.dat.gz")
SEED = 20260201
UNICAST = (0x01000000, 0xDFFFFFFF)
"""First and last IPv4 address that may be a client's."""
SPECIAL = (10, 100, 127, 169, 172, 192, 198, 203)
"""First octets of made-up tables that are left out: parts of these blocks are private, or nobody's."""


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

    @cached_property
    def earlier(self) -> Tables:
        """The same table a day earlier, or made up to differ a little."""
        if self.before is None:
            return altered(self.tables)
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


def altered(tables: Tables) -> Tables:
    """The same tables with another record for some ranges; neighbours still differ."""
    dice = random.Random(7)
    made = dict(tables)
    ranges = tables[32]
    records = list(ranges.records)
    for at in dice.sample(range(1, len(records) - 1), min(CHANGED, len(records) // 3)):
        around = {"", *records[at - 1 : at + 2]}
        records[at] = next(
            record for record in iter(lambda: dice.choice(ranges.records), None) if record not in around
        )
    made[32] = Ranges(bits=32, starts=ranges.starts, records=records, prefixes=ranges.prefixes)
    return made


def synthetic_country(prefixes: int, seed: int = SEED) -> Tables:
    """A country table: neighbours are often of one country, some of the space is unknown."""
    dice = random.Random(seed)
    names = sorted(CONTINENT)
    dice.shuffle(names)
    sums = list(accumulate(1 / rank for rank in range(1, len(names) + 1)))

    def record(last: str) -> str:
        draw = dice.random()
        return last if draw < 0.3 else "" if draw < 0.33 else dice.choices(names, cum_weights=sums)[0]

    return _tables(dice, prefixes, 0.6, record)


def routed(tables: Tables, count: int, quick: bool) -> list[int]:
    """Distinct routed IPv4 /24 that the table knows, in random order."""
    dice = random.Random(SEED)
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
        if UNICAST[0] <= network <= UNICAST[1] and geo.records[bisect_right(geo.starts, network) - 1]:
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
        found[_text(bits, dice.randrange(low, high))] = None
    return list(found)


@cache
def _announced(bits: int) -> list[tuple[int, int]]:
    """First address and the one behind the last of each announced range, of the real data; empty without it."""
    path = real(ROUTES[bits == 128])
    if path is None:
        return []
    ranges = flatten([open_source("bgp", "pyasn", path)], Report())[bits]
    return [(low, high) for low, high, record in ranges.spans() if record]


def synthetic_city(prefixes: int, seed: int = SEED) -> Tables:
    """City-like ranges (`US-CA 37.75 -122.42`), nine tenths of them IPv4."""
    dice = random.Random(seed)
    names = sorted(CONTINENT)
    places = [
        sys.intern(
            f"{dice.choice(names)}-{dice.choice('ABCDEFGHIJ')}{dice.randrange(10)}"
            f" {dice.randrange(-5500, 7000) / 100:g} {dice.randrange(-18000, 18000) / 100:g}"
        )
        for _ in range(min(150_000, max(100, prefixes // 30)))
    ]
    at = 0

    def record(_: str) -> str:
        nonlocal at
        # a provider's customers live near each other
        at = (
            dice.randrange(len(places)) if dice.random() < 0.25 else (at + dice.randrange(1, 4)) % len(places)
        )
        return places[at]

    return _tables(dice, prefixes, 0.9, record)


def write_routes(path: Path, prefixes: int, seed: int = SEED) -> Path:
    """A routing table as pyasn writes it: prefixes and their origins, a third of them inside others."""
    dice = random.Random(seed)
    origins = [dice.randrange(1, 64000) for _ in range(min(75_000, max(100, prefixes // 14)))]
    with path.open("w") as out:
        for bits, share in ((32, 0.85), (128, 0.15)):
            wanted = int(prefixes * share)
            origin = origins[0]
            for start, length in _tiles(dice, bits, wanted * 2 // 3):
                if dice.random() < 0.5:
                    origin = dice.choice(origins)
                first = _text(bits, start)
                out.write(f"{first}/{length}\t{origin}\n")
                if length < bits * 3 // 4 and dice.random() < 0.5:
                    inner = dice.randrange(length + 1, bits * 3 // 4 + 1)
                    out.write(f"{first}/{inner}\t{dice.choice(origins)}\n")
    return path


def alter_routes(path: Path, out: Path, count: int) -> Path:
    """The same routes, *count* of them with another origin."""
    lines = path.read_text().splitlines()
    dice = random.Random(7)
    for at in dice.sample(range(len(lines)), count):
        prefix = lines[at].partition("\t")[0]
        lines[at] = f"{prefix}\t{dice.randrange(1, 64000)}"
    out.write_text("\n".join(lines) + "\n")
    return out


VANTAGES = ("lon", "ams", "nyc")


def write_feeds(folder: Path, routes: Path, step: int) -> Path:
    """What each vantage point sees of every *step*-th route, as `bgpdump -m` writes it: nearly all of them, most at their
    origin's distance."""
    folder.mkdir()
    for number, vantage in enumerate(VANTAGES):
        dice = random.Random(number)
        hops: dict[str, int] = {}
        with routes.open() as lines, (folder / vantage).open("w") as out:
            for line in islice(lines, 0, None, step):
                prefix, _, origin = line.rstrip("\n").partition("\t")
                if dice.random() < 0.03:
                    continue
                far = hops.setdefault(origin, dice.choice((2, 3, 3, 4, 4, 5, 6))) + (dice.random() < 0.15)
                path = "701 " + "3356 " * (far - 2) + origin
                out.write(
                    f"TABLE_DUMP2|1400824800|B|192.0.2.1|701|{prefix}|{path}|IGP|192.0.2.1|0|0||NAG||\n"
                )
    return folder


LENGTHS = {
    32: ((24, 62), (23, 14), (22, 10), (21, 6), (20, 4), (19, 2), (18, 1), (17, 0.5), (16, 0.5)),
    128: ((48, 50), (44, 20), (40, 10), (36, 10), (32, 10)),
}
"""Lengths of prefixes with their shares, about as they are announced."""


def _tables(dice: random.Random, prefixes: int, v4: float, record: Callable[[str], str]) -> Tables:
    """*prefixes* side by side, the share *v4* of them IPv4; *record* is asked for each, given the one before."""
    made = {}
    for bits, share in ((32, v4), (128, 1 - v4)):
        builder = RangeBuilder(bits)
        last = ""
        for start, length in _tiles(dice, bits, int(prefixes * share)):
            last = record(last)
            builder.add(start, length, last)
        made[bits] = builder.finish()
    return made


def _tiles(dice: random.Random, bits: int, count: int) -> Iterator[tuple[int, int]]:
    """*count* prefixes side by side, as (start, length), without special space, of lengths that about fill the space."""
    first, end = (UNICAST[0], UNICAST[1] + 1) if bits == 32 else (0x2400 << 112, 0x2C10 << 112)
    shift = -8
    while (
        shift < 8
    ):  # longer prefixes, until a few thousand of them take no more than their part of the space
        trial = list(islice(_endless(random.Random(SEED), bits, first, shift), 2000))
        if (trial[-1][0] - first) / 2000 * count < (end - first) * 0.8:
            break
        shift += 1
    for start, length in islice(_endless(dice, bits, first, shift), count):
        if start + (1 << (bits - length)) > end:
            return
        yield start, length


def _endless(dice: random.Random, bits: int, at: int, shift: int) -> Iterator[tuple[int, int]]:
    lengths = [length + shift for length, _ in LENGTHS[bits]]
    sums = list(accumulate(share for _, share in LENGTHS[bits]))
    while True:
        wanted = dice.choices(lengths, cum_weights=sums)[0]
        length = 0
        while length != wanted:  # what lies before the next place where it fits, first
            length = max(wanted, bits + 1 - (at & -at).bit_length())
            if not (bits == 32 and at >> 24 in SPECIAL):
                yield at, length
            at += 1 << (bits - length)


def _text(bits: int, value: int) -> str:
    return inet_ntop(AF_INET if bits == 32 else AF_INET6, value.to_bytes(bits // 8, "big"))

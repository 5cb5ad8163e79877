"""Tables made up for scale, and small changes to tables; the same ones in every run."""

from __future__ import annotations

import random
import sys
from itertools import accumulate, islice
from socket import AF_INET, AF_INET6, inet_ntop
from typing import TYPE_CHECKING

from geosteer_loader.sources.countries import CONTINENT
from geosteer_loader.tables.ranges import RangeBuilder, Ranges

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Tables = dict[int, Ranges]
    """Address bits -> ranges."""

CHANGED = 100
"""Ranges that differ between two made-up tables."""
SEED = 20260201
UNICAST = (0x01000000, 0xDFFFFFFF)
"""First and last IPv4 address that may be a client's."""
SPECIAL = (10, 100, 127, 169, 172, 192, 198, 203)
"""First octets of made-up tables that are left out: parts of these blocks are private, or nobody's."""


def country(prefixes: int, seed: int = SEED) -> Tables:
    """A country table: neighbours are often of one country, some of the space is unknown."""
    dice = random.Random(seed)
    names = sorted(CONTINENT)
    dice.shuffle(names)
    sums = list(accumulate(1 / rank for rank in range(1, len(names) + 1)))

    def record(last: str) -> str:
        draw = dice.random()
        return last if draw < 0.3 else "" if draw < 0.33 else dice.choices(names, cum_weights=sums)[0]

    return _tables(dice, prefixes, 0.6, record)


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


def city(prefixes: int, seed: int = SEED) -> Tables:
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


def recut(tables: Tables, count: int) -> Tables:
    """The same tables in which *count* ranges are others: half of them have another record, the others end elsewhere."""
    dice = random.Random(7)
    total = sum(len(ranges.starts) for ranges in tables.values())
    made = {}
    for bits, ranges in tables.items():
        size = len(ranges.starts)
        chosen = set(dice.sample(range(1, size), count * (size - 1) // total))
        builder = RangeBuilder(bits)
        last = ""
        for number, (start, end, record) in enumerate(ranges.spans()):
            if number not in chosen:
                builder.span(end, record)
            elif dice.random() < 0.5:
                builder.span(end, dice.choice(ranges.records))
            else:
                builder.span(start + (end - start) // 2, last)
                builder.span(end, record)
            last = record
        made[bits] = builder.finish(ranges.prefixes)
    return made


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
                first = text(bits, start)
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


def text(bits: int, value: int) -> str:
    """An address as it is written."""
    return inet_ntop(AF_INET if bits == 32 else AF_INET6, value.to_bytes(bits // 8, "big"))

"""Random prefix tables, and what a linear reading of their ranges says: the oracle for tries and trees."""

from __future__ import annotations

import random
from bisect import bisect_right
from typing import TYPE_CHECKING

from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    Table = tuple[list[int], list[str]]
    """Starts and records of disjoint ranges, equal neighbours merged."""

LONG = "x" * 251
"""Nearly the longest record: some thirty distinct ones fill a page."""


def merged(pairs: Iterable[tuple[int, str]]) -> Table:
    """Ranges of (start, record) in any order, from address 0 on."""
    starts: list[int] = []
    records: list[str] = []
    for start, record in sorted({0: "", **dict(pairs)}.items()):
        if not records or records[-1] != record:
            starts.append(start)
            records.append(record)
    return starts, records


def scattered(bits: int, count: int, seed: int, *, long: bool = False) -> Table:
    """About *count* ranges: some evenly spread, some crowded together at every scale, as real tables are."""
    dice = random.Random(seed)
    pairs = []
    base = 0
    for number in range(count):
        if dice.random() < 0.2:
            base = dice.getrandbits(bits)
        scale = dice.randrange(bits)
        start = (
            (base ^ dice.getrandbits(scale + 1))
            >> dice.choice((0, 0, 8, scale))
            << dice.choice((0, 8, scale))
        )
        record = (
            f"{number % 250:03}{LONG}"
            if long and dice.random() < 0.7
            else dice.choice(("", "US", "DE", "@EU", "é"))
        )
        pairs.append((start & ((1 << bits) - 1), record))
    return merged(pairs)


def small_tables(bits: int) -> st.SearchStrategy[Table]:
    """Tables of up to some dozens of ranges, that shrink well."""
    top = (1 << bits) - 1
    starts = (
        st.integers(0, top)
        | st.integers(0, 600)
        | st.integers(0, bits - 1).map(lambda bit: 1 << bit)
        | st.integers(0, 300).map(lambda back: top - back)
    )
    records = st.sampled_from(("", "US", "DE", "AS15169 AS10", "0" + LONG, "1" + LONG, "2" + LONG)) | st.text(
        max_size=60
    )
    return st.lists(st.tuples(starts, records), max_size=60).map(merged)


def large_tables(bits: int) -> st.SearchStrategy[Table]:
    """Tables that take several pages, often of several levels."""
    return st.builds(
        scattered,
        st.just(bits),
        st.sampled_from((300, 700, 1500)),
        st.integers(0, 1 << 32),
        long=st.booleans(),
    )


def record_at(table: Table, address: int) -> str:
    """The record of an address."""
    return table[1][bisect_right(table[0], address) - 1]


def widest(bits: int, starts: Sequence[int], address: int) -> int:
    """Length of the widest prefix around an address within one range, found by trying them all."""
    for length in range(bits + 1):
        host = bits - length
        low = address >> host << host
        high = low | ((1 << host) - 1)
        if bisect_right(starts, low) == bisect_right(starts, high):
            return length
    raise AssertionError("a single address is in one range")


def edges(bits: int, table: Table, more: Iterable[int] = ()) -> list[int]:
    """First and last address of every range, and *more*."""
    top = (1 << bits) - 1
    return sorted({address for start in table[0] for address in (start, max(start - 1, 0))} | {top, *more})

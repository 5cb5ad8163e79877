"""Rates: so many and no more, per network and in all, in memory that stays as it is."""

from __future__ import annotations

import sys

from geosteer.redirect.beacons.limits import PLACES, Limit


def taken(limit: Limit, key: str, now: float, tries: int) -> int:
    count = 0
    for _ in range(tries):
        if limit.allows(key, now):
            limit.take(key, now)
            count += 1
    return count


def test_a_burst_then_the_rate() -> None:
    limit = Limit(2, 10)
    assert taken(limit, "", 1000.0, 50) == 10
    assert taken(limit, "", 1000.4, 50) == 0
    assert sum(taken(limit, "", 1000.5 + second / 10, 50) for second in range(100)) == 20
    assert taken(limit, "", 5000.0, 50) == 10


def test_networks_have_their_own() -> None:
    limit = Limit(1, 5, b"salt", PLACES)
    assert [taken(limit, f"192.0.{number}.0/24", 50.0, 9) for number in range(3)] == [5, 5, 5]


def test_a_hundred_thousand_networks_take_no_more_memory_than_one() -> None:
    limit = Limit(1, 5, b"salt", PLACES)
    before = sys.getsizeof(limit._due)
    for number in range(100_000):
        limit.take(f"10.{number >> 8}.{number & 255}.0/24", 50.0)
    assert sys.getsizeof(limit._due) == before == sys.getsizeof(Limit(1, 5, b"", PLACES)._due)

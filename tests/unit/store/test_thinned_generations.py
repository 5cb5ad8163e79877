"""Which generations are kept: those of dumps as if there were no others, those of BGP sessions the fewer the older."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from geosteer_loader.store.collector import SHARES, superseded
from geosteer_loader.store.history import Entry

DAY = 86400.0


def entry(number, written, *, live=False, size=1000, total=0, ranges=1000):
    return Entry(
        id=f"{int(written * 1000)}-0",
        fields={"generation": str(number), "bgp.ranges": str(ranges)},
        changed="bgp",
        who="",
        when="",
        bytes=str(size),
        total=str(total),
        live="yes" if live else "",
    )


def history(seconds=DAY, every=20.0, size=1000, ranges=1000):
    """Generations of sessions, with one of something else every hour, and the time after them."""
    entries: list[Entry] = []
    now, total = DAY, 0
    while now < DAY + seconds:
        live = bool(entries) and now % 3600.0 >= every
        total += size
        entries.append(entry(len(entries) + 1, now, live=live, size=size, total=total, ranges=ranges))
        now += every
    return entries, now


def collected(entries, now, **limits):
    """What is left when the collector runs every five minutes from the first generation on."""
    settings = {"keep": 3, "grace": 600.0, "keep_for": 2 * DAY, "keep_size": float("inf"), **limits}
    kept, waiting, at = [], list(reversed(entries)), entries[0].written
    while at <= now:
        while waiting and waiting[-1].written <= at:
            kept.append(waiting.pop())
        gone = {each.id for each in superseded(kept, now=at, **settings)}
        kept = [each for each in kept if each.id not in gone]
        at += 300.0
    return kept + waiting[::-1]


def test_the_past_is_told_at_a_resolution_of_its_age():
    entries, now = history()
    kept = collected(entries, now)
    assert len([each for each in kept if each.live]) < 250
    times = [each.written for each in kept]
    for age in (60.0, 700.0, 3600.0, 4 * 3600.0, 12 * 3600.0, 20 * 3600.0):
        then = now - age
        nearest = max(time for time in times if time <= then)
        assert then - nearest <= max(40.0, 2.5 * SHARES[0] * (age + 300.0)), age


def test_generations_of_other_things_are_kept_as_if_there_were_none_of_sessions():
    entries, now = history()
    others = [each.id for each in entries if not each.live]
    assert [each.id for each in collected(entries, now) if not each.live] == others
    kept = [each.id for each in collected(entries, now, keep_for=2 * 3600.0) if not each.live]
    assert kept == others[-3:]


@pytest.mark.parametrize("room", [0, 100_000, 500_000, 2_000_000])
def test_generations_of_sessions_take_the_room_that_others_leave(room):
    entries, now = history(ranges=2000)
    kept = collected(entries, now, keep_size=room)
    takes = 0
    for each, following in pairwise(kept):
        if each.live and now - each.written > 1000.0:
            takes += min(int(following.total) - int(each.total), each.most)
    assert takes <= room
    assert len([each for each in kept if not each.live]) >= 3
    assert kept[-1] is entries[-1]


def test_what_a_slow_reader_may_still_use_stays_whatever_it_takes():
    entries, now = history(seconds=3600.0)
    kept = collected(entries, now, keep_size=0, keep_for=0.0)
    young = [each for each in entries if now - each.written <= 590.0]
    assert [each for each in kept if now - each.written <= 590.0] == young


@pytest.mark.parametrize("seed", range(20))
def test_whatever_the_history_holds_the_newest_generation_stays(seed):
    dice = random.Random(seed)
    entries: list[Entry] = []
    at = 1000.0
    for number in range(dice.randrange(1, 40)):
        at += dice.choice((-5.0, 0.0, 0.1, 5.0, 4000.0))
        total, ranges = dice.choice((0, number * 1000, -number)), dice.choice((0, 10**14))
        entries.append(entry(number, max(at, 0), live=dice.random() < 0.7, total=total, ranges=ranges))
    gone = superseded(
        entries,
        keep=dice.choice((0, 1, 3, 100)),
        grace=dice.choice((0.0, 600.0)),
        now=at + dice.choice((-100.0, 0.0, 1e6)),
        keep_for=dice.choice((0.0, DAY)),
        keep_size=dice.choice((0, 5000, 1 << 40)),
    )
    assert entries[-1] not in gone

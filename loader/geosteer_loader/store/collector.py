"""Removing what no generation needs any more, after a publish and under its lock.

Roots go first: a page that is there has all below it there, also when the collector is killed half-way.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import inf, log2
from typing import TYPE_CHECKING

from geosteer_loader.store.history import entries
from geosteer_loader.store.reachable import needed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from geosteer_loader.store.history import Entry
    from geosteer_loader.store.lease import Lease
    from geosteer_loader.store.store import Command, Store

BATCH = 500
"""Fields that one command may delete."""

MOST_KEPT = 1000
"""Generations that are kept for their age, at most: the history is read in one reply."""

SHARES = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0)
"""Of its age, within which the past of a table that follows BGP sessions is kept once, from the finest on."""

SWEEP_EVERY = 86400.0
"""Seconds between two looks for objects that a killed publish left behind."""

SWEEP_STEP = 200
"""Objects that one step of that look goes over; it holds the server for well under a millisecond."""


@dataclass(slots=True)
class Collected:
    """What was removed."""

    generations: int = 0
    objects: int = 0
    """Those of removed generations."""
    orphans: int = 0
    """Objects that belonged to no generation."""


def collect(
    store: Store,
    lease: Lease,
    done: Collected,
    *,
    keep: int,
    grace: float,
    keep_for: float = 0.0,
    keep_size: float = inf,
) -> None:
    """Remove generations beyond the last *keep*, superseded at least *grace* seconds ago, and their objects.

    Of those superseded less than *keep_for* seconds ago, the newest stay as well: `MOST_KEPT` at most, and as many as take
    no more than about *keep_size* bytes of their own. Of those that changed nothing but tables that follow BGP sessions, which
    count apart, some stay in what room these leave: the older, the fewer.

    Raises: Refused: the lock is somebody else's by now. CorruptPage: a published table is not whole. StoreError.
    What was removed until then is in *done*.
    """
    generations = entries(store)
    if not generations:
        return
    dropped = superseded(generations, keep, grace, store.now(), keep_for, keep_size)
    if not dropped:
        return
    gone = {entry.id for entry in dropped}
    in_use = _kept(store, [entry for entry in generations if entry.id not in gone])
    doomed = needed(store, [entry.fields for entry in dropped], in_use)
    # The history is cut in the same transaction: it never names a generation that is not whole.
    cuts = _cuts(store, generations, [entry.id for entry in dropped])
    deletions = _deletions(store, doomed)
    done.objects += sum(map(int, lease.write([*cuts, *deletions[:1]])[len(cuts) :]))
    done.generations = len(dropped)
    for deletion in deletions[1:]:
        done.objects += int(lease.write([deletion])[0])


def sweep(store: Store, lease: Lease, done: Collected) -> None:
    """Remove objects that belong to no generation, as a publisher that was killed leaves them.

    Raises: as `collect`; also StoreError where the Function library is missing.
    """
    in_use = _kept(store, entries(store))
    orphans = {name: height for name, height in names(store).items() if name not in in_use}
    for deletion in _deletions(store, orphans):
        done.orphans += int(lease.write([deletion])[0])


def discard(store: Store, lease: Lease, names: Iterable[str]) -> int:
    """Remove objects whatever needs them, since what lies there is not what it should be; how many there were.

    Raises: Refused: the lock is somebody else's by now. StoreError.
    """
    return sum(int(lease.write([deletion])[0]) for deletion in _deletions(store, dict.fromkeys(names, 0)))


def superseded(
    generations: Sequence[Entry], keep: int, grace: float, now: float, keep_for: float, keep_size: float
) -> list[Entry]:
    """The generations that need not stay, oldest first. Args: as for `collect`; now: seconds since 1970."""
    last = len(generations) - 1
    ages = [now - successor.written for _, successor in pairwise(generations)]
    others = [place for place, entry in enumerate(generations) if not entry.live]
    following = dict(pairwise([*others, *([] if others[-1:] == [last] else [last])]))
    stay = {last, *others[-max(keep, 1) :], *(place for place in range(last) if ages[place] < grace)}
    takes = 0
    for rank, place in enumerate(reversed(others), 1):
        if rank <= max(keep, 1):
            continue
        size = _replaced(generations, place, following[place])
        if ages[place] < keep_for and rank <= MOST_KEPT and takes + size <= keep_size:
            stay.add(place)
        elif place not in stay:
            break
        takes += size
    streams = [place for place in range(last) if place not in stay and generations[place].live]
    streams = [place for place in streams if ages[place] < keep_for]
    stay.update(_thinned(generations, streams, ages, stay, max(keep_size - takes, 0)))
    return [entry for place, entry in enumerate(generations) if place not in stay]


def _thinned(
    generations: Sequence[Entry], places: list[int], ages: list[float], stay: set[int], room: float
) -> list[int]:
    """Of generations of tables that follow BGP sessions, so many that they tell of the past at a resolution of its age.

    One of each span of time that is at most a `share` of its age: the finest share of which all fit into *room* bytes.
    """
    chosen: list[int] = []
    for share in SHARES:
        spans: dict[tuple[int, int], int] = {}
        for place in places:
            width = 1 << int(log2(max(ages[place], 1.0) * share + 1))
            spans.setdefault((width, int(generations[place].written) // width), place)
        chosen = sorted(spans.values())
        if _takes(generations, chosen, stay) <= room:
            break
    while chosen and _takes(generations, chosen, stay) > room:
        del chosen[0]
    return chosen


def _takes(generations: Sequence[Entry], chosen: list[int], stay: set[int]) -> int:
    """Bytes that are kept for those generations alone."""
    kept = sorted({*chosen, *stay})
    following = dict(pairwise(kept))
    return sum(_replaced(generations, place, following[place]) for place in chosen)


def _replaced(generations: Sequence[Entry], place: int, following: int) -> int:
    """Bytes of a generation that the next one which is kept has not.

    What publishers write takes the place of about as much of what was there before; never more than there was.
    """
    entry, after = generations[place], generations[following]
    if following == place + 1 and not entry.live and not after.live:
        return after.size
    size = after.size_since(entry)
    if size is None:
        size = sum(each.size for each in generations[place + 1 : following + 1])
    return min(size, entry.most)


def _cuts(store: Store, generations: Sequence[Entry], gone: list[str]) -> list[Command]:
    """Commands that take generations out of the history; one that trims it where all are older than the others."""
    key = store.keys.history
    if gone == [entry.id for entry in generations[: len(gone)]]:
        return [("XTRIM", key, "MINID", generations[len(gone)].id)]
    return [("XDEL", key, *gone[low : low + BATCH]) for low in range(0, len(gone), BATCH)]


def _kept(store: Store, generations: Sequence[Entry]) -> dict[str, int]:
    """The objects of what is published and of *generations* -> height."""
    current = store.hash(store.keys.current)
    in_use = needed(store, [current], {}, whole=True)
    in_use.update(needed(store, [entry.fields for entry in generations], in_use))
    return in_use


def _deletions(store: Store, doomed: Mapping[str, int]) -> list[Command]:
    """Commands that remove the objects, roots first."""
    ordered = sorted(doomed, key=lambda name: -doomed[name])
    return [("HDEL", store.keys.object, *ordered[low : low + BATCH]) for low in range(0, len(ordered), BATCH)]


def names(store: Store) -> dict[str, int]:
    """Every object -> its height, without any page leaving the server.

    Raises: StoreError: Redis failed, or the Function library is missing.
    """
    heights: dict[str, int] = {}
    cursor = b"0"
    while True:
        step = store.call("FCALL_RO", "geosteer_objects", 1, store.keys.object, cursor, SWEEP_STEP)
        heights.update(
            zip((name.decode(errors="replace") for name in step[1::2]), map(int, step[2::2]), strict=True)
        )
        cursor = step[0]
        if cursor == b"0":
            return heights

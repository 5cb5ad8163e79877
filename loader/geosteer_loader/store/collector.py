"""Removing what no generation needs any more, after a publish and under its lock.

Roots go first: a page that is there has all below it there, also when the collector is killed half-way.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import inf
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
    no more than about *keep_size* bytes of their own.

    Raises: Refused: the lock is somebody else's by now. CorruptPage: a published table is not whole. StoreError.
    What was removed until then is in *done*.
    """
    generations = entries(store)
    dropped = _superseded(generations, keep, grace, store.now(), keep_for, keep_size)
    if not dropped:
        return
    in_use = _kept(store, generations[len(dropped) :])
    doomed = needed(store, [entry.fields for entry in dropped], in_use)
    # The history is cut in the same transaction: it never names a generation that is not whole.
    cut: Command = ("XTRIM", store.keys.history, "MINID", generations[len(dropped)].id)
    deletions = _deletions(store, doomed)
    done.objects += sum(map(int, lease.write([cut, *deletions[:1]])[1:]))
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


def _superseded(
    generations: Sequence[Entry], keep: int, grace: float, now: float, keep_for: float, keep_size: float
) -> list[Entry]:
    """The oldest generations, up to the first that has to stay."""
    old: list[Entry] = []
    keep = max(keep, 1)
    # What a publish writes takes the place of about as much of the generation before, which is kept for that one alone.
    takes = sum(entry.size for entry in generations[1 : len(generations) - keep + 1])
    for entry, successor in pairwise(generations):
        age, left = now - successor.written, len(generations) - len(old)
        young = age < keep_for and left <= MOST_KEPT and takes <= keep_size
        if left <= keep or age < grace or young:
            break
        takes -= successor.size
        old.append(entry)
    return old


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

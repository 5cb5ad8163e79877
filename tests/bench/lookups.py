"""Lookups a second in one process: `Tier.lookup` with its part in C and all in Python against maxminddb's C reader, in turn.

Run as a program: `lookups.py BACKEND DATABASE ADDRESSES ROUNDS`; ADDRESSES is a file of addresses, one a line. Each round
takes the next part of the file, so that no address was ever asked before, and asks it in chunks of some milliseconds, each
of all readers before the next: a machine whose speed changes is as fast for one as for the others. Prints JSON: for each
chunk and reader, microseconds of processor time for a lookup. One round more than asked for warms up: pages come from Redis,
and the database's from its file.
"""

from __future__ import annotations

import gc
import json
import os
import random
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import maxminddb

from geosteer.cmodules import SWITCH
from geosteer.settings import load
from geosteer.sync.tier import Tier

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

COLD = 1000
"""Lookups of the cold pass."""
CHUNK = 5000
"""Addresses that each reader is asked before the next one is."""


def ready_tier(backend: str) -> Tier:
    """A tier that has adopted what is published, without any leaf.

    Raises: TimeoutError: it did not within 10 s.
    """
    settings = load(backend)
    settings.timeout = 0.9  # this process waits for whatever Redis takes; workers would answer without it
    tier = Tier(settings, random.randrange)
    tier.start()
    end = time.monotonic() + 10
    while tier.name != "live":
        tier.wait(time.monotonic(), lambda: tier.name == "live")
        tier.tick()
        if time.monotonic() > end:
            raise TimeoutError("nothing was adopted")
    return tier


def timed(lookup: Callable[[str], object], addresses: Sequence[str]) -> float:
    """Microseconds of processor time for one lookup."""
    began = time.thread_time()
    for address in addresses:
        lookup(address)
    return (time.thread_time() - began) / len(addresses) * 1e6


def waited(lookup: Callable[[str], object], addresses: Sequence[str]) -> float:
    """Microseconds that pass for one lookup."""
    began = time.perf_counter()
    for address in addresses:
        lookup(address)
    return (time.perf_counter() - began) / len(addresses) * 1e6


def main() -> None:
    """The program."""
    backend, database, path, rounds = sys.argv[1], sys.argv[2], Path(sys.argv[3]), int(sys.argv[4])
    addresses = path.read_text().split()
    size = len(addresses) // (rounds + 1)
    parts = [addresses[at * size : (at + 1) * size] for at in range(rounds + 1)]
    gc.freeze()
    # cold: nothing but the inner pages is there; the database is opened anew, its file in the system's page cache
    cold: dict[str, list[float]] = {"geosteer": [], "maxminddb": []}
    for part in parts:
        tier = ready_tier(backend)
        cold["geosteer"].append(waited(tier.lookup, part[:COLD]))
        tier.finish()
        with maxminddb.open_database(database, maxminddb.MODE_MMAP_EXT) as reader:
            cold["maxminddb"].append(waited(reader.get, part[:COLD]))
    tier, pure = ready_tier(backend), ready_tier(backend)
    reader = maxminddb.open_database(database, maxminddb.MODE_MMAP_EXT)
    timed(tier.lookup, parts[0])
    timed(reader.get, parts[0])
    os.environ[SWITCH] = "no"  # it is asked for at the first lookup
    timed(pure.lookup, parts[0])
    readers: list[tuple[str, Callable[[str], object]]] = [
        ("geosteer", tier.lookup), ("maxminddb", reader.get), ("geosteer, all in Python", pure.lookup),
    ]  # fmt: skip
    warm: dict[str, list[float]] = {name: [] for name, _ in readers}
    warm["geosteer again"] = []
    for part in parts[1:]:
        for at in range(0, len(part), CHUNK):
            chunk = part[at : at + CHUNK]
            for name, lookup in readers:
                warm[name].append(timed(lookup, chunk))
            warm["geosteer again"].append(timed(tier.lookup, chunk))
            readers.append(readers.pop(0))  # nobody always comes after the same one
    print(json.dumps({"cold": cold, "warm": warm}))


if __name__ == "__main__":
    main()

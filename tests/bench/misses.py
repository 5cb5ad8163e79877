"""Lookups that find no page in the cache, against a plain GET from the same Redis, in one process.

Run as a program: `misses.py BACKEND ADDRESSES`. Prints JSON: median microseconds of a lookup that misses and of a GET of
as many bytes as the median page has, how many missed, and how many commands Redis was sent for each.
"""

from __future__ import annotations

import gc
import json
import socket
import sys
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import hiredis

from bench.lookups import ready_tier
from geosteer.counters.counters import Counters
from geosteer.powerdns.compiled import load as load_compiled
from geosteer.settings import load

if TYPE_CHECKING:
    from collections.abc import Sequence

READS = ("get", "hget", "hmget", "hgetall", "mget")


class Plain:
    """A bare connection to Redis: a command, its reply."""

    def __init__(self, url: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(url.removeprefix("unix://"))
        self._reader = hiredis.Reader()

    def call(self, *command: str | bytes | int) -> Any:
        """The reply to a command."""
        self._socket.sendall(hiredis.pack_command(command))  # type: ignore[arg-type]  # its stub allows one word
        while (reply := self._reader.gets()) is False:
            self._reader.feed(self._socket.recv(1 << 18))
        return reply

    def reads(self) -> int:
        """How many reading commands the server has run for anybody."""
        lines = self.call("INFO", "commandstats").decode().splitlines()
        calls = {
            line.partition(":")[0]: int(line.partition("calls=")[2].partition(",")[0])
            for line in lines
            if "calls=" in line
        }
        return sum(calls.get(f"cmdstat_{name}", 0) for name in READS)


def measure(backend: str, addresses: Sequence[str]) -> dict[str, float]:
    """What is printed."""
    settings = load(backend)
    plain, tier = Plain(settings.url), ready_tier(backend)
    load_compiled(Counters("bench"))  # where it was built, as a worker does after its first answer
    some = plain.call("HRANDFIELD", "{geosteer}:object", 99)
    usual = median(plain.call("HSTRLEN", "{geosteer}:object", digest) for digest in some)
    plain.call("SET", "bench:page", bytes(int(usual)))
    gc.freeze()
    lookups, gets = [], []
    before, missed = plain.reads(), 0
    for address in addresses:
        tree = tier.generation.trees["geo", 32] if tier.generation else None
        assert tree is not None
        branch, number = tree.locate(int.from_bytes(socket.inet_aton(address), "big"))
        absent = branch.slots[number] is None
        began = time.perf_counter()
        tier.lookup(address)
        took = time.perf_counter() - began
        if absent:
            missed += 1
            lookups.append(took)
            began = time.perf_counter()
            plain.call("GET", "bench:page")
            gets.append(time.perf_counter() - began)
    commands = plain.reads() - before - len(gets)
    plain.call("DEL", "bench:page")
    return {
        "miss": median(lookups) * 1e6, "get": median(gets) * 1e6, "lookups": len(addresses), "missed": missed,
        "commands": commands / max(missed, 1),
    }  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], Path(sys.argv[2]).read_text().split())))

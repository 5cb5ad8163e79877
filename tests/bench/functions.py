"""The Redis Functions: what a call costs a client, and the server."""

from __future__ import annotations

import random
import time
from ipaddress import IPv4Address
from statistics import median
from typing import TYPE_CHECKING, Any

from . import zone
from .misses import Plain
from .report import Section, Table
from .rounds import Rounds

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .stage import Stage

CURRENT, OBJECT = "{geosteer}:current", "{geosteer}:object"
LOOKUP = ("FCALL_RO", "geosteer_lookup", "2", CURRENT, OBJECT)
DECIDE = (
    "FCALL_RO",
    "geosteer_decide",
    "4",
    CURRENT,
    OBJECT,
    "{geosteer}:override",
    "{geosteer}:node:",
    zone.NAME,
)
GET = "GET of a page's size"


def run(stage: Stage) -> Section:
    """Calls one by one over a unix socket, in turn with a plain GET."""
    section = Section("functions")
    calls = stage.scaled(3000, 300)
    kinds: dict[str, tuple[str, Callable[[str], tuple[str, ...]]]] = {
        GET: (stage.server.url, lambda _: ("GET", "bench:page")),
        "geosteer_lookup, country": (stage.server.url, lambda address: (*LOOKUP, address, "geo")),
        "geosteer_decide, country": (stage.server.url, lambda address: (*DECIDE, address, "A")),
        "geosteer_lookup, city and BGP": (stage.large.server.url, lambda address: (*LOOKUP, address)),
        "geosteer_decide, city and BGP": (stage.large.server.url, lambda address: (*DECIDE, address, "A")),
    }
    clients = [str(IPv4Address(network)) for network in stage.networks]
    page = Plain(stage.server.url)
    page.call("SET", "bench:page", bytes(2048))

    def measure(url: str, command: Callable[[str], tuple[str, ...]]) -> Callable[[int], dict[str, Any]]:
        redis = Plain(url)

        def one(number: int) -> dict[str, Any]:
            asked = random.Random(number).choices(clients, k=calls)
            redis.call("CONFIG", "RESETSTAT")
            times = [_timed(redis, command(address)) for address in asked]
            return {
                "p50": median(times),
                "p99": sorted(times)[calls * 99 // 100],
                "server": _server_time(redis),
            }

        return one

    found = Rounds.run(stage, {name: measure(*kind) for name, kind in kinds.items()}, "functions")
    page.call("DEL", "bench:page")
    table = Table(
        "Redis Functions: a call over a unix socket, clients at random",
        [
            "call",
            "p50 us",
            "of the GET's",
            "p99 us",
            "of that in Redis, mean us",
            "calls/s that Redis has time for",
        ],
    )
    for name in kinds:
        server = found.spread(name, "server")
        table.rows.append(
            [
                name, found.spread(name, "p50"), found.ratio(name, "p50", GET), found.spread(name, "p99").middle, server,
                1e6 / server.middle if server.middle else None,
            ]
        )  # fmt: skip
    table.notes.append("Redis runs one call at a time: what it spends on one, all its clients wait")
    section.tables.append(table)
    section.data = {"calls": found.to_json()}
    return section


def _timed(redis: Plain, command: Sequence[str]) -> float:
    """Microseconds of a call.

    Raises: RuntimeError: it failed.
    """
    began = time.perf_counter()
    reply = redis.call(*command)
    took = (time.perf_counter() - began) * 1e6
    if isinstance(reply, Exception) or not reply:
        raise RuntimeError(f"{' '.join(command)}: {reply}")
    return took


def _server_time(redis: Plain) -> float:
    """Microseconds that a call took in the server, on average, of all since the statistics were reset."""
    stats = redis.call("INFO", "commandstats").decode().splitlines()
    lines = [line for line in stats if line.startswith(("cmdstat_fcall_ro:", "cmdstat_get:"))]
    return float(lines[0].partition("usec_per_call=")[2].partition(",")[0])

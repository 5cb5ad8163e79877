"""Routing tables of today's size: what a publish of them takes, and what they take in Redis.

A long run (GEOSTEER_LONG=1) tops real tables up to 1.2 million prefixes, and makes feeds of three vantage points of them.
"""

from __future__ import annotations

import gzip
import ipaddress
import os
import random
from typing import TYPE_CHECKING

import pytest

from support.data import ROOT, shared
from support.long import takes_long
from support.publishing import current_of, write_config

if TYPE_CHECKING:
    from pathlib import Path

    from support.servers import RedisServer

MIB = 1 << 20
BYTES_A_RANGE = 12
"""Of Redis memory, at most."""
WANTED = {32: 1_000_000, 128: 200_000}
"""Prefixes of a long run."""

long_run = pytest.mark.skipif(
    not os.environ.get("GEOSTEER_LONG"), reason="takes a minute: set GEOSTEER_LONG=1"
)


def publish(redis: RedisServer, folder: Path, more: str) -> tuple[float, dict[str, int], float]:
    """Memory of the publisher at its peak in MiB, the counts in `current`, and bytes a range in Redis."""
    config = write_config(folder, redis.url, more=more)
    command = [str(ROOT / "bin" / "geosteer"), "publish", "--quiet", "--config", str(config)]
    pid = os.posix_spawn(command[0], command, dict(os.environ))
    _, status, usage = os.wait4(pid, 0)
    assert status == 0
    with redis.client() as client:
        fields = current_of(client)
        counts = {key: int(value) for key, value in fields.items() if key.endswith((".ranges", ".prefixes"))}
        ranges = sum(count for key, count in counts.items() if key.endswith(".ranges"))
        size = client.memory_usage("{geosteer}:object", samples=0)
    return usage.ru_maxrss * 1024 / MIB, counts, size / ranges


def source(table: str, kind: str, path: Path, more: str = "") -> str:
    return f'[[sources.{table}]]\nformat = "{kind}"\npath = "{path}"\n{more}\n'


def real_prefixes() -> dict[int, dict[tuple[int, int], int]]:
    """Address bits -> (first address, length) -> AS, of 2015."""
    found: dict[int, dict[tuple[int, int], int]] = {32: {}, 128: {}}
    for line in gzip.decompress(shared("bgp/ipasn6_20151101.dat.gz").read_bytes()).decode().splitlines():
        if not line.startswith(";"):
            prefix, asn = line.split("\t")
            network = ipaddress.ip_network(prefix)
            found[network.max_prefixlen][int(network.network_address), network.prefixlen] = int(asn)
    return found


def topped_up(dice: random.Random) -> dict[int, dict[tuple[int, int], int]]:
    """The real prefixes and parts of them, as providers announce them: most from the same AS or one beside it."""
    found = real_prefixes()
    origins = sorted({asn for prefixes in found.values() for asn in prefixes.values()})
    for bits, prefixes in found.items():
        longest = 24 if bits == 32 else 48
        wide = [key for key in prefixes if 7 < key[1] < longest]
        while len(prefixes) < WANTED[bits]:
            start, length = dice.choice(wide)
            deeper = min(longest, length + dice.choice((1, 2, 3, 4, 5, 6, 8)))
            part = start | dice.getrandbits(deeper - length) << (bits - deeper)
            other = dice.choice(origins) if dice.random() < 0.3 else prefixes[start, length]
            prefixes.setdefault((part, deeper), other)
    return found


@takes_long
def test_a_real_table_of_origins_keeps_to_its_budget(own_redis: RedisServer, tmp_path: Path) -> None:
    memory, counts, size = publish(
        own_redis, tmp_path, source("bgp", "pyasn", shared("bgp/ipasn6_20151101.dat.gz"))
    )
    assert counts["bgp.prefixes"] > 500_000
    assert size <= BYTES_A_RANGE
    assert memory <= 1536 * counts["bgp.prefixes"] / sum(WANTED.values())


@long_run
@pytest.mark.timeout(1800)
def test_origins_and_paths_of_1_200_000_prefixes_keep_to_their_budget(
    own_redis: RedisServer, tmp_path: Path
) -> None:
    dice = random.Random(9)
    names = {32: ipaddress.IPv4Address, 128: ipaddress.IPv6Address}
    lines = [
        (f"{names[bits](start)}/{length}", asn)
        for bits, prefixes in topped_up(dice).items()
        for (start, length), asn in sorted(prefixes.items())
    ]
    routes = tmp_path / "routes.dat"
    routes.write_text("".join(f"{prefix}\t{asn}\n" for prefix, asn in lines))
    memory, counts, size = publish(own_redis, tmp_path, source("bgp", "pyasn", routes))
    print(f"bgp: {memory:.0f} MiB, {size:.1f} bytes a range, {counts}")
    assert counts["bgp.prefixes"] > 1_150_000
    assert memory <= 1536
    assert size <= BYTES_A_RANGE

    more = ""
    for vantage in ("lon", "ams", "nyc"):
        hops: dict[int, int] = {}
        feed = tmp_path / f"{vantage}.dump"
        with feed.open("w") as out:
            for prefix, asn in lines:
                if dice.random() > 0.03:
                    far = hops.setdefault(asn, dice.choice((2, 3, 3, 4, 4, 5, 6))) + (dice.random() < 0.15)
                    path = f"701 {'3356 ' * (far - 2)}{asn}"
                    out.write(
                        f"TABLE_DUMP2|1400824800|B|192.0.2.1|701|{prefix}|{path}|IGP|192.0.2.1|0|0||NAG||\n"
                    )
        more += source("path", "bgpdump", feed, f'vantage = "{vantage}"')
    own_redis.client().flushall()
    memory, counts, size = publish(own_redis, tmp_path, more)
    print(f"path: {memory:.0f} MiB, {size:.1f} bytes a range, {counts}")
    assert counts["path.prefixes"] > 3_300_000
    assert memory <= 1536
    assert size <= BYTES_A_RANGE

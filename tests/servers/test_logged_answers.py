"""The decision log behind a real PowerDNS whose workers are killed: a line for each answer that clients got."""

from __future__ import annotations

import json
import os
import random
import signal
from collections import Counter
from typing import TYPE_CHECKING

from support.dns_setup import serving
from support.servers import addresses

if TYPE_CHECKING:
    from pathlib import Path

    from support.servers import RedisServer

WWW = "www.cdn.example.net"
NODES = {"192.0.2.1": "lon1", "192.0.2.2": "ams1", "192.0.2.3": "nyc1"}
SUBNETS = ("192.0.2.0/24", "198.51.100.0/24", "8.8.8.0/24", "203.0.113.7/32", "203.0.113.200/32")


def test_each_answer_is_a_line_though_workers_are_killed(own_redis: RedisServer, tmp_path: Path) -> None:
    log = tmp_path / "decisions.log"
    more = f'---[log]\nsample = 1\nfile = "{log}"\n'
    given: Counter[str] = Counter()
    dice = random.Random(3)
    settings = {"negquery-cache-ttl": 0, "pipe-timeout": 8000}
    with serving(tmp_path, own_redis, more=more, threads=2, settings=settings) as pdns:
        for number in range(300):
            if number % 60 == 30:
                os.kill(dice.choice(pdns.workers()), signal.SIGKILL)
            answer = addresses(pdns.query(WWW, "A", subnet=dice.choice(SUBNETS), timeout=20))
            if (
                answer
            ):  # PowerDNS takes the silence of a worker that was killed while idle for an empty answer
                given[NODES[answer[0]]] += 1
    logged = Counter(json.loads(line)["nodes"]["A"][0] for line in log.read_text().splitlines())
    assert logged == given
    assert given.total() > 280

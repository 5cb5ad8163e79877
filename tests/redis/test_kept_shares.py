"""A node keeps the share of its clients that `status` shows: thousands of questions to a worker under every policy."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from geosteer.keys import Keys
from support.dns_setup import backend_toml
from support.long import LONG
from support.tiny import DOCUMENT, publish_tiny
from support.workers import Worker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.servers import RedisServer

POLICIES = ("best", "weighted", "hash", "nearest", "path", "latency")
QUESTIONS, NEAR = (10_000, 0.02) if LONG else (2_000, 0.06)
"""How many are asked, and how near the part that is kept is then to the share: by far, where tickets are random."""
FEW = 2000
CHUNK = 100
"""Questions that a worker is sent at once: their replies fit into a pipe."""
NODES = {
    "lon1": {"a": ["192.0.2.1"], "location": [51.5, -0.1], "vantage": "lon", "well_connected": 1},
    "ams1": {"a": ["192.0.2.2"], "location": [52.4, 4.9], "vantage": "ams"},
    "nyc1": {"a": ["192.0.2.3"], "location": [40.7, -74], "vantage": "nyc"},
}
MAP = {
    "order": ["countries"],
    "countries": {"GB": {"lon1": 98, "ams1": 1, "nyc1": 1}},
    "default": {"nyc1": 1},
}
TABLES = {
    "geo": {"20.0.0.0/8": "GB 51.5 -0.1"},
    "path": {"20.0.0.0/8": "lon=1 ams=2 nyc=3"},
    "rtt": {"20.0.0.0/8": "lon1=9 ams1=30"},
}


def part_of(worker: Worker, name: str, questions: int = QUESTIONS) -> float:
    """The part of so many networks, spread evenly, that get the node `lon1`."""
    answers: Counter[bytes] = Counter()
    assert worker.process.stdout is not None
    for first in range(0, questions, CHUNK):
        numbers = [number * 6 for number in range(first, first + CHUNK)]
        worker.send(
            b"".join([worker.question(name, subnet=f"20.{at >> 8}.{at & 255}.0/24") for at in numbers])
        )
        replies = b""
        while replies.count(b"END\n") < CHUNK:
            replies += worker.process.stdout.read1(65536)  # type: ignore[attr-defined]
        answers.update(re.findall(rb"\tA\t.*\t([0-9.]+)\n", replies))
    assert answers.total() == questions
    return answers[b"192.0.2.1"] / questions


@pytest.fixture
def world(own_redis: RedisServer, tmp_path: Path) -> Iterator[tuple[RedisServer, Worker, Path]]:
    """Three nodes in one layer, a service a policy, and a worker; the loader's configuration file."""
    document: dict[str, Any] = {
        **DOCUMENT, "nodes": NODES, "maps": {"m": MAP},
        "services": {f"{policy}.cdn.example.net": {"map": "m", "policy": policy} for policy in POLICIES},
    }  # fmt: skip
    client = own_redis.client()
    publish_tiny(client, "geosteer", document, TABLES)
    for node in NODES:
        client.hset(Keys("geosteer").node(node), mapping={"state": "up", "since": "2026-01-01T00:00:00Z"})
    config = tmp_path / "geosteer.toml"
    config.write_text(f'[redis]\nurl = "{own_redis.url}"\n')
    with Worker(backend_toml(tmp_path, own_redis)) as worker:
        yield own_redis, worker, config


def command(config: Path, *words: str) -> str:
    """What `geosteer` prints."""
    program = [sys.executable, "-m", "geosteer_loader", *words, "--config", str(config)]
    return subprocess.run(program, check=True, capture_output=True, text=True).stdout


def shown(config: Path, node: str) -> float:
    """The share of a node by `geosteer status`."""
    return float(json.loads(command(config, "status", "--json"))["nodes"][node]["share"])


@pytest.mark.no_cover
def test_a_node_keeps_the_share_of_its_clients_that_status_shows(
    world: tuple[RedisServer, Worker, Path],
) -> None:
    server, worker, config = world
    names = {policy: f"{policy}.cdn.example.net" for policy in POLICIES}
    before = {policy: part_of(worker, name, FEW) for policy, name in names.items()}
    exactly = {policy: 0.98 if policy in {"weighted", "hash"} else 1.0 for policy in POLICIES}
    assert before == pytest.approx(exactly, abs=0.02)

    assert "keeps 30 % of its clients" in command(config, "node", "drain", "lon1", "--percent", "30")
    assert_kept(worker, names, exactly, shown(config, "lon1"), 0.3)

    command(config, "node", "auto", "lon1")
    server.client().hset(Keys("geosteer").node("lon1"), "shed", "0.45")
    assert_kept(worker, names, exactly, shown(config, "lon1"), 0.55)


def assert_kept(
    worker: Worker, names: dict[str, str], before: dict[str, float], share: float, expected: float
) -> None:
    """Under every policy the node keeps its share within 2 points (in a long run), and others get all other clients."""
    assert share == pytest.approx(expected)
    for policy, name in names.items():
        kept = part_of(worker, name) / before[policy]
        assert kept == pytest.approx(share, abs=NEAR), policy

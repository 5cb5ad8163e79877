"""Operators take nodes out in part and for a time, through the command, Redis and a worker."""

from __future__ import annotations

import json
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from geosteer.sync.tier import Tier
from geosteer.timestamps import format_time
from support.data import ROOT
from support.dns_setup import backend_toml
from support.servers import RedisServer, wait_until
from support.steering import make_settings, wait_live
from support.tiny import publish_tiny
from support.workers import Worker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WWW = "www.cdn.example.net"
LON, AMS = "192.0.2.1", "192.0.2.2"
NETWORKS = [f"20.{second}.{third}.0/24" for second in range(8) for third in range(256)]


@pytest.fixture
def worker(own_redis: RedisServer, tmp_path: Path) -> Iterator[Worker]:
    with own_redis.client() as client:
        publish_tiny(client, "geosteer", tables={"geo": {"20.0.0.0/8": "GB"}})
    (tmp_path / "geosteer.toml").write_text(f'[redis]\nurl = "{own_redis.url}"\n')
    with Worker(backend_toml(tmp_path, own_redis)) as made:
        yield made


def node(redis: RedisServer, *words: str) -> str:
    """Run `geosteer node`; what it prints."""
    command = [str(ROOT / "bin" / "geosteer"), "node", *words, "--config", "conf/geosteer.toml"]
    env = {"GEOSTEER_REDIS_URL": redis.url, "PATH": "/usr/bin:/bin", "USER": "tester"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=env, timeout=30)
    assert done.returncode == 0, done.stderr
    return done.stdout


def given(worker: Worker) -> dict[str, str]:
    return {network: worker.address(WWW, network) for network in NETWORKS}


def test_a_drain_of_30_percent_leaves_30_percent_of_the_networks_and_the_same_ones_each_time(
    own_redis: RedisServer, worker: Worker
) -> None:
    assert set(given(worker).values()) == {LON}
    node(own_redis, "drain", "lon1", "--percent", "30", "--why", "test")
    wait_until(lambda: AMS in given(worker).values())
    first = given(worker)
    kept = [network for network, address in first.items() if address == LON]
    assert abs(len(kept) / len(NETWORKS) - 0.3) < 0.02
    assert given(worker) == first
    node(own_redis, "drain", "lon1", "--percent", "60")
    wait_until(lambda: given(worker) != first)
    more = given(worker)
    assert all(more[network] == LON for network in kept), "who stayed at 30 % stays at 60 %"


def test_an_override_for_a_time_ends_by_itself_and_the_ttl_does_not_outlive_it(
    own_redis: RedisServer, worker: Worker
) -> None:
    network = NETWORKS[0]
    node(own_redis, "down", "lon*", "--for", "3s")
    wait_until(lambda: worker.address(WWW, network) == AMS)
    began = time.monotonic()
    while worker.address(WWW, network) == AMS:
        (ttl,) = {int(fields[5]) for fields in worker.ask(WWW, subnet=network)}
        assert ttl <= 4 or worker.address(WWW, network) == LON
        assert time.monotonic() - began < 30
        time.sleep(0.05)
    assert worker.address(WWW, network) == LON


@pytest.mark.parametrize("off", [-600, 600])
def test_a_worker_whose_clock_is_off_ends_an_override_in_time_also_before_any_beat(
    own_redis: RedisServer, worker: Worker, tmp_path: Path, off: int
) -> None:
    node(own_redis, "down", "lon1", "--for", "5m")
    with own_redis.client() as client:
        ended = {"state": "down", "until": format_time(client.time()[0] - 300)}
        client.hset("{geosteer}:override", "ams1", json.dumps(ended))
    tier = Tier(make_settings(own_redis, "geosteer", tmp_path), lambda _: 0, wall=lambda: time.time() + off)
    try:
        tier.start()
        wait_live(tier)
        assert tier.put_down() == {"lon1"}
        assert tier.now() == pytest.approx(time.time(), abs=30)
    finally:
        tier.close()


def test_a_drained_node_is_given_when_nothing_else_serves(own_redis: RedisServer, worker: Worker) -> None:
    node(own_redis, "drain", "lon1")
    node(own_redis, "down", "--yes", "ams1", "nyc1")
    wait_until(lambda: worker.address(WWW, NETWORKS[1]) == LON)

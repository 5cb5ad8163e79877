"""`redis+sentinel://`: the primary is found through sentinels, also while it changes under load."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from typing import TYPE_CHECKING

import pytest

import redis
from faults.scene import COLD, LAST_RESORT_TTL, Scene
from faults.table import SPARE
from geosteer.errors import StoreError
from geosteer_loader.config.config import load
from geosteer_loader.publish.publish import publish
from geosteer_loader.store.store import connect
from support.constellations import SentinelServer, Watched
from support.dns_setup import backend_toml
from support.publishing import current_of, write_config, write_csv
from support.servers import RedisServer, free_port, wait_until
from support.tiny import publish_tiny
from support.workers import Worker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

long = pytest.mark.skipif(not os.environ.get("GEOSTEER_LONG"), reason="takes long: GEOSTEER_LONG=1 runs it")
WWW = "www.cdn.example.net"
GB = "192.0.2.0/24"


@pytest.fixture
def watched(server_program: str) -> Iterator[Watched]:
    with Watched(program=server_program) as made:
        yield made


def test_a_primary_that_is_killed_under_load_is_followed_to_its_successor(
    watched: Watched, tmp_path: Path
) -> None:
    with Scene(tmp_path, server=watched.primary, url=watched.url) as scene:
        watched.primary.kill()
        wait_until(lambda: is_primary(watched.replica), what="a failover")
        scene.redis = watched.replica
        scene.repaired()
        found = scene.outcome()
        assert (found["unanswered"], found["failed"], found["wrong"]) == (0, 0, 0), found
        assert found["longest"] < 0.3 + SPARE + found["stalled"]
        assert found["recovery"] < 2 + 4 * SPARE + found["stalled"]
        assert "stale" in found["tiers"]
        assert all(scene.ask(net).ttl != LAST_RESORT_TTL for net in COLD[:4])


@long
def test_a_failover_in_good_order_is_followed_when_the_old_primary_is_told(
    watched: Watched, tmp_path: Path
) -> None:
    with Scene(tmp_path, server=watched.primary, url=watched.url) as scene:
        watched.failover()
        wait_until(lambda: is_primary(watched.replica), what="a failover")
        scene.redis = watched.replica
        scene.repaired()
        found = scene.outcome()
        assert (found["unanswered"], found["failed"], found["wrong"]) == (0, 0, 0), found
        # Sentinel lets it believe that it is the primary for eight seconds more.
        assert found["recovery"] < 14 + 4 * SPARE + found["stalled"]


def test_a_frozen_primary_is_left_for_the_one_that_the_sentinels_choose(
    watched: Watched, tmp_path: Path
) -> None:
    with Scene(tmp_path, server=watched.primary, url=watched.url) as scene:
        watched.primary.freeze()
        try:
            wait_until(lambda: is_primary(watched.replica), what="a failover")
            scene.redis = watched.replica
            scene.repaired()
            found = scene.outcome()
            assert (found["unanswered"], found["failed"], found["wrong"]) == (0, 0, 0), found
            assert found["recovery"] < 4 + 4 * SPARE + found["stalled"]
        finally:
            watched.primary.thaw()


def is_primary(server: RedisServer) -> bool:
    with (
        contextlib.suppress(redis.ConnectionError),
        server.client() as client,
    ):  # who is promoted cuts everybody off
        return bool(client.info("replication")["role"] == "master")
    return False


def test_sentinels_that_are_dead_or_know_nothing_are_passed_over(server_program: str, tmp_path: Path) -> None:
    with (
        RedisServer(tcp=True, program=server_program) as primary,
        SentinelServer(primary.port, 1, program=server_program) as knowing,
        SentinelServer(primary.port, 1, program=server_program) as empty,
        socket.create_server(("127.0.0.1", 0)) as silent,
        primary.client() as client,
    ):
        with empty.client(protocol=2) as forgetful:
            forgetful.execute_command("SENTINEL", "REMOVE", "steer")
        publish_tiny(client, "geosteer")
        ports = (free_port(), empty.port, silent.getsockname()[1], knowing.port)
        url = f"redis+sentinel://{','.join(f'localhost:{port}' for port in ports)}/steer"
        with Worker(backend_toml(tmp_path, url)) as worker:
            wait_until(lambda: worker.ask(WWW, subnet=GB) != [["FAIL"]])
            client.client_kill_filter(_type="normal", skipme=True)
            time.sleep(0.3)
            client.hset("{geosteer}:node:lon1", "state", "down")
            wait_until(lambda: worker.address(WWW, GB) == "192.0.2.2")
        assert connections(silent) == 1, "it costs a second, once: who was right is asked first from then on"


def connections(listener: socket.socket) -> int:
    """How many wait to be taken."""
    listener.setblocking(False)
    count = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            listener.accept()[0].close()
            count += 1
    return count


def test_a_server_that_is_named_as_primary_and_is_none_is_not_believed(
    server_program: str, tmp_path: Path
) -> None:
    with (
        RedisServer(tcp=True, program=server_program) as primary,
        RedisServer("--replicaof", f"127.0.0.1 {primary.port}", tcp=True, program=server_program) as replica,
        primary.client() as client,
    ):
        publish_tiny(client, "geosteer")
        with SentinelServer(replica.port, 3, program=server_program) as misled:
            worker = Worker(backend_toml(tmp_path, f"redis+sentinel://127.0.0.1:{misled.port}/steer"))
            worker.greet()
            for _ in range(3):
                assert worker.ask(WWW, subnet=GB) == [["FAIL"]]
                time.sleep(0.1)
            log = worker.close().decode()
    assert "named as the primary of steer, but is not: slave" in log


def test_the_loader_publishes_to_the_primary_and_finds_it_again_after_a_failover(
    watched: Watched, tmp_path: Path
) -> None:
    source = write_csv(tmp_path / "geo.csv")
    config = load(write_config(tmp_path, watched.url, geo=[source]), {})
    with connect(config.redis) as store:
        publish(config, store)
        watched.failover()
        wait_until(lambda: is_primary(watched.replica) and watched.agreed(), what="a failover")
        write_csv(source, ("192.0.2.0/23,GB",))

    def published() -> bool:
        """As cron does it: each run asks the sentinels again; a connection to the old primary would lose its writes."""
        try:
            with connect(config.redis) as fresh:
                publish(config, fresh)
        except StoreError:
            return False  # cron's next turn
        return True

    wait_until(published, what="a publish")
    with watched.replica.client() as client:
        assert current_of(client)["generation"] == "2"

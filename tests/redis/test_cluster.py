"""`redis+cluster://`: the node that has the prefix's slot is found, and followed when it fails or the slot moves."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

import redis
from faults.scene import COLD, LAST_RESORT_TTL, Scene
from faults.table import SPARE
from geosteer.errors import StoreError
from geosteer_loader.config.config import load
from geosteer_loader.publish.publish import publish
from geosteer_loader.store.store import connect
from support.constellations import Cluster
from support.data import ROOT
from support.dns_setup import backend_toml
from support.publishing import current_of, write_config, write_csv
from support.servers import RedisServer, free_port, wait_until
from support.tiny import publish_tiny
from support.workers import Worker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WWW = "www.cdn.example.net"
GB = "192.0.2.0/24"
KEY = "{geosteer}:current"


@pytest.fixture(scope="module")
def quiet(server_program: str) -> Iterator[Cluster]:
    """A Cluster in which nothing fails, with the shipped users beside one who may do everything."""
    shipped = (ROOT / "conf" / "users.acl").read_text().splitlines()
    with Cluster(replicas=0, timeout=30_000, program=server_program) as made:
        for node in made.nodes:
            with node.client() as client:
                for line in shipped:
                    if line.startswith(("user geosteer-worker ", "user geosteer-loader ")):
                        client.execute_command("ACL", "SETUSER", *line.split()[1:])
        yield made


WORKER = '---\nusername = "geosteer-worker"\npassword = "CHANGE-worker"'


@pytest.fixture
def own(server_program: str) -> Iterator[Cluster]:
    """A Cluster of six, to break."""
    with Cluster(program=server_program) as made:
        yield made


@pytest.mark.parametrize("first", range(3))
def test_whichever_node_is_named_the_one_with_the_slot_answers(
    quiet: Cluster, tmp_path: Path, first: int
) -> None:
    owner = quiet.owner(KEY)
    with owner.client() as client:
        publish_tiny(client, "geosteer")
        client.delete("{geosteer}:node:lon1")
        with Worker(backend_toml(tmp_path, quiet.url(quiet.nodes[first]))) as worker:
            wait_until(lambda: worker.ask(WWW, subnet=GB) != [["FAIL"]])
            wait_until(lambda: worker.address(WWW, GB) == "192.0.2.1")
            client.hset("{geosteer}:node:lon1", "state", "down")
            wait_until(lambda: worker.address(WWW, GB) == "192.0.2.2")


def test_nodes_that_are_gone_are_passed_over(quiet: Cluster, tmp_path: Path) -> None:
    with quiet.owner(KEY).client() as client:
        publish_tiny(client, "geosteer")
        client.delete("{geosteer}:node:lon1")
    url = f"redis+cluster://127.0.0.1:{free_port()},localhost:{free_port()},127.0.0.1:{quiet.nodes[1].port}"
    with Worker(backend_toml(tmp_path, url)) as worker:
        wait_until(lambda: worker.ask(WWW, subnet=GB) != [["FAIL"]])
        assert worker.address(WWW, GB) == "192.0.2.1"


def test_a_server_that_is_no_cluster_node_is_used_as_it_is(server_program: str, tmp_path: Path) -> None:
    with RedisServer(tcp=True, program=server_program) as single, single.client() as client:
        publish_tiny(client, "geosteer")
        with Worker(backend_toml(tmp_path, f"redis+cluster://127.0.0.1:{single.port}")) as worker:
            wait_until(lambda: worker.ask(WWW, subnet=GB) != [["FAIL"]])
            assert worker.address(WWW, GB) == "192.0.2.1"


def test_a_primary_that_is_killed_under_load_is_followed_to_its_successor(
    own: Cluster, tmp_path: Path
) -> None:
    owner = own.owner(KEY)
    with Scene(tmp_path, server=owner, url=own.url()) as scene:
        owner.kill()
        wait_until(lambda: successor(own, owner) is not None, what="a failover")
        found = successor(own, owner)
        assert found is not None
        scene.redis = found
        scene.repaired()
        outcome = scene.outcome()
        assert (outcome["unanswered"], outcome["failed"], outcome["wrong"]) == (0, 0, 0), outcome
        assert outcome["longest"] < 0.3 + SPARE + outcome["stalled"]
        assert outcome["recovery"] < 3 + 4 * SPARE + outcome["stalled"]
        assert all(scene.ask(net).ttl != LAST_RESORT_TTL for net in COLD[:4])


def successor(cluster: Cluster, dead: RedisServer) -> RedisServer | None:
    """The node that has the slot now, once all agree that it is another one."""
    found = set()
    for node in cluster.nodes:
        if node is not dead and node.running:
            with contextlib.suppress(redis.RedisError, LookupError, StopIteration):
                found.add(cluster.owner(KEY, node))
    return found.pop() if len(found) == 1 and dead not in found else None


def test_a_slot_that_is_migrated_under_load_is_followed_key_by_key(quiet: Cluster, tmp_path: Path) -> None:
    """Half of the keys are here and half there for a while; both are read, and the change of each is heard of."""
    owner = quiet.owner(KEY)
    target = next(node for node in quiet.nodes if node is not owner)
    with owner.client() as client:
        client.flushall()
    with Scene(tmp_path, server=owner, url=quiet.url()) as scene:
        took = quiet.migrate(KEY, target, pause=0.3)
        scene.redis = target
        scene.repaired()
        outcome = scene.outcome()
        assert (outcome["unanswered"], outcome["failed"], outcome["wrong"]) == (0, 0, 0), outcome
        assert outcome["longest"] < 0.3 + SPARE + outcome["stalled"]
        assert outcome["recovery"] < 2 + 4 * SPARE + outcome["stalled"]
        assert set(took) >= {KEY, "{geosteer}:object", "{geosteer}:override", "{geosteer}:node:bad1"}


@pytest.mark.parametrize("moved", ["{geosteer}:object", "{geosteer}:node:bad1", "{geosteer}:current"])
def test_a_worker_that_starts_in_the_middle_of_a_migration_finds_every_key(
    quiet: Cluster, tmp_path: Path, moved: str
) -> None:
    owner = quiet.owner(KEY)
    target = next(node for node in quiet.nodes if node is not owner)
    with owner.client() as client:
        client.flushall()
    scene = Scene(tmp_path, server=owner, url=quiet.url())
    scene.publish()
    with owner.client() as old, target.client() as new:
        slot = int(old.execute_command("CLUSTER", "KEYSLOT", KEY))
        new.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", quiet.identity(owner))
        old.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", quiet.identity(target))
        old.execute_command("MIGRATE", "127.0.0.1", target.port, moved, 0, 5000)
        try:
            with Worker(backend_toml(tmp_path, quiet.url(), WORKER)) as worker:
                wait_until(lambda: worker.ask(WWW, subnet="11.0.0.0/24") != [["FAIL"]])
                wait_until(lambda: worker.address(WWW, "11.0.0.0/24") == "192.0.2.1")
                assert worker.address(WWW, "11.0.1.0/24") == "192.0.2.2"
                assert worker.address(WWW, "11.5.1.0/24") == "192.0.2.2"
                if moved.endswith("bad1"):  # and what changes over there is heard of
                    with target.client(single_connection_client=True) as aside:
                        aside.execute_command("ASKING")
                        aside.hset(moved, "state", "up")
                    wait_until(lambda: worker.address(WWW, "11.0.0.0/24") == "192.0.2.66")
                assert (old.acl_log(), new.acl_log()) == ([], [])
        finally:
            for node in (old, new):
                node.execute_command("CLUSTER", "SETSLOT", slot, "STABLE")
            with contextlib.suppress(redis.RedisError):
                new.flushall()


def test_the_loader_publishes_to_the_node_with_the_slot_and_follows_it(
    quiet: Cluster, tmp_path: Path
) -> None:
    owner = quiet.owner(KEY)
    with owner.client() as client:
        client.flushall()
    source = write_csv(tmp_path / "geo.csv")
    path = write_config(tmp_path, quiet.url(), geo=[source])
    login = 'username = "geosteer-loader"\npassword = "CHANGE-loader"'
    path.write_text(path.read_text().replace('prefix = "geosteer"\n', f'prefix = "geosteer"\n{login}\n'))
    config = load(path, {})
    with connect(config.redis) as store:
        publish(config, store)
        target = next(node for node in quiet.nodes if node is not owner)
        quiet.migrate(KEY, target)
        write_csv(source, ("192.0.2.0/23,GB",))
        with pytest.raises(StoreError, match="moved, to another node"):
            publish(config, store)
        publish(config, store)
    with target.client() as client:
        assert current_of(client)["generation"] == "2"

"""What workers count through the pipe, and what others read of it while they run and after they are killed."""

from __future__ import annotations

import copy
import os
import re
import signal
from typing import TYPE_CHECKING, Any

import pytest

from geosteer.counters.reading import read_folder
from support.dns_setup import backend_toml
from support.servers import RedisServer, wait_until
from support.tiny import DOCUMENT, publish_tiny
from support.workers import Worker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from geosteer.counters.reading import WorkerCounters

ZONE = "cdn.example.net"
WWW = "www.cdn.example.net"
GB, NL, FR = "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/25"


def config_of(folder: Path, server: RedisServer, **more: Any) -> Path:
    """A worker's settings, with counters in a folder of their own."""
    metrics = folder / "metrics"
    metrics.mkdir(exist_ok=True)
    path = backend_toml(folder, server, "timeout = 5000", **more)
    with path.open("a") as file:
        file.write(f'\n[metrics]\nfolder = "{metrics}"\n')
    return path


@pytest.fixture
def config(redis_server: RedisServer, prefix: str, tmp_path: Path) -> Path:
    with redis_server.client() as client:
        publish_tiny(client, prefix)
    return config_of(tmp_path, redis_server, prefix=prefix)


@pytest.fixture
def worker(config: Path) -> Iterator[Worker]:
    with Worker(config) as made:
        yield made


def counted(config: Path) -> list[WorkerCounters]:
    workers, damaged = read_folder(config.parent / "metrics")
    assert damaged == []
    return workers


def by_node(workers: list[WorkerCounters]) -> dict[tuple[str, str, str, str], int]:
    """Service, tier, node and layer of the A record -> questions."""
    sums: dict[tuple[str, str, str, str], int] = {}
    for worker in workers:
        for answer, count in worker.answers():
            assert answer.zone == ZONE
            ((node, layer),) = {(node, layer) for _, node, layer in answer.given}
            key = answer.service, answer.tier, node, layer
            sums[key] = sums.get(key, 0) + count
    return sums


def others(workers: list[WorkerCounters]) -> dict[tuple[str, str], int]:
    sums: dict[tuple[str, str], int] = {}
    for worker in workers:
        for zone, outcome, count in worker.others():
            sums[zone, outcome] = sums.get((zone, outcome), 0) + count
    return sums


def test_every_answer_is_counted_by_service_tier_node_and_layer(config: Path, worker: Worker) -> None:
    for _ in range(5):
        worker.ask(WWW, subnet=GB)  # remembered by its bytes after the first
    for number in range(4):
        worker.ask(WWW, subnet=f"198.51.100.{number}/32")  # by its record
    worker.ask("cname.cdn.example.net", subnet=FR)
    worker.ask(WWW, subnet="8.8.8.0/24")
    assert by_node(counted(config)) == {
        (WWW, "live", "lon1", "countries"): 5,
        (WWW, "live", "ams1", "countries"): 4,
        ("cname.cdn.example.net", "live", "ams1", "continents"): 1,
        (WWW, "live", "nyc1", "default"): 1,
    }
    (found,) = counted(config)
    assert sum(found.buckets) == 4, "answers from memory, and by a record that is here, are not measured"
    assert 0 < found.seconds < 60
    assert found.hits >= 6
    assert found.misses >= 1
    assert found.waits >= 1
    assert found.timeouts == 0


def test_all_other_questions_are_counted_by_zone_and_outcome(config: Path, worker: Worker) -> None:
    worker.ask(ZONE, "SOA")
    worker.ask(ZONE, "NS")
    worker.ask(ZONE)
    worker.ask("lon1.cdn.example.net")
    worker.ask(WWW, "SOA")
    worker.ask("nowhere.cdn.example.net")
    worker.ask("www.elsewhere.example")
    worker.ask("example", "SOA")
    worker.send(b"Q\tfour\tfields\tonly\n")
    worker.reply()
    worker.send(b"CMD\tstatus\n")
    worker.reply()
    assert others(counted(config)) == {
        (ZONE, "static"): 4,
        (ZONE, "missing"): 2,
        ("", "missing"): 2,
        ("", "invalid"): 1,
    }
    (found,) = counted(config)
    assert found.questions == sum(found.buckets) == 9


def test_an_answer_that_may_not_be_given_is_counted_as_refused(
    redis_server: RedisServer, prefix: str, tmp_path: Path
) -> None:
    document = copy.deepcopy(DOCUMENT)
    document["maps"]["default"]["all_down"] = "none"
    with redis_server.client() as client:
        publish_tiny(client, prefix, document)
        for node in document["nodes"]:
            client.hset("{" + prefix + "}:node:" + node, mapping={"state": "down"})
    config = config_of(tmp_path, redis_server, prefix=prefix)
    with Worker(config) as worker:
        assert worker.ask(WWW, subnet=GB) == [["FAIL"]]
    assert others(counted(config)) == {(ZONE, "refused"): 1}


def test_answers_without_redis_are_counted_under_the_names_of_the_settings(tmp_path: Path) -> None:
    """A pattern's names are one service: clients choose the names, and never a key."""
    (tmp_path / "metrics").mkdir()
    config = tmp_path / "backend.toml"
    config.write_text(
        f"""
snapshot = "last-good.json"
[redis]
url = "unix://{tmp_path}/no-redis"
[metrics]
folder = "metrics"
[fallback.zones."{ZONE}"]
ns = ["ns1.example.net"]
services = ["{WWW}", "*.img.{ZONE}"]
soa = {{ mname = "ns1.example.net", rname = "hostmaster.example.net" }}
[[fallback.servers]]
name = "lon1"
a = ["192.0.2.1"]
"""
    )
    with Worker(config) as worker:
        worker.ask(WWW, subnet=GB)
        for number in range(20):
            assert worker.ask(f"x{number}.img.{ZONE}", subnet=GB) != [["FAIL"]]
        worker.ask("unknown.cdn.example.net", subnet=GB)
        assert by_node(counted(config)) == {
            (WWW, "fallback", "lon1", "last_resort"): 1,
            (f"*.img.{ZONE}", "fallback", "lon1", "last_resort"): 20,
        }
        assert others(counted(config)) == {(ZONE, "failed"): 1}
        assert counted(config)[0].errors["refused"] >= 1


def test_a_worker_that_is_killed_loses_nothing_and_the_next_one_counts_on(config: Path) -> None:
    for number in (1, 2, 3):
        worker = Worker(config)
        worker.greet()
        for _ in range(10):
            worker.ask(WWW, subnet=GB)
        assert [found.pid for found in counted(config)] == [worker.pid]
        os.kill(worker.pid, signal.SIGKILL)
        worker.close()
        assert [found.pid for found in counted(config)] == [None]
        assert by_node(counted(config)) == {(WWW, "live", "lon1", "countries"): 10 * number}


def test_workers_at_the_same_time_have_a_file_each(config: Path) -> None:
    with Worker(config) as first, Worker(config) as second:
        first.ask(WWW, subnet=GB)
        second.ask(WWW, subnet=GB)
        second.ask(WWW, subnet=GB)
        assert [(found.pid, found.questions) for found in counted(config)] == [
            (first.pid, 1),
            (second.pid, 2),
        ]


def test_a_reload_counts_on_in_the_same_file(config: Path, worker: Worker) -> None:
    worker.ask(WWW, subnet=GB)
    (before,) = counted(config)
    os.kill(worker.pid, signal.SIGHUP)
    wait_until(lambda: counted(config)[0].started > before.started)
    worker.ask(WWW, subnet=GB)
    (found,) = counted(config)
    assert (found.pid, found.questions) == (worker.pid, 2)


def test_how_a_worker_is_can_be_read_while_it_runs(
    config: Path, worker: Worker, redis_server: RedisServer, prefix: str
) -> None:
    wait_until(lambda: counted(config))  # the file is taken once PowerDNS has its banner
    assert counted(config)[0].answered is None
    worker.ask(WWW, subnet=GB)
    wait_until(lambda: counted(config)[0].answered is not None)
    (found,) = counted(config)
    assert (found.pid, found.front_end) == (worker.pid, "pdns")
    assert (found.generation, found.tier, found.waiting) == (1, "live", 0.0)
    assert found.leaves >= 1
    assert found.leaf_bytes > 0
    with redis_server.client() as client:
        publish_tiny(client, prefix, generation=2)
    wait_until(lambda: counted(config)[0].generation == 2)


def test_a_question_that_waits_is_seen_and_what_became_of_it(tmp_path: Path) -> None:
    with RedisServer() as server:
        with server.client() as client:
            publish_tiny(client, "geosteer")
        config = config_of(tmp_path, server)
        with Worker(config) as worker:
            worker.ask(WWW, subnet=GB)
            (before,) = counted(config)
            server.freeze()
            worker.send(worker.question(WWW, subnet="2001:db8:a::/48"))
            wait_until(lambda: counted(config)[0].waiting > 0)
            worker.reply()
            wait_until(lambda: counted(config)[0].errors["timeout"] > 0)
            (after,) = counted(config)
            assert after.timeouts > before.timeouts
            assert after.waiting == 0.0
            server.thaw()
            wait_until(lambda: counted(config)[0].reconnections > 0)


@pytest.mark.parametrize("asked", [True, False])
def test_a_folder_that_is_not_there_is_told_where_it_was_asked_for(
    redis_server: RedisServer, prefix: str, tmp_path: Path, asked: bool
) -> None:
    with redis_server.client() as client:
        publish_tiny(client, prefix)
    config = backend_toml(tmp_path, redis_server, "timeout = 5000", prefix=prefix)
    if asked:
        with config.open("a") as file:
            file.write('\n[metrics]\nfolder = "nowhere"\n')
    with Worker(config) as worker:
        assert worker.address(WWW, GB) == "192.0.2.1"
        log = worker.close().decode()
    assert log.count("nowhere") == (1 if asked else 0)
    assert len(log.splitlines()) == (1 if asked else 0)


def test_a_connection_bears_the_name_of_its_worker(
    config: Path, worker: Worker, redis_server: RedisServer
) -> None:
    worker.ask(WWW, subnet=GB)
    with redis_server.client() as client:
        names = {entry["name"] for entry in client.client_list()}
    assert [name for name in names if re.fullmatch(rf"geosteer/pdns/[!-.0-~]+/{worker.pid}", name)]

"""What the library, geosteer-squid and geosteer-http count."""

from __future__ import annotations

import os
import signal
import subprocess
from http.client import HTTPException
from typing import TYPE_CHECKING

import pytest

from geosteer import NoService
from geosteer.counters.reading import read_folder
from support.data import ROOT
from support.front_servers import AMERICAN, BRITISH, TABLES, ask, start_http
from support.servers import wait_until
from support.steering import WWW, document, live_steering, republish, set_state, write_settings

if TYPE_CHECKING:
    from pathlib import Path

    from support.servers import RedisServer

Sums = dict[tuple[str, ...], int]


def counted(folder: Path) -> Sums:
    """Service, tier, type, node and layer, or the outcome -> requests, of all front ends together."""
    workers, damaged = read_folder(folder)
    assert damaged == []
    sums: Sums = {}
    for worker in workers:
        for answer, count in worker.answers():
            ((kind, node, layer),) = answer.given
            key = worker.front_end, answer.service, answer.tier, kind, node, layer
            sums[key] = sums.get(key, 0) + count
        for _, outcome, count in worker.others():
            sums[worker.front_end, outcome] = sums.get((worker.front_end, outcome), 0) + count
    return sums


def settings(server: RedisServer, prefix: str, folder: Path) -> Path:
    republish(server, prefix, document(), tables=TABLES)
    path = write_settings(server, prefix, folder, "timeout = 5000")
    with path.open("a") as file:
        file.write(f'[metrics]\nfolder = "{folder}/metrics"\n')
    (folder / "metrics").mkdir()
    return path


def test_the_library_counts_choices_and_what_it_could_not_give(
    redis_server: RedisServer, prefix: str, tmp_path: Path
) -> None:
    made = document(
        services={"none.cdn.example.net": {"map": "none"}},
        maps={"none": {"all_down": "none", "default": {"nyc1": 1}}},
    )
    republish(redis_server, prefix, made)
    set_state(redis_server, prefix, "nyc1", "down")
    with live_steering(redis_server, prefix, tmp_path, metrics={"folder": str(tmp_path)}) as steering:
        for number in range(5):
            assert steering.decide(WWW, f"192.0.2.{number}").node.name == "lon1"
        for _ in range(3):
            steering.decide(WWW, "192.0.2.1")
        steering.decide("none.cdn.example.net")
        with pytest.raises(NoService):
            steering.decide("nowhere.example")
        (worker,), _ = read_folder(tmp_path)
        assert worker.questions == 10
        assert (worker.pid, worker.waiting) == (os.getpid(), 0.0)
    assert counted(tmp_path) == {
        ("library", WWW, "live", "A", "lon1", "countries"): 8,
        ("library", "refused"): 1,
        ("library", "missing"): 1,
    }
    assert read_folder(tmp_path)[0][0].pid is None


def test_a_forked_child_counts_in_a_file_of_its_own(
    redis_server: RedisServer, prefix: str, tmp_path: Path
) -> None:
    republish(redis_server, prefix, document())
    with live_steering(redis_server, prefix, tmp_path, metrics={"folder": str(tmp_path)}) as steering:
        steering.decide(WWW, "192.0.2.1")
        pid = os.fork()
        if not pid:
            steering.start()
            steering.decide(WWW, "192.0.2.1")
            steering.decide(WWW, "198.51.100.1")
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        steering.decide(WWW, "192.0.2.1")
        workers, _ = read_folder(tmp_path)
        assert [(worker.pid, worker.questions) for worker in workers] == [(os.getpid(), 2), (None, 2)]


def test_a_library_counts_nowhere_unless_it_was_told_to(
    redis_server: RedisServer, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("geosteer.settings.DEFAULT_METRICS", str(tmp_path))
    republish(redis_server, prefix, document())
    with live_steering(redis_server, prefix, tmp_path) as steering:
        steering.decide(WWW, "192.0.2.1")
        assert read_folder(tmp_path) == ([], [])


def test_squid_counts_what_it_rewrites(redis_server: RedisServer, prefix: str, tmp_path: Path) -> None:
    config = settings(redis_server, prefix, tmp_path)
    lines = "".join(f"{number} http://{WWW}/a {BRITISH}/- - GET\n" for number in range(6))
    lines += f"7 http://nowhere.example/a {BRITISH}/- - GET\n8 http://{WWW}/a {AMERICAN}/- - GET\n"
    with redis_server.client() as client:
        process = subprocess.Popen(
            [ROOT / "bin" / "geosteer-squid", "--config", config],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        process.stdin.write(lines)
        process.stdin.flush()
        replies = [process.stdout.readline() for _ in range(8)]
        assert f"/{process.pid}" in " ".join(
            entry["name"] for entry in client.client_list() if entry["name"].startswith("geosteer/squid/")
        )
        process.kill()
        process.communicate()
    assert sum("lon1" in reply for reply in replies) == 6
    assert counted(tmp_path / "metrics") == {
        ("squid", WWW, "live", "A", "lon1", "countries"): 6,
        ("squid", "missing"): 1,
        ("squid", WWW, "live", "A", "nyc1", "default"): 1,
    }


@pytest.mark.parametrize("workers", ["1", "2"])
def test_http_counts_every_redirect_in_every_worker_and_over_a_reload(
    redis_server: RedisServer, prefix: str, tmp_path: Path, workers: str
) -> None:
    config = settings(redis_server, prefix, tmp_path)
    folder = tmp_path / "metrics"
    server, port = start_http(config, "--workers", workers)
    with server:
        for _ in range(20):
            assert "lon1" in ask(port, "/a", client=BRITISH)["location"]
        before = {worker.path: worker.started for worker in read_folder(folder)[0]}
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "reloaded" in server.log)
        for _ in range(10):
            assert "nyc1" in ask(port, "/a", client=AMERICAN)["location"]
        if workers == "1":
            (worker,), _ = read_folder(folder)
            assert worker.started > before[worker.path]
            assert worker.pid == server.process.pid
    assert counted(folder) == {
        ("http", WWW, "live", "A", "lon1", "countries"): 20,
        ("http", WWW, "live", "A", "nyc1", "default"): 10,
    }


def test_redirects_that_clients_got_are_counted_although_workers_are_killed(
    redis_server: RedisServer, prefix: str, tmp_path: Path
) -> None:
    """Two services, two workers, one killed now and then: a killed one may have counted one more that nobody got."""
    config = settings(redis_server, prefix, tmp_path)
    republish(
        redis_server, prefix, document(services={"img.cdn.example.net": {"map": "default"}}), tables=TABLES
    )
    got: dict[tuple[str, str], int] = {}
    kills = 0
    server, port = start_http(config, "--workers", "2")
    with server:
        for number in range(160):
            if number % 40 == 20:
                children = [worker.pid for worker in read_folder(tmp_path / "metrics")[0] if worker.pid]
                os.kill(children[kills % len(children)], signal.SIGKILL)
                kills += 1
            host = (WWW, "img.cdn.example.net")[number % 2]
            client, node = ((BRITISH, "lon1"), (AMERICAN, "nyc1"))[number // 2 % 2]

            def asked(host: str = host, client: str = client, node: str = node) -> bool:
                try:
                    return node in ask(port, "/a", host=host, client=client)["location"]
                except (OSError, HTTPException):
                    return False  # of a worker that was killed; the other one, or its successor, answers

            wait_until(asked, what="an answer")
            got[host, node] = got.get((host, node), 0) + 1
    assert kills == 4
    sums: dict[tuple[str, str], int] = {}
    for (_, *key), count in counted(tmp_path / "metrics").items():
        service, node = key[0], key[3]
        sums[service, node] = sums.get((service, node), 0) + count
    assert sums.keys() == got.keys()
    assert all(sums[key] >= got[key] for key in got), (sums, got)
    assert sum(sums.values()) <= sum(got.values()) + kills

"""`geosteer workers`: what workers do, from the files in which they count, and from Redis."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from geosteer.errors import StoreError
from geosteer_loader.cli.main import main
from geosteer_loader.config.redis import RedisSettings
from geosteer_loader.query.workers import SILENT, Local, connections, local
from geosteer_loader.store.redis_errors import NotPermitted
from geosteer_loader.store.store import connect
from support.dns_setup import backend_toml
from support.publishing import write_config
from support.servers import RedisServer, wait_until
from support.tiny import publish_tiny
from support.workers import Worker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WWW, GB = "www.cdn.example.net", "192.0.2.0/24"
ACL = "users.acl"


@pytest.fixture
def config(redis_server: RedisServer, prefix: str, tmp_path: Path) -> Path:
    with redis_server.client() as client:
        publish_tiny(client, prefix, generation=7)
    return settings(tmp_path, redis_server, prefix)


def settings(folder: Path, redis: RedisServer, prefix: str = "geosteer") -> Path:
    run = folder / "run"
    run.mkdir()
    return backend_toml(folder, redis, f'timeout = "5s"\n---[metrics]\nfolder = "{run}"\n', prefix)


def look(config: Path, interval: float = 0.0, later: float = 0.0) -> Local:
    """The workers that use these settings. Args: later: as it will be in so many seconds, if nothing happens."""
    return local(
        str(config.parent / "run"), interval, time.sleep, time.monotonic, lambda: time.time() + later
    )


@contextmanager
def another_user() -> Iterator[None]:
    """Be nobody for a while, if the tests are root."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


def test_each_worker_is_shown_with_what_it_does(config: Path) -> None:
    with Worker(config) as busy, Worker(config) as idle:
        for worker in (busy, idle):
            worker.ask(WWW, subnet=GB)
        wait_until(
            lambda: all(each.tier == "live" and each.last_answer is not None for each in look(config).workers)
        )
        stop = threading.Event()

        def ask() -> None:
            while not stop.wait(0.002):
                busy.ask(WWW, subnet=GB)

        asking = threading.Thread(target=ask)
        asking.start()
        try:
            found = look(config, interval=1.0)
        finally:
            stop.set()
            asking.join()
        workers = {each.pid: each for each in found.workers}
        assert workers.keys() == {busy.pid, idle.pid}
        for each in found.workers:
            assert (each.front_end, each.generation, each.cached_pages) == ("pdns", 7, 1)
            assert each.cached_bytes > 100
            assert not each.silent
            assert each.last_answer is not None
        rate = workers[busy.pid].answers_per_second
        assert rate is not None
        assert rate > 5
        assert workers[idle.pid].answers_per_second == 0
        assert found.troubles == []
        assert all(worker.answers_per_second is None for worker in look(config).workers)
    assert (look(config).workers, look(config).free) == ([], 2)


def test_a_worker_that_is_stopped_shows(config: Path) -> None:
    with Worker(config) as worker:
        worker.ask(WWW, subnet=GB)
        wait_until(lambda: [each.seen for each in look(config).workers])
        os.kill(worker.pid, signal.SIGSTOP)
        try:
            assert [each.silent for each in look(config, later=SILENT + 5).workers] == [True]
            path = write_config(config.parent, "unix:///nowhere")
            assert main(["workers", "--folder", str(config.parent / "run"), "--config", str(path)]) == 0
        finally:
            os.kill(worker.pid, signal.SIGCONT)


def test_a_question_that_waits_for_redis_shows(own_redis: RedisServer, tmp_path: Path) -> None:
    with own_redis.client() as client:
        publish_tiny(client, "geosteer")
    config = settings(tmp_path, own_redis)
    with Worker(config) as worker:
        worker.ask("cdn.example.net", "SOA")
        wait_until(lambda: [each for each in look(config).workers if each.tier == "live"])
        assert [each.waiting for each in look(config).workers] == [0]
        own_redis.freeze()
        try:
            worker.send(worker.question(WWW, subnet=GB))
            wait_until(lambda: look(config).workers[0].waiting > 0)
        finally:
            own_redis.thaw()
        worker.reply()
        assert [each.waiting for each in look(config).workers] == [0]


def test_what_may_not_be_read_is_named(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = config.parent / "run"
    for path in (folder, *config.parents):
        if "pytest-" in str(path):  # pytest keeps others out of its folders
            path.chmod(0o755)
    with Worker(config) as worker:
        worker.ask(WWW, subnet=GB)
        wait_until(lambda: look(config).workers)
        (file,) = (folder / "pdns").iterdir()
        file.chmod(0)
        with another_user():
            found = look(config)
        assert (found.workers, found.troubles) == ([], [f"{file}: Permission denied"])
        (folder / "pdns").chmod(0o700)
        file.chmod(0o644)
        with another_user():
            found = look(config)
        assert found.troubles == [
            f"{folder / 'pdns'}: Permission denied: ask as root, or as the user of the workers"
        ]
        folder.chmod(0o700)
        with another_user(), pytest.raises(StoreError, match="Permission denied: ask as root"):
            look(config)
        folder.chmod(0o755)
        assert len(look(config).workers) == 1
        file.write_bytes(b"nonsense" * 9000)
        assert "damaged" in look(config).troubles[0]
    with pytest.raises(StoreError, match="no worker counts there"):
        local(str(folder / "none"), 0, time.sleep, time.monotonic, time.time)
    assert main(["workers", "--folder", str(folder / "none")]) == 1
    assert "--redis asks Redis" in capsys.readouterr().err


def test_redis_knows_who_is_connected(
    config: Path, redis_server: RedisServer, prefix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_config(config.parent, redis_server.url, prefix)

    def asked(*words: str) -> Any:
        capsys.readouterr()
        assert main(["workers", *words]) == 0
        return capsys.readouterr().out

    with Worker(config) as worker, redis_server.client() as client:
        client.client_setname("geosteer/pdns")  # others may call themselves anything
        worker.ask(WWW, subnet=GB)
        documents = json.loads(asked("--redis", "--config", str(path), "--json"))
        (own,) = [each for each in documents if each["pid"] == worker.pid]
        assert (own["front_end"], own["host"], own["user"], own["pushed"]) == (
            "pdns", os.uname().nodename, "default", True,
        )  # fmt: skip
        text = asked("--redis", "--config", str(path))
        assert str(worker.pid) in text
        assert str(worker.pid) in asked("--redis", "--backend", str(config))
        shown = json.loads(asked("--backend", str(config), "--interval", "50ms", "--json"))
        assert [each["pid"] for each in shown["workers"]] == [worker.pid]
        assert str(worker.pid) in asked("--folder", shown["folder"], "--interval", "0")


def test_a_user_that_may_not_ask_is_told_which_command(own_redis: RedisServer) -> None:
    with own_redis.client() as client:
        client.execute_command("ACL", "SETUSER", "plain", "on", ">secret", "~*", "+@read", "+hello", "+auth")
    server = RedisSettings(url=own_redis.url, prefix="geosteer", username="plain", password="secret")
    with connect(server) as store, pytest.raises(NotPermitted, match="CLIENT LIST"):
        connections(store)

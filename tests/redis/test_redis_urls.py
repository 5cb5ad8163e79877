"""Redis URLs as workers take them, and the way to what they name."""

from __future__ import annotations

import resource
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from redis.sentinel import SentinelConnectionPool

from geosteer.errors import ConfigError
from geosteer.resp import resolver
from geosteer.resp.url import Address
from geosteer.settings import Settings, load
from geosteer.sync.tier import Tier
from geosteer_loader.config import config as loader_config
from geosteer_loader.store.endpoint import client_for
from support import config_file
from support.dns_setup import backend_toml
from support.servers import RedisServer, free_port, wait_until
from support.steering import wait_live
from support.tiny import publish_tiny
from support.workers import Worker

WWW = "www.cdn.example.net"
GB = "192.0.2.0/24"

GOOD = {
    "unix:///run/redis/redis.sock": ([("/run/redis/redis.sock", 0)], "", 0),
    "unix:///run/a%20b?db=3": ([("/run/a b", 0)], "", 3),
    "redis://localhost": ([("localhost", 6379)], "", 0),
    "redis://192.0.2.1:7000/2": ([("192.0.2.1", 7000)], "", 2),
    "redis://[2001:db8::1]": ([("2001:db8::1", 6379)], "", 0),
    "rediss://[2001:db8::1]:6380/1": ([("2001:db8::1", 6380)], "", 1),
    "redis+sentinel://a,b:7,[::1]/steer": ([("a", 26379), ("b", 7), ("::1", 26379)], "steer", 0),
    "redis+sentinel://a/steer/4": ([("a", 26379)], "steer", 4),
    "redis+cluster://a,b:7001": ([("a", 6379), ("b", 7001)], "", 0),
    "redis+cluster://a/": ([("a", 6379)], "", 0),
    "redis+cluster://a/0": ([("a", 6379)], "", 0),
    "redis://a:/": ([("a", 6379)], "", 0),
    "redis://a?db=4": ([("a", 6379)], "", 4),
    "redis://a/1?db=4": ([("a", 6379)], "", 4),
    "redis+sentinel://a/steer?db=4": ([("a", 26379)], "steer", 4),
    "unix:///run/a#b": ([("/run/a#b", 0)], "", 0),
    "unix://me:p@/run/a": ([("/run/a", 0)], "", 0),
    "redis://me:p%40:q@a_b.example.net": ([("a_b.example.net", 6379)], "", 0),
}  # fmt: skip


@pytest.mark.parametrize("url", GOOD)
def test_a_url_says_where_redis_is(url: str) -> None:
    address = Address(url)
    assert (address.places, address.name, address.database) == GOOD[url]
    assert address.tls == url.startswith("rediss:")
    assert Address(str(address)).places == address.places


BAD = {
    "http://h": "must begin with unix://, redis://, rediss://, redis+sentinel://, redis+cluster://",
    "localhost:6379": "must begin with unix://",
    "redis://": "invalid host",
    "redis://a,b": "takes one host; several need redis+sentinel:// or redis+cluster://",
    "redis://a:0": "invalid port",
    "redis://a:99999": "invalid port",
    "redis://a:x": "invalid port",
    "redis://[::1": "invalid host",
    "redis://[::1]x": "invalid host",
    "redis://a b": "invalid host",
    "redis://a/x": "invalid database number",
    "redis://a?timeout=1": "takes no option but ?db=NUMBER",
    "redis://a?db=x": "invalid database number",
    "unix://run/redis.sock": "must have three slashes after unix:, an absolute path",
    "unix://": "must have three slashes after unix:, an absolute path",
    "redis+sentinel://a,b": "must name the primary after the hosts, as Sentinel calls it",
    "redis+sentinel://a/steer/x": "invalid database number",
    "redis+cluster://a/1": "takes no database: a Cluster has only one",
    "redis+cluster://a,,b": "invalid host",
    "redis://u:%zz@a": "has a % that is not followed by two hexadecimal digits of UTF-8",
    "redis://h#x": "invalid host",
    "redis://a%b": "invalid host",
    "redis://a%20b": "invalid host",
    "redis://m\xfcnchen": "invalid host",
    "redis://[fe80::1%eth0]": "invalid host",
    "redis://[192.0.2.1]": "invalid host",
    "redis://::1": "invalid host",
    "redis://a:000080": "invalid port",
    "redis://a:\u0663": "invalid port",
    f"redis://a:{'9' * 5000}": "invalid port",
    f"redis://a/{'9' * 5000}": "invalid database number",
    "redis://a/1#x": "invalid database number",
    "redis://a/x?db=1": "invalid database number",
    "redis://a?db=": "invalid database number",
    "redis://a?": "takes no option but ?db=NUMBER",
    "redis+cluster://a?db=1": "takes no database: a Cluster has only one",
    "unix:///run/a%00b": "has a NUL byte in its path",
    "redis://u:%@a": "has a % that is not followed by two hexadecimal digits of UTF-8",
    "redis://u:% 1@a": "has a % that is not followed by two hexadecimal digits of UTF-8",
    "REDIS://a": "must begin with unix://",
    "redis://u:%ff@a": "has a % that is not followed by two hexadecimal digits of UTF-8",
}  # fmt: skip


@pytest.mark.parametrize("url", GOOD)
def test_the_loader_goes_where_workers_go(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = config_file.load(f'[redis]\nurl = "{url}"\n').redis
    assert "@" not in settings.url
    pool = client_for(settings).connection_pool
    options = pool.connection_kwargs
    places, name, database = GOOD[url]
    assert options["db"] == database
    if url.startswith("unix:"):
        assert options["path"] == places[0][0]
    elif url.startswith("redis+sentinel:"):
        assert isinstance(pool, SentinelConnectionPool)
        asked = [each.connection_pool.connection_kwargs for each in pool.sentinel_manager.sentinels]
        assert ([(each["host"], each["port"]) for each in asked], pool.service_name) == (places, name)
    elif url.startswith("redis+cluster:"):
        assert options["seeds"] == places
    else:
        assert [(options["host"], options["port"])] == places
    assert Address(settings.url).places == places


@pytest.mark.parametrize("url", BAD)
def test_a_url_that_leads_nowhere_ends_a_worker_with_the_reason(url: str, tmp_path: Path) -> None:
    path = tmp_path / "backend.toml"
    path.write_text(f'snapshot = "last-good.json"\n[redis]\nurl = "{url}"\n')
    with pytest.raises(ConfigError) as refusal:
        load(str(path))
    (problem,) = refusal.value.problems
    assert problem.startswith(f"{path}: redis.url: {BAD[url]}")
    (told,) = loader_config.check_backend(path)
    assert told.replace(": line 3: ", ": ") == problem, "check-config --backend says so too, and where"


@pytest.mark.parametrize("url", BAD)
def test_the_loader_refuses_what_workers_refuse(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (problem,) = config_file.problems(f'[redis]\nurl = "{url}"\n')
    assert problem.startswith(f"c.toml: redis.url: {BAD[url]}")


def test_user_and_password_come_from_the_url_unless_they_are_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PW", "from outside")
    settings = Settings({"redis": {"url": "redis://me:p%40%C3%A9@h"}})
    assert (settings.username, settings.password) == ("me", "p@\xe9")
    settings = Settings({"redis": {"url": "redis://me:p@h", "username": "you", "password": "q"}})
    assert (settings.username, settings.password) == ("you", "q")
    assert Settings({"redis": {"url": "redis://:${PW}@h"}}).password == "from outside"
    assert "p@" not in str(Settings({"redis": {"url": "redis://me:p@h"}}).address)


def test_all_addresses_of_a_name_are_tried(tmp_path: Path) -> None:
    """`localhost` is ::1 first, where nobody listens."""
    assert socket.getaddrinfo("localhost", 1, type=socket.SOCK_STREAM)
    with RedisServer(tcp=True) as server, server.client() as client:
        publish_tiny(client, "geosteer")
        with Worker(backend_toml(tmp_path, f"redis://localhost:{server.port}")) as worker:
            wait_until(lambda: worker.ask(WWW, subnet=GB) != [["FAIL"]])
            assert worker.address(WWW, GB) == "192.0.2.1"


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("redis://no-such-host.invalid", "no-such-host.invalid: no such host"),
        ("redis://127.0.0.1:{port}", "connection refused"),
        ("redis://192.0.2.257", "no such host"),
    ],
)
def test_a_way_that_leads_nowhere_is_told_and_tried_again(url: str, reason: str, tmp_path: Path) -> None:
    worker = Worker(backend_toml(tmp_path, url.format(port=free_port())))
    worker.greet()
    waits = []
    for _ in range(40):
        began = time.monotonic()
        assert worker.ask(WWW, subnet=GB) == [["FAIL"]]
        waits.append(time.monotonic() - began)
        time.sleep(0.01)
    assert sorted(waits)[10] < 2, "not every question waits for Redis"
    log = worker.close().decode()
    assert reason in log
    assert log.count(reason) == 1, "once, not each time"


def test_a_lookup_without_descriptors_left_is_a_failure_like_others(tmp_path: Path) -> None:
    with RedisServer(tcp=True) as server, server.client() as client:
        publish_tiny(client, "geosteer")
        worker = Worker(backend_toml(tmp_path, f"redis://localhost:{server.port}"))
        worker.greet()
        wait_until(lambda: worker.ask(WWW, subnet=GB) != [["FAIL"]])
        resource.prlimit(worker.pid, resource.RLIMIT_NOFILE, (3, 1024))
        client.client_kill_filter(_type="normal", skipme=True)
        for _ in range(20):
            assert worker.address(WWW, GB) == "192.0.2.1"
            time.sleep(0.02)
        resource.prlimit(worker.pid, resource.RLIMIT_NOFILE, (1024, 1024))
        client.hset("{geosteer}:node:lon1", "state", "down")
        wait_until(lambda: worker.address(WWW, GB) == "192.0.2.2")
        assert b"too many open files" in worker.close()


def test_a_resolver_that_is_slow_holds_nothing_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system's resolver is asked in a thread; here it takes as long as the test wants."""
    go_on = threading.Event()
    real: Any = socket.getaddrinfo

    class Slow:
        SOCK_STREAM = socket.SOCK_STREAM

        @staticmethod
        def getaddrinfo(*args: object) -> object:
            go_on.wait(100)
            return real(*args)

    monkeypatch.setattr(resolver, "socket", Slow)
    with RedisServer(tcp=True) as server, server.client() as client:
        publish_tiny(client, "geosteer")
        config = backend_toml(tmp_path, f"redis://localhost:{server.port}", "timeout = 50")
        tier = Tier(load(str(config)), lambda _: 0)
        before = len(list(Path("/proc/self/fd").iterdir()))
        tier.start()
        waits = []
        for _ in range(30):
            began = time.monotonic()
            tier.settle(began)
            tier.tick()
            waits.append(time.monotonic() - began)
            time.sleep(0.01)
        go_on.set()
        assert max(waits) < 5
        wait_live(tier)
        tier.close()
        assert len(list(Path("/proc/self/fd").iterdir())) == before

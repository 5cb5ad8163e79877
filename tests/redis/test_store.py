"""The loader's connection: every kind of URL, bounded waits, and failures in clear words."""

from __future__ import annotations

import socket
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from geosteer.errors import StoreError
from geosteer_loader.config.config import RedisSettings
from geosteer_loader.store.redis_errors import ConnectionLost
from geosteer_loader.store.store import Store, connect
from support.servers import RedisServer, free_port, need, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path


def settings(url: str, **options: Any) -> RedisSettings:
    return RedisSettings(url=url, prefix="geosteer", **options)


@pytest.fixture
def store(own_redis: RedisServer) -> Store:
    return connect(settings(own_redis.url, timeout=0.3))


def test_replies_come_as_bytes_and_small_hashes_as_text(store: Store) -> None:
    store.call("HSET", "{geosteer}:current", "schema", 1, "config", "ab")
    assert store.hash("{geosteer}:current") == {"schema": "1", "config": "ab"}
    assert store.hash("{geosteer}:beat") == {}
    assert store.pipe([("PING",), ("GET", "nothing")]) == [True, None]
    assert store.pipe([]) == []


def test_many_objects_are_asked_for_in_batches(store: Store) -> None:
    for number in range(0, 250, 2):
        store.call("HSET", "{geosteer}:object", f"{number:032x}", b"\x00page")
    names = [f"{number:032x}" for number in range(250)]
    assert store.present(names) == [number % 2 == 0 for number in range(250)]
    assert store.objects(names) == [b"\x00page" if number % 2 == 0 else None for number in range(250)]


def test_the_time_is_the_servers(store: Store) -> None:
    assert abs(store.now() - time.time()) < 5


def test_a_transaction_runs_only_while_what_it_watches_stays_as_it_is(
    store: Store, own_redis: RedisServer
) -> None:
    client = own_redis.client()

    def set_b(run: Callable[..., Any]) -> Sequence[tuple[str, ...]]:
        assert run("GET", "a") is None
        return [("SET", "b", "1"), ("SET", "c", "2")]

    def disturbed(run: Callable[..., Any]) -> Sequence[tuple[str, ...]]:
        client.set("a", "x")
        return [("SET", "d", "1")]

    assert store.transact(("a",), set_b) == [True, True]
    assert store.transact(("a",), disturbed) is None
    assert client.mget("b", "c", "d") == [b"1", b"2", None]


def test_a_connection_that_breaks_in_a_transaction_is_no_changed_key(
    store: Store, own_redis: RedisServer
) -> None:
    def broken(run: Callable[..., Any]) -> Sequence[tuple[str, ...]]:
        own_redis.kill()
        return [("SET", "d", "1")]

    def broken_while_looking(run: Callable[..., Any]) -> Sequence[tuple[str, ...]]:
        own_redis.kill()
        run("GET", "a")
        return []

    for prepare in (broken, broken_while_looking):
        with pytest.raises(ConnectionLost):
            store.transact(("a",), prepare)
        own_redis.start()


def test_an_absent_server_is_an_error_at_the_first_command(own_redis: RedisServer) -> None:
    own_redis.stop()
    with connect(settings(own_redis.url)) as store, pytest.raises(ConnectionLost, match="unix://"):
        store.call("PING")
    with (
        connect(settings(f"redis://127.0.0.1:{free_port()}")) as store,
        pytest.raises(StoreError, match="refused"),
    ):
        store.call("PING")


def test_a_frozen_server_is_given_up_within_the_timeout(store: Store, own_redis: RedisServer) -> None:
    store.call("PING")
    own_redis.freeze()
    began = time.monotonic()
    with pytest.raises(ConnectionLost, match="no answer in time"):
        store.call("PING")
    assert time.monotonic() - began < 20
    own_redis.thaw()
    wait_until(lambda: own_redis.client().ping())
    assert store.call("PING")


def test_an_error_does_not_quote_the_bytes_that_were_sent(store: Store, own_redis: RedisServer) -> None:
    own_redis.client().set("text", "x")
    with pytest.raises(StoreError, match="did not write: WRONGTYPE") as caught:
        store.pipe([("PING",), ("HSET", "text", "f", b"page " * 1000)])
    assert "page" not in str(caught.value)


def test_a_password_is_used_and_never_shown(own_redis: RedisServer) -> None:
    client = own_redis.client()
    client.execute_command("ACL", "SETUSER", "loader", "on", ">s3cret", "~*", "+@all")
    client.config_set("requirepass", "other")
    good = settings(own_redis.url, username="loader", password="s3cret")
    assert connect(good).call("PING")
    assert "s3cret" not in repr(good)
    for bad in (settings(own_redis.url), settings(own_redis.url, username="loader", password="wr0ng")):
        with pytest.raises(StoreError, match="password is missing or wrong") as caught:
            connect(bad).call("PING")
        assert "wr0ng" not in str(caught.value)


def test_what_info_may_not_tell_is_empty(store: Store, own_redis: RedisServer) -> None:
    assert store.info("replication")["role"] == "master"
    own_redis.client().execute_command("ACL", "SETUSER", "default", "-info")
    assert store.info("replication") == {}


def test_tcp_and_another_database_are_reached(own_redis: RedisServer) -> None:
    with RedisServer(tcp=True) as server:
        connect(settings(f"{server.tcp_url}/3")).call("SET", "x", "1")
        assert server.client(db=3).get("x") == b"1"
        assert server.client().get("x") is None


def test_an_encrypted_connection_checks_the_servers_certificate(tmp_path: Path) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        [need("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", cert],
        check=True, capture_output=True,
    )  # fmt: skip
    port = free_port()
    tls = (
        "--tls-port",
        str(port),
        "--tls-cert-file",
        str(cert),
        "--tls-key-file",
        str(key),
        "--tls-auth-clients",
        "no",
    )
    with RedisServer(*tls, "--tls-ca-cert-file", str(cert)):
        for _ in range(20):  # session tickets come when they come
            with connect(settings(f"rediss://localhost:{port}", ca=cert)) as store:
                assert store.call("PING")
        with (
            connect(settings(f"rediss://localhost:{port}")) as store,
            pytest.raises(ConnectionLost, match="certificate"),
        ):
            store.call("PING")


def test_the_shard_of_a_cluster_that_has_the_keys_is_found() -> None:
    with RedisServer("--cluster-enabled", "yes", tcp=True) as server:
        client = server.client()
        client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
        wait_until(lambda: "'cluster_state': 'ok'" in str(client.execute_command("CLUSTER INFO")))
        url = f"redis+cluster://127.0.0.1:{free_port()},127.0.0.1:{server.port}"
        with connect(settings(url)) as store:
            store.call("HSET", store.keys.current, "schema", 1)
            assert store.transact((store.keys.current,), lambda _: [("HSET", store.keys.beat, "a", "b")]) == [
                1
            ]
        assert client.hget("{geosteer}:current", "schema") == b"1"
    with pytest.raises(StoreError, match="refused"):
        connect(settings(f"redis+cluster://127.0.0.1:{free_port()}")).call("PING")


@contextmanager
def sentinel(folder: Path, primary: int) -> Iterator[int]:
    """A Sentinel that watches the primary on that port as `main`; its own port."""
    port = free_port()
    config = folder / "sentinel.conf"
    config.write_text(f"port {port}\nsentinel monitor main 127.0.0.1 {primary} 1\n")
    process = subprocess.Popen(
        [need("redis-server"), config, "--sentinel"], stdout=subprocess.DEVNULL, cwd=folder
    )
    try:
        wait_until(lambda: not socket.socket().connect_ex(("127.0.0.1", port)))
        yield port
    finally:
        process.terminate()
        process.wait()


def test_the_primary_that_sentinel_names_is_written_to(tmp_path: Path) -> None:
    with RedisServer(tcp=True) as server, sentinel(tmp_path, server.port) as port:
        url = f"redis+sentinel://127.0.0.1:{free_port()},127.0.0.1:{port}/main"
        with connect(settings(url)) as store:
            store.call("SET", "x", "1")
        assert server.client().get("x") == b"1"
        with (
            connect(settings(url.replace("main", "other"))) as store,
            pytest.raises(StoreError, match="other"),
        ):
            store.call("PING")

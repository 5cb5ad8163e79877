"""Commands of operators that ask Redis for little: what they must not import, and that they fare like all others."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

import redis
from geosteer.errors import StoreError
from geosteer_loader.config.redis import RedisSettings
from geosteer_loader.publish.publish import publish
from geosteer_loader.store import lean_store
from geosteer_loader.store.redis_errors import ConnectionLost
from geosteer_loader.store.store import Aside, Store, connect
from support.data import ROOT
from support.publishing import make_config
from support.relay import Relay
from support.tls_redis import tls_redis

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import Any

    from support.certificates import Certificates
    from support.servers import RedisServer

PYTHON = ROOT / ".venv" / "bin" / "python"
MAIN = """
import sys
from geosteer_loader.cli.main import main
code = main()
print("MODULES", *sys.modules, file=sys.stderr)
sys.exit(code)
"""
DEAR = {
    "asyncio", "concurrent", "dns", "email", "h11", "http", "importlib.metadata", "maxminddb", "radix", "redis",
    "ssl", "tarfile", "urllib3", "zipfile",
}  # fmt: skip
"""Modules that take long to import, and that none of these commands needs."""
UNNEEDED = {
    "bz2", "getpass", "lzma", "shutil", "socket", "geosteer_loader.config.config", "geosteer_loader.config.networks",
    "geosteer_loader.health.verdicts", "geosteer_loader.health.watchlist", "geosteer_loader.rpki.roas",
    "geosteer_loader.sources.source_files", "geosteer_loader.tables.origin_validation",
}  # fmt: skip
"""Modules that commands import which do more: each costs a hundredth of the time that these commands may take."""
NEEDED = {"probe --once": {"asyncio", "concurrent", "http", "ssl"}}
"""Checks run side by side, also over TLS."""
WRITES = {"getpass"}
"""What a command that writes needs, to say who did it."""
ALSO_NEEDED = {
    "node down lon1 --yes": WRITES,
    "node auto *": WRITES,
    "node down lon1": {*WRITES, "geosteer_loader.health.verdicts", "geosteer_loader.health.watchlist"},
    "probe --once": {
        *WRITES,
        "socket",
        "shutil",
        "bz2",
        "lzma",
        "geosteer_loader.health.verdicts",
        "geosteer_loader.health.watchlist",
    },
    "status": {"geosteer_loader.health.verdicts"},
}


@pytest.fixture
def server(own_redis: RedisServer) -> RedisServer:
    return own_redis


def published(folder: Path, server: RedisServer) -> Path:
    """A configuration file that is published."""
    config = make_config(folder, server.url, networks={"lab": ["10.0.0.0/8"]})
    with connect(config.redis) as store:
        publish(config, store)
    return folder / "geosteer.toml"


def settings(server: RedisServer, **more: Any) -> RedisSettings:
    return RedisSettings(url=more.pop("url", server.url), prefix="geosteer", **more)


@pytest.fixture
def lean(server: RedisServer) -> Iterator[Store]:
    with lean_store.connect(settings(server)) as store:
        yield store


@pytest.fixture
def usual(server: RedisServer) -> Iterator[Store]:
    with connect(settings(server)) as store:
        yield store


@pytest.mark.parametrize(
    "command",
    [
        "node down lon1 --yes",
        "node down lon1",
        "node auto *",
        "node list",
        "journal",
        "history",
        "status",
        "probe --once",
        "workers --redis",
    ],
)
def test_a_short_command_imports_nothing_that_is_dear(
    server: RedisServer, tmp_path: Path, command: str
) -> None:
    config = published(tmp_path, server)
    done = subprocess.run(
        [str(PYTHON), "-I", "-c", MAIN, *command.split(), "--config", str(config)],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    loaded = set(done.stderr.rpartition("MODULES ")[2].split())
    assert loaded & (DEAR - NEEDED.get(command, set())) == set()
    assert loaded & (UNNEEDED - ALSO_NEEDED.get(command, set())) == set()


def test_encrypted_connections_are_as_plain_ones(certificates: Certificates, tmp_path: Path) -> None:
    def encrypted(url: str, ca: str = "ca", cert: str | None = "client") -> RedisSettings:
        own = (None, None) if cert is None else (certificates[cert], certificates.key(cert))
        return RedisSettings(url=url, prefix="geosteer", ca=certificates[ca], cert=own[0], key=own[1])

    with tls_redis(certificates) as redis_server:
        url = f"rediss://localhost:{redis_server.port}"
        with lean_store.connect(encrypted(url)) as store:
            assert store.transact(("watched",), lambda _: [("HSET", "h", "a", "1")]) == [1]
            assert store.hash("h") == {"a": "1"}
            assert "_client" not in vars(store)
        for wrong in (encrypted(url, cert=None), encrypted(url, cert="unknown")):
            with (
                lean_store.connect(wrong) as store,
                pytest.raises(ConnectionLost, match=r"certificate|unknown ca"),
            ):
                store.hash("h")
        for wrong in (encrypted(url, ca="client"), encrypted(url.replace("rediss", "redis"))):
            said = []
            for opened in (lean_store.connect, connect):
                with opened(wrong) as store, pytest.raises(StoreError) as caught:
                    store.hash("h")
                said.append((type(caught.value), str(caught.value)))
            assert said[0] == said[1]


def test_a_transaction_whose_connection_is_given_up_while_it_is_prepared_is_prepared_anew(
    server: RedisServer, lean: Store
) -> None:
    prepared = 0
    server.client().set("text", "x")

    def prepare(_: Callable[..., Any]) -> list[tuple[Any, ...]]:
        nonlocal prepared
        prepared += 1
        assert lean.pipe([("HGETALL", "text")], tolerant=True) is not None
        return [("HSET", "h", "a", "1")]

    assert lean.transact(("watched",), prepare) == [1]
    assert prepared == 2


def test_replies_are_those_of_redis_py(server: RedisServer, lean: Store, usual: Store) -> None:
    client = server.client()
    client.hset("{geosteer}:current", mapping={"a": "1", "b": b"\xff"})
    client.set("text", "x")
    for number in range(3):
        client.xadd("{geosteer}:journal", {"n": str(number)}, id=f"{number + 1}-0")
    for command in (
        ("HGETALL", "{geosteer}:current"), ("HGETALL", "absent"), ("HGET", "{geosteer}:current", "a"), ("GET", "text"),
        ("GET", "absent"), ("HMGET", "{geosteer}:current", "b", "c"), ("HLEN", "{geosteer}:current"),
        ("HEXISTS", "{geosteer}:current", "a"), ("HEXISTS", "{geosteer}:current", "z"),
        ("XRANGE", "{geosteer}:journal", "-", "+", "COUNT", 2), ("XREVRANGE", "{geosteer}:journal", "+", "-"),
        ("XRANGE", "absent", "-", "+"),
    ):  # fmt: skip
        assert lean.call(*command) == usual.call(*command), command
        assert lean.pipe([command, command]) == usual.pipe([command, command])
    assert abs(lean.now() - usual.now()) < 60
    assert lean.info("memory")["maxmemory_policy"] == usual.info("memory")["maxmemory_policy"]
    assert lean.server_warnings() == usual.server_warnings()


def test_what_is_wrong_is_said_as_by_all_other_commands(server: RedisServer, tmp_path: Path) -> None:
    server.client().set("{geosteer}:override", "x")
    for more in (
        {}, {"password": "wrong"}, {"url": f"unix://{tmp_path}/none"}, {"url": "redis://127.0.0.1:1"},
        {"url": f"{server.url}?db=99"},
    ):  # fmt: skip
        said = []
        for opened in (lean_store.connect, connect):
            with opened(settings(server, **more)) as store, pytest.raises(StoreError) as caught:
                store.hash("{geosteer}:override")
            said.append((type(caught.value), str(caught.value)))
        assert said[0] == said[1]


def test_a_key_of_another_type_is_read_as_empty_where_that_is_tolerated(
    server: RedisServer, lean: Store
) -> None:
    server.client().set("{geosteer}:override", "x")
    assert lean.hash("{geosteer}:override", tolerant=True) == {}
    assert lean.foreign == {"{geosteer}:override"}


@pytest.fixture(params=[lean_store.connect, connect], ids=["lean", "usual"])
def store(request: pytest.FixtureRequest, server: RedisServer) -> Iterator[Store]:
    with request.param(settings(server)) as opened:
        yield opened


def test_a_transaction_does_all_or_nothing(server: RedisServer, store: Store) -> None:
    client = server.client(decode_responses=True)

    def meanwhile(run: Callable[..., Any]) -> list[tuple[Any, ...]]:
        assert run("GET", "watched") is None
        client.set("watched", "1")
        return [("HSET", "h", "a", "1")]

    assert store.transact(("watched",), meanwhile) is None
    assert client.hgetall("h") == {}
    assert store.transact(("watched",), lambda _: [("HSET", "h", "a", "1"), ("HSET", "h", "b", "2")]) == [
        1,
        1,
    ]
    assert store.transact(("watched",), lambda _: []) == []
    client.set("text", "x")
    aside = Aside(("XADD", "text", "*", "a", "1"))
    assert store.transact(("watched",), lambda _: [aside, ("HSET", "h", "c", "3")]) == [1]
    with pytest.raises(StoreError, match="WRONGTYPE"):
        store.transact(("watched",), lambda _: [("HSET", "text", "a", "1")])
    with pytest.raises(StoreError, match="unknown command"):
        store.transact(("watched",), lambda _: [("HSET", "h", "d", "4"), ("NOSUCH", "x")])
    assert client.hgetall("h") == {"a": "1", "b": "2", "c": "3"}

    def fails(_: Callable[..., Any]) -> list[tuple[Any, ...]]:
        raise KeyError

    with pytest.raises(KeyError):
        store.transact(("watched",), fails)
    assert store.transact(("watched",), lambda _: [("HSET", "h", "e", "5")]) == [1]


def test_a_transaction_whose_reply_is_lost_is_not_repeated(server: RedisServer) -> None:
    """Of WATCH, MULTI, XADD and EXEC the last is carried out, and nobody hears of it."""
    with Relay(server.directory, server.socket, limit=4, lose_reply=True) as relay:
        with lean_store.connect(settings(server, url=relay.url)) as store, pytest.raises(ConnectionLost):
            store.transact(("watched",), lambda _: [("XADD", "s", "*", "a", "1")])
        assert [words[0] for words in relay.commands] == [b"WATCH", b"MULTI", b"XADD", b"EXEC"]
    assert server.client().xlen("s") <= 1


def test_a_server_that_is_silent_costs_one_timeout(server: RedisServer) -> None:
    client = server.client()
    with lean_store.connect(settings(server, timeout=0.5)) as store:
        assert store.now()
        client.execute_command("CLIENT", "PAUSE", 3000, "ALL")
        with pytest.raises(ConnectionLost, match="no answer in time"):
            store.call("GET", "x")


def test_password_and_database_are_used(server: RedisServer) -> None:
    client = server.client()
    client.execute_command("ACL", "SETUSER", "reader", "on", ">secret", "~*", "+@all")
    client.execute_command("SELECT", 3)
    with redis.Redis(unix_socket_path=str(server.socket), db=3) as third:
        third.set("where", "three")
    with lean_store.connect(
        settings(server, url=f"{server.url}?db=3", username="reader", password="secret")
    ) as store:
        assert store.call("GET", "where") == b"three"
        assert "_client" not in vars(store)


def test_overrides_are_written_as_json_by_the_command(server: RedisServer, tmp_path: Path) -> None:
    config = published(tmp_path, server)
    done = subprocess.run(
        [str(ROOT / "bin" / "geosteer"), "node", "drain", "lon1", "--yes", "--config", str(config)],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    client = server.client(decode_responses=True)
    assert json.loads(client.hget("{geosteer}:override", "lon1"))["state"] == "drain"
    assert [fields["kind"] for _, fields in client.xrange("{geosteer}:journal")][-1] == "override"

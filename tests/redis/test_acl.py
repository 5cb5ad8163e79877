"""conf/users.acl is enough, and no more than that: what is used is allowed, what is not used is not."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pytest

import redis
from geosteer.errors import Refused
from geosteer_loader.cli.main import main
from geosteer_loader.config.config import load
from geosteer_loader.publish.proposal import Live
from geosteer_loader.publish.publish import publish
from geosteer_loader.store import functions
from geosteer_loader.store.lease import Lease
from geosteer_loader.store.store import connect
from geosteer_loader.web.observer import Observer
from support.constellations import SentinelServer
from support.data import ROOT
from support.dns_setup import backend_toml
from support.publishing import write_config, write_csv
from support.servers import RedisServer, wait_until
from support.tiny import publish_tiny
from support.workers import Worker

if TYPE_CHECKING:
    from collections.abc import Iterator

    from geosteer_loader.store.store import Store

SHIPPED = ROOT / "conf" / "users.acl"
WWW = "www.cdn.example.net"
GB = "192.0.2.0/24"

NO_PERMISSION_NEEDED = {"auth", "hello"}
"""Anybody may say who he is; which of the two a connection says goes by the version of the protocol."""


def users(folder: Path, prefix: str = "geosteer", suffix: str = "") -> Path:
    """The shipped file, for another prefix too."""
    lines = SHIPPED.read_text().splitlines()
    if suffix:
        kinds = tuple(f"user geosteer-{kind} " for kind in ("worker", "reader", "loader"))
        own = [line for line in lines if line.startswith(kinds)]
        lines += [
            line.replace("{geosteer}", "{" + prefix + "}").replace(" on ", f"{suffix} on ", 1) for line in own
        ]
    path = folder / "users.acl"
    path.write_text("\n".join(lines) + "\n")
    return path


def allowed(user: str) -> set[str]:
    """Commands that the shipped file allows."""
    (line,) = [line for line in SHIPPED.read_text().splitlines() if line.startswith(f"user {user} ")]
    return {word[1:] for word in line.split() if word.startswith("+")}


class Watch:
    """What a user's connections ask for."""

    def __init__(self, server: RedisServer) -> None:
        self._admin = server.client(username="admin", password="CHANGE-admin", protocol=2)

    def __enter__(self) -> Self:
        self._admin.acl_log_reset()
        self._admin.config_resetstat()
        return self

    def __exit__(self, *_: object) -> None:
        self._admin.close()

    def commands(self) -> set[str]:
        """Commands that were carried out since, by whomever; those inside of functions too."""
        found = self._admin.info("commandstats")
        return {name.removeprefix("cmdstat_") for name, stats in found.items() if stats["calls"]} - {
            "info", "config|resetstat", "acl|log",
        }  # fmt: skip

    def denied(self) -> list[Any]:
        """What was refused."""
        return list(self._admin.acl_log())


@pytest.fixture
def server(server_program: str, tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer("--aclfile", str(users(tmp_path)), tcp=True, program=server_program) as made:
        yield made


def loader_config(folder: Path, url: str, user: str = "geosteer-loader", prefix: str = "geosteer") -> Path:
    path = write_config(
        folder,
        url,
        prefix,
        geo=[write_csv(folder / "geo.csv")],
        networks={"lab": ["10.0.0.0/8"]},
        keep=1,
        grace=0,
    )
    login = f'username = "{user}"\npassword = "CHANGE-loader"\n'
    path.write_text(path.read_text().replace(f'prefix = "{prefix}"\n', f'prefix = "{prefix}"\n{login}'))
    return path


def run(config: Path, *words: str, codes: tuple[int, ...] = (0,)) -> None:
    assert main([*words, "--config", str(config)]) in codes, words


def test_all_that_the_loader_does_is_allowed_and_nothing_is_allowed_that_it_does_not_do(
    server: RedisServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = loader_config(tmp_path, server.url)
    login = ("--masteruser", "geosteer-replica", "--masterauth", "CHANGE-replica")
    follow = ("--replicaof", f"127.0.0.1 {server.port}", *login)
    follower = RedisServer(*follow, program=server.program)
    with Watch(server) as watch, follower:
        run(config, "publish")
        for number in range(2, 5):
            write_csv(tmp_path / "geo.csv", [f"192.0.{number}.0/24,GB", "2001:db8::/32,NL"])
            run(config, "plan")
            run(config, "publish", "--force", "max_country_change")
        run(config, "history")
        run(config, "verify")
        run(config, "verify", "--sweep")
        config.write_text(config.read_text().replace("keep = 1", "keep = 3"))
        write_csv(tmp_path / "geo.csv", ["192.0.9.0/24,GB", "2001:db8::/32,NL"])
        run(config, "publish", "--force", "max_country_change", "--force", "max_impact", codes=(0, 3))
        run(config, "rollback")
        run(config, "publish", "--release")
        run(config, "status")
        run(config, "status", "--check", codes=(0, 1))
        run(config, "workers", "--redis")
        run(config, "replay", "/dev/null")
        run(config, "lookup", "192.0.2.1")
        run(config, "explain", WWW, "192.0.2.1")
        run(config, "explain", WWW, "192.0.2.1", "--plan")
        run(config, "node", "down", "lon1", "--for", "1h")
        run(config, "node", "auto", "lon1")
        run(config, "journal", "--check")
        run(config, "probe", "--once")
        feed = tmp_path / "feed.json"
        feed.write_text('{"nodes": {"lon1": {"state": "up", "load": 0.9}}}')
        run(config, "feed", str(feed))
        for kind, where in (("fallback", "f.toml"), ("geo-map", "m"), ("pdns-geoip", "p"), ("gdnsd", "g")):
            run(config, "export", kind, str(tmp_path / where), codes=(0, 1, 3))
        run(config, "shares", codes=(0, 1, 2))
        with connect(load(config, {}).redis) as store:
            _hold_the_lock_for_long_and_give_a_transaction_up(store)
            _publish_as_from_sessions(config, store)
        follower_done = follower.client()
        wait_until(lambda: follower_done.info("replication")["master_link_status"] == "up", what="a replica")
        write_csv(tmp_path / "geo.csv", ["192.0.8.0/24,GB", "2001:db8::/32,NL"])
        run(
            config, "publish", "--force", "max_country_change", "--force", "max_impact"
        )  # and waits for the replica
        for other in (f"{server.tcp_url}/1", f"redis+cluster://127.0.0.1:{server.port}"):
            config.write_text(config.read_text().replace(server.url, other))
            run(config, "publish", codes=(0, 1))  # this server is no node of a Cluster
            config.write_text(config.read_text().replace(other, server.url))
        asked, denied = watch.commands() - {"psync", "replconf", "ping"}, watch.denied()
    capsys.readouterr()
    assert denied == []
    loader = allowed("geosteer-loader")
    assert asked <= loader, asked - loader
    assert loader - asked - NO_PERMISSION_NEEDED == {"info"}  # which this test asks for too


def _publish_as_from_sessions(config: Path, store: Store) -> None:
    """Generations that are thinned out from among those that stay."""
    for number in range(20, 23):
        write_csv(config.parent / "geo.csv", [f"192.0.{number}.0/24,GB", "2001:db8::/32,NL"])
        force = ("max_country_change", "max_impact")
        publish(load(config, {}), store, live=Live(streams=frozenset({"geo"})), force=force)


def _hold_the_lock_for_long_and_give_a_transaction_up(store: Store) -> None:
    def refuse(_run: object) -> list[Any]:
        raise Refused("changed its mind")

    with Lease(store, seconds=0.3) as lease:
        time.sleep(0.4)  # it is renewed meanwhile
        with pytest.raises(Refused):
            lease.run(refuse)
        assert lease.write([("TIME",)])


def test_all_that_a_worker_does_is_allowed_and_nothing_is_allowed_that_it_does_not_do(
    server: RedisServer, tmp_path: Path
) -> None:
    """But for ASKING, which takes a Cluster whose slots are moving: test_cluster has it."""
    login = '---\nusername = "geosteer-worker"\npassword = "CHANGE-worker"'
    with (
        SentinelServer(server.port, 1, program=server.program) as sentinel,
        server.client(username="admin", password="CHANGE-admin") as admin,
    ):
        publish_tiny(admin, "geosteer")
        with server.client(username="admin", password="CHANGE-admin", db=1) as aside:
            publish_tiny(aside, "geosteer")
        with sentinel.client(protocol=2) as ask:
            # it asks for INFO and PING itself, as somebody who may
            for setting, value in (("auth-user", "admin"), ("auth-pass", "CHANGE-admin")):
                ask.execute_command("SENTINEL", "SET", "steer", setting, value)
        urls = (
            server.url, f"{server.url}?db=1", server.tcp_url, f"redis+cluster://127.0.0.1:{server.port}",
            f"redis+sentinel://127.0.0.1:{sentinel.port}/steer",
        )  # fmt: skip
        kinds: dict[str, set[str]] = {}
        for url in urls:
            sentinel.freeze()
            with Watch(server) as watch:
                if "sentinel" in url:
                    sentinel.thaw()
                with Worker(backend_toml(tmp_path, url, login)) as worker:
                    wait_until(lambda worker=worker: worker.ask(WWW, subnet=GB) != [["FAIL"]])  # type: ignore[misc]
                    worker.ask(WWW, subnet="2001:db8:a::/48")
                    time.sleep(0.7)  # silence that it ends with a PING
                kinds[url], denied = watch.commands(), watch.denied()
            sentinel.thaw()
            assert [one for one in denied if one["username"] == "geosteer-worker"] == []
    asked = set().union(*kinds.values()) - {"info", "publish", "subscribe", "client|setname"}
    worker_may = allowed("geosteer-worker")
    assert asked <= worker_may, asked - worker_may
    assert worker_may - asked - NO_PERMISSION_NEEDED == {"asking"}


def test_the_check_of_a_primary_is_allowed_to_a_worker_and_functions_to_a_reader(
    server: RedisServer, tmp_path: Path
) -> None:
    login = '---\nusername = "geosteer-worker"\npassword = "CHANGE-worker"'
    keys = ["{geosteer}:" + name for name in ("current", "object", "override", "node:")]
    with (
        SentinelServer(server.port, 1, program=server.program) as sentinel,
        server.client(username="admin", password="CHANGE-admin") as admin,
        server.client(username="geosteer-reader", password="CHANGE-reader") as reader,
    ):
        publish_tiny(admin, "geosteer")
        admin.execute_command("FUNCTION", "LOAD", functions.code())
        with Worker(
            backend_toml(tmp_path, f"redis+sentinel://127.0.0.1:{sentinel.port}/steer", login)
        ) as worker:
            wait_until(lambda: worker.ask(WWW, subnet=GB) != [["FAIL"]])
            assert worker.address(WWW, GB) == "192.0.2.1"
        found: Any = reader.execute_command("FCALL_RO", "geosteer_decide", 4, *keys, WWW, "192.0.2.9", "A")
        assert b"192.0.2.1" in found
        assert admin.acl_log() == []


READING = (
    ("status",), ("status", "--json"), ("status", "--check"), ("lookup", "192.0.2.1"), ("explain", WWW, "192.0.2.1"),
    ("explain", WWW, "192.0.2.1", "--json"), ("history",), ("history", "--json"), ("verify",), ("node", "list"),
    ("who", WWW), ("map", WWW),
    ("journal",), ("journal", "--check"), ("explain", WWW, "192.0.2.1", "--at", "now"), ("history", "--diff", "1", "1"),
    ("workers", "--redis"), ("plan",), ("plan", "--format", "markdown"),
)  # fmt: skip
BY_HAND = {"hget", "fcall_ro", "ping"}
"""What the README shows with redis-cli, beside the commands that only read."""


def as_user(config: Path, user: str, password: str) -> Path:
    text = (
        config.read_text()
        .replace('"geosteer-loader"', f'"{user}"')
        .replace('"CHANGE-loader"', f'"{password}"')
    )
    found = config.with_name(f"{user}.toml")
    found.write_text(text)
    return found


def look_at_the_page(config: Path) -> None:
    """Ask for all that `geosteer web` shows."""
    page = Observer(lambda: load(config, {}))
    try:
        assert page.now(WWW)["ok"]
        assert page.timeline()["since"]
        assert page.past(WWW, time.time())["ok"]
        assert page.journal(None)["events"]
        assert page.plan(WWW)["after"]
    finally:
        page.close()


def published_config(folder: Path, server: RedisServer) -> Path:
    config = loader_config(folder, server.url)
    config.write_text(config.read_text().replace("well_connected = 1", "well_connected = 3"))
    run(config, "publish")
    return config


def test_a_reader_may_run_every_command_that_only_reads_and_nothing_else(
    server: RedisServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = published_config(tmp_path, server)
    run(config, "probe", "--once")
    feed = tmp_path / "feed.json"
    feed.write_text('{"nodes": {"lon1": {"state": "up", "load": 0.9}}}')
    run(config, "feed", str(feed))
    config.write_text(config.read_text().replace(server.url, server.tcp_url))
    reader = as_user(config, "geosteer-reader", "CHANGE-reader")
    with Watch(server) as watch:
        for words in READING:
            run(reader, *words, codes=(0, 1) if "--check" in words else (0,))
        look_at_the_page(reader)
        reader.write_text(reader.read_text().replace(server.tcp_url, f"{server.tcp_url}/1"))
        run(reader, "status", codes=(1,))
        asked, denied = watch.commands(), watch.denied()
        cluster = f"redis+cluster://127.0.0.1:{server.port}"
        reader.write_text(reader.read_text().replace(f"{server.tcp_url}/1", cluster))
        run(reader, "status", codes=(1,))  # this server is no node of a Cluster
        assert [one["object"] for one in watch.denied()] == []
    assert denied == []
    said = capsys.readouterr()
    assert "not known to this user" not in said.out
    may = allowed("geosteer-reader")
    assert asked <= may, asked - may
    assert may - asked - NO_PERMISSION_NEEDED - BY_HAND == {
        "info",
        "cluster|slots",
    }  # the watch asks for INFO too


def test_a_user_who_may_less_gets_what_it_may_and_hears_what_it_may_not(
    server: RedisServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = published_config(tmp_path, server)
    run(config, "probe", "--once")
    worker = as_user(config, "geosteer-worker", "CHANGE-worker")
    capsys.readouterr()
    run(worker, "status")
    said = capsys.readouterr().out
    assert "not known to this user of Redis: who publishes (GET {geosteer}:lock)" in said
    assert "not known to this user of Redis: whether geo is all there (HEXISTS {geosteer}:object)" in said
    assert "never checked" not in said
    assert "lon1" in said
    run(worker, "status", "--check", codes=(0, 1))
    assert "not known to this user of Redis: " in capsys.readouterr().out
    run(worker, "explain", WWW, "192.0.2.1")
    capsys.readouterr()
    run(worker, "history", codes=(1,))
    assert "the ACL of this user does not allow XRANGE {geosteer}:history: " in capsys.readouterr().err


def test_a_host_with_workers_only_is_looked_at_with_their_settings_and_their_user(
    server: RedisServer, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    published_config(tmp_path, server)
    login = 'username = "geosteer-worker"\npassword = "CHANGE-worker"'
    folder = tmp_path / "host"
    folder.mkdir()
    monkeypatch.chdir(folder)
    backend = str(backend_toml(folder, server, f"---\n{login}"))
    capsys.readouterr()

    def said(*words: str, code: int = 0) -> str:
        assert main([*words, "--backend", backend]) == code, capsys.readouterr()
        return capsys.readouterr().out

    with Watch(server) as watch:
        explained = json.loads(said("explain", WWW, "192.0.2.1", "--json"))
        assert json.loads(said("lookup", "192.0.2.1", "--json"))[0]["geo"]["record"] == "GB"
        assert {one["username"] for one in watch.denied()} == set()
    assert (explained["tier"], explained["generation"]) == ("live", 1)
    with Worker(Path(backend)) as worker:
        wait_until(lambda: worker.ask(WWW, subnet=GB) != [["FAIL"]])
        assert worker.address(WWW, GB) == explained["answer"][0]["content"]
    for left in folder.glob("last-good.json*"):
        left.unlink()
    status = json.loads(said("status", "--json"))
    assert (status["worker"]["tier"], status["generation"]) == ("live", 1)
    assert status["worker"]["servers"] == {"ams1": 3}
    assert said("status").startswith(f"workers answer live, from {server.url}\n")
    assert sorted(path.name for path in folder.iterdir()) == ["backend.toml"], "nothing is left behind"

    with Worker(Path(backend)) as worker:  # it leaves a snapshot
        wait_until((folder / "last-good.json").exists)
    server.stop()
    explained = json.loads(said("explain", WWW, "192.0.2.1", "--json"))
    assert (explained["tier"], explained["nodes"], explained["answer"][0]["ttl"]) == (
        "fallback",
        ["ams1"],
        10,
    )
    assert str(server.socket) in explained["warning"]
    assert "without Redis servers take turns by weight" in said("explain", WWW, "192.0.2.1")
    assert said("status").startswith(f"workers answer fallback, from {server.url}\n")
    assert "ams1" in said("status")
    assert said("status", "--check", code=2).startswith("CRITICAL - workers answer fallback: ")
    said("lookup", "192.0.2.1", code=1)


@pytest.fixture(scope="module")
def shared_by_two(server_program: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis with two prefixes, each with its own users, and everything in both that can be."""
    folder = tmp_path_factory.mktemp("acl")
    with RedisServer("--aclfile", str(users(folder, "other", "-other")), program=server_program) as made:
        with made.client(username="admin", password="CHANGE-admin") as admin:
            for prefix in ("geosteer", "other"):
                publish_tiny(admin, prefix)
                for key in ("beat", "override", "node:lon1", "verdict:lon"):
                    admin.hset(f"{{{prefix}}}:{key}", "a", "b")
                admin.xadd(f"{{{prefix}}}:history", {"a": "b"})
        yield made


COMMANDS = {
    "GET {}:lock": "lr", "HGETALL {}:current": "lwr", "HGETALL {}:override": "lwr", "HGETALL {}:node:lon1": "lwr",
    "HGETALL {}:beat": "lwr", "HGET {}:object 00": "wr", "HMGET {}:object 00 11": "lwr", "TIME": "lwr",
    "HGETALL {}:verdict:lon": "lr", "XRANGE {}:history - +": "lr", "HLEN {}:object": "l", "HEXISTS {}:object 00": "lr",
    "HSET {}:current a b": "l", "HSET {}:object a b": "l", "HDEL {}:object a": "l", "HSET {}:node:lon1 a b": "l",
    "HSET {}:override a b": "l", "DEL {}:verdict:lon": "l", "SET {}:lock x NX PX 10": "l", "SET outside x": "",
    "GET outside": "", "KEYS *": "", "SCAN 0": "", "RANDOMKEY": "", "DBSIZE": "", "FLUSHALL": "", "FLUSHDB": "",
    "CONFIG GET *": "", "DEBUG SLEEP 0": "", "SHUTDOWN NOSAVE": "", "CLIENT LIST": "lr", "CLIENT KILL TYPE normal": "",
    "MONITOR": "", "EVAL return(1) 0": "", "EVAL_RO return(1) 0": "", "SCRIPT FLUSH": "", "FUNCTION FLUSH": "",
    "FUNCTION DELETE geosteer": "", "FUNCTION DUMP": "", "REPLICAOF NO ONE": "", "ACL LIST": "", "SUBSCRIBE x": "",
    "PSUBSCRIBE *": "", "PUBLISH x y": "", "RENAME {}:current {}:x": "", "EXISTS {}:current": "", "TYPE {}:current": "",
    "HKEYS {}:object": "", "DUMP {}:object": "", "OBJECT ENCODING {}:object": "", "MEMORY USAGE {}:object": "",
    "SORT {}:current": "", "COPY {}:current {}:x": "", "SWAPDB 0 1": "", "SAVE": "", "PSYNC ? -1": "",
    "MIGRATE h 1 {}:current 0 1": "", "RESTORE {}:current 0 x": "", "MODULE LIST": "", "SLOWLOG GET": "",
    "FCALL geosteer_lookup 0": "", "UNLINK {}:current": "", "EXPIRE {}:current 1": "", "CLIENT PAUSE 1": "",
}  # fmt: skip
"""Command -> who of loader, worker and reader may."""


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("who", ["worker", "reader", "loader"])
def test_each_user_may_what_it_needs_on_its_own_prefix_only(
    shared_by_two: RedisServer, command: str, who: str
) -> None:
    own = who[0] in COMMANDS[command]
    for suffix, prefix in (("", "geosteer"), ("-other", "other")):
        name, password = f"geosteer-{who}{suffix}", f"CHANGE-{who}"
        with shared_by_two.client(username=name, password=password, protocol=2) as client:
            for target in ("geosteer", "other"):
                words = command.replace("{}", "{" + target + "}").split()
                if own and target == prefix:
                    client.execute_command(*words)
                elif "{}" in command or target == prefix:
                    with pytest.raises(redis.ResponseError, match=r"(?i)permission"):
                        client.execute_command(*words)
    put_back(shared_by_two)


def test_of_another_prefix_nothing_is_heard_but_the_names_of_keys_that_change_by_who_asks_for_them(
    shared_by_two: RedisServer,
) -> None:
    """Redis does not limit broadcasts by the permissions on keys; the README says so."""
    greeting = b"HELLO 3 AUTH geosteer-worker-other CHANGE-worker\r\nCLIENT TRACKING ON BCAST"
    own = "".join(f" PREFIX {{other}}:{name}" for name in ("current", "node:", "beat", "override"))
    heard = []
    for prefixes in (own, ""):
        with socket.socket(socket.AF_UNIX) as listening:
            listening.settimeout(5)
            listening.connect(str(shared_by_two.socket))
            listening.sendall(greeting + prefixes.encode() + b"\r\n")
            came = b""
            while not came.endswith(b"+OK\r\n"):
                came += listening.recv(65536)
            with shared_by_two.client(username="admin", password="CHANGE-admin") as admin:
                admin.hset("{geosteer}:node:lon1", "reason", "not for others")
                admin.hset("{other}:node:lon1", "reason", "its own")
            came = b""
            while b"{other}:node:lon1" not in came:
                came += listening.recv(65536)
            heard.append(came)
    assert b"{geosteer}" not in heard[0]
    assert b"{geosteer}:node:lon1" in heard[1]
    assert b"not for others" not in heard[1]


def put_back(server: RedisServer) -> None:
    with (
        server.client(username="admin", password="CHANGE-admin") as admin,
        contextlib.suppress(redis.RedisError),
    ):
        for prefix in ("geosteer", "other"):
            admin.hset(f"{{{prefix}}}:verdict:lon", "a", "b")


def test_a_password_is_in_no_message_argument_or_environment_of_a_worker(
    server: RedisServer, tmp_path: Path
) -> None:
    secret = "hunter2-not-to-be-shown"
    path = backend_toml(tmp_path, server, f'---\nusername = "geosteer-worker"\npassword = "{secret}"')
    worker = Worker(path)
    worker.greet()
    assert worker.ask(WWW, subnet=GB) == [["FAIL"]]
    seen = b"".join((ROOT / f"/proc/{worker.pid}/{name}").read_bytes() for name in ("cmdline", "environ"))
    log = worker.close()
    assert b"WRONGPASS" in log
    assert secret.encode() not in log + seen
    assert (tmp_path / "last-good.json.settings").stat().st_mode & 0o077 == 0


def test_what_a_replica_needs_is_allowed_to_its_user(server_program: str, tmp_path: Path) -> None:
    settings = ("--aclfile", str(users(tmp_path)), "--repl-diskless-sync-delay", "0")
    with RedisServer(*settings, tcp=True, program=server_program) as primary:
        with primary.client(username="admin", password="CHANGE-admin") as admin:
            publish_tiny(admin, "geosteer")
        login = ("--masteruser", "geosteer-replica", "--masterauth", "CHANGE-replica")
        follow = ("--replicaof", f"127.0.0.1 {primary.port}", *login)
        with (
            RedisServer(*follow, program=server_program) as replica,
            replica.client() as client,
        ):
            wait_until(lambda: client.exists("{geosteer}:current"))

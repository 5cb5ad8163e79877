"""conf/users.acl is enough, and no more than that: what is used is allowed, what is not used is not."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Self

import pytest
import redis

from constellations import SentinelServer
from data import ROOT
from dns_setup import backend_toml
from geosteer_loader import functions
from geosteer_loader.cli import main
from publishing import write_config, write_csv
from servers import RedisServer, wait_until
from test_cli import SERVICE
from tiny import publish_tiny
from workers import Worker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SHIPPED = ROOT / "conf" / "users.acl"
WWW = "www.cdn.example.net"
GB = "192.0.2.0/24"

PEOPLE = {"hello", "auth", "ping"}
"""What redis-cli says for people who look with these users."""
WORKER_ELSEWHERE = {
    "select": "a database number in the URL", "role": "Sentinel", "asking": "a Cluster whose slots are moving",
    "fcall_ro": "lookups of programs that are no workers", "time": "geosteer_decide of such programs",
}  # fmt: skip
LOADER_ELSEWHERE = {
    "select": "a database number in the URL", "cluster|slots": "a Cluster", "wait": "publish with `replicas`",
    "hscan": "geosteer_objects, which sweeps in steps", "hget": "geosteer_lookup", "info": "this test asks for it too",
    "pexpire": "the lease of a publish that takes long", "unwatch": "a transaction that is given up",
}  # fmt: skip


def users(folder: Path, prefix: str = "geosteer", suffix: str = "") -> Path:
    """The shipped file, for another prefix too."""
    lines = SHIPPED.read_text().splitlines()
    if suffix:
        own = [line for line in lines if line.startswith(("user geosteer-worker", "user geosteer-loader"))]
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
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer("--aclfile", str(users(tmp_path)), tcp=True) as made:
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
    path.write_text(
        path.read_text().replace(f'prefix = "{prefix}"\n', f'prefix = "{prefix}"\n{login}') + SERVICE
    )
    return path


def run(config: Path, *words: str, codes: tuple[int, ...] = (0,)) -> None:
    assert main([*words, "--config", str(config)]) in codes, words


def test_all_that_the_loader_does_is_allowed_and_nothing_is_allowed_that_it_does_not_do(
    server: RedisServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = loader_config(tmp_path, server.url)
    text = config.read_text()
    config.write_text(text.replace("[nodes.ams1]", "[nodes.ams1]\nwell_connected = 1"))
    with Watch(server) as watch:
        run(config, "publish")
        for number in range(2, 5):
            write_csv(tmp_path / "geo.csv", [f"192.0.{number}.0/24,GB", "2001:db8::/32,NL"])
            run(config, "plan")
            run(config, "publish", "--force", "max_country_change")
        run(config, "history")
        run(config, "verify", codes=(0, 1))
        run(config, "verify", "--sweep", codes=(0, 1, 2))
        config.write_text(config.read_text().replace("keep = 1", "keep = 3"))
        write_csv(tmp_path / "geo.csv", ["192.0.9.0/24,GB", "2001:db8::/32,NL"])
        run(config, "publish", "--force", "max_country_change", "--force", "max_impact", codes=(0, 3))
        run(config, "rollback")
        run(config, "publish", "--release")
        run(config, "status")
        run(config, "lookup", "192.0.2.1")
        run(config, "explain", WWW, "192.0.2.1")
        run(config, "node", "down", "lon1", "--for", "1h")
        run(config, "node", "auto", "lon1")
        run(config, "probe", "--once")
        feed = tmp_path / "feed.json"
        feed.write_text('{"lon1": {"state": "up", "load": 0.9}}')
        run(config, "feed", str(feed), codes=(0, 1, 2))
        run(config, "export", "fallback", str(tmp_path / "fallback.toml"))
        run(config, "shares", codes=(0, 1, 2))
        asked, denied = watch.commands(), watch.denied()
    capsys.readouterr()
    assert denied == []
    loader = allowed("geosteer-loader")
    assert asked <= loader, asked - loader
    assert loader - asked - PEOPLE - set(LOADER_ELSEWHERE) == set()


def test_all_that_a_worker_does_is_allowed_and_nothing_is_allowed_that_it_does_not_do(
    server: RedisServer, tmp_path: Path
) -> None:
    login = '---\nusername = "geosteer-worker"\npassword = "CHANGE-worker"'
    with server.client(username="admin", password="CHANGE-admin") as admin:
        publish_tiny(admin, "geosteer")
        with Watch(server) as watch:
            for url in (server.url, server.tcp_url, f"redis+cluster://127.0.0.1:{server.port}"):
                with Worker(backend_toml(tmp_path, url, login)) as worker:
                    wait_until(lambda worker=worker: worker.ask(WWW, subnet=GB) != [["FAIL"]])  # type: ignore[misc]
                    worker.ask(WWW, subnet="2001:db8:a::/48")
            asked, denied = watch.commands() - {"hset", "multi", "exec", "del"}, watch.denied()
    assert denied == []
    worker_may = allowed("geosteer-worker")
    assert asked <= worker_may, asked - worker_may
    assert worker_may - asked - PEOPLE - set(WORKER_ELSEWHERE) == set()


def test_the_check_of_a_primary_and_functions_are_allowed_to_a_worker(
    server: RedisServer, tmp_path: Path
) -> None:
    login = '---\nusername = "geosteer-worker"\npassword = "CHANGE-worker"'
    keys = ["{geosteer}:" + name for name in ("current", "object", "override", "node:")]
    with (
        SentinelServer(server.port, 1) as sentinel,
        server.client(username="admin", password="CHANGE-admin") as admin,
        server.client(username="geosteer-worker", password="CHANGE-worker") as reader,
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


@pytest.fixture(scope="module")
def shared_by_two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis with two prefixes, each with its own users, and everything in both that can be."""
    folder = tmp_path_factory.mktemp("acl")
    with RedisServer("--aclfile", str(users(folder, "other", "-other"))) as made:
        with made.client(username="admin", password="CHANGE-admin") as admin:
            for prefix in ("geosteer", "other"):
                publish_tiny(admin, prefix)
                for key in ("beat", "override", "node:lon1", "verdict:lon"):
                    admin.hset(f"{{{prefix}}}:{key}", "a", "b")
                admin.xadd(f"{{{prefix}}}:history", {"a": "b"})
        yield made


COMMANDS = {
    "GET {}:lock": "lw", "HGETALL {}:current": "lw", "HGETALL {}:override": "lw", "HGETALL {}:node:lon1": "lw",
    "HGETALL {}:beat": "lw", "HGET {}:object 00": "lw", "HGETALL {}:verdict:lon": "l", "XRANGE {}:history - +": "l",
    "HSET {}:current a b": "l", "HSET {}:object a b": "l", "HDEL {}:object a": "l", "HSET {}:node:lon1 a b": "l",
    "HSET {}:override a b": "l", "DEL {}:verdict:lon": "l", "SET {}:lock x NX PX 10": "l", "SET outside x": "",
    "GET outside": "", "KEYS *": "", "SCAN 0": "", "RANDOMKEY": "", "DBSIZE": "", "FLUSHALL": "", "FLUSHDB": "",
    "CONFIG GET *": "", "DEBUG SLEEP 0": "", "SHUTDOWN NOSAVE": "", "CLIENT LIST": "", "CLIENT KILL TYPE normal": "",
    "MONITOR": "", "EVAL return(1) 0": "", "SCRIPT FLUSH": "", "FUNCTION FLUSH": "", "FUNCTION DELETE geosteer": "",
    "REPLICAOF NO ONE": "", "ACL LIST": "", "SUBSCRIBE x": "", "PUBLISH x y": "", "RENAME {}:current {}:x": "",
    "HKEYS {}:object": "", "DUMP {}:object": "", "OBJECT ENCODING {}:object": "", "SWAPDB 0 1": "", "SAVE": "",
    "MIGRATE h 1 {}:current 0 1": "", "RESTORE {}:current 0 x": "", "MODULE LIST": "", "SLOWLOG GET": "",
    "FCALL geosteer_lookup 0": "", "UNLINK {}:current": "", "EXPIRE {}:current 1": "",
}  # fmt: skip
"""Command -> who of loader and worker may. `lock` is tried on another key for the worker, see below."""


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("who", ["worker", "loader"])
def test_each_user_may_what_it_needs_on_its_own_prefix_only(
    shared_by_two: RedisServer, command: str, who: str
) -> None:
    own = who[0] in COMMANDS[command] and not (who == "worker" and "lock" in command)
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


def test_what_a_replica_needs_is_allowed_to_its_user(tmp_path: Path) -> None:
    with RedisServer(
        "--aclfile", str(users(tmp_path)), "--repl-diskless-sync-delay", "0", tcp=True
    ) as primary:
        with primary.client(username="admin", password="CHANGE-admin") as admin:
            publish_tiny(admin, "geosteer")
        login = ("--masteruser", "geosteer-replica", "--masterauth", "CHANGE-replica")
        with (
            RedisServer("--replicaof", f"127.0.0.1 {primary.port}", *login) as replica,
            replica.client() as client,
        ):
            wait_until(lambda: client.exists("{geosteer}:current"), 10)

"""The servers that other tests lean on do what they say."""

from __future__ import annotations

import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dns.exception
import dns.rcode
import pytest

import redis
from support.data import ROOT, small
from support.servers import PowerDNS, RedisServer, addresses, free_port, scope, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

WORKER = r"""
import os, sys
abi = sys.stdin.buffer.readline()
os.write(1, b"OK\ttest worker\n")
for line in sys.stdin.buffer:
    _, name, _, kind, _, remote, local, subnet = line.rstrip(b"\n").split(b"\t")
    key = (name.lower(), kind)
    reply = b"END\n"
    if key == (b"example.net", b"SOA"):
        reply = b"DATA\t0\t1\texample.net\tIN\tSOA\t300\t1\t"
        reply += b"ns1.example.net host.example.net 1 3600 600 604800 30\nEND\n"
    elif key == (b"www.example.net", b"ANY"):
        address = b"192.0.2.1" if subnet.startswith(b"198.51.100.") else b"192.0.2.2"
        if remote == b"127.0.0.9":
            address = b"192.0.2.9"
        reply = b"DATA\t24\t1\twww.example.net\tIN\tA\t60\t1\t" + address + b"\n"
        reply += b"DATA\t24\t1\twww.example.net\tIN\tAAAA\t60\t1\t2001:db8::1\nEND\n"
    os.write(1, reply)
"""


@pytest.fixture
def worker(tmp_path: Path) -> str:
    path = tmp_path / "worker"
    path.write_text(f"#!{sys.executable} -IS{WORKER}")  # not env: it may find a slow shim
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def test_a_shared_redis_answers_and_each_test_has_a_prefix_of_its_own(
    redis_server: RedisServer, prefix: str
) -> None:
    with redis_server.client(decode_responses=True) as client:
        client.set("{" + prefix + "}:current", "1")
        assert client.get("{" + prefix + "}:current") == "1"
    assert redis_server.url == f"unix://{redis_server.socket}"


def test_an_own_redis_can_be_stopped_and_started_again(own_redis: RedisServer) -> None:
    with own_redis.client() as client:
        client.set("a", "1")
    first = own_redis.pid
    own_redis.stop()
    with own_redis.client() as client, pytest.raises(redis.ConnectionError):
        client.ping()
    own_redis.start()
    assert own_redis.pid != first
    with own_redis.client() as client:
        assert client.get("a") is None


def test_a_redis_saved_before_a_restart_has_its_data_afterwards(own_redis: RedisServer) -> None:
    with own_redis.client() as client:
        client.set("a", "1")
        client.save()
    own_redis.kill()
    own_redis.start()
    with own_redis.client() as client:
        assert client.get("a") == b"1"


def test_a_frozen_redis_answers_nobody_until_it_thaws(own_redis: RedisServer) -> None:
    own_redis.freeze()
    with own_redis.client(socket_timeout=0.1) as client, pytest.raises(redis.TimeoutError):
        client.ping()
    own_redis.thaw()
    with own_redis.client() as client:
        assert client.ping()


def test_a_redis_on_tcp_has_a_url_for_it() -> None:
    with RedisServer(tcp=True) as server, redis.Redis.from_url(server.tcp_url) as client:
        assert client.ping()


def test_a_closed_server_leaves_neither_process_nor_folder() -> None:
    with RedisServer() as server:
        pid = server.pid
        assert Path(f"/proc/{pid}").exists()
    assert not Path(f"/proc/{pid}").exists()
    assert not server.directory.exists()


def test_powerdns_asks_its_workers_and_echoes_their_scope(worker: str) -> None:
    with PowerDNS(command=worker) as server:
        near = server.query("www.example.net", "A", subnet="198.51.100.0/24")
        far = server.query("www.example.net", "A", subnet="203.0.113.0/24")
        without = server.query("www.example.net", "AAAA", tcp=True)
        assert (addresses(near), scope(near)) == (["192.0.2.1"], 24)
        assert (addresses(far), scope(far)) == (["192.0.2.2"], 24)
        assert (addresses(without), scope(without)) == (["2001:db8::1"], None)
        assert server.query("nx.example.net").rcode() == dns.rcode.NXDOMAIN
        assert server.query("example.org").rcode() == dns.rcode.REFUSED


def test_powerdns_listens_on_several_addresses_and_sees_who_asks(worker: str) -> None:
    with PowerDNS(command=worker, addresses=("127.0.0.1", "127.0.0.2"), threads=3) as server:
        assert addresses(server.query("www.example.net", source="127.0.0.9")) == ["192.0.2.9"]
        assert addresses(server.query("www.example.net", where="127.0.0.2")) == ["192.0.2.2"]
        assert len(server.workers()) == 4, "three for UDP, one for TCP"
        assert server.control("rping") == "PONG"


def test_a_powerdns_that_cannot_start_says_why(worker: str) -> None:
    server = PowerDNS(command="/nonexistent/worker")
    with pytest.raises(RuntimeError, match="nonexistent"):
        server.start()
    server.close()


def test_a_frozen_powerdns_is_a_timeout(worker: str) -> None:
    with PowerDNS(command=worker) as server:
        server.freeze()
        with pytest.raises(dns.exception.Timeout):
            server.query("www.example.net", timeout=0.2)


def test_free_ports_are_not_those_of_a_standard_server() -> None:
    assert 15000 <= free_port(("127.0.0.1", "127.0.0.2")) < 32000


@pytest.fixture
def guarded_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis with the shipped redis.conf and users.acl; only paths differ."""
    users = tmp_path / "users.acl"
    users.write_text((ROOT / "conf" / "users.acl").read_text())
    server = RedisServer("--include", str(ROOT / "conf" / "redis.conf"), "--aclfile", str(users))
    server.args += ("--unixsocket", str(server.socket))
    with server:
        yield server


def log_in(server: RedisServer, user: str) -> Any:
    return server.client(username=user, password=f"CHANGE-{user.rpartition('-')[2]}")


def test_the_shipped_redis_settings_load(guarded_redis: RedisServer) -> None:
    with log_in(guarded_redis, "admin") as admin:
        assert admin.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert admin.config_get("save") == {"save": "3600 1 300 100 60 10000"}
        assert len(admin.acl_list()) == 6
    assert stat.S_IMODE(guarded_redis.socket.stat().st_mode) == 0o770


def test_who_does_not_log_in_gets_nothing(guarded_redis: RedisServer) -> None:
    with guarded_redis.client() as client, pytest.raises(redis.AuthenticationError):
        client.get("{geosteer}:current")


WORKER_MAY = [
    "PING",
    "CLIENT TRACKING ON BCAST PREFIX {geosteer}:current PREFIX {geosteer}:node: PREFIX {geosteer}:beat",
    "ROLE",
    "HGETALL {geosteer}:current",
    "HGET {geosteer}:object 00ff",
    "HMGET {geosteer}:object 00ff 11ff",
    "HGETALL {geosteer}:node:lon1",
    "HGETALL {geosteer}:beat",
    "HGETALL {geosteer}:override",
]
VERDICTS = "HGETALL {geosteer}:verdict:p1"
"""What `geosteer status` reads, and no worker."""
READER_MAY = [
    "TIME",
    "HGETALL {geosteer}:current",
    "HGETALL {geosteer}:node:lon1",
    VERDICTS,
    "FCALL_RO looked_up 2 {geosteer}:current {geosteer}:object",
]
READER_MAY_NOT = ["CLIENT TRACKING ON", "FCALL looked_up 2 {geosteer}:current {geosteer}:object"]
WORKER_MAY_NOT = [
    "FCALL_RO looked_up 2 {geosteer}:current {geosteer}:object",
    "HSET {geosteer}:override lon1 {}",
    "HSET {geosteer}:node:lon1 state down",
    "HDEL {geosteer}:object 00ff",
    "SET {geosteer}:lock me",
    "DEL {geosteer}:current",
    VERDICTS,
    "HGETALL {other}:current",
    "HKEYS {geosteer}:object",
    "KEYS *",
    "SCAN 0",
    "CONFIG GET *",
    "FUNCTION LIST",
    "EVAL return 0",
    "FLUSHALL",
    "SHUTDOWN",
    "MONITOR",
]
LOADER_MAY = [
    "TIME",
    "INFO memory",
    "WAIT 0 1",
    "SET {geosteer}:lock me NX PX 1000",
    "GET {geosteer}:lock",
    "PEXPIRE {geosteer}:lock 1000",
    "HSET {geosteer}:object 00ff page",
    "HEXISTS {geosteer}:object 00ff",
    "HDEL {geosteer}:object 00ff",
    "HSET {geosteer}:verdict:p1 lon1 {}",
    "XADD {geosteer}:history * generation 1",
    "XREVRANGE {geosteer}:history + - COUNT 1",
    "XTRIM {geosteer}:history MAXLEN 1",
    "FUNCTION LIST",
    "DEL {geosteer}:lock",
]
LOADER_MAY_NOT = [
    "SET {other}:lock me",
    "FLUSHALL",
    "HKEYS {geosteer}:object",
    "CONFIG GET requirepass",
    "CONFIG SET save x",
    "ACL LIST",
    "SHUTDOWN",
]


def refused(client: Any, command: str) -> bool:
    try:
        client.execute_command(*command.split())
    except redis.exceptions.NoPermissionError:
        return True
    except redis.ResponseError as exc:
        return "NOPERM" in str(exc)
    return False


@pytest.mark.parametrize(
    ("user", "may", "may_not"),
    [
        ("geosteer-worker", WORKER_MAY, WORKER_MAY_NOT),
        (
            "geosteer-reader",
            READER_MAY,
            [*READER_MAY_NOT, *[command for command in WORKER_MAY_NOT[1:] if command != VERDICTS]],
        ),
        ("geosteer-loader", LOADER_MAY, LOADER_MAY_NOT),
    ],
)
def test_each_user_may_do_its_work_and_nothing_else(
    guarded_redis: RedisServer, user: str, may: list[str], may_not: list[str]
) -> None:
    with log_in(guarded_redis, user) as client:
        assert [command for command in may if refused(client, command)] == []
        assert [command for command in may_not if not refused(client, command)] == []


def test_a_loader_may_publish_in_one_transaction(guarded_redis: RedisServer) -> None:
    with log_in(guarded_redis, "geosteer-loader") as client, client.pipeline() as pipe:
        pipe.watch("{geosteer}:lock")
        pipe.multi()
        pipe.hset("{geosteer}:current", "generation", "1")
        assert pipe.execute() == [1]


def configured(server: RedisServer, name: str, folder: Path, user: str) -> Path:
    """A copy of a shipped configuration file for *server* and one of its users."""
    text = small((ROOT / "conf" / name).read_text())
    login = f'url = "{server.url}"\nusername = "{user}"\npassword = "CHANGE-{user.rpartition("-")[2]}"'
    text = re.sub("(?m)^url = .*unix:.*", login, text, count=1)
    text = re.sub("(?m)^#?snapshot = .*", 'snapshot = "last-good.json"', text)
    (folder / name).write_text(text)
    return folder / name


def test_the_shipped_users_suffice_to_publish_and_to_answer(
    guarded_redis: RedisServer, tmp_path: Path
) -> None:
    config = configured(guarded_redis, "geosteer.toml", tmp_path, "geosteer-loader")
    backend = configured(guarded_redis, "backend.toml", tmp_path, "geosteer-worker")

    def geosteer(*words: str) -> str:
        command = [str(ROOT / "bin" / "geosteer"), *words, "--config", str(config)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, (words, done.stderr)
        assert "ACL" not in done.stderr
        assert "NOPERM" not in done.stderr
        return done.stdout

    geosteer("publish")
    geosteer("status")
    assert "DE" in geosteer("lookup", "80.128.0.1")
    with PowerDNS(backend) as server:
        answer = server.query("www.cdn.example.net", subnet="80.128.0.0/24")
        assert (addresses(answer), scope(answer)) == (["192.0.2.3"], 11)
        geosteer("node", "down", "fra1", "--why", "a test")

        def moved() -> bool:
            return addresses(server.query("www.cdn.example.net", subnet="80.128.0.0/24")) == ["192.0.2.2"]

        wait_until(moved, what="the move to the next node")
        geosteer("node", "auto", "fra1")
    geosteer("history")


def test_every_setting_in_the_shipped_pdns_conf_is_explained() -> None:
    before = ""
    for line in (ROOT / "conf" / "pdns.conf").read_text().splitlines():
        if line and not line.startswith("#"):
            assert before.startswith("# "), line
        before = line


@pytest.mark.parametrize(
    "unit",
    [
        "geosteer-publish.service",
        "geosteer-follow.service",
        "geosteer-probe.service",
        "geosteer-http.service",
        "geosteer-metrics.service",
        "geosteer-web.service",
        "geosteer-publish.timer",
        "geosteer-latency.service",
        "geosteer-latency.timer",
    ],
)
def test_systemd_finds_no_fault_in_the_shipped_units(unit: str, tmp_path: Path) -> None:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("no systemd here")
    text = re.sub(r"/opt/geosteer/bin/geosteer\S*", "/bin/true", (ROOT / "conf" / unit).read_text())
    (tmp_path / unit).write_text(text)
    if unit.endswith(".timer"):
        (tmp_path / unit.replace(".timer", ".service")).write_text(
            "[Service]\nType=oneshot\nExecStart=/bin/true\n"
        )
    done = subprocess.run([program, "verify", "--man=no", tmp_path / unit], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "unit",
    [
        "geosteer-publish",
        "geosteer-probe",
        "geosteer-follow",
        "geosteer-http",
        "geosteer-metrics",
        "geosteer-web",
        "geosteer-latency",
    ],
)
def test_the_shipped_units_are_hardened_as_the_readme_says(unit: str) -> None:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("no systemd here")
    command = [program, "security", "--offline=true", str(ROOT / "conf" / f"{unit}.service")]
    done = subprocess.run(command, capture_output=True, text=True)
    if "unrecognized option" in done.stderr:
        pytest.skip("this systemd cannot judge a unit's file (250 and newer can)")
    found = re.search(rf"Overall exposure level for {unit}.service: ([0-9.]+)", done.stdout)
    assert found, done.stderr
    (stated,) = re.findall(
        r"of `systemd-analyze security`[^.]*?([0-9]\.[0-9]) for `geosteer-publish",
        (ROOT / "docs" / "operations.md").read_text(),
    )
    assert float(found[1]) <= float(stated)

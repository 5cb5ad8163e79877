"""`geosteer doctor`: a healthy chain has nothing wrong; a planted fault is named with the command that mends it."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from geosteer_loader.cli.main import main
from geosteer_loader.install.doctor import doctor
from geosteer_loader.install.doctor.link import Link, State
from geosteer_loader.install.doctor.pdns_settings import RULES, read_settings
from geosteer_loader.install.doctor.scene import Scene
from geosteer_loader.install.host import Host
from geosteer_loader.install.place import SYSTEM
from support.installed import Installed
from support.servers import RedisServer, wait_until

if TYPE_CHECKING:
    from pathlib import Path

Plant = Callable[[Installed], Callable[[], object]]
"""Plants a fault, and returns what takes it away."""


@pytest.fixture(scope="module")
def chain() -> Iterator[Installed]:
    with Installed() as host:
        yield host


def diagnose(host: Installed, *only: str) -> list[Link]:
    return doctor.diagnose(Scene(host.folder), only)


def named(links: list[Link], link: str, what: str, cure: str, state: State = State.WRONG) -> bool:
    return any(
        each.state == state and each.link == link and what in each.what and cure in each.cure
        for each in links
    )


# ---- plants --------------------------------------------------------------------------------------------------------------


def edited(name: str, pattern: str, text: str) -> Plant:
    """A file of the set with something replaced, or *text* at its end."""

    def plant(host: Installed) -> Callable[[], object]:
        path = host.folder / name
        before = path.read_text()
        after = (
            re.sub(pattern, text.format(base=host.base), before, flags=re.MULTILINE)
            if pattern
            else before + text
        )
        assert after != before
        path.write_text(after)
        return lambda: path.write_text(before)

    return plant


def mode(name: str, wanted: int) -> Plant:
    def plant(host: Installed) -> Callable[[], object]:
        path = host.folder / name
        before = path.stat().st_mode & 0o777
        path.chmod(wanted)
        return lambda: path.chmod(before)

    return plant


def gone(name: str) -> Plant:
    def plant(host: Installed) -> Callable[[], object]:
        path, aside = host.folder / name, host.base / "aside"
        path.rename(aside)
        return lambda: aside.rename(path)

    return plant


def config(name: str, value: str) -> Plant:
    def plant(host: Installed) -> Callable[[], object]:
        with host.admin() as admin:
            before = admin.config_get(name)[name]
            admin.config_set(name, value)

        def heal() -> None:
            with host.admin() as admin:
                admin.config_set(name, before)

        return heal

    return plant


def redis_does(harm: list[list[str]], heal: list[list[str]]) -> Plant:
    def run(host: Installed, commands: list[list[str]]) -> None:
        with host.admin() as admin:
            for words in commands:
                admin.execute_command(*words)

    def plant(host: Installed) -> Callable[[], object]:
        run(host, harm)
        return lambda: run(host, heal)

    return plant


def acl(user: str, *rules: str) -> Plant:
    return redis_does([["ACL", "SETUSER", user, *rules]], [["ACL", "LOAD"]])


def full(host: Installed) -> Callable[[], object]:
    with host.admin() as admin:
        used = admin.info("memory")["used_memory"]
    return config("maxmemory", str(int(used * 1.1)))(host)


def incomplete(host: Installed) -> Callable[[], object]:
    with host.admin() as admin:
        root = admin.hget("{geosteer}:current", "geo.v4")
        page = admin.hget("{geosteer}:object", root)
        admin.hdel("{geosteer}:object", root)

    def heal() -> None:
        with host.admin() as admin:
            admin.hset("{geosteer}:object", root, page)

    return heal


def dead_replica(host: Installed) -> Callable[[], object]:
    """Workers read from a replica whose primary is gone."""
    users = host.folder / "users.acl"
    server = RedisServer("--aclfile", str(users), "--replicaof", "127.0.0.1", "1")
    server.start()
    heal = edited("backend.toml", "^url = .*", f'url = "{server.url}"')(host)

    def end() -> None:
        heal()
        server.close()

    return end


def other_redis(host: Installed) -> Callable[[], object]:
    """Workers read a Redis into which nothing was published."""
    server = RedisServer("--aclfile", str(host.folder / "users.acl"))
    server.start()
    heal = edited("backend.toml", "^url = .*", f'url = "{server.url}"')(host)

    def end() -> None:
        heal()
        server.close()

    return end


CURRENT, ASIDE = "{geosteer}:current", "{geosteer}:aside"
FAILURE = [
    "HSET",
    "{geosteer}:failure",
    "since",
    "2026-01-01T00:00:00Z",
    "when",
    "2026-01-02T00:00:00Z",
    "why",
    "a disk is full",
]
BEAT = ["HSET", "{geosteer}:beat", "probe-1", "7 2026-01-01T00:00:00Z 1"]

Row = tuple[Plant, tuple[str, ...], str, str, str]
FAULTS: dict[str, Row] = {
    "wrong password of the worker": (
        edited("worker.password", r"^\w", "~"),
        ("redis login",),
        "redis login (worker)",
        "does not let geosteer-worker in",
        "ACL SETUSER geosteer-worker on resetpass",
    ),
    "wrong password of the loader": (
        edited("loader.password", r"^\w", "~"),
        ("redis login",),
        "redis login (loader)",
        "does not let geosteer-loader in",
        "ACL SETUSER geosteer-loader on resetpass",
    ),
    "a password that everybody may read": (
        mode("admin.password", 0o644),
        ("modes",),
        "modes",
        "admin.password: everybody",
        "chmod 0640",
    ),
    "an ACL file that everybody may read": (
        mode("users.acl", 0o644),
        ("modes",),
        "modes",
        "users.acl: everybody",
        "chmod 0640",
    ),
    "no loader's file": (
        gone("geosteer.toml"),
        ("configurations",),
        "configuration",
        "does not exist",
        "geosteer init",
    ),
    "no worker's file": (
        gone("backend.toml"),
        ("configurations",),
        "worker configuration",
        "does not exist",
        "geosteer init",
    ),
    "no password file": (
        gone("worker.password"),
        ("configurations",),
        "worker configuration",
        "worker.password",
        "check-config --backend",
    ),
    "a setting that there is not": (
        edited("geosteer.toml", "^policy = .*", 'policies = "best"'),
        ("configurations",),
        "configuration",
        "policies",
        "geosteer check-config",
    ),
    "a worker's setting that there is not": (
        edited("backend.toml", "^snapshot = ", "snapshots = "),
        ("configurations",),
        "worker configuration",
        "snapshots",
        "check-config --backend",
    ),
    "two prefixes": (
        edited("backend.toml", "^prefix = .*", 'prefix = "other"'),
        ("configurations",),
        "prefix",
        "workers read 'other'",
        'prefix = "geosteer"',
    ),
    "no folder for the snapshot": (
        edited("backend.toml", "^snapshot = .*", 'snapshot = "{base}/none/last-good.json"'),
        ("folders",),
        "snapshot",
        "none does not exist",
        "mkdir -p",
    ),
    "a Redis that evicts": (
        config("maxmemory-policy", "allkeys-lru"),
        ("redis health",),
        "redis memory",
        "allkeys-lru",
        "CONFIG SET maxmemory-policy noeviction",
    ),
    "a Redis that is full": (
        full,
        ("redis health",),
        "redis memory",
        "of maxmemory",
        "CONFIG SET maxmemory ",
    ),
    "a Redis that keeps nothing": (
        config("save", ""),
        ("redis health",),
        "redis persistence",
        "saves nothing",
        "CONFIG SET save",
    ),
    "a loader at a replica": (
        redis_does([["REPLICAOF", "127.0.0.1", "1"]], [["REPLICAOF", "NO", "ONE"]]),
        ("redis health",),
        "redis replication",
        "is a replica of 127.0.0.1:1",
        "REPLICAOF NO ONE",
    ),
    "workers at a replica whose primary is dead": (
        dead_replica,
        ("redis health",),
        "redis replication",
        "whose link to its primary 127.0.0.1:1 is down",
        "redis-cli -h 127.0.0.1 -p 1 PING",
    ),
    "a socket for nobody": (
        mode("redis.sock", 0o700),
        ("redis socket",),
        "redis socket",
        "members of its group may not connect",
        "chmod 770",
    ),
    "another socket": (
        edited("backend.toml", "^url = .*", 'url = "unix://{base}/other.sock"'),
        ("redis files", "redis socket"),
        "redis socket",
        "workers use",
        "redis.sock\"|' /tmp/",
    ),
    "a socket that is not there": (
        edited("backend.toml", "^url = .*", 'url = "unix://{base}/other.sock"'),
        ("redis socket",),
        "redis socket",
        "other.sock does not exist",
        "redis-server",
    ),
    "a worker that may do more": (
        acl("geosteer-worker", "~*", "+hdel", "+keys"),
        ("rights",),
        "rights (worker)",
        "may, and should not: HDEL",
        "nocommands +hello +auth",
    ),
    "a worker that sees other prefixes": (
        acl("geosteer-worker", "%R~*"),
        ("rights",),
        "rights (worker)",
        "HGETALL {no-such-thing}:current",
        "nocommands +hello +auth",
    ),
    "a worker that may do less": (
        acl("geosteer-worker", "-hmget", "-client"),
        ("rights",),
        "rights (worker)",
        "may not: HMGET {geosteer}:object, CLIENT TRACKING",
        "nocommands +hello +auth",
    ),
    "a loader that may do more": (
        acl("geosteer-loader", "+flushall"),
        ("rights",),
        "rights (loader)",
        "may, and should not: FLUSHALL",
        "nocommands +hello +auth",
    ),
    "a loader that may do less": (
        acl("geosteer-loader", "-set", "-xadd"),
        ("rights",),
        "rights (loader)",
        "may not: SET {geosteer}:lock, XADD",
        "nocommands +hello +auth",
    ),
    "nothing published": (
        redis_does([["RENAME", CURRENT, ASIDE]], [["RENAME", ASIDE, CURRENT]]),
        ("published",),
        "publish",
        "nothing is published",
        "geosteer publish --config",
    ),
    "a publish that fails": (
        redis_does([FAILURE], [["DEL", "{geosteer}:failure"]]),
        ("published",),
        "publish",
        "failed since 2026-01-01T00:00:00Z: a disk is full",
        "geosteer plan",
    ),
    "a table with a hole": (
        incomplete,
        ("published",),
        "publish",
        "table geo is not all there",
        "geosteer publish",
    ),
    "a prober that is dead": (
        redis_does([BEAT], [["DEL", "{geosteer}:beat"]]),
        ("published",),
        "prober",
        "probe-1 has been silent",
        "geosteer probe --watch",
    ),
    "checks that nobody runs": (
        edited("geosteer.toml", "", '\n[nodes.lon1.check]\ntype = "tcp"\nport = 80\n'),
        ("published",),
        "prober",
        "nobody runs it",
        "geosteer probe --watch",
    ),
    "no node that serves": (
        redis_does(
            [["HSET", "{geosteer}:override", node, '{"state": "down"}'] for node in ("lon1", "nyc1", "syd1")],
            [["DEL", "{geosteer}:override"]],
        ),
        ("published",),
        "nodes",
        "no node of map default serves",
        "geosteer status",
    ),
    "PowerDNS without workers": (
        edited("pdns.conf", "^launch=pipe", "launch=bind"),
        ("pdns settings",),
        "pdns settings",
        "no pipe",
        "launch=pipe",
    ),
    "a worker that is not there": (
        edited("pdns.conf", "^pipe-command=.*", "pipe-command=/opt/none/geosteer-pipe"),
        ("pdns settings",),
        "pdns settings",
        "/opt/none/geosteer-pipe does not exist",
        "pipe-command=",
    ),
    "a worker with other settings": (
        edited("pdns.conf", "^(pipe-command=.*)/[^/]*$", r"\1/other.toml"),
        ("pdns settings",),
        "pdns settings",
        "other.toml, not",
        "pipe-command=",
    ),
    "a worker at a socket": (
        edited("pdns.conf", "^pipe-command=.*", "pipe-command=unix:/run/x"),
        ("pdns settings",),
        "pdns settings",
        "pipe-command=unix:",
        "bin/geosteer-pipe --config",
    ),
    "a worker that ends": (
        edited("pdns.conf", "^pipe-command=.*", "pipe-command=/bin/false"),
        ("worker",),
        "worker",
        "it does not start",
        "printf 'HELO",
    ),
    "a worker whose Redis is away": (
        edited("backend.toml", "^url = .*", 'url = "unix://{base}/other.sock"'),
        ("worker",),
        "worker's Redis",
        "workers answer fallback",
        "geosteer status --backend",
    ),
    "a PowerDNS that is not there": (
        edited("pdns.conf", "^local-port=.*", "local-port=1"),
        ("answer",),
        "answer",
        "127.0.0.1 port 1",
        "pdns_server --config-dir=",
    ),
    "a PowerDNS that nobody can ask": (
        edited("pdns.conf", "^socket-dir=.*", "socket-dir={base}"),
        ("pdns",),
        "pdns",
        "it does not run",
        "pdns_server --config-dir=",
    ),
    "a user that is off": (
        acl("geosteer-worker", "off"),
        ("redis login",),
        "redis login (worker)",
        "does not let geosteer-worker in",
        "ACL SETUSER geosteer-worker on",
    ),
    "a user that is gone from memory": (
        redis_does([["ACL", "DELUSER", "geosteer-loader"]], [["ACL", "LOAD"]]),
        ("redis login",),
        "redis login (loader)",
        "does not let geosteer-loader in",
        "ACL LOAD",
    ),
    "workers at another Redis": (
        other_redis,
        ("redis health",),
        "redis replication",
        "which has not what is published",
        'write url = "unix://',
    ),
    "a PowerDNS in a chroot": (
        edited("pdns.conf", "", "\nchroot=/var/empty\n"),
        ("pdns settings",),
        "pdns settings",
        "chroot=/var/empty",
        "sed -i",
    ),
    "questions that are kept from workers": (
        edited("pdns.conf", "", "\npipe-regex=^www;.*$\n"),
        ("pdns settings",),
        "pdns settings",
        "pipe-regex=",
        "pdns.conf && pdns_server",
    ),
    "a zone that is served by nobody": (
        edited("geosteer.toml", r"cdn\.example\.net", "cdn.example.org"),
        ("answer",),
        "answer",
        "REFUSED",
        "dig @127.0.0.1",
    ),
}


def test_a_healthy_chain_has_nothing_wrong(chain: Installed, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", str(chain.folder), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["ok"] is True
    links = told["links"]
    assert {link["link"] for link in links if link["state"] != "ok"} <= {"data", "worker"}, links
    assert {
        "redis login (worker)",
        "rights (loader)",
        "publish",
        "pdns settings",
        "pdns",
        "worker",
        "answer",
    } <= {link["link"] for link in links}
    assert all(set(link) == {"link", "state", "what", "why", "cure"} for link in links)
    answer = next(link for link in links if link["link"] == "answer")
    assert answer["what"] == "www.cdn.example.net for 81.128.0.0/24: 192.0.2.1"
    assert main(["doctor", str(chain.folder)]) == 0
    said = capsys.readouterr().out
    assert re.search(r"^\d+ ok", said.splitlines()[-1])
    assert "\033" not in said


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_named_with_its_cure(chain: Installed, fault: str) -> None:
    plant, only, link, what, cure = FAULTS[fault]
    heal = plant(chain)
    try:
        links = diagnose(chain, *only)
    finally:
        heal()
    assert named(links, link, what, cure), [each for each in links if each.state != State.OK]
    assert doctor.exit_code(links) == 1
    assert all(each.cure for each in links if each.state in {State.WRONG, State.WARNING})


WRONG_SETTINGS = {
    "pipe-abi-version": "1",
    "pipe-timeout": "1000",
    "zone-cache-refresh-interval": "300",
    "edns-subnet-processing": "no",
    "consistent-backends": "yes",
    "negquery-cache-ttl": "60",
    "cache-ttl": "20",
    "query-cache-ttl": "3600",
    "distributor-threads": "1",
    "queue-limit": "60000",
    "disable-axfr": "no",
    "local-address": "0.0.0.0",
    "chroot": "/var/empty",
    "pipe-regex": "^www",
}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_each_setting_of_powerdns_that_matters_is_named_with_why(chain: Installed, rule: Any) -> None:
    line = f"{rule.name}={WRONG_SETTINGS[rule.name]}"
    there = f"\n{rule.name}=" in (chain.folder / "pdns.conf").read_text()
    heal = edited("pdns.conf", rf"^{rule.name}=.*" if there else "", line if there else f"\n{line}\n")(chain)
    try:
        links = diagnose(chain, "pdns settings")
    finally:
        heal()
    state = State.WARNING if rule.only_warn else State.WRONG
    assert named(
        links, "pdns settings", f"{rule.name}={WRONG_SETTINGS[rule.name]}", f"{rule.name}={rule.good}", state
    )
    assert all(link.why for link in links if link.state != State.OK)
    assert rule.right(rule.good)


def test_a_setting_that_stands_nowhere_has_powerdns_own_value(chain: Installed) -> None:
    heal = edited("pdns.conf", r"^zone-cache-refresh-interval=.*\n", "")(chain)
    try:
        links = diagnose(chain, "pdns settings")
    finally:
        heal()
    assert named(
        links,
        "pdns settings",
        "zone-cache-refresh-interval=300 (the default)",
        "zone-cache-refresh-interval=0",
    )


@pytest.mark.parametrize(
    ("name", "value"), [("timeout", "30"), ("min-replicas-to-write", "1"), ("maxclients", "100")]
)
def test_limits_of_redis_are_named(chain: Installed, name: str, value: str) -> None:
    heal = config(name, value)(chain)
    try:
        links = diagnose(chain, "redis settings")
    finally:
        heal()
    assert named(links, "redis settings", f"{name} is {value}", f"CONFIG SET {name} ", State.WARNING)
    assert diagnose(chain, "redis settings") == []


def test_a_cure_of_powerdns_is_a_command_that_mends_the_file_with_the_last_word(chain: Installed) -> None:
    before = (chain.folder / "pdns.conf").read_text()
    heal = edited("pdns.conf", "", "\ncache-ttl = 60\n")(chain)
    try:
        (cure,) = [link.cure for link in diagnose(chain, "pdns settings") if "cache-ttl=60" in link.what]
        subprocess.run(["sh", "-c", cure.partition(" && ")[0]], check=True)
        assert "\ncache-ttl=60" not in (chain.folder / "pdns.conf").read_text()
        assert [link for link in diagnose(chain, "pdns settings") if "cache-ttl" in link.what] == []
    finally:
        heal()
    assert (chain.folder / "pdns.conf").read_text() == before


def test_what_is_open_to_everybody_is_a_warning(chain: Installed) -> None:
    heal = acl("default", "on", "nopass", "+@all", "~*")(chain)
    try:
        links = diagnose(chain, "redis login")
    finally:
        heal()
    assert named(links, "redis login", "who does not log in", "ACL SETUSER default off", State.WARNING)
    assert doctor.exit_code(links) == 0


def test_old_data_is_a_warning_and_new_data_is_none(chain: Installed) -> None:
    assert named(
        diagnose(chain, "published"),
        "data",
        "the built-in country table is of 2026-02-01",
        "name a newer source",
        State.WARNING,
    )
    with chain.admin() as admin:
        before = admin.hget(CURRENT, "geo.built")
        seconds, _ = admin.time()
        admin.hset(
            CURRENT,
            "geo.built",
            subprocess.check_output(["date", "-u", f"-d@{seconds}", "+%FT%TZ"], text=True).strip(),
        )
        links = diagnose(chain, "published")
        admin.hset(CURRENT, "geo.built", before)
    assert {link.link for link in links if link.state != State.OK} == set()


def test_asking_changes_nothing(chain: Installed) -> None:
    def content() -> dict[Any, Any]:
        with chain.admin() as admin:
            return {key: admin.dump(key) for key in admin.keys("*")}

    before = content()
    files = {path: path.read_bytes() for path in chain.folder.glob("*.*") if path.is_file()}
    diagnose(chain, "rights", "redis health", "published", "redis login")
    assert content() == before
    assert {path: path.read_bytes() for path in files} == files


def test_a_redis_that_is_gone_is_named_and_nothing_else_is_guessed(chain: Installed) -> None:
    assert chain.redis is not None
    os.kill(chain.redis.pid, signal.SIGTERM)
    chain.redis.wait(60)
    try:
        links = diagnose(chain, "redis socket", "redis login", "redis health", "rights", "published")
    finally:
        chain.start_redis()
        wait_until(
            lambda: chain.ask("www.cdn.example.net", "81.128.0.0/24") == ["192.0.2.1"], what="live workers"
        )
    wrong = [link for link in links if link.state == State.WRONG]
    assert {link.link for link in wrong} == {"redis socket", "redis login (loader)", "redis login (worker)"}
    assert all("redis-server" in link.cure for link in wrong)


# ---- a host that serves, as a tree of files -------------------------------------------------------------------------------


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "host"
    for folder in (
        "etc/redis",
        "etc/powerdns/pdns.d",
        "usr/lib/systemd/system",
        "var/lib/geosteer-worker",
        "run/geosteer",
    ):
        (root / folder).mkdir(parents=True)
    (root / "usr/lib/systemd/systemd").touch()
    (root / "usr/lib/systemd/system/pdns.service").write_text(
        "[Service]\nExecStart=/usr/sbin/pdns_server\nUser=pdns\nGroup=pdns\nProtectHome=true\nRuntimeDirectory=pdns\n"
    )
    (root / "usr/sbin").mkdir()
    (root / "usr/sbin/pdns_server").touch(0o755)
    (root / "etc/redis/redis.conf").write_text("bind 127.0.0.1\n")
    (root / "etc/powerdns/pdns.conf").write_text("include-dir=/etc/powerdns/pdns.d\nlaunch=\n")
    own = f"{os.getuid()}:{os.getgid()}"
    (root / "etc/passwd").write_text(
        f"root:x:0:0::/root:/bin/sh\ngeosteer:x:{own}::/:/bin/sh\npdns:x:{own}::/:/bin/sh\n"
    )
    (root / "etc/group").write_text(
        f"root:x:0:\ngeosteer:x:{os.getgid()}:\npdns:x:{os.getgid()}:\nredis:x:702:\n"
    )
    assert (
        main(
            ["init", "--root", str(root), "--server=redis", "--zone=cdn.example.net", "--node=lon1=192.0.2.1"]
        )
        == 0
    )
    # Programs of the checkout, as that host would see them.
    for name in ("geosteer", "geosteer-pipe"):
        for unit in (root / "etc/systemd/system").rglob("*.service"):
            unit.write_text(re.sub(r"(?m)^ExecStart=\S+", "ExecStart=/usr/bin/geosteer", unit.read_text()))
        (root / "usr/bin").mkdir(exist_ok=True)
        (root / f"usr/bin/{name}").touch(0o755)
    fragment = root / "etc/powerdns/pdns.d/geosteer.conf"
    fragment.write_text(
        re.sub(r"(?m)^pipe-command=\S+", "pipe-command=/usr/bin/geosteer-pipe", fragment.read_text())
    )
    (root / "etc/systemd/system/pdns.service.d/stop.conf").write_text("[Service]\nTimeoutStopSec=5\n")
    return root


FILES = ("configurations", "modes", "access", "folders", "units", "redis files", "pdns settings")


def look(tree: Path) -> list[Link]:
    return doctor.diagnose(Scene(SYSTEM, Host(tree)), FILES)


def put(name: str, text: str, *, append: bool = False) -> Callable[[Path], None]:
    def plant(tree: Path) -> None:
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text((path.read_text() if append else "") + text)

    return plant


def swap(name: str, old: str, new: str) -> Callable[[Path], None]:
    def plant(tree: Path) -> None:
        text = (tree / name).read_text()
        assert re.search(old, text, re.MULTILINE)
        (tree / name).write_text(re.sub(old, new, text, flags=re.MULTILINE))

    return plant


def masked(name: str) -> Callable[[Path], None]:
    def plant(tree: Path) -> None:
        path = tree / "etc/systemd/system" / name
        path.unlink()
        path.symlink_to("/dev/null")

    return plant


DROP_IN = "etc/systemd/system/pdns.service.d/geosteer.conf"
PUBLISH = "etc/systemd/system/geosteer-publish.service"
TREE_FAULTS: dict[str, tuple[Callable[[Path], object], str, str, str]] = {
    "no group redis": (
        swap("etc/group", "^redis:.*\n", ""),
        "groups",
        "names the group redis, which is not there",
        "apt install redis-server",
    ),
    "no user geosteer": (
        swap("etc/passwd", "^geosteer:.*\n", ""),
        "users",
        "runs as geosteer, which is not there",
        "systemd-sysusers",
    ),
    "workers outside of Redis's group": (
        swap(DROP_IN, "^SupplementaryGroups=.*", "SupplementaryGroups=geosteer"),
        "groups",
        "pdns.service is not in group redis",
        "SupplementaryGroups=redis",
    ),
    "workers outside of our group": (
        swap(DROP_IN, "^SupplementaryGroups=.*", "SupplementaryGroups=redis"),
        "groups",
        "pdns.service is not in group geosteer",
        "SupplementaryGroups=geosteer",
    ),
    "a state folder that PowerDNS's unit takes over": (
        swap(DROP_IN, "^StateDirectory=.*", "StateDirectory=geosteer"),
        "state folder",
        "takes over /var/lib/geosteer/sources of geosteer-publish.service",
        "StateDirectory=geosteer-worker",
    ),
    "a run folder that ends with PowerDNS": (
        put(DROP_IN, "\n[Service]\nRuntimeDirectory=geosteer\n", append=True),
        "state folder",
        "RuntimeDirectory=geosteer",
        "systemd-tmpfiles --create",
    ),
    "a program that is not there": (
        swap(PUBLISH, "^ExecStart=.*", "ExecStart=/opt/gone/geosteer publish"),
        "unit program",
        "starts /opt/gone/geosteer, which is not there",
        "geosteer init --repair",
    ),
    "an include that is missing": (
        swap("etc/redis/redis.conf", "^include.*\n", ""),
        "redis files",
        "does not include /etc/redis/geosteer.conf",
        "echo 'include /etc/redis/geosteer.conf' >>",
    ),
    "an include of nothing": (
        lambda tree: (tree / "etc/redis/geosteer.conf").unlink(),
        "redis files",
        "includes /etc/redis/geosteer.conf, which does not exist",
        "sed -i",
    ),
    "an ACL file that is gone": (
        lambda tree: (tree / "etc/redis/users.acl").unlink(),
        "redis files",
        "names /etc/redis/users.acl, which does not exist",
        "geosteer init --repair",
    ),
    "a backend that is set and not launched": (
        put("etc/powerdns/pdns.d/bind.conf", "launch+=bind\nbind-config=/etc/powerdns/named.conf\n"),
        "pdns settings",
        "bind-config is set",
        "bind.conf",
    ),
    "a unit that is masked": (
        masked("geosteer-publish.timer"),
        "units",
        "geosteer-publish.timer is masked",
        "systemctl unmask geosteer-publish.timer",
    ),
    "the page's unit outside of Redis's group": (
        put("usr/lib/systemd/system/geosteer-web.service", "[Service]\nUser=geosteer\nGroup=geosteer\n"),
        "groups",
        "geosteer-web.service is not in group redis",
        "mkdir -p /etc/systemd/system/geosteer-web.service.d",
    ),
    "two folders for one control socket": (
        swap(DROP_IN, "^Environment=RUNTIME_DIRECTORY=.*\n", ""),
        "unit pdns",
        "has several RuntimeDirectory=",
        "Environment=RUNTIME_DIRECTORY=/run/pdns",
    ),
    "a snapshot where PowerDNS's unit may not write": (
        swap("etc/geosteer/backend.toml", "^snapshot = .*", 'snapshot = "/srv/geosteer/last-good.json"'),
        "snapshot",
        "/srv/geosteer is read-only",
        "ReadWritePaths=/srv/geosteer",
    ),
    "a worker that PowerDNS's unit hides": (
        swap("etc/powerdns/pdns.d/geosteer.conf", "^pipe-command=/usr/bin", "pipe-command=/home/me"),
        "pdns settings",
        "/home/me/geosteer-pipe lies where pdns.service does not look",
        "move geosteer to /opt",
    ),
    "a fragment that PowerDNS does not read": (
        swap("etc/powerdns/pdns.conf", "^include-dir=.*", ""),
        "pdns settings",
        "does not include",
        "include-dir=/etc/powerdns/pdns.d",
    ),
    "a later file that says otherwise": (
        put("etc/powerdns/pdns.d/zz.conf", "zone-cache-refresh-interval=60\n"),
        "pdns settings",
        "pdns.d/zz.conf)",
        "zz.conf && systemctl restart pdns",
    ),
    "no snapshot folder": (
        lambda tree: (tree / "var/lib/geosteer-worker").rmdir(),
        "snapshot",
        "does not exist",
        "install -d -o pdns",
    ),
}


def test_a_host_that_was_just_set_up_has_nothing_wrong(tree: Path) -> None:
    links = look(tree)
    assert [link for link in links if link.state == State.WRONG] == []
    assert {link.link for link in links if link.state == State.OK} >= {
        "units",
        "redis files",
        "pdns settings",
        "modes",
        "snapshot",
    }


@pytest.mark.parametrize("fault", TREE_FAULTS)
def test_a_fault_in_the_files_of_a_host_is_named_with_its_cure(tree: Path, fault: str) -> None:
    plant, link, what, cure = TREE_FAULTS[fault]
    plant(tree)
    links = look(tree)
    assert named(links, link, what, cure), [each for each in links if each.state != State.OK]
    assert all(each.cure for each in links if each.state == State.WRONG)


OTHERS_OWN = 12345
FOREIGN: dict[str, tuple[str, int, str, str]] = {
    # Path, mode, what is said, cure; the file is given to a user who is none of ours.
    "a folder that nobody enters": ("etc/geosteer", 0o700, "may not enter it", "chmod 0750"),
    "a loader without its password": (
        "etc/geosteer/loader.password", 0o600, "geosteer may not read it", "chown geosteer:root",
    ),
    "a Redis that cannot read its users": ("etc/redis/users.acl", 0o640, "redis may not read it", "chown redis:redis"),
    "a Redis that cannot read its fragment": ("etc/redis/geosteer.conf", 0o600, "redis may not read it", "chown redis:redis"),
    "a PowerDNS that cannot read its fragment": (
        "etc/powerdns/pdns.d/geosteer.conf", 0o600, "pdns may not read it", "chown root:pdns",
    ),
    "sources that belong to another": ("var/lib/geosteer", 0o750, "not to geosteer", "chown -R geosteer:"),
}  # fmt: skip


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives files away")
@pytest.mark.parametrize("fault", FOREIGN)
def test_a_file_that_its_reader_cannot_read_is_named(tree: Path, fault: str) -> None:
    name, mode, what, cure = FOREIGN[fault]
    entries = "root:x:0:0::/:/bin/sh\ngeosteer:x:701:701::/:/bin/sh\npdns:x:703:703::/:/bin/sh\nredis:x:702:702::/:/bin/sh\n"
    (tree / "etc/passwd").write_text(entries)
    (tree / "etc/group").write_text("root:x:0:\ngeosteer:x:701:\npdns:x:703:\nredis:x:702:\n")
    shutil.rmtree(tree / "etc/geosteer")
    assert (
        main(
            [
                "init",
                "--root",
                str(tree),
                "--server=redis",
                "--zone=a.example",
                "--node=lon1=192.0.2.1",
                "--force",
            ]
        )
        == 0
    )
    (tree / "var/lib/geosteer").mkdir()
    os.chown(tree / "var/lib/geosteer", 701, 701)
    os.chown(tree / "etc/geosteer", 0, 701)
    (tree / "etc/geosteer").chmod(0o750)

    def said() -> list[Link]:
        links = doctor.diagnose(Scene(SYSTEM, Host(tree)), ("access", "units"))
        return [link for link in links if link.state == State.WRONG and what in link.what]

    assert said() == []
    os.chown(tree / name, OTHERS_OWN, OTHERS_OWN)
    (tree / name).chmod(mode)
    assert named(said(), "state folder" if "lib" in name else "modes", what, cure)


def test_a_slow_end_of_powerdns_is_a_warning(tree: Path) -> None:
    (tree / "etc/systemd/system/pdns.service.d/stop.conf").unlink()
    swap(DROP_IN, "^(TimeoutStopSec=.*)?$", "")(tree)
    assert named(look(tree), "unit pdns", "no short TimeoutStopSec=", "TimeoutStopSec=5", State.WARNING)


def test_a_program_under_home_that_the_unit_hides_is_named(tree: Path) -> None:
    (tree / "home/me").mkdir(parents=True)
    (tree / "home/me/geosteer").touch(0o755)
    swap(PUBLISH, "^ExecStart=.*", "ExecStart=/home/me/geosteer publish")(tree)
    assert named(look(tree), "unit program", "hides /home and /root", "/opt")


def test_settings_of_powerdns_are_read_as_it_reads_them(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    main_file = tmp_path / "pdns.conf"
    main_file.write_text(f"include-dir={tmp_path}/d\nlaunch=\n# pipe-timeout=1\ncache-ttl = 3\n")
    (tmp_path / "d" / "a.conf").write_text("launch+=bind\n")
    (tmp_path / "d" / "b.conf").write_text("launch+=pipe\ncache-ttl=4\n")
    (tmp_path / "d" / "c.txt").write_text("launch=x\n")
    assert read_settings(main_file, Host()) == {
        "include-dir": f"{tmp_path}/d",
        "launch": "bind,pipe",
        "cache-ttl": "4",
    }


def test_a_host_without_anything_is_told_where_to_begin(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", str(tmp_path / "none"), "--json"]) == 1
    links = json.loads(capsys.readouterr().out)["links"]
    assert {"configuration", "worker configuration", "pdns settings"} <= {
        link["link"] for link in links if link["state"] == "wrong" and "geosteer init" in link["cure"]
    }

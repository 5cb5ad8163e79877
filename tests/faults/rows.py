"""The rows of the fault table whose cause is Redis or the way to it: what happens, and what is expected of it."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

import redis
from faults.scene import COLD, LAST_RESORT_TTL, document, tables
from support.servers import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from faults.scene import Scene

    Happening = Callable[[Scene], None]

ROWS: list[Row] = []


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One fault."""

    name: str
    happen: Happening
    tiers: frozenset[str]
    """From where answers have to come while it lasts: exactly these, but for those in *may*."""
    may: frozenset[str] = frozenset()
    longest: float = 0.25
    """Seconds that an answer may take, on a busy machine; the budget is 50 ms."""
    recovery: float | None = 1.5
    """Seconds until a change is heard everywhere, after Redis is as it should be."""
    unanswered: int = 0
    failed: int = 0
    alone: bool = False
    """In a network namespace of its own."""
    scene: Mapping[str, Any] = field(default_factory=dict)
    """How the scene is set up."""


def row(name: str, tiers: str, may: str = "", **more: Any) -> Callable[[Happening], Happening]:
    """Put a function into the table. *tiers*, *may*: words; what the row has no member for goes to the scene."""

    def note(happen: Happening) -> Happening:
        own = {key: more.pop(key) for key in list(more) if key in Row.__dataclass_fields__}
        ROWS.append(
            Row(
                name=name, happen=happen, tiers=frozenset(tiers.split()), may=frozenset(may.split()), scene=more, **own
            )
        )  # fmt: skip
        return happen

    return note


@row("Redis killed, restarted with its data", "stale")
def killed(scene: Scene) -> None:
    with scene.client() as client:
        client.save()
    scene.redis.kill()
    scene.hold(0.7)
    scene.mending()
    scene.redis.start()
    scene.repaired()


@row("Redis killed for longer than max_stale", "stale fallback", max_stale=0.6)
def killed_for_long(scene: Scene) -> None:
    with scene.client() as client:
        client.save()
    scene.redis.kill()
    scene.wait_for("fallback")
    scene.mending()
    scene.redis.start()
    scene.repaired()


@row("Redis frozen (SIGSTOP) for 2 s", "stale fallback", may="live", timeout=50)
def frozen(scene: Scene) -> None:
    scene.redis.freeze()
    scene.hold(0.4)
    for net in COLD[:10]:
        assert scene.ask(net).good
    scene.hold(1.2)
    scene.mending()
    scene.redis.thaw()
    scene.repaired()


@row("restarted empty, published again later", "stale", may="live")
def emptied_by_restart(scene: Scene) -> None:
    scene.redis.kill()
    scene.redis.start()
    scene.hold(1)
    scene.mending()
    scene.publish()
    scene.repaired()


@row("emptied (FLUSHALL), published again later", "stale", may="live")
def flushed(scene: Scene) -> None:
    with scene.client() as client:
        client.flushall()
    scene.hold(0.5)
    scene.mending()
    scene.publish()
    scene.repaired()


@row("restarted with an old generation", "live", may="stale")
def old_data(scene: Scene) -> None:
    with scene.client() as client:
        client.save()
        made = document(default={"bad1": 1000, "lon1": 100})
        scene.right.update({net: found | {"192.0.2.1"} for net, found in scene.right.items()})
        scene.publish(made)
        wait_until(lambda: scene.ask(COLD[0]).good)
    scene.redis.kill()
    scene.redis.start()
    scene.hold(0.7)
    scene.repaired()


@row(
    "loading its data (LOADING) for 2 s", "stale",
    redis_args=("--key-load-delay", "20000", "--loading-process-events-interval-bytes", "1024"),
)  # fmt: skip
def loading(scene: Scene) -> None:
    with scene.client() as client:
        for number in range(100):
            client.set(f"more:{number}", os.urandom(2048))
        client.save()
    scene.redis.kill()
    scene.redis.start(wait=False)
    time.sleep(0.1)
    wait_until(lambda: "LOADING" in scene.log, what="LOADING")
    scene.hold(0.3)
    scene.mending()
    scene.redis.wait_ready()
    scene.repaired()


@row("out of memory (maxmemory)", "live")
def out_of_memory(scene: Scene) -> None:
    with scene.client() as client:
        client.config_set("maxmemory", 1)
        with pytest.raises(redis.OutOfMemoryError):
            client.hset("{geosteer}:node:nyc1", "state", "down")
        scene.hold(0.3)
        for net in COLD[:5]:
            assert scene.ask(net).ttl != LAST_RESORT_TTL
        client.config_set("maxmemory", 0)
    scene.repaired()


@row("a password set (NOAUTH)", "stale")
def password_set(scene: Scene) -> None:
    with scene.client() as client:
        client.config_set("requirepass", "new")
        client.client_kill_filter(_type="normal", skipme=True)
        wait_until(lambda: "NOAUTH" in scene.log, what="NOAUTH")
        scene.hold(0.4)
        scene.mending()
        client.config_set("requirepass", "")
    scene.repaired()


WORKER = "on >old resetkeys %R~* nocommands +hello +auth +ping +client|tracking +hget +hmget +hgetall"


@row(
    "the password changed (WRONGPASS)", "stale", redis_args=("--user", "worker", *WORKER.split()),
    more='username = "worker"\npassword = "old"',
)  # fmt: skip
def password_changed(scene: Scene) -> None:
    with scene.client() as client:
        client.execute_command("ACL", "SETUSER", "worker", "<old", ">new")
        client.client_kill_filter(user="worker")
        wait_until(lambda: "WRONGPASS" in scene.log, what="WRONGPASS")
        scene.hold(0.4)
        scene.mending()
        client.execute_command("ACL", "SETUSER", "worker", "<new", ">old")
    scene.repaired()


@row(
    "permission taken away (NOPERM)", "stale", redis_args=("--user", "worker", *WORKER.split()),
    more='username = "worker"\npassword = "old"',
)  # fmt: skip
def permission_taken(scene: Scene) -> None:
    with scene.client() as client:
        client.execute_command("ACL", "SETUSER", "worker", "-hgetall")
        client.hset("{geosteer}:node:bad1", "reason", "still")
        wait_until(lambda: "NOPERM" in scene.log.upper(), what="NOPERM")
        scene.hold(0.4)
        scene.mending()
        client.execute_command("ACL", "SETUSER", "worker", "+hgetall")
    scene.repaired()


@row("its disk fails (MISCONF)", "live", redis_args=("--dbfilename", "no-file", "--save", "3600", "1"))
def disk_fails(scene: Scene) -> None:
    (scene.redis.directory / "no-file").mkdir()
    with scene.client() as client:
        client.bgsave()
        wait_until(
            lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err", what="a failed save"
        )
        with pytest.raises(redis.ResponseError, match="MISCONF"):
            client.hset("{geosteer}:node:nyc1", "state", "down")
        scene.hold(0.3)
        client.config_set("stop-writes-on-bgsave-error", "no")
    scene.repaired()


def _wrong_type(key: str) -> None:
    tiers = {"current": "stale", "object": "live fallback"}.get(key, "live")

    @row(f"wrong type at {key}", tiers, may={"current": "live", "beat": "stale"}.get(key, ""))
    def of_wrong_type(scene: Scene) -> None:
        name = "{geosteer}:" + key
        with scene.client() as client:
            there = client.dump(name)
            client.set(name, "no hash")
            scene.hold(0.4)
            if key == "object":
                assert scene.ask(COLD[0]).ttl == LAST_RESORT_TTL
                scene.hold(0.3)
            scene.mending()
            if there:
                client.restore(
                    name, 0, there, replace=True
                )  # in one step: between two the key would be absent
            else:
                client.delete(name)
        scene.repaired()


for _key in ("current", "object", "override", "beat", "node:bad1"):
    _wrong_type(_key)


@row("`current` names an object that is not there", "stale", may="live")
def missing_object(scene: Scene) -> None:
    roots: dict[str, Any] = {"geo.v4": "00" * 16}
    scene.publish(**roots)
    scene.hold(0.4)
    scene.mending()
    scene.publish()
    scene.repaired()


@row("a flipped bit in a page's root", "stale", may="live")
def flipped_root(scene: Scene) -> None:
    made = document(asns={"AS1": {"nyc1": 1}})
    roots, pages = tables()
    damaged = bytearray(pages[roots["geo.v6"]])
    damaged[-1] ^= 1
    with scene.client() as client:
        client.hset("{geosteer}:current", "geo.v6", "11" * 16)
        client.hset("{geosteer}:object", "11" * 16, bytes(damaged))
        scene.hold(0.4)
    scene.mending()
    scene.publish(made)
    scene.repaired()


@row("a flipped bit in a leaf that is needed", "live fallback")
def flipped_leaf(scene: Scene) -> None:
    _, pages = tables()
    with scene.client() as client:
        for name, page in pages.items():
            damaged = bytearray(page)
            damaged[-3] ^= 4
            client.hset("{geosteer}:object", name, bytes(damaged))
        assert scene.ask(COLD[0]).ttl == LAST_RESORT_TTL
        scene.hold(0.3)
        scene.mending()
        client.hset("{geosteer}:object", mapping=pages)
        wait_until(lambda: scene.ask(COLD[0]).ttl != LAST_RESORT_TTL)
    scene.repaired()


@row("objects collected under an old reader", "live", may="fallback", timeout=50)
def collected(scene: Scene) -> None:
    _, pages = tables()
    with scene.client() as client:
        for name in pages:
            client.hdel("{geosteer}:object", name)
    asked = [scene.ask(net) for net in COLD[:3]]
    assert all(one.good for one in asked)
    scene.hold(0.3)
    scene.mending()
    scene.publish()
    wait_until(lambda: scene.ask(COLD[5]).ttl != LAST_RESORT_TTL)
    scene.repaired()


@row("`schema` of a newer program", "stale", may="live", max_stale=0.3)
def newer_schema(scene: Scene) -> None:
    scene.publish(schema="2")
    scene.hold(1)
    scene.mending()
    scene.publish()
    scene.repaired()


@row("connections killed (CLIENT KILL) 5 times", "stale live")
def clients_killed(scene: Scene) -> None:
    with scene.client() as client:
        for _ in range(5):
            client.client_kill_filter(_type="normal", skipme=True)
            scene.hold(0.2)
    scene.repaired()


@row("output buffer limit hit", "stale", may="live", timeout=40)
def output_limit(scene: Scene) -> None:
    made = document()
    long = [
        {"name": f"t{n}.cdn.example.net", "type": "TXT", "content": f'"{os.urandom(110).hex()}"', "ttl": 60}
        for n in range(150)
    ]
    made["zones"]["cdn.example.net"]["records"] += long
    with scene.client() as client:
        client.config_set("client-output-buffer-limit", "normal 20000 0 0")
        scene.publish(made)
        scene.hold(1.5)
        scene.mending()
        client.config_set("client-output-buffer-limit", "normal 0 0 0")
    scene.repaired()


def _beats_seen(scene: Scene) -> bool:
    """Whether a beat has reached the replica, and the workers have had time to see it move."""
    assert scene.replica is not None
    with scene.replica.client() as client:
        there = bool(client.hgetall("{geosteer}:beat"))
    scene.hold(0.5)
    return there


@row("a replica loses its primary", "stale", may="live", replica=True, beats=0.2, recovery=3)
def primary_killed(scene: Scene) -> None:
    wait_until(lambda: _beats_seen(scene), what="a beat on the replica")
    with scene.client() as client:
        client.save()
    scene.redis.kill()
    wait_until(lambda: "frozen" in scene.log, what="frozen states")
    scene.hold(0.4)
    scene.mending()
    scene.redis.start()
    wait_until(scene.synced, what="a sync")
    scene.repaired()


@row("a replica's primary is frozen", "stale", may="live", replica=True, beats=0.2)
def primary_frozen(scene: Scene) -> None:
    wait_until(lambda: _beats_seen(scene), what="a beat on the replica")
    scene.redis.freeze()
    wait_until(lambda: "frozen" in scene.log, what="frozen states")
    scene.hold(0.4)
    scene.mending()
    scene.redis.thaw()
    scene.repaired()


@row("a replica's full resync", "live stale", may="live stale", replica=True)
def full_resync(scene: Scene) -> None:
    assert scene.replica is not None
    with scene.replica.client() as client:
        client.replicaof("NO", "ONE")
        client.set("its own", "history")
        client.replicaof("127.0.0.1", scene.redis.port)
        wait_until(scene.synced, what="a sync")
        assert client.info("stats")["sync_full"] == 0
    scene.hold(0.3)
    with scene.client() as client:
        assert client.info("stats")["sync_full"] == 2
    scene.repaired()


@row("200 ms latency", "live", may="fallback", delay=0.1, recovery=1, timeout=50)
def slow(scene: Scene) -> None:
    assert scene.ask(COLD[0]).good
    wait_until(lambda: all(scene.ask(COLD[0]).ttl != LAST_RESORT_TTL for _ in range(4)), what="its page")
    scene.hold(0.5)
    scene.repaired()


def drop(scene: Scene, *rule: str) -> None:
    """Lose packets on the way to and from Redis, as *rule* says; without one: none any more."""
    from faults.alone import nft

    nft("flush ruleset")
    if rule:
        nft("add table inet t", "add chain inet t i { type filter hook input priority 0; }")
        for end in ("sport", "dport"):
            nft(f"add rule inet t i tcp {end} {scene.redis.port} {' '.join(rule)} drop")


@row(
    "network black hole for 3 s",
    "stale fallback",
    may="live",
    alone=True,
    url="redis://127.0.0.1:{port}",
    tcp=True,
    recovery=2,
    timeout=50,
)
def black_hole(scene: Scene) -> None:
    drop(scene, "counter")
    scene.hold(0.4)
    for net in COLD[:10]:
        assert scene.ask(net).good
    scene.hold(2.4)
    scene.mending()
    drop(scene)
    scene.repaired()


@row(
    "5 % of packets lost", "live", may="stale fallback", alone=True, url="redis://127.0.0.1:{port}", tcp=True, recovery=3,
    timeout=50,
)  # fmt: skip
def lossy(scene: Scene) -> None:
    drop(scene, "numgen", "random", "mod", "20", "0")
    for net in COLD:
        assert scene.ask(net).good
    scene.hold(0.5)
    scene.repaired()
    drop(scene)

"""The rows whose cause is what stands in Redis, or what a server that is not Redis sends: no worker dies of it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hiredis

from faults.commands import Loader
from faults.rows import ROWS, row
from faults.scene import AMS, COLD, TABLE, document
from geosteer.keys import digest
from geosteer.tables import page_builder
from support.data import ROOT
from support.dns_setup import backend_toml
from support.servers import wait_until
from support.tiny import DOCUMENT, publish_tiny
from support.workers import Worker

if TYPE_CHECKING:
    from collections.abc import Iterator

    from faults.scene import Scene

__all__ = ["ROWS"]

NO_TIME = "9" * 400 + "-01-01T00:00:00Z"


@contextlib.contextmanager
def nobody_dies(scene: Scene) -> Iterator[None]:
    """Workers are the same before and after."""
    before = scene.pdns.workers()
    yield
    assert scene.pdns.workers() == before, scene.log[-2000:]


@row("rubbish in `override`", "live", may="stale")
def rubbish_in_override(scene: Scene) -> None:
    """A worker that runs and one that starts meet it."""
    rubbish = (
        "{state: down}",
        '{"state":"down"',
        '"down',
        '{"state":"down",}',
        "[" * 100_000,
        "9" * 5000,
        "\xff",
    )
    for value in rubbish:
        with nobody_dies(scene), scene.client() as client:
            client.hset("{geosteer}:override", mapping=dict.fromkeys(("lon1", "ams1", "nyc1"), value))
            scene.hold(0.15)
    scene.restart_pdns()
    with nobody_dies(scene):
        scene.hold(0.5)
        scene.repaired()


@row("times with a year of 400 digits", "live", may="stale", longest=1)
def endless_times(scene: Scene) -> None:
    """`status` names them, and what owns a key repairs it: `feed`, `node auto`, `publish`."""
    loader = Loader(scene)
    with nobody_dies(scene), scene.client() as client:
        client.hset("{geosteer}:node:lon1", mapping={"state": "up", "since": NO_TIME})
        client.hset("{geosteer}:override", "nyc1", json.dumps({"state": "up", "until": NO_TIME}))
        client.hset("{geosteer}:beat", "tester", f"1 {NO_TIME} 1000")
        client.hset("{geosteer}:current", "published", NO_TIME)
        scene.hold(0.5)
        told = loader.run("status")
        for key in ("current: published", "override nyc1", "node lon1", "beat tester"):
            assert f"\n{key}: " in told, (key, told)
    scene.restart_pdns()
    with nobody_dies(scene), scene.client() as client:
        scene.hold(0.5)
        states = json.dumps({"nodes": {"lon1": {"state": "up"}, "bad1": {"state": "down"}}})
        loader.run("feed", "--name", "tester", "-", stdin=states)
        loader.run("node", "auto", "nyc1")
        loader.run("publish", "--force", "vanished", "--force", "max_impact")
        left = [client.hgetall("{geosteer}:" + key) for key in ("node:lon1", "override", "beat", "current")]
        assert NO_TIME.encode() not in b" ".join(value for fields in left for value in fields.values())
        scene.generation = int(client.hget("{geosteer}:current", "generation"))
        scene.publish()
        scene.repaired()


@row("a beat dated 2126", "live", may="stale")
def beat_of_the_future(scene: Scene) -> None:
    """An override that has an hour to go is in force all the same."""
    until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
    with scene.client() as client:
        client.hset(
            "{geosteer}:override", "lon1", json.dumps({"state": "down", "until": until, "who": "test"})
        )
        scene.right.update({net: {AMS} for net, where in TABLE.items() if where == "GB"})
        wait_until(lambda: scene.steered_as_is_right(12), what="the override")
        scene.begin()
        with nobody_dies(scene):
            for count in (1, 2, 3):
                client.hset("{geosteer}:beat", "tester", f"{count} 2126-01-01T00:00:00Z 1000")
                scene.hold(0.3)
            client.client_kill_filter(_type="normal", skipme=True)  # all is read again
            scene.hold(0.5)
            scene.repaired()


def _other_document(name: str, text: bytes) -> None:
    @row(f"a configuration document that holds {name}", "stale", may="live")
    def other_document(scene: Scene) -> None:
        """Under its right digest."""
        with nobody_dies(scene), scene.client() as client:
            client.hset("{geosteer}:object", digest(text).hex(), text)
            client.hset("{geosteer}:current", mapping={"config": digest(text).hex(), "generation": "2"})
            scene.hold(0.5)
            scene.mending()
            scene.generation = 2
            scene.publish()
            scene.repaired()


for _name, _text in {
    "nothing": b"{}",
    "100,000 brackets": b"[" * 100_000,
    "a number of 5,000 digits": b'{"format":1,"nodes":' + b"9" * 5000 + b"}",
    "a newer format": b'{"format":2,"nodes":{},"maps":{},"services":{}}',
}.items():
    _other_document(_name, _text)


def repeating_pages() -> tuple[str, dict[str, bytes]]:
    """The root and the pages of a table of 2^32 entries: each inner page names one page 256 times, the last a leaf."""
    leaf = page_builder.build(32, [0], ["GB"])
    name, made = leaf.root, dict(leaf.pages)
    for height, length in ((1, 24), (2, 16), (3, 8), (4, 0)):
        head = bytes((1, 4, height, length, length // 8, 1)) + struct.pack(">HH", 256, 1)
        page = head + bytes(range(256)) + bytes(256) + name
        name = digest(page)
        made[name] = page
    return name.hex(), {name.hex(): page for name, page in made.items()}


@row("five pages that expand to four billion entries", "stale", may="live")
def repeating(scene: Scene) -> None:
    root, pages = repeating_pages()
    with nobody_dies(scene), scene.client() as client:
        client.hset("{geosteer}:object", mapping=pages)
        client.hset("{geosteer}:current", mapping={"geo.v4": root, "generation": "2"})
        scene.hold(1)
        scene.mending()
        scene.generation = 2
        scene.publish()
        scene.repaired()


@row("a worker's first adoption: 2,000 services, no snapshot", "live", longest=1.5)
def first_adoption(scene: Scene) -> None:
    """What is asked before anything is known waits for it."""
    made = document()
    service = made["services"]["www.cdn.example.net"]
    made["services"].update({f"s{number}.cdn.example.net": service for number in range(2000)})
    scene.publish(made)
    scene.hold(1)
    scene.load.rest()
    for path in scene.folder.glob("last-good.json*"):
        path.unlink()
    scene.pdns.stop()
    scene.pdns.start()
    scene.load.port = scene.pdns.port
    scene.begin_at_rest()
    scene.load.go_on()
    with nobody_dies(scene):
        wait_until(lambda: len(scene.load.since(scene.began)) > 60, what="answers of fresh workers")
        scene.repaired()


def _lies(name: str, lies: tuple[bytes, ...], **more: Any) -> None:
    @row(name, "stale", may="live fallback", liar=True, timeout=50, **more)
    def lied_to(scene: Scene) -> None:
        assert scene.liar is not None
        with nobody_dies(scene):
            for lie in lies:
                scene.liar.lie = lambda lie=lie: lie
                with scene.client() as client:
                    client.client_kill_filter(_type="normal", skipme=True)
                for net in COLD[:3]:
                    assert scene.ask(net).good
                scene.hold(0.3)
            scene.mending()
            scene.liar.lie = None
            scene.repaired()


_lies(
    "replies of an unexpected shape",
    (
        b"_\r\n" * 9, b":1\r\n" * 9, b",1.5\r\n" * 9, b"%1\r\n+a\r\n%1\r\n+b\r\n+c\r\n" * 9, b"%1\r\n*1\r\n+a\r\n+b\r\n" * 9,
        b"|1\r\n+a\r\n+b\r\n+OK\r\n" * 9, b"*0\r\n" * 9, b">1\r\n+invalidate\r\n" * 9, b">2\r\n:1\r\n:2\r\n" * 9,
        b">2\r\n+invalidate\r\n*1\r\n:7\r\n" * 9, b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\0" * 100,
    ),
)  # fmt: skip
_lies(
    "endless replies",
    (
        b"$2000000000\r\n" + b"x" * 60_000, b"*1000000000\r\n" + b"+x\r\n" * 20_000, b"+" + b"x" * 60_000,
        b">100000000\r\n" + b":1\r\n" * 20_000, b"*1\r\n" * 20_000,
    ),
)  # fmt: skip


@row("a flipped bit in a kept generation, and a rollback to it", "live", may="stale")
def rollback_to_damaged(scene: Scene) -> None:
    """The rollback is refused, and nothing is changed."""
    toml = scene.folder / "geosteer.toml"
    toml.write_text(
        f'[redis]\nurl = "{scene.redis.url}"\n[nodes.x]\na = ["192.0.2.1"]\n[maps.m]\ndefault = {{ x = 1 }}\n'
    )
    with nobody_dies(scene), scene.client() as client:
        notes = {"changed": "config", "who": "test", "when": "2026-02-01T00:00:00Z"}
        kept = client.hgetall("{geosteer}:current")
        client.xadd("{geosteer}:history", {**kept, **notes})
        now = scene.publish(document(asns={"AS1": {"nyc1": 1}}))
        client.xadd("{geosteer}:history", {**now, **notes})
        damaged = bytearray(client.hget("{geosteer}:object", kept[b"config"]))
        damaged[len(damaged) // 2] ^= 1
        client.hset("{geosteer}:object", kept[b"config"], bytes(damaged))
        command = [str(ROOT / "bin" / "geosteer"), "rollback", "--config", str(toml)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=200)
        assert done.returncode == 1, done.stderr
        assert kept[b"config"].decode() in done.stderr
        assert client.hget("{geosteer}:current", "generation") == b"2"
        scene.hold(0.3)
    scene.restart_pdns()
    with nobody_dies(scene):
        scene.repaired()


OTHER_ZONE = {
    **DOCUMENT,
    "zones": {"other.example": DOCUMENT["zones"]["cdn.example.net"] | {"records": []}},
    "services": {"www.other.example": {"map": "default", "ttl": 60}},
}
"""In which the names that are asked for do not exist."""


@row("a start without Redis, another prefix's snapshot", "fallback", published=False)
def foreign_snapshot(scene: Scene) -> None:
    """Two kinds of workers with one path, and the other one, which knows other zones, wrote last."""
    scene.publish()
    own = scene.folder / "last-good.json"
    wait_until(own.exists, what="a snapshot")
    other = scene.folder / "other"
    other.mkdir()
    with scene.client() as client:
        publish_tiny(client, "other", OTHER_ZONE)
        with Worker(backend_toml(other, scene.redis, prefix="other")):
            wait_until((other / own.name).exists, what="the other's snapshot")
        client.save()
    scene.redis.kill()
    scene.pdns.stop()
    for path in other.glob("last-good.json*"):
        if not path.name.endswith(".settings"):
            path.replace(scene.folder / path.name)
    own.with_name(own.name + ".previous").unlink(missing_ok=True)
    scene.restart_pdns()
    scene.begin(wait=False)
    with nobody_dies(scene):
        scene.wait_for("fallback")
        scene.hold(0.4)
        scene.mending()
        scene.redis.start()
        scene.repaired()
    assert re.search(
        r"last-good\.json: is of '[^']* other', not of '[^']* geosteer': ignored", scene.pdns.log
    )


def movable(folder: Path) -> str:
    """A worker by an interpreter that can be taken away."""
    (folder / "python").symlink_to(Path(sys.executable).resolve())
    paths = [str(ROOT / "backend"), str(Path(hiredis.__file__).parents[1])]
    code = f"import sys; sys.path[:0] = {paths}; from geosteer.powerdns.pipe import main; sys.exit(main())"
    program = folder / "worker"
    program.write_text(f'#!/bin/sh\nexec {folder}/python -I -c "{code}" "$@"\n')
    program.chmod(0o755)
    return f"{program} --config {{config}}"


@row("SIGHUP while the interpreter is gone", "live", command=movable)
def interpreter_gone(scene: Scene) -> None:
    (scene.folder / "python").unlink()
    workers = scene.pdns.workers()
    with nobody_dies(scene):
        for pid in workers:
            os.kill(pid, signal.SIGHUP)
        wait_until(lambda: scene.log.count("not reloaded") == len(workers), what="a refusal by each worker")
        scene.hold(0.3)
        scene.repaired()

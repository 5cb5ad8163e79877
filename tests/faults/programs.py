"""The rows whose cause is the worker, its files, its clock, or PowerDNS."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import dns.exception
import dns.rcode
import pytest

from faults.load import Answer
from faults.rows import ROWS, row
from faults.scene import AMS, COLD, OTHER_NAMES, TABLE, WWW
from geosteer import files
from support.data import ROOT
from support.front_servers import Server, ask
from support.servers import addresses, free_port, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from faults.scene import Scene

__all__ = ["ROWS"]

PIPE = ROOT / "bin" / "geosteer-pipe"


@row("a worker's file descriptors are used up", "stale")
def no_descriptors(scene: Scene) -> None:
    workers = scene.pdns.workers()
    for pid in workers:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, 1024))
    with scene.client() as client:
        client.client_kill_filter(_type="normal", skipme=True)
    wait_until(lambda: "too many open files" in scene.log, what="too many open files")
    scene.hold(0.7)
    scene.mending()
    for pid in workers:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (1024, 1024))
    scene.repaired()


@row("a start without Redis, the snapshot corrupt", "fallback", published=False)
def corrupt_snapshot(scene: Scene) -> None:
    """The second run of PowerDNS here: the first left a good snapshot."""
    scene.publish()
    wait_until((scene.folder / "last-good.json").exists, what="a snapshot")
    for path in scene.folder.glob("last-good.json*"):
        if path.name in {"last-good.json", "last-good.json.previous"}:
            good = path.read_bytes()
            path.write_bytes(good[: len(good) // 2] + b"\0" * 9 + good[len(good) // 2 :])
    with scene.client() as client:
        client.save()
    scene.redis.kill()
    scene.restart_pdns()
    scene.begin(wait=False)
    scene.wait_for("fallback")
    scene.hold(0.4)
    scene.mending()
    scene.redis.start()
    scene.repaired()


@row("a start without Redis, from the snapshot", "fallback", published=False)
def from_snapshot(scene: Scene) -> None:
    scene.publish()
    wait_until((scene.folder / "last-good.json").exists, what="a snapshot")
    with scene.client() as client:
        client.save()
    scene.redis.kill()
    scene.restart_pdns()
    scene.begin(wait=False)
    scene.wait_for("fallback")
    scene.hold(0.4)
    scene.mending()
    scene.redis.start()
    scene.repaired()


@row("the checked copy of the settings is cut or rubbish", "live", may="stale", longest=1)
def damaged_settings_copy(scene: Scene) -> None:
    """Workers that start read the file itself, and write the copy anew."""
    copy = scene.folder / "last-good.json.settings"
    whole = copy.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", files.sealed(b"{stamp: 1}"), files.sealed(b'{"stamp":1')):
        copy.write_bytes(damaged)
        scene.restart_pdns()
        moment = time.monotonic()
        wait_until(partial(_asked, scene, moment), what="answers of new workers")
        assert copy.read_bytes() == whole
    scene.repaired()


WILDCARD = """
[fallback.zones."w.example.net"]
soa = { mname = "ns1.example.net", rname = "hostmaster.example.net" }
ns = ["ns1.example.net"]
records = [{ name = "*.dl", type = "A", content = "192.0.2.1", ttl = 10 }]"""


@row("Redis never there, a wildcard record in `[fallback]`", "fallback", published=False, more=WILDCARD)
def wildcard_without_redis(scene: Scene) -> None:
    for name in ("a.dl.w.example.net", "b.c.dl.w.example.net"):
        assert scene.query(name).addresses == ("192.0.2.1",), name
    scene.hold(0.4)
    scene.mending()
    scene.publish()
    scene.repaired()


@row("the snapshot's folder is not there", "live", snapshot="nowhere/last-good.json")
def unwritable_snapshot(scene: Scene) -> None:
    with scene.client() as client:
        client.hset("{geosteer}:node:bad1", "reason", "a change")
    wait_until(lambda: "No such file or directory" in scene.pdns.log, what="a complaint")
    scene.hold(0.3)
    assert scene.pdns.log.count("No such file or directory") <= len(scene.pdns.workers())
    scene.repaired()


@contextlib.contextmanager
def full_disk(folder: Path) -> Iterator[Path]:
    """A file system without room."""
    small = folder / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8k", "none", str(small)], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"no small file system can be mounted here: {mounted.stderr.strip()}")
    try:
        (small / "filler").write_bytes(b"x" * 4096)
        yield small
    finally:
        subprocess.run(["umount", "--lazy", str(small)], check=True)


@row("the snapshot's disk is full", "live", around=full_disk, snapshot="small/last-good.json")
def disk_full(scene: Scene) -> None:
    wait_until(lambda: "No space left on device" in scene.pdns.log, what="a complaint")
    scene.hold(0.3)
    assert not (scene.folder / "small" / "last-good.json").exists()
    assert not (scene.folder / "small" / "last-good.json.new").exists()
    scene.repaired()


def faketime() -> str:
    """The library that lies about the time; without it the test is skipped, or fails where `CI` is set."""
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    if not found:
        reason = "libfaketime is not installed (bin/setup tests installs it)"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    return str(found[0])


def _stepped(hours: int) -> None:
    @row(
        f"workers' clocks stepped by {hours:+} h", "live", may="stale", beats=0.3,
        command=lambda folder: (
            f"/usr/bin/env LD_PRELOAD={faketime()} FAKETIME_TIMESTAMP_FILE={folder}/time FAKETIME_NO_CACHE=1 "
            f"FAKETIME_DONT_FAKE_MONOTONIC=1 {PIPE} --config {{config}}"
        ),
    )  # fmt: skip
    def clock_stepped(scene: Scene) -> None:
        """Two overrides tell: one that has half an hour to go, and one that ended half an hour ago."""
        now = time.time()
        for node, until in (("lon1", now + 1800), ("ams1", now - 1800)):
            stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(until))
            with scene.client() as client:
                client.hset(
                    "{geosteer}:override", node, json.dumps({"state": "down", "until": stamp, "who": "test"})
                )
        british = {net for net, where in TABLE.items() if where == "GB"}
        scene.right.update({net: {AMS} for net in british})
        wait_until(lambda: scene.steered_as_is_right(12), what="the overrides")
        scene.begin()
        (scene.folder / "time").write_text(f"{hours:+}h\n")
        scene.hold(1)
        with scene.client() as client:
            client.client_kill_filter(_type="normal", skipme=True)  # all is read again
        scene.hold(0.5)
        scene.repaired()


_stepped(1)
_stepped(-1)


def _killed_idle(seconds: int) -> None:
    @row(
        f"a worker killed while idle (negquery-cache-ttl={seconds})", "live", threads=1, failed=2 if seconds else 0,
        settings={"negquery-cache-ttl": seconds}, longest=2.5,
    )  # fmt: skip
    def killed_idle(scene: Scene) -> None:
        """PowerDNS takes its silence for "nothing there", once for each worker, and keeps that for as long as it is told."""
        scene.load.rest()
        # Names apart: what one worker is silent of is remembered for both.
        asked = [(name, number % 2 == 1) for number, name in enumerate(OTHER_NAMES)]
        for (
            name,
            tcp,
        ) in asked:  # what comes first of a question is remembered, so that its last part is what is lost
            assert scene.query(name, tcp=tcp).good
        workers = scene.pdns.workers()
        assert len(workers) == 2, "one for UDP, one for TCP"
        for pid in workers:
            os.kill(pid, signal.SIGKILL)
        # A question written before its pipes are closed is one that a worker died over: PowerDNS waits a whole pipe-timeout.
        wait_until(lambda: all(_ended(pid) for pid in workers), what="their end")
        began = time.monotonic()
        lost = [
            (name, tcp)
            for name, tcp in asked
            if not (found := scene.query(name, tcp=tcp)).good and _negative(found)
        ]
        assert len(lost) <= (len(workers) if seconds else 0), lost
        for name, tcp in lost:
            wait_until(partial(_answered, scene, name, tcp), seconds + 30, name)
        # PowerDNS counts whole seconds, and keeps whole answers for one more
        lasted = time.monotonic() - began if lost else 0
        assert lasted < seconds + 2.2 + scene.load.stalls.longest(began), f"{lasted:.1f} s"
        scene.load.go_on()
        scene.repaired()


def _ended(pid: int) -> bool:
    """Whether a process has closed all its files: it is gone, or waits to be reaped (proc_pid_stat(5))."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return True
    return stat.rpartition(")")[2].split()[0] in "ZX"


def _negative(answer: Answer) -> bool:
    return answer.rcode in {dns.rcode.NXDOMAIN, dns.rcode.REFUSED}


_killed_idle(5)
_killed_idle(0)


@row("a worker killed in mid-answer (UDP)", "live", threads=1, longest=1.5)
def killed_in_mid_answer(scene: Scene) -> None:
    """Frozen until a question waits, then killed: PowerDNS asks a new worker the same once more."""
    for _ in range(3):
        workers = scene.pdns.workers()
        for pid in workers:
            os.kill(pid, signal.SIGSTOP)
        scene.hold(0.15)
        for pid in workers:
            os.kill(pid, signal.SIGKILL)
        moment = time.monotonic()
        wait_until(partial(_asked, scene, moment), what="answers of a new worker")
    scene.repaired()


def _answered(scene: Scene, name: str, tcp: bool) -> list[str]:
    return addresses(scene.pdns.query(name, tcp=tcp))


def _asked(scene: Scene, moment: float) -> bool:
    return len(scene.load.since(moment)) > 10


def characters_read(pid: int) -> int:
    """Bytes that a process has read so far."""
    return int(Path(f"/proc/{pid}/io").read_text().split()[1])


@row("a worker killed in mid-answer (TCP)", "live", threads=1, unanswered=1)
def killed_in_mid_answer_over_tcp(scene: Scene) -> None:
    """The connection is closed without an answer; the client's next one is answered."""
    net = COLD[0]
    scene.load.rest()
    scene.pdns.query(WWW, subnet=net, tcp=True)  # starts the worker
    before = {pid: characters_read(pid) for pid in scene.pdns.workers()}
    assert addresses(scene.pdns.query(WWW, subnet=net, tcp=True))
    (worker,) = [pid for pid, count in before.items() if characters_read(pid) > count + 60]
    scene.begin_at_rest()
    os.kill(worker, signal.SIGSTOP)
    outcome: list[object] = []

    def over_tcp() -> None:
        try:
            outcome.append(addresses(scene.pdns.query(WWW, subnet=net, tcp=True)))
        except (EOFError, OSError, dns.exception.DNSException) as exc:
            outcome.append(exc)

    asking = threading.Thread(target=over_tcp)
    asking.start()
    scene.hold(0.15)
    began = time.monotonic()
    os.kill(worker, signal.SIGKILL)
    asking.join()
    assert isinstance(outcome[0], EOFError | OSError), outcome
    scene.load.answers.append(Answer(began, time.monotonic() - began, net, None))
    assert addresses(scene.pdns.query(WWW, subnet=net, tcp=True))
    scene.load.go_on()
    scene.repaired()


@row("PowerDNS killed and restarted", "live", unanswered=10_000, longest=4.5)
def restarted(scene: Scene) -> None:
    scene.pdns.kill()
    scene.hold(0.2)
    scene.restart_pdns()
    moment = time.monotonic()
    wait_until(lambda: scene.load.since(moment), what="an answer")
    assert all(answer.good for answer in scene.load.since(moment)), "the client's retry is answered"
    scene.repaired()


STUMBLING = """
import sys
from pathlib import Path
from geosteer.redirect import server
from geosteer.sync.follower import Follower

tick = Follower.tick

def stumble(self, now):
    if Path(sys.argv[1]).exists():
        raise RuntimeError("out of the blue")
    return tick(self, now)

Follower.tick = stumble
server.run(sys.argv[2:])
"""
"""geosteer-http, whose thread meets an exception again and again while a file exists."""


@row("geosteer-http's thread meets exceptions", "live", may="stale")
def thread_stumbles(scene: Scene) -> None:
    """It says at once that its answers are not live, answers all the same, and follows again afterwards."""
    port, flag = free_port(), scene.folder / "stumble"
    options = [
        "--config",
        str(scene.folder / "backend.toml"),
        "--listen",
        f"127.0.0.1:{port}",
        "--trust",
        "127.0.0.0/8",
    ]
    options += ["--to", "address"]
    british = {"X-Forwarded-For": "11.0.0.7"}
    with Server([sys.executable, "-c", STUMBLING, str(flag), *options]).ready(port) as front:

        def tier() -> str:
            return str(ask(port, "/.geosteer/health").json()["tier"])

        def node() -> str:
            return ask(port, headers=british)["location"]

        wait_until(lambda: tier() == "live", what="a live front end")
        assert node() == "http://192.0.2.1/"
        flag.touch()
        wait_until(lambda: tier() == "stale", what="a front end that does not pretend")
        for _ in range(20):
            assert node() == "http://192.0.2.1/"
        assert front.log.count("RuntimeError: out of the blue") == 1
        scene.mending()
        flag.unlink()
        wait_until(lambda: tier() == "live", what="live again")
        scene.repaired()
        wait_until(lambda: node() == "http://192.0.2.2/", what="news")

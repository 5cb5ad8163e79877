"""Freshness: from a write of a node's status on the primary to a worker's changed answer, directly and through a replica.

Nothing is pinned to a core here: how long it takes depends on how many processes can run at once.
"""

from __future__ import annotations

import os
import select
import subprocess
import time
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Any, Self

from support.servers import RedisServer, wait_until

from . import zone
from .machine import HERE, PYTHON
from .peers.listener import CHANNEL, KEY
from .report import Section, Table
from .stage import WORKER, publish

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from .stage import Stage

CROWD = 64
"""Workers that are more than two cores can run at once."""
MANY = (1, 8, CROWD)
PATIENCE = 5.0
"""Seconds until a worker that goes on with its old answer counts as deaf."""
PACE = 20e-6
"""Seconds between two questions to any worker, however many there are: a busy host, not a flood."""
REST = 0.01
"""Seconds of silence before each write."""
CALM = 2.0
"""Seconds after the first answers in which workers finish what follows a start: a snapshot, the part in C."""
CONTROL = "bare processes"
"""That are told and read one key each, as little as a worker could do: what of the rest is the machine's."""
ASKED = "bare processes, asked"
"""The same, and they are asked as workers are, until their answer has changed: what of the rest is the asking's."""


def run(stage: Stage) -> Section:
    """Both ways, for several numbers of workers."""
    section = Section("freshness")
    primary = RedisServer(tcp=True)
    primary.start()
    try:
        publish(zone.geosteer_toml(stage.folder / "fresh.toml", primary.url, {"geo": stage.country.shared}))
        replica = stage.redis(
            "--replicaof", "127.0.0.1", str(primary.port), "--repl-diskless-sync-delay", "0", pinned=False
        )
        with replica.client() as client:
            wait_until(lambda: client.exists("{geosteer}:current"), what="the first sync of the replica")
        samples: dict[str, dict[str, list[float]]] = {}
        for count in MANY if not stage.quick else (1, 8):
            for way, server in (("direct", primary), ("through a replica", replica)):
                command = [str(WORKER), "--config", str(_settings(stage, server, way))]
                with Crowd(count, command, _network(stage)) as crowd:
                    time.sleep(0.0 if stage.quick else CALM)
                    samples[f"{count} {way}"] = _trials(
                        primary, crowd, stage.scaled(max(4800 // count, 60) // 4, 10)
                    )
                stage.say(f"freshness: {count} workers, {way}")
        controls = {
            count: _control(primary, count, stage.scaled(60, 10))
            for count in ((8,) if stage.quick else (8, CROWD))
        }
        asked = {
            count: _asked_control(primary, count, stage.scaled(60, 10), _network(stage)) for count in controls
        }
    finally:
        primary.close()
    table = Table(
        "Freshness: status write on the primary to changed answer, ms",
        ["workers", "way", "state: p50", "p99", "override: p50", "p99", "worst"],
        notes=[
            "of all workers and writes; nothing is pinned to a core, and of many workers each waits for the others",
            f"{CONTROL}: each waits for a message, reads one key and writes a byte; nobody asks them anything",
            f"{ASKED}: each answers the workers' questions with that key, and is asked until its answer has changed",
        ],
    )
    for label, kinds in samples.items():
        workers, _, way = label.partition(" ")
        every = [value for values in kinds.values() for value in values]
        row = [part(values, share) for values in kinds.values() for share in (0.5, 0.99)]
        table.rows.append([workers, way, *row, max(every)])
    section.data = dict(samples)
    for label, bare in ((CONTROL, controls), (ASKED, asked)):
        for count, took in bare.items():
            told = [None, None, part(took, 0.5), part(took, 0.99), max(took)]
            table.rows.append([str(count), label, *told])
            section.data[f"{count} {label}"] = {"told": took}
    section.tables.append(table)
    if CROWD in controls:
        section.judge("freshness.control", part(controls[CROWD], 0.99), f"{CROWD} of them, asked nothing")
    crowds = [
        max(part(took, 0.99) for took in found.values())
        for label, found in samples.items()
        if label.startswith(f"{CROWD} ")
    ]
    alone = {count: f"; {CONTROL}: {part(took, 0.99):.1f} ms" for count, took in controls.items()}
    if crowds:
        section.judge(
            "freshness.crowd",
            max(crowds),
            f"the worst of both ways and of states and overrides{alone.get(CROWD, '')}",
        )
    for way, key in (("direct", "direct"), ("through a replica", "replica")):
        for kind in ("state", "override"):
            worst = {
                label.partition(" ")[0]: part(found[kind], 0.99)
                for label, found in samples.items()
                if label.endswith(way) and not label.startswith(f"{CROWD} ")
            }
            worst_at = max(worst, key=worst.__getitem__)
            section.judge(
                f"freshness.{kind}.{key}",
                worst[worst_at],
                f"worst of {', '.join(worst)} workers: {worst_at}{alone.get(int(worst_at), '')}",
            )
    return section


class Crowd:
    """Workers that are asked the same question, over and over, until their answer changes."""

    def __init__(self, count: int, command: list[str], network: str) -> None:
        """Args: command: of a worker; network: the client that asks."""
        self._question = zone.question(network)
        self._processes = [
            subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                bufsize=0,
            )
            for _ in range(count)
        ]
        self._pace = PACE * count
        self.fds = {
            process.stdout.fileno(): process for process in self._processes if process.stdout is not None
        }

    def __enter__(self) -> Self:
        for process in self._processes:
            self._tell(process, b"HELO\t3\n")
        for fd in self.fds:
            os.read(fd, 4096)
        end = time.monotonic() + PATIENCE
        while len({self.ask(fd) for fd in self.fds}) > 1 or time.monotonic() < end - PATIENCE + 0.2:
            if time.monotonic() > end:
                raise TimeoutError("the workers do not agree on the first answer")
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.close()
        for process in self._processes:
            process.wait(10)

    def ask(self, fd: int) -> bytes:
        """One worker's answer."""
        self._tell(self.fds[fd], self._question)
        return os.read(fd, 65536)

    def changed(self, began: float) -> list[float]:
        """Milliseconds from *began* until each worker's answer was another than that of now.

        Raises: TimeoutError: one never changed its mind.
        """
        last = self._last
        took = []
        poller = select.poll()
        for fd, process in self.fds.items():
            poller.register(fd, select.POLLIN)
            self._tell(process, self._question)
        later: list[tuple[float, int]] = []
        waiting = len(self.fds)
        while waiting:
            now = time.monotonic()
            if now - began > PATIENCE:
                raise TimeoutError(f"{waiting} of {len(self.fds)} workers never heard of the change")
            while later and later[0][0] <= now:
                self._tell(self.fds[later.pop(0)[1]], self._question)
            for fd, _ in poller.poll(0 if later else 100):
                answer = os.read(fd, 65536)
                now = time.monotonic()
                if answer != last:
                    took.append((now - began) * 1000)
                    waiting -= 1
                else:
                    later.append((now + self._pace, fd))
        return took

    def settle(self) -> None:
        """Remember what all of them answer now."""
        answers = {self.ask(fd) for fd in self.fds}
        if len(answers) != 1:
            raise RuntimeError("the workers do not agree")
        self._last = answers.pop()

    @staticmethod
    def _tell(process: subprocess.Popen[bytes], data: bytes) -> None:
        assert process.stdin is not None
        process.stdin.write(data)


def _control(primary: RedisServer, count: int, trials: int) -> list[float]:
    """Milliseconds from a message until each of so many bare processes has read a key."""
    command = [str(PYTHON), "-I", str(HERE / "peers" / "listener.py"), "127.0.0.1", str(primary.port)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, bufsize=0) for _ in range(count)]
    waiting = {process.stdout.fileno() for process in processes if process.stdout is not None}
    try:
        _hear(waiting)
        found = []
        with primary.client() as client:
            client.set(KEY, '{"state": "down"}')
            for _ in range(trials):
                time.sleep(REST)
                began = time.monotonic()
                client.publish(CHANNEL, "")
                found += [(when - began) * 1000 for when in _hear(waiting)]
            client.delete(KEY)
        return found
    finally:
        for process in processes:
            process.kill()
        for process in processes:
            process.wait()
            if process.stdout is not None:
                process.stdout.close()


def _asked_control(primary: RedisServer, count: int, trials: int, network: str) -> list[float]:
    """As `_control`, until the answer of each to a worker's question is the new value of the key."""
    listener = str(HERE / "peers" / "asked_listener.py")
    command = [str(PYTHON), "-I", listener, "127.0.0.1", str(primary.port), CHANNEL, KEY]
    found = []
    with primary.client() as client, Crowd(count, command, network) as crowd:
        for trial in range(trials):
            found += _trial(
                crowd, lambda trial=trial: client.pipeline().set(KEY, trial).publish(CHANNEL, "").execute()
            )
        client.delete(KEY)
    return found


def _hear(fds: Iterable[int]) -> list[float]:
    """When each has written a byte. Raises: TimeoutError: one has not."""
    poller, waiting, found = select.poll(), set(fds), []
    for fd in waiting:
        poller.register(fd, select.POLLIN)
    while waiting:
        ready = poller.poll(PATIENCE * 1000)
        if not ready:
            raise TimeoutError(f"{len(waiting)} processes heard nothing")
        for fd, _ in ready:
            os.read(fd, 1)
            found.append(time.monotonic())
            waiting.discard(fd)
            poller.unregister(fd)
    return found


def _trials(primary: RedisServer, crowd: Crowd, count: int) -> dict[str, list[float]]:
    """Milliseconds of each worker for writes of a node's state, and of an override."""
    found: dict[str, list[float]] = {"state": [], "override": []}
    node = zone.COUNTRIES["GB"]
    with primary.client() as client:
        for number in range(count):
            down = number % 2 == 0
            state = {
                "state": "down" if down else "up",
                "since": "2026-02-01T00:00:00Z",
                "reason": "bench",
                "failing": "no",
            }
            found["state"] += _trial(
                crowd, lambda state=state: client.hset(f"{{geosteer}}:node:{node}", mapping=state)
            )
        client.delete(f"{{geosteer}}:node:{node}")
        crowd.settle()
        time.sleep(0.1)
        for number in range(count):
            if number % 2 == 0:
                found["override"] += _trial(
                    crowd, lambda: client.hset("{geosteer}:override", node, '{"state": "down"}')
                )
            else:
                found["override"] += _trial(crowd, lambda: client.hdel("{geosteer}:override", node))
        client.delete("{geosteer}:override")
    return found


def _trial(crowd: Crowd, write: Any) -> list[float]:
    crowd.settle()
    time.sleep(REST)
    began = time.monotonic()
    write()
    return crowd.changed(began)


def _settings(stage: Stage, server: RedisServer, way: str) -> Path:
    folder = stage.folder / f"fresh-{way.rsplit(maxsplit=1)[-1]}"
    folder.mkdir(exist_ok=True)
    return zone.backend_toml(folder / "backend.toml", server.url)


def _network(stage: Stage) -> str:
    """A client of the node that goes down."""
    node = zone.COUNTRIES["GB"]
    return next(f"{IPv4Address(network)}/24" for network in stage.networks if stage.node(network) == node)


def part(values: Sequence[float], share: float) -> float:
    """The value below which that share of them lies."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]

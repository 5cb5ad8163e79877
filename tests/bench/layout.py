"""Many hosts: what crosses each link of a chain of replicas, and how long MIGRATE of the object key holds a Cluster's node up.

origin (the primary) -> one point of presence (its replica) -> one DNS host (a replica of that). Every link carries the same
stream, so one of each is enough to tell what ten points and a thousand hosts take.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from support.constellations import Cluster
from support.servers import RedisServer, wait_until

from . import zone
from .machine import ROOT
from .report import Section, Table
from .stage import publish

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from .stage import Stage

POINTS, HOSTS = 10, 1000
KEY = "{geosteer}:object"
PAGE = 2400
"""Bytes of a page of a large city table, in the mean."""
SIZES = ((10_000, "10,000 pages"), (33_000, "33,000 pages, as 5 million city ranges take"))


def run(stage: Stage) -> Section:
    """The chain's links, then MIGRATE."""
    section = Section("layout")
    links = _links(stage)
    table = Table(
        "Layout: bytes over each link of a chain of replicas",
        [
            "what",
            "over a link",
            f"out of the origin, {POINTS} points",
            f"out of a point, {HOSTS // POINTS} hosts",
            "ms",
        ],
        notes=["ms: from the command's end until the last replica of the chain has it all"],
    )
    for what, sizes in links.items():
        size = statistics.median(sizes["bytes"])
        table.rows.append(
            [
                what,
                _size(size),
                _size(size * POINTS),
                _size(size * HOSTS / POINTS),
                statistics.median(sizes["ms"]),
            ]
        )
    moves = _moves(stage)
    other = Table(
        "Layout: MIGRATE of the object key, between two nodes of a Cluster here",
        ["objects", "bytes", "pause ms"],
    )
    other.rows += [
        [what, _size(found["bytes"]), statistics.median(found["ms"])] for what, found in moves.items()
    ]
    section.tables += [table, other]
    section.data = {"links": links, "migrate": moves}
    return section


class Chain:
    """Three servers, one behind the other."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self.servers: list[RedisServer] = []
        for _ in range(3):
            behind = ("--replicaof", "127.0.0.1", str(self.servers[-1].port)) if self.servers else ()
            server = RedisServer(*behind, "--repl-diskless-sync-delay", "0", tcp=True)
            self.servers.append(stack.enter_context(server))
            wait_until(self.in_step, 60, "a first sync")

    def in_step(self) -> bool:
        """Whether the last has all that the first has."""
        return len({self._offset(server) for server in self.servers}) == 1

    def over_last_link(self) -> int:
        """Bytes that the last one has been sent by the one before."""
        with self.servers[-1].client() as client:
            return int(client.info("stats")["total_net_repl_input_bytes"])

    def measure(self, work: Callable[[], object]) -> tuple[int, float]:
        """Bytes that *work* costs a link, and milliseconds after it until the chain is in step."""
        before = self.over_last_link()
        work()
        began = time.monotonic()
        wait_until(self.in_step, 60, "replicas in step")
        took = (time.monotonic() - began) * 1000
        return self.over_last_link() - before, took

    def _offset(self, server: RedisServer) -> object:
        with server.client() as client:
            info = client.info("replication")
            linked = info.get("master_link_status", "up") == "up" and not info.get("master_sync_in_progress")
            return info["master_repl_offset"] if linked else object()


def _links(stage: Stage) -> dict[str, dict[str, list[float]]]:
    found: dict[str, dict[str, list[float]]] = {}

    def note(what: str, cost: tuple[int, float]) -> None:
        for key, value in zip(("bytes", "ms"), cost, strict=True):
            found.setdefault(what, {"bytes": [], "ms": []})[key].append(value)

    with contextlib.ExitStack() as stack:
        chain = Chain(stack)
        config = stage.folder / "layout.toml"
        days = _two_days(stage)

        def table(day: int) -> Path:
            # one generation is kept, or the way back to the first day would find its pages still there
            return zone.geosteer_toml(config, chain.servers[0].url, {"geo": days[day]}, keep=1)

        note(
            "the first publish, or a host that starts without data", chain.measure(lambda: publish(table(0)))
        )
        for number in range(3 if stage.quick else 5):
            day = 1 - number % 2
            note("a daily publish", chain.measure(lambda day=day: publish(table(day))))  # type: ignore[misc]
        states = stage.folder / "states.json"
        nodes = list(zone.NODES)
        for number in range(6 if stage.quick else 20):
            state = {node: {"state": "down" if node == nodes[0] and number % 2 else "up"} for node in nodes}
            states.write_text(json.dumps({"nodes": state}))
            note(
                "a node changes state (geosteer feed)",
                chain.measure(lambda: _geosteer(config, "feed", str(states))),
            )
            note(
                "a feed in which nothing changed",
                chain.measure(lambda: _geosteer(config, "feed", str(states))),
            )
            what = ("down", "auto")[number % 2]
            note(
                "an operator's override",
                chain.measure(partial(_geosteer, config, "node", what, nodes[1])),
            )
        silence = stage.scaled(60, 6)
        note(f"{silence} s of silence", chain.measure(lambda: time.sleep(silence)))
    return found


def _two_days(stage: Stage) -> tuple[Path, Path]:
    from . import mmdb

    country = stage.country
    if country.before is not None and country.path is not None:
        return country.before, country.path
    return mmdb.write(stage.folder / "layout-before.mmdb", country.earlier), country.shared


def _geosteer(config: Path, *words: str) -> None:
    done = subprocess.run(
        [str(ROOT / "bin" / "geosteer"), *words, "--config", str(config)], capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(f"geosteer {' '.join(words)}: exit {done.returncode}\n{done.stderr[-2000:]}")


def _moves(stage: Stage) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    with Cluster(replicas=0, timeout=15_000) as cluster:
        for what, fill in _fillings(stage, cluster):
            owner = cluster.owner(KEY)
            with owner.client() as client:
                client.flushall()
            fill(owner)
            with owner.client() as client:
                size = int(client.memory_usage(KEY, samples=0) or 0)
            took = []
            for _ in range(stage.scaled(5, 2)):
                owner = cluster.owner(KEY)
                target = next(node for node in cluster.nodes if node is not owner)
                took.append(cluster.migrate(KEY, target)[KEY] * 1000)
            found[what] = {"bytes": size, "ms": took}
            stage.say(f"layout: MIGRATE of {what}")
    return found


def _fillings(stage: Stage, cluster: Cluster) -> Iterator[tuple[str, Callable[[RedisServer], object]]]:
    config = stage.folder / "cluster.toml"
    zone.geosteer_toml(config, cluster.url(), {"geo": stage.country.shared})
    yield "the country table", lambda _: publish(config)
    for count, what in SIZES if not stage.quick else SIZES[:1]:

        def fill(server: RedisServer, count: int = count) -> None:
            with server.client(socket_timeout=60) as client:
                for low in range(0, count, 100):
                    pages = {
                        os.urandom(16).hex(): os.urandom(PAGE) for _ in range(low, min(low + 100, count))
                    }
                    client.hset(KEY, mapping=pages)

        yield what, fill


def _size(count: float) -> str:
    if count < 1000:
        return f"{count:.0f} B"
    return f"{count / 1000:.1f} kB" if count < 1e6 else f"{count / 1e6:.1f} MB"

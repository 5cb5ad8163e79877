"""Answers of several workers, recorded while everything changes, and decided again later from history and journal alone."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from geosteer.decision.node_state import Override
from geosteer.timestamps import parse_time
from geosteer_loader.health import feed
from geosteer_loader.health.exchange import Exchange
from geosteer_loader.health.overrides import Wish, override
from geosteer_loader.health.transitions import Rule
from geosteer_loader.journal.events import STATES
from geosteer_loader.publish.publish import publish
from geosteer_loader.query.explain import explain_in, notes
from geosteer_loader.query.past import Timeline
from geosteer_loader.store.store import connect
from support.data import ROOT
from support.long import LONG
from support.publishing import make_config, write_csv
from support.recorder import RESOLVER
from support.servers import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from geosteer_loader.query.past import Past
    from geosteer_loader.store.store import Store
    from support.servers import RedisServer

SECONDS, WORKERS, PAUSE = (60.0, 4, 0.004) if LONG else (4.0, 3, 0.006)
AT_LEAST = 5_000 if LONG else 100
"""Answers; a loaded machine makes fewer."""
TOLERANCE = 0.1
"""Seconds between an event and an answer within which either side of the event may have been seen."""
ZONE = "cdn.example.net"
POLICIES = ("best", "weighted", "hash", "nearest", "path", "latency")
NODES = ("lon1", "lon2", "ams1", "fra1", "nyc1", "sin1")
CLIENTS = [f"20.{net}.{host}.0/24" for net in range(4) for host in range(12)] + ["8.8.8.0/24", "0.0.0.0/0"]
PLACES = {
    "lon1": "51.5, -0.1", "lon2": "51.4, -0.2", "ams1": "52.4, 4.9", "fra1": "50.1, 8.7", "nyc1": "40.7, -74.0",
    "sin1": "1.3, 103.8",
}  # fmt: skip


class Scene:
    """A network in which something changes all the time."""

    def __init__(self, folder: Path, server: RedisServer, prefix: str) -> None:
        self.folder, self.server, self.prefix = folder, server, prefix
        self.dice = random.Random(15)
        self.day = 0
        self.paths = folder / "rib.txt"
        self.paths.write_text(
            "".join(
                f"TABLE_DUMP2|1391212800|B|192.0.2.9|10|20.{net}.0.0/16|{' '.join(map(str, range(10, 12 + net)))}|IGP\n"
                for net in range(3)
            )
        )
        self.other_paths = folder / "rib2.txt"
        self.other_paths.write_text(
            "".join(
                f"TABLE_DUMP2|1391212800|B|192.0.2.9|20|20.{net}.0.0/16|{' '.join(map(str, range(20, 25 - net)))}|IGP\n"
                for net in range(3)
            )
        )
        self.store: Store = connect(make_config(folder, server.url, prefix).redis)
        self.loads = dict.fromkeys(NODES, 0.5)
        self.states = dict.fromkeys(NODES, "up")

    def publish(self) -> None:
        """The next day: other weights, another table."""
        self.day += 1
        countries = ("GB", "NL", "DE", "US")
        lines = [
            f"20.{net}.{host * 8}.0/21,{countries[(net + host * self.day) % 4]}"
            for net in range(4)
            for host in range(3)
        ]
        geo = write_csv(self.folder / "geo.csv", lines)
        weights = [self.dice.choice((20, 50, 100)) for _ in NODES]
        config = make_config(
            self.folder, self.server.url, self.prefix, geo=[geo], weight=100, keep=1, grace=0, keep_for=86400,
            more=self.more(weights),
        )  # fmt: skip
        publish(config, self.store)

    def more(self, weights: list[int]) -> str:
        """Nodes, maps and a service for each policy; the nodes and the map of the small configuration stay unused."""
        nodes = "".join(
            f'[nodes.{name}-x]\na = ["198.51.100.{number}"]\nlocation = [{PLACES[name]}]\nweight = {weights[number]}\n'
            f'ramp = {1 + number % 3}\nsettle = 1\nvantage = "{"lon" if number < 3 else "nyc"}"\n'
            for number, name in enumerate(NODES)
        )
        everyone = ", ".join(f"{name}-x = {100 if number % 2 else 60}" for number, name in enumerate(NODES))
        few = "lon1-x = 100, ams1-x = 50, lon2-x = 50"
        area = (
            f"[maps.m]\ncountries = {{ GB = {{ {few} }}, NL = {{ ams1-x = 100, fra1-x = 100 }}, US = {{ nyc1-x = 10 }} }}\n"
            f"default = {{ {everyone} }}\n"
        )
        services = "".join(
            f'[services."{policy}.{ZONE}"]\nmap = "m"\npolicy = "{policy}"\nmax_answers = {1 + number % 2}\n'
            for number, policy in enumerate(POLICIES)
        )
        paths = "".join(
            f'[[sources.path]]\nformat = "bgpdump"\npath = "{path}"\nvantage = "{vantage}"\n'
            for path, vantage in ((self.paths, "lon"), (self.other_paths, "nyc"))
        )
        zone = f'[zones."{ZONE}"]\nsoa = {{ mname = "ns1.example.net", rname = "h.example.net" }}\nns = ["ns1.example.net"]\n'
        return nodes + area + zone + services + paths

    def feed(self) -> None:
        """States and loads as another monitor sees them."""
        dice = self.dice
        for name in dice.sample(NODES, 2):
            self.states[name] = dice.choice(("up", "up", "down"))
            self.loads[name] = dice.choice((0.3, 0.95, 1.2))
        self.post()

    def post(self) -> None:
        """Write what that monitor sees."""
        nodes = {f"{name}-x": {"state": self.states[name], "load": self.loads[name]} for name in NODES}
        items = feed.parse(json.dumps({"nodes": nodes}), "feed")
        feed.publish(Exchange(self.store, "monitor", Rule()), items, 60)

    def say(self) -> None:
        """An operator's word."""
        state = self.dice.choice(("drain", "drain", "up", "down", "auto", "auto"))
        percent = self.dice.choice((0, 10, 35.5, 80)) if state == "drain" else None
        seconds = self.dice.choice((1.0, 2.0, None)) if state != "auto" else None
        wish = Wish(state=state, percent=percent, seconds=seconds)
        override(self.store, [f"{self.dice.choice(NODES)}-x", f"{self.dice.choice(NODES)}-x"], wish)

    def play(self, seconds: float) -> None:
        """Change something of every kind, then anything, again and again."""
        end = time.monotonic() + seconds
        override(self.store, ["lon1-x"], Wish(state="drain", percent=35.5, seconds=1))
        self.states["lon2"], self.loads["ams1"] = "down", 1.2
        self.post()
        override(self.store, ["fra1-x"], Wish(state="down"))
        self.publish()
        self.states["lon2"] = "up"
        self.post()
        override(self.store, ["fra1-x"], Wish(state="auto"))
        time.sleep(1)
        while time.monotonic() < end:
            self.dice.choice((self.feed, self.feed, self.say, self.say, self.publish))()
            time.sleep(self.dice.uniform(0.05, 0.4))


@pytest.fixture
def scene(tmp_path: Path, redis_server: RedisServer, prefix: str) -> Iterator[Scene]:
    made = Scene(tmp_path, redis_server, prefix)
    made.publish()
    made.post()
    with made.store:
        yield made


def recorded(scene: Scene) -> list[dict[str, Any]]:
    """What the workers answered meanwhile."""
    names = ",".join(f"{policy}.{ZONE}" for policy in POLICIES)
    environ = {**os.environ, "PYTHONPATH": str(ROOT / "tests")}
    workers = []
    for seed in range(WORKERS):
        folder = scene.folder / f"worker{seed}"
        folder.mkdir()
        words = (scene.server.url, scene.prefix, seed, SECONDS, PAUSE, folder, names, ",".join(CLIENTS))
        command = [sys.executable, "-m", "support.recorder", *map(str, words)]
        with (folder / "answers").open("w") as out:
            workers.append(subprocess.Popen(command, stdout=out, env=environ))
    files = [scene.folder / f"worker{seed}" / "answers" for seed in range(WORKERS)]
    wait_until(lambda: all(file.stat().st_size for file in files), what="answers of every worker", seconds=60)
    scene.play(SECONDS)
    assert [worker.wait(60) for worker in workers] == [0] * WORKERS
    return [json.loads(line) for file in files for line in file.open()]


def decided(past: Past, answer: dict[str, Any], now: float) -> list[str]:
    """What is explained for a recorded answer at the time *now*, seconds since 1970, with what was in force in *past*."""
    # Without a network of the client it is the resolver that asks for itself.
    client = RESOLVER if answer["client"].endswith("/0") else answer["client"]
    told = explain_in(replace(past.context, now=now), answer["name"], client, "A", answer["ticket"])
    return [record.content for record in told.answer]


def sides(timeline: Timeline, answer: dict[str, Any], tolerance: float) -> Iterator[tuple[float, float]]:
    """What a worker may have known, and its time: either side of each event near an answer, and of each end of an override."""
    before, after = answer["before"], answer["after"]
    low, high = before - tolerance, after + tolerance
    yield (after, after)
    for event in timeline.events:
        if low <= event.time <= high:
            yield from ((event.time - 0.0011, before), (event.time, before))
    for text in {event.after for event in timeline.events if event.kind == "override"}:
        until = Override.read(text).until
        if until is not None and low <= until <= high:
            yield from ((before, until - 0.001), (before, until))


@pytest.mark.timeout(1800)
def test_what_workers_answered_is_explained_later(scene: Scene) -> None:
    answers = recorded(scene)
    live = [answer for answer in answers if answer["tier"] == "live"]
    assert len(live) >= AT_LEAST
    timeline = Timeline(scene.store)
    assert Counter(event.kind for event in timeline.events).keys() >= {
        "publish", "state", "shed", "ramp", "override", "ended", "expired",
    }  # fmt: skip
    assert len({answer["generation"] for answer in live}) > 1
    # Workers tell the time by the beat that stands in the same transaction as the states: it is that much behind.
    behind = max(event.time - parse_time(event.at) for event in timeline.events if event.kind in STATES)
    tolerance = TOLERANCE + behind
    outcomes: Counter[str] = Counter()
    wrong = []
    for answer in live:
        past = timeline.at(answer["before"])
        assert past.doubts == []
        if (
            decided(past, answer, past.time) == answer["contents"]
            and answer["generation"] == past.entry.generation
        ):
            outcomes["equal"] += 1
            continue
        assert notes(past), answer  # it says so
        if any(
            decided(timeline.at(moment), answer, now) == answer["contents"]
            for moment, now in sides(timeline, answer, tolerance)
        ):
            outcomes["beside an event"] += 1
        elif timeline.near(past.time, tolerance):
            outcomes["within events"] += 1  # keys that one transaction writes are read one after the other
        else:
            distances = sorted(
                (round(event.time - answer["before"], 3), event.kind, event.subject)
                for event in timeline.near(answer["before"], 2)
            )
            wrong.append((answer, decided(past, answer, past.time), past.entry.generation, distances))
    print(
        f"{len(live)} of {len(answers)} live answers: {dict(outcomes)}, {len(wrong)} differ; clock {behind:.4f} s behind"
    )
    assert wrong == []
    assert outcomes["equal"] >= 0.8 * len(live)
    assert outcomes["within events"] <= 0.01 * len(live)

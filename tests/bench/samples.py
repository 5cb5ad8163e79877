"""Counting what clients measured: how many samples a second, what they take on disk, what a second run and a window cost."""

from __future__ import annotations

import itertools
import json
import random
import time
from typing import TYPE_CHECKING

from geosteer_loader.latency.ingest import ingest
from geosteer_loader.latency.store import Measurements
from geosteer_loader.rtt.inputs.line import Scene
from geosteer_loader.rtt.routes import Routes
from geosteer_loader.rtt.window import Settings, judged, networks_of

from .report import Section, Table

if TYPE_CHECKING:
    from pathlib import Path

    from .stage import Stage

BEGIN, DAY = 1_790_000_000, 86_400
NODES = [f"n{number}" for number in range(8)]
A_DAY = 100_000_000
"""Samples that a large network has."""


def run(stage: Stage) -> Section:
    """A day's samples of Zipf clients, from a file of each format that collectors write."""
    section = Section("samples")
    count, networks = stage.scaled(1_000_000, 20_000), stage.scaled(200_000, 5_000)
    table = Table(
        f"Counting {count:,} samples of {networks:,} networks and {len(NODES)} nodes, in one process",
        [
            "format",
            "samples/s of processor time",
            "hours for 100 million",
            "bytes a network",
            "second run, s",
            "window, s",
        ],
    )
    for format_ in ("csv", "json"):
        stage.detail(f"samples: {format_}")
        path = stage.folder / f"samples.{format_}"
        _write(path, format_, count, networks)
        store = Measurements(stage.folder / f"{format_}.sqlite", DAY)
        scene = Scene({name: name for name in NODES}, BEGIN + DAY)
        began = time.process_time()
        taken = ingest(path, format_, scene, store).tally.taken
        took = time.process_time() - began
        if taken != count:
            raise RuntimeError(f"{taken} of {count} samples were counted")
        began = time.process_time()
        if ingest(path, format_, scene, store).read:
            raise RuntimeError("a second run counted something")
        again = time.process_time() - began
        counts = store.counts()
        began = time.process_time()
        _window(store)
        window = time.process_time() - began
        known = counts["networks_v4"]
        table.rows.append(
            [
                format_,
                round(count / took),
                A_DAY * took / count / 3600,
                counts["bytes"] / known,
                again,
                window,
            ]
        )
        section.data[format_] = {
            "samples": count,
            "seconds": took,
            "again": again,
            "window": window,
            **counts,
        }
        store.close()
        path.unlink()
    section.tables.append(table)
    return section


def _window(store: Measurements) -> None:
    """Estimates of everything, as at the end of a window; prefixes of /20, eight of them an AS."""
    routes = Routes(32)
    for number in range(1 << 12):
        routes.add(10 << 24 | number << 12, 20, 1 + number // 8)
    names, settings = store.nodes, Settings()
    networks = networks_of(
        store.networks(BEGIN + DAY),
        names,
        frozenset(NODES),
        {32: routes},
        lambda *_: "DE",
        settings,
        lambda *_: 0.0,
    )
    judged({}, networks, BEGIN + DAY, settings)


def _write(path: Path, format_: str, count: int, networks: int) -> None:
    dice = random.Random(1)
    weights = list(itertools.accumulate(1 / rank for rank in range(1, networks + 1)))
    with path.open("w") as file:
        for at, network in enumerate(dice.choices(range(networks), cum_weights=weights, k=count)):
            when = BEGIN + at * DAY // count
            client = (
                f"{10 + network // 65536}.{network // 256 % 256}.{network % 256}.{dice.randrange(1, 255)}"
            )
            node, ms = dice.choice(NODES), round(20 + dice.expovariate(1 / 5), 1)
            if format_ == "csv":
                file.write(f"{when},{client},{node},{ms}\n")
            else:
                file.write(json.dumps({"time": when, "client": client, "node": node, "ms": ms}) + "\n")

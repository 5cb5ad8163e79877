"""Many workers at once: starts, and memory."""

from __future__ import annotations

from functools import partial
from statistics import median
from typing import TYPE_CHECKING, Any

from .coprocesses import GEOSTEER, PEER, PURE, RADIX, commands
from .report import Section, Table
from .rounds import Rounds

if TYPE_CHECKING:
    from pathlib import Path

    from .stage import Stage

MANY = (1, 8, 64)
"""Workers started at once."""


def crowds(stage: Stage, section: Section) -> None:
    """Until the last one has answered, and memory."""
    path = stage.questions("wide")
    started = commands(stage)
    rounds = min(stage.rounds, 3)
    table = Table(
        "Workers started at once on one core",
        ["worker", "workers", "until all have answered, ms", "memory MiB (PSS)", "of the peer's"],
    )
    data: dict[str, Any] = {}
    for count in MANY if not stage.quick else (1, 8):
        results: dict[str, list[dict[str, Any]]] = {}
        stage.detail(f"worker: {count} at once")
        for _ in range(rounds):
            for name in (GEOSTEER, PEER):
                results.setdefault(name, []).append(stage.drive(path, started[name], s=True, w=count))
        if count <= 8 and not stage.quick:
            results[RADIX] = [stage.drive(path, started[RADIX], s=True, w=count)]
        for name, runs in results.items():
            memory = median(run["pss_total"] for run in runs)
            peers = median(run["pss_total"] for run in results[PEER])
            table.rows.append(
                [name, count, median(run["all_first"] for run in runs) / 1000, memory / 1024, memory / peers]
            )
        data[str(count)] = results
        stage.say(f"worker: {count} at once")
    section.tables.append(table)
    section.data["crowds"] = data


def _pss(stage: Stage, path: Path, command: list[str], _: int) -> dict[str, float]:
    return {"pss": stage.drive(path, command, w=8)["pss_total"] / 1024}


def all_clients(stage: Stage, section: Section) -> None:
    """Memory after every client has asked each of eight workers."""
    everybody, started = stage.questions("all"), commands(stage)
    found = Rounds.run(
        stage,
        {name: partial(_pss, stage, everybody, started[name]) for name in (GEOSTEER, PURE, PEER)},
        "worker, eight asked by every client",
    )
    clients = len(stage.networks)
    table = Table(
        f"Eight workers, each asked by {clients:,} distinct clients: memory MiB (PSS)",
        ["worker", "all eight", "of the peer's"],
    )
    table.rows += [
        [name, found.spread(name, "pss"), found.ratio(name, "pss", PEER)] for name in found.results
    ]
    section.tables.append(table)
    section.judge("worker.memory", found.ratio(GEOSTEER, "pss", PEER), f"{clients:,} clients")
    section.data["all clients"] = found.to_json()

"""Quiet publish: answer times through PowerDNS while tables are published in a loop, and while Redis is killed or frozen.

Questions leave at a fixed rate, and a latency counts from the time that was meant. The publisher runs at idle priority on the
generator's core, as if on another machine: what is measured is what a publish does to workers and Redis.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from .report import LATE, Section, Table
from .rounds import Rounds
from .scene import broken, opened

if TYPE_CHECKING:
    from .stage import Stage

IDLE, PUBLISHING, FLIPPING = "idle", "publishing in a loop", "a new generation every 200 ms"
BURNING = "the publisher's work, Redis untouched"
KILLED, FROZEN = "Redis killed, then started", "Redis frozen, then thawed"


def run(stage: Stage) -> Section:
    """All phases in turn, every round."""
    section = Section("publish")
    seconds = stage.scaled(60, 12) / 10
    with opened(stage) as scene:
        found = Rounds.run(
            stage,
            {
                IDLE: scene.phase(IDLE, seconds, contextlib.nullcontext),
                PUBLISHING: scene.phase(PUBLISHING, seconds, scene.publishing),
                BURNING: scene.phase(BURNING, seconds, scene.burning),
                FLIPPING: scene.phase(FLIPPING, seconds, scene.flipping),
                KILLED: scene.phase(
                    KILLED, seconds, lambda: broken(seconds, scene.redis.kill, scene.restart)
                ),
                FROZEN: scene.phase(
                    FROZEN, seconds, lambda: broken(seconds, scene.redis.freeze, scene.redis.thaw)
                ),
            },
            "publish",
        )
        section.data = {"rounds": found.to_json(), "published": scene.published}
        section.series = scene.timelines
    table = Table(
        f"Quiet publish: latency at {scene.rate} questions a second, client set wide",
        [
            "while",
            "p50 us",
            "p99 us",
            "p99.9 us",
            "worst ms",
            "generator late ms",
            "p99 of idle's",
            "p99.9 of idle's",
            "wrong, failed, lost",
        ],
    )
    for name, results in found.results.items():
        bad = [sum(int(result[key]) for result in results) for key in ("wrong", "failed", "lost")]
        table.rows.append(
            [
                name, *(found.spread(name, key).middle for key in ("p50", "p99", "p999")),
                max(found.values(name, "max")) / 1000, max(found.values(name, "stalled")) / 1000,
                found.ratio(name, "p99", IDLE), found.ratio(name, "p999", IDLE),
                ", ".join(map(str, bad)) if any(bad) else "none",
            ]
        )  # fmt: skip
    table.notes.append(
        f"{scene.published} publishes by `geosteer publish`, each with another day's country table"
    )
    table.notes.append(LATE)
    table.notes.append(
        "wrong: another address than steering gives; without Redis that is the last resort, for pages a worker has not"
    )
    section.tables.append(table)
    section.judge("publish.p99", found.ratio(PUBLISHING, "p99", IDLE))
    section.judge("publish.control", found.ratio(BURNING, "p99", IDLE))
    section.judge("publish.flips", found.ratio(FLIPPING, "p99", IDLE))
    return section

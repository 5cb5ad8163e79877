"""Samples of what `geosteer latency` keeps, from its database."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from pathlib import Path

    from geosteer_loader.metrics.samples import Samples

WAIT = 1.0
"""Seconds that somebody else's transaction is waited for."""
FACTS = {
    "newest": "latency_sample_timestamp_seconds",
    "window": "latency_window_timestamp_seconds",
    "taken": "latency_samples_total",
    "changed": "latency_window_changes",
}
"""Remembered number -> metric."""
REASONS = {"refused: ": "latency_refused_total", "left out: ": "latency_window_left_out"}
"""Beginning of the name of a remembered number, whose rest is the reason -> metric."""


def collect(database: Path, samples: Samples) -> None:
    """Add the samples; nothing but that it cannot be read where that is so. It is opened for reading only."""
    uri = f"file:{quote(str(database))}?mode=ro"
    try:
        with closing(sqlite3.connect(uri, uri=True, timeout=WAIT)) as sql:
            facts = dict(sql.execute("SELECT name, value FROM fact").fetchall())
            records = sql.execute("SELECT level, count(*) FROM record GROUP BY level").fetchall()
            (networks,) = sql.execute("SELECT count(*) FROM network").fetchone()
            (failing,) = sql.execute("SELECT count(*) FROM failing WHERE marked").fetchone()
    except sqlite3.Error:
        samples.set("latency_up", 0)
        return
    samples.set("latency_up", 1)
    for fact, metric in FACTS.items():
        if fact in facts:
            samples.set(metric, facts[fact])
    for start, metric in REASONS.items():
        for fact, value in facts.items():
            if fact.startswith(start):
                samples.set(metric, value, fact.removeprefix(start))
    for level in ("network", "prefix", "system"):
        samples.set("latency_records", dict(records).get(level, 0), level)
    samples.set("latency_networks", networks)
    samples.set("latency_nodes_failing", failing)

"""Samples of what the workers on this host have counted, from their files."""

from __future__ import annotations

import time
from collections import defaultdict
from typing import TYPE_CHECKING

from geosteer.counters.counters import BOUNDS, TIERS
from geosteer.counters.reading import read_folder

if TYPE_CHECKING:
    from geosteer.counters.reading import WorkerCounters
    from geosteer_loader.metrics.samples import Samples

SILENT = 30.0
"""Seconds after which a worker that runs has not only been busy."""


def collect(folder: str, samples: Samples) -> None:
    """Add the samples of all front ends."""
    workers, damaged = read_folder(folder)
    samples.set("worker_files_damaged", len(damaged))
    by_front_end: dict[str, list[WorkerCounters]] = defaultdict(list)
    for worker in workers:
        by_front_end[worker.front_end].append(worker)
        _questions(worker, samples)
        _numbers(worker, samples)
        for what, outcome, count in worker.beacons():
            samples.add("beacon_events_total", count, what, outcome)
    for front_end, members in by_front_end.items():
        _durations(front_end, members, samples)
        _living(front_end, [worker for worker in members if worker.pid is not None], samples)


def _questions(worker: WorkerCounters, samples: Samples) -> None:
    front_end = worker.front_end
    for answer, count in worker.answers():
        samples.add("questions_total", count, front_end, answer.zone, "answered")
        for kind, node, layer in answer.given:
            samples.add("answers_total", count, front_end, answer.service, kind, node, layer, answer.tier)
    for zone, outcome, count in worker.others():
        samples.add("questions_total", count, front_end, zone, outcome)
    samples.add("questions_overflow_total", worker.overflow, front_end)


def _numbers(worker: WorkerCounters, samples: Samples) -> None:
    front_end = worker.front_end
    samples.add("page_cache_hits_total", worker.hits, front_end)
    samples.add("page_cache_misses_total", worker.misses, front_end)
    samples.add("redis_reconnections_total", worker.reconnections, front_end)
    samples.add("waits_total", worker.waits, front_end)
    samples.add("wait_timeouts_total", worker.timeouts, front_end)
    samples.add("decision_log_lines_total", worker.log_lines, front_end)
    samples.add("decision_log_lines_lost_total", worker.log_lost, front_end)
    for kind, count in worker.errors.items():
        samples.add("redis_errors_total", count, front_end, kind)
    samples.add("worker_files", 1, front_end)


def _durations(front_end: str, workers: list[WorkerCounters], samples: Samples) -> None:
    """The histogram: what was not measured was answered from memory, within the lowest bucket."""
    counts = [sum(column) for column in zip(*(worker.buckets for worker in workers), strict=True)]
    counts[0] += max(sum(worker.questions for worker in workers) - sum(counts), 0)
    cumulated, buckets = 0, []
    for bound, count in zip([*map(str, BOUNDS), "+Inf"], counts, strict=True):
        cumulated += count
        buckets.append((bound, float(cumulated)))
    samples.histogram(buckets, sum(worker.seconds for worker in workers), front_end)


def _living(front_end: str, workers: list[WorkerCounters], samples: Samples) -> None:
    for tier in TIERS:
        samples.set("workers", sum(worker.tier == tier for worker in workers), front_end, tier)
    now = time.time()
    samples.set(
        "workers_silent",
        sum(now - max(worker.seen, worker.started) > SILENT for worker in workers),
        front_end,
    )
    samples.set("workers_cache_bytes", sum(worker.leaf_bytes for worker in workers), front_end)
    samples.set(
        "workers_oldest_wait_seconds", max((worker.waiting for worker in workers), default=0.0), front_end
    )
    generations = [worker.generation for worker in workers if worker.generation is not None]
    if generations:
        samples.set("workers_generation_min", min(generations), front_end)
        samples.set("workers_generation_max", max(generations), front_end)

"""Hours, or seconds, of load with publishes, status changes and Redis restarts: nothing grows, nothing is lost."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from faults.load import wrong
from faults.scene import LAST_RESORT_TTL, LON, NYC, Scene, document, network

if TYPE_CHECKING:
    from collections.abc import Callable

    from faults.load import Answer

SAMPLE = 0.5
"""Seconds between two looks at the workers."""
SLACK_MEMORY, SLACK_DESCRIPTORS = 0.5, 2
"""MiB and open files by which a worker may differ and still be called flat."""
PATIENCE = 2.5
"""Seconds that an answer may take at most, on a busy machine; `longest` tells how long it took."""


@dataclass
class Soak:
    """What was seen."""

    questions: int = 0
    lost: int = 0
    """Without an answer, or without an address in it."""
    wrong: int = 0
    longest: float = 0.0
    stalled: float = 0.0
    """Seconds that the machine itself kept a thread waiting, at most."""
    publishes: int = 0
    restarts: int = 0
    changes: int = 0
    memory: list[float] = field(default_factory=list)
    """MiB (PSS) of all workers together, look by look."""
    descriptors: list[int] = field(default_factory=list)
    """Open file descriptors of all workers together."""
    workers: int = 0

    def growth(self) -> float:
        """MiB by which the last fifth of the looks is above the second fifth: the first is for the caches to fill."""
        fifth = max(len(self.memory) // 5, 1)
        early, late = self.memory[fifth : 2 * fifth], self.memory[-fifth:]
        return max(late) - max(early)

    def problems(self) -> list[str]:
        """What is not as it must be."""
        bad = []
        if self.lost:
            bad.append(f"{self.lost} questions without an answer")
        if self.wrong:
            bad.append(f"{self.wrong} answers with a node that the client must not get")
        if self.longest > PATIENCE + self.stalled:
            bad.append(f"an answer took {1000 * self.longest:.0f} ms")
        if self.growth() > SLACK_MEMORY * self.workers:
            bad.append(f"memory of the workers grew by {self.growth():.2f} MiB")
        if max(self.descriptors) > min(self.descriptors) + SLACK_DESCRIPTORS * self.workers:
            bad.append(f"between {min(self.descriptors)} and {max(self.descriptors)} open descriptors")
        return bad

    def __str__(self) -> str:
        return (
            f"{self.questions} questions, {self.lost} without an answer, {self.wrong} wrong, longest wait "
            f"{1000 * self.longest:.0f} ms; {self.publishes} publishes, {self.changes} changes of state, "
            f"{self.restarts} restarts of Redis; workers' memory {self.memory[len(self.memory) // 5]:.1f} -> "
            f"{self.memory[-1]:.1f} MiB (grown by {self.growth():.2f}), "
            f"descriptors {min(self.descriptors)} to {max(self.descriptors)}"
        )


def soak(
    folder: Path, seconds: float, every: float = 4.0, look: Callable[[Soak], object] = lambda _: None
) -> Soak:
    """Let it happen for so long; *every* seconds Redis is restarted, and four times as often something is published.

    *look* is called now and then with what was seen so far.
    """
    dice, found = random.Random(9), Soak()
    with Scene(folder, threads=3, clients=[network(number) for number in range(0, 2048, 31)]) as scene:
        scene.right = {net: nodes | {LON, NYC} for net, nodes in scene.right.items()}
        began = time.monotonic()
        next_restart, next_publish, next_look = began + every, began, began
        while (now := time.monotonic()) < began + seconds:
            if now >= next_look:
                _look(scene, found)
                _count(scene, found)
                look(found)
                next_look = now + SAMPLE
            if now >= next_publish:
                countries = document()["maps"]["default"]["countries"]
                countries["US"] = {"bad1": 900, "lon1": 1 + found.publishes % 1000}
                scene.publish(document(countries=countries) if found.publishes % 2 else None)
                found.publishes += 1
                next_publish = now + every / 4
            if now >= next_restart:
                with scene.client() as client:
                    client.save()
                scene.redis.kill()
                scene.hold(dice.random() * 0.4)
                scene.redis.start()
                found.restarts += 1
                next_restart = now + every
            with scene.client() as client:
                state = {"state": dice.choice(("up", "unknown")), "since": "2026-02-01T00:00:00Z"}
                client.hset("{geosteer}:node:nyc1", mapping=state)
            found.changes += 1
            scene.hold(0.05)
        _look(scene, found)
        scene.load.rest()
        _count(scene, found)
        found.stalled = scene.load.stalls.longest()
    return found


def _look(scene: Scene, found: Soak) -> None:
    memory, descriptors = 0, 0
    workers = scene.pdns.workers()
    for pid in workers:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        memory += sum(int(line.split()[1]) for line in rollup if line.startswith("Pss:"))
        descriptors += len(list(Path(f"/proc/{pid}/fd").iterdir()))
    found.memory.append(memory / 1024)
    found.descriptors.append(descriptors)
    found.workers = len(workers)


def _count(scene: Scene, found: Soak) -> None:
    """Count what was answered, and forget it."""
    answers: list[Answer] = scene.load.answers
    count = len(answers)
    taken = answers[:count]
    del answers[:count]
    found.questions += count
    found.lost += sum(not one.good for one in taken)
    found.wrong += len(wrong(taken, scene.right, scene.fallback, LAST_RESORT_TTL))
    found.longest = max([found.longest, *(one.wait for one in taken)])

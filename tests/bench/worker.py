"""Workers: start, memory, processor time for a question; what they read of the tables is in `reading`."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Any

from . import rivals
from .reading import large_tables, lookups
from .report import Budget, Section, Table
from .rounds import Rounds, Spread
from .stage import WORKER

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .stage import Stage

GEOSTEER, NOTHING, C, PEER, RADIX = (
    "geosteer",
    "nothing, in Python",
    "nothing, in C",
    "peer, mmap",
    "peer, radix in RAM",
)
MANY = (1, 8, 64)
"""Workers started at once."""


def run(stage: Stage) -> Section:
    """Everything about one worker, and many."""
    section = Section("worker")
    for part in (_questions, _starts, _crowds, lookups, large_tables):
        part(stage, section)
    return section


def commands(stage: Stage) -> dict[str, list[str]]:
    """How each kind of worker is started."""
    shared = stage.country.shared
    return {
        GEOSTEER: [str(WORKER), "--config", str(stage.backend)],
        NOTHING: rivals.peer("nothing"),
        C: rivals.nothing_in_c(stage),
        PEER: rivals.peer("mapped", shared),
        RADIX: rivals.peer("radixed", shared),
    }


def _questions(stage: Stage, section: Section) -> None:
    """Processor time for a question."""
    asked, uncounted = stage.scaled(60_000, 4000), stage.scaled(60_000, 4000)
    kinds = [GEOSTEER, NOTHING, C, PEER]
    table = Table(
        "Worker: processor time for a question, alone on a core",
        ["worker", "wide us", "of bare Python", "hot us", "of bare Python", "p99 us, wide"],
    )
    found = {}
    for clients in ("wide", "hot"):
        path = stage.questions(clients)
        started = commands(stage)

        def one(
            name: str, path: Path = path, started: dict[str, list[str]] = started
        ) -> Callable[[int], dict[str, Any]]:
            return lambda _: stage.drive(path, started[name], a=asked, u=uncounted)

        found[clients] = Rounds.run(
            stage, {name: one(name) for name in kinds}, f"worker, questions, {clients}"
        )
    for name in kinds:
        row = []
        for clients in ("wide", "hot"):
            row += [found[clients].spread(name, "cpu"), found[clients].ratio(name, "cpu", NOTHING)]
        table.rows.append([name, *row, found["wide"].spread(name, "p99").middle])
    section.tables.append(table)
    for clients in ("wide", "hot"):
        section.budgets.append(
            Budget(
                name=f"worker CPU per question, {clients}, of the bare Python loop",
                measured=found[clients].ratio(GEOSTEER, "cpu", NOTHING), bar=3, aim=2,
            )
        )  # fmt: skip
    section.budgets.append(_round_trips(stage))
    section.data["questions"] = {clients: rounds.to_json() for clients, rounds in found.items()}


def _round_trips(stage: Stage) -> Budget:
    """Commands that Redis gets while a warm worker answers; PINGs of silence do not count."""
    asked = stage.scaled(100_000, 5000)
    with stage.server.client() as client:

        def sent() -> int:
            stats = client.info("commandstats")
            quiet = {"cmdstat_ping", "cmdstat_info", "cmdstat_client|setinfo", "cmdstat_hello"}
            return sum(int(value["calls"]) for name, value in stats.items() if name not in quiet)

        command = commands(stage)[GEOSTEER]
        path = stage.questions("all")
        counts = []
        for asking in (
            asked,
            2 * asked,
        ):  # the same start and the same warming up, once with more questions behind them
            before = sent()
            stage.drive(path, command, a=asking, u=len(stage.networks))
            counts.append(sent() - before)
    return Budget(
        name="Redis round trips for a warm answer",
        measured=(counts[1] - counts[0]) / asked, bar=0, note=f"{asked:,} answers",
    )  # fmt: skip


def _starts(stage: Stage, section: Section) -> None:
    """From the start of the process to its first answer."""
    path = stage.questions("wide")
    started = commands(stage)
    repeats = stage.scaled(5, 2)

    def one(name: str) -> Callable[[int], dict[str, Any]]:
        def starts(_: int) -> dict[str, Any]:
            runs = [stage.drive(path, started[name], s=True) for _ in range(repeats)]
            return {
                "first": median(result["first"][0] for result in runs),
                "pss": median(result["pss_total"] for result in runs),
            }

        return starts

    found = Rounds.run(stage, {name: one(name) for name in (GEOSTEER, PEER, NOTHING, C)}, "worker, starts")
    table = Table(
        "Worker: start to first answer", ["worker", "ms", "of the peer's", "memory then, MiB (PSS)"]
    )
    for name in found.results:
        first = Spread([value / 1000 for value in found.values(name, "first")])
        table.rows.append(
            [name, first, found.ratio(name, "first", PEER), found.spread(name, "pss").middle / 1024]
        )
    if not stage.quick:
        result = stage.drive(path, started[RADIX], s=True)
        table.rows.append([RADIX, result["first"][0] / 1000, None, result["pss_total"] / 1024])
    section.tables.append(table)
    section.budgets.append(
        Budget(
            name="worker start to first answer, of the peer worker's",
            measured=found.ratio(GEOSTEER, "first", PEER),
            bar=0.4,
            aim=0.33,
        )
    )
    section.data["starts"] = found.to_json()


def _crowds(stage: Stage, section: Section) -> None:
    """Many workers at once: until the last one has answered, and memory; then after every client has asked each of eight."""
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

    everybody = stage.questions("all")
    after: dict[str, list[float]] = {}
    for _ in range(rounds):
        for name in (GEOSTEER, PEER):
            result = stage.drive(everybody, started[name], w=8)
            after.setdefault(name, []).append(result["pss_total"] / 1024)
        stage.say("worker: eight, asked by every client")
    ratio = Spread([mine / theirs for mine, theirs in zip(after[GEOSTEER], after[PEER], strict=True)])
    clients = len(stage.networks)
    table = Table(
        f"Eight workers, each asked by {clients:,} distinct clients: memory MiB (PSS)",
        ["worker", "all eight", "of the peer's"],
    )
    table.rows += [[GEOSTEER, Spread(after[GEOSTEER]), ratio], [PEER, Spread(after[PEER]), 1.0]]
    section.tables.append(table)
    section.budgets.append(
        Budget(
            name="worker memory (PSS, 8 workers, all clients), of the peer worker's",
            measured=ratio,
            bar=0.75,
            aim=0.6,
        )
    )
    section.data["crowds"] = {**data, "after": after}

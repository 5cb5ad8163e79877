"""Workers: all about them, and here their processor time for a question."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .coprocesses import GEOSTEER, NOTHING, PEER, PURE, RADIX, C, commands
from .crowds import all_clients, crowds
from .reading import large_tables, lookups, misses
from .report import Section, Table
from .rounds import Rounds
from .starts import over_tls, starts

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .stage import Stage


def run(stage: Stage) -> Section:
    """Everything about one worker, and many."""
    section = Section("worker")
    for part in (_questions, starts, over_tls, crowds, all_clients, lookups, large_tables, misses):
        part(stage, section)
    return section


def _questions(stage: Stage, section: Section) -> None:
    """Processor time for a question."""
    asked, uncounted = stage.scaled(60_000, 4000), stage.scaled(60_000, 4000)
    kinds = [GEOSTEER, PURE, NOTHING, C, PEER]
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
    row = []
    for clients in ("wide", "hot"):
        stage.detail(f"worker, questions, {clients}: {RADIX}")
        alone = stage.drive(stage.questions(clients), commands(stage)[RADIX], a=asked, u=uncounted)
        found[clients].results[RADIX] = [alone]
        row += [alone["cpu"], alone["cpu"] / found[clients].spread(NOTHING, "cpu").middle]
    table.rows.append([RADIX, *row, found["wide"].results[RADIX][0]["p99"]])
    table.notes.append("the one in RAM reads the whole table first, and is asked in one round only")
    section.tables.append(table)
    for clients in ("wide", "hot"):
        section.judge(f"worker.cpu.{clients}", found[clients].ratio(GEOSTEER, "cpu", NOTHING))
    section.judge("worker.trips", *_round_trips(stage))
    section.data["questions"] = {clients: rounds.to_json() for clients, rounds in found.items()}


def _round_trips(stage: Stage) -> tuple[float, str]:
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
    return (counts[1] - counts[0]) / asked, f"{asked:,} answers"

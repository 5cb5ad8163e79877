"""What a worker reads: lookups against maxminddb, and that a worker does not grow with the tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import database
from .report import Section, Table
from .rounds import Rounds, Spread
from .stage import WORKER

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .stage import Stage

COUNTRY, LARGE = "country", "city and BGP"


def lookups(stage: Stage, section: Section) -> None:
    """Lookups a second in one process."""
    rounds = stage.rounds
    count = stage.scaled(100_000, 5000)
    table = Table(
        f"Lookups in one process, {count:,} addresses never asked before in each round",
        [
            "reader",
            "warm us (CPU)",
            "rate, of maxminddb's get",
            "same addresses again",
            "first 1,000 of a new one, us",
        ],
    )
    for bits, label in ((32, "IPv4"), (128, "IPv6")):
        path = stage.folder / f"addresses{bits}"
        wanted = database.addresses(stage.country.tables, bits, count * (rounds + 1), 3, stage.quick)
        path.write_text("\n".join(wanted) + "\n")
        found = stage.python("lookups.py", stage.backend, stage.country.path, path, rounds)
        warm, cold = found["warm"], found["cold"]
        ratios = {
            name: Spread.of_many(
                [theirs / mine for mine, theirs in zip(warm[name], warm["maxminddb"], strict=True)]
            )
            for name in ("geosteer", "geosteer again", "geosteer, all in Python")
        }
        table.rows += [
            [
                f"geosteer, {label}",
                Spread.of_many(warm["geosteer"]),
                ratios["geosteer"],
                ratios["geosteer again"],
                Spread(cold["geosteer"]),
            ],
            [
                f"geosteer, all in Python, {label}",
                Spread.of_many(warm["geosteer, all in Python"]),
                ratios["geosteer, all in Python"],
                "",
                "",
            ],
            [f"maxminddb, {label}", Spread.of_many(warm["maxminddb"]), 1.0, 1.0, Spread(cold["maxminddb"])],
        ]
        family = "v4" if bits == 32 else "v6"
        section.judge(f"worker.lookups.{family}", ratios["geosteer"])
        section.judge(f"worker.lookups.pure.{family}", ratios["geosteer, all in Python"])
        section.data[f"lookups {label}"] = found
        stage.say(f"worker: lookups, {label}")
    section.tables.append(table)


def large_tables(stage: Stage, section: Section) -> None:
    """The same worker in front of tables many times as large."""
    large = stage.large
    count = 2
    everybody = stage.questions("all")
    asked = stage.scaled(len(stage.networks), 4000)

    def one(backend: Path) -> Callable[[int], dict[str, Any]]:
        def asking(_: int) -> dict[str, Any]:
            result = stage.drive(everybody, [str(WORKER), "--config", str(backend)], w=count, a=asked)
            return {"memory": result["pss_total"] / 1024 / count, "cpu": result["cpu"]}

        return asking

    found = Rounds.run(
        stage, {COUNTRY: one(stage.backend), LARGE: one(large.backend)}, "worker, the size of the tables"
    )
    ranges = {
        COUNTRY: sum(len(found.starts) for found in stage.country.tables.values()),
        LARGE: large.ranges,
    }
    table = Table(
        f"A worker and the size of the tables ({count} workers, each asked by {asked:,} distinct clients)",
        ["tables", "ranges", "memory MiB (PSS), each", "of the country table's", "CPU us/question"],
    )
    for name in found.results:
        memory, ratio = found.spread(name, "memory"), found.ratio(name, "memory", COUNTRY)
        table.rows.append([name, ranges[name], memory, ratio, found.spread(name, "cpu").middle])
    section.tables.append(table)
    section.judge("worker.large.memory", found.ratio(LARGE, "memory", COUNTRY), f"{large.ranges:,} ranges")
    section.judge("worker.large.cpu", found.ratio(LARGE, "cpu", COUNTRY), f"{large.ranges:,} ranges")
    section.data["large"] = {"rounds": found.to_json(), "ranges": ranges}


def misses(stage: Stage, section: Section) -> None:
    """Lookups there that find no page in the cache; each round begins without any."""
    large = stage.large
    path = stage.folder / "misses"
    count = stage.scaled(20_000, 2000)

    def one(number: int) -> dict[str, Any]:
        path.write_text("\n".join(large.addresses(count, number)) + "\n")
        return stage.python("misses.py", large.backend, path)

    found = Rounds.run(stage, {"miss": one}, "worker, lookups that miss")
    ratio = Spread([value["miss"] / value["get"] for value in found.results["miss"]])
    table = Table("A lookup that misses the cache, in front of city and BGP", ["", "value"])
    table.rows += [
        ["lookup that misses, p50 us", found.spread("miss", "miss")],
        ["GET of a page's size, p50 us", found.spread("miss", "get")], ["ratio", ratio],
        ["commands sent for a miss", found.spread("miss", "commands")],
        ["share of lookups that missed", found.results["miss"][0]["missed"] / count],
    ]  # fmt: skip
    section.tables.append(table)
    scale = f"{large.ranges:,} ranges"
    section.judge("worker.miss.trips", found.spread("miss", "commands"), scale)
    section.judge("worker.miss.time", ratio, scale)
    section.data["misses"] = found.to_json()

"""What a worker reads: lookups against maxminddb, and that a worker does not grow with the tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import database
from .report import Section, Table
from .rounds import Spread
from .stage import WORKER

if TYPE_CHECKING:
    from .stage import Stage


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
            name: Spread([theirs / mine for mine, theirs in zip(warm[name], warm["maxminddb"], strict=True)])
            for name in ("geosteer", "geosteer again")
        }
        table.rows += [
            [
                f"geosteer, {label}",
                Spread(warm["geosteer"]),
                ratios["geosteer"],
                ratios["geosteer again"],
                Spread(cold["geosteer"]),
            ],
            [f"maxminddb, {label}", Spread(warm["maxminddb"]), 1.0, 1.0, Spread(cold["maxminddb"])],
        ]
        section.judge(f"worker.lookups.{'v4' if bits == 32 else 'v6'}", ratios["geosteer"])
        section.data[f"lookups {label}"] = found
        stage.say(f"worker: lookups, {label}")
    section.tables.append(table)


def large_tables(stage: Stage, section: Section) -> None:
    """The same worker in front of tables many times as large."""
    large = stage.large
    count = stage.scaled(4, 2)
    everybody = stage.questions("all")
    asked = stage.scaled(len(stage.networks), 4000)
    table = Table(
        f"A worker and the size of the tables ({count} workers, each asked by {asked:,} distinct clients)",
        ["tables", "ranges", "memory MiB (PSS), each", "of the country table's", "CPU us/question"],
    )
    memory, cpu = {}, {}
    for name, backend in (("country", stage.backend), ("city and BGP", large.backend)):
        result = stage.drive(everybody, [str(WORKER), "--config", str(backend)], w=count, a=asked)
        memory[name], cpu[name] = result["pss_total"] / 1024 / count, result["cpu"]
        stage.say(f"worker: {count} in front of {name}")
    growth = memory["city and BGP"] / memory["country"]
    table.rows += [
        [
            "country",
            sum(len(ranges.starts) for ranges in stage.country.tables.values()),
            memory["country"],
            1.0,
            cpu["country"],
        ],
        ["city and BGP", large.ranges, memory["city and BGP"], growth, cpu["city and BGP"]],
    ]
    path = stage.folder / "misses"
    path.write_text("\n".join(large.addresses(stage.scaled(20_000, 2000))) + "\n")
    found = stage.python("misses.py", large.backend, path)
    misses = Table("A lookup that misses the cache, in front of city and BGP", ["", "value"])
    misses.rows += [
        ["lookup that misses, p50 us", found["miss"]], ["GET of a page's size, p50 us", found["get"]],
        ["ratio", found["miss"] / found["get"]], ["commands sent for a miss", found["commands"]],
        ["share of lookups that missed", found["missed"] / found["lookups"]],
    ]  # fmt: skip
    section.tables += [table, misses]
    scale = f"{large.ranges:,} ranges"
    section.judge("worker.large.memory", growth, scale)
    section.judge("worker.miss.trips", found["commands"], scale)
    section.judge("worker.miss.time", found["miss"] / found["get"], scale)
    section.data["large"] = {"memory": memory, "cpu": cpu, "ranges": large.ranges, "misses": found}

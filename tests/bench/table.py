"""Tables: publishing them, the memory they take in Redis, and what a small change costs, against the two plain layouts."""

from __future__ import annotations

import json
import random
import subprocess
import time
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

from . import database, mmdb, zone
from .report import Budget, Section, Table
from .rounds import Spread
from .stage import PUBLISH

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from servers import RedisServer

    from .stage import Stage

GEOSTEER, ZSET, HASH = "geosteer", "zset", "hash"
LABELS = {GEOSTEER: "geosteer", ZSET: "one sorted set", HASH: "one hash of prefixes"}
GROWTH = (50_000, 500_000, 5_000_000)
ROUTES = 1_200_000


@dataclass(frozen=True, slots=True)
class Case:
    """A table to publish, twice: the second file differs a little."""

    name: str
    table: str
    kind: str
    first: Path
    second: Path
    change: str
    rounds: int


def run(stage: Stage) -> Section:
    """Every table, in every layout."""
    section = Section("table")
    results: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for case in _cases(stage):
        results[case.name] = {}
        for number in range(case.rounds):
            layouts = (GEOSTEER, ZSET, HASH)
            for layout in layouts if number % 2 == 0 else reversed(layouts):
                results[case.name].setdefault(layout, []).append(_publish_twice(stage, case, layout))
            stage.say(f"table: {case.name}, round {number + 1} of {case.rounds}")
        section.tables.append(_shown(case, results[case.name]))
    section.tables.append(_growth(results))
    section.budgets = _budgets(results)
    section.data = results
    return section


def _cases(stage: Stage) -> Iterator[Case]:
    country = stage.country
    path = country.path
    assert path is not None
    if country.before is not None:
        yield Case("country", "geo", "mmdb", country.before, path, "a day's change", min(stage.rounds, 5))
    else:
        other = mmdb.write(stage.folder / "country-before.mmdb", country.earlier)
        yield Case(
            "country", "geo", "mmdb", other, path, f"{database.CHANGED} ranges change", min(stage.rounds, 5)
        )
    routes = database.real(database.ROUTES[1])
    if routes is not None and not stage.quick:
        yield Case("origin AS", "bgp", "pyasn", routes, routes, "nothing changes", min(stage.rounds, 3))
    count = stage.scaled(ROUTES, 3000)
    made = [stage.folder / f"routes{turn}" for turn in (1, 2)]
    database.write_routes(made[0], count)
    _alter_lines(made[0], made[1])
    yield Case(
        f"BGP of {count:,} routes", "bgp", "pyasn", made[0], made[1], f"{database.CHANGED} routes change", 1
    )
    for size in GROWTH if not stage.quick else (2000, 20_000):
        stage.say(f"table: making a city database of {size:,} networks")
        first, second = city_files(stage.folder, size)
        yield Case(
            f"city of {size:,} networks",
            "geo",
            "mmdb",
            first,
            second,
            f"{database.CHANGED} ranges change",
            min(stage.rounds, 3) if size < 1_000_000 else 1,
        )
        first.unlink()
        second.unlink()


def city_files(folder: Path, size: int) -> tuple[Path, Path]:
    """A City database, and one in which some ranges differ."""
    tables = database.synthetic_city(size)
    first = mmdb.write(folder / f"city{size}.mmdb", tables, "GeoLite2-City")
    return first, mmdb.write(folder / f"city{size}-changed.mmdb", database.altered(tables), "GeoLite2-City")


def _alter_lines(first: Path, second: Path) -> None:
    lines = first.read_text().splitlines()
    for at in random.Random(7).sample(range(len(lines)), database.CHANGED):
        prefix = lines[at].partition("\t")[0]
        lines[at] = f"{prefix}\t{random.Random(at).randrange(1, 64000)}"
    second.write_text("\n".join(lines) + "\n")


def _publish_twice(stage: Stage, case: Case, layout: str) -> dict[str, Any]:
    """Publish the first file into an empty Redis, then the second."""
    server = stage.redis("--slowlog-log-slower-than", "500", "--slowlog-max-len", "1000")
    try:
        runs = [_publish(stage, server, case, layout, file) for file in (case.first, case.second)]
        with server.client() as client:
            client.config_set("slowlog-log-slower-than", -1)
            longest = max((entry["duration"] for entry in client.slowlog_get(1000)), default=500) / 1000
            keys = (
                [b"{geosteer}:object"] if layout == GEOSTEER else list(client.scan_iter(match=layout + ":*"))
            )
            memory = sum(client.memory_usage(key, samples=0) or 0 for key in keys)
            if layout == GEOSTEER:
                ranges = int(client.hget("{geosteer}:current", f"{case.table}.ranges"))
            else:
                ranges = runs[1]["ranges"]
    finally:
        server.close()
    return {
        "seconds": runs[0]["seconds"], "entries": runs[0]["entries"], "memory": memory, "ranges": ranges,
        "change_seconds": runs[1]["seconds"], "change_entries": runs[1]["entries"], "longest_ms": longest,
    }  # fmt: skip


def _publish(stage: Stage, server: RedisServer, case: Case, layout: str, file: Path) -> dict[str, Any]:
    if layout != GEOSTEER:
        began = time.perf_counter()
        result = stage.python("other_layouts.py", layout, server.socket, case.table, case.kind, file)
        return {**result, "seconds": time.perf_counter() - began}
    # `keep` 1 and no grace, so that the second table does not count on top of the first
    config = zone.geosteer_toml(
        stage.folder / "table.toml", server.url, {case.table: file}, asns=case.table == "bgp", keep=1
    )
    began = time.perf_counter()
    with stage.cores.serving():
        done = subprocess.run(
            [str(PUBLISH), "publish", "--json", "--config", str(config)], capture_output=True, text=True
        )
    if done.returncode:
        raise RuntimeError(f"geosteer publish: exit {done.returncode}\n{done.stderr[-2000:]}")
    return {"seconds": time.perf_counter() - began, "entries": json.loads(done.stdout)["written"]["objects"]}


def _shown(case: Case, results: dict[str, list[dict[str, Any]]]) -> Table:
    ranges = results[GEOSTEER][0]["ranges"]
    table = Table(
        f"Table: {case.name}, {ranges:,} ranges",
        [
            "layout",
            "publish s",
            "entries written",
            "Redis bytes/range",
            f"then {case.change}: s",
            "entries written",
            "longest command ms",
        ],
    )
    for layout, runs in results.items():
        table.rows.append(
            [
                LABELS[layout], Spread([run["seconds"] for run in runs]), runs[0]["entries"],
                median(run["memory"] / run["ranges"] for run in runs), Spread([run["change_seconds"] for run in runs]),
                runs[0]["change_entries"], median(run["longest_ms"] for run in runs),
            ]
        )  # fmt: skip
    return table


def _growth(results: dict[str, dict[str, list[dict[str, Any]]]]) -> Table:
    table = Table(
        "Table: as a city table grows",
        [
            "networks",
            "publish s",
            "sorted set s",
            "hash s",
            "Redis MB",
            "sorted set",
            "hash",
            "entries of the change",
            "sorted set",
        ],
    )
    for name, found in results.items():
        if name.startswith("city"):
            of = {layout: runs[0] for layout, runs in found.items()}
            table.rows.append(
                [
                    name.split()[2], *(of[layout]["seconds"] for layout in LABELS),
                    *(of[layout]["memory"] / 1e6 for layout in LABELS),
                    of[GEOSTEER]["change_entries"], of[ZSET]["change_entries"],
                ]
            )  # fmt: skip
    return table


def _budgets(results: dict[str, dict[str, list[dict[str, Any]]]]) -> list[Budget]:
    routes = next(
        (
            name
            for name in ("origin AS", *results)
            if name in results and (name == "origin AS" or name.startswith("BGP"))
        ),
        None,
    )
    budgets = []
    for name, label, bar in (("country", "country", 8), (routes, "origin AS", 12)):
        runs = results.get(name or "", {}).get(GEOSTEER, [])
        measured = Spread([run["memory"] / run["ranges"] for run in runs]) if runs else None
        budgets.append(
            Budget(name=f"Redis memory a range, {label}", measured=measured, bar=bar, unit=" bytes")
        )
    return budgets

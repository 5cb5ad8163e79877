"""Tables: publishing them, the memory they take in Redis, and what a change costs, against the two plain layouts."""

from __future__ import annotations

import json
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

from . import database, mmdb, synthetic, zone
from .report import Section, Table
from .rounds import Spread
from .stage import PUBLISH

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from support.servers import RedisServer

    from .stage import Stage

    Results = dict[str, dict[str, list[dict[str, Any]]]]
    """Case -> layout -> rounds."""

GEOSTEER, ZSET, HASH = "geosteer", "zset", "hash"
LABELS = {GEOSTEER: "geosteer", ZSET: "one sorted set", HASH: "one hash of prefixes"}
SMALLER = (100, 10)
"""How many times smaller than the largest the other two city tables are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A table to publish, and then again as it changes."""

    name: str
    table: str
    kind: str
    sources: Mapping[str, Path]
    """What to publish: the first one, and the next by what has changed in it."""
    rounds: int = 1
    vantage: bool = False
    """The sources are folders with a file for each vantage point."""
    layouts: tuple[str, ...] = (GEOSTEER, ZSET, HASH)


def run(stage: Stage) -> Section:
    """Every table, in every layout."""
    section = Section("table")
    results: Results = {}
    changes = Table(
        "Table: what a change writes; both plain layouts write every entry anew",
        ["table", "change", "publish s", "objects written", "of all objects, %", "sorted set", "hash"],
    )
    for case in _cases(stage):
        results[case.name] = {}
        for number in range(case.rounds):
            for layout in case.layouts if number % 2 == 0 else reversed(case.layouts):
                stage.say(f"table: {case.name}, round {number + 1} of {case.rounds}, {LABELS[layout]}")
                results[case.name].setdefault(layout, []).append(_publish_all(stage, case, layout))
        section.tables.append(_shown(case, results[case.name]))
        _add_changes(changes, case, results[case.name])
    section.tables += [changes, _growth(stage, results)]
    _judge(section, results)
    section.data = results
    return section


def _cases(stage: Stage) -> Iterator[Case]:
    country = stage.country
    assert country.path is not None
    earlier, what = country.before, "a day's change"
    if earlier is None:
        earlier = mmdb.write(stage.folder / "country-before.mmdb", country.earlier)
        what = f"{synthetic.CHANGED} ranges"
    yield Case(
        name="country", table="geo", kind="mmdb", sources={"": earlier, what: country.path}, rounds=stage.rounds
    )  # fmt: skip
    real = database.real(database.ROUTES[1])
    if real is not None and not stage.quick:
        yield Case(name="origin AS", table="bgp", kind="pyasn", sources={"": real})
    routes = stage.routes
    changed = {
        f"{count:,} routes": synthetic.alter_routes(routes, stage.folder / f"routes-{count}", count)
        for count in (synthetic.CHANGED, stage.route_count // 100)
    }
    yield Case(
        name=f"BGP of {stage.route_count:,} routes", table="bgp", kind="pyasn", sources={"": routes, **changed}
    )  # fmt: skip
    places = len(synthetic.VANTAGES)
    feeds = synthetic.write_feeds(stage.folder / "feeds", routes, places)
    yield Case(
        name=f"AS-path lengths of {stage.route_count // places:,} routes from {places} places", table="path",
        kind="bgpdump", sources={"": feeds}, vantage=True, layouts=(GEOSTEER,),
    )  # fmt: skip
    for size in sorted({stage.city_size // part for part in (*SMALLER, 1)}):
        city = stage.city(size)
        sources = {"": city} | {
            f"{count:,} ranges": mmdb.alter(city, stage.folder / f"city{size}-{count}.mmdb", count)
            for count in (synthetic.CHANGED, size // 100)
        }
        yield Case(
            name=f"city of {size:,} networks", table="geo", kind="mmdb", sources=sources,
            rounds=min(stage.rounds, 3) if size < 100_000 else 1,
        )  # fmt: skip


def _publish_all(stage: Stage, case: Case, layout: str) -> dict[str, Any]:
    """Publish the first source into an empty Redis, then the others one by one (the plain layouts: the first only)."""
    server = stage.redis("--slowlog-log-slower-than", "500", "--slowlog-max-len", "1000")
    try:
        first, *others = case.sources.items()
        result = _publish(stage, server, case, layout, first[1])
        with server.client() as client:
            client.config_set("slowlog-log-slower-than", -1)
            longest = max((entry["duration"] for entry in client.slowlog_get(1000)), default=500) / 1000
            keys = (
                [b"{geosteer}:object"] if layout == GEOSTEER else list(client.scan_iter(match=layout + ":*"))
            )
            memory = sum(client.memory_usage(key, samples=0) or 0 for key in keys)
            if layout == GEOSTEER:
                result["ranges"] = int(client.hget("{geosteer}:current", f"{case.table}.ranges"))
                changed = {
                    what: _publish(stage, server, case, layout, source) | {"all": client.hlen(keys[0])}
                    for what, source in others
                }
            else:
                changed = {}
    finally:
        server.close()
    return {**result, "memory": memory, "longest_ms": longest, "changes": changed}


def _publish(stage: Stage, server: RedisServer, case: Case, layout: str, source: Path) -> dict[str, Any]:
    """Seconds, peak memory in MiB, and entries written."""
    if layout != GEOSTEER:
        return stage.python("other_layouts.py", layout, server.socket, case.table, case.kind, source)
    # `keep` 1 and no grace, so that an earlier table does not count on top of the next
    config = zone.geosteer_toml(
        stage.folder / "table.toml", server.url, {} if case.vantage else {case.table: source},
        asns=case.table == "bgp", keep=1, feeds=source if case.vantage else None,
    )  # fmt: skip
    said, usage = stage.timed([*PUBLISH, str(config), "--json"])
    return {**usage, "entries": json.loads(said)["written"]["objects"]}


def _shown(case: Case, results: dict[str, list[dict[str, Any]]]) -> Table:
    table = Table(
        f"Table: {case.name}, {results[GEOSTEER][0]['ranges']:,} ranges",
        ["layout", "publish s", "CPU s", "peak MiB", "entries", "Redis bytes/range", "longest command ms"],
    )
    for layout, runs in results.items():
        table.rows.append(
            [
                LABELS[layout], Spread([run["seconds"] for run in runs]), median(run["cpu"] for run in runs),
                median(run["peak"] for run in runs), runs[0]["entries"],
                median(run["memory"] / run["ranges"] for run in runs), median(run["longest_ms"] for run in runs),
            ]
        )  # fmt: skip
    return table


def _add_changes(table: Table, case: Case, results: dict[str, list[dict[str, Any]]]) -> None:
    ours = results[GEOSTEER]
    for what, change in ours[0]["changes"].items():
        table.rows.append(
            [
                case.name, what, median(run["changes"][what]["seconds"] for run in ours), change["entries"],
                100 * change["entries"] / change["all"], *(results[other][0]["entries"] for other in (ZSET, HASH)),
            ]
        )  # fmt: skip


def _growth(stage: Stage, results: Results) -> Table:
    table = Table(
        "Table: as a city table grows 10 and 100 times",
        [
            "networks",
            "publish s",
            "sorted set s",
            "hash s",
            "peak MiB",
            "Redis MB",
            "sorted set",
            "hash",
            f"objects, {synthetic.CHANGED} ranges change",
            "1 % change",
        ],
    )
    for name, found in results.items():
        if name.startswith("city"):
            of = {layout: runs[0] for layout, runs in found.items()}
            table.rows.append(
                [
                    name.split()[2], *(of[layout]["seconds"] for layout in LABELS), of[GEOSTEER]["peak"],
                    *(of[layout]["memory"] / 1e6 for layout in LABELS),
                    *(change["entries"] for change in list(of[GEOSTEER]["changes"].values())[:2]),
                ]
            )  # fmt: skip
    table.notes.append(
        "the changed ranges lie all over the table: no change of so many ranges touches more pages"
    )
    return table


def _judge(section: Section, results: Results) -> None:
    def ours(begin: str) -> list[dict[str, Any]]:
        return next(
            (found[GEOSTEER] for name, found in reversed(results.items()) if name.startswith(begin)), []
        )

    kinds = {"country": "country", "bgp": "origin AS", "path": "AS-path"}
    for key, begin in kinds.items():
        if runs := ours(begin) or ours("BGP"):
            section.judge(f"table.{key}.bytes", Spread([run["memory"] / run["ranges"] for run in runs]))
    for key, begin in {**kinds, "bgp": "BGP", "city": "city"}.items():
        runs = ours(begin)
        peaks = [value["peak"] for run in runs for value in (run, *run["changes"].values())]
        section.judge(f"table.{key}.peak", max(peaks), f"{runs[0]['ranges']:,} ranges")
    if runs := ours("city"):
        *_, last = runs[0]["changes"]
        ratios = [run["changes"][last]["cpu"] / run["cpu"] for run in runs]
        section.judge("table.city.change", Spread(ratios), f"{last} of {runs[0]['ranges']:,}")

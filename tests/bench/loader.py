"""The loader at ease with large data: several sources of one table, large maps, many services, lists of networks."""

from __future__ import annotations

import json
import random
import re
from typing import TYPE_CHECKING

from geosteer_loader.sources.countries import CONTINENT
from geosteer_loader.tables.ranges import RangeBuilder

from . import mmdb, synthetic, zone
from .machine import PYTHON, ROOT
from .report import Section, Table
from .rounds import Spread
from .stage import PUBLISH

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from .stage import Stage

    Usage = dict[str, float]
    """`seconds`, `cpu` seconds and `peak` memory in MiB."""

GEOSTEER = str(ROOT / "bin" / "geosteer")
COUNTRIES = 238
NODES = 500
SERVICES = 2000
CORRECTIONS = 1000
ROUTES, NAMED = 512_000, 400
"""Of a routing table; ASes of it that a map names."""


def run(stage: Stage) -> Section:
    """Every part, with a Redis of its own."""
    section = Section("loader")
    sources(stage, section)
    changes(stage, section)
    plans(stage, section)
    networks(stage, section)
    exports(stage, section)
    return section


def sources(stage: Stage, section: Section) -> None:
    """Two city databases of a family each, and one that a short list corrects, against the databases alone."""
    size = stage.scaled(2_000_000, 20_000)
    folder = stage.folder
    stage.say(f"loader: making a city database of {size:,} networks")
    tables = synthetic.city(size)
    whole = mmdb.write(folder / "both.mmdb", tables, "GeoLite2-City")
    nothing = {bits: RangeBuilder(bits).finish() for bits in tables}
    single = {
        bits: mmdb.write(folder / f"only{bits}.mmdb", {**nothing, bits: tables[bits]}, "GeoLite2-City")
        for bits in tables
    }
    del tables
    corrections = folder / "corrections.csv"
    dice = random.Random(synthetic.SEED)
    corrections.write_text(
        "".join(
            f"{dice.randrange(11, 224)}.{dice.randrange(256)}.{number % 256}.0/24,DE\n"
            for number in range(CORRECTIONS)
        )
    )
    cases = {
        "IPv4 alone": [single[32]],
        "IPv6 alone": [single[128]],
        "both, as two databases": [single[32], single[128]],
        "both, as one database": [whole],
        f"the same with {CORRECTIONS:,} lines of CSV": [whole, corrections],
    }
    used = {name: _published(stage, paths) for name, paths in cases.items()}
    table = Table(
        f"Loader: a city table of {size:,} networks from several sources",
        ["sources", "publish s", "CPU s", "peak MiB"],
    )
    table.rows += [[name, usage["seconds"], usage["cpu"], usage["peak"]] for name, usage in used.items()]
    section.tables.append(table)
    first, second, two, one, corrected = used.values()
    note = f"{size:,} networks"
    for key, name in (("memory", "peak"), ("time", "cpu")):
        section.judge(f"loader.two.{key}", two[name] / (first[name] + second[name]), note)
        section.judge(f"loader.corrected.{key}", corrected[name] / one[name], note)
    section.data["sources"] = used


def changes(stage: Stage, section: Section) -> None:
    """A city database, then others in which a hundredth of the ranges differs, and the last again; beside plain reading."""
    size = stage.scaled(1_000_000, 20_000)
    stage.say(f"loader: a change of a city database of {size:,} networks")
    tables = synthetic.city(size)
    first = mmdb.write(stage.folder / "first.mmdb", tables, "GeoLite2-City")
    scattered = mmdb.alter(first, stage.folder / "scattered.mmdb", size // 100)
    tables = synthetic.recut(tables, size // 100)
    recut = mmdb.write(stage.folder / "recut.mmdb", tables, "GeoLite2-City")
    del tables
    read = stage.python("iterated.py", first)
    publishes = {
        "first": first, "1 % scattered": scattered, "first again": first, "1 % with other prefixes": recut,
        "unchanged": recut,
    }  # fmt: skip
    used = _followed(stage, publishes, remember=True)
    plain = {name: publishes[name] for name in ("first", "1 % scattered")}
    without = _followed(stage, plain, remember=False)
    table = Table(f"Loader: a change of a city table of {size:,} networks", ["publish", "CPU s", "peak MiB"])
    table.rows += [[name, usage["cpu"], usage["peak"]] for name, usage in used.items()]
    table.rows += [
        [f"{name}, `remember = false`", usage["cpu"], usage["peak"]] for name, usage in without.items()
    ]
    table.rows.append(["maxminddb goes over the file once", read["cpu"], read["peak"]])
    section.tables.append(table)
    note = f"{size:,} networks"
    cpu = {name: usage["cpu"] for name, usage in used.items()}
    section.judge("loader.read.first", cpu["first"] / read["cpu"], note)
    section.judge("loader.read.change", cpu["1 % scattered"] / read["cpu"], note)
    section.judge("loader.change", cpu["1 % scattered"] / cpu["first"], note)
    whole = {name: usage["cpu"] for name, usage in without.items()}
    section.judge("loader.change.plain", whole["1 % scattered"] / whole["first"], note)
    section.judge("loader.change.memory", cpu["first"] / whole["first"], note)
    section.judge("loader.change.recut", cpu["1 % with other prefixes"] / cpu["first"], note)
    section.judge("loader.unchanged", cpu["unchanged"], note)
    section.data["changes"] = {**used, "read": read, "without": without}


def _followed(stage: Stage, databases: Mapping[str, Path], *, remember: bool) -> dict[str, Usage]:
    """What publishes of one database after the other take. Args: remember: whether what was read is kept for the next."""
    server = stage.redis()
    used = {}
    try:
        for name, path in databases.items():
            config = zone.geosteer_toml(
                stage.folder / "changes.toml", server.url, {"geo": path}, keep=1, remember=remember
            )
            used[name] = stage.timed([*PUBLISH, str(config)])[1]
    finally:
        server.close()
    return used


def _published(stage: Stage, paths: list[Path]) -> Usage:
    server = stage.redis()
    try:
        listed = "".join(
            f'[[sources.geo]]\nformat = "{path.suffix[1:]}"\npath = "{path}"\n' for path in paths
        )
        config = zone.geosteer_toml(stage.folder / "sources.toml", server.url, {})
        config.write_text(listed + config.read_text())
        return stage.timed([*PUBLISH, str(config)])[1]
    finally:
        server.close()


def plans(stage: Stage, section: Section) -> None:
    """Plans of a change that concerns every country of a large map, and every one of many services."""
    nodes, services = stage.scaled(NODES, 40), stage.scaled(SERVICES, 100)
    table = Table(
        "Loader: `geosteer plan` of other weights for every country", ["map", "plan s", "CPU s", "peak MiB"]
    )
    for key, label, size, count in (
        ("countries", f"{COUNTRIES} countries with {nodes} nodes each", nodes, 1),
        ("services", f"{services:,} services of one map, 20 nodes", 20, services),
    ):
        stage.say(f"loader: plan, {label}")
        server = stage.redis()
        try:
            first, second = (
                _map(stage.folder / f"{key}{seed}.toml", server.url, size, count, seed) for seed in (1, 2)
            )
            stage.timed([*PUBLISH, str(first)])
            usage = [
                stage.timed([GEOSTEER, "plan", "--config", str(second)])[1] for _ in range(stage.scaled(3, 1))
            ]
        finally:
            server.close()
        seconds = Spread([each["cpu"] for each in usage])
        table.rows.append([label, Spread([each["seconds"] for each in usage]), seconds, usage[0]["peak"]])
        section.judge(f"loader.plan.{key}", seconds, label)
        section.data[f"plan {key}"] = usage
    section.tables.append(table)


def _map(path: Path, url: str, nodes: int, services: int, seed: int) -> Path:
    """A configuration with weights of its own for every country."""
    dice = random.Random(seed)
    countries = sorted(CONTINENT)[:COUNTRIES]
    geo = path.with_suffix(".csv")
    geo.write_text(
        "".join(f"{11 + at // 256}.{at % 256}.0.0/16,{countries[at % COUNTRIES]}\n" for at in range(5000))
    )
    chosen = min(nodes, NODES if services == 1 else 5)

    def weights() -> Mapping[int, int]:
        return {node: dice.randrange(1, 100) for node in dice.sample(range(nodes), chosen)}

    def text(weighted: Mapping[int, int]) -> str:
        return f"{{ {', '.join(f'n{node} = {weight}' for node, weight in weighted.items())} }}"

    path.write_text(
        f'[redis]\nurl = "{url}"\n[[sources.geo]]\nformat = "csv"\npath = "{geo}"\n'
        + "".join(
            f'[nodes.n{node}]\na = ["198.51.{node // 250}.{node % 250 + 1}"]\naaaa = ["2001:db8::{node + 1:x}"]\n'
            "well_connected = 1\n"
            for node in range(nodes)
        )
        + "[guard]\nmax_shrink = 1.0\nmax_country_change = 1.0\nmax_impact = 1.0\n"
        + f"[maps.large]\ndefault = {text(dict.fromkeys(range(nodes), 1))}\n[maps.large.countries]\n"
        + "".join(f"{country} = {text(weights())}\n" for country in countries)
        + f'[zones."{zone.ZONE}"]\nsoa = {{ mname = "ns1.example.net", rname = "hostmaster.example.net" }}\n'
        'ns = ["ns1.example.net"]\n'
        + "".join(f'[services."s{number}.{zone.ZONE}"]\nmap = "large"\n' for number in range(services))
    )
    return path


def networks(stage: Stage, section: Section) -> None:
    """Commands beside a list of millions of networks: those that need none of them, and a publish."""
    count = stage.scaled(3_000_000, 10_000)
    stage.say(f"loader: a list of {count:,} networks")
    listed = stage.folder / "networks.txt"
    step = 0xC0000000 // count
    with listed.open("w") as out:
        out.writelines(f"{synthetic.text(32, 0x0B000000 + at * step)}/32\n" for at in range(count))
    server = stage.redis()
    try:
        config = _map(stage.folder / "networks.toml", server.url, 20, 1, 1)
        stage.timed([*PUBLISH, str(config)])
        config.write_text(config.read_text() + f'[networks.partner]\nfile = "{listed}"\n')
        node = [
            stage.timed([GEOSTEER, "node", what, "n1", "--config", str(config)])[1]
            for what in ("down", "auto") * stage.scaled(3, 1)
        ]
        short = {
            what: [
                stage.timed([GEOSTEER, *what.split(), "--config", str(config)])[1]["cpu"]
                for _ in range(stage.scaled(5, 1))
            ]
            for what in ("status", "journal", "probe --once")
        }
        publish = stage.timed([*PUBLISH, str(config)])[1]
    finally:
        server.close()
    seconds = Spread([usage["cpu"] for usage in node])
    table = Table(f"Loader: a list of {count:,} networks", ["command", "CPU s", "peak MiB"])
    table.rows += [
        ["node down, node auto", seconds, node[0]["peak"]],
        ["publish", publish["cpu"], publish["peak"]],
    ]
    for what, times in short.items():
        table.rows.append([what, Spread(times), None])
    section.tables.append(table)
    note = f"{count:,} networks"
    section.judge("loader.node", seconds, note)
    for what, times in short.items():
        section.judge(f"loader.{what.partition(' ')[0]}", Spread(times), note)
    section.judge("loader.networks.time", publish["cpu"], note)
    section.judge("loader.networks.peak", publish["peak"], note)
    section.data["networks"] = {"node": node, "publish": publish}


def exports(stage: Stage, section: Section) -> None:
    """Exports that follow a map with ASes of a large routing table: from a node that goes down to the written files."""
    count = stage.scaled(ROUTES, 8000)
    stage.say(f"loader: exports with {count:,} routes")
    routes = synthetic.write_routes(stage.folder / "followed.routes", count)
    dice = random.Random(synthetic.SEED)
    origins = sorted({line.split()[1] for line in routes.read_text().splitlines()}, key=int)
    named = ", ".join(
        f"AS{origin} = {{ {dice.choice(list(zone.NODES))} = 100 }}"
        for origin in dice.sample(origins, min(NAMED, len(origins)))
    )
    server = stage.redis()
    try:
        tables = {"geo": stage.country.shared, "bgp": routes}
        config = zone.geosteer_toml(stage.folder / "followed.toml", server.url, tables)
        text = config.read_text().replace("[maps.default]\n", f"[maps.default]\nasns = {{ {named} }}\n")
        config.write_text(re.sub(r"\[nodes\.(\w+)\]\n", r'\g<0>hostname = "\1.example.net"\n', text))
        stage.timed([*PUBLISH, str(config)])
        command = [
            str(PYTHON),
            "-m",
            "bench.exported",
            server.url,
            str(stage.folder / "followed"),
            "fra1",
            "nyc1",
        ]
        taken: dict[str, dict[str, float]] = json.loads(stage.timed(command)[0])
    finally:
        server.close()
    table = Table(
        f"Loader: exports that follow, {count:,} routes, {NAMED} ASes named",
        ["format", "first files, CPU s", "a node down or up, CPU s", "at worst"],
    )
    table.rows += [[name, each["first"], each["change"], each["worst"]] for name, each in taken.items()]
    section.tables.append(table)
    by_name = ", ".join(f"{name} {each['change']:.3f} s" for name, each in taken.items())
    section.judge(
        "loader.export", max(each["change"] for each in taken.values()), f"{count:,} routes: {by_name}"
    )
    section.data["exports"] = taken

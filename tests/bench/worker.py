"""Workers: start, memory, processor time for a question; what they read of the tables is in `reading`."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Any

from certificates import Certificates
from servers import free_port

from . import rivals, zone
from .reading import large_tables, lookups
from .report import Section, Table
from .rounds import Rounds, Spread
from .stage import WORKER, publish

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
UNIX, TLS = "unix socket", "TLS"
MANY = (1, 8, 64)
"""Workers started at once."""


def run(stage: Stage) -> Section:
    """Everything about one worker, and many."""
    section = Section("worker")
    for part in (_questions, _starts, _tls, _crowds, lookups, large_tables):
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
    stage.say(f"worker, starts: {RADIX}")
    alone = stage.drive(path, started[RADIX], s=True)
    first = alone["first"][0]
    peer = found.spread(PEER, "first").middle
    table.rows.append([RADIX, first / 1000, first / peer, alone["pss_total"] / 1024])
    table.notes.append("the one in RAM reads the whole table first, and is started once only")
    section.tables.append(table)
    section.judge("worker.start", found.ratio(GEOSTEER, "first", PEER))
    section.data["starts"] = {**found.to_json(), RADIX: [{"first": first, "pss": alone["pss_total"]}]}


def _tls(stage: Stage, section: Section) -> None:
    """What TLS to Redis adds to a worker's start, and to its memory."""
    found = Rounds.run(stage, _ways(stage), "worker, starts over TLS")
    table = Table(
        "Worker: start to first answer, by the way to Redis",
        ["way", "ms", "of the unix socket's", "memory then, MiB (private)"],
    )
    for name in found.results:
        first = Spread([value / 1000 for value in found.values(name, "first")])
        table.rows.append(
            [name, first, found.ratio(name, "first", UNIX), found.spread(name, "private").middle / 1024]
        )
    section.tables.append(table)

    def more(key: str, unit: float) -> Spread:
        pairs = zip(found.values(TLS, key), found.values(UNIX, key), strict=True)
        return Spread([(mine - theirs) / unit for mine, theirs in pairs])

    section.judge("worker.tls.start", more("first", 1000))
    section.judge("worker.tls.memory", more("private", 1024))
    section.data["tls"] = found.to_json()


def _ways(stage: Stage) -> dict[str, Callable[[int], dict[str, Any]]]:
    """A start for each way to one Redis."""
    made = Certificates(stage.folder)
    made.authority()
    made.sign("server")
    port, tls_port = free_port(), free_port()
    server = stage.redis(
        "--port", str(port), "--tls-port", str(tls_port), "--tls-cert-file", str(made["server"]), "--tls-key-file",
        str(made.key("server")), "--tls-ca-cert-file", str(made["ca"]), "--tls-auth-clients", "no",
    )  # fmt: skip
    publish(zone.geosteer_toml(stage.folder / "tls.toml", server.url, {"geo": stage.country.shared}))
    ways = {
        UNIX: server.url,
        "TCP": f"redis://127.0.0.1:{port}",
        TLS: f"rediss://127.0.0.1:{tls_port}",
    }

    def one(number: int, url: str) -> Callable[[int], dict[str, Any]]:
        folder = stage.folder / f"way{number}"
        folder.mkdir()
        backend = zone.backend_toml(folder / "backend.toml", url, f'ca = "{made["ca"]}"')
        command = [str(WORKER), "--config", str(backend)]
        path, repeats = stage.questions("wide"), stage.scaled(5, 2)

        def starts(_: int) -> dict[str, Any]:
            runs = [stage.drive(path, command, s=True) for _ in range(repeats)]
            return {
                "first": median(result["first"][0] for result in runs),
                "private": median(result["private_total"] for result in runs),
            }

        return starts

    return {name: one(number, url) for number, (name, url) in enumerate(ways.items())}


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
    section.judge("worker.memory", ratio, f"{clients:,} clients")
    section.data["crowds"] = {**data, "after": after}

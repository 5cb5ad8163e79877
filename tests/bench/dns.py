"""DNS: the same questions to geosteer-pipe and to what else could answer them, through real servers."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from . import rivals, standalone
from .machine import cpu_seconds, pss
from .report import LATE, Section, Table
from .rounds import Rounds, Spread
from .stage import WORKER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .rivals import Rival
    from .stage import Stage

GEOSTEER, C, PYTHON = "geosteer", "nothing, in C", "nothing, in Python"
PURE, PEER = "geosteer, all in Python", "peer, mmap"
MANY = "geosteer, eight services"
RADIX, FRONT = "peer, radix in RAM", "geosteer, dnsdist in front"
OURS = {GEOSTEER, PURE, MANY, FRONT}
SETS = {"v6": (GEOSTEER, PURE, PYTHON, PEER), "services": (MANY, PEER)}
"""Client sets that only some of the servers are asked for, because they tell something of workers alone."""
CLOSE = (GEOSTEER, PURE, PEER, PYTHON, C, MANY)
"""Those that bars compare: their throughput is measured in slices."""
SLICES = 4
"""Of each round."""
RATE = 2000
"""Questions a second where latencies are taken: all rivals can keep up with it."""
WINDOW = 32
"""Questions under way where throughput is taken."""
WARMING = 50_000
"""Questions of clients all alike to each worker before anything counts: by then it has met what there is to meet. Counted in
questions, not in seconds: else a slow machine would measure how workers learn."""


def run(stage: Stage) -> Section:
    """Throughput, processor time and memory of every server, for the client sets; latencies at a fixed rate."""
    section = Section("dns")
    seconds = stage.scaled(20, 5) / 10
    with _servers(stage) as servers:
        plain = {name: server for name, server in servers.items() if name != MANY}
        _warm(stage, plain, "wide", seconds)
        found = {
            # first, so that what is remembered are these clients
            "hot": _rounds(stage, plain, "hot", seconds, w=WINDOW),
            "wide": _rounds(stage, plain, "wide", seconds, w=WINDOW),
            "paced": _rounds(stage, plain, "wide", seconds, r=stage.scaled(RATE, 500)),
        }
        memory = {name: pss(server.pids) for name, server in servers.items()}
        memory["Redis"] = pss([stage.server.pid])
        for label, names in SETS.items():
            some = {name: server for name, server in servers.items() if name in names}
            _warm(stage, some, label, seconds)
            found[label] = _rounds(stage, some, label, seconds, w=WINDOW)
    for label in ("wide", "hot"):
        section.tables.append(_throughput(found[label], label))
        section.judge(f"dns.{label}.python", found[label].ratio(GEOSTEER, "qps", PYTHON))
        section.judge(f"dns.{label}.c", found[label].ratio(GEOSTEER, "qps", C))
        section.judge(f"dns.{label}.peer", found[label].ratio(GEOSTEER, "qps", PEER))
        section.judge(f"dns.{label}.pure", found[label].ratio(PURE, "qps", PEER))
    for label in SETS:
        section.tables.append(_throughput(found[label], label))
    for rival in (PYTHON, PEER):
        section.judge(
            f"dns.v6.{'peer' if rival == PEER else 'python'}", found["v6"].ratio(GEOSTEER, "qps", rival)
        )
    section.judge("dns.v6.pure", found["v6"].ratio(PURE, "qps", PEER))
    section.judge("dns.services.peer", found["services"].ratio(MANY, "qps", PEER))
    section.tables.append(_latencies(stage, found["paced"], memory))
    section.data = {label: rounds.to_json() for label, rounds in found.items()}
    section.data["memory"] = memory
    return section


def _warm(stage: Stage, servers: dict[str, Rival], clients: str, seconds: float) -> None:
    for name, server in servers.items():
        asked = 0
        while asked < stage.scaled(WARMING, 500) * rivals.THREADS:
            asked += stage.ask(server.port, clients, seconds, 99 + asked, w=WINDOW, z=0)["asked"]
        stage.say(f"dns: {name} is warm for {clients}")


@contextlib.contextmanager
def _servers(stage: Stage) -> Iterator[dict[str, Rival]]:
    database = stage.country.shared
    worker = f"{WORKER} --config {stage.backend}"

    def piped(name: str, *command: object, patient: bool = False) -> Callable[[], Rival]:
        return lambda: rivals.Pipe(rivals.wrapper(stage, name, *command), patient=patient)

    starts: dict[str, Callable[[], Rival]] = {
        GEOSTEER: lambda: rivals.Pipe(worker),
        MANY: lambda: rivals.Pipe(f"{WORKER} --config {stage.many}"),
        PURE: piped("pure", *rivals.without_c(stage)),
        PYTHON: piped("nothing-py", *rivals.peer("nothing")),
        C: piped("nothing-c", *rivals.nothing_in_c(stage)),
        PEER: piped("mapped", *rivals.peer("mapped", database)),
        RADIX: piped("radixed", *rivals.peer("radixed", database), patient=True),
        FRONT: lambda: rivals.Dnsdist(worker),
        "geoip backend": lambda: standalone.Geoip(stage),
        "gdnsd": lambda: standalone.gdnsd(stage),
        "knot": lambda: standalone.knot(stage),
    }
    with contextlib.ExitStack() as stack:
        servers: dict[str, Rival] = {}
        for name, start in starts.items():
            if not rivals.installed(name):
                stage.say(f"dns: {name} is not installed and is left out")
                continue
            stage.say(f"dns: starting {name}")
            with stage.cores.serving():
                servers[name] = start()
            stack.callback(servers[name].close)
        yield servers


def _rounds(stage: Stage, servers: dict[str, Rival], clients: str, seconds: float, **options: Any) -> Rounds:
    def measure(name: str, server: Rival, seconds: float) -> Callable[[int], dict[str, Any]]:
        def one(number: int) -> dict[str, Any]:
            if server.warming:
                stage.ask(server.port, clients, stage.scaled(100, 10) / 100 * server.warming, 99, **options)
            pids = server.pids
            if name in OURS:
                pids.append(stage.server.pid)
            before = cpu_seconds(pids)
            result = stage.ask(server.port, clients, seconds, number + 1, **options)
            result["cpu"] = (cpu_seconds(pids) - before) / max(result["asked"], 1) * 1e6
            return result

        return one

    if "r" in options:
        label = f"dns, {clients}, at a fixed rate"
        return Rounds.run(
            stage, {name: measure(name, server, seconds) for name, server in servers.items()}, label
        )
    slices = stage.scaled(SLICES, 2)
    close = {name: measure(name, servers[name], seconds / slices) for name in CLOSE if name in servers}
    others = {name: measure(name, server, seconds) for name, server in servers.items() if name not in close}
    return Rounds.run_sliced(stage, close, others, f"dns, {clients}", slices)


def _throughput(found: Rounds, label: str) -> Table:
    table = Table(
        f"DNS, client set {label}: answers a second, {WINDOW} questions under way",
        [
            "server",
            "answers/s",
            "of Python's nothing",
            "of C's",
            "of the peer's",
            "CPU us/question",
            "p50 us",
            "p99 us",
            "wrong, failed, lost",
        ],
    )

    def ratio(name: str, base: str) -> Spread | str:
        return found.ratio(name, "qps", base) if base in found.results else ""

    for name, results in found.results.items():
        bad = [sum(int(result[key]) for result in results) for key in ("wrong", "failed", "lost")]
        constant = name in {C, PYTHON}
        table.rows.append(
            [
                name, found.spread(name, "qps"), ratio(name, PYTHON), ratio(name, C), ratio(name, PEER),
                found.spread(name, "cpu").middle, found.spread(name, "p50").middle, found.spread(name, "p99").middle,
                "all alike" if constant else "none" if not any(bad) else ", ".join(map(str, bad)),
            ]
        )  # fmt: skip
    sliced = ", ".join(name for name in CLOSE if name in found.results)
    table.notes += [
        "CPU: of all processes, workers and geosteer's Redis too; answers: of the right address, but of those that do nothing",
        f"of these {SLICES} slices a round, with a 95 % interval of the median: {sliced}",
        "dnsdist's cache is as warm as at this rate it would always be",
    ]
    return table


def _latencies(stage: Stage, found: Rounds, memory: dict[str, float]) -> Table:
    table = Table(
        f"DNS, client set wide: latency at {stage.scaled(RATE, 500)} questions a second, and memory of all processes",
        ["server", "p50 us", "p99 us", "p99.9 us", "generator late ms", "memory MiB (PSS)"],
    )
    for name in found.results:
        table.rows.append(
            [
                name, *(found.spread(name, key).middle for key in ("p50", "p99", "p999")),
                max(found.values(name, "stalled")) / 1000, memory[name],
            ]
        )  # fmt: skip
    table.notes.append(LATE)
    table.notes.append(
        f"memory after the rounds, shared pages divided; Redis, which many hosts may share: {memory['Redis']:.1f} MiB"
    )
    return table

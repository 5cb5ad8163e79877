"""Workers: from the start of the process to the first answer, and what TLS adds."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Any

from support.certificates import Certificates
from support.servers import free_port

from . import zone
from .coprocesses import GEOSTEER, NOTHING, PEER, RADIX, C, commands
from .report import Section, Table
from .rounds import Rounds, Spread
from .stage import WORKER, publish

if TYPE_CHECKING:
    from collections.abc import Callable

    from .stage import Stage

UNIX, TLS = "unix socket", "TLS"


def starts(stage: Stage, section: Section) -> None:
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


def over_tls(stage: Stage, section: Section) -> None:
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

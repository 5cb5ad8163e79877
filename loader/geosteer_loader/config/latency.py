"""`[latency]`: what clients measured, where it is kept, and how it becomes the table `rtt`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from geosteer_loader.config.hints import suggestion
from geosteer_loader.config.limits import MEASUREMENTS
from geosteer_loader.config.values import choice, duration, integer, number, prefix, text
from geosteer_loader.rtt.estimate import Rules
from geosteer_loader.rtt.inputs.formats import FORMATS, OF_A_NODE, OF_A_PROXY
from geosteer_loader.rtt.memory import Steadiness
from geosteer_loader.rtt.sample import KEPT
from geosteer_loader.rtt.window import Settings

if TYPE_CHECKING:
    from collections.abc import Collection

    from geosteer_loader.config.section import Table
    from geosteer_loader.rtt.memory import Equality

FOLDER = "/var/lib/geosteer/latency"
HOUR = 3600.0
DAY = 24 * HOUR


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """Files of measurements."""

    format: str
    """One of `FORMATS`."""
    path: Path
    """A file; a pattern: all that it matches, oldest first; a folder: a spool, whose segments are read and deleted."""
    node: str = ""
    """The node whose own log it is."""
    network: tuple[int, int] | None = None
    """Address bits and network of the proxy whose log it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Everything about measured times."""

    database: Path
    """SQLite; where samples are kept, by client network."""
    table: Path
    """The file that the first `[[sources.latency]]` reads; written at the end of each window."""
    window: float
    """Seconds between two estimates."""
    half_life: float
    """Seconds after which a sample counts half."""
    settings: Settings
    inputs: tuple[Input, ...]


def read_latency(
    table: Table,
    base: Path,
    nodes: Collection[str],
    source: Path | None,
    equal: Collection[Equality] = (),
) -> Latency:
    """The section.

    Args:
        base: where relative paths begin.
        source: the file of the first `[[sources.latency]]`; None: there is none.
        equal: what services with policy `latency` say of equal times; none: the default.
    """
    rules, steadiness, usual = Rules(), Steadiness(), Settings()
    settings = Settings(
        rules=Rules(
            samples=float(table.get("samples", number(1, 1_000_000), rules.samples)),
            alone=float(table.get("alone", number(1, 1_000_000), rules.alone)),
            networks=table.get("networks", integer(1, 1000), rules.networks),
            cap=float(table.get("cap", number(1, 1_000_000), rules.cap)),
        ),
        steadiness=Steadiness(
            equal=tuple(sorted(set(equal))) or steadiness.equal,
            better=float(table.get("better_ms", number(0, 1000), steadiness.better)),
            better_part=float(table.get("better_percent", number(0, 100), 100 * steadiness.better_part))
            / 100,
            windows=table.get("windows", integer(1, 10), steadiness.windows),
        ),
        quantile=float(table.get("quantile", number(1, 99), 100 * usual.quantile)) / 100,
        forget=table.get("forget", duration(HOUR), usual.forget),
    )
    latency = Latency(
        database=(base / table.get("database", text, MEASUREMENTS)).absolute(),
        table=source or Path(f"{FOLDER}/rtt.csv"),
        window=table.get("window", duration(60), 4 * HOUR),
        half_life=table.get("half_life", duration(60), DAY),
        settings=settings,
        inputs=tuple(_input(entry, base, nodes) for entry in table.tables("inputs")),
    )
    table.finish()
    return latency


def _input(table: Table, base: Path, nodes: Collection[str]) -> Input:
    format_ = table.require("format", choice(*FORMATS), "json")
    path = table.require("path", text, "")
    node = table.get("node", text, "")
    network = table.get("network", prefix, None)
    for key, reason in input_problems(format_, node, network is not None, nodes):
        table.add(key, reason)
    table.finish()
    return Input(format=format_, path=(base / path).absolute(), node=node, network=proxy_network(network))


def input_problems(
    format_: str, node: str, has_network: bool, nodes: Collection[str]
) -> list[tuple[str, str]]:
    """Setting and reason of what does not go together with a format."""
    found = []
    if format_ not in OF_A_NODE and node:
        found.append(("node", f"is for {_listed(OF_A_NODE)} only"))
    elif node and node not in nodes:
        found.append(("node", f"unknown node {node}{suggestion(node, nodes)}"))
    elif format_ in OF_A_NODE and not node:
        found.append(("node", "is missing: the node whose log it is"))
    if format_ not in OF_A_PROXY and has_network:
        found.append(("network", f"is for {_listed(OF_A_PROXY)} only"))
    elif format_ in OF_A_PROXY and not has_network:
        found.append(("network", "is missing: the network of the proxy whose log it is"))
    return found


def proxy_network(given: tuple[int, int, int] | None) -> tuple[int, int] | None:
    """Address bits and first address of the /24 or /48 that a network lies in; None for None."""
    if given is None:
        return None
    host = given[0] - KEPT[given[0]]
    return given[0], given[1] >> host << host


def _listed(formats: Collection[str]) -> str:
    return " and ".join(sorted(formats))

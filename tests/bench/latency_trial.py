"""A trial: a synthetic world whose clients measure, through the code that steers real ones, window after window.

Samples are ingested as lines, kept in the database, estimated at the end of each window, written as the file of table `rtt`,
read by its source, and a client's node is what the director decides for it.
"""

from __future__ import annotations

import io
import random
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from geosteer.decision.client import parse, prefix_text
from geosteer.decision.director import Director
from geosteer.decision.model import Model
from geosteer.redirect.beacons.selection import NEARBY, TURN
from geosteer_loader.config import config as configuration
from geosteer_loader.latency.end_of_window import due, end_window
from geosteer_loader.latency.geography import Geography
from geosteer_loader.latency.ingest import ingest_stream
from geosteer_loader.latency.store import Measurements
from geosteer_loader.rtt.inputs.line import Scene
from geosteer_loader.sources.report import Report
from geosteer_loader.tables.flatten import flatten

from .latency_world import CITIES, COUNTRIES, distance

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from geosteer_loader.tables.ranges import Ranges

    from .latency_world import Net, World

START = 1_790_000_000.0 // 86400 * 86400
"""When the first window begins: midnight, UTC."""
HOUR = 3600.0
POLICIES = ("best", "nearest", "path", "latency")
NEAREST = 10
"""Candidates are drawn from so many of the nearest nodes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """How clients measure."""

    a_day: float = 50.0
    """Samples of a network and day; each visit gives one of each of its three candidates."""
    forged: Callable[[World, float], Iterator[tuple[str, str, float]]] | None = None
    """At an hour since the start: more samples, as client address, node and milliseconds."""


@dataclass(slots=True)
class Outcome:
    """How clients fared with one policy at one time; times in milliseconds."""

    excess: list[tuple[float, Net]] = field(default_factory=list)
    """More than the best node of the time would take, with whose clients they are."""

    def mean(self, of: Callable[[Net], bool] = lambda _net: True) -> float:
        """Mean excess of some clients."""
        weight = sum(net.weight for _, net in self.excess if of(net))
        return sum(excess * net.weight for excess, net in self.excess if of(net)) / weight if weight else 0.0

    def p95(self) -> float:
        """Excess that 95 % of the clients do not exceed."""
        seen = 0.0
        for excess, net in sorted(self.excess, key=lambda item: item[0]):
            seen += net.weight
            if seen >= 0.95:
                return excess
        return self.excess[-1][0]

    def worse(self, than: float = 20.0) -> float:
        """Part of the clients whose node is that much worse than the best."""
        return sum(net.weight for excess, net in self.excess if excess > than)


class Trial:
    """One world, its measurements and the answers of the policies."""

    def __init__(self, world: World, folder: Path, feed: Feed, settings: str = "") -> None:
        """Args: folder: empty, for files; settings: lines of `[latency]`."""
        self.world, self.feed, self.folder = world, feed, folder
        self.config = configuration.load(_write(world, folder, settings), {})
        self.director = Director(Model(self.config.document))
        self.store = Measurements(self.config.latency.database, self.config.latency.half_life)
        self.chance = random.Random(world.shape.seed + 1)
        self.hour = 0.0
        """Since the start."""
        self._scene_nodes = {name: name for name in world.nodes}
        self._clients = [parse(net.address) for net in world.nets]
        self._geo = [f"{net.system.country} {net.guessed[0]:.2f} {net.guessed[1]:.2f}" for net in world.nets]
        self._path = [
            " ".join(f"{node}={world.hops(net, node)}" for node in world.nodes) for net in world.nets
        ]
        self._by_distance = [self._nodes_by_distance(net) for net in world.nets]
        self._places = Places(self)
        self._firsts = [net.first for net in world.nets]
        self._ranges: Mapping[int, Ranges] | None = None
        self.served = {policy: self._serve(policy) for policy in POLICIES}
        """Policy -> node of each network."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Close the database."""
        self.store.close()

    def step(self, *, silent: bool = False) -> float:
        """Measure for half of a window, and end it if it is over; the part of the networks that changed their node.

        Args: silent: nobody measures.
        """
        hours = self.config.latency.window / HOUR / 2
        if not silent:
            self._measure(hours)
        self.hour += hours
        if not due(self.store, self.config, self.now):
            return 0.0
        end_window(self.store, self.config, self._places, self.now)
        self._ranges = flatten([source.open("rtt") for source in self.config.sources["rtt"]], Report())
        before, after = self.served["latency"], self._serve("latency")
        self.served["latency"] = after
        return sum(was != now for was, now in zip(before, after, strict=True)) / len(after)

    @property
    def now(self) -> float:
        """Seconds since 1970."""
        return START + self.hour * HOUR

    def outcome(self, policy: str, hour: float | None = None) -> Outcome:
        """How all clients fare now. Args: hour: since the start, if not the end of the last window."""
        at = (self.hour if hour is None else hour) % 24
        told = Outcome()
        for net, node in zip(self.world.nets, self.served[policy], strict=True):
            best = min(self.world.time(net, name, at) for name in self.world.nodes)
            told.excess.append((self.world.time(net, node, at) - best, net))
        return told

    def record(self, net: Net) -> str:
        """What table `rtt` says of a network."""
        if self._ranges is None:
            return ""
        ranges = self._ranges[net.bits]
        return ranges.records[bisect_right(ranges.starts, net.first) - 1]

    def _nodes_by_distance(self, net: Net) -> list[str]:
        nodes = self.world.nodes
        return sorted(nodes, key=lambda node: distance(net.guessed, nodes[node]))

    def _measure(self, hours: float) -> None:
        """The samples of a window, ingested as lines."""
        lines = []
        visits = self.feed.a_day / 3 * hours / 24
        for net in self.world.nets:
            if not net.measured:
                continue
            for _ in range(int(visits) + (self.chance.random() < visits % 1)):
                hour = self.hour + self.chance.random() * hours
                for node in self._candidates(net, hour):
                    sample = self.world.sample(net, node, hour % 24)
                    told = "-" if sample is None else f"{sample:.1f}"
                    lines.append(f"{START + hour * HOUR:.3f},{net.address},{node},{told}\n")
        if self.feed.forged is not None:
            for client, node, milliseconds in self.feed.forged(self.world, self.hour):
                when = self.now + self.chance.random() * hours * HOUR
                lines.append(f"{when:.3f},{client},{node},{milliseconds if milliseconds >= 0 else '-'}\n")
        self.chance.shuffle(lines)
        scene = Scene(self._scene_nodes, self.now + hours * HOUR)
        ingest_stream(io.BytesIO("".join(lines).encode()).read, "samples", "csv", scene, self.store)

    def _candidates(self, net: Net, hour: float) -> tuple[str, ...]:
        """The node in use, the best other one, and one of those nearby, or now and then of all the rest."""
        used = self.served["latency"][net.number]
        times = [part.partition("=")[0] for part in self.record(net).split()]
        nodes = self._by_distance[net.number]
        other = next(node for node in (*times, *nodes) if node != used)
        near, rest = nodes[:NEAREST], nodes[NEAREST:]
        far_away = rest and self.chance.random() >= NEARBY
        third = self._turn(rest, hour) if far_away else self.chance.choice(near)
        # in one order, not that of a set: each draws its time
        return tuple(dict.fromkeys((used, other, third)))

    def _turn(self, rest: list[str], hour: float) -> str:
        """Of those far away, the one that all clients measure now."""
        names = sorted(self.world.nodes)
        at = int((START + hour * HOUR) // TURN) % len(names)
        return next(name for name in names[at:] + names[:at] if name in rest)

    def geo_record(self, bits: int, address: int) -> str:
        """What table `geo` says."""
        at = bisect_right(self._firsts, address) - 1
        return self._geo[at] if bits == self.world.shape.bits and at >= 0 else ""

    def _serve(self, policy: str) -> list[str]:
        service = self.director.services[f"{policy}.cdn.example.net"]
        kind = service.kinds[0]
        return [
            self.director.decide(service, client, self._look(net), {}, self.now).answer[kind][0].name
            for net, client in zip(self.world.nets, self._clients, strict=True)
        ]

    def _look(self, net: Net) -> Callable[[str], tuple[str, int]]:
        def look(table: str) -> tuple[str, int]:
            if table == "rtt":
                return self.record(net), 24
            return {"geo": self._geo, "path": self._path}[table][net.number], 24

        return look


class Places(Geography):
    """Announced prefixes from the configured source; places from the world, so that no Redis is needed."""

    def __init__(self, trial: Trial) -> None:
        super().__init__(trial.config, START)
        self._trial = trial

    def look_at(self, addresses: Iterable[tuple[int, int]]) -> None:
        """All are known."""

    def record(self, bits: int, address: int) -> str:
        """What table `geo` says of an address."""
        return self._trial.geo_record(bits, address)


def _write(world: World, folder: Path, settings: str) -> Path:
    """A configuration of the world's nodes with a service of each policy."""
    routes = folder / "routes.txt"
    announced = [
        f"{prefix_text(world.shape.bits, first, length)}\t{system.number}\n"
        for first, length, system in world.prefixes
    ]
    routes.write_text("".join(announced))
    lines = ["[[sources.bgp]]", 'format = "pyasn"', f'path = "{routes}"']
    lines += ["[[sources.latency]]", 'format = "rtt"', f'path = "{folder}/rtt.csv"']
    lines += ["[latency]", f'database = "{folder}/latency.sqlite"', settings]
    for number, (name, (lat, lon)) in enumerate(world.nodes.items()):
        lines += [
            f"[nodes.{name}]",
            f'a = ["192.0.2.{number + 1}"]',
            f"location = [{lat}, {lon}]",
            "well_connected = 1",
        ]
    everyone = ", ".join(f"{name} = 100" for name in world.nodes)
    lines += [
        "[maps.all]",
        f"default = {{ {everyone} }}",
        "[maps.countries]",
        f"default = {{ {everyone} }}",
        "countries = {",
    ]
    lines[-1] += (
        ", ".join(f"{country} = {{ {_weights(world, city)} }}" for country, city in COUNTRIES.items()) + " }"
    )
    lines += ['[zones."cdn.example.net"]', 'ns = ["ns1.example.net"]']
    lines += ['soa = { mname = "ns1.example.net", rname = "hostmaster.example.net" }']
    for policy in POLICIES:
        lines += [f'[services."{policy}.cdn.example.net"]', f'policy = "{policy}"']
        lines += [f'map = "{"countries" if policy == "best" else "all"}"']
    path = folder / "geosteer.toml"
    path.write_text("\n".join(lines) + "\n")
    return path


def _weights(world: World, city: str) -> str:
    """What an operator would write for a country: its nearest node first, then the next ones."""
    order = sorted(world.nodes, key=lambda node: distance(CITIES[city], world.nodes[node]))
    return ", ".join(f"{node} = {100 - 10 * rank}" for rank, node in enumerate(order[:5]))

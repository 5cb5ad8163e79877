"""What is known of round-trip times: in all, and of the network of one address, level by level."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from geosteer.decision.client import parse, prefix_text
from geosteer.decision.records import country_of
from geosteer.errors import ConfigError
from geosteer.timestamps import format_time
from geosteer_loader.latency.end_of_window import held_records, known_networks
from geosteer_loader.latency.geography import Geography
from geosteer_loader.latency.store import DatabaseUnusable, Measurements
from geosteer_loader.rtt.estimate import Network, estimate
from geosteer_loader.rtt.sample import KEPT
from geosteer_loader.rtt.window import all_times, places_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from geosteer_loader.config.config import Config
    from geosteer_loader.rtt.routes import Routes


@dataclass(slots=True)
class NodeMeasured:
    """What is kept of one node; weights, decayed by the half-life."""

    networks: int = 0
    samples: float = 0.0
    failures: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """What one level knows of an address."""

    level: str
    """`network`, `prefix` or `system`."""
    place: str
    """Prefix, or AS and country."""
    samples: dict[str, float]
    """Node -> samples of the network itself, decayed; of other levels none."""
    estimate: dict[str, float] | None
    """Node -> milliseconds, by all samples up to now; None: not enough of them."""
    record: dict[str, int] | None
    """Node -> milliseconds as the last window left it; None: nothing."""
    waiting: int
    """Windows running in which another node was better."""
    counts: bool
    """Whether clients of the address go by this one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """As `geosteer latency status --json` prints it."""

    database: str
    table: str
    counts: dict[str, int]
    """Rows of the database by kind, and its `bytes`."""
    newest: str | None
    """Time of the newest sample."""
    window: str | None
    """When the last window ended."""
    next_window: str | None
    frozen: bool
    """Nothing came since then: what is published stays until it is forgotten."""
    nodes: dict[str, NodeMeasured]
    address: str | None = None
    levels: list[Level] = field(default_factory=list)
    """The narrowest first."""

    def to_json(self) -> dict[str, Any]:
        """The fields above, by their names."""
        return asdict(self)


def status(config: Config, now: float, address: str | None = None) -> Status:
    """What is kept, as of *now* (seconds since 1970); with *address*, what is known of it.

    Raises: ConfigError: not an address. DatabaseUnusable: nothing was ingested yet. SourceError, StoreError, CorruptPage.
    """
    path = config.latency.database
    if not path.exists():
        raise DatabaseUnusable(f"{path}: nothing was ingested yet (geosteer latency ingest)")
    store = Measurements(path, config.latency.half_life)
    try:
        newest, window = store.fact("newest"), store.fact("window")
        return Status(
            database=str(path),
            table=str(config.latency.table),
            counts=store.counts(),
            newest=None if newest is None else format_time(newest),
            window=None if window is None else format_time(window),
            next_window=None if window is None else format_time(window + config.latency.window),
            frozen=newest is not None and store.fact("taken") == store.fact("judged"),
            nodes=_nodes(store, now),
            address=address,
            levels=_levels(store, config, now, address) if address is not None else [],
        )
    finally:
        store.close()


def _nodes(store: Measurements, now: float) -> dict[str, NodeMeasured]:
    names, nodes = store.nodes, defaultdict[str, NodeMeasured](NodeMeasured)
    for _, _, histograms in store.networks(now):
        for number, told in histograms.by_node():
            node = nodes[names.get(number, "?")]
            node.networks += 1
            node.samples += told.answers
            node.failures += told.failures
    return {
        name: NodeMeasured(node.networks, round(node.samples, 1), round(node.failures, 1))
        for name, node in sorted(nodes.items())
    }


def _levels(store: Measurements, config: Config, now: float, address: str) -> list[Level]:
    try:
        client = parse(address)
    except ValueError:
        raise ConfigError([f"{address}: neither an IP address nor a network"]) from None
    host = client.bits - KEPT[client.bits]
    bits, network = client.bits, client.address >> host << host
    held = held_records(store)
    with Geography(config, now) as geography:
        routes = geography.routes()
        known = list(known_networks(store, config, geography, routes, now))
        here = next((each for each in known if each.key == (bits, network)), None)
        if here is None:
            geography.look_at([(bits, network)])
            here = _unmeasured(bits, network, routes, country_of(geography.record(bits, network)))
    fresh = dict(all_times(estimate(known, config.latency.settings.rules)))
    places = places_of(here)
    counting = next((place for place in places if place in held), None)
    return [
        Level(
            level=place[0],
            place=text,
            samples={node: round(value.samples, 1) for node, value in here.measured.items()}
            if place[0] == "network"
            else {},
            estimate={node: round(time, 1) for node, time in fresh[place].items()}
            if place in fresh
            else None,
            record=dict(held[place].record.times) if place in held else None,
            waiting=held[place].record.waiting if place in held else 0,
            counts=place == counting,
        )
        for place, text in zip(places, _texts(here), strict=True)
    ]


def _unmeasured(bits: int, network: int, routes: Mapping[int, Routes], country: str) -> Network:
    first, length, origin = routes[bits].covering(network) or (network, 0, 0)
    return Network((bits, network), network, (bits, first, length), origin, country, bits, {})


def _texts(network: Network) -> tuple[str, str, str]:
    bits, first, length = network.prefix
    announced = prefix_text(bits, first, length) if length else "not announced"
    system = f"AS{network.asn}" if network.asn else "no AS"
    return (
        prefix_text(*network.key, KEPT[bits]),
        announced,
        f"{system} in {network.country or 'no country'}",
    )

"""What the published configuration says about the health of nodes: checks, rounds, weights in maps. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from geosteer.decision.model import RAMP
from geosteer_loader.health.thresholds import Profile

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

INTERVAL = 10.0
"""Seconds from one probe to the next, where nothing says otherwise."""
SETTLE = 60.0
"""Seconds between steps of load shedding for a node that no service uses."""

_LAYERS = ("networks", "asns", "subdivisions", "countries", "continents")


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One health check of a node."""

    label: str
    """What it is called in verdicts and reasons; unique within the node."""
    kind: str
    """`tcp`, `http`, `https` or `command`."""
    interval: float
    """Seconds from one probe to the next."""
    timeout: float
    """Seconds."""
    profile: Profile
    spec: Mapping[str, Any]
    """The check as published; secrets are still `${NAME}`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A node as a prober sees it."""

    name: str
    addresses: tuple[str, ...]
    """Of both families; its host name where it has none."""
    checks: tuple[Check, ...]
    capacity: float
    """The load at which it is full."""
    settle: float
    """Seconds between two steps of shedding."""
    ramp: float = 0.0
    """Seconds in which it gets its clients back after it was down."""

    @property
    def round(self) -> float:
        """Seconds from one check of it to the next."""
        return min((check.interval for check in self.checks), default=INTERVAL)

    @property
    def patience(self) -> float:
        """Seconds until its slowest check times out."""
        return max((check.timeout for check in self.checks), default=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class MapWeights:
    """A map's distinct nodes."""

    name: str
    max_down: float
    """0..1."""
    weights: Mapping[str, float]
    """Node -> its highest weight; nodes that are never chosen are left out."""

    @property
    def total(self) -> float:
        """Of all its nodes."""
        return sum(self.weights.values())


@dataclass(frozen=True, slots=True)
class Watchlist:
    """All nodes and maps."""

    nodes: Mapping[str, Subject]
    maps: tuple[MapWeights, ...]

    @property
    def round(self) -> float:
        """Seconds of a prober's round: the shortest interval of all checks."""
        return min((node.round for node in self.nodes.values() if node.checks), default=INTERVAL)

    def checks(self) -> Iterator[tuple[Subject, Check]]:
        """Every check, with its node."""
        for node in self.nodes.values():
            for check in node.checks:
                yield node, check


def read(document: Mapping[str, Any]) -> Watchlist:
    """From the published configuration document."""
    longest = _longest_ttl(document)
    nodes = {name: _subject(name, spec, longest.get(name)) for name, spec in document["nodes"].items()}
    maps = tuple(_map(name, spec, document["nodes"]) for name, spec in document["maps"].items())
    return Watchlist(nodes, maps)


def _subject(name: str, spec: Mapping[str, Any], ttl: float | None) -> Subject:
    addresses = (*(spec.get("a") or ()), *(spec.get("aaaa") or ()))
    return Subject(
        name=name,
        addresses=addresses or ((spec["hostname"],) if spec.get("hostname") else ()),
        checks=tuple(_checks(spec.get("checks") or ())),
        capacity=spec.get("capacity") or 1.0,
        settle=spec.get("settle") or ttl or SETTLE,
        ramp=spec.get("ramp", RAMP),
    )


def _checks(specs: Any) -> Iterator[Check]:
    labels: dict[str, int] = {}
    for spec in specs:
        label = _label(spec)
        labels[label] = count = labels.get(label, 0) + 1
        yield Check(
            label=label if count == 1 else f"{label} #{count}",
            kind=spec["type"],
            interval=float(spec["interval"]),
            timeout=float(spec["timeout"]),
            profile=Profile(**spec["profile"]),
            spec=spec,
        )


def _label(spec: Mapping[str, Any]) -> str:
    kind = spec["type"]
    if kind == "tcp":
        return f"tcp {spec['port']}"
    if kind == "command":
        return f"command {spec['command'][0]}"
    host = spec.get("host") or spec.get("sni")
    return f"{spec['url']} ({host})" if host else str(spec["url"])


def _map(name: str, spec: Mapping[str, Any], nodes: Mapping[str, Any]) -> MapWeights:
    highest: dict[str, float] = {}
    for entries in _entries(spec):
        for node, weight in entries.items():
            if node in nodes:
                scaled = weight * nodes[node].get("weight", 100) / 100
                highest[node] = max(scaled, highest.get(node, 0.0))
    weights = {node: weight for node, weight in highest.items() if weight > 0}
    return MapWeights(name=name, max_down=spec.get("max_down", 0.5), weights=weights)


def _entries(spec: Mapping[str, Any]) -> Iterator[Mapping[str, float]]:
    for layer in _LAYERS:
        yield from (spec.get(layer) or {}).values()
    yield spec["default"]


def _longest_ttl(document: Mapping[str, Any]) -> dict[str, float]:
    longest: dict[str, float] = {}
    for service in document["services"].values():
        for entries in _entries(document["maps"][service["map"]]):
            for node in entries:
                longest[node] = max(longest.get(node, 0.0), service.get("ttl", 60))
    return longest

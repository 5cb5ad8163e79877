"""The end of a window: from all that is kept to what is published of every network, prefix and AS."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from geosteer.decision.records import SLOWEST
from geosteer_loader.rtt.estimate import UNROUTED, Estimates, Network, Rules, Value, estimate
from geosteer_loader.rtt.failures import FailureRules
from geosteer_loader.rtt.memory import NODES, Record, Steadiness, judge
from geosteer_loader.rtt.sketch import middle, quantile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from geosteer_loader.rtt.histograms import Histograms
    from geosteer_loader.rtt.routes import Routes

HOLE = "-"
"""In place of a record: nothing is known, though it is of the prefix around."""
FAILING = 8
"""Nodes of a record at most that are passed over."""
Place = tuple[str, str]
"""Level (`network`, `prefix`, `system`) and what is meant there, as text."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How estimates are made and kept."""

    rules: Rules = field(default_factory=Rules)
    steadiness: Steadiness = field(default_factory=Steadiness)
    failures: FailureRules = field(default_factory=FailureRules)
    quantile: float = 0.25
    forget: float = 7 * 86400.0
    """Seconds without evidence after which a record goes."""


@dataclass(frozen=True, slots=True)
class Held:
    """A record and when there was last evidence for it, seconds since 1970."""

    record: Record
    seen: float


def networks_of(
    kept: Iterable[tuple[int, int, Histograms]],
    names: Mapping[int, str],
    serving: frozenset[str],
    routes: Mapping[int, Routes],
    country_of: Callable[[int, int], str],
    settings: Settings,
    least: Callable[[int, int, str], float],
    usual: Callable[[int, int], Mapping[str, float] | None] = lambda _bits, _network: None,
    too_fast: Callable[[float], None] = lambda _: None,
) -> Iterator[Network]:
    """What is kept, with where it belongs; what nobody announces belongs to no AS and stands for itself.

    Args:
        serving: nodes that are configured; what is known of others is left out.
        country_of: of an address of so many bits; "" where it is unknown.
        least: milliseconds that light takes at least, from a network to a node and back.
        usual: node -> milliseconds that its distance makes one expect from a network; None: nobody knows where that is.
        too_fast: is told the weight of what is faster than that.
    """
    for bits, network, histograms in kept:
        measured = {}
        for number, told in histograms.by_node():
            node = names.get(number, "")
            if node not in serving:
                continue
            limit = least(bits, network, node)
            bins = [(at, weight) for at, weight in told.bins if middle(at) >= limit] if limit else told.bins
            weight = sum(weight for _, weight in bins)
            if len(bins) < len(told.bins):
                too_fast(sum(weight for _, weight in told.bins) - weight)
            if weight > 0:
                measured[node] = Value(quantile(bins, settings.quantile), weight)
        if measured:
            route = routes[bits].covering(network) if bits in routes else None
            first, length, origin = route if route is not None else (network, 0, UNROUTED)
            voter = network if bits == 32 else network >> 96
            yield Network(
                (bits, network),
                voter,
                (bits, first, length),
                origin,
                country_of(bits, network),
                bits,
                measured,
                histograms.stamp,
                usual(bits, network),
            )


def judged(
    before: Mapping[Place, Held], networks: Iterable[Network], now: float, settings: Settings
) -> dict[Place, Held]:
    """All records after a window. What there is no evidence of any more stays as it is, until it is forgotten."""
    seen: dict[Place, float] = {}

    def noted() -> Iterator[Network]:
        for network in networks:
            for place in places_of(network):
                seen[place] = max(seen.get(place, 0.0), network.seen)
            yield network

    after = remembered(before, now, settings)
    for place, times in all_times(estimate(noted(), settings.rules)):
        held = before.get(place)
        after[place] = Held(
            judge(held.record if held else None, times, settings.steadiness), min(seen[place], now)
        )
    return remembered(after, now, settings)


def remembered(held: Mapping[Place, Held], now: float, settings: Settings) -> dict[Place, Held]:
    """The records of which there was evidence not too long ago."""
    return {place: each for place, each in held.items() if now - each.seen < settings.forget}


def places_of(network: Network) -> tuple[Place, Place, Place]:
    """Where a network counts, the narrowest first."""
    return (
        ("network", "{}/{}".format(*network.key)),
        ("prefix", "{}/{}/{}".format(*network.prefix)),
        ("system", f"{network.asn}/{network.country}/{network.family}"),
    )


def all_times(made: Estimates) -> Iterator[tuple[Place, dict[str, float]]]:
    """Every place of which there is an estimate, and its times."""
    for key, times in made.networks.items():
        yield ("network", "{}/{}".format(*key)), times
    for prefix, times in made.prefixes.items():
        yield ("prefix", "{}/{}/{}".format(*prefix)), times
    for system, times in made.systems.items():
        yield ("system", "{}/{}/{}".format(*system)), times


def rows(
    held: Mapping[Place, Held],
    routes: Mapping[int, Routes],
    country_of: Callable[[int, int], str],
    failing: Callable[[Place], Mapping[str, float]] = lambda _: {},
) -> Iterator[tuple[int, int, int, str]]:
    """Address bits, first address, prefix length and record, of every prefix that something is known of; holes in them.

    Args: failing: nodes that are passed over in a network or an AS, with the part of the attempts that fails.
    """
    systems = {place.split("/")[0] for level, place in held if level == "system"}
    for bits, each in routes.items():
        wider: list[tuple[int, bool]] = []
        """Of the prefixes that hold this one: where it ends, and whether something is known of it; the widest first."""
        for first, length, origin in each:
            while wider and wider[-1][0] <= first:
                wider.pop()
            known = held.get(("prefix", f"{bits}/{first}/{length}"))
            system = None
            if origin != UNROUTED and str(origin) in systems:
                system = "system", f"{origin}/{country_of(bits, first)}/{bits}"
            if known is None and system is not None:
                known = held.get(system)
            if known is not None:
                yield bits, first, length, times_text(known.record.times, failing(system) if system else {})
            elif wider and wider[-1][1]:  # somebody else's, who was never measured
                yield bits, first, length, HOLE
            wider.append((first + (1 << (bits - length)), known is not None))
    for (level, place), known in held.items():
        if level == "network":
            bits, network = map(int, place.split("/"))
            route = routes[bits].covering(network) if bits in routes else None
            passed_over = dict(failing((level, place)))
            if route is not None and route[2] != UNROUTED:
                passed_over |= failing(("system", f"{route[2]}/{country_of(bits, network)}/{bits}"))
            yield bits, network, 24 if bits == 32 else 48, times_text(known.record.times, passed_over)


def times_text(times: Mapping[str, int], failing: Mapping[str, float]) -> str:
    """The text of a record: `fra1=12 ams1=15 par1=10031`, best first; last those that fail, here for 31 % of the attempts."""
    worst = sorted(failing, key=lambda node: (-failing[node], node))[:FAILING]
    marks = [f"{node}={SLOWEST + max(1, round(100 * failing[node]))}" for node in worst]
    fine = [f"{node}={time}" for node, time in times.items() if node not in failing]
    return " ".join([*fine[: NODES - len(marks)], *marks])

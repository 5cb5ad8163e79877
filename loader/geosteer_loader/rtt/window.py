"""The end of a window: from all that is kept to what is published of every network, prefix and AS."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from geosteer_loader.rtt.estimate import Network, Rules, Value, estimate
from geosteer_loader.rtt.memory import Record, Steadiness, judge
from geosteer_loader.rtt.sketch import quantile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from geosteer_loader.rtt.histograms import Histograms
    from geosteer_loader.rtt.routes import Routes

Place = tuple[str, str]
"""Level (`network`, `prefix`, `system`) and what is meant there, as text."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How estimates are made and kept."""

    rules: Rules = field(default_factory=Rules)
    steadiness: Steadiness = field(default_factory=Steadiness)
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
    possible: Callable[[int, int, str, float], bool],
) -> Iterator[Network]:
    """What is kept, with where it belongs; what nobody announces belongs to no AS and stands for itself.

    Args:
        serving: nodes that are configured; what is known of others is left out.
        country_of: of an address of so many bits; "" where it is unknown.
        possible: whether light can do that, from a network to a node.
    """
    for bits, network, histograms in kept:
        measured = {}
        for number, told in histograms.by_node():
            node = names.get(number, "")
            weight = sum(weight for _, weight in told.bins)
            if node in serving and weight > 0:
                time = quantile(told.bins, settings.quantile)
                if possible(bits, network, node, time):
                    measured[node] = Value(time, weight)
        if measured:
            route = routes[bits].covering(network) if bits in routes else None
            first, length, origin = route if route is not None else (network, 0, 0)
            voter = network if bits == 32 else network >> 96
            yield Network(
                (bits, network),
                voter,
                (bits, first, length),
                origin,
                country_of(bits, network),
                bits,
                measured,
            )


def judged(
    before: Mapping[Place, Held], networks: Iterable[Network], now: float, settings: Settings
) -> dict[Place, Held]:
    """All records after a window. What there is no evidence of any more stays as it is, until it is forgotten."""
    made = estimate(networks, settings.rules)
    fresh: dict[Place, dict[str, float]] = {}
    for key, times in made.networks.items():
        fresh["network", "{}/{}".format(*key)] = times  # type: ignore[misc]
    for key, times in made.prefixes.items():
        fresh["prefix", "{}/{}/{}".format(*key)] = times  # type: ignore[misc]
    for key, times in made.systems.items():
        fresh["system", "{}/{}/{}".format(*key)] = times  # type: ignore[misc]
    after = {
        place: held
        for place, held in before.items()
        if place not in fresh and now - held.seen < settings.forget
    }
    for place, times in fresh.items():
        held = before.get(place)
        after[place] = Held(judge(held.record if held else None, times, settings.steadiness), now)
    return after


def rows(
    held: Mapping[Place, Held], routes: Mapping[int, Routes], country_of: Callable[[int, int], str]
) -> Iterator[tuple[int, int, int, str]]:
    """Address bits, first address, prefix length and record, of every prefix that something is known of."""
    for bits, each in routes.items():
        for first, length, origin in each:
            known = held.get(("prefix", f"{bits}/{first}/{length}"))
            if known is None and origin:
                known = held.get(("system", f"{origin}/{country_of(bits, first)}/{bits}"))
            if known is not None:
                yield bits, first, length, times_text(known.record.times)
    for (level, place), known in held.items():
        if level == "network":
            bits, network = map(int, place.split("/"))
            yield bits, network, 24 if bits == 32 else 48, times_text(known.record.times)


def times_text(times: Mapping[str, int]) -> str:
    """The text of a record: `fra1=12 ams1=15`, best first."""
    return " ".join(f"{node}={time}" for node, time in times.items())

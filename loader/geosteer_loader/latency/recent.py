"""What came since the last window: paths that got worse, and nodes that fail for some."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from geosteer_loader.rtt.estimate import UNROUTED
from geosteer_loader.rtt.failures import Attempts, FailureRules, Mark, marked, verdicts
from geosteer_loader.rtt.shifts import Recent, Shifts, Where, recent, shifts

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from geosteer_loader.latency.store import Measurements
    from geosteer_loader.rtt.failures import Verdict
    from geosteer_loader.rtt.histograms import Histograms
    from geosteer_loader.rtt.routes import Routes

    Marks = Mapping[tuple[str, str, str], Mark]
    """By level (`network`, `system`), place as in records, and node."""

ATTEMPTS = 0.5
"""Attempts of a network below which it has no say."""


def where(bits: int, network: int, routes: Mapping[int, Routes], country: str) -> Where:
    """A network and the AS that it belongs to, as they are called in records."""
    route = routes[bits].covering(network) if bits in routes else None
    origin = route[2] if route is not None else UNROUTED
    voter = network if bits == 32 else network >> 96
    system = f"{origin}/{country}/{bits}" if origin != UNROUTED else f"-/{network}/{bits}"
    return Where(f"{bits}/{network}", voter, system)


@dataclass(frozen=True, slots=True)
class Latest:
    """What a window has that none before had."""

    shifts: Shifts
    verdicts: Mapping[tuple[str, str, str], Verdict]
    """By level, place and node."""
    where: Callable[[int, int], Where]

    def changed(self, bits: int, network: int, histograms: Histograms) -> Collection[int]:
        """Numbers of the nodes whose past does not count any more for a network."""
        return self.shifts.of(self.where(bits, network), {node for node, _ in histograms.by_node()})

    def of_now(self, kept: Iterator[tuple[int, int, Histograms]]) -> Iterator[tuple[int, int, Histograms]]:
        """What is kept, without the past that does not count."""
        for bits, network, histograms in kept:
            histograms.settle(self.changed(bits, network, histograms))
            yield bits, network, histograms

    def marks(
        self, before: Marks, serving: Collection[str], rules: FailureRules
    ) -> dict[tuple[str, str, str], Mark]:
        """What is remembered of failures after the window. Args: serving: nodes that are configured."""
        after = {}
        for key in before.keys() | self.verdicts.keys():
            mark = marked(before.get(key), self.verdicts.get(key), rules) if key[2] in serving else None
            if mark is not None:
                after[key] = mark
        return after


def latest(
    store: Measurements,
    when: float,
    routes: Mapping[int, Routes],
    country_of: Callable[[int, int], str],
    quorum: int,
    rules: FailureRules,
) -> Latest:
    """Compare what came since the last window with all that came before.

    Args: when: as of which the weights are; quorum: networks that an AS needs. Raises: DatabaseUnusable.
    """

    def belongs(bits: int, network: int) -> Where:
        return where(bits, network, routes, country_of(bits, network))

    names = store.nodes
    paths: list[Recent] = []
    attempts: list[Attempts] = []
    for bits, network, histograms in store.networks(when):
        place: Where | None = None
        for node, fresh, past in histograms.recent():
            place = place or belongs(bits, network)
            told = recent(place, node, fresh.bins, past.bins)
            if told is not None:
                paths.append(told)
            if fresh.answers + fresh.failures >= ATTEMPTS:
                attempts.append(Attempts(*place, names.get(node, ""), fresh.answers, fresh.failures))
    found = {
        ("network" if place.count("/") == 1 else "system", place, node): verdict
        for (place, node), verdict in verdicts(attempts, rules).items()
    }
    return Latest(shifts(paths, quorum), found, belongs)

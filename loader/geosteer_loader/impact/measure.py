"""Traffic impact: which part of every service's clients would get another node, exactly and from ranges.

The boundaries of the tables before and after are swept once; what the services see of the records is all that is told apart,
so that half a million ranges come down to few different cases, and each case is decided once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from geosteer.decision.distribution import Distribution, all_up
from geosteer.decision.probabilities import distance
from geosteer_loader.impact.joint_tables import Case, ServiceClass, Side, Sweep, service_classes
from geosteer_loader.impact.service_change import MOMENTS, Impact, Shift, count

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from geosteer.decision.distribution import Projected
    from geosteer.decision.model import Model
    from geosteer.decision.node_state import NodeState
    from geosteer.decision.probabilities import Chances
    from geosteer_loader.impact.joint_tables import Progress, Roots
    from geosteer_loader.impact.traffic import Traffic
    from geosteer_loader.store.pages import Pages

    Seen = tuple[tuple[Projected, ...], tuple[Projected, ...], bool]
    """What one service sees of every table, before and after; whether any of those that it asks says anything."""

ELSEWHERE = frozenset({"geo", "bgp", "path"})
"""Tables that know of clients because others do; what `nets` has is a few prefixes of the operator's own choice."""


def measure(
    pages: Pages,
    roots: Mapping[str, Roots],
    before: Side,
    after: Side,
    states: Mapping[str, NodeState],
    now: float,
    traffic: Traffic | None = None,
) -> Impact:
    """What becomes of the clients of every service that both sides have.

    Args:
        pages: of all tables, before and after.
        roots: field of `current` (`geo.v4`) -> digest of the root page before and after, None where there is none.
        states: of the nodes now.
        now: seconds since 1970.
        traffic: weighs real clients, too.

    Raises: CorruptPage: a published page is missing or damaged. StoreError.
    """
    return Survey(pages, roots, before, after, traffic).impact(states, now)


class Survey:
    """How many clients there are of each kind, found once, and decided as often as the states of the nodes change."""

    def __init__(
        self,
        pages: Pages,
        roots: Mapping[str, Roots],
        before: Side,
        after: Side,
        traffic: Traffic | None = None,
        *,
        by_country: bool = False,
        progress: Progress | None = None,
    ) -> None:
        """Args as of `measure`, and as of `Sweep`. Raises: CorruptPage, StoreError."""
        self._sweep = Sweep(pages, roots, before, after, by_country=by_country, progress=progress)
        families = self._sweep.families()
        self._parts: list[tuple[str, dict[Case, float]]] = []
        for suffix, family in families.items():
            unit = float(1 << 80) if suffix == "v6" else 1.0
            cases: dict[Case, float] = {}
            for start, end, case in family.spans():
                cases[case] = cases.get(case, 0) + (end - start)
            self._parts.append((suffix, {case: size / unit for case, size in cases.items()}))
        if traffic is not None:
            self._parts += [("clients", family.weights(traffic)) for family in families.values()]

    def impact(self, states: Mapping[str, NodeState], now: float) -> Impact:
        """What becomes of all clients."""
        total: Impact = {name: {} for name in self._sweep.services}
        for impact in self.by_country(states, now).values():
            for name, parts in impact.items():
                for part, shift in parts.items():
                    total[name].setdefault(part, Shift()).add(shift)
        return total

    def by_country(self, states: Mapping[str, NodeState], now: float) -> dict[str, Impact]:
        """Alpha-2 code of a country, "" for clients of whom none is known -> what becomes of its clients."""
        decider = _CaseDecider(self._sweep, states, now)
        impacts: dict[str, Impact] = {}
        for part, cases in self._parts:
            decider.weigh(impacts, part, cases)
        return impacts


class _CaseDecider:
    """Decides the cases."""

    def __init__(self, sweep: Sweep, states: Mapping[str, NodeState], now: float) -> None:
        self._sweep = sweep
        distributions = _Distributions(states, now)
        self._distributions = [
            {moment: distributions.of(side.model, moment) for moment in MOMENTS} for side in sweep.sides
        ]
        self._chances: dict[tuple[object, ...], dict[str, Chances]] = {}

    def weigh(self, impacts: dict[str, Impact], part: str, cases: Mapping[Case, float]) -> None:
        """Add what becomes of the clients in each case to that part of their country's impact."""
        for number, view in enumerate(self._sweep.views):
            everybody = not ELSEWHERE.intersection(self._tables(view))
            names = [name for name, pair in self._sweep.services.items() if service_classes(pair) == view]
            for country, shift in self._shifts(number, view, cases).items():
                shift.everybody = everybody
                impact = impacts.setdefault(country, {})
                for name in names:
                    impact.setdefault(name, {}).setdefault(part, Shift()).add(shift)

    def _shifts(
        self, number: int, view: tuple[ServiceClass, ServiceClass], cases: Mapping[Case, float]
    ) -> dict[str, Shift]:
        grouped: dict[str, dict[Seen, float]] = {}
        for case, size in cases.items():
            key = self._projected(number, case)
            count_of = grouped.setdefault(self._sweep.country(case), {})
            count_of[key] = count_of.get(key, 0.0) + size
        anybody = any(known for group in grouped.values() for _, _, known in group)
        shifts = {}
        for country, group in grouped.items():
            shift = shifts[country] = Shift()
            for (was, now, known), size in group.items():
                shift.total += size
                shift.known += size if known else 0.0
                for moment in MOMENTS:
                    before, after = self._get(0, moment, view, was), self._get(1, moment, view, now)
                    apart, old, new = _compared(before, after)
                    count(shift.moved, moment, apart * size)
                    count(shift.moved_known, moment, apart * size if known else 0.0)
                    if known or not anybody:
                        _spread(shift.before.setdefault(moment, {}), old, size)
                        _spread(shift.after.setdefault(moment, {}), new, size)
        return shifts

    def _tables(self, view: tuple[ServiceClass, ServiceClass]) -> Iterator[str]:
        """What a service asks, before or after."""
        for side, alike in zip(self._sweep.sides, view, strict=True):
            yield from side.model.services[alike.name].tables

    def _projected(self, number: int, case: Case) -> Seen:
        """What one service sees of every table, before and after; whether any of those that it asks says anything."""
        letters = [
            self._sweep.alphabets[table].projected[letter]
            for table, letter in zip(self._sweep.tables, case, strict=False)
        ]
        return (
            tuple(was[number] for was, _, _ in letters),
            tuple(now[number] for _, now, _ in letters),
            any(speaks and (was[number] or now[number]) for was, now, speaks in letters),
        )

    def _get(
        self, number: int, moment: str, view: tuple[ServiceClass, ServiceClass], seen: tuple[Projected, ...]
    ) -> dict[str, Chances]:
        """What one side gives to the clients of one case; the same object where both sides and moments decide alike."""
        distribution = self._distributions[number][moment]
        name = view[number].name
        key = (id(distribution), name, seen)
        chances = self._chances.get(key)
        if chances is None:
            service = self._sweep.sides[number].model.services[name]
            chances = distribution.chances(service, dict(zip(self._sweep.tables, seen, strict=True)))
            self._chances[key] = chances
        return chances


class _Distributions:
    """One distribution for all sides and moments that have the same configuration and nodes that fare the same."""

    def __init__(self, states: Mapping[str, NodeState], now: float) -> None:
        self._states = states
        self._now = now
        self._made: list[tuple[Model, Distribution]] = []

    def of(self, model: Model, moment: str) -> Distribution:
        """The distribution for a configuration at a moment."""
        states = all_up(model) if moment == "all_up" else self._states
        fresh = Distribution(model, states, self._now)
        for known, distribution in self._made:
            if known is model and distribution.standing == fresh.standing:
                return distribution
        self._made.append((model, fresh))
        return fresh


def _compared(before: Mapping[str, Chances], after: Mapping[str, Chances]) -> tuple[float, Chances, Chances]:
    """How far apart two answers are: by the record type of both that changes most; the nodes by the first of them."""
    if before is after:
        first = next(iter(after.values()), {})
        return 0.0, first, first
    kinds = [kind for kind in before if kind in after]
    if not kinds:
        return 1.0, next(iter(before.values()), {}), next(iter(after.values()), {})
    apart = max(distance(before[kind], after[kind]) for kind in kinds)
    return apart, before[kinds[0]], after[kinds[0]]


def _spread(nodes: Chances, chances: Chances, size: float) -> None:
    for node, chance in chances.items():
        count(nodes, node, chance * size)

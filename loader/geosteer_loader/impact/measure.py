"""Traffic impact: which part of every service's clients would get another node, exactly and from ranges.

The boundaries of the tables before and after are swept once; what the services see of the records is all that is told apart,
so that half a million ranges come down to few different cases, and each case is decided once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from geosteer.decision.distribution import Distribution, View, all_up
from geosteer.decision.probabilities import distance
from geosteer.decision.records import SLOWEST
from geosteer.keys import FAMILIES
from geosteer_loader.impact.joint_tables import Case, ServiceClass, Side, Sweep
from geosteer_loader.impact.service_change import MOMENTS, Impact, RoundTrips, Shift, count

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from geosteer.decision.distribution import Projected
    from geosteer.decision.model import Entries, Model, Service
    from geosteer.decision.node_state import NodeState
    from geosteer.decision.probabilities import Chances
    from geosteer_loader.impact.census import Census
    from geosteer_loader.impact.joint_tables import Progress
    from geosteer_loader.impact.table_diff import Roots
    from geosteer_loader.impact.traffic import Traffic
    from geosteer_loader.store.pages import Pages

    Seen = tuple[tuple[Projected, ...], tuple[Projected, ...], bool]
    """What one service sees of every table, before and after; whether any of those that it asks says anything."""

ELSEWHERE = frozenset({"geo", "bgp", "path", "rtt"})
"""Tables that know of clients because others do; what `nets` has is a few prefixes of the operator's own choice."""


def measure(
    pages: Pages,
    roots: Mapping[str, Roots],
    before: Side,
    after: Side,
    states: Mapping[str, NodeState],
    now: float,
    traffic: Traffic | None = None,
    census: Census | None = None,
) -> Impact:
    """What becomes of the clients of every service that both sides have.

    Args:
        pages: of all tables, before and after.
        roots: field of `current` (`geo.v4`) -> digest of the root page before and after, None where there is none.
        states: of the nodes now.
        now: seconds since 1970.
        traffic: weighs real clients, too.
        census: of the same pages and tables, where others ask for it as well.

    Raises: CorruptPage: a published page is missing or damaged. StoreError.
    """
    return Survey(pages, roots, before, after, traffic, census=census).impact(states, now)


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
        census: Census | None = None,
    ) -> None:
        """Args as of `measure`, and as of `Sweep`. Raises: CorruptPage, StoreError."""
        self._sweep = Sweep(pages, roots, before, after, by_country=by_country, progress=progress)
        self._parts: list[tuple[str, dict[Case, float]]] = []
        if census is not None and traffic is None and len(self._sweep.tables) == 1:
            for suffix in FAMILIES:
                self._add(suffix, self._sweep.sizes(suffix, census))
            return
        families = self._sweep.families()
        for suffix, family in families.items():
            self._add(suffix, ((case, end - start) for start, end, case in family.spans()))
        if traffic is not None:
            self._parts += [("clients", family.weights(traffic)) for family in families.values()]

    def _add(self, suffix: str, sizes: Iterable[tuple[Case, int]]) -> None:
        cases: dict[Case, int] = {}
        for case, size in sizes:
            cases[case] = cases.get(case, 0) + size
        unit = float(1 << 80) if suffix == "v6" else 1.0
        self._parts.append((suffix, {case: size / unit for case, size in cases.items()}))

    def impact(self, states: Mapping[str, NodeState], now: float) -> Impact:
        """What becomes of all clients; services that decide alike share what is said of them."""
        total: Impact = {}
        for impact in self._by_country(states, now).values():
            for name, parts in impact.items():
                whole = total.setdefault(name, {})
                for part, shift in parts.items():
                    whole.setdefault(part, Shift()).add(shift)
        return {name: total.get(stand_in, {}) for name, stand_in in self._stand_ins().items()}

    def by_country(self, states: Mapping[str, NodeState], now: float) -> dict[str, Impact]:
        """Alpha-2 code of a country, "" for clients of whom none is known -> what becomes of its clients."""
        return {
            country: {name: impact[stand_in] for name, stand_in in self._stand_ins().items()}
            for country, impact in self._by_country(states, now).items()
        }

    def _stand_ins(self) -> dict[str, str]:
        """Service -> the first of those that decide like it."""
        first = {name: names[0] for names in self._sweep.alike.values() for name in names}
        return {name: first[name] for name in self._sweep.services}

    def _by_country(self, states: Mapping[str, NodeState], now: float) -> dict[str, Impact]:
        """As `by_country`, of one service of those that decide alike."""
        decider = _CaseDecider(self._sweep, states, now)
        impacts: dict[str, Impact] = {}
        for part, cases in self._parts:
            decider.weigh(impacts, part, cases)
        return impacts


class _CaseDecider:
    """Decides the cases."""

    def __init__(self, sweep: Sweep, states: Mapping[str, NodeState], now: float) -> None:
        self._sweep = sweep
        scenes = _Scenes(states, now)
        self._scenes = [{moment: scenes.of(side.model, moment) for moment in MOMENTS} for side in sweep.sides]
        self._chances: dict[tuple[object, ...], dict[str, Chances]] = {}

    def weigh(self, impacts: dict[str, Impact], part: str, cases: Mapping[Case, float]) -> None:
        """Add what becomes of the clients in each case to that part of their country's impact, by the first service alike."""
        for number, (view, names) in enumerate(self._sweep.alike.items()):
            everybody = not ELSEWHERE.intersection(self._tables(view))
            for country, shift in self._shifts(number, view, cases).items():
                shift.everybody = everybody
                impact = impacts.setdefault(country, {})
                impact.setdefault(names[0], {}).setdefault(part, Shift()).add(shift)

    def _shifts(
        self, number: int, view: tuple[ServiceClass, ServiceClass], cases: Mapping[Case, float]
    ) -> dict[str, Shift]:
        grouped: dict[str, dict[Seen, float]] = {}
        for case, size in cases.items():
            key = self._projected(number, case)
            count_of = grouped.setdefault(self._sweep.country(case), {})
            count_of[key] = count_of.get(key, 0.0) + size
        anybody = any(known for group in grouped.values() for _, _, known in group)
        services = [
            side.model.services[alike.name] for side, alike in zip(self._sweep.sides, view, strict=True)
        ]
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
                        if moment == "now":
                            self._time(shift.times_before, services[0], was, old, size)
                            self._time(shift.times_after, services[1], now, new, size)
        return shifts

    def _time(
        self,
        told: RoundTrips,
        service: Service,
        seen: tuple[Projected, ...],
        chances: Chances,
        size: float,
    ) -> None:
        """Add the times of the clients of one case, if the service asks for any."""
        if service.policy != "latency":
            return
        times = View(service, dict(zip(self._sweep.tables, seen, strict=True))).times
        times = {
            node: time for node, time in times.items() if time < SLOWEST
        }  # above are those that fail there
        for node, chance in chances.items():
            if node in times:
                told.add(chance * size, chance * size * times[node], chance * size * min(times.values()))

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
        scene = self._scenes[number][moment]
        name = view[number].name
        key = (id(scene), name, seen)
        chances = self._chances.get(key)
        if chances is None:
            service = self._sweep.sides[number].model.services[name]
            chances = self._chances[key] = scene.chances(
                service, View(service, dict(zip(self._sweep.tables, seen, strict=True)))
            )
        return chances


class _Scenes:
    """One scene for all sides and moments that have the same configuration and nodes that fare the same."""

    def __init__(self, states: Mapping[str, NodeState], now: float) -> None:
        self._states = states
        self._now = now
        self._made: list[_Scene] = []
        self._numbers: dict[object, int] = {}
        self._known: dict[tuple[object, ...], dict[str, Chances]] = {}

    def of(self, model: Model, moment: str) -> _Scene:
        """The scene for a configuration at a moment."""
        states = all_up(model) if moment == "all_up" else self._states
        fresh = Distribution(model, states, self._now)
        for scene in self._made:
            if scene.model is model and scene.distribution.standing == fresh.standing:
                return scene
        self._made.append(_Scene(model, fresh, self._numbers, self._known))
        return self._made[-1]


class _Scene:
    """A configuration with its nodes at a moment; what is equal in two of them is decided once."""

    def __init__(
        self,
        model: Model,
        distribution: Distribution,
        numbers: dict[object, int],
        known: dict[tuple[object, ...], dict[str, Chances]],
    ) -> None:
        """Args: numbers, known: what all scenes share: a number for each content, and what was decided."""
        self.model = model
        self.distribution = distribution
        self._numbers = numbers
        self._known = known
        self._nodes = {
            name: self._number((name, node.kinds, node.location, node.near_km, node.vantage, standing))
            for name, node in model.nodes.items()
            for standing in (distribution.standing.get(name),)
        }
        self._entries: dict[int, int] = {}

    def chances(self, service: Service, view: View) -> dict[str, Chances]:
        """As `Distribution.chances_of`."""
        area = service.map
        key = (
            service.choices, service.ranking, service.max_answers, area.all_down,
            self._entries_number(area.everyone), tuple([self._entries_number(entries) for _, entries in view.layers]),
            view.place, tuple(view.lengths.items()), tuple(view.times.items()),
        )  # fmt: skip
        chances = self._known.get(key)
        if chances is None:
            chances = self._known[key] = self.distribution.chances_of(service, view)
        return chances

    def _entries_number(self, entries: Entries) -> int:
        """The same for all nodes and weights that come to the same, in whatever configuration."""
        number = self._entries.get(
            id(entries)
        )  # the model keeps them, so that no other ones get that identity
        if number is None:
            number = self._number(tuple([(self._nodes[node.name], weight) for node, weight in entries]))
            self._entries[id(entries)] = number
        return number

    def _number(self, content: object) -> int:
        return self._numbers.setdefault(content, len(self._numbers))


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
        if chance:
            nodes[node] = nodes.get(node, 0.0) + chance * size

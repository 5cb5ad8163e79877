"""The tables that services ask, before and after at once, told apart by nothing but what a service makes of their records."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from heapq import merge as merge_sorted
from itertools import pairwise
from typing import TYPE_CHECKING

from geosteer.decision.director import Director
from geosteer.decision.distribution import Projection
from geosteer.decision.records import country_of, region_of
from geosteer.keys import FAMILIES
from geosteer_loader.impact.table_diff import Pairs, paired
from geosteer_loader.impact.traffic import networks
from geosteer_loader.store.pages import outline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from geosteer.decision.distribution import Projected
    from geosteer.decision.model import Model, Service
    from geosteer_loader.impact.census import Census
    from geosteer_loader.impact.table_diff import Roots
    from geosteer_loader.impact.traffic import Traffic
    from geosteer_loader.store.pages import Outline, Pages

    Progress = Callable[[int, int], None]

MEMORY = 1 << 16
"""Records of which it is remembered what services see in them; records with places can be millions."""

Case = tuple[int, ...]
"""For each table, which of its `Alphabet`'s letters the addresses have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """A configuration, and which of the two states of the tables it goes with."""

    model: Model
    after: bool
    """Whether it sees the tables as they would be."""


class Alphabet:
    """What all services see of one table, before and after, as a small number for each different view."""

    def __init__(
        self,
        table: str,
        projections: tuple[Sequence[Callable[[str], Projected]], Sequence[Callable[[str], Projected]]],
    ) -> None:
        self._projections = projections
        # Where nobody asks for places, regions are all there is to a record; and these are few.
        self._regions = table == "geo" and not any(
            isinstance(projection, Projection) and projection.place
            for side in projections
            for projection in side
        )
        # Views as small numbers: most pairs of records come down to few pairs of views.
        before = _Views()
        self._views = before, before if projections[0] is projections[1] else _Views()
        self._letters: dict[tuple[int, int], int] = {}
        self.projected: list[tuple[tuple[Projected, ...], tuple[Projected, ...], bool]] = []
        """Letter -> what each service sees before, and after, and whether the table says anything at all."""

    def letter(self, was: str, now: str) -> int:
        """The letter for records before and after."""
        first, second = self._views[0].known.get(was), self._views[1].known.get(now)
        pair = (
            self._look(0, was) if first is None else first,
            self._look(1, now) if second is None else second,
        )
        letter = self._letters.get(pair)
        if letter is None:
            letter = self._letters[pair] = len(self.projected)
            before, after = (views.seen[number] for views, number in zip(self._views, pair, strict=True))
            self.projected.append((before[0], after[0], before[1] or after[1]))
        return letter

    def sizes(self, pairs: Mapping[tuple[str, str], int]) -> dict[int, int]:
        """How many addresses have each letter. Args: pairs: how many have which records before and after."""
        first, second = self._views[0].known, self._views[1].known
        views: dict[tuple[int, int], tuple[str, str]] = {}  # millions of pairs come down to a few
        sizes: dict[tuple[int, int], int] = {}
        for records, size in pairs.items():
            was, now = records
            before, after = first.get(was), second.get(now)
            view = (
                self._look(0, was) if before is None else before,
                self._look(1, now) if after is None else after,
            )
            if view in sizes:
                sizes[view] += size
            else:
                views[view], sizes[view] = records, size
        return {self.letter(*views[view]): size for view, size in sizes.items()}

    def _look(self, side: int, record: str) -> int:
        """The number of what the services see in a record on one side."""
        views = self._views[side]
        if len(views.known) >= MEMORY:
            views.known.clear()
        shown = region_of(record) if self._regions else record
        number = views.known.get(shown)
        if number is None:
            view = tuple([projection(shown) for projection in self._projections[side]]), bool(shown)
            number = views.numbers.setdefault(view, len(views.seen))
            if number == len(views.seen):
                views.seen.append(view)
            views.known[shown] = number
        views.known[record] = number
        return number


class _Views:
    """What the services see of one side's records."""

    __slots__ = ("known", "numbers", "seen")

    def __init__(self) -> None:
        self.known: dict[str, int] = {}
        """Record, of some of them -> the number of its view."""
        self.numbers: dict[tuple[tuple[Projected, ...], bool], int] = {}
        self.seen: list[tuple[tuple[Projected, ...], bool]] = []
        """Number -> what each service sees, and whether the table says anything."""


class Family:
    """All tables of one family at once."""

    def __init__(self, bits: int, tables: Sequence[Pairs[int]]) -> None:
        self._bits = bits
        self._tables = tables

    def spans(self) -> Iterator[tuple[int, int, Case]]:
        """Ranges that cover the whole space, each with its case."""
        if len(self._tables) == 1:
            for start, end, letter in self._tables[0].spans():
                yield start, end, (letter,)
            return
        case = [table.values[0] for table in self._tables]
        begin = 0
        for start, number, letter in merge_sorted(*map(_boundaries, range(len(case)), self._tables)):
            if start > begin:
                yield begin, start, tuple(case)
                begin = start
            case[number] = letter
        yield begin, 1 << self._bits, tuple(case)

    def weights(self, traffic: Traffic) -> dict[Case, float]:
        """The traffic by case; a network within which there are several is shared out evenly over its addresses."""
        weights: dict[Case, float] = {}
        for first, end, weight in networks(traffic, self._bits):
            edges = {first, end}
            for table in self._tables:
                low, high = bisect_right(table.starts, first), bisect_right(table.starts, end - 1)
                edges.update(table.starts[low:high])
            ordered = sorted(edges)
            for start, after in pairwise(ordered):
                case = tuple(table.values[bisect_right(table.starts, start) - 1] for table in self._tables)
                weights[case] = weights.get(case, 0.0) + weight * (after - start) / (end - first)
        return weights


def _boundaries(number: int, table: Pairs[int]) -> Iterator[tuple[int, int, int]]:
    return ((start, number, letter) for start, letter in zip(table.starts, table.values, strict=True))


class Sweep:
    """The tables that the services ask, and how each service sees them."""

    def __init__(
        self,
        pages: Pages,
        roots: Mapping[str, Roots],
        before: Side,
        after: Side,
        *,
        by_country: bool = False,
        progress: Progress | None = None,
    ) -> None:
        """Args: by_country: tell clients apart by their country, too; progress: hears of leaves, done and all."""
        self._pages = pages
        self._roots = roots
        self.sides = before, after
        self.services = {
            name: (service, after.model.services[name])
            for name, service in before.model.services.items()
            if name in after.model.services
        }
        """Service -> before, after."""
        asked = {table for pair in self.services.values() for service in pair for table in service.tables}
        self.by_country = by_country
        if by_country:
            asked.add("geo")
        self.tables = sorted(asked)
        self.alike = _alike(self.services, [_equal_maps(side.model) for side in self.sides])
        """What decides alike before and after -> the services that do."""
        self.views = list(self.alike)
        self.alphabets = {table: self._alphabet(table) for table in self.tables}
        self._progress = progress
        self._done = 0

    def families(self) -> dict[str, Family]:
        """Suffix of a family (`v4`) -> its tables, swept."""
        outlines = {
            suffix: [self._outlines(table, suffix, bits) for table in self.tables]
            for suffix, bits in FAMILIES.items()
        }
        total = sum(len(new.leaves) for each in outlines.values() for _, new in each)
        swept = {}
        for suffix, bits in FAMILIES.items():
            pairs = []
            for table, (old, new) in zip(self.tables, outlines[suffix], strict=True):
                first, second = ((new if side.after else old) for side in self.sides)
                pairs.append(
                    paired(self._pages, first, second, self.alphabets[table].letter, self._heard(total))
                )
                self._done += len(new.leaves)
            swept[suffix] = Family(bits, pairs or [Pairs(bits=bits, starts=[0], values=[0])])
        return swept

    def sizes(self, suffix: str, census: Census) -> Iterator[tuple[Case, int]]:
        """How many addresses of a family (`v4`) are of each case, where services ask one table alone."""
        (table,) = self.tables
        field = f"{table}.{suffix}"
        was, now = self._roots.get(field, (None, None))
        sides: Roots = (now if self.sides[0].after else was, now if self.sides[1].after else was)
        for letter, size in self.alphabets[table].sizes(census.pairs(field, sides)).items():
            yield (letter,), size

    def country(self, case: Case) -> str:
        """The country of the clients in a case, after; "" where the table names none, or nobody asked to tell."""
        if not self.by_country:
            return ""
        letter = case[self.tables.index("geo")]
        (country,) = self.alphabets["geo"].projected[letter][1][-1]
        return str(country)

    def _outlines(self, table: str, suffix: str, bits: int) -> tuple[Outline, Outline]:
        was, now = self._roots.get(f"{table}.{suffix}", (None, None))
        old = outline(self._pages, bits, was)
        return old, old if was == now else outline(self._pages, bits, now)

    def _heard(self, total: int) -> Callable[[int], None] | None:
        progress, before = self._progress, self._done
        return None if progress is None else lambda leaves: progress(before + leaves, total)

    def _alphabet(self, table: str) -> Alphabet:
        before = self._projections(0, table)
        same = (
            self.sides[0].model is self.sides[1].model
        )  # tables alone differ: both sides see the same in a record
        return Alphabet(table, (before, before if same else self._projections(1, table)))

    def _projections(self, number: int, table: str) -> list[Callable[[str], Projected]]:
        model = self.sides[number].model
        projections: list[Callable[[str], Projected]] = [
            Projection(Director(model), model.services[view[number].name], table) for view in self.views
        ]
        if self.by_country and table == "geo":
            projections.append(_country)
        return projections


def _country(record: str) -> Projected:
    return (country_of(record),)


@dataclass(frozen=True, slots=True)
class ServiceClass:
    """Stands for all services that decide alike; the first of them is asked."""

    form: tuple[object, ...]
    name: str = field(compare=False)


def _alike(
    services: Mapping[str, tuple[Service, Service]], maps: Sequence[Mapping[str, str]]
) -> dict[tuple[ServiceClass, ServiceClass], list[str]]:
    """Services by what decides about them before and after, whatever they are called.

    Args: maps: before and after, map -> the one that stands for all equal ones.
    """
    alike: dict[tuple[ServiceClass, ServiceClass], list[str]] = {}
    for name, pair in services.items():
        first, second = (
            ServiceClass(
                (
                    equal[service.map.name],
                    *service.ranking,
                    service.cname,
                    service.max_answers,
                ),
                service.name,
            )
            for service, equal in zip(pair, maps, strict=True)
        )
        alike.setdefault((first, second), []).append(name)
    return alike


def _equal_maps(model: Model) -> dict[str, str]:
    """Map -> the first map that says the same."""
    first: dict[tuple[object, ...], str] = {}
    return {
        name: first.setdefault(
            (
                area.all_down,
                area.default,
                tuple((layer, table, frozenset(entries.items())) for layer, table, entries in area.layers),
            ),
            name,
        )
        for name, area in model.maps.items()
    }

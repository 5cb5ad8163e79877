"""Classes of clients worked out once for what is published; only what a node's state makes a difference to, again.

A table of half a million prefixes has a hundred thousand combinations of records. What the services make of each is worked out
once. A change of states then touches the classes whose nodes changed, so that files follow it at once.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Generic, TypeVar

from geosteer.decision.distribution import Projection, View
from geosteer.decision.layer_walk import levels
from geosteer.decision.model import NEARNESS
from geosteer_loader.export.client_classes import Answers, coarse
from geosteer_loader.progress import Silent

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from geosteer.decision.distribution import Distribution, Projected
    from geosteer.decision.model import Service
    from geosteer_loader.export.client_classes import Key
    from geosteer_loader.export.compiled_tables import Records, Spans
    from geosteer_loader.export.published_state import Picture
    from geosteer_loader.progress import Meter

    Seen = tuple[Projected, ...]
    """What a service makes of a combination of records, table by table."""

T = TypeVar("T")

FEW = 10_000
"""Kinds of clients that have a class each even where the policy goes by distance: countries and some hundred ASes make
no more than that, cities do."""


class Outcomes(Generic[T]):
    """What one service answers to each kind of clients, remembered for as long as the states of its nodes are the same."""

    def __init__(
        self, picture: Picture, service: Service, tables: Sequence[str], make: Callable[[Service, Answers], T]
    ) -> None:
        """Args: tables: in the order of the records; make: what is to be remembered of answers."""
        self.service = service
        self._picture, self._make, self._tables = picture, make, tables
        director = picture.generation.director
        self._project = [
            (tables.index(table), Projection(director, service, table)) for table in service.tables
        ]
        self._projected: list[dict[str, Projected]] = [{} for _ in self._project]
        self._kept: dict[Seen, tuple[T, frozenset[str]]] = {}
        self._levels = _levels(service, picture.distribution)

    def seen(self, records: Records) -> Seen:
        """What the service makes of a combination of records."""
        parts = []
        for (at, projection), known in zip(self._project, self._projected, strict=True):
            record = records[at]
            part = known.get(record)
            if part is None:
                part = known[record] = projection(record)
            parts.append(part)
        return tuple(parts)

    def of(self, records: Records) -> T:
        """What *make* made of the answers to clients with those records."""
        seen = self.seen(records)
        kept = self._kept.get(seen)
        if kept is None:
            answers = self.answers(records)
            kept = self._kept[seen] = self._make(self.service, answers), self._needed(answers)
        return kept[0]

    def answers(self, records: Records) -> Answers:
        """The answers to clients with those records, as the states are now."""
        picture = self._picture
        return Answers(
            picture.generation.director, picture.distribution, self.service,
            dict(zip(self._tables, records, strict=True)), picture.states, picture.now,
        )  # fmt: skip

    def forget(self, changed: frozenset[str]) -> None:
        """Forget what depends on nodes whose states changed."""
        now = _levels(self.service, self._picture.distribution)
        if now != self._levels:  # nodes count now that did not, or the other way round
            self._levels = now
            self._kept.clear()
            return
        for seen in [seen for seen, (_, needed) in self._kept.items() if not needed.isdisjoint(changed)]:
            del self._kept[seen]

    def _needed(self, answers: Answers) -> frozenset[str]:
        """The nodes that the answers depend on: those of the layers up to the first that keeps all clients, or all nodes."""
        standing = self._picture.distribution.standing
        layers = View(self.service, answers.seen).layers
        needed: set[str] = set()
        for kind, level in self._levels:
            offered = False
            for _, entries in layers:
                needed.update([node.name for node, weight in entries if weight > 0])
                shares = [
                    standing[node.name][1]
                    for node, weight in entries
                    if weight > 0 and node.has(kind) and standing.get(node.name, (None, 0))[0] == level
                ]
                offered = offered or bool(shares)
                if max(shares, default=0) >= 1 and not self.service.offsets:
                    break
            if not offered:
                return frozenset([node.name for node in self.service.map.nodes])
        return frozenset(needed)


def _levels(service: Service, distribution: Distribution) -> tuple[tuple[str, int | None], ...]:
    """For each record type the level of leniency at which some node of the map may serve first; None: at none."""
    allowed = levels(service.map.all_down)
    found = []
    for kind in service.kinds:
        standing = [
            distribution.standing[node.name][0]
            for node, weight in service.map.everyone
            if weight > 0 and node.has(kind) and node.name in distribution.standing
        ]
        level = min(standing, default=None)
        found.append((kind, level if level in allowed else None))
    return tuple(found)


class FollowedClasses(Generic[T]):
    """Classes of clients that a set of services treats alike, and what each service answers to each class.

    A class does not depend on node states, but where the policy goes by distance and places are more than `FEW`.
    """

    def __init__(
        self,
        picture: Picture,
        services: Sequence[Service],
        make: Callable[[Service, Answers], T],
        meter: Callable[[str], Meter] = Silent,
    ) -> None:
        """Args: make: what is to be known of a service's answers to a class.

        Raises: StoreError: a page is absent or damaged, or Redis failed.
        """
        self._picture = picture
        self._generation = picture.generation
        self.cells = picture.cells(table for service in services for table in service.tables)
        tables = self.cells.tables
        self.outcomes = [Outcomes(picture, service, tables, make) for service in services]
        self._samples: list[Records] = []
        self._present: dict[int, set[int]] = {}  # address bits -> combinations of records that occur in it
        with meter("classes") as shown:
            self._seen_of = self._sort_out(shown.progress)
        many = len(self._samples) > FEW
        self._near = [
            Outcomes(picture, service, tables, coarse) if many and service.policy in NEARNESS else None
            for service in services
        ]
        self._states = picture.standings
        self.keys: list[Key] = []
        """What tells each class from the others."""
        self.names: list[str] = []
        """Names of the classes: the same as long as it is the same class."""
        self.samples: list[Records] = []
        """For each class the records of some of its clients."""
        self.mapped: list[int] = []
        """For each combination of records the number of its class."""
        self._put_together()

    def follow(self) -> bool:
        """Take in the states of nodes as they are now; false: something else is published, and these classes are of no use."""
        if self._picture.generation is not self._generation:
            return False
        before, states = self._states, self._picture.standings
        if states == before:
            return True
        changed = frozenset([name for name in states.keys() | before if states.get(name) != before.get(name)])
        self._states = states
        for outcomes in self.outcomes:
            outcomes.forget(changed)
        near = [places for places in self._near if places is not None]
        for places in near:
            places.forget(changed)
        if near:
            self._put_together()
        return True

    def key(self, records: Records) -> Key:
        """What tells the class of clients with those records from the others."""
        return tuple(
            [
                near.of(records) if near is not None else outcomes.seen(records)
                for outcomes, near in zip(self.outcomes, self._near, strict=True)
            ]
        )

    def present(self, bits: int) -> list[int]:
        """The classes that have clients in a family, in order. Args: bits: 32 or 128."""
        if bits not in self._present:
            self._present[bits] = set(self.cells.spans[bits].numbers)
        return sorted({self.mapped[number] for number in self._present[bits]})

    def spread(self) -> Mapping[int, Spans]:
        """Address bits -> spans with the numbers of classes."""
        return self.cells.spread(self.mapped)

    def _sort_out(self, progress: Callable[[int, int], None]) -> list[int]:
        """For each combination of records the number of what the services make of it, with a sample of each such thing."""
        known: dict[tuple[Seen, ...], Records] = {}

        def classify(records: Records) -> tuple[Seen, ...]:
            seen = tuple([outcomes.seen(records) for outcomes in self.outcomes])
            known.setdefault(seen, records)
            return seen

        distinct, numbers = self.cells.classes(classify, progress)
        self._samples = [known[seen] for seen in distinct]
        return numbers

    def _put_together(self) -> None:
        numbers: dict[Key, int] = {}
        samples: list[Records] = []
        classes = []
        for records in self._samples:
            number = numbers.setdefault(self.key(records), len(numbers))
            if number == len(samples):
                samples.append(records)
            classes.append(number)
        mapped = [classes[seen] for seen in self._seen_of]
        if list(numbers) != self.keys or mapped != self.mapped:
            self.keys, self.samples, self.mapped = list(numbers), samples, mapped
            self.names = [_name(key) for key in numbers]


def _name(key: Key) -> str:
    return "c" + hashlib.sha1(repr(key).encode(), usedforsecurity=False).hexdigest()[:14]

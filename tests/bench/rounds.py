"""Rounds that alternate, and what they come to: medians, and ratios of what was measured side by side.

The speed of a machine may change within seconds. What is to be compared closely is measured in short slices, several a round,
one after the other in an order that rotates: each ratio is one of neighbours in time, and the median of many is judged.
"""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from .stage import Stage

    Result = dict[str, Any]


class Spread:
    """The median of several measurements, with the least and the greatest; or of many, with an interval of confidence."""

    __slots__ = ("high", "low", "middle")

    def __init__(self, values: Sequence[float]) -> None:
        self.middle = median(values)
        self.low, self.high = min(values), max(values)

    @classmethod
    def of_many(cls, values: Sequence[float]) -> Spread:
        """The median of short measurements, and between which two of them it lies with a probability of 95 %.

        Whatever their distribution is: about n/2 of n values are below the median, give or take the square root of n
        (binomial distribution; Conover, Practical Nonparametric Statistics, 3.2).
        """
        ordered = sorted(values)
        outside = max(0, int(len(ordered) / 2 - 0.98 * len(ordered) ** 0.5))
        return cls(ordered[outside : len(ordered) - outside])

    def to_json(self) -> dict[str, float]:
        """Three numbers."""
        return {"median": self.middle, "low": self.low, "high": self.high}

    def __format__(self, spec: str) -> str:
        spec = spec or ".2f"
        return f"{self.middle:{spec}} ({self.low:{spec}}-{self.high:{spec}})"


class Rounds:
    """Results by name, one list each, round by round."""

    def __init__(self, results: dict[str, list[Result]], sliced: frozenset[str] = frozenset()) -> None:
        """Args: sliced: those that have several results for each round."""
        self.results = results
        self._sliced = sliced

    @classmethod
    def run(cls, stage: Stage, what: Mapping[str, Callable[[int], Result]], label: str) -> Rounds:
        """Call everything once a round, in turn; each is given the number of the round."""
        results: dict[str, list[Result]] = {name: [] for name in what}
        names = list(what)
        for number in range(stage.rounds):
            # every second round the other way round, so that nobody always comes after the same one
            for name in names if number % 2 == 0 else reversed(names):
                stage.detail(f"{label}: round {number + 1} of {stage.rounds}, {name}")
                results[name].append(what[name](number))
        stage.say(f"{label}: {stage.rounds} rounds done")
        return cls(results)

    @classmethod
    def run_sliced(
        cls,
        stage: Stage,
        close: Mapping[str, Callable[[int], Result]],
        others: Mapping[str, Callable[[int], Result]],
        label: str,
        slices: int,
    ) -> Rounds:
        """As `run`; what is to be compared closely is called so often a round, in turn, before the others are, once."""
        results: dict[str, list[Result]] = {name: [] for name in (*close, *others)}
        names = list(close)
        for number in range(stage.rounds):
            for part in range(number * slices, (number + 1) * slices):
                stage.detail(f"{label}: round {number + 1} of {stage.rounds}, slice {part % slices + 1}")
                first = part // 2 % len(names)  # nobody always comes first, or after the same one
                order = names[first:] + names[:first]
                for name in order if part % 2 == 0 else reversed(order):
                    results[name].append(close[name](part))
            for name in others if number % 2 == 0 else list(others)[::-1]:
                stage.detail(f"{label}: round {number + 1} of {stage.rounds}, {name}")
                results[name].append(others[name](number))
        stage.say(f"{label}: {stage.rounds} rounds done, {slices} slices each")
        return cls(results, frozenset(close) if slices > 1 else frozenset())

    def values(self, name: str, key: str) -> list[float]:
        """One number of every round."""
        return [float(result[key]) for result in self.results[name]]

    def spread(self, name: str, key: str) -> Spread:
        """What the rounds come to."""
        values = self.values(name, key)
        return Spread.of_many(values) if name in self._sliced else Spread(values)

    def ratio(self, name: str, key: str, base: str) -> Spread:
        """One number as a multiple of another's, round by round."""
        values, bases = self.values(name, key), self.values(base, key)
        count = min(len(values), len(bases))
        pairs = zip(_means(values, count), _means(bases, count), strict=True)
        ratios = [mine / theirs if theirs else 0.0 for mine, theirs in pairs]
        return Spread.of_many(ratios) if {name, base} <= self._sliced else Spread(ratios)

    def to_json(self) -> dict[str, list[Result]]:
        """All results."""
        return dict(self.results)


def _means(values: Sequence[float], count: int) -> list[float]:
    """So many means, each of as many values that follow one another."""
    size = len(values) // count
    return [sum(values[at : at + size]) / size for at in range(0, size * count, size)]

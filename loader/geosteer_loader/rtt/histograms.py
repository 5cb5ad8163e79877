"""What is kept of one network: node -> histogram and failures, as bytes of a row, with the time that its weights are of."""

from __future__ import annotations

import struct
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from geosteer_loader.rtt.sample import ANSWERED
from geosteer_loader.rtt.sketch import bin_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from geosteer_loader.rtt.sample import Sample

FAILURE = 0xFFFF
"""The bin of failures."""
SUCCESS = 0xFFFE
"""The bin of answers in a time that is not known."""
FRESH = 0x8000
"""Added to the number of a node in cells of what came since the last window."""
CELL = struct.Struct("<HHf")
FADED = 0.02
"""Weight below which a cell is forgotten."""
CELLS = 8192
"""Cells of one network at most; the lightest are forgotten."""


def decayed(seconds: float, half_life: float) -> float:
    """What is left of a weight after so many seconds; 1 for times to come."""
    return float(0.5 ** (max(0.0, seconds) / half_life))


@dataclass(slots=True)
class Measured:
    """What one network saw of one node; weights, decayed."""

    bins: list[tuple[int, float]] = field(default_factory=list)
    """Bin of the round-trip time -> weight, in no order."""
    answers: float = 0.0
    """All that the node answered, in a known time or not."""
    failures: float = 0.0

    def add(self, number: int, weight: float) -> None:
        """Count a cell."""
        if number == FAILURE:
            self.failures += weight
            return
        self.answers += weight
        if number != SUCCESS:
            self.bins.append((number, weight))


class Histograms:
    """Of one network."""

    __slots__ = ("cells", "stamp")

    def __init__(self, stamp: float, packed: bytes = b"") -> None:
        """Args: stamp: seconds since 1970 that the weights are of. Raises: ValueError: the bytes are not whole cells."""
        self.stamp = stamp
        self.cells: defaultdict[tuple[int, int], float] = defaultdict(float)
        """Number of a node and bin -> weight."""
        if len(packed) % CELL.size or len(packed) > CELLS * CELL.size:
            raise ValueError("damaged histogram")
        for node, number, weight in CELL.iter_unpack(packed):
            if not 0 <= weight < 1e12:
                raise ValueError("damaged histogram")
            self.cells[node, number] += weight

    def advance(self, time: float, half_life: float) -> None:
        """Let all weights fade to *time*; never back."""
        if time <= self.stamp:
            return
        left = decayed(time - self.stamp, half_life)
        self.stamp = time
        for key, weight in list(self.cells.items()):
            if weight * left < FADED:
                del self.cells[key]
            else:
                self.cells[key] = weight * left

    def add(self, samples: Sequence[tuple[int, Sample]], half_life: float) -> None:
        """Count samples, each with its node's number; an old one counts as much as if it had come in time."""
        self.advance(max([sample.time for _, sample in samples], default=0.0), half_life)
        for node, sample in samples:
            weight = sample.weight * decayed(self.stamp - sample.time, half_life)
            self.cells[node | FRESH, _bin(sample.milliseconds)] += weight

    def packed(self) -> bytes:
        """The bytes of a row."""
        heaviest = sorted(self.cells.items(), key=lambda item: -item[1])[:CELLS]
        return b"".join([CELL.pack(node, number, weight) for (node, number), weight in sorted(heaviest)])

    def by_node(self) -> Iterator[tuple[int, Measured]]:
        """What is kept of each node, by its number."""
        nodes: defaultdict[int, Measured] = defaultdict(Measured)
        for (node, number), weight in self.cells.items():
            nodes[node & ~FRESH].add(number, weight)
        yield from nodes.items()

    def recent(self) -> Iterator[tuple[int, Measured, Measured]]:
        """Number of each node measured since the last window, what came since then, and what came before."""
        nodes: defaultdict[int, Measured] = defaultdict(Measured)
        for (node, number), weight in self.cells.items():
            nodes[node].add(number, weight)
        for node, fresh in list(nodes.items()):
            if node & FRESH:
                yield node & ~FRESH, fresh, nodes[node & ~FRESH]

    def settle(self, changed: Collection[int]) -> None:
        """End a window: what is recent is past from now on, and of *changed* nodes it is all of the past."""
        before, self.cells = self.cells, defaultdict(float)
        for (node, number), weight in before.items():
            if node & FRESH or node not in changed:
                self.cells[node & ~FRESH, number] += weight


def _bin(milliseconds: float | None) -> int:
    if milliseconds is None:
        return FAILURE
    return SUCCESS if milliseconds == ANSWERED else bin_of(milliseconds)

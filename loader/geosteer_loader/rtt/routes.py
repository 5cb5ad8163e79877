"""Where networks belong: announced prefixes with their origins, in arrays, since there may be more than a million."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Routes:
    """The prefixes of one address family."""

    __slots__ = ("_firsts", "_lengths", "_origins", "_sorted", "bits")

    def __init__(self, bits: int) -> None:
        self.bits = bits
        self._firsts: array[int] = array("Q")
        """The first 64 bits of the first address: no announced prefix is longer."""
        self._lengths = bytearray()
        self._origins: array[int] = array("I")
        self._sorted = True

    def add(self, first: int, length: int, origin: int) -> None:
        """Take in a prefix; one that is longer than what is kept of a client holds none of them, and is left out."""
        if length <= (24 if self.bits == 32 else 48):
            self._firsts.append(first >> (self.bits - min(self.bits, 64)))
            self._lengths.append(length)
            self._origins.append(origin)
            self._sorted = False

    def _sort(self) -> None:
        order = sorted(range(len(self._firsts)), key=lambda at: (self._firsts[at], self._lengths[at]))
        # Of the same prefix twice the later one counts, as in the tables.
        order = [
            at
            for at, after in zip(order, [*order[1:], None], strict=True)
            if after is None
            or (self._firsts[at], self._lengths[at]) != (self._firsts[after], self._lengths[after])
        ]
        self._firsts = array("Q", [self._firsts[at] for at in order])
        self._origins = array("I", [self._origins[at] for at in order])
        self._lengths = bytearray([self._lengths[at] for at in order])
        self._sorted = True

    def covering(self, network: int) -> tuple[int, int, int] | None:
        """First address, length and origin of the longest prefix that holds a network; None: nobody announces it."""
        if not self._sorted:
            self._sort()
        wide = min(self.bits, 64)
        short = network >> (self.bits - wide)
        for length in range(24 if self.bits == 32 else 48, 0, -1):
            first = short >> (wide - length) << (wide - length)
            low = bisect_left(self._firsts, first)
            high = bisect_right(self._firsts, first, low)
            at = self._lengths.find(length, low, high)
            if at >= 0:
                return first << (self.bits - wide), length, self._origins[at]
        return None

    def __iter__(self) -> Iterator[tuple[int, int, int]]:
        """First address, length and origin of each, in address order, wider ones first."""
        if not self._sorted:
            self._sort()
        up = self.bits - min(self.bits, 64)
        for first, length, origin in zip(self._firsts, self._lengths, self._origins, strict=True):
            yield first << up, length, origin

"""Validated ROA payloads (VRPs), and origin validation by RFC 6811.

A VRP says that an AS may originate a prefix and what is inside it down to a length. A route is *valid* if any VRP that covers
its prefix has its origin and allows its length, *invalid* if VRPs cover it and none does, *not found* where none covers it. AS
0 validates nothing (RFC 6483, 4); a route whose path ends in an AS set has no origin, and so is never valid.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    Vrp = tuple[int, int, int, int, int]
    """Address bits, first address, length of the prefix; longest length that is allowed; AS."""


class State(Enum):
    """What RFC 6811 calls the validation state of a route."""

    VALID = "valid"
    INVALID = "invalid"
    NOT_FOUND = "not found"


NOBODY: frozenset[int] = frozenset()


class Vrps:
    """A set of VRPs, to be asked about many prefixes: one dictionary for each length that a VRP has."""

    def __init__(self, entries: Iterable[Vrp]) -> None:
        by_length: dict[tuple[int, int], dict[int, tuple[int, ...]]] = {}
        shared: dict[tuple[int, ...], tuple[int, ...]] = {}
        self.count = 0
        """Different ones."""
        for bits, start, length, longest, asn in entries:
            table = by_length.setdefault((bits, length), {})
            key = start >> (bits - length)
            word = asn << 8 | longest
            known = table.get(key, ())
            if word not in known:
                words = (*known, word)
                table[key] = shared.setdefault(
                    words, words
                )  # one tuple for all prefixes that are allowed the same
                self.count += 1
        self._steps = {
            (bits, length): [
                (bits - wider, by_length[bits, wider])
                for wider in range(length + 1)
                if (bits, wider) in by_length
            ]
            for bits in (32, 128)
            for length in range(bits + 1)
        }
        self._sets: dict[tuple[int, ...], frozenset[int]] = {}

    def authorised(self, bits: int, start: int, length: int) -> frozenset[int] | None:
        """The ASes that may originate a prefix; None: no VRP covers it, so anybody may as far as they tell."""
        allowed: tuple[int, ...] | None = None
        for shift, table in self._steps[bits, length]:
            words = table.get(start >> shift)
            if words is not None:
                fitting = tuple(word >> 8 for word in words if word & 0xFF >= length and word >> 8)
                allowed = fitting if allowed is None else allowed + fitting
        if not allowed:
            return None if allowed is None else NOBODY
        known = self._sets.get(allowed)
        if known is None:
            known = self._sets[allowed] = frozenset(allowed)
        return known

    def state(self, bits: int, start: int, length: int, origin: int | None) -> State:
        """What a route is. Args: origin: the last AS of its path; None: that is a set, or there is none."""
        authorised = self.authorised(bits, start, length)
        if authorised is None:
            return State.NOT_FOUND
        return State.VALID if origin in authorised else State.INVALID

"""The AS path of a route from the segments in which streams tell it, by the rules for dumps (`sources.bgp_routes`)."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

from geosteer_loader.sources.bgp_routes import as_path, own_path, steps_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from geosteer_loader.sources.bgp_routes import AsPath, Step

SET, SEQUENCE, CONFEDERATION_SEQUENCE, CONFEDERATION_SET = 1, 2, 3, 4
"""Types of segments (RFC 4271, 4.3; RFC 5065, 3)."""

MOST_ASES = 5000
"""ASes of a path that are believed; a message of BGP holds about 1,000, an extended one (RFC 8654) no more than 16,000."""

_MOST_KNOWN = 1 << 18
"""Paths that are remembered; a full table has some 200,000. Those of gone routes are forgotten with all others."""
_known: dict[str | AsPath, AsPath] = {}
"""By their text; those without one, by what counts."""


def path_of(segments: Sequence[tuple[int, Sequence[object]]], peer_as: int) -> AsPath:
    """What is wanted of a path of segments (type, AS numbers); of one without any, the route is the peer's own.

    Raises: ValueError: not a path.
    """
    if not segments:
        return own(peer_as)
    steps: list[Step] = []
    total = 0
    for kind, numbers in segments:
        total += len(numbers)
        if total > MOST_ASES:
            raise ValueError(f"an AS path of more than {MOST_ASES} ASes")
        if kind == SEQUENCE:
            steps += [(number,) for number in checked(numbers)]
        elif kind == SET:
            steps.append(frozenset(checked(numbers)))
        elif kind not in {CONFEDERATION_SEQUENCE, CONFEDERATION_SET}:
            raise ValueError(f"AS path segment of type {str(kind)[:20]}")
    return path_of_steps(tuple(steps))


def checked(numbers: Iterable[object]) -> list[int]:
    """AS numbers. Raises: ValueError: one is not."""
    good = [number for number in numbers if type(number) is int and 0 <= number <= 0xFFFFFFFF]
    if len(good) != len(list(numbers)):
        raise ValueError("not an AS number in a path")
    return good


@lru_cache(maxsize=1 << 15)
def path_of_steps(steps: tuple[Step, ...]) -> AsPath:
    """The one path of these steps, confederations left out."""
    return _shared(replace(as_path(steps), text=steps_text(steps)))


@lru_cache(maxsize=1 << 10)
def own(peer_as: int) -> AsPath:
    """The one path of the routes of a peer's own network."""
    return _shared(own_path(peer_as))


def _shared(path: AsPath) -> AsPath:
    """The one object for all equal paths, so that a million routes take the room of what differs between them."""
    key = path.text or path
    known = _known.get(key)
    if known is None:
        if len(_known) >= _MOST_KNOWN:
            _known.clear()
        known = _known[key] = path
    return known

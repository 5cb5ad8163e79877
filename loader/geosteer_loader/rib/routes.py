"""The routes that one session has announced and not withdrawn: at most some 100 bytes each."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from geosteer_loader.rib.messages import Route
    from geosteer_loader.sources.bgp_routes import AsPath

    Held = AsPath | tuple[tuple[int, AsPath], ...]
    """The path of a prefix; with ADD-PATH, the paths by their identifiers."""


MOST_PATHS = 512
"""To a prefix, of one session: routers send some ten at most."""


class SessionRoutes:
    """Prefixes of both families with the paths that lead there; without ADD-PATH a prefix has one.

    A path that differs in its text alone takes the place of the one before, and counts as the same.
    """

    def __init__(self, held: dict[int, dict[int, Held]] | None = None) -> None:
        """Args: held: address bits -> prefixes with their paths, to begin with; default: none."""
        self._held: dict[int, dict[int, Held]] = held or {32: {}, 128: {}}

    def snapshot(self, bits: int) -> tuple[list[int], list[Held]]:
        """The prefixes of a family, and what is held of each, as they are now: quick, and in little room."""
        held = self._held[bits]
        return list(held), list(held.values())

    def set(self, bits: int, route: Route, path: AsPath | None) -> bool:
        """A route is announced (also in place of an earlier one), or withdrawn (None); whether anything is different now."""
        held = self._held[bits]
        number, identifier = route
        before = held.get(number)
        if identifier is None:
            if path is before:
                return False
            after: Held | None = path
        else:
            known = dict(before) if isinstance(before, tuple) else {}
            if path is None:
                known.pop(identifier, None)
            else:
                known[identifier] = path
                if len(known) > MOST_PATHS:
                    raise ValueError(f"more than {MOST_PATHS} paths to a prefix")
            after = tuple(known.items()) or None
        if after is None:
            return held.pop(number, None) is not None
        held[number] = after
        return after != before

    def paths(self, bits: int, number: int) -> tuple[AsPath, ...]:
        """The paths to a prefix."""
        held = self._held[bits].get(number)
        if held is None:
            return ()
        return tuple([path for _, path in held]) if isinstance(held, tuple) else (held,)

    def told(self, bits: int, number: int) -> tuple[tuple[int | None, AsPath], ...]:
        """The same, each with its identifier; None: it has none."""
        held = self._held[bits].get(number)
        if held is None:
            return ()
        return held if isinstance(held, tuple) else ((None, held),)

    def numbers(self, bits: int) -> Collection[int]:
        """The prefixes of a family."""
        return self._held[bits].keys()

    def prefixes(self, bits: int) -> int:
        """How many prefixes of a family there are."""
        return len(self._held[bits])

    def different(self, other: SessionRoutes, bits: int) -> Iterator[int]:
        """Prefixes of a family that the other has not, or otherwise, and those that only the other has."""
        mine, others = self._held[bits], other._held[bits]
        yield from (number for number, held in mine.items() if others.get(number) != held)
        yield from others.keys() - mine.keys()

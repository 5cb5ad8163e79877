"""How nodes are told apart on a map: six colours that the colour-blind tell apart, plain and hatched, and a number each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00")
"""Of Okabe and Ito, "Color Universal Design", 2008. Twelve hues cannot be told apart without colour vision; these can."""


SLOTS = 2 * len(COLOURS)
"""Colours plain, then colours hatched."""


@dataclass(frozen=True, slots=True)
class Style:
    """How one node is drawn."""

    number: int
    """From 1; it stands on the map, and before the node's name in lists."""
    colour: int
    """Index into `COLOURS`."""
    hatched: bool


def styles(
    nodes: Iterable[str], leaders: Mapping[str, Iterable[str]], neighbours: Sequence[tuple[str, str]]
) -> dict[str, Style]:
    """A style for each node: up to twelve have one of their own each.

    Nodes that lead in neighbouring countries get different colours, or at least styles, as far as that goes.

    Args: leaders: country -> the nodes that may have most of its clients; neighbours: countries with a common border.
    """
    names = sorted(nodes)
    slots = _slots(names, leaders, neighbours)
    return {
        name: Style(number, slots[name] % len(COLOURS), slots[name] >= len(COLOURS))
        for number, name in enumerate(names, 1)
    }


def _slots(
    names: Sequence[str], leaders: Mapping[str, Iterable[str]], neighbours: Sequence[tuple[str, str]]
) -> dict[str, int]:
    """Each node takes the slot that fewest of its neighbours have, then fewest of all, then of a colour that they have not."""
    touching: dict[str, set[str]] = {name: set() for name in names}
    for first, second in neighbours:
        for one in leaders.get(first, ()):
            for other in leaders.get(second, ()):
                if one != other and one in touching and other in touching:
                    touching[one].add(other)
                    touching[other].add(one)
    slots: dict[str, int] = {}
    used = [0] * SLOTS
    # Where there is a slot for each, by name: then a node keeps its own when another is added behind it.
    ordered = names if len(names) <= SLOTS else sorted(names, key=lambda each: (-len(touching[each]), each))
    for name in ordered:
        near = [slots[other] for other in touching[name] if other in slots]
        slot = min(range(SLOTS), key=lambda each: (near.count(each), used[each], _alike(each, near), each))
        slots[name] = slot
        used[slot] += 1
    return slots


def _alike(slot: int, near: Sequence[int]) -> int:
    """How many of those near have the same colour, plain or hatched."""
    return sum(other % len(COLOURS) == slot % len(COLOURS) for other in near)

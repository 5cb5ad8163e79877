"""The world's countries as they are drawn: made from Natural Earth, which is in the public domain, and part of the package."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

Place = tuple[int, int]
"""Units of the map from its upper left corner, to the right and down."""


@dataclass(frozen=True, slots=True)
class Country:
    """How one country is drawn."""

    name: str
    at: Place
    """A point well inside, or the middle of the dot."""
    room: int
    """Units from there to the border; 0: it is too small for a shape."""
    path: str
    """Of SVG; "": a dot stands for it."""


@dataclass(frozen=True, slots=True)
class World:
    """All of them."""

    countries: Mapping[str, Country]
    """Alpha-2 code -> how it is drawn; Antarctica is not."""
    neighbours: tuple[tuple[str, str], ...]
    """Countries that have a border in common."""


@cache
def world() -> World:
    """The shapes of the package."""
    data = json.loads((files("geosteer_loader.web") / "shapes.json").read_text("utf-8"))
    countries = {
        code: Country(
            shape["name"], (shape["at"][0], shape["at"][1]), shape.get("room", 0), shape.get("path", "")
        )
        for code, shape in data["countries"].items()
    }
    pairs = (pair.split() for pair in data["neighbours"])
    return World(countries, tuple((first, second) for first, second in pairs))

"""Makes the country shapes of the map from Natural Earth; a developer runs it once, and its result is part of the package.

    npm pack world-atlas@2.0.2 && tar xzf world-atlas-2.0.2.tgz
    cd tests && ../.venv/bin/python -m support.shapes_from_natural_earth ../package/countries-50m.json

Natural Earth (https://www.naturalearthdata.com) is in the public domain; world-atlas repackages it as TopoJSON. In TopoJSON
borders are arcs that neighbours share: they are simplified one by one, so that they stay shared.
"""

from __future__ import annotations

import json
import sys
from itertools import pairwise
from math import hypot
from pathlib import Path
from typing import Any

from geosteer_loader.sources.countries import COUNTRIES, NUMERIC
from geosteer_loader.web.projection import HEIGHT, WIDTH, flat, project, turned

TARGET = Path(__file__).parents[2] / "loader" / "geosteer_loader" / "web" / "shapes.json"
TOLERANCE = 4.5
"""Units of the map, tenths of a pixel at 1,000 pixels: what a simplified border may be off."""
ISLET = 160.0
"""Square units: smaller rings are left out of a country that has larger ones."""
SMALL = 600.0
"""Square units: a country that is smaller is a dot."""

UNNUMBERED = {"Kosovo": "XK", "N. Cyprus": "CY", "Somaliland": "SO"}
"""Features without an ISO code -> whose addresses they use."""
NAMES = {"XK": "Kosovo", "CY": "Cyprus", "SO": "Somalia"}
OVERSEAS = {
    "France": {"GF": (-53, 4), "MQ": (-61, 14.6), "GP": (-61.5, 16.2), "RE": (55.5, -21), "YT": (45, -12.8)},
    "Netherlands": {"BQ": (-68.3, 12.2)},
    "Norway": {"SJ": (16, 78.5), "BV": (3.4, -54.4)},
    "New Zealand": {"TK": (-171.8, -9.2)},
    "Indian Ocean Ter.": {"CX": (105.6, -10.5), "CC": (96.8, -12.2)},
}
"""Feature -> code of its own that a part has, and where that part is (longitude, latitude)."""
NEAR = 3.5
"""Degrees: how far a part may be from there."""
BY_HAND = {
    "BQ": ("Caribbean Netherlands", -68.3, 12.2), "BV": ("Bouvet I.", 3.4, -54.4), "CC": ("Cocos Is.", 96.8, -12.2),
    "CX": ("Christmas I.", 105.6, -10.5), "GF": ("French Guiana", -53, 4), "GI": ("Gibraltar", -5.35, 36.14),
    "GP": ("Guadeloupe", -61.5, 16.2), "MQ": ("Martinique", -61, 14.6), "RE": ("Réunion", 55.5, -21.1),
    "SJ": ("Svalbard and Jan Mayen", 16, 78.5), "TK": ("Tokelau", -171.8, -9.2), "TV": ("Tuvalu", 179.2, -8.5),
    "UM": ("U.S. Outlying Is.", 166.6, 19.3), "YT": ("Mayotte", 45.2, -12.8),
}  # fmt: skip
"""Countries without a feature: name, longitude, latitude."""

Point = tuple[float, float]
Ring = list[Point]


def main() -> None:
    """Read the file that is named, write the package's."""
    shapes = convert(json.loads(Path(sys.argv[1]).read_text()))
    TARGET.write_text(json.dumps(shapes, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")
    drawn = sum("path" in shape for shape in shapes["countries"].values())
    print(f"{TARGET}: {TARGET.stat().st_size} bytes, {drawn} shapes, {len(shapes['countries']) - drawn} dots")


def convert(topology: dict[str, Any]) -> dict[str, Any]:
    """The package's data from TopoJSON."""
    arcs = [simplified(arc) for arc in decoded(topology)]
    rings: dict[str, list[Ring]] = {}
    users: dict[int, set[str]] = {}
    names: dict[str, str] = {}
    for feature in topology["objects"]["countries"]["geometries"]:
        code = code_of(feature)
        if code in {"", "AQ"}:
            continue
        names.setdefault(code, NAMES.get(code, feature["properties"]["name"]))
        for numbers in outer_rings(feature):
            ring = joined(arcs, numbers)
            part = part_of(feature["properties"]["name"], ring) or code
            rings.setdefault(part, []).append(ring)
            for number in numbers:
                users.setdefault(number if number >= 0 else ~number, set()).add(part)
    countries = {}
    for code in sorted(COUNTRIES - {"AQ"}):
        if code not in names and code not in BY_HAND:
            continue
        name, *place = BY_HAND.get(code, (names.get(code, ""),))
        shape = drawn(rings.get(code, []), place)
        countries[code] = {"name": name, **shape}
    pairs = sorted({tuple(sorted(both)) for both in users.values() if len(both) == 2})
    return {
        "source": "Natural Earth 1:50m (public domain), by way of world-atlas 2.0.2; Equal Earth projection",
        "width": WIDTH,
        "height": HEIGHT,
        "countries": countries,
        "neighbours": [" ".join(pair) for pair in pairs],
    }


def code_of(feature: dict[str, Any]) -> str:
    """Alpha-2 code; "" for a place that has no addresses of its own."""
    name = feature["properties"]["name"]
    if name == "Indian Ocean Ter.":
        return "CX"
    if "id" not in feature or int(feature["id"]) < 0:
        return UNNUMBERED.get(name, "")
    return NUMERIC[int(feature["id"])]


def part_of(feature: str, ring: Ring) -> str:
    """The code of a part of a country that has one of its own."""
    lon = sum(point[0] for point in ring) / len(ring)
    lat = sum(point[1] for point in ring) / len(ring)
    for code, (x, y) in OVERSEAS.get(feature, {}).items():
        if hypot(turned(lon) - turned(x), lat - y) < (8 if code == "SJ" else NEAR):
            return code
    return ""


def decoded(topology: dict[str, Any]) -> list[Ring]:
    """Every arc in degrees (TopoJSON: differences, scaled)."""
    (kx, ky), (dx, dy) = topology["transform"]["scale"], topology["transform"]["translate"]
    arcs = []
    for arc in topology["arcs"]:
        x = y = 0
        points = []
        for step_x, step_y in arc:
            x, y = x + step_x, y + step_y
            points.append((x * kx + dx, y * ky + dy))
        arcs.append(points)
    return arcs


def outer_rings(feature: dict[str, Any]) -> list[list[int]]:
    """The arcs of each ring; holes too: a country within another is drawn over it anyway."""
    if feature["type"] == "Polygon":
        return [feature["arcs"][0]]
    return [polygon[0] for polygon in feature["arcs"]]


def unwrapped(ring: Ring) -> Ring:
    """Longitudes counted from the middle of the map, without a jump at an edge."""
    lons = [turned(ring[0][0])]
    for (before, _), (lon, _) in pairwise(ring):
        lons.append(lons[-1] + (lon - before + 180) % 360 - 180)
    middle = (min(lons) + max(lons)) / 2
    shift = -360 * round(middle / 360)
    return [(lon + shift, lat) for lon, (_, lat) in zip(lons, ring, strict=True)]


def on_map(ring: Ring) -> Ring:
    """In units of the map; what reaches beyond its edges ends there."""
    return [flat(lat, min(max(lon, -180.0), 180.0)) for lon, lat in unwrapped(ring)]


def simplified(arc: Ring) -> Ring:
    """Fewer points, none of those left out farther than `TOLERANCE` from the line (Douglas and Peucker)."""
    flat_arc = on_map(arc)
    if len(arc) > 2 and arc[0] == arc[-1]:  # an island: both ends are one point
        far = max(
            range(len(arc)),
            key=lambda at: hypot(flat_arc[at][0] - flat_arc[0][0], flat_arc[at][1] - flat_arc[0][1]),
        )
        return [arc[at] for at in sorted(_kept(flat_arc, 0, far) | _kept(flat_arc, far, len(arc) - 1))]
    return [arc[at] for at in sorted(_kept(flat_arc, 0, len(arc) - 1))]


def _kept(line: Ring, first: int, last: int) -> set[int]:
    kept, waiting = {first, last}, [(first, last)]
    while waiting:
        low, high = waiting.pop()
        distances = [(_distance(line[at], line[low], line[high]), at) for at in range(low + 1, high)]
        most, at = max(distances, default=(0.0, low))
        if most > TOLERANCE:
            kept.add(at)
            waiting += [(low, at), (at, high)]
    return kept


def _distance(point: Point, begin: Point, end: Point) -> float:
    (x, y), (x1, y1), (x2, y2) = point, begin, end
    length = hypot(x2 - x1, y2 - y1)
    if not length:
        return hypot(x - x1, y - y1)
    along = min(max(((x - x1) * (x2 - x1) + (y - y1) * (y2 - y1)) / length**2, 0.0), 1.0)
    return hypot(x - x1 - along * (x2 - x1), y - y1 - along * (y2 - y1))


def joined(arcs: list[Ring], numbers: list[int]) -> Ring:
    """A ring out of its arcs; ~n is arc n backwards."""
    ring: Ring = []
    for number in numbers:
        arc = arcs[number] if number >= 0 else arcs[~number][::-1]
        ring += arc if not ring else arc[1:]
    return ring


def area(ring: Ring) -> float:
    """Of a ring on the map, square units."""
    return abs(sum(x1 * y2 - x2 * y1 for (x1, y1), (x2, y2) in pairwise([*ring, ring[0]]))) / 2


def drawn(rings: list[Ring], place: list[Any]) -> dict[str, Any]:
    """`path` (SVG) with `at`, a point well inside, and `room` around it; or `at` alone, where a dot stands for it."""
    flat_rings = sorted((on_map(ring) for ring in rings), key=area, reverse=True)
    if not flat_rings or area(flat_rings[0]) < SMALL:
        x, y = _middle(flat_rings[0]) if flat_rings and not place else project(place[1], place[0])
        return {"at": [round(x), round(y)]}
    shown = [ring for ring in flat_rings if area(ring) > ISLET]
    x, y, room = inside(flat_rings[0])
    return {"at": [round(x), round(y)], "room": round(room), "path": "".join(map(path, shown))}


def path(ring: Ring) -> str:
    """Whole units, relative lines; nothing for a ring of fewer than three points."""
    points = list(dict.fromkeys((round(x), round(y)) for x, y in ring))
    if len(points) < 3:
        return ""
    steps = [(x2 - x1, y2 - y1) for (x1, y1), (x2, y2) in pairwise(points)]
    text = "".join(f"{' ' if x >= 0 else ''}{x}{' ' if y >= 0 else ''}{y}" for x, y in steps)
    return f"M{points[0][0]} {points[0][1]}l{text.strip()}z"


def _middle(ring: Ring) -> Point:
    return sum(x for x, _ in ring) / len(ring), sum(y for _, y in ring) / len(ring)


def inside(ring: Ring) -> tuple[float, float, float]:
    """A point far from the border, and how far: the best of a grid, looked at again around it."""
    left, right = min(x for x, _ in ring), max(x for x, _ in ring)
    top, bottom = min(y for _, y in ring), max(y for _, y in ring)
    best = (0.0, *_middle(ring))
    for _ in range(3):
        for row in range(25):
            for column in range(25):
                x, y = left + (right - left) * column / 24, top + (bottom - top) * row / 24
                if contains(ring, x, y):
                    best = max(
                        best, (min(_distance((x, y), *edge) for edge in pairwise([*ring, ring[0]])), x, y)
                    )
        width, height = (right - left) / 8, (bottom - top) / 8
        left, right, top, bottom = best[1] - width, best[1] + width, best[2] - height, best[2] + height
    return best[1], best[2], best[0]


def contains(ring: Ring, x: float, y: float) -> bool:
    """Whether a point is inside, by the even-odd rule."""
    within = False
    for (x1, y1), (x2, y2) in pairwise([*ring, ring[0]]):
        if (y1 > y) != (y2 > y) and x < (x2 - x1) * (y - y1) / (y2 - y1) + x1:
            within = not within
    return within


if __name__ == "__main__":
    main()

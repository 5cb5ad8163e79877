"""Equal Earth, the projection of the world map: areas compare, and the shapes stay familiar.

Savric, Patterson and Jenny, "The Equal Earth map projection", International Journal of Geographical Information Science, 2019.
"""

from __future__ import annotations

from math import asin, cos, radians, sin, sqrt

MIDDLE = 11.0
"""Longitude in the middle of the map, degrees: its edges then run through Bering Strait, and cut no country in two."""
TOP, BOTTOM = 83.7, -56.5
"""Latitudes of the map's upper and lower edge; Antarctica is left out."""
WIDTH = 10000
"""Units from edge to edge along the equator."""

_A = 1.340264, -0.081106, 0.000893, 0.003796
_HALF = sqrt(3) / 2


def _plane(lat: float, lon: float) -> tuple[float, float]:
    theta = asin(_HALF * sin(radians(lat)))
    square = theta * theta
    sixth = square**3
    a1, a2, a3, a4 = _A
    stretch = a1 + 3 * a2 * square + sixth * (7 * a3 + 9 * a4 * square)
    x = radians(lon) * cos(theta) / (_HALF * stretch)
    return x, theta * (a1 + a2 * square + sixth * (a3 + a4 * square))


_SCALE = WIDTH / (2 * _plane(0, 180)[0])
_NORTH = _plane(TOP, 0)[1]

HEIGHT = round((_NORTH - _plane(BOTTOM, 0)[1]) * _SCALE)
"""Units from the upper to the lower edge."""


def turned(lon: float) -> float:
    """A longitude counted from the middle of the map, from -180 to below 180 degrees."""
    return (lon - MIDDLE + 180) % 360 - 180


def project(lat: float, lon: float) -> tuple[float, float]:
    """Where a place is on the map, in units from its upper left corner.

    Args: lat, lon: degrees.
    """
    return flat(lat, turned(lon))


def flat(lat: float, lon: float) -> tuple[float, float]:
    """The same for a longitude that is counted from the middle already, and may lie beyond the edges."""
    x, y = _plane(lat, lon)
    return WIDTH / 2 + x * _SCALE, (_NORTH - y) * _SCALE

"""The text of a table's records: the one place that writes and reads it.

`geo`: `US`, `US-CA 37.75 -122.42`, or the continent alone, `@EU`. `bgp`: `AS15169`, several origins `AS10 AS20`. `path`:
AS-path length by vantage point, `lon=3 ams=4`. `rtt`: milliseconds by node, `fra1=12 ams1=15`; a
node that fails there for 31 % of the attempts has `10031`. `nets`: a network's name. ""
in any table: nothing is known.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

REGIONS = 512
"""Regions remembered with their country and continent at most: every country, not every subdivision."""


def region_of(record: str) -> str:
    """A `geo` record without its location: `US-CA`, `@EU`."""
    return record.partition(" ")[0]


def country_of(record: str) -> str:
    """The country of a `geo` record; "" when it names none."""
    region = region_of(record)
    return "" if region.startswith("@") else region.partition("-")[0]


NO_PLACES: Mapping[str, tuple[float, float]] = {}


def place_of(
    record: str, middles: Mapping[str, tuple[float, float]] = NO_PLACES
) -> tuple[float, float] | None:
    """Latitude and longitude of a `geo` record, degrees, where it has them and they are on Earth.

    Args: middles: country -> where its middle is, which stands in for a record that has no place; a continent has none.
    """
    parts = record.split(" ")
    if len(parts) == 3:
        try:
            lat, lon = float(parts[1]), float(parts[2])
        except ValueError:
            pass
        else:
            if on_earth(lat, lon):
                return lat, lon
    return middles.get(country_of(record)) if middles else None


def on_earth(lat: float, lon: float) -> bool:
    """Whether both are degrees in range; NaN and infinities are not."""
    return -90 <= lat <= 90 and -180 <= lon <= 180


def geo_text(region: str, lat: float | None = None, lon: float | None = None) -> str:
    """A `geo` record; a location that is not on Earth is left out, two decimals (about a kilometre) are kept."""
    if not region or lat is None or lon is None or not on_earth(lat, lon):
        return region
    return f"{region} {_degrees(lat)} {_degrees(lon)}"


def _degrees(value: float) -> str:
    """At most two decimals, no trailing zeros, no negative zero."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def origins_text(numbers: Iterable[int]) -> str:
    """A `bgp` record of AS numbers, most seen first."""
    return " ".join([f"AS{number}" for number in numbers])


SLOWEST = 10_000
"""Milliseconds of an `rtt` record at most; what is above them is the per cent of attempts that fail there."""


def lengths_of(record: str) -> dict[str, int]:
    """Vantage point -> AS-path length of a `path` record; node -> milliseconds of an `rtt` record."""
    lengths = {}
    for part in record.split(" "):
        name, _, length = part.partition("=")
        if length.isascii() and length.isdigit():
            lengths[name] = int(length)
    return lengths


def lengths_text(lengths: Iterable[tuple[str, object]]) -> str:
    """A `path` record of vantage points and their AS-path lengths; empty lengths are left out."""
    return " ".join([f"{name}={length}" for name, length in lengths if length])


def brief_pair(was: str, now: str) -> tuple[str, str]:
    """Two records of one table, by region where that tells them apart, else in full; `-` where nothing is known."""
    first, second = region_of(was), region_of(now)
    if first == second or "=" in was + now or was.startswith("AS") or now.startswith("AS"):
        first, second = was, now
    return first or "-", second or "-"


class Keys:
    """What records are called in the layers of a map."""

    __slots__ = ("_continents", "_known")

    def __init__(self, continents: Mapping[str, str]) -> None:
        """Args: continents: country -> continent."""
        self._continents = continents
        self._known: dict[str, tuple[str, str, str]] = {}

    def of(self, layer: str, record: str) -> Sequence[str]:
        """What a table's record is called in a layer of a map, most specific first; nothing for a miss."""
        if not record:
            return ()
        if layer == "networks":
            return (record,)
        if layer == "asns":
            return [origin for origin in record.split(" ") if origin != "AS0"]
        region = record.partition(" ")[0]
        known = self._known.get(region)
        if known is None:
            if len(self._known) >= REGIONS:
                self._known.clear()
            known = self._known[region] = self._split(region)
        key = known[0 if layer == "subdivisions" else 1 if layer == "countries" else 2]
        return (key,) if key else ()

    def _split(self, region: str) -> tuple[str, str, str]:
        """Subdivision, country, continent."""
        if region.startswith("@"):
            return "", "", region[1:]
        country, dash, _ = region.partition("-")
        return region if dash else "", country, self._continents.get(country, "")

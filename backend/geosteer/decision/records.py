"""What the text of a table's records says: the one place that reads it."""

from __future__ import annotations


def country_of(record: str) -> str:
    """The country of a `geo` record; "" when it names none."""
    place = record.partition(" ")[0]
    return "" if place.startswith("@") else place.partition("-")[0]


def place_of(record: str) -> tuple[float, float] | None:
    """Latitude and longitude of a `geo` record, where it has them."""
    parts = record.split(" ")
    try:
        return (float(parts[1]), float(parts[2])) if len(parts) == 3 else None
    except ValueError:
        return None


def lengths_of(record: str) -> dict[str, int]:
    """Vantage point -> AS-path length of a `path` record, `lon=3 ams=4`."""
    lengths = {}
    for part in record.split(" "):
        name, _, length = part.partition("=")
        if length.isdigit():
            lengths[name] = int(length)
    return lengths

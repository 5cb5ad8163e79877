"""Demand, as counts per region from a file: how much of what nodes have a capacity for comes from where.

A line is a region and a number, in either order, so that the output of `sort | uniq -c` will do; blanks, tabs or commas
between them. A region is a country (`GB`), a part of one (`US-CA`), a continent (`@EU`), an AS (`AS15169`), or `default` for
clients of whom nothing is known; its place may follow, as latitude and longitude. Regions count beside each other: `US` is
the rest of the US where `US-CA` has a line of its own. Lines of one region add up; `#` begins a comment.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from geosteer.decision.records import on_earth
from geosteer.errors import SourceError
from geosteer_loader.sources.countries import CONTINENTS, COUNTRIES
from geosteer_loader.sources.source_files import Problems

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

ELSEWHERE = "default"
"""The region of clients of whom nothing is known."""

LAYERS = ("asns", "subdivisions", "countries", "continents", ELSEWHERE)
"""Layers of a map that demand can be counted by, in the order in which a map asks them."""

_BETWEEN = re.compile(r"[,;\s]+")
_ASN = re.compile(r"AS([1-9][0-9]{0,9})")
_SUBDIVISION = re.compile(r"([A-Z]{2})-[A-Z0-9]{1,3}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """Clients that a map can name."""

    layer: str
    """One of `LAYERS`."""
    key: str
    """As in that layer: `AS15169`, `US-CA`, `GB`, `EU`; "" for `default`."""
    demand: float
    """Above 0; in the unit of the nodes' capacity."""
    place: tuple[float, float] | None = None
    """Latitude and longitude as the file says, where it does."""

    @property
    def name(self) -> str:
        """As the file calls it: `GB`, `@EU`, `default`."""
        return f"@{self.key}" if self.layer == "continents" else self.key or ELSEWHERE


def read_demand(lines: Iterable[tuple[int, str]], path: Path) -> list[Region]:
    """The regions of a file, largest demand first.

    Args: lines: with their numbers, as `files.lines` gives them; path: what to call the file in messages.
    Raises: SourceError: lines are malformed (all of them are named), or there is no demand at all.
    """
    problems = Problems(path)
    by_key: dict[tuple[str, str], Region] = {}
    for number, line in lines:
        text = line.partition("#")[0].strip()
        if not text:
            continue
        try:
            region = _region(text)
            before = by_key.get((region.layer, region.key))
            by_key[region.layer, region.key] = _added(before, region) if before else region
        except ValueError as exc:
            problems.add(number, str(exc))
    problems.check()
    regions = [region for region in by_key.values() if region.demand > 0]
    if not regions:
        raise SourceError(f"{path}: no demand in it")
    return sorted(regions, key=lambda region: (-region.demand, region.name))


def by_layer(regions: Iterable[Region]) -> Mapping[str, dict[str, Region]]:
    """Layer -> key -> region."""
    layers: dict[str, dict[str, Region]] = {layer: {} for layer in LAYERS}
    for region in regions:
        layers[region.layer][region.key] = region
    return layers


def _region(text: str) -> Region:
    words = [word for word in _BETWEEN.split(text) if word]
    if len(words) not in {2, 4}:
        raise ValueError(f"is not a region, a number, and maybe latitude and longitude: {text[:60]!r}")
    first, second = words[:2]
    word, amount = (second, first) if _maybe_number(first) is not None else (first, second)
    demand = _maybe_number(amount)
    if demand is None or demand < 0 or not math.isfinite(demand):
        raise ValueError(f"not a demand of 0 or more: {amount[:60]!r}")
    layer, key = _key(word)
    return Region(layer=layer, key=key, demand=demand, place=_place(words[2:]))


def _key(word: str) -> tuple[str, str]:
    code = word.upper()
    if word.lower() in {ELSEWHERE, "-"}:
        return ELSEWHERE, ""
    if code in COUNTRIES:
        return "countries", code
    if code.startswith("@") and code[1:] in CONTINENTS:
        return "continents", code[1:]
    asn, part = _ASN.fullmatch(code), _SUBDIVISION.fullmatch(code)
    if asn and int(asn[1]) <= 0xFFFFFFFF:
        return "asns", code
    if part and part[1] in COUNTRIES:
        return "subdivisions", code
    raise ValueError(f"{word[:60]!r} is not a region: use a country, US-CA, @EU, AS15169 or default")


def _place(words: list[str]) -> tuple[float, float] | None:
    if not words:
        return None
    lat, lon = map(_maybe_number, words)
    if lat is None or lon is None or not on_earth(lat, lon):
        raise ValueError(f"not a latitude and a longitude in degrees: {' '.join(words)[:60]!r}")
    return lat, lon


def _maybe_number(word: str) -> float | None:
    try:
        return float(word) if word.isascii() and "_" not in word else None
    except ValueError:
        return None


def _added(first: Region, other: Region) -> Region:
    if first.place and other.place and first.place != other.place:
        raise ValueError(f"{first.name} has a different place than before")
    return Region(
        layer=first.layer, key=first.key, demand=first.demand + other.demand, place=first.place or other.place
    )

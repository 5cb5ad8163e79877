"""MMDB databases with countries: MaxMind's, DB-IP's, IPinfo's and ip-location-db's record shapes.

Of a record are taken: `country`, else `registered_country`, else the continent; the first subdivision and the
coordinates where they are there, so that a City database gives `US-CA 37.75 -122.42` where a Country
database gives `US`. The represented country (a military base's) is not a place. A network whose record
has no place at all is as if it were not listed.
"""

from __future__ import annotations

import ipaddress
import os
import struct
import sys
from typing import IO, TYPE_CHECKING, Any

import maxminddb

from geosteer.decision.client import prefix_text
from geosteer.errors import SourceError
from geosteer_loader.sources.countries import CONTINENTS, COUNTRIES, geo_record, oddity
from geosteer_loader.sources.files import open_regular, reading
from geosteer_loader.sources.mmdb_tree import RECORD_SIZES, SearchTree, tree_size

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from geosteer_loader.sources.report import Report
    from geosteer_loader.sources.source import Progress, Row

_HOSTILE = (
    maxminddb.InvalidDatabaseError, ValueError, TypeError, LookupError, OSError, ArithmeticError,
    RecursionError, MemoryError, SystemError, struct.error,
)  # fmt: skip
"""What the reader raises for files that are damaged or made to do damage."""

UNPLACED = "neither country nor continent: prefixes count as not listed"

MARKER = b"\xab\xcd\xefMaxMind.com"
"""What the metadata begins with; it lies within the last `METADATA_SIZE` bytes (MaxMind DB specification)."""

METADATA_SIZE = 128 << 10

LAST_DATE = 1 << 33
"""Seconds since 1970; a build date behind it (the year 2242) is none."""


class MmdbSource:
    """One MMDB file."""

    disjoint = True

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = str(path)

    def rows(self, report: Report, progress: Progress | None = None) -> Iterator[Row]:
        """Networks with a place, in address order per family.

        Raises: SourceError: not such a file, damaged, or without any country in it.
        """
        with open_regular(self.path) as raw, _opened(self.path) as reader:
            tree, kind = self._tree(raw, reader, report)
            places: dict[int, _Place] = {}
            try:
                for bits, start, length, pointer in tree.networks(progress):
                    place = places.get(pointer)
                    if place is None:
                        place = places[pointer] = self._place(reader, bits, start, length)
                    place.networks += 1
                    if place.record is not None:
                        yield bits, start, length, place.record
            except (ValueError, MemoryError) as exc:
                raise SourceError(f"{self.name}: search tree: {exc}") from exc
        if all(place.record is None for place in places.values()):
            raise SourceError(f"{self.name}: database type {kind!r}: no record has a country or continent")
        for place in places.values():
            place.tell(report)

    def _tree(self, raw: IO[bytes], reader: maxminddb.Reader, report: Report) -> tuple[SearchTree, str]:
        try:
            metadata = reader.metadata()
            nodes, size, version = metadata.node_count, metadata.record_size, metadata.ip_version
            built, kind = metadata.build_epoch, str(metadata.database_type)
        except _HOSTILE as exc:
            raise SourceError(f"{self.name}: metadata: {exc}") from exc
        if size not in RECORD_SIZES or version not in {4, 6}:
            raise SourceError(f"{self.name}: metadata: record size {size}, IP version {version}")
        with reading(self.path):
            ours, theirs = os.fstat(raw.fileno()), self.path.stat()
            if (ours.st_dev, ours.st_ino) != (theirs.st_dev, theirs.st_ino):
                raise SourceError(f"{self.name}: reading: replaced by another file just now; try again")
            needed = tree_size(nodes, size)
            if needed > ours.st_size:
                raise SourceError(f"{self.name}: metadata: {nodes} nodes do not fit in the file")
            data = raw.read(needed)
        if 0 < built < LAST_DATE:
            report.date(built)
        return SearchTree(data, nodes, size, 128 if version == 6 else 32), kind

    def _place(self, reader: maxminddb.Reader, bits: int, start: int, length: int) -> _Place:
        """What the data of a network says, found through its first address."""
        address = ipaddress.IPv4Address(start) if bits == 32 else ipaddress.IPv6Address(start)
        try:
            data = reader.get(address)
        except _HOSTILE as exc:
            raise SourceError(f"{self.name}: {prefix_text(bits, start, length)}: {exc}") from exc
        return _Place(data, prefix_text(bits, start, length))


def _opened(path: Path) -> maxminddb.Reader:
    try:
        return maxminddb.open_database(path)
    except _HOSTILE as exc:
        reason = (
            str(exc) if _has_metadata(path) else "no metadata at its end: not an MMDB database, or cut off"
        )
        raise SourceError(f"{path}: opening: {reason}") from exc


def _has_metadata(path: Path) -> bool:
    with open_regular(path) as file, reading(path):
        file.seek(-min(METADATA_SIZE, path.stat().st_size), os.SEEK_END)
        return MARKER in file.read()


class _Place:
    """What one record of the data section says of the networks that point to it."""

    __slots__ = ("_continent", "_country", "_example", "_odd", "networks", "record")

    def __init__(self, data: object, example: str) -> None:
        fields = data if isinstance(data, dict) else {}
        own = _code(fields, "country", "country_code")
        code = own or _code(fields, "registered_country")
        continent = _code(fields, "continent", "continent_code", key="code")
        self.networks = 0
        self.record: str | None = None
        """Text of the record, or None when the data says nothing of a place."""
        self._odd: str | None = UNPLACED
        if code or continent:
            location = fields.get("location")
            lat, lon = (_number(location, name) for name in ("latitude", "longitude"))
            # many records of a City database differ only in what is left out here
            self.record = sys.intern(geo_record(code, _subdivision(fields), lat, lon, continent))
            self._odd = oddity(code) if code else None
        self._example = f"{code} {example}".lstrip() if self._odd else ""
        # the continent belongs to the country, not to the registered country that may stand in for it
        self._country = own if own in COUNTRIES and continent in CONTINENTS else ""
        self._continent = continent

    def tell(self, report: Report) -> None:
        """Count what is odd, and where the database puts the country."""
        if self._odd:
            report.note(self._odd, self._example, self.networks)
        if self._country:
            report.place(self._country, self._continent, self.networks)


def _code(fields: Mapping[str, Any], name: str, flat: str = "", key: str = "iso_code") -> str:
    """A two-letter code: nested (`country.iso_code`) or flat (`country_code`; `country`, if it is one)."""
    value = fields.get(name)
    value = value.get(key) if isinstance(value, dict) else fields.get(flat) or value
    text = value.strip().upper() if isinstance(value, str) else ""
    return sys.intern(text) if len(text) == 2 and text.isascii() and text.isalnum() else ""


def _subdivision(fields: Mapping[str, Any]) -> str | None:
    subdivisions = fields.get("subdivisions")
    if isinstance(subdivisions, list) and subdivisions and isinstance(subdivisions[0], dict):
        code = subdivisions[0].get("iso_code")
        return code if isinstance(code, str) else None
    return None


def _number(location: object, name: str) -> float | None:
    value = location.get(name) if isinstance(location, dict) else None
    return float(value) if isinstance(value, int | float) else None

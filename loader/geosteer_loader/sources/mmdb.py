"""MMDB databases with countries: MaxMind's, DB-IP's, IPinfo's and ip-location-db's record shapes.

Of a record are taken: `country`, else `registered_country` where it is in the record's continent, else the continent; the
first subdivision and the coordinates where they are there, so that a City database gives `US-CA 37.75 -122.42` where a
Country database gives `US`. The represented country (a military base's) is not a place. A network whose record has no place
at all is as if it were not listed.
"""

from __future__ import annotations

import mmap
import os
import re
import struct
import sys
import tempfile
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import maxminddb

from geosteer.decision.client import prefix_text
from geosteer.errors import SourceError
from geosteer_loader.sources.archive import HEAD, kind_of
from geosteer_loader.sources.countries import CONTINENTS, COUNTRIES, geo_record, locate
from geosteer_loader.sources.mmdb_data import GAP, DataSection
from geosteer_loader.sources.mmdb_tree import RECORD_SIZES, SearchTree, tree_size
from geosteer_loader.sources.report import Report
from geosteer_loader.sources.source_files import open_regular, reading

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from geosteer_loader.sources.source import Progress, Row
    from geosteer_loader.sources.source_files import SourceFile

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
"""Seconds since 1970; a later build date (after the year 2242) is ignored."""


_DECIMAL = re.compile(r"\s*[+-]?[0-9]{1,3}(?:\.[0-9]{0,20})?\s*")


class MmdbSource:
    """One MMDB file."""

    disjoint = True

    def __init__(self, file: SourceFile) -> None:
        self._file = file
        self.name = str(file.path)
        self._unpacked: IO[bytes] | None = None

    @property
    def families(self) -> frozenset[int]:
        """Address bits of the families that it may have networks of.

        Raises: SourceError: not such a file.
        """
        with open_regular(self._path()) as raw, self._opened() as reader:
            tree = self._tree(raw, reader, Report())[0]
        return tree.families()

    def rows(self, report: Report, progress: Progress | None = None) -> Iterator[Row]:
        """Networks with a place, in address order per family.

        Raises: SourceError: not such a file, damaged, or without any country in it.
        """
        with open_regular(self._path()) as raw, self._opened() as reader:
            tree, kind, records, first = self._tree(raw, reader, report)
            places: dict[int, _Place] = {}
            try:
                for bits, start, length, pointer in tree.networks(progress):
                    place = places.get(pointer)
                    if place is None:
                        example = prefix_text(bits, start, length)
                        place = places[pointer] = self._place(records, pointer - first, example)
                    place.networks += 1
                    if place.record is not None:
                        yield bits, start, length, place.record
            except (ValueError, MemoryError) as exc:
                raise SourceError(f"{self.name}: search tree: {exc}") from exc
        if all(place.record is None for place in places.values()):
            raise SourceError(f"{self.name}: database type {kind!r}: no record has a country or continent")
        for place in places.values():
            place.tell(report)

    def _tree(
        self, raw: IO[bytes], reader: maxminddb.Reader, report: Report
    ) -> tuple[SearchTree, str, DataSection, int]:
        try:
            metadata = reader.metadata()
            nodes, size, version = metadata.node_count, metadata.record_size, metadata.ip_version
            built, kind = metadata.build_epoch, str(metadata.database_type)
        except _HOSTILE as exc:
            raise SourceError(f"{self.name}: metadata: {exc}") from exc
        if size not in RECORD_SIZES or version not in {4, 6}:
            raise SourceError(f"{self.name}: metadata: record size {size}, IP version {version}")
        with reading(self._file.path):
            ours, theirs = os.fstat(raw.fileno()), self._path().stat()
            if (ours.st_dev, ours.st_ino) != (theirs.st_dev, theirs.st_ino):
                raise SourceError(f"{self.name}: reading: replaced by another file just now; try again")
            needed = tree_size(nodes, size)
            if needed > ours.st_size:
                raise SourceError(f"{self.name}: metadata: {nodes} nodes do not fit in the file")
            data = raw.read(needed)
            mapped = mmap.mmap(raw.fileno(), 0, access=mmap.ACCESS_READ)
            end = mapped.rfind(MARKER)
            records = DataSection(mapped, needed + GAP, end)
            # the reader does not see a cut in the metadata
            DataSection(mapped, end + len(MARKER), len(mapped)).record(0)
        if 0 < built < LAST_DATE:
            report.date(built)
        return SearchTree(data, nodes, size, 128 if version == 6 else 32), kind, records, nodes + GAP

    def _place(self, records: DataSection, offset: int, example: str) -> _Place:
        """What the data at an offset says; *example*: a network that it is of."""
        try:
            return _Place(records.record(offset), example)
        except (ValueError, RecursionError) as exc:
            raise SourceError(f"{self.name}: {example}: {exc}") from exc

    def _opened(self) -> maxminddb.Reader:
        path = self._path()
        try:
            return maxminddb.open_database(path, maxminddb.MODE_MMAP)  # the reader in C trusts the file
        except _HOSTILE as exc:
            reason = (
                str(exc)
                if _has_metadata(path)
                else "no metadata at its end: not an MMDB database, or cut off"
            )
            raise SourceError(f"{self.name}: opening: {reason}") from exc

    def _path(self) -> Path:
        """The file that is read: the source itself, or what came out of it where it is compressed.

        The reader maps its file, so that a stream will not do. It is deleted with this object.
        """
        if self._unpacked is not None:
            return Path(self._unpacked.name)
        with open_regular(self._file.path) as raw, reading(self._file.path):
            packed = bool(kind_of(raw.read(HEAD)))
        if not packed and self._file.member is None:
            return self._file.path
        with reading(self._file.path, "decompressing"):
            self._unpacked = tempfile.NamedTemporaryFile(prefix="geosteer-", suffix=".mmdb")  # noqa: SIM115
            for chunk in self._file.chunks():
                self._unpacked.write(chunk)
            self._unpacked.flush()
        return Path(self._unpacked.name)


def _has_metadata(path: Path) -> bool:
    with open_regular(path) as file, reading(path):
        file.seek(-min(METADATA_SIZE, path.stat().st_size), os.SEEK_END)
        return MARKER in file.read()


class _Place:
    """What one record of the data section says of the networks that point to it."""

    __slots__ = ("_continent", "_country", "_example", "_odd", "networks", "record")

    def __init__(self, data: object, example: str) -> None:
        fields = data if isinstance(data, dict) else {}
        code = _code(fields, "country", "country_code")
        registered = _code(fields, "registered_country", "registered_country_code")
        continent = _code(fields, "continent", "continent_code", key="code")
        self.networks = 0
        self.record: str | None = None
        """Text of the record, or None when the data says nothing of a place."""
        self._odd: str | None = UNPLACED
        if code or registered or continent:
            # many records of a City database differ only in what is left out here
            self.record = sys.intern(
                geo_record(code, _subdivision(fields), *_coordinates(fields), continent, registered)
            )
            self._odd = locate(code, continent, registered).oddity
        self._example = f"{code or registered} {example}".lstrip() if self._odd else ""
        # the continent belongs to the country, not to the registered country that may stand in for it
        self._country = code if code in COUNTRIES and continent in CONTINENTS else ""
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
    else:
        code = fields.get("region_code")
    return code if isinstance(code, str) else None


def _coordinates(fields: Mapping[str, Any]) -> tuple[float | None, float | None]:
    """Latitude and longitude: nested (`location.latitude`), flat (`latitude`, `lat`), or one text (`loc`)."""
    location = fields.get("location")
    for place in (location, fields):
        if isinstance(place, dict):
            lat, lon = _number(place, "latitude", "lat"), _number(place, "longitude", "lng", "lon")
            if lat is not None and lon is not None:
                return lat, lon
    for text in (fields.get("loc"), location):
        if isinstance(text, str) and text.count(",") == 1:
            first, _, second = text.partition(",")
            return _degrees(first), _degrees(second)
    return None, None


def _number(place: Mapping[str, Any], *names: str) -> float | None:
    return next((value for name in names if (value := _degrees(place.get(name))) is not None), None)


def _degrees(value: object) -> float | None:
    """A number, or text that is one."""
    if isinstance(value, str) and _DECIMAL.fullmatch(value):
        return float(value)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None

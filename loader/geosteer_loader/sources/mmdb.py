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
from collections import Counter
from functools import lru_cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol

import maxminddb

from geosteer.decision.client import prefix_text
from geosteer.decision.records import geo_text
from geosteer.errors import SourceError
from geosteer_loader.sources.archive import HEAD, kind_of
from geosteer_loader.sources.countries import CONTINENTS, COUNTRIES, geo_region
from geosteer_loader.sources.mmdb_data import GAP, DataSection
from geosteer_loader.sources.mmdb_marker import MARKER, METADATA_SIZE
from geosteer_loader.sources.mmdb_tree import RECORD_SIZES, SearchTree, tree_size
from geosteer_loader.sources.report import Report
from geosteer_loader.sources.source import Since, Tiles
from geosteer_loader.sources.source_files import open_regular, reading

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from geosteer_loader.sources.mmdb_memory import Memory, Place, Reading
    from geosteer_loader.sources.mmdb_tree import Tiling
    from geosteer_loader.sources.source import Progress, Row
    from geosteer_loader.sources.source_files import SourceFile

_HOSTILE = (
    maxminddb.InvalidDatabaseError, ValueError, TypeError, LookupError, OSError, ArithmeticError,
    RecursionError, MemoryError, SystemError, struct.error,
)  # fmt: skip
"""What the reader raises for files that are damaged or made to do damage."""

UNPLACED = "neither country nor continent: prefixes count as not listed"

LAST_DATE = 1 << 33
"""Seconds since 1970; a later build date (after the year 2242) is ignored."""


_DECIMAL = re.compile(r"\s*[+-]?[0-9]{1,3}(?:\.[0-9]{0,20})?\s*")


class Said(Protocol):
    """What one record of the data section says of the networks that point to it."""

    record: str | None
    """Text of the record, or None where it says nothing of what is wanted."""
    odd: str | None
    """A kind for the report."""
    example: str
    """For the report, without the network."""

    def tell(self, report: Report, networks: int) -> None:
        """Count what is odd about it, and whatever else a report has."""


class MmdbReader:
    """One MMDB file, whatever is wanted of its records."""

    disjoint = True
    wanted = "a country or continent"

    def __init__(self, file: SourceFile) -> None:
        self._file = file
        self.name = str(file.path)
        self._unpacked: IO[bytes] | None = None
        self._memory: Memory | None = None

    @property
    def families(self) -> frozenset[int]:
        """Address bits of the families that it may have networks of.

        Raises: SourceError: not such a file.
        """
        with open_regular(self._path()) as raw, self._opened() as reader:
            tree = self._tree(raw, reader, Report())[0]
        return tree.families()

    def said(self, data: object) -> Said:
        """What is wanted of a record, as it is decoded."""
        raise NotImplementedError

    def read(
        self, report: Report, progress: Progress | None
    ) -> tuple[list[Tiling], Mapping[int, str | None], Mapping[int, Since]]:
        """Where the networks are, and what the data says to which their pointers lead; None: nothing of a place.

        And, by address bits, what has changed since a table was made of an earlier file, where that is known.
        """
        earlier = self._memory.load() if self._memory is not None else None
        with open_regular(self._path()) as raw, self._opened() as reader:
            tree, kind, data, first = self._tree(raw, reader, report)
            try:
                mended = tree.mend(earlier.walk) if earlier is not None else None
                walk, changed = mended or (tree.walk(progress), [])
            except (ValueError, MemoryError) as exc:
                raise SourceError(f"{self.name}: search tree: {exc}") from exc
            tilings = walk.tilings
            keep = self._memory.keeping(walk) if self._memory is not None else None
            del tree, mended, walk  # large
            counts: Counter[int] = Counter()
            for tiling in tilings:
                counts.update(tiling.pointers)
            gap = first - GAP
            counts.pop(gap, None)
            examples = _Examples(tilings)
            digest = data.digest() if self._memory is not None else ""
            known = earlier.places if earlier is not None and earlier.data == digest else {}
            kept: dict[int, Place] = {}
            places = {pointer: self._place(data, pointer, first, examples, known, kept) for pointer in counts}
        if all(place.record is None for place in places.values()):
            raise SourceError(f"{self.name}: database type {kind!r}: no record has {self.wanted}")
        for pointer, place in places.items():
            place.tell(report, counts[pointer])
        if keep is not None:
            keep(digest, kept)
            del keep
        records = {gap: None, **{pointer: place.record for pointer, place in places.items()}}
        since = _since(earlier, tilings, changed, records, first) if earlier is not None and known else {}
        return tilings, records, since

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

    def _place(
        self, data: DataSection, pointer: int, first: int, examples: _Examples,
        known: Mapping[int, Place], kept: dict[int, Place],
    ) -> Said:  # fmt: skip
        """What the data says to which a pointer leads.

        Args: first: the pointer to the data's beginning; known: what it says for some offsets; kept: is told what it said.
        """
        offset = pointer - first
        place: Said
        if offset in known:
            kept[offset] = known[offset]
            place = _Place(None, known[offset])
        else:
            try:
                place = self.said(data.record(offset))
            except (ValueError, RecursionError) as exc:
                raise SourceError(f"{self.name}: {examples.of(pointer)}: {exc}") from exc
            if isinstance(place, _Place):
                kept[offset] = place.kept()
        if place.odd:
            place.example = f"{place.example} {examples.of(pointer)}".lstrip()
        return place

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


class MmdbSource(MmdbReader):
    """A database of countries."""

    def remember(self, memory: Memory) -> None:
        """Read what has changed alone, where *memory* has the rest; and leave there what is read."""
        self._memory = memory

    def said(self, data: object) -> Said:
        """Where the networks are."""
        return _Place(data)

    def rows(self, report: Report, progress: Progress | None = None) -> Iterator[Row]:
        """Networks with a place, in address order per family.

        Raises: SourceError: not such a file, damaged, or without any country in it.
        """
        tilings, records, _ = self.read(report, progress)
        for tiling in tilings:
            bits = tiling.bits
            for start, length, pointer in tiling.networks():
                record = records[pointer]
                if record is not None:
                    yield bits, start, length, record

    def tiles(self, report: Report, progress: Progress | None = None) -> Iterator[Tiles]:
        """The same networks and the gaps between them, family by family.

        Raises: as `rows`.
        """
        tilings, records, since = self.read(report, progress)
        for tiling in tilings:
            listed = list(map(records.__getitem__, tiling.pointers))
            yield Tiles(tiling.bits, tiling.starts, listed, since.get(tiling.bits))


def _has_metadata(path: Path) -> bool:
    with open_regular(path) as file, reading(path):
        file.seek(-min(METADATA_SIZE, path.stat().st_size), os.SEEK_END)
        return MARKER in file.read()


def _since(
    earlier: Reading, tilings: Sequence[Tiling], changed: Sequence[Sequence[int]],
    records: Mapping[int, str | None], first: int,
) -> dict[int, Since]:  # fmt: skip
    """What has changed since the earlier reading, whose data is the same, in the prefixes that are *changed*."""
    since = {}
    for before, tiling, places in zip(earlier.walk.tilings, tilings, changed, strict=False):
        sizes: dict[tuple[str, str], int] = {}
        for place in places:
            pointer = before.pointers[place]
            kept = earlier.places.get(pointer - first)
            if kept is None and pointer != first - GAP:
                return {}
            was, now = (kept[0] if kept else "") or "", records[tiling.pointers[place]] or ""
            if was != now:
                sizes[was, now] = sizes.get((was, now), 0) + tiling.size(place)
        if tiling.bits in earlier.tables:
            root, total = earlier.tables[tiling.bits]
            for (was, now), size in sizes.items():
                total[was] -= size
                total[now] = total.get(now, 0) + size
            since[tiling.bits] = Since(root, sizes, {record: size for record, size in total.items() if size})
    return since


class _Examples:
    """A network for each pointer: the first one that has it."""

    def __init__(self, tilings: Sequence[Tiling]) -> None:
        self._tilings = tilings
        self._found: list[dict[int, int]] | None = None

    def of(self, pointer: int) -> str:
        """The network as text."""
        if self._found is None:  # few files need it: their place in the tiling
            self._found = [
                dict(zip(reversed(tiling.pointers), range(len(tiling.pointers) - 1, -1, -1), strict=True))
                for tiling in self._tilings
            ]
        for tiling, found in zip(self._tilings, self._found, strict=True):
            at = found.get(pointer)
            if at is not None:
                start, length, _ = tiling.network(at)
                return prefix_text(tiling.bits, start, length)
        raise AssertionError("a pointer is of some network")


class _Place:
    """What one record of the data section says of the networks that point to it."""

    __slots__ = ("_continent", "_country", "example", "odd", "record")

    def __init__(self, data: object, kept: Place | None = None) -> None:
        """Args: kept: what `kept` gave once for the same data, which is not looked at then."""
        self.record: str | None
        """Text of the record, or None when the data says nothing of a place."""
        self.odd: str | None
        if kept is not None:
            record, self.odd, example, country, continent = kept
            self.record = None if record is None else sys.intern(record)
            self.example, self._country, self._continent = example or "", country or "", continent or ""
            return
        fields = data if isinstance(data, dict) else {}
        code = _code(fields, "country", "country_code")
        registered = _code(fields, "registered_country", "registered_country_code")
        continent = _code(fields, "continent", "continent_code", key="code")
        self.record, self.odd = None, UNPLACED
        if code or registered or continent:
            # many records of a City database differ only in what is left out here
            region, self.odd = _region(code, _subdivision(fields), continent, registered)
            self.record = sys.intern(geo_text(region, *_coordinates(fields)))
        self.example = (code or registered) if self.odd else ""
        # the continent belongs to the country, not to the registered country that may stand in for it
        self._country = code if code in COUNTRIES and continent in CONTINENTS else ""
        self._continent = continent

    def kept(self) -> Place:
        """What it takes to make the same again."""
        return [self.record, self.odd, self.example, self._country, self._continent]

    def tell(self, report: Report, networks: int) -> None:
        """Count what is odd, and where the database puts the country."""
        if self.odd:
            report.note(self.odd, self.example, networks)
        if self._country:
            report.place(self._country, self._continent, networks)


def _code(fields: Mapping[str, Any], name: str, flat: str = "", key: str = "iso_code") -> str:
    """A two-letter code: nested (`country.iso_code`) or flat (`country_code`; `country`, if it is one)."""
    value = fields.get(name)
    value = value.get(key) if isinstance(value, dict) else fields.get(flat) or value
    text = value.strip() if isinstance(value, str) else ""
    return _two_letters(text) if len(text) == 2 else ""


@lru_cache(maxsize=1 << 12)  # hundreds of thousands of places name a few hundred countries
def _two_letters(text: str) -> str:
    return sys.intern(text.upper()) if text.isascii() and text.isalnum() else ""


_known_region = lru_cache(maxsize=1 << 14)(geo_region)  # and a few thousand regions


def _region(country: str, subdivision: str | None, continent: str, registered: str) -> tuple[str, str | None]:
    """As `geo_region`; what is too long for a subdivision's code is not remembered."""
    region = _known_region if subdivision is None or len(subdivision) < 16 else geo_region
    return region(country, subdivision, continent, registered)


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
    if type(location) is dict:
        lat, lon = location.get("latitude"), location.get("longitude")
        if type(lat) is type(lon) is float:  # nearly all are so: no need to look elsewhere
            return lat, lon
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

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
from typing import IO, TYPE_CHECKING, Any, NamedTuple, Protocol

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
from geosteer_loader.sources.source import Edits, PointedRecords, Tiles
from geosteer_loader.sources.source_files import open_regular, reading

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from geosteer_loader.sources.mmdb_memory import Kind, Memory, Place, Reading
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

    def read(self, report: Report, progress: Progress | None) -> Contents:
        """What the file holds. Raises: SourceError."""
        with open_regular(self._path()) as raw, self._opened() as reader:
            tree, kind, data, first = self._tree(raw, reader, report)
            earlier = self._memory.load(first - GAP) if self._memory is not None else None
            try:
                mended = tree.mend(earlier.walk) if earlier is not None else None
                walk, changed = mended or (tree.walk(progress), [])
            except (ValueError, MemoryError) as exc:
                raise SourceError(f"{self.name}: search tree: {exc}") from exc
            tilings = walk.tilings
            if self._memory is None:
                del tree, walk  # large
            digest = data.digest() if self._memory is not None else ""
            known = earlier.places if earlier is not None and earlier.data == digest else {}
            if earlier is not None and mended and known and not any(kind[0] for _, kind in known.values()):
                counts = _recounted(earlier, tilings, changed)
            else:  # in the order in which they come: so are examples of what is odd
                counts = [Counter(tiling.pointers) for tiling in tilings]
            places, examples = _Places(known, first), _Examples(tilings)
            total = _total(counts)
            total.pop(first - GAP, None)
            for pointer in places.know(total):
                kept = known.get(pointer - first)
                place = self._place(data, pointer, first, examples, kept)
                places.add(pointer, total[pointer], place, examples)
        if not places.any:
            raise SourceError(f"{self.name}: database type {kind!r}: no record has {self.wanted}")
        places.tell(report)
        records = places.records
        networks = [
            sum(count for pointer, count in counted.items() if records[pointer] is not None)
            for counted in counts
        ]
        if self._memory is not None:
            self._memory.note(walk, counts, digest, places.kept(), earlier if mended else None)
        edits = _edits(earlier, tilings, changed, records, first) if mended and earlier and known else {}
        return Contents(tilings, records, networks, edits)

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
        self, data: DataSection, pointer: int, first: int, examples: _Examples, kept: Place | None
    ) -> Said:
        """What the data says to which a pointer leads.

        Args: first: the pointer to the data's beginning; kept: what it said, where that is known.
        """
        if kept is not None:
            return _Place(None, kept)
        try:
            return self.said(data.record(pointer - first))
        except (ValueError, RecursionError) as exc:
            raise SourceError(f"{self.name}: {examples.of(pointer)}: {exc}") from exc

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
        contents = self.read(report, progress)
        for tiling in contents.tilings:
            bits = tiling.bits
            for start, length, pointer in tiling.networks():
                record = contents.records[pointer]
                if record is not None:
                    yield bits, start, length, record

    def tiles(self, report: Report, progress: Progress | None = None) -> Iterator[Tiles]:
        """The same networks and the gaps between them, family by family.

        Raises: as `rows`.
        """
        contents = self.read(report, progress)
        for tiling, networks in zip(contents.tilings, contents.networks, strict=True):
            records = PointedRecords(tiling.pointers, contents.records)
            edits = contents.edits.get(tiling.bits)
            yield Tiles(tiling.bits, tiling.starts, records, networks, edits)


def _has_metadata(path: Path) -> bool:
    with open_regular(path) as file, reading(path):
        file.seek(-min(METADATA_SIZE, path.stat().st_size), os.SEEK_END)
        return MARKER in file.read()


def _total(counts: Sequence[Counter[int]]) -> Counter[int]:
    """All counts together, in the order in which things come first."""
    total: Counter[int] = Counter()
    for counted in counts:
        total.update(counted)
    return total


def _recounted(
    earlier: Reading, tilings: Sequence[Tiling], changed: Sequence[Sequence[int]]
) -> list[Counter[int]]:
    """How many prefixes have which pointer, for each tiling; those that *earlier* had not in the order in which they come."""
    counts = []
    for before, tiling, places, kept in zip(
        earlier.walk.tilings, tilings, changed, earlier.counts, strict=True
    ):
        counted = Counter(kept)
        counted.subtract(map(before.pointers.__getitem__, places))
        counted.update(map(tiling.pointers.__getitem__, places))
        counts.append(+counted)
    return counts


def _edits(
    earlier: Reading, tilings: Sequence[Tiling], changed: Sequence[Sequence[int]],
    records: Mapping[int, str | None], first: int,
) -> dict[int, Edits]:  # fmt: skip
    """What has changed since the earlier reading, whose data is the same, in the prefixes that are *changed*."""
    said = {pointer: record or "" for pointer, record in records.items()}
    edits = {}
    for before, tiling, places in zip(earlier.walk.tilings, tilings, changed, strict=True):
        old, new, starts, bits = before.pointers, tiling.pointers, tiling.starts, tiling.bits
        for pointer in {old[place] for place in places}.difference(said):  # that nothing leads to any more
            said[pointer] = earlier.places[pointer - first][0] or ""
        sizes: dict[tuple[str, str], int] = {}
        touched = []
        for place in places:
            was, now = said[old[place]], said[new[place]]
            if was != now:
                start = starts[place]
                size = (starts[place + 1] if place + 1 < len(starts) else 1 << bits) - start
                touched.append((start, bits + 1 - size.bit_length()))
                sizes[was, now] = sizes.get((was, now), 0) + size
        borders = {at for place in places for at in (place, place + 1) if 0 < at < len(new)}
        ranges = 0
        for at in borders:
            ranges += (said[new[at]] != said[new[at - 1]]) - (said[old[at]] != said[old[at - 1]])
        edits[bits] = Edits(earlier.seal, touched, sizes, ranges)
    return edits


class Contents(NamedTuple):
    """What an MMDB file holds."""

    tilings: list[Tiling]
    """Where the networks are."""
    records: Mapping[int, str | None]
    """What the data says to which their pointers lead; None: nothing of what is wanted."""
    networks: list[int]
    """For each tiling, how many networks have a record."""
    edits: Mapping[int, Edits]
    """Address bits -> what has changed since the file that is remembered, where that is known."""


class _Places:
    """What all records say to which a database's pointers lead."""

    def __init__(self, known: Mapping[int, Place], first: int) -> None:
        """Args: known: what some offsets in the data say; first: the pointer to the data's beginning."""
        self.records: dict[int, str | None] = {first - GAP: None}
        """By their pointers."""
        self.any = False
        """Whether any of them says what is wanted."""
        self._known = known
        self._first = first
        self._fresh: dict[int, Place] = {}
        self._said: list[tuple[Said, int]] = []
        self._placed: dict[Kind, int] = {}

    def know(self, networks: Mapping[int, int]) -> list[int]:
        """Take what is known of pointers, if there is nothing odd about it; all others, in the order in which they come.

        Args: networks: how many have which pointer.
        """
        known, first, records, placed = self._known, self._first, self.records, self._placed
        if not known:
            return list(networks)
        others = []
        for pointer, count in networks.items():
            kept = known.get(pointer - first)
            if kept is None or kept[1][0] is not None:
                others.append(pointer)
                continue
            records[pointer], kind = kept
            placed[kind] = placed.get(kind, 0) + count
        self.any = any(record is not None for record in records.values())
        return others

    def add(self, pointer: int, networks: int, place: Said, examples: _Examples) -> None:
        """Take what a pointer, that many networks', leads to."""
        self.records[pointer] = place.record
        self.any = self.any or place.record is not None
        self._said.append((place, networks))
        if isinstance(place, _Place) and pointer - self._first not in self._known:
            self._fresh[pointer - self._first] = place.kept()
        if place.odd:
            place.example = f"{place.example} {examples.of(pointer)}".lstrip()

    def tell(self, report: Report) -> None:
        """Count what is odd, and whatever else a report has."""
        for place, networks in self._said:
            place.tell(report, networks)
        for (_, _, country, continent), networks in self._placed.items():
            if country:
                report.place(country, continent, networks)

    def kept(self) -> Mapping[int, Place]:
        """What is known now: the same object where nothing has come to it."""
        return {**self._known, **self._fresh} if self._fresh else self._known


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
            self.record, (self.odd, self.example, self._country, self._continent) = kept
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
        return self.record, (self.odd, self.example, self._country, self._continent)

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

"""GeoLite2 and GeoIP2 as CSV: networks with the numbers of locations (`Blocks`), and what these are (`Locations`).

All files in their zip archive, or one file of blocks with the locations beside it. Of a network counts what of the MMDB
database of the same product does: its country, else the registered one where it is in the continent, else the continent; the
first subdivision and the coordinates where they are there. One without any place is as if it were not listed.
Source: MaxMind, "GeoIP2 and GeoLite2 databases: CSV".
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

from geosteer.errors import SourceError
from geosteer_loader.sources.bundle import bundle_of, locations_beside
from geosteer_loader.sources.columns import places_of, split_fields
from geosteer_loader.sources.countries import COUNTRIES
from geosteer_loader.sources.delimited import RECORDS, FieldReading, Fields, fields_of, geo_of
from geosteer_loader.sources.source import FAMILIES
from geosteer_loader.sources.source_files import Problems, SourceFile
from geosteer_loader.sources.text_source import TextSource

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from geosteer_loader.sources.report import Report
    from geosteer_loader.sources.source import Progress, Row
    from geosteer_loader.sources.text_source import Reading

    Location = tuple[str, str, str]
    """Codes of country, subdivision and continent."""

UNPLACED = "neither country nor continent: prefixes count as not listed"


class GeoLite2Source:
    """The archive, or one file of blocks."""

    disjoint = False
    families = FAMILIES

    def __init__(self, file: SourceFile) -> None:
        self._file = file
        self.name = str(file.path)

    def rows(self, report: Report, progress: Progress | None = None) -> Iterator[Row]:
        """Networks in the order of the files.

        Raises: SourceError: not readable, no locations, or lines are malformed (all of them are named).
        """
        blocks, locations = self._files()
        known = read_locations(locations, report)
        for number, file in enumerate(blocks):
            yield from _BlocksSource(file, known).rows(report, _part(progress, number, len(blocks)))

    def _files(self) -> tuple[list[SourceFile], SourceFile]:
        """The files of blocks, and that of locations. Raises: SourceError: there is none."""
        file = self._file
        bundle = bundle_of(file.path) if file.member is None else None
        if bundle is not None:
            if bundle.locations is None:
                raise SourceError(f"{file.path}: has no member with locations (*-Locations-en.csv)")
            members = [replace(file, member=member) for member in bundle.blocks]
            return members, SourceFile(file.path, bundle.locations, file.limit)
        beside = locations_beside(file.path)
        if beside is None:
            raise SourceError(
                f"{file.path}: no locations: put *-Locations-en.csv beside it, or name the zip archive with both"
            )
        return [file], SourceFile(beside, None, file.limit)


def read_locations(file: SourceFile, report: Report) -> dict[str, Location]:
    """Locations by number. Raises: SourceError: not readable, without such columns, or lines are malformed."""
    places: dict[str, int] = {}
    known: dict[str, Location] = {}
    problems = Problems(file.path)
    for number, line in file.lines():
        if not line.strip():
            continue
        try:
            fields = split_fields(line.strip())
            if not places:
                places = places_of(fields)
                if not {"geoname", "country", "continent"} <= places.keys():
                    raise SourceError(f"{file.path}: line {number}: not a file of locations: {line[:60]!r}")
                continue
            country, continent = fields[places["country"]].upper(), fields[places["continent"]].upper()
            sub = fields[places["sub"]] if "sub" in places else ""
            geo_of({"country": country, "continent": continent})
            known[fields[places["geoname"]]] = (country, sub, continent)
        except (ValueError, IndexError) as exc:
            problems.add(
                number,
                str(exc) if isinstance(exc, ValueError) else "fewer fields than the header has columns",
            )
            continue
        if country in COUNTRIES and continent:
            report.place(country, continent)
    problems.check()
    return known


class _BlocksSource(TextSource):
    def __init__(self, file: SourceFile, locations: Mapping[str, Location]) -> None:
        super().__init__(file)
        self._locations = locations

    def reading(self, report: Report) -> Reading:
        """A new pass. Raises: SourceError: the columns cannot be told."""
        return _Reading(report, fields_of(self._file, ("geoname",)), self._locations)


class _Reading(FieldReading):
    def __init__(self, report: Report, fields: Fields, locations: Mapping[str, Location]) -> None:
        super().__init__(report, fields)
        layout = fields.layout
        self._locations = locations
        roles = ("geoname", "registered_geoname", "lat", "lon")
        self._columns = [layout.places.get(role, -1) for role in roles]
        self._width = len(layout.header or ())
        self._record = lru_cache(maxsize=RECORDS)(self._make)

    def row(self, number: int, text: str, fields: list[str]) -> Iterable[Row]:
        """The rows of a line's fields. Raises: ValueError: malformed, or of an unknown location."""
        if len(fields) != self._width:
            raise ValueError(f"{len(fields)} fields, expected {self._width}")
        record, odd = self._record(*[fields[at] if at >= 0 else "" for at in self._columns])
        if odd:
            self.report.note(odd, f"line {number}: {text}")
        if odd == UNPLACED:
            return ()
        bits, prefixes = self.places.rows(fields, number)
        return [(bits, start, length, record) for start, length in prefixes]

    def _make(self, here: str, home: str, lat: str, lon: str) -> tuple[str, str | None]:
        country, sub, continent = self._location(here)
        registered = self._location(home)[0]
        if not (country or continent or registered):
            return "", UNPLACED
        return geo_of({
            "country": country, "sub": sub, "continent": continent, "registered": registered, "lat": lat, "lon": lon,
        })  # fmt: skip

    def _location(self, number: str) -> Location:
        if number in {"", "0"}:
            return "", "", ""
        location = self._locations.get(number)
        if location is None:
            raise ValueError(f"the location {number[:20]!r} is not in the file of locations")
        return location


def _part(progress: Progress | None, number: int, parts: int) -> Progress | None:
    """Progress of one of several files of about the same size."""
    if progress is None:
        return None
    return lambda done, total: progress(number * total + done, parts * total)

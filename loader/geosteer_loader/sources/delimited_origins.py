"""AS numbers as delimited text: prefixes or ranges with the AS that announces them.

iptoasn's TSV, the CSV files of DB-IP, ip-location-db, IP2Location and MaxMind (GeoLite2 ASN), and IPinfo's. A range without an
AS (0, `-`, None) is not routed, which is as if it were not listed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from geosteer_loader.sources.bundle import bundle_of
from geosteer_loader.sources.columns import NOTHING
from geosteer_loader.sources.delimited import FieldReading, Fields, fields_of
from geosteer_loader.sources.origins import OriginRows
from geosteer_loader.sources.source import FAMILIES
from geosteer_loader.sources.text_source import TextSource

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from geosteer_loader.sources.report import Report
    from geosteer_loader.sources.source import Authorised, Progress, Row
    from geosteer_loader.sources.source_files import SourceFile
    from geosteer_loader.sources.text_source import Reading

UNROUTED = "no AS announces them: left out"
_NONE = NOTHING | {"0", "AS0"}


class DelimitedOriginSource(TextSource):
    """One file."""

    comments = "#;%"

    def __init__(self, file: SourceFile, authorised: Authorised | None = None) -> None:
        super().__init__(file)
        self._authorised = authorised

    def reading(self, report: Report) -> Reading:
        """A new pass. Raises: SourceError: the columns cannot be told."""
        return _Reading(report, fields_of(self._file, ("asn",)), self._authorised)


class OriginBundleSource:
    """The zip archive that GeoLite2 ASN comes in."""

    disjoint = False
    families = FAMILIES

    def __init__(self, file: SourceFile, authorised: Authorised | None = None) -> None:
        self._file = file
        self._authorised = authorised
        self.name = str(file.path)

    def rows(self, report: Report, progress: Progress | None = None) -> Iterator[Row]:
        """Networks in the order of the files. Raises: SourceError: as the source of each."""
        bundle = bundle_of(self._file.path) if self._file.member is None else None
        files = [replace(self._file, member=member) for member in bundle.blocks] if bundle else [self._file]
        for file in files:
            yield from DelimitedOriginSource(file, self._authorised).rows(report, progress)


class _Reading(FieldReading):
    def __init__(self, report: Report, fields: Fields, authorised: Authorised | None) -> None:
        super().__init__(report, fields)
        self._asn = fields.layout.places["asn"]
        self._origins = OriginRows(report, authorised)

    def row(self, number: int, text: str, fields: list[str]) -> Iterable[Row]:
        """The rows of a line. Raises: ValueError: malformed."""
        bits, prefixes = self.places.rows(fields, number)
        origin = fields[self._asn].strip() if self._asn < len(fields) else ""
        if origin in _NONE:
            self.report.note(UNROUTED, text)
            return ()
        rows: list[Row] = []
        for start, length in prefixes:
            rows += self._origins.rows((bits, start, length), origin, text)
        return rows

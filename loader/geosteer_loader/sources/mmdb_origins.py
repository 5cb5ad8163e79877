"""MMDB databases with AS numbers: MaxMind's (GeoLite2 ASN, ISP, Enterprise), DB-IP's, ip-location-db's and IPinfo's.

The AS is a number (`autonomous_system_number`) or text (`asn`: AS15169), at the top of the record or in `traits`, `as` or
`asn`. A network without one, or whose AS is private or reserved, is as if it were not listed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from geosteer.decision.client import prefix_text
from geosteer_loader.sources.mmdb import MmdbReader, Said
from geosteer_loader.sources.origins import OriginRows, parse_asn

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from geosteer_loader.sources.report import Report
    from geosteer_loader.sources.source import Authorised, Progress, Row
    from geosteer_loader.sources.source_files import SourceFile

UNROUTED = "no AS number: prefixes count as not listed"

_NAMES = ("autonomous_system_number", "asn", "as_number")
_INNER = ("traits", "as", "asn")


class MmdbOriginSource(MmdbReader):
    """A database of AS numbers."""

    wanted = "an AS number"

    def __init__(self, file: SourceFile, authorised: Authorised | None = None) -> None:
        super().__init__(file)
        self._authorised = authorised

    def said(self, data: object) -> Said:
        """Whose the networks are."""
        return _Origin(data)

    def rows(self, report: Report, progress: Progress | None = None) -> Iterator[Row]:
        """Networks with a public AS, in address order per family.

        Raises: SourceError: not such a file, damaged, or without any AS number in it.
        """
        contents = self.read(report, progress)
        origins = OriginRows(report, self._authorised)
        for tiling in contents.tilings:
            for start, length, pointer in tiling.networks():
                record = contents.records[pointer]
                if record is not None:
                    network = (tiling.bits, start, length)
                    yield from origins.rows(network, record, f"{prefix_text(*network)} {record}")


class _Origin:
    """What a record says of the AS."""

    def __init__(self, data: object) -> None:
        fields = data if isinstance(data, dict) else {}
        number = _number(fields)
        self.record = f"AS{number}" if number else None
        self.odd = None if number else UNROUTED
        self.example = ""

    def tell(self, report: Report, networks: int) -> None:
        """Count networks without an AS."""
        if self.odd:
            report.note(self.odd, self.example, networks)


def _number(fields: Mapping[str, Any]) -> int:
    """The AS number of a record; 0: it has none."""
    inner = [part for name in _INNER if isinstance(part := fields.get(name), dict)]
    for part in (fields, *inner):
        for name in _NAMES:
            value = part.get(name)
            if isinstance(value, int | str) and not isinstance(value, bool):
                try:
                    return parse_asn(str(value).strip())
                except ValueError:
                    continue
    return 0

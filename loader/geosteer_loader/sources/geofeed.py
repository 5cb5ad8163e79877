"""Geofeeds (RFC 8805): `192.0.2.0/24,US,US-AL,Alabaster,` on each line, what a network says of itself.

An empty country asks not to be located: a hole. The region counts where it is an ISO 3166-2 code; city and postal code do not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from geosteer_loader.sources.columns import is_place, split_fields
from geosteer_loader.sources.countries import geo_region, is_known
from geosteer_loader.sources.prefix import parse_prefix
from geosteer_loader.sources.text_source import PlainReading, TextSource

if TYPE_CHECKING:
    from collections.abc import Iterable

    from geosteer_loader.sources.report import Report
    from geosteer_loader.sources.source import Row
    from geosteer_loader.sources.text_source import Reading


class GeofeedSource(TextSource):
    """One geofeed."""

    def reading(self, report: Report) -> Reading:
        """A new pass."""
        return _Reading(report)


class _Reading(PlainReading):
    def __init__(self, report: Report) -> None:
        self._report = report
        self._first = True

    def entry(self, number: int, text: str) -> Iterable[Row]:
        """The row of a line. Raises: ValueError: malformed."""
        fields = split_fields(text.partition("#")[0])
        first, self._first = self._first, False
        if (
            first and not is_place(fields[0]) and fields[0].replace("_", "").isalpha()
        ):  # names of columns, though RFC 8805 has none
            return ()
        bits, start, length = parse_prefix(fields[0])
        country = fields[1] if len(fields) > 1 else ""
        if country and not is_known(country.upper()):
            raise ValueError(f"unknown country code {country!r}")
        record, odd = geo_region(country, fields[2] if len(fields) > 2 else None, "", "")
        if odd:
            self._report.note(odd, f"line {number}: {text}")
        return ((bits, start, length, record),)

"""Makes the file of format "builtin" from a country database: `python -m geosteer_loader.sources.builtin_writer`.

    bin/builtin-data countries.mmdb --date 2026-02-01 --origin 'ipverse country-ip-blocks' --licence CC0-1.0

The same input makes the same bytes, so that a release can be checked.
"""

from __future__ import annotations

import argparse
import lzma
import sys
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import TYPE_CHECKING

from geosteer.errors import ConfigError, SourceError
from geosteer_loader.sources.builtin import SHIPPED
from geosteer_loader.sources.countries import COUNTRIES
from geosteer_loader.sources.formats import FORMATS, open_source
from geosteer_loader.sources.report import Report

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from geosteer_loader.sources.source import Row

FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "lc": 4, "lp": 0, "pb": 0}]
"""What makes text of this kind smallest: 543 kB of 4.5 MB."""


def lines(rows: Iterable[Row]) -> Iterator[str]:
    """`prefix,country` in address order, IPv4 first; what else a record says is left out.

    Raises: SourceError: prefixes overlap.
    """
    last = (0, -1)
    for bits, start, length, record in sorted(rows):
        country = record.partition(" ")[0].partition("-")[0]
        if country not in COUNTRIES:
            continue
        address = IPv4Address(start) if bits == 32 else IPv6Address(start)
        if (bits, start) <= last:
            raise SourceError(f"{address}/{length} overlaps the prefix before it")
        last = (bits, start + (1 << (bits - length)) - 1)
        yield f"{address}/{length},{country}"


def text(rows: Iterable[Row], header: Mapping[str, str]) -> str:
    """All of the file. Args: header: what stands in front, among it `date`. Raises: SourceError: as `lines`."""
    head = [f"# {name}: {value}" for name, value in header.items()]
    return "\n".join([*head, *lines(rows)]) + "\n"


def pack(content: str) -> bytes:
    """The file's bytes."""
    return lzma.compress(content.encode(), format=lzma.FORMAT_XZ, check=lzma.CHECK_CRC64, filters=FILTERS)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the file; 0, or 1 with the reason on stderr."""
    parser = argparse.ArgumentParser(prog="bin/builtin-data", description="Make a file of format builtin.")
    parser.add_argument("input", type=Path, help="a country database")
    parser.add_argument("--format", default="mmdb", choices=FORMATS["geo"], help="its format; default: mmdb")
    parser.add_argument("--date", help="YYYY-MM-DD that the data tells of; default: what the input says")
    parser.add_argument("--origin", required=True, help="whose data it is")
    parser.add_argument("--licence", required=True, help="under which licence, as SPDX names it")
    parser.add_argument("--output", type=Path, default=SHIPPED, help=f"default: {SHIPPED}")
    given = parser.parse_args(arguments)
    report = Report()
    try:
        rows = list(open_source("geo", given.format, given.input).rows(report))
        if given.date is None and report.built is None:
            raise SourceError(f"{given.input}: says no date of its own; use --date")
        date = given.date or datetime.fromtimestamp(report.built or 0, UTC).date().isoformat()
        header = {"origin": given.origin, "licence": given.licence, "date": date}
        packed = pack(text(rows, header))
    except (SourceError, ConfigError) as exc:
        print(f"bin/builtin-data: {exc}", file=sys.stderr)
        return 1
    given.output.write_bytes(packed)
    print(f"{given.output}: {len(packed)} bytes, {len(rows)} prefixes, of {date}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

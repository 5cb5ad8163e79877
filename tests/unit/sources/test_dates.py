"""The date of the data is the data's own wherever it says one, not the file's."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import pytest

from geosteer.timestamps import format_time
from geosteer_loader.sources.formats import open_source
from geosteer_loader.sources.origins import header_date
from geosteer_loader.sources.report import Report
from support.data import shared

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("line", "date"),
    [
        ("; Original file : data/rib.20140513.0600.bz2.skip", "2014-05-13T06:00:00Z"),
        ("; Original file : Downloads/rib_v6v4.20151101.0600.bz2", "2015-11-01T06:00:00Z"),
        ("; Original source: rib6.20151101.0600.bz2", "2015-11-01T06:00:00Z"),
        ("; Original file : bview.20260201.0800.gz", "2026-02-01T08:00:00Z"),
        ("; Original file : rib.20149913.0600.bz2", None),
        ("; Original file : <Path to a rib file>", None),
        ("; Converted on  : Mon Sep 15 22:09:50 2014", None),
        ("8.8.8.0/24 15169", None),
    ],
)
def test_a_header_of_pyasn_says_of_which_dump_it_is(line: str, date: str | None) -> None:
    found = header_date(line)
    assert (None if found is None else format_time(found)) == date


def test_a_list_and_a_printed_table_have_their_own_dates(tmp_path: Path) -> None:
    listed = tmp_path / "ipasn.dat.gz"
    listed.write_bytes(
        gzip.compress(b"; IP-ASN32-DAT file\n; Original file : rib.20140513.0600.bz2\n8.8.8.0/24\t15169\n")
    )
    printed = tmp_path / "rib.txt"
    printed.write_text(
        "TABLE_DUMP2|1400824800|B|157.130.10.233|701|8.8.8.0/24|701 15169|IGP\n"
        "TABLE_DUMP2|1500824800|B|157.130.10.233|701|8.8.4.0/24|701 15169|IGP\n"
    )
    for path, form, date in (
        (listed, "pyasn", "2014-05-13T06:00:00Z"),
        (printed, "bgpdump", "2014-05-23T06:00:00Z"),
    ):
        report = Report()
        assert list(open_source("bgp", form, path).rows(report))
        assert report.built is not None
        assert format_time(report.built) == date


def test_real_lists_have_the_dates_of_their_dumps() -> None:
    for name, date in (
        ("ipasn_20140513.dat.gz", "2014-05-13T06:00:00Z"),
        ("ipasn6_20151101.dat.gz", "2015-11-01T06:00:00Z"),
    ):
        report = Report()
        next(open_source("bgp", "pyasn", shared("bgp") / name).rows(report))
        assert report.built is not None
        assert format_time(report.built) == date

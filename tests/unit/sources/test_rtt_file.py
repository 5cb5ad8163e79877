"""The file of round-trip times: what it may hold, and what is refused with its line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from geosteer.errors import SourceError
from geosteer_loader.sources.formats import open_source
from geosteer_loader.sources.report import Report
from support.data import ROOT
from support.documented import blocks

if TYPE_CHECKING:
    from pathlib import Path

HEAD = "# geosteer rtt 1 2026-09-21T14:13:20Z\n"


def read(path: Path, text: str) -> tuple[list[tuple[int, int, int, str]], Report]:
    path.write_text(text)
    report = Report()
    return list(open_source("rtt", "rtt", path).rows(report)), report


def test_rows_are_prefixes_with_times_and_the_first_line_has_the_date(tmp_path: Path) -> None:
    rows, report = read(
        tmp_path / "rtt.csv", f"{HEAD}192.0.2.0/24,fra1=12 ams1=15\n\n# more\n2001:db8:77::/48,ams1=9\n"
    )
    assert rows == [
        (32, 0xC0000200, 24, "fra1=12 ams1=15"),
        (128, 0x2001_0DB8_0077 << 80, 48, "ams1=9"),
    ]
    assert report.built == 1_790_000_000


def test_the_file_that_the_page_shows_is_one(tmp_path: Path) -> None:
    (shown,) = (block.text for block in blocks(ROOT / "docs" / "latency.md") if block.language == "text")
    rows, _ = read(tmp_path / "rtt.csv", shown)
    assert [(length, record) for _, _, length, record in rows] == [
        (24, "fra1=12 ams1=15"), (25, ""), (48, "ams1=9"),
    ]  # fmt: skip


def test_a_file_without_a_row_is_an_empty_table(tmp_path: Path) -> None:
    assert read(tmp_path / "rtt.csv", HEAD)[0] == []


@pytest.mark.parametrize(
    "line",
    [
        "192.0.2.0/24,",
        "192.0.2.0/24",
        "192.0.2.1/24,fra1=12",
        "192.0.2.0/24,fra1=0",
        "192.0.2.0/24,fra1=-1",
        "192.0.2.0/24,fra1=1.5",
        "192.0.2.0/24,fra1=123456",
        "192.0.2.0/24,fra1=12  ams1=15",
        "192.0.2.0/24,fra1=12,ams1=15",
        "192.0.2.0/24,=12",
        "192.0.2.0/24," + " ".join(f"n{number}=1" for number in range(17)),
        "192.0.2.0/24," + " ".join(f"{'n' * 40}{number}=10000" for number in range(10)),
        "x,fra1=1",
    ],
)
def test_what_is_no_row_is_refused_with_its_line(tmp_path: Path, line: str) -> None:
    with pytest.raises(SourceError, match=r"rtt\.csv: line 2: "):
        read(tmp_path / "rtt.csv", f"{HEAD}{line}\n192.0.2.0/24,fra1=1\n")


def test_a_first_line_with_another_date_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"rtt\.csv: line 1: "):
        read(tmp_path / "rtt.csv", "# geosteer rtt 1 yesterday\n")

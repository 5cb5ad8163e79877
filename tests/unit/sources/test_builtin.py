"""Format "builtin": the country table that ships with the loader, its date, and the program that makes it."""

from __future__ import annotations

import lzma
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from geosteer.errors import SourceError
from geosteer_loader.config import config
from geosteer_loader.sources.builtin import SHIPPED, BuiltinSource
from geosteer_loader.sources.builtin_age import MONTH, stale, stale_published
from geosteer_loader.sources.builtin_writer import lines, main, pack
from geosteer_loader.sources.countries import COUNTRIES
from geosteer_loader.sources.formats import open_source
from geosteer_loader.sources.report import Report
from geosteer_loader.sources.source_files import SourceFile
from support.config_file import GOOD, load
from support.data import ROOT, shared

if TYPE_CHECKING:
    from geosteer_loader.config.sources import SourceConfig
    from geosteer_loader.sources.source import Row

FEBRUARY = 1769904000
"""2026-02-01."""
HEAD = "# date: 2026-02-01\n"


def rows_of(path: Path) -> tuple[list[Row], Report]:
    report = Report()
    return list(open_source("geo", "builtin", path).rows(report)), report


@pytest.fixture(scope="module")
def shipped() -> tuple[list[Row], Report]:
    return rows_of(SHIPPED)


def made(folder: Path, text: str) -> Path:
    path = folder / "made.xz"
    path.write_bytes(lzma.compress(text.encode()))
    return path


def test_the_shipped_table_is_its_source_prefix_by_prefix(shipped: tuple[list[Row], Report]) -> None:
    database = shared("country-2026-02-01.mmdb")
    assert shipped[0] == list(open_source("geo", "mmdb", database).rows(Report()))


def test_the_shipped_table_is_whole_in_order_and_without_overlaps(shipped: tuple[list[Row], Report]) -> None:
    rows, report = shipped
    assert len(rows) == 243_034
    assert report.lines() == []
    assert len({record for *_, record in rows}) > 230
    assert {record for *_, record in rows} <= COUNTRIES
    for (bits, start, length, _), (next_bits, next_start, *_) in pairwise(rows):
        assert (bits, start + (1 << (bits - length))) <= (next_bits, next_start)
    assert SHIPPED.stat().st_size < 600_000


def test_the_shipped_table_places_the_canaries_of_the_sample_configuration() -> None:
    loaded = config.load(ROOT / "conf" / "geosteer.toml", {})
    (source,) = loaded.sources["geo"]
    assert source.path == SHIPPED
    assert loaded.guard.canaries
    rows, _ = rows_of(SHIPPED)
    for bits, address, country in ((32, 0x08080808, "US"), (128, 0x20014860486000000000000000008888, "US")):
        assert country in {
            record
            for width, start, length, record in rows
            if width == bits and start >> (bits - length) == address >> (bits - length)
        }


def test_the_shipped_table_says_whose_it_is_under_which_licence_and_of_which_day() -> None:
    with lzma.open(SHIPPED, "rt") as file:
        head = [next(file).strip() for _ in range(3)]
    assert head[0].startswith("# origin: ipverse country-ip-blocks")
    assert head[1:] == ["# licence: CC0-1.0", "# date: 2026-02-01"]
    assert BuiltinSource(SourceFile(SHIPPED)).date() == FEBRUARY


def test_the_date_of_the_data_is_the_one_inside_and_not_that_of_the_file(
    shipped: tuple[list[Row], Report],
) -> None:
    assert shipped[1].built == FEBRUARY


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("192.0.2.0/24,GB\n", "no line `# date: YEAR-MONTH-DAY`"),
        ("# date: yesterday\n192.0.2.0/24,GB\n", "line 1: not a date"),
        (HEAD + "192.0.2.0/24\n", "line 2: unknown country code"),
        (HEAD + "192.0.2.0/24,QQ\n", "line 2: unknown country code 'QQ'"),
        (HEAD + "192.0.2.1/24,GB\n", "line 2: host bits are set"),
        (HEAD + "192.0.3.0/24,GB\n192.0.2.0/24,GB\n", "line 3: out of order"),
        (HEAD + "192.0.2.0/24,GB\n192.0.2.128/25,NL\n", "line 3: out of order"),
        (HEAD + "2001:db8::/32,GB\n192.0.2.0/24,GB\n", "line 3: out of order"),
    ],
)
def test_a_file_that_is_not_as_it_was_made_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(SourceError, match=reason.replace("(", r"\(")):
        rows_of(made(tmp_path, text))


def test_a_file_that_was_cut_off_or_damaged_is_refused(tmp_path: Path) -> None:
    packed = SHIPPED.read_bytes()
    for data in (packed[:-1000], packed[:5000] + b"\0" * 100 + packed[5100:]):
        path = tmp_path / "damaged.xz"
        path.write_bytes(data)
        with pytest.raises(SourceError, match=r"damaged\.xz"):
            rows_of(path)


def test_the_same_input_makes_the_same_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    listed = tmp_path / "list.csv"
    listed.write_text("2001:db8::/32,NL\n192.0.2.0/24,GB\n198.51.100.0/24,A1\n203.0.113.0/24,US-CA\n")
    output = tmp_path / "out.xz"
    words = [str(listed), "--format=csv", "--date=2026-02-01", "--origin=me", "--licence=CC0-1.0"]
    assert main([*words, f"--output={output}"]) == 0
    first = output.read_bytes()
    assert main([*words, f"--output={output}"]) == 0
    assert output.read_bytes() == first
    assert lzma.decompress(first).decode() == (
        "# origin: me\n# licence: CC0-1.0\n# date: 2026-02-01\n"
        "192.0.2.0/24,GB\n203.0.113.0/24,US\n2001:db8::/32,NL\n"
    )
    assert [record for *_, record in rows_of(output)[0]] == ["GB", "US", "NL"]
    capsys.readouterr()
    assert main([str(listed), "--format=csv", "--origin=me", "--licence=x", f"--output={output}"]) == 1
    assert "says no date of its own; use --date" in capsys.readouterr().err


def test_prefixes_that_overlap_are_no_table() -> None:
    with pytest.raises(SourceError, match="overlaps"):
        list(lines([(32, 0, 8, "GB"), (32, 0, 16, "US")]))


def test_the_program_is_there() -> None:
    done = subprocess.run([ROOT / "bin" / "builtin-data", "--help"], capture_output=True, text=True)
    assert done.returncode == 0
    assert "--licence" in done.stdout


def test_data_older_than_a_month_is_called_old() -> None:
    assert stale(FEBRUARY, FEBRUARY + MONTH) == ""
    told = stale(FEBRUARY, FEBRUARY + MONTH + 86400)
    assert told.startswith("the built-in country table is of 2026-02-01, 32 days old: name a newer source")


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ('[{"format":"builtin"}]', 1),
        ('[{"format":"csv"}]', 0),
        ('[{"format":"csv"},{"format":"builtin"}]', 1),
        ("", 0),
        ("[", 0),
        ("[1]", 0),
        ("{}", 0),
        ("7", 0),
    ],
)
def test_what_is_published_is_called_old_only_where_it_is_the_built_in_table(source: str, told: int) -> None:
    fields = {"geo.source": source, "geo.built": "2026-02-01T00:00:00Z"}
    assert len(stale_published(fields, FEBRUARY + 2 * MONTH)) == told
    assert stale_published(fields, FEBRUARY) == []


def test_the_configuration_needs_no_path_for_it_and_takes_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    def sources(more: str) -> tuple[SourceConfig, ...]:
        return load(GOOD + f'[[sources.geo]]\nformat = "builtin"\n{more}\n').sources["geo"]

    assert sources("")[-1].path == SHIPPED
    assert sources(f'path = "{tmp_path}/x"')[-1].path == tmp_path / "x"


def test_check_config_tells_that_the_table_is_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("geo.csv").write_text("192.0.2.0/24,GB\n")
    loaded = load(GOOD + '[[sources.geo]]\nformat = "builtin"\npath = "b.xz"\n')
    Path("c.toml").write_text("")
    Path("b.xz").write_bytes(pack(HEAD + "192.0.2.0/24,GB\n"))
    problems, warnings = config.source_problems(loaded)
    assert problems == []
    (warning,) = warnings
    assert "sources.geo[2]: the built-in country table is of 2026-02-01" in warning

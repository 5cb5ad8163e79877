"""`check-config` reads the beginning of every source: what is not what it is said to be has its place, and soon."""

from __future__ import annotations

import bz2
import gzip
import time
from pathlib import Path
from typing import Any

import pytest

from geosteer_loader.cli.main import main
from geosteer_loader.config import config
from geosteer_loader.config.source_check import LINES, wrong_content
from support.config_file import GOOD, changed, load

GEO = "192.0.2.0/24,GB\n2001:db8::/32,NL\n"
ORIGINS = "8.8.8.0/24 AS15169\n"


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


CASES: dict[str, tuple[str, str, bytes, str]] = {
    "a good list": ("geo", "csv", GEO.encode(), ""),
    "a good list, compressed": ("geo", "csv", gzip.compress(GEO.encode()), ""),
    "an empty list": ("geo", "csv", b"", "no "),
    "a list of nothing known": ("geo", "csv", b"192.0.2.0/24,A1\n", "no prefix in it has a record (format csv)"),
    "a page of HTML": ("geo", "csv", b"<html>\n<body>Sign in</body>\n", "line 1: "),
    "a list that is no database": ("geo", "mmdb", GEO.encode() * 9, "not an MMDB database"),
    "a database that is no list": ("geo", "csv", b"\0\xff" * 50_000, "not a text file?"),
    "compressed in a way that is not read": ("geo", "csv", b"\x28\xb5\x2f\xfd" + bytes(600), "zstd"),
    "cut off while it was compressed": ("geo", "csv", gzip.compress(GEO.encode() * 9)[:-20], "ends in"),
    "origins": ("bgp", "pyasn", ORIGINS.encode(), ""),
    "origins in other columns": ("bgp", "pyasn", b"8.8.8.0\t24\t15169\n", "format prefix2as has it in the next column"),
    "a dump that is text": ("bgp", "mrt", ORIGINS.encode() * 9, "not an MRT file?"),
    "text that is no dump": ("bgp", "bgpdump", bz2.compress(ORIGINS.encode()), "not a line of bgpdump -m"),
}  # fmt: skip


@pytest.mark.parametrize("what", CASES)
def test_what_is_wrong_with_a_source_is_told_at_its_place(what: str) -> None:
    table, form, data, wrong = CASES[what]
    Path("data").write_bytes(data)
    Path("geo.csv").write_text(GEO)
    loaded = load(GOOD + f'[[sources.{table}]]\nformat = "{form}"\npath = "data"\n')
    problems, warnings = config.source_problems(loaded)
    assert warnings == []
    if not wrong:
        assert problems == []
        return
    (problem,) = problems
    place = f"sources.{table}[{2 if table == 'geo' else 1}].path: "
    assert problem.startswith("c.toml: line ")
    assert place + f"{Path.cwd()}/data: " in problem
    assert wrong in problem
    assert f"(format {form})" in problem


def test_a_huge_list_takes_no_longer_than_a_small_one_and_a_bad_line_at_its_beginning_is_seen() -> None:
    text = "".join(f"10.{n >> 8 & 255}.{n & 255}.0/24,GB\n" for n in range(60_000))
    Path("geo.csv").write_text(text)
    (source,) = load(GOOD).sources["geo"]
    began = time.process_time()
    assert wrong_content("geo", source) == ""
    assert time.process_time() - began < 5
    lines = text.splitlines(keepends=True)
    Path("geo.csv").write_text("".join([*lines[: LINES - 1], "hello\n", *lines]))
    assert f"line {LINES}: " in wrong_content("geo", source)


def test_a_look_ends_when_its_time_is_up() -> None:
    Path("geo.csv").write_text("hello\n" * 60_000)
    (source,) = load(GOOD).sources["geo"]
    assert wrong_content("geo", source, seconds=-1) == ""


def test_a_url_that_was_never_fetched_is_a_warning_and_its_copy_is_looked_at() -> None:
    text = changed(('path = "geo.csv"', 'path = "https://example.net/geo.csv"'))
    loaded = load("[sources]\ncache = 'copies'\n" + text)
    problems, warnings = config.source_problems(loaded)
    assert problems == []
    assert "sources.geo[1].path: is not fetched yet" in warnings[0]
    (source,) = loaded.sources["geo"]
    source.path.parent.mkdir()
    source.path.write_text("<html>\n")
    assert "line 1: " in config.source_problems(loaded)[0][0]


def test_the_command_looks_unless_it_is_offline(capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    Path("geo.csv").write_text("<html>\n")
    Path("c.toml").write_text(GOOD)
    assert main(["check-config", "c.toml"]) == 2
    assert "c.toml: line 4: sources.geo[1].path: " in capsys.readouterr().err
    assert main(["check-config", "c.toml", "--offline"]) == 0
    assert capsys.readouterr().out == "c.toml: no problems\n"


def test_a_source_without_a_format_is_told_for_what_it_was_taken(capsys: pytest.CaptureFixture[str]) -> None:
    Path("geo.csv").write_text(GEO)
    Path("ranges.csv").write_text("1.0.0.0,1.0.0.255,AU\n")
    Path("c.toml").write_text(
        GOOD + '[[sources.geo]]\npath = "ranges.csv"\n[[sources.bgp]]\npath = "geo.csv"\n'
    )
    assert main(["check-config", "c.toml"]) == 2
    told = capsys.readouterr().err
    assert "sources.bgp[1].path: " in told
    assert (
        "geo.csv: format: not recognised; it begins with '192.0.2.0/24,GB'; not mmdb: it is text; not pyasn: "
        in told
    )
    Path("c.toml").write_text(GOOD + '[[sources.geo]]\npath = "ranges.csv"\n')
    assert main(["check-config", "c.toml"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        (
            f"sources.geo[2]: {Path.cwd()}/ranges.csv is taken for format ranges: "
            "address ranges with countries, as DB-IP and ip-location-db have them"
        ),
        "c.toml: no problems",
    ]

"""The data section of a database: what the makers' own reader says of a good one, and a reason for any other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import maxminddb
import pytest

from geosteer.errors import SourceError
from geosteer_loader.sources.formats import open_source
from geosteer_loader.sources.mmdb_data import DataSection
from geosteer_loader.sources.report import Report
from support.data import ROOT
from support.mmdb_writer import Database

if TYPE_CHECKING:
    from pathlib import Path


def decoded(section: bytes) -> Any:
    return DataSection(section, 0, len(section)).record(0)


def test_every_type_is_what_the_makers_reader_says(tmp_path: Path):
    data = {"text": "x" * 200, "list": [1, 2.5, True, {"deep": ["é"]}], "small": "y" * 29, "number": 7_000}
    path = Database(version=4).add("192.0.2.0/24", data).write(tmp_path / "x.mmdb")
    whole = path.read_bytes()
    with maxminddb.open_database(path) as reader:
        start = reader.metadata().node_count * 6 + 16
        end = whole.rfind(b"\xab\xcd\xefMaxMind.com")
        assert DataSection(whole, start, end).record(0) == reader.get("192.0.2.1") == data


@pytest.mark.parametrize(
    ("section", "reason"),
    [
        (b"\xe1\xc1\x00\x41a", "the key of a map is not text"),
        (b"\x20\x00", "a pointer to a pointer"),
        (b"\xe1\x41a\x20\x00", "nested too deeply"),
        (b"\x20\x02\x20\x00", "a pointer to a pointer"),
        (b"\x3f\xff", "a pointer out of it"),
        (b"\x5f\xff\xff\xff", "cut off"),
        (b"\x45ab", "cut off"),
        (b"\x01\x04" * 40, "nested too deeply"),
        (b"\x02\x07", "a boolean of 2"),
        (b"\x61\x00", "cut off"),
        (b"\x42\xff\xfe", "invalid start byte"),
        (b"\xa3\x00\x00\x00", "unknown type 5, or one of 3 bytes"),
        (b"", "a pointer out of it"),
    ],
    ids=lambda value: value.hex() if isinstance(value, bytes) else "",
)
def test_what_no_writer_writes_is_refused_with_a_reason(section: bytes, reason: str):
    with pytest.raises(ValueError, match=reason):
        decoded(section)


def test_lists_of_lists_that_pointers_multiply_are_decoded_once():
    levels = [b"\x04\x04" + bytes([0x20, 10 * level + 10]) * 4 for level in range(14)]  # 4 to the 14th
    section = b"".join(levels) + b"\x41b"
    value = decoded(section)
    for _ in range(14):
        value = value[0]
    assert value == "b"


def test_a_file_that_ended_the_reader_in_c_is_refused():
    path = ROOT / "tests" / "corpus" / "mmdb" / "key-that-is-not-text"
    with pytest.raises(SourceError, match="the data section is corrupt"):
        list(open_source("geo", "mmdb", path).rows(Report()))

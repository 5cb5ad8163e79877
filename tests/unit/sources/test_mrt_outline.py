"""How MRT files are made up: where the last whole dump lies, cut anywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from geosteer.errors import SourceError
from geosteer_loader.sources.formats import open_source
from geosteer_loader.sources.mrt_outline import outline
from geosteer_loader.sources.report import Report
from support.mrt_writer import peers, rib

if TYPE_CHECKING:
    from pathlib import Path

FIRST = [peers(3356), rib("5.1.0.0/16", [3356, 10]), rib("5.2.0.0/16", [3356, 20])]
SECOND = [peers(3356), rib("5.1.0.0/16", [3356, 30]), rib("2a00:1::/32", [3356, 30])]


def rows(path: Path) -> set[tuple[int, int, str]]:
    return {
        (bits, length, record) for bits, _, length, record in open_source("bgp", "mrt", path).rows(Report())
    }


def test_the_last_of_several_dumps_in_a_file_counts(tmp_path: Path) -> None:
    path = tmp_path / "rib.mrt"
    path.write_bytes(b"".join(FIRST + SECOND))
    assert rows(path) == {(32, 16, "AS30"), (128, 32, "AS30")}
    made_up = outline(path)
    assert made_up is not None
    assert (made_up.start, made_up.prefixes) == (len(b"".join(FIRST)), {32: 1, 128: 1})


def test_a_dump_that_is_cut_off_does_not_count_where_one_before_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "rib.mrt"
    before, after = b"".join(FIRST), b"".join(SECOND)
    edges = {sum(map(len, SECOND[:number])) for number in range(len(SECOND) + 1)}
    for size in range(len(SECOND[0]) + 1, len(after)):
        if size not in edges:
            path.write_bytes(before + after[:size])
            made_up = outline(path)
            assert made_up is not None
            assert made_up.cut is not None
            assert (made_up.start, made_up.end, made_up.prefixes) == (0, len(before), {32: 2, 128: 0})
            assert rows(path) == {(32, 16, "AS10"), (32, 16, "AS20")}


def test_paths_of_a_prefix_in_two_records_are_one_prefix(tmp_path: Path) -> None:
    path = tmp_path / "rib.mrt"
    path.write_bytes(peers(3356) + rib("5.1.0.0/16", [3356]) + rib("5.1.0.0/16", [3356, 10], add_path=True))
    made_up = outline(path)
    assert made_up is not None
    assert made_up.prefixes == {32: 1, 128: 0}


def test_a_compressed_file_has_no_outline_and_may_hold_one_dump(tmp_path: Path) -> None:
    import gzip

    path = tmp_path / "rib.mrt.gz"
    path.write_bytes(gzip.compress(b"".join(FIRST)))
    assert outline(path) is None
    assert len(rows(path)) == 2
    path.write_bytes(gzip.compress(b"".join(FIRST + SECOND)))
    with pytest.raises(SourceError, match="a second dump begins"):
        rows(path)

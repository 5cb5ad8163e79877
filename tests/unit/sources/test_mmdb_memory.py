"""A database of which only what has changed is read comes to the same as when all of it is read."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geosteer.tables import page_builder
from geosteer_loader.impact.census import Census
from geosteer_loader.sources.mmdb import MmdbSource
from geosteer_loader.sources.mmdb_memory import Memory
from geosteer_loader.sources.mmdb_tree import SearchTree
from geosteer_loader.sources.report import Report
from geosteer_loader.sources.source_files import SourceFile
from geosteer_loader.store.pages import Pages
from geosteer_loader.tables.flatten import flatten
from support.mmdb_writer import Database

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from geosteer_loader.tables.ranges import Ranges

NETWORKS = (
    "1.0.0.0/24", "1.0.1.0/24", "1.2.0.0/15", "8.0.0.0/9", "8.128.0.0/9", "200.0.0.0/8",
    "2001:db8::/32", "2400::/12", "2a00::/12", "2a10::/13",
)  # fmt: skip
PLACES: tuple[dict[str, Any], ...] = (
    {"country": {"iso_code": "DE"}, "continent": {"code": "EU"}},
    {"country": {"iso_code": "US"}, "continent": {"code": "NA"}, "location": {"latitude": 1.5, "longitude": 2.5}},
    {"country": {"iso_code": "A1"}},
    {"continent": {"code": "AS"}},
    {"names": {"en": "nowhere"}},
)  # fmt: skip
ENTRIES = st.lists(
    st.one_of(st.none(), st.integers(0, len(PLACES) - 1)), min_size=len(NETWORKS), max_size=len(NETWORKS)
)


def write(
    path: Path, entries: Sequence[int | None], record_size: int, *, alias: bool = True, more: bool = False
) -> Path:
    database = Database(record_size=record_size)
    for number, data in enumerate(PLACES):  # the same data in all of them, in one order
        database.add(f"100.{number}.0.0/16", data)
    if more:
        database.add("101.0.0.0/16", {"country": {"iso_code": "FR"}})
    if alias:
        database.alias("2002::/16")
    for network, place in zip(NETWORKS, entries, strict=True):
        database.add(network, PLACES[0])
        bare = database.data
        if place is None:
            database._set(network, None)
        else:
            database.add(network, PLACES[place])
        assert database.data is bare
    return database.write(path)


def read(path: Path, memory: Memory | None = None) -> tuple[dict[int, Ranges], list[Any]]:
    source, report = MmdbSource(SourceFile(path)), Report()
    if memory is not None:
        source.remember(memory)
    ranges = flatten([source], report)
    return ranges, [report.lines(), report.continents, report.built]


def published(ranges: dict[int, Ranges]) -> dict[int, page_builder.Built]:
    return {bits: page_builder.build(bits, family.starts, family.records) for bits, family in ranges.items()}


def remembered(path: Path, memory: Memory) -> tuple[dict[int, Ranges], list[Any]]:
    ranges, told = read(path, memory)
    roots = {bits: built.root.hex() for bits, built in published(ranges).items()}
    memory.built({bits: (roots[bits], family.sizes()) for bits, family in ranges.items()})
    return ranges, told


def content(ranges: dict[int, Ranges]) -> dict[int, Any]:
    return {
        bits: (list(family.starts), list(family.records), family.prefixes) for bits, family in ranges.items()
    }


class Nowhere:
    """A Redis that holds nothing: whatever is asked of it is an error of the test."""


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    files=st.lists(st.tuples(ENTRIES, st.booleans(), st.booleans()), min_size=2, max_size=4),
    record_size=st.sampled_from([24, 28, 32]),
)
def test_what_is_read_with_a_memory_is_what_is_read_without(
    files: list[tuple[list[int | None], bool, bool]], record_size: int, tmp_path: Path
):
    memory_path = tmp_path / "kept"
    memory_path.unlink(missing_ok=True)
    before: dict[int, Ranges] | None = None
    for entries, alias, more in files:
        path = write(tmp_path / "some.mmdb", entries, record_size, alias=alias, more=more)
        ranges, told = remembered(path, Memory(memory_path, "1", least_nodes=1))
        whole, told_whole = read(path)
        assert content(ranges) == content(whole)
        assert told == told_whole
        if before is not None:
            compare_counts(before, ranges, whole)
        before = ranges


def compare_counts(before: dict[int, Ranges], ranges: dict[int, Ranges], whole: dict[int, Ranges]) -> None:
    """What the memory says has changed is what the pages say."""
    old, new = published(before), published(whole)
    pages = Pages(Nowhere(), [*old.values(), *new.values()])  # type: ignore[arg-type]
    for bits, suffix in ((32, "geo.v4"), (128, "geo.v6")):
        roots = old[bits].root.hex(), new[bits].root.hex()
        assert dict(ranges[bits].sizes()) == {
            key: size for key, size in replace(whole[bits], since=None).sizes().items() if size
        }
        given_ranges = Census(pages, {suffix: roots}, {roots[1]: ranges[bits]})
        assert dict(given_ranges.pairs(suffix)) == dict(Census(pages, {suffix: roots}).pairs(suffix))


def test_a_tree_with_other_places_alone_is_not_walked_again(tmp_path, monkeypatch):
    memory = Memory(tmp_path / "kept", "1", least_nodes=1)
    remembered(write(tmp_path / "first.mmdb", [0] * 10, 24), memory)
    monkeypatch.setattr(SearchTree, "walk", None)
    ranges, _ = read(write(tmp_path / "second.mmdb", [0] * 5 + [1] + [0] * 4, 24), memory)
    since = ranges[32].since
    assert since is not None
    assert since.sizes == {("DE", "US 1.5 2.5"): 1 << 24}


@pytest.mark.parametrize("harm", ["cut", "byte", "builder", "empty", "folder", "mode"])
def test_a_kept_reading_that_is_not_whole_is_not_used(harm, tmp_path):
    kept = tmp_path / "kept"
    path = write(tmp_path / "first.mmdb", [0, 1, 2, 3, 4] * 2, 28)
    remembered(path, Memory(kept, "1", least_nodes=1))
    assert Memory(kept, "1").load() is not None
    data = kept.read_bytes()
    builder = "2" if harm == "builder" else "1"
    if harm == "cut":
        kept.write_bytes(data[:-5])
    elif harm == "byte":
        kept.write_bytes(data[:-5] + bytes([data[-5] ^ 1]) + data[-4:])
    elif harm == "empty":
        kept.write_bytes(b"")
    elif harm == "folder":
        kept.unlink()
        kept.mkdir()
    elif harm == "mode":
        kept.chmod(0o666)
    assert Memory(kept, builder).load() is None
    assert content(read(path, Memory(kept, builder, least_nodes=1))[0]) == content(read(path)[0])


def test_sizes_of_another_reading_are_not_believed(tmp_path):
    kept, table = tmp_path / "kept", tmp_path / "kept.table"
    memory = Memory(kept, "1", least_nodes=1)
    remembered(write(tmp_path / "first.mmdb", [0] * 10, 24), memory)
    old = table.read_bytes()
    read(write(tmp_path / "second.mmdb", [1] * 10, 24), memory)  # and then no table is made of it
    table.write_bytes(old)
    reading = memory.load()
    assert reading is not None
    assert reading.tables == {}
    assert json.loads(old.partition(b"\n")[2])["tables"]


def test_a_small_database_is_not_kept(tmp_path):
    remembered(write(tmp_path / "first.mmdb", [0] * 10, 24), Memory(tmp_path / "kept", "1"))
    assert not (tmp_path / "kept").exists()

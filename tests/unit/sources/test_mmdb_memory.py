"""A database of which only what has changed is read comes to the same as when all of it is read."""

from __future__ import annotations

import resource
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geosteer.errors import CorruptPage
from geosteer.tables import page_builder
from geosteer_loader.impact.census import Census
from geosteer_loader.sources.mmdb import MmdbSource
from geosteer_loader.sources.mmdb_memory import Memory
from geosteer_loader.sources.mmdb_tree import SearchTree
from geosteer_loader.sources.report import Report
from geosteer_loader.sources.source_files import SourceFile
from geosteer_loader.store.pages import Pages
from geosteer_loader.tables.flatten import flatten
from geosteer_loader.tables.recut import PageTree
from geosteer_loader.tables.remembered import TableMemory, made_of
from support.mmdb_writer import Database

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from geosteer_loader.tables.ranges import Ranges
    from geosteer_loader.tables.remembered import Made

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
PLAIN = (*PLACES[:2], PLACES[3])
"""Those about which nothing is odd."""
ENTRIES = st.lists(
    st.one_of(st.none(), st.integers(0, len(PLACES) - 1)), min_size=len(NETWORKS), max_size=len(NETWORKS)
)


def write(
    path: Path, entries: Sequence[int | None], record_size: int, *, alias: bool = True, more: bool = False,
    listed: bool = True, places: Sequence[dict[str, Any]] = PLACES,
) -> Path:  # fmt: skip
    database = Database(record_size=record_size)
    for number, data in enumerate(places):  # the same data in all of them, in one order
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
            database.add(network, places[place % len(places)])
        assert database.data is bare
    if not listed:  # their data alone, but for one
        for number in range(1, len(places)):
            database._set(f"100.{number}.0.0/16", None)
    return database.write(path)


def read(path: Path, memory: Memory | None = None) -> tuple[dict[int, Ranges], list[Any]]:
    source, report = MmdbSource(SourceFile(path)), Report()
    if memory is not None:
        source.remember(memory)
    ranges = flatten([source], report)
    return ranges, [report.lines(), report.continents, report.built]


def published(ranges: dict[int, Ranges]) -> dict[int, page_builder.Built]:
    return {bits: page_builder.build(bits, family.starts, family.records) for bits, family in ranges.items()}


def remembered(path: Path, memory: Memory) -> tuple[dict[int, Ranges], list[Any], dict[int, Made]]:
    """What is read, what is told of it, and the pages, with what is remembered of each."""
    ranges, told = read(path, memory)
    table = TableMemory(memory)
    made = made_of(ranges, table)
    table.renew()
    return {bits: family.ranges for bits, family in made.items()}, told, made


def content(ranges: dict[int, Ranges]) -> dict[int, Any]:
    return {
        bits: (list(family.starts), list(family.records), family.prefixes) for bits, family in ranges.items()
    }


class Nowhere:
    """A Redis that holds nothing: whatever is asked of it is an error of the test."""


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    files=st.lists(st.tuples(ENTRIES, st.booleans(), st.booleans(), st.booleans()), min_size=2, max_size=4),
    record_size=st.sampled_from([24, 28, 32]),
    places=st.sampled_from([PLACES, PLAIN]),
)
def test_what_is_read_with_a_memory_is_what_is_read_without(
    files: list[tuple[list[int | None], bool, bool, bool]],
    record_size: int,
    places: Sequence[dict[str, Any]],
    tmp_path: Path,
):
    forget(tmp_path)
    before: dict[int, Ranges] | None = None
    for entries, alias, more, listed in files:
        path = write(
            tmp_path / "some.mmdb", entries, record_size, alias=alias, more=more, listed=listed, places=places
        )
        before = compare(path, Memory(tmp_path / "kept", "1", least_nodes=1), before)


def forget(folder: Path) -> None:
    for path in folder.glob("kept*"):
        path.unlink()


def compare(path: Path, memory: Memory, before: dict[int, Ranges] | None) -> dict[int, Ranges]:
    """Read a file with a memory and without it. Args: before: what the memory had read last."""
    ranges, told, made = remembered(path, memory)
    whole, told_whole = read(path)
    assert content(ranges) == content(whole)
    assert told == told_whole
    for bits, built in published(whole).items():
        pages = made[bits].pages
        assert (pages.root, pages.height, pages.leaves) == (built.root, built.height, built.leaves)
        assert pages.children == built.children
        assert [(name, pages.pages[name]) for name in pages.pages] == list(built.pages.items())
        assert made[bits].total == len(whole[bits].starts)
        assert dict(ranges[bits].sizes()) == {
            record: size for record, size in whole[bits].sizes().items() if size
        }
    if before is not None:
        compare_counts(before, ranges, whole)
    return ranges


def compare_counts(before: dict[int, Ranges], ranges: dict[int, Ranges], whole: dict[int, Ranges]) -> None:
    """What the memory says has changed is what the pages say."""
    old, new = published(before), published(whole)
    pages = Pages(Nowhere(), [*old.values(), *new.values()])  # type: ignore[arg-type]
    for bits, suffix in ((32, "geo.v4"), (128, "geo.v6")):
        roots = old[bits].root.hex(), new[bits].root.hex()
        given_ranges = Census(pages, {suffix: roots}, {roots[1]: ranges[bits]})
        assert dict(given_ranges.pairs(suffix)) == dict(Census(pages, {suffix: roots}).pairs(suffix))


MANY = [f"11.{number >> 8}.{number & 255}.0/24" for number in range(1024)] + [
    f"2a{number >> 8:02x}:{(number & 255) << 8:x}::/24" for number in range(512)
]
TOWNS = [
    {"country": {"iso_code": "US"}, "location": {"latitude": number / 8, "longitude": -number / 16}}
    for number in range(400)
]


@pytest.fixture(scope="module")
def large() -> Database:
    """A database of many pages, each network of which may have any of many places."""
    database = Database(record_size=32)
    for number, town in enumerate(TOWNS):
        database.add(f"100.{number >> 8}.{number & 255}.0/24", town)
    for number, network in enumerate(MANY):
        database.add(network, TOWNS[number * 7 % len(TOWNS)])
    return database


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    edits=st.lists(
        st.lists(
            st.tuples(st.integers(0, len(MANY) - 1), st.integers(1, 400), st.integers(0, len(TOWNS) - 1), st.booleans()),
            max_size=6,
        ),
        min_size=1,
        max_size=3,
    )
)  # fmt: skip
def test_pages_that_are_mended_are_those_made_anew(
    edits: list[list[tuple[int, int, int, bool]]], large: Database, tmp_path: Path
):
    forget(tmp_path)
    for number, network in enumerate(MANY):
        large.add(network, TOWNS[number * 7 % len(TOWNS)])
    before = compare(
        large.write(tmp_path / "large.mmdb"), Memory(tmp_path / "kept", "1", least_nodes=1), None
    )
    for edit in edits:
        for low, length, town, alike in edit:
            for number, network in enumerate(MANY[low : low + length]):
                large.add(network, TOWNS[town if alike else (town + number) % len(TOWNS)])
        memory = Memory(tmp_path / "kept", "1", least_nodes=1)
        before = compare(large.write(tmp_path / "large.mmdb"), memory, before)
        assert all(family.since is not None and family.since.root for family in before.values())


def test_a_page_that_is_not_what_was_remembered_is_refused(large, tmp_path):
    path = large.write(tmp_path / "large.mmdb")
    memory = Memory(tmp_path / "kept", "1", least_nodes=1)
    _, _, made = remembered(path, memory)
    start, length, entries, _ = made[32].leaves[0]
    other = [(start, length, entries, bytes(16)), *made[32].leaves[1:]]
    ranges, _ = read(path, memory)
    part = ranges[32].part
    assert part is not None
    tree = PageTree(32, part, other)
    tree.update([])
    with pytest.raises(CorruptPage, match="is not what was remembered"):
        tree.built().pages[bytes(16)]


def test_a_tree_with_other_places_alone_is_not_walked_again(tmp_path, monkeypatch):
    memory = Memory(tmp_path / "kept", "1", least_nodes=1)
    remembered(write(tmp_path / "first.mmdb", [0] * 10, 24), memory)
    monkeypatch.setattr(SearchTree, "walk", None)
    ranges, _, _ = remembered(write(tmp_path / "second.mmdb", [0] * 5 + [1] + [0] * 4, 24), memory)
    since = ranges[32].since
    assert since is not None
    assert since.sizes == {("DE", "US 1.5 2.5"): 1 << 24}


@pytest.mark.parametrize("name", ["kept", "kept.table"])
@pytest.mark.parametrize("harm", ["cut", "byte", "builder", "empty", "folder", "mode", "foreign", "gone"])
def test_what_is_kept_is_not_used_unless_it_is_whole(harm, name, tmp_path):
    kept = tmp_path / name
    first = write(tmp_path / "first.mmdb", [0, 1, 2, 3, 4] * 2, 28)
    ranges, _, _ = remembered(first, Memory(tmp_path / "kept", "1", least_nodes=1))
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
    elif harm == "foreign":  # whole, but of another database
        other = tmp_path / "other"
        other.mkdir()
        database = write(tmp_path / "other.mmdb", [1] * 10, 28, more=True)
        remembered(database, Memory(other / "kept", "1", least_nodes=1))
        kept.write_bytes((other / name).read_bytes())
    elif harm == "gone":
        kept.unlink()
    memory = Memory(tmp_path / "kept", builder, least_nodes=1)
    if harm != "foreign":
        reading = memory.load(1)
        assert reading is None or TableMemory(memory).load(reading.seal) == {}
    compare(write(tmp_path / "second.mmdb", [4, 3, 2, 1, 0] * 2, 28), memory, ranges)


def test_sizes_of_another_reading_are_not_believed(tmp_path):
    memory = Memory(tmp_path / "kept", "1", least_nodes=1)
    remembered(write(tmp_path / "first.mmdb", [0] * 10, 24), memory)
    read(write(tmp_path / "second.mmdb", [1] * 10, 24), memory)
    memory.renew()  # and the process ends before the table is kept
    reading = memory.load(1)
    assert reading is not None
    assert TableMemory(memory).load(reading.seal) == {}


def test_a_small_database_is_not_kept_nor_what_was_kept_before(tmp_path):
    database = write(tmp_path / "first.mmdb", [0] * 10, 24)
    remembered(database, Memory(tmp_path / "kept", "1", least_nodes=1))
    assert {path.name for path in tmp_path.glob("kept*")} == {"kept", "kept.table"}
    remembered(database, Memory(tmp_path / "kept", "1"))
    assert not list(tmp_path.glob("kept*"))


def test_what_is_read_and_not_published_is_not_kept(tmp_path):
    memory = Memory(tmp_path / "kept", "1", least_nodes=1)
    remembered(write(tmp_path / "first.mmdb", [0] * 10, 24), memory)
    before = {path.name: path.read_bytes() for path in tmp_path.glob("kept*")}
    ranges, _ = read(write(tmp_path / "second.mmdb", [1] * 10, 24), memory)
    made_of(ranges, TableMemory(memory))
    assert {path.name: path.read_bytes() for path in tmp_path.glob("kept*")} == before


def test_a_full_disk_leaves_what_was_kept_before(tmp_path):
    memory = Memory(tmp_path / "kept", "1", least_nodes=1)
    ranges, _, _ = remembered(write(tmp_path / "first.mmdb", [0] * 10, 24), memory)
    before = {path.name: path.read_bytes() for path in tmp_path.glob("kept*")}
    second = write(tmp_path / "second.mmdb", [1] * 10, 24)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))  # a write beyond it fails, as on a full disk
    try:
        remembered(second, memory)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert {path.name: path.read_bytes() for path in tmp_path.glob("kept*")} == before
    compare(second, memory, ranges)

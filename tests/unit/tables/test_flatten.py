"""Nested prefixes of several sources become disjoint ranges by longest match."""

from __future__ import annotations

import ipaddress
import subprocess
import sys
from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import radix
from hypothesis import given, settings
from hypothesis import strategies as st

from geosteer.decision.client import prefix_text
from geosteer.errors import SourceError
from geosteer_loader.sources.formats import open_source
from geosteer_loader.sources.networks import NetworkSource
from geosteer_loader.sources.report import Report
from geosteer_loader.sources.source import FAMILIES
from geosteer_loader.tables import flatten as flatten_module
from geosteer_loader.tables.flatten import flatten, sweep
from geosteer_loader.tables.ordered import TWICE
from geosteer_loader.tables.ranges import RangeBuilder
from support.data import shared
from support.long import examples, takes_long
from support.mmdb_writer import Database

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from geosteer_loader.sources.source import Row
    from geosteer_loader.tables.ranges import Ranges


@dataclass
class Listed:
    """A source that is a list."""

    listed: list[Row]
    disjoint: bool = False
    name: str = "listed.txt"
    families: frozenset[int] = FAMILIES

    def rows(self, report: Report, progress=None) -> Iterator[Row]:  # noqa: ARG002
        if progress is not None:
            progress(len(self.listed), len(self.listed))
        return iter(self.listed)


def listed(*lines: str) -> Listed:
    """A source of lines such as `10.0.0.0/8 A`; without a record they are holes."""
    rows: list[Row] = []
    for line in lines:
        prefix, _, record = line.partition(" ")
        network = ipaddress.ip_network(prefix)
        rows.append((network.max_prefixlen, int(network.network_address), network.prefixlen, record))
    return Listed(rows)


def text(ranges) -> str:
    """Ranges as `10.0.0.0=A 11.0.0.0=`."""
    kind = ipaddress.IPv4Address if ranges.bits == 32 else ipaddress.IPv6Address
    return " ".join(f"{kind(start)}={record}" for start, _, record in ranges.spans())


def test_the_longest_prefix_counts_and_the_wider_one_goes_on_behind_it():
    flat = flatten([listed("10.0.0.0/8 A", "10.1.0.0/16 B", "10.1.0.0/24 C")], Report())
    assert text(flat[32]) == "0.0.0.0= 10.0.0.0=A 10.1.0.0=C 10.1.1.0=B 10.2.0.0=A 11.0.0.0="
    assert flat[32].prefixes == 3
    assert text(flat[128]) == "::="


def test_a_hole_covers_a_wider_prefix_and_more_specific_entries_inside_it_still_count():
    flat = flatten([listed("10.0.0.0/8 A", "10.1.0.0/16", "10.1.2.0/24 B")], Report())
    assert text(flat[32]) == "0.0.0.0= 10.0.0.0=A 10.1.0.0= 10.1.2.0=B 10.1.3.0= 10.2.0.0=A 11.0.0.0="
    assert flat[32].prefixes == 2


def test_a_later_source_wins_among_equal_prefixes_and_loses_to_longer_ones():
    report = Report()
    flat = flatten([listed("10.0.0.0/8 A", "10.1.0.0/16 B"), listed("10.0.0.0/8 C", "10.0.0.0/15 D")], report)
    assert text(flat[32]) == "0.0.0.0= 10.0.0.0=D 10.1.0.0=B 10.2.0.0=C 11.0.0.0="
    assert report.lines() == []


def test_a_prefix_listed_twice_in_one_source_keeps_the_later_line_and_the_log_says_so():
    report = Report()
    flat = flatten([listed("10.0.0.0/8 A", "11.0.0.0/8 A", "11.0.0.0/8 A", "10.0.0.0/8 B")], report)
    assert text(flat[32]) == "0.0.0.0= 10.0.0.0=B 11.0.0.0=A 12.0.0.0="
    assert report.lines() == [f"{TWICE}: 1, such as listed.txt: 10.0.0.0/8"]


def test_both_whole_address_spaces_can_be_prefixes():
    flat = flatten([listed("0.0.0.0/0 A", "::/0 B", "255.255.255.255/32 C", "::/128")], Report())
    assert text(flat[32]) == "0.0.0.0=A 255.255.255.255=C"
    assert text(flat[128]) == "::= ::1=B"


def test_no_source_at_all_leaves_everything_unknown():
    assert [text(ranges) for ranges in flatten([], Report()).values()] == ["0.0.0.0=", "::="]


def test_a_source_that_claims_to_be_disjoint_and_is_not_is_refused():
    source = listed("10.0.0.0/8 A", "10.1.0.0/16 B")
    source.disjoint = True
    with pytest.raises(SourceError, match=r"^listed.txt: 10.1.0.0/16: overlaps"):
        flatten([source], Report())


def test_progress_of_several_sources_runs_through_once():
    steps: list[tuple[int, int]] = []
    sources = [listed("10.0.0.0/8 A"), listed("11.0.0.0/8 A")]
    flatten(sources, Report(), lambda done, total: steps.append((done, total)))
    assert steps == [(1000, 2000), (2000, 2000)]


def networks(bits: int) -> st.SearchStrategy[Row]:
    def make(drawn: tuple[int, int, str]) -> Row:
        length, value, record = drawn
        # few distinct leading bits, so that prefixes meet and nest
        return (
            bits,
            value << (bits - 8) >> (bits - length) << (bits - length) if length else 0,
            length,
            record,
        )

    lengths = st.integers(0, 10) | st.sampled_from((bits - 1, bits))
    return st.tuples(lengths, st.integers(0, 255), st.sampled_from(["", "A", "B", "C"])).map(make)


def longest_match(sources: list[list[Row]], bits: int, address: int) -> str:
    """Brute force over every prefix, with `ipaddress`."""
    kind: Any = ipaddress.IPv4Network if bits == 32 else ipaddress.IPv6Network
    best, found = -1, ""
    for rows in sources:
        for row_bits, start, length, record in rows:
            if (
                row_bits == bits
                and kind((start, length))[0] <= kind(address)[0] <= kind((start, length))[-1]
                and length >= best
            ):
                best, found = length, record
    return found


@settings(max_examples=examples(240), deadline=None)
@given(st.lists(st.lists(networks(32) | networks(128), max_size=12), min_size=1, max_size=3))
def test_every_address_gets_the_record_of_its_longest_prefix(sources: list[list[Row]]):
    flat = flatten([Listed(rows) for rows in sources], Report())
    for bits, ranges in flat.items():
        last = (1 << bits) - 1
        edges = {0, last}
        for row_bits, start, length, _ in (one for rows in sources for one in rows):
            if row_bits == bits:
                end = start + (1 << (bits - length))
                edges |= {start, end - 1, max(start - 1, 0), min(end, last)}
        for address in edges:
            assert ranges.records[bisect_right(ranges.starts, address) - 1] == longest_match(
                sources, bits, address
            )
        assert ranges.starts[0] == 0
        assert all(left < right for left, right in zip(ranges.starts, ranges.starts[1:], strict=False))
        assert all(left != right for left, right in zip(ranges.records, ranges.records[1:], strict=False))


def without_overlap(rows: list[Row]) -> list[Row]:
    """Those of the rows that do not overlap, in order: what a disjoint source has."""
    kept: list[Row] = []
    family, end = 0, 0
    for row in sorted(rows):
        bits, start, length, _ = row
        if bits != family or start >= end:
            kept.append(row)
            family, end = bits, start + (1 << (bits - length))
    return kept


def by_tree(sources: list[Listed], report: Report) -> dict[int, Ranges]:
    """The ranges by way of py-radix: every prefix in one tree, one after the other, and then all in order."""
    trees = {bits: radix.Radix() for bits in FAMILIES}
    for number, source in enumerate(sources):
        for bits, start, length, record in source.listed:
            data = trees[bits].add(packed=start.to_bytes(bits // 8, "big"), masklen=length).data
            if data.get("source") == number and data["record"] != record:
                report.note(TWICE, f"{source.name}: {prefix_text(bits, start, length)}")
            data["record"], data["source"] = record, number
    return {
        bits: sweep(
            RangeBuilder(bits),
            bits,
            [
                (int.from_bytes(node.packed, "big"), node.prefixlen, node.data["record"])
                for node in trees[bits]
            ],
        )
        for bits in (32, 128)
    }


@settings(max_examples=examples(240), deadline=None)
@given(
    st.lists(
        st.tuples(st.lists(networks(32) | networks(128), max_size=16), st.booleans()), min_size=1, max_size=4
    )
)
def test_merged_streams_give_what_one_tree_of_all_prefixes_gives(drawn: list[tuple[list[Row], bool]]):
    sources = [
        Listed(without_overlap(rows) if disjoint else rows, disjoint=disjoint, name=f"{number}.txt")
        for number, (rows, disjoint) in enumerate(drawn)
    ]
    told, expected = Report(), Report()
    assert flatten(sources, told) == by_tree(sources, expected)
    assert told.lines() == expected.lines()


@settings(max_examples=60, deadline=None)
@given(st.lists(networks(32) | networks(128), max_size=24))
def test_the_configurations_own_networks_give_what_a_tree_of_them_gives(drawn: list[Row]):
    distinct = list({row[:3]: row for row in drawn if row[3]}.values())
    named: dict[str, list[tuple[int, int, int]]] = {}
    for *prefix, name in distinct:
        named.setdefault(name, []).append((prefix[0], prefix[1], prefix[2]))
    assert flatten([NetworkSource(named)], Report()) == by_tree([Listed(distinct)], Report())


@pytest.mark.parametrize(
    "lines",
    [
        ("10.0.0.0/8 A", "10.1.0.0/16 B"), ("11.0.0.0/8 A", "10.0.0.0/8 B"), ("2001:db8::/32 A", "10.0.0.0/8 B"),
        ("10.0.0.0/16 A", "10.0.0.0/8 B"), ("10.0.0.0/8 A", "2001:db8::/32 A", "11.0.0.0/8 B"),
    ],
    ids=["nested", "out of order", "IPv6 first", "the wider one later", "a family twice"],
)  # fmt: skip
def test_one_of_several_sources_that_is_not_disjoint_although_it_says_so_is_refused(lines: tuple[str, ...]):
    source = listed(*lines)
    source.disjoint = True
    place = lines[-1].partition(" ")[0]
    with pytest.raises(SourceError, match=f"^listed.txt: {place}: overlaps the prefix before it or is out"):
        flatten([listed("9.0.0.0/8 C"), source], Report())


@takes_long
@pytest.mark.no_cover
def test_one_way_and_the_other_give_the_same_for_a_real_database():
    path = shared("country-2026-02-01.mmdb")
    streamed = flatten([open_source("geo", "mmdb", path)], Report())
    overlaid = flatten([open_source("geo", "mmdb", path), Listed([])], Report())
    assert streamed == overlaid


@pytest.mark.parametrize(
    ("families", "whole"),
    [((4, 6), True), ((6, 4), True), ((4, 4), False), ((6, 6), False)],
    ids=["v4, v6", "v6, v4", "v4 twice", "v6 twice"],
)
def test_two_databases_of_one_family_each_are_not_put_over_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, families, whole
):
    sources = []
    for number, version in enumerate(families):
        made = Database(version=version)
        made.add("192.0.2.0/24" if version == 4 else "2001:db8::/32", {"country": {"iso_code": "GB"}})
        sources.append(open_source("geo", "mmdb", made.write(tmp_path / f"{number}.mmdb")))
    overlaid: list[int] = []
    overlay = flatten_module._overlay

    def counted(*given: Any) -> dict[int, Ranges]:
        overlaid.append(1)
        return overlay(*given)

    monkeypatch.setattr(flatten_module, "_overlay", counted)
    ranges = flatten(sources, Report())
    assert overlaid == ([] if whole else [1])
    assert ranges == overlay(sources, Report(), None)


def test_a_database_of_both_families_is_put_over_one_of_either(tmp_path: Path):
    both = Database().add("192.0.2.0/24", {"country": {"iso_code": "GB"}}).write(tmp_path / "both.mmdb")
    one = Database(version=4).add("192.0.0.0/16", {"country": {"iso_code": "FR"}}).write(tmp_path / "v4.mmdb")
    assert open_source("geo", "mmdb", both).families == {32, 128}
    assert open_source("geo", "mmdb", one).families == {32}
    ranges = flatten([open_source("geo", "mmdb", path) for path in (both, one)], Report())
    assert ranges[32].records == ["", "FR", "GB", "FR", ""]


MEASURE = """
import sys
from pathlib import Path
from geosteer_loader.tables.flatten import flatten
from geosteer_loader.sources.formats import open_source
from geosteer_loader.sources.report import Report
flatten([open_source("geo", "mmdb", Path(sys.argv[1]))], Report())
print(next(line.split()[1] for line in Path("/proc/self/status").open() if line.startswith("VmHWM")))
"""


def test_flattening_a_country_database_takes_little_memory():
    path = shared("country-2026-02-01.mmdb")
    child = subprocess.run([sys.executable, "-c", MEASURE, path], check=True, capture_output=True, text=True)
    assert int(child.stdout) < 64 * 1024

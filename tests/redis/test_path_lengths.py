"""AS-path lengths of several vantage points in one table."""

from __future__ import annotations

import ipaddress
import json
import random
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geosteer.errors import ConfigError
from geosteer_loader.publish.publish import publish
from geosteer_loader.sources.report import Report
from geosteer_loader.sources.source import FAMILIES
from geosteer_loader.store.store import connect
from geosteer_loader.tables.path_lengths import flatten_views, merge
from geosteer_loader.tables.ranges import RangeBuilder, Ranges
from support import mrt_writer as mrt
from support.publishing import contents, current_of, make_config

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from geosteer_loader.sources.source import Row
    from support.servers import RedisServer

LENGTHS = st.lists(st.tuples(st.integers(0, 15), st.sampled_from(["", "1", "2"])), max_size=6)


@dataclass
class Listed:
    """A source that is a list of lines such as `10.0.0.0/8 3`."""

    lines: Sequence[str]
    disjoint: bool = False
    name: str = "listed"
    families: frozenset[int] = FAMILIES
    began: list[str] = field(default_factory=list)

    def rows(self, report: Report, progress=None) -> Iterator[Row]:  # noqa: ARG002
        self.began.append(self.name)
        for line in self.lines:
            prefix, _, record = line.partition(" ")
            network = ipaddress.ip_network(prefix)
            yield network.max_prefixlen, int(network.network_address), network.prefixlen, record
        if progress is not None:
            progress(1, 1)


def text(ranges: Ranges) -> str:
    """Ranges as `10.0.0.0=lon=3 | 11.0.0.0=`."""
    kind = ipaddress.IPv4Address if ranges.bits == 32 else ipaddress.IPv6Address
    return " | ".join(f"{kind(start)}: {record}".rstrip() for start, _, record in ranges.spans())


def flat(**views: Sequence[str]) -> dict[int, Ranges]:
    return flatten_views({name: [Listed(lines)] for name, lines in views.items()}, Report())


def view(pieces: list[tuple[int, str]]) -> Ranges:
    builder = RangeBuilder(32)
    for start, length in sorted(dict(pieces).items()):
        builder.skip(start << 28)
        builder.span((start + 1) << 28, length)
    return builder.finish(len(pieces))


def at(ranges: Ranges, address: int) -> str:
    return ranges.records[bisect_right(ranges.starts, address) - 1]


@given(LENGTHS, LENGTHS, LENGTHS)
def test_each_address_has_the_length_from_every_vantage_point_that_has_a_path(
    lon: list[tuple[int, str]], ams: list[tuple[int, str]], nyc: list[tuple[int, str]]
) -> None:
    views = {"lon": view(lon), "ams": view(ams), "nyc": view(nyc)}
    merged = merge({name: {32: ranges} for name, ranges in views.items()})[32]
    for address in range(0, 1 << 32, 1 << 28):
        parts = [f"{name}={at(ranges, address)}" for name, ranges in views.items() if at(ranges, address)]
        assert at(merged, address) == " ".join(parts)
    assert merged.starts[0] == 0
    assert all(one != other for one, other in zip(merged.records, merged.records[1:], strict=False))


def test_the_longest_prefix_counts_for_each_vantage_point_by_itself() -> None:
    table = flat(lon=["8.0.0.0/8 3", "8.128.0.0/9 5"], ams=["8.0.0.0/8 4", "8.192.0.0/10 2"])
    assert text(table[32]) == (
        "0.0.0.0: | 8.0.0.0: lon=3 ams=4 | 8.128.0.0: lon=5 ams=4 | 8.192.0.0: lon=5 ams=2 | 9.0.0.0:"
    )


def test_a_vantage_point_without_a_path_is_left_out_there() -> None:
    table = flat(lon=["8.0.0.0/8 3"], ams=["9.0.0.0/8 4", "2a00::/16 1"])
    assert text(table[32]) == "0.0.0.0: | 8.0.0.0: lon=3 | 9.0.0.0: ams=4 | 10.0.0.0:"
    assert text(table[128]) == "::: | 2a00::: ams=1 | 2a01:::"


def test_neighbours_that_look_the_same_from_everywhere_are_one_range() -> None:
    table = flat(
        lon=["8.0.0.0/8 3", "9.0.0.0/8 3", "8.1.0.0/16 3"],
        ams=["8.0.0.0/7 2", "8.3.0.0/16 2"],
        nyc=["1.0.0.0/8 1"],
    )
    assert text(table[32]) == "0.0.0.0: | 1.0.0.0: nyc=1 | 2.0.0.0: | 8.0.0.0: lon=3 ams=2 | 10.0.0.0:"


def test_equal_records_are_one_text_in_memory() -> None:
    lines = [f"8.{number}.0.0/16 {number % 2 + 10}" for number in range(200)]
    table = flat(lon=lines, ams=["8.0.0.0/8 12"])
    assert len({id(record) for record in table[32].records}) == len(set(table[32].records)) == 4


def test_the_prefixes_of_all_views_are_counted() -> None:
    merged = merge({"lon": {32: view([(1, "3")])}, "ams": {32: view([(1, "2"), (5, "2")])}})
    assert merged[32].prefixes == 3


def test_several_sources_of_one_vantage_point_overlay_each_other() -> None:
    sources = [Listed(["8.0.0.0/8 3", "9.0.0.0/8 3"]), Listed(["9.0.0.0/8 1"])]
    table = flatten_views({"lon": sources}, Report())
    assert text(table[32]) == "0.0.0.0: | 8.0.0.0: lon=3 | 9.0.0.0: lon=1 | 10.0.0.0:"


def test_vantage_points_are_read_one_after_the_other_and_progress_runs_through_once() -> None:
    began: list[str] = []
    seen: list[float] = []
    sources = [Listed(["8.0.0.0/8 3"], name=name, began=began) for name in ("one", "two", "three")]
    views = {"lon": sources[:2], "ams": sources[2:]}
    flatten_views(views, Report(), lambda done, total: seen.append(done / total))
    assert began == ["one", "two", "three"]
    assert seen == sorted(seen)
    assert seen[-1] == 1


def test_names_that_do_not_fit_a_record_are_refused_before_anything_is_read() -> None:
    began: list[str] = []
    views = {f"vantage-{number:02}": [Listed([], began=began)] for number in range(20)}
    with pytest.raises(ConfigError) as refusal:
        flatten_views(views, Report())
    (problem,) = refusal.value.problems
    assert problem == (
        "sources.path: 20 vantage points with such names need 279 bytes in a record, which holds 255: use shorter "
        "names, or fewer"
    )
    assert began == []


@pytest.mark.parametrize("seed", range(4))
def test_nested_prefixes_of_random_feeds_agree_with_a_search_through_the_lists(seed: int) -> None:
    dice = random.Random(seed)
    views: dict[str, dict[ipaddress.IPv4Network, str]] = {}
    for name in ("lon", "ams", "sin"):
        views[name] = {}
        for _ in range(150):
            length = dice.choice((8, 9, 10, 12, 16, 20, 24, 32))
            start = (dice.choice((8, 9, 200)) << 24 | dice.getrandbits(24)) >> (32 - length) << (32 - length)
            views[name][ipaddress.IPv4Network((start, length))] = str(dice.randrange(1, 4))
    table = flat(
        **{name: [f"{net} {length}" for net, length in view.items()] for name, view in views.items()}
    )
    edges = {
        int(net[end]) + step
        for view in views.values()
        for net in view
        for end in (0, -1)
        for step in (-1, 0, 1)
    }
    for address in edges:
        if 0 <= address < 1 << 32:
            assert at(table[32], address) == seen_from(views, address)


def seen_from(views: Mapping[str, Mapping[ipaddress.IPv4Network, str]], address: int) -> str:
    """The record of an address, by looking at every prefix of every view."""
    parts = []
    for name, networks in views.items():
        around = [net for net in networks if int(net[0]) <= address <= int(net[-1])]
        if around:
            parts.append(f"{name}={networks[max(around, key=lambda net: net.prefixlen)]}")
    return " ".join(parts)


def test_feeds_of_two_vantage_points_are_published_as_one_table(
    own_redis: RedisServer, tmp_path: Path
) -> None:
    london, amsterdam = tmp_path / "lon.mrt", tmp_path / "ams.dump"
    london.write_bytes(
        mrt.peers(1)
        + mrt.rib("8.0.0.0/8", [701, 3356, 10], [702, 10])
        + mrt.rib("8.1.0.0/16", [701, *[20] * 30])
        + mrt.rib("2a00::/16", [30])
    )
    line = "TABLE_DUMP2|1400824800|B|157.130.10.233|3356|{}|{}|IGP|157.130.10.233|0|0||NAG||\n"
    amsterdam.write_text(line.format("8.0.0.0/9", "5 6 7 10") + line.format("0.0.0.0/0", "5"))
    more = "".join(
        f'[[sources.path]]\nformat = "{kind}"\npath = "{file}"\nvantage = "{name}"\n'
        for kind, file, name in (("mrt", london, "lon"), ("bgpdump", amsterdam, "ams"))
    )
    config = make_config(tmp_path, own_redis.url, more=more)
    with connect(config.redis) as store:
        assert publish(config, store).changed == ["path", "config"]
        assert publish(config, store).changed == []
        with own_redis.client() as client:
            fields = current_of(client)
            published = contents(client, fields)
        renamed = make_config(tmp_path, own_redis.url, more=more.replace('"ams"', '"fra"'))
        assert publish(renamed, store).changed == ["path"]
    found = {str(ipaddress.ip_address(start)): record for start, record in published["path.v4"].items()}
    assert found == {
        "0.0.0.0": "", "8.0.0.0": "lon=2 ams=4", "8.1.0.0": "lon=15 ams=4", "8.2.0.0": "lon=2 ams=4",
        "8.128.0.0": "lon=2", "9.0.0.0": "",
    }  # fmt: skip
    assert published["path.v6"][0x2A00 << 112] == "lon=1"
    assert [file["vantage"] for file in json.loads(fields["path.source"])] == ["lon", "ams"]

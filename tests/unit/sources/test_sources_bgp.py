"""BGP data in every format: origins, AS-path lengths, what is left out, and damaged files."""

from __future__ import annotations

import bz2
import gzip
import ipaddress
import random
from bisect import bisect_right
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
import radix

from geosteer.decision.client import prefix_text
from geosteer.errors import ConfigError, SourceError
from geosteer_loader.sources.formats import open_source
from geosteer_loader.sources.prefix import parse_prefix
from geosteer_loader.sources.report import Report
from geosteer_loader.tables.flatten import flatten
from support import mrt_writer as mrt
from support.data import shared
from support.long import LONG

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BOGONS = [ipaddress.ip_network(text) for text in (
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
    "192.0.2.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
    "2001:db8::/32", "3fff::/20",
)]  # fmt: skip


def rows(
    path: Path, kind: str, content: str | bytes, report: Report | None = None, table: str = "bgp"
) -> list[str]:
    """The rows of a file with that content, as `8.0.0.0/8 AS1`."""
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return [text(row) for row in open_source(table, kind, path).rows(report or Report())]


def text(row: tuple[int, int, int, str]) -> str:
    return f"{prefix_text(*row[:3])} {row[3]}"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "rib"


@pytest.mark.parametrize(
    ("kind", "line", "row"),
    [
        ("pyasn", "1.0.0.0/24\t15169", "1.0.0.0/24 AS15169"),
        ("pyasn", "1.0.0.0/24 AS15169", "1.0.0.0/24 AS15169"),
        ("pyasn", "2001:200::/32\t2500", "2001:200::/32 AS2500"),
        ("pyasn", "1.0.0.0/24 as10 AS20", "1.0.0.0/24 AS10 AS20"),
        ("pyasn", "1.0.0.0/24 3.10", "1.0.0.0/24 AS196618"),
        ("prefix2as", "1.0.0.0\t24\t0.10_AS3.11", "1.0.0.0/24 AS10 AS196619"),
        ("prefix2as", "1.0.0.0\t24\t15169", "1.0.0.0/24 AS15169"),
        ("prefix2as", "1.0.0.0\t24\t20_10", "1.0.0.0/24 AS20 AS10"),
        ("prefix2as", "1.0.0.0\t24\t10,20", "1.0.0.0/24 AS10 AS20"),
        ("prefix2as", "1.0.0.0\t24\t{10 20}", "1.0.0.0/24 AS10 AS20"),
        ("prefix2as", "1.0.0.0\t24\t10_20,30", "1.0.0.0/24 AS10 AS20 AS30"),
        ("prefix2as", "1.0.0.0\t24\t10_20_10", "1.0.0.0/24 AS10 AS20"),
        ("prefix2as", "1.0.0.0\t24\t64512_20", "1.0.0.0/24 AS20"),
        ("pyasn", "1.1.1.128/25\t10", "1.1.1.128/25 AS10"),
    ],
)
def test_a_line_of_an_origin_list_gives_prefix_and_origins_in_order(
    path: Path, kind: str, line: str, row: str
):
    assert rows(path, kind, f"; header\n# comment\n\n{line}\n") == [row]


@pytest.mark.parametrize(
    ("kind", "line", "reason"),
    [
        ("pyasn", "1.0.0.0/24", "invalid AS number: ''"),
        ("pyasn", "1.0.0.0/24 Google", "invalid AS number: 'Google'"),
        ("pyasn", "1.0.0.0/24 4294967296", "invalid AS number: '4294967296'"),
        ("pyasn", "1.0.0.0/24 1.65536", "invalid AS number: '1.65536'"),
        ("pyasn", "1.0.0.0/24 65536.1", "invalid AS number: '65536.1'"),
        ("pyasn", "1.0.0.1/24 10", "host bits are set: '1.0.0.1/24'"),
        ("pyasn", "1.0.0.0 AS10", "missing prefix length: '1.0.0.0'"),
        (
            "pyasn",
            "1.0.0.0\t24\t10_20",
            "missing prefix length: '1.0.0.0' (format prefix2as has it in the next column)",
        ),
        (
            "prefix2as",
            "1.0.0.0/24\t10",
            "prefix and length in one column (format pyasn has them so): '1.0.0.0/24'",
        ),
        ("prefix2as", "1.0.0.0\t33\t10", "prefix length out of range, 0 to 32: '1.0.0.0/33'"),
    ],
)
def test_a_malformed_line_of_an_origin_list_is_named(path: Path, kind: str, line: str, reason: str):
    good = "1.0.0.0/24 10" if kind == "pyasn" else "1.0.0.0\t24\t10"
    with pytest.raises(SourceError) as refusal:
        rows(path, kind, f"{good}\n{line}\n")
    assert str(refusal.value) == f"{path}: line 2: {reason}"


def test_what_is_left_out_is_counted_and_a_wider_prefix_counts_there(path: Path):
    report = Report()
    content = """0.0.0.0/0 10
::/0 10
10.1.0.0/16 10
100.64.0.0/10 10
192.0.2.0/25 10
2001:db8:1::/48 10
fc00::/7 10
5.0.0.0/8 10
5.1.0.0/16 0
5.2.0.0/16 23456
5.3.0.0/16 64512
5.4.0.0/16 4200000000
5.5.0.0/16 131072
"""
    assert rows(path, "pyasn", content, report) == ["5.0.0.0/8 AS10", "5.5.0.0/16 AS131072"]
    assert report.lines() == [
        "default routes: left out: 2, such as 0.0.0.0/0 10, ::/0 10",
        "bogon prefixes: left out: 5, such as 10.1.0.0/16 10, 100.64.0.0/10 10, 192.0.2.0/25 10",
        "no public origin AS: left out: 4, such as 5.1.0.0/16 0, 5.2.0.0/16 23456, 5.3.0.0/16 64512",
    ]


def test_sets_and_private_members_of_a_list_are_counted_by_prefix(path: Path):
    report = Report()
    content = "8.0.0.0\t8\t10,20\n9.0.0.0\t8\t10,20\n11.0.0.0\t8\t64512_20\n12.0.0.0\t8\t10_20\n"
    assert rows(path, "prefix2as", content, report) == [
        "8.0.0.0/8 AS10 AS20", "9.0.0.0/8 AS10 AS20", "11.0.0.0/8 AS20", "12.0.0.0/8 AS10 AS20",
    ]  # fmt: skip
    assert report.lines() == [
        "origin is an AS set: all its members count: 2, such as 8.0.0.0\t8\t10,20, 9.0.0.0\t8\t10,20",
        "private or reserved AS among several origins: left out: 1, such as 11.0.0.0\t8\t64512_20",
    ]


@pytest.mark.parametrize("kind", ["pyasn", "prefix2as", "bgpdump"])
def test_a_v4_mapped_network_that_somebody_announces_is_a_bogon(path: Path, kind: str):
    report = Report()
    content = {
        "pyasn": "::ffff:8.0.0.0/104 10\n8.0.0.0/8 10\n",
        "prefix2as": "::ffff:8.0.0.0\t104\t10\n8.0.0.0\t8\t10\n",
        "bgpdump": dump_line("::ffff:8.0.0.0/104", "10") + dump_line("8.0.0.0/8", "10"),
    }[kind]
    assert rows(path, kind, content, report) == ["8.0.0.0/8 AS10"]
    assert report.count("bogon prefixes: left out") == 1


@pytest.mark.parametrize(
    ("kind", "content", "reason"),
    [
        ("pyasn", "; IP-ASN32-DAT file\n", "contains no prefix"),
        ("prefix2as", "", "contains no prefix"),
        ("bgpdump", "", "contains no routing table entry (TABLE_DUMP..|..|B|..)"),
        (
            "bgpdump", "BGP4MP|1400824800|W|157.130.10.233|701|12.0.0.0/8\n",
            "contains no routing table entry (TABLE_DUMP..|..|B|..)",
        ),
    ],
)  # fmt: skip
def test_a_file_without_any_route_is_not_an_empty_table(path: Path, kind: str, content: str, reason: str):
    with pytest.raises(SourceError) as refusal:
        rows(path, kind, content)
    assert str(refusal.value) == f"{path}: {reason}"


@pytest.mark.parametrize("table", ["bgp", "path"])
def test_a_record_without_routes_is_left_out(path: Path, table: str):
    report = Report()
    content = mrt.peers(701) + mrt.rib("8.0.0.0/8") + mrt.rib("9.0.0.0/8", [701, 10])
    assert len(rows(path, "mrt", content, report, table)) == 1
    assert report.lines() == ["no route to it: left out: 1, such as 8.0.0.0/8"]


def reserved(asn: int) -> bool:
    return asn in {0, 23456} or 64496 <= asn <= 65551 or asn >= 4200000000


def bogon(network: Any) -> bool:
    if network.version == 6 and not network.subnet_of(ipaddress.ip_network("2000::/3")):
        return True
    return any(network.version == block.version and network.subnet_of(block) for block in BOGONS)


SLICES = 1 if LONG else 36
"""A full table is compared whole in a long run, else one of so many slices of it: every twelfth /8 of IPv4, /32 of IPv6."""


def in_slice(bits: int, first: int) -> bool:
    return (first >> (24 if bits == 32 else 96)) % SLICES == 4 % SLICES


@pytest.mark.no_cover
def test_every_edge_of_a_full_table_has_the_longest_match_of_py_radix(path: Path):
    trees = {32: radix.Radix(), 128: radix.Radix()}
    edges: dict[int, set[int]] = {32: set(), 128: set()}
    lines = []
    for line in gzip.decompress(shared("bgp/ipasn6_20151101.dat.gz").read_bytes()).decode().splitlines():
        if line.startswith(";"):
            continue
        prefix, asn = line.split()
        bits, first, length = parse_prefix(prefix)
        if not in_slice(bits, first):
            continue
        lines.append(line)
        end = first + (1 << (bits - length))
        edges[bits] |= {first - 1, first, end - 1, end}
        suspicious = bits == 128 or prefix.startswith(("0.", "10.", "1", "2"))
        if not reserved(int(asn)) and not (suspicious and bogon(ipaddress.ip_network(prefix))):
            trees[bits].add(prefix).data["asn"] = asn
    path.write_text("\n".join(lines))
    flat = flatten([open_source("bgp", "pyasn", path)], Report())
    for bits, addresses in edges.items():
        ranges, tree = flat[bits], trees[bits]
        for address in addresses:
            if 0 <= address < 1 << bits:
                node = tree.search_best(packed=address.to_bytes(bits // 8, "big"))
                expected = f"AS{node.data['asn']}" if node else ""
                assert ranges.records[bisect_right(ranges.starts, address) - 1] == expected


@pytest.mark.parametrize(
    ("paths", "record", "length"),
    [
        ([[701, 6453, 15169]], "AS15169", "3"),
        ([[701, 10], [702, 3, 20], [703, 3, 20]], "AS20 AS10", "2"),
        ([[701, 20], [702, 10]], "AS10 AS20", "2"),
        ([[701, 10, 10, 10]], "AS10", "4"),
        ([[701, 38266, {38267, 38266}]], "AS38266 AS38267", "3"),
        ([[701, {10, 64512}]], "AS10", "2"),
        ([[701, 10, 64512, 65000]], "AS10", "4"),
        ([[701, 10, {64512, 65000}]], "AS10", "3"),
        ([[701, 10, 64512], [702, 3, 10]], "AS10", "3"),
        ([[701, *[10] * 20]], "AS10", "15"),
        ([[]], "AS3356", "0"),
        ([[{10}]], "AS10", "1"),
        ([[701, 4199999999]], "AS4199999999", "2"),
    ],
    ids=str,
)
def test_paths_give_their_origins_most_seen_first_and_the_length_of_the_shortest(
    path: Path, paths, record, length
):
    for content in (
        mrt.peers(3356) + mrt.rib("8.0.0.0/9", *paths),
        mrt.peers(3356) + mrt.rib("8.0.0.0/9", *paths, add_path=True),
        mrt.peers(3356) + mrt.rib("8.0.0.0/9", *paths, extended=True),
        mrt.peers(3356) + b"".join(mrt.rib("8.0.0.0/9", one) for one in paths),
    ):
        assert rows(path, "mrt", content) == [f"8.0.0.0/9 {record}"]
        assert rows(path, "mrt", content, table="path") == [f"8.0.0.0/9 {length}"]
    for between in (",", " ", ", "):
        lines = "".join(dump_line("8.0.0.0/9", written(one, between)) for one in paths)
        assert rows(path, "bgpdump", lines) == [f"8.0.0.0/9 {record}"]
        assert rows(path, "bgpdump", lines, table="path") == [f"8.0.0.0/9 {length}"]


def written(one: mrt.Path, between: str = ",") -> str:
    """A path as bgpdump and others print it: members of a set parted by commas, blanks or both."""
    return " ".join(
        "{" + between.join(map(str, sorted(step))) + "}" if isinstance(step, set) else str(step)
        for step in one
    )


def dump_line(prefix: str, as_path: str) -> str:
    return f"TABLE_DUMP2|1400824800|B|157.130.10.233|3356|{prefix}|{as_path}|IGP|157.130.10.233|0|0|7660:5|NAG||\n"


def test_confederations_are_no_hops_and_no_origins(path: Path):
    value = mrt.segment(mrt.SEQUENCE, [701, 10]) + mrt.segment(mrt.CONFED_SEQUENCE, [20, 30])
    assert rows(path, "mrt", mrt.peers(3356) + mrt.rib("8.0.0.0/9", value)) == ["8.0.0.0/9 AS10"]
    line = dump_line("8.0.0.0/9", "701 10 (20 30)")
    assert rows(path, "bgpdump", line) == ["8.0.0.0/9 AS10"]
    assert rows(path, "bgpdump", line, table="path") == ["8.0.0.0/9 2"]


def test_odd_routes_of_a_dump_are_counted_by_prefix(path: Path):
    report = Report()
    content = (
        mrt.peers(3356)
        + mrt.rib("0.0.0.0/0", [701])
        + mrt.rib("::/0", [701])
        + mrt.rib("10.0.0.0/8", [701, 10])
    )
    content += mrt.rib("8.0.0.0/8", [701, 64512], [701, 64513]) + mrt.rib("9.0.0.0/8", [64512, 65000])
    content += (
        mrt.rib("11.0.0.0/8", [701, {10, 20}]) + mrt.record(3, b"multicast") + mrt.record(1, b"old", kind=12)
    )
    content += mrt.rib("12.0.0.0/8", [701, {30}])
    assert rows(path, "mrt", content, report) == [
        "8.0.0.0/8 AS701", "11.0.0.0/8 AS10 AS20", "12.0.0.0/8 AS30",
    ]  # fmt: skip
    assert report.lines() == [
        "default routes: left out: 2, such as 0.0.0.0/0, ::/0",
        "bogon prefixes: left out: 1, such as 10.0.0.0/8",
        "private or reserved origin AS: the AS before it counts: 1, such as 8.0.0.0/8",
        "no public origin AS: left out: 1, such as 9.0.0.0/8",
        "records other than unicast routes: left out: 2, such as type 13, subtype 3, type 12, subtype 1",
        "origin is an AS set: all its members count: 2, such as 11.0.0.0/8, 12.0.0.0/8",
    ]
    assert report.built == 1_400_824_800


def test_a_set_of_one_is_an_as_set_in_print_too(path: Path):
    report = Report()
    content = dump_line("8.0.0.0/8", "701 {30}") + dump_line("9.0.0.0/8", "701 30")
    assert rows(path, "bgpdump", content, report) == ["8.0.0.0/8 AS30", "9.0.0.0/8 AS30"]
    assert report.lines() == ["origin is an AS set: all its members count: 1, such as 8.0.0.0/8"]


def test_a_prefix_of_very_many_origins_keeps_those_seen_most(path: Path):
    report = Report()
    paths = [[1000, asn] for asn in range(4_100_000_000, 4_100_000_030)] + [[1000, 4_100_000_029]]
    (row,) = rows(path, "mrt", mrt.peers(1) + mrt.rib("8.0.0.0/8", *paths), report)
    assert row.startswith("8.0.0.0/8 AS4100000029 AS4100000000 AS4100000001 ")
    assert len(row.split()) == 17
    assert report.lines() == ["more than 16 origins: the others are left out: 1, such as 8.0.0.0/8"]


def test_bits_behind_a_prefix_in_a_dump_do_not_matter(path: Path):
    whole = bytearray(mrt.peers(1) + mrt.rib("8.0.0.0/9", [701]))
    at = whole.index(bytes([9, 8, 0])) + 2
    whole[at] |= 0x7F
    assert rows(path, "mrt", bytes(whole)) == ["8.0.0.0/9 AS701"]


@pytest.fixture(scope="module", params=["rib.20140523.0600_firstMB", "rib6.20151101.0600_firstMB"])
def sample(request: pytest.FixtureRequest) -> bytes:
    """The whole records of a dump whose compressed stream ends in the middle; in a short run the first of them."""
    data = bz2.BZ2Decompressor().decompress(shared(f"bgp/{request.param}.bz2").read_bytes())
    at = 0
    most = len(data) if LONG else 1 << 20
    while (
        at < most
        and at + 12 <= len(data)
        and (end := at + 12 + int.from_bytes(data[at + 8 : at + 12], "big")) <= len(data)
    ):
        at = end
    return data[:at]


def plain_rules(data: bytes) -> Iterator[tuple[str, str, str]]:
    """Prefix, origins and least length, by rules written down a second time."""
    for prefix, entries in mrt.read(data):
        network = ipaddress.ip_network(prefix)
        if network.prefixlen == 0 or bogon(network):
            continue
        votes: Counter[int] = Counter()
        lengths = []
        for path in entries:
            steps = [
                step for kind, asns in path for step in ([asns] if kind == 1 else [[asn] for asn in asns])
            ]
            lengths.append(len(steps))
            while steps and all(map(reserved, steps[-1])):
                steps.pop()
            votes.update(asn for asn in set(steps[-1] if steps else []) if not reserved(asn))
        origins = sorted(votes, key=lambda asn: (-votes[asn], asn))
        yield prefix, " ".join(f"AS{asn}" for asn in origins), str(min(*lengths, 15))


@pytest.mark.no_cover
def test_a_real_dump_gives_what_a_plain_reading_of_the_rfc_gives(path: Path, sample: bytes):
    expected = list(plain_rules(sample))
    assert len(expected) > (6000 if LONG else 500)
    assert rows(path, "mrt", sample) == [f"{prefix} {origins}" for prefix, origins, _ in expected if origins]
    assert rows(path, "mrt", sample, table="path") == [f"{prefix} {length}" for prefix, _, length in expected]


@pytest.mark.no_cover
def test_a_printed_dump_gives_the_same_as_the_dump(path: Path, sample: bytes):
    lines = "".join(
        dump_line(
            prefix, written([step for kind, asns in one for step in ([set(asns)] if kind == 1 else asns)])
        )
        for prefix, entries in mrt.read(sample)
        for one in entries
    )
    assert rows(path, "bgpdump", lines) == rows(path, "mrt", sample)


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, bytes], ids=["gzip", "bzip2", "plain"])
def test_dumps_are_read_compressed_or_not_in_whatever_pieces_they_come(path: Path, pack, monkeypatch):
    content = mrt.peers(1) + b"".join(
        mrt.rib(f"8.{number}.0.0/16", [701, number + 1]) for number in range(50)
    )
    expected = [f"8.{number}.0.0/16 AS{number + 1}" for number in range(50)]
    assert rows(path, "mrt", pack(content)) == expected
    monkeypatch.setattr("geosteer_loader.sources.source_files.CHUNK", 7)
    assert rows(path, "mrt", pack(content)) == expected


@pytest.mark.parametrize("name", ["rib.20140523.0600_firstMB.bz2", "rib6.20151101.0600_firstMB.bz2"])
def test_a_dump_whose_compressed_stream_ends_in_the_middle_is_refused(name: str):
    file = shared(f"bgp/{name}")
    with pytest.raises(SourceError) as refusal:
        flatten([open_source("bgp", "mrt", file)], Report())
    assert str(refusal.value) == f"{file}: reading: the compressed data ends in the middle"


def test_a_dump_cut_off_anywhere_is_refused_or_ends_with_a_whole_record(path: Path):
    content = mrt.peers(1, 70000) + mrt.rib("8.0.0.0/8", [701, 10]) + mrt.rib("9.0.0.0/8", [701, 20])
    ends = {len(content), len(content) - len(mrt.rib("9.0.0.0/8", [701, 20]))}
    for size in range(len(content) + 1):
        if size in ends:
            assert rows(path, "mrt", content[:size])
        else:
            with pytest.raises(
                SourceError, match=rf"^{path}: (record at byte \d+: the file is cut off|contains no unicast)"
            ):
                rows(path, "mrt", content[:size])


def test_a_damaged_dump_is_read_or_refused_but_nothing_else(path: Path):
    content = (
        mrt.peers(1, 70000)
        + mrt.rib("8.0.0.0/8", [701, {10, 20}], [701])
        + mrt.rib("2a00::/16", [701], [], extended=True)
    )
    draw = random.Random(5)
    refused = 0
    for _ in range(2000):
        damaged = bytearray(content)
        for _ in range(draw.randint(1, 3)):
            damaged[draw.randrange(len(content))] = draw.choice((0, 1, 0x7F, 0xFF, draw.randrange(256)))
        try:
            rows(path, "mrt", bytes(damaged))
        except SourceError as exc:
            assert str(exc).startswith(f"{path}: ")  # noqa: PT017
            refused += 1
    assert refused > 200


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "contains no unicast routes of type TABLE_DUMP_V2"),
        (mrt.peers(1), "contains no unicast routes of type TABLE_DUMP_V2"),
        (b"prefix,country\n1.0.0.0/8,US\n" * 10, "record at byte 0: 1869966964 bytes; not an MRT file?"),
        (
            mrt.rib("8.0.0.0/8", []),
            "record at byte 0: damaged: peer index 0 is outside the peer table of 0",
        ),
        (mrt.record(2, bytes(4) + b"\x21" + bytes(9)), "record at byte 0: damaged: prefix length 33"),
        (
            mrt.record(2, mrt.rib("8.0.0.0/8", [1])[12:] + b"x"),
            "record at byte 0: damaged: 1 bytes after the last entry",
        ),
        (
            mrt.peers(1) + mrt.rib("8.0.0.0/8", b"\x09\x00"),
            "record at byte 35: damaged: AS path segment of type 9",
        ),
    ],
    ids=range(7),
)
def test_what_is_wrong_with_a_dump_is_said_with_its_place(path: Path, content: bytes, reason: str):
    with pytest.raises(SourceError) as refusal:
        rows(path, "mrt", content)
    assert str(refusal.value) == f"{path}: {reason}"


def test_the_short_form_and_the_old_type_of_printed_dumps_are_read_and_updates_left_out(path: Path):
    report = Report()
    lines = (
        "TABLE_DUMP2|05/23/14 06:00:00|B|157.130.10.233|701|8.0.0.0/8|701 10|IGP\n"
        "TABLE_DUMP|1400824800|B|157.130.10.233|701|9.0.0.0/8|701 20|IGP|157.130.10.233|0|0||NAG||\n"
        "BGP4MP|1400824800|A|157.130.10.233|701|11.0.0.0/8|701 20|IGP|157.130.10.233|0|0||NAG||\n"
        "BGP4MP|1400824800|W|157.130.10.233|701|12.0.0.0/8\n"
    )
    assert rows(path, "bgpdump", lines, report) == ["8.0.0.0/8 AS10", "9.0.0.0/8 AS20"]
    assert report.lines() == ["updates, not a table: left out: 2, such as line 3, line 4"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("8.0.0.0/8 AS10", "not a line of bgpdump -m: '8.0.0.0/8 AS10'"),
        ("TABLE_DUMP2|1|B|10.0.0.1|701|8.0.0.0/8", "too few fields"),
        (
            "TABLE_DUMP2|1|B|10.0.0.1|701|8.0.0.1/8|701|IGP",
            "host bits are set: '8.0.0.1/8'",
        ),
        ("TABLE_DUMP2|1|B|10.0.0.1|701|8.0.0.0/8|701 ten|IGP", "not an AS path: '701 ten'"),
        ("TABLE_DUMP2|1|B|10.0.0.1|701|8.0.0.0/8|701 {}|IGP", "not an AS path: '701 {}'"),
        ("TABLE_DUMP2|1|B|10.0.0.1|701|8.0.0.0/8|4294967296|IGP", "not an AS path: '4294967296'"),
    ],
)
def test_a_malformed_line_of_a_printed_dump_is_named(path: Path, line: str, reason: str):
    with pytest.raises(SourceError) as refusal:
        rows(path, "bgpdump", dump_line("8.0.0.0/8", "701 10") + line + "\n")
    assert str(refusal.value) == f"{path}: line 2: {reason}"


def test_path_lengths_cannot_be_had_from_lists_of_origins(path: Path):
    with pytest.raises(
        ConfigError, match=r"unknown format 'pyasn' for table path; known: auto, bgpdump, mrt$"
    ):
        open_source("path", "pyasn", path)

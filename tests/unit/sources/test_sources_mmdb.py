"""MMDB databases of every shape, held against the reader's own `get`; damaged and hostile files."""

from __future__ import annotations

import ipaddress
import json
import shutil
import subprocess
import sys
from bisect import bisect_right
from typing import TYPE_CHECKING, Any

import maxminddb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geosteer.errors import SourceError
from geosteer_loader.sources.countries import CONTINENT
from geosteer_loader.sources.formats import open_source
from geosteer_loader.sources.report import Report
from geosteer_loader.tables.flatten import flatten
from geosteer_loader.tables.ranges import RangeBuilder
from support.data import shared
from support.long import LONG
from support.mmdb_writer import Database

if TYPE_CHECKING:
    from pathlib import Path

    from geosteer_loader.tables.ranges import Ranges


def country(code: str) -> dict[str, Any]:
    return {"country": {"iso_code": code}}


def table(path: Path, report: Report | None = None) -> dict[int, Ranges]:
    return flatten([open_source("geo", "mmdb", path)], report or Report())


def by_rows(path: Path) -> dict[int, Ranges]:
    """The table made of the networks one by one, as it is where several sources overlap."""
    builders = {bits: RangeBuilder(bits) for bits in (32, 128)}
    for bits, start, length, record in open_source("geo", "mmdb", path).rows(Report()):
        builders[bits].add(start, length, record)
    return {bits: builder.finish() for bits, builder in builders.items()}


def found(ranges: dict[int, Ranges], address: str) -> str:
    parsed = ipaddress.ip_address(address)
    family = ranges[parsed.max_prefixlen]
    return family.records[bisect_right(family.starts, int(parsed)) - 1]


def disagreements(path: Path, oracle, every: int = 1) -> list[str]:
    """Addresses at and beside the edges, or every so manieth, of networks and ranges where the table is not what `get` says.

    Left out are IPv6 addresses that carry an IPv4 one: clients there are looked up as IPv4.
    """
    ranges = table(path)
    wrong = []
    with maxminddb.open_database(path) as reader:
        for bits, kind in ((32, ipaddress.IPv4Address), (128, ipaddress.IPv6Address)):
            if bits == 128 and reader.metadata().ip_version == 4:
                assert ranges[bits].records == [""]
                continue
            last = (1 << bits) - 1
            edges = {edge for start in ranges[bits].starts for edge in (max(start - 1, 0), start)} | {last}
            for edge in sorted(edges)[::every]:
                data, length = reader.get_with_prefix_len(kind(edge))
                network = edge >> (bits - length) << (bits - length)
                for address in {edge, network, network + (1 << (bits - length)) - 1, max(network - 1, 0)}:
                    expected = oracle(reader.get(kind(address)))
                    family = ranges[bits]
                    record = family.records[bisect_right(family.starts, address) - 1]
                    carrier = bits == 128 and (address >> 32 == 0 or in_alias(address))
                    if record != expected and not carrier:
                        wrong.append(f"{kind(address)}: {record!r}, not {expected!r} of {data}")
    return wrong


def in_alias(address: int) -> bool:
    """`::ffff:0:0/96`, `2002::/16` and `2001::/32`, which MaxMind's trees lead to the IPv4 part."""
    return address >> 32 == 0xFFFF or address >> 112 == 0x2002 or address >> 96 == 0x20010000


def plain(data: Any) -> str:
    """What a record means, written down a second time for MaxMind's nested shape."""
    if not isinstance(data, dict):
        return ""
    code = data.get("country", {}).get("iso_code")
    registered = data.get("registered_country", {}).get("iso_code")
    if not code and registered and data.get("continent", {}).get("code") in {None, CONTINENT[registered]}:
        code = registered
    where = code or ("@" + data["continent"]["code"] if "continent" in data else "")
    if code and data.get("subdivisions") and data["subdivisions"][0].get("iso_code"):
        where += "-" + data["subdivisions"][0]["iso_code"]
    if where and "latitude" in data.get("location", {}):
        degrees = (data["location"]["latitude"], data["location"]["longitude"])
        where += "".join(f" {round(number, 2):g}" for number in degrees)
    return where


@pytest.mark.no_cover
def test_every_edge_of_the_country_database_is_what_the_reader_says():
    """At every edge in a long run, else at every twentieth."""
    assert disagreements(shared("country-2026-02-01.mmdb"), plain, 1 if LONG else 20) == []


@pytest.mark.parametrize("name", [
    "GeoIP2-Country-Test", "GeoIP2-City-Test", "GeoLite2-Country-Test", "GeoLite2-City-Test",
    "GeoIP2-Enterprise-Test", "GeoIP2-Precision-Enterprise-Test", "GeoIP2-Country-Shield-Test",
    "GeoIP2-City-Shield-Test",
])  # fmt: skip
def test_every_edge_of_a_database_of_the_maker_is_what_the_reader_says(name: str):
    assert disagreements(shared(f"maxmind/test-data/{name}.mmdb"), plain) == []


@pytest.mark.parametrize("record_size", [24, 28, 32])
@pytest.mark.parametrize("version", [4, 6])
def test_all_record_sizes_and_versions_give_the_same(tmp_path: Path, version: int, record_size: int):
    database = Database(version=version, record_size=record_size)
    database.add("1.1.1.1/32", country("US")).add("0.0.0.0/8", country("DE")).add(
        "128.0.0.0/1", country("FR")
    )
    path = database.write(tmp_path / "x.mmdb")
    ranges = table(path)
    asked = ("0.0.0.0", "0.255.255.255", "1.1.1.0", "1.1.1.1", "255.255.255.255")
    assert [found(ranges, address) for address in asked] == ["DE", "DE", "", "US", "FR"]
    assert disagreements(path, plain) == []
    assert by_rows(path) == ranges


def network(bits: int, value: int, length: int) -> str:
    kind = ipaddress.IPv4Network if bits == 32 else ipaddress.IPv6Network
    return str(kind((value >> (bits - length) << (bits - length), length)))


high = st.sampled_from((0, 1, 0x2001 << 48, 0x2002 << 48, 0x2003 << 48, 0xFF << 56, 0x64FF9B << 32))
low = st.sampled_from((0, 1, 1 << 32, 0xFFFF << 32, (1 << 64) - 1)) | st.integers(0, (1 << 64) - 1)
networks = st.one_of(
    st.builds(network, st.just(32), st.integers(0, (1 << 32) - 1), st.integers(1, 32)),
    st.builds(network, st.just(128), st.builds(lambda x, y: x << 64 | y, high, low), st.integers(1, 128)),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(networks, st.sampled_from(("US", "DE", "JP"))), min_size=1, max_size=10))
def test_data_at_odd_places_of_a_tree_without_aliases_is_found_as_the_reader_finds_it(
    tmp_path_factory, entries
):
    database = Database()
    for network, code in sorted(entries, key=lambda entry: int(entry[0].partition("/")[2])):
        database.add(network, country(code))
    path = database.write(tmp_path_factory.mktemp("odd") / "x.mmdb")
    ranges = table(path)
    assert by_rows(path) == ranges
    with maxminddb.open_database(path) as reader:
        for network, _ in entries:
            parsed = ipaddress.ip_network(network)
            for address in (int(parsed[0]), int(parsed[-1]), int(parsed[0]) - 1, int(parsed[-1]) + 1):
                if not 0 <= address < 1 << parsed.max_prefixlen:
                    continue
                text = str((ipaddress.IPv4Address if parsed.version == 4 else ipaddress.IPv6Address)(address))
                if parsed.version == 4 or address >> 32:
                    assert found(ranges, text) == plain(reader.get(text)), text


def test_networks_that_only_lead_into_the_ipv4_part_are_not_repeated(tmp_path: Path):
    database = Database().add("1.0.0.0/8", country("US")).add("2001:200::/23", country("JP"))
    for network in ("::ffff:0:0/96", "2002::/16", "2001::/32"):
        database.alias(network)
    path = database.write(tmp_path / "x.mmdb")
    ranges = table(path)
    assert by_rows(path) == ranges
    assert ranges[32].prefixes == ranges[128].prefixes == 1
    assert found(ranges, "2002:100::") == found(ranges, "::ffff:1.0.0.0") == ""


def test_data_of_its_own_where_others_have_aliases_is_kept(tmp_path: Path):
    database = Database().add("1.0.0.0/8", country("US"))
    database.add("2002::/16", country("DE")).add("::ffff:0:0/96", country("FR")).add(
        "2001::/32", country("JP")
    )
    ranges = table(database.write(tmp_path / "x.mmdb"))
    assert [found(ranges, a) for a in ("2002::1", "::ffff:0:1", "2001:0:1::")] == ["DE", "FR", "JP"]


def test_a_network_wider_than_the_ipv4_part_counts_for_both_families(tmp_path: Path):
    ranges = table(
        Database().add("::/64", country("US")).add("2a00::/16", country("US")).write(tmp_path / "x.mmdb")
    )
    assert ranges[32].records == ["US"]
    assert [found(ranges, a) for a in ("::", "::1:0:0:0", "0:0:0:1::", "2a00::1")] == ["US", "US", "", "US"]


def test_a_tree_without_an_ipv4_part_is_readable(tmp_path: Path):
    ranges = table(Database().add("2a00::/16", country("US")).write(tmp_path / "x.mmdb"))
    assert ranges[32].records == [""]
    assert found(ranges, "2a00::") == "US"


@pytest.mark.parametrize(
    ("data", "record"),
    [
        ({"country": {"iso_code": "GB"}, "registered_country": {"iso_code": "FR"}}, "GB"),
        ({"country": {"geoname_id": 1}, "registered_country": {"iso_code": "FR"}}, "FR"),
        ({"registered_country": {"iso_code": "FR"}, "continent": {"code": "EU"}}, "FR"),
        ({"continent": {"code": "EU"}}, "@EU"),
        ({"represented_country": {"iso_code": "US", "type": "military"}, "country": {"iso_code": "PH"}},
         "PH"),
        ({"country": {"iso_code": "US"}, "subdivisions": [{"iso_code": "CA"}, {"iso_code": "X"}],
          "location": {"latitude": 37.751, "longitude": -122.4194}}, "US-CA 37.75 -122.42"),
        ({"country": {"iso_code": "DE"}, "subdivisions": [{"names": {"en": "Bavaria"}}]}, "DE"),
        ({"continent": {"code": "EU"}, "location": {"latitude": 50.0, "longitude": 10.0}}, "@EU 50 10"),
        ({"country": "United States", "country_code": "US", "continent": "North America",
          "continent_code": "NA"}, "US"),
        ({"country": "US", "country_name": "United States", "continent": "NA"}, "US"),
        ({"country_code": "jp"}, "JP"),
        ({"country": "", "country_code": "", "continent": "Europe", "continent_code": "EU"}, "@EU"),
        ({"country": {"iso_code": "EU"}}, "@EU"),
        ({"country": {"iso_code": "A1"}}, ""),
        ({"country": {"iso_code": "QQ"}, "continent": {"code": "EU"}}, "@EU"),
        ({"country": {"iso_code": "QQ"}}, ""),
        ({"registered_country": {"iso_code": "US"}, "continent": {"code": "EU"}}, "@EU"),
        ({"registered_country": {"iso_code": "US"}, "continent": {"code": "EU"},
          "location": {"latitude": 50, "longitude": 10}}, "@EU 50 10"),
        ({"registered_country": {"iso_code": "US"}}, "US"),
        ({"country": {"iso_code": "AN"}, "continent": {"code": "NA"}}, "@NA"),
        ({"country": {"iso_code": "US"}, "subdivisions": [{"iso_code": "US-CA"}]}, "US-CA"),
        ({"country": "US", "region": "Washington", "region_code": "WA", "lat": "47.6", "lng": "-122.3"},
         "US-WA 47.6 -122.3"),
        ({"country_code": "US", "latitude": 47.6, "longitude": -122.3}, "US 47.6 -122.3"),
        ({"country_code": "US", "region_code": "US-WA", "lat": 47.6, "lon": -122.3}, "US-WA 47.6 -122.3"),
        ({"country": "US", "loc": "47.6,-122.3"}, "US 47.6 -122.3"),
        ({"country": "US", "loc": "47.6;-122.3"}, "US"),
        ({"country": "US", "loc": "91,0"}, "US"),
        ({"country": "US", "lat": "north", "lng": "-122.3"}, "US"),
        ({"country": "US", "lat": "47.6"}, "US"),
        ({"country": "US", "lat": "nan", "lng": "0"}, "US"),
        ({"country": {"iso_code": "US"}, "location": {"latitude": "47.6", "longitude": "-122.3"}}, "US 47.6 -122.3"),
        ({"country": ["US"], "continent": 7, "subdivisions": {}, "location": "here"}, ""),
        ({"traits": {"is_anycast": 1}}, ""),
        ("just text", ""),
    ],
    ids=str,
)  # fmt: skip
def test_each_shape_of_a_record_gives_its_country(tmp_path: Path, data: Any, record: str):
    database = Database().add("1.0.0.0/8", data).add("2.0.0.0/8", country("SE"))
    ranges = table(database.write(tmp_path / "x.mmdb"))
    assert found(ranges, "1.2.3.4") == record
    assert found(ranges, "2.0.0.0") == "SE"


def test_a_record_without_a_place_leaves_a_wider_prefix_of_another_source_alone_and_an_anonymous_one_does_not(
    tmp_path: Path,
):
    path = (
        Database()
        .add("1.1.0.0/16", {"traits": {}})
        .add("1.2.0.0/16", country("A1"))
        .write(tmp_path / "x.mmdb")
    )
    wide = tmp_path / "wide.csv"
    wide.write_text("1.0.0.0/8,DE\n")
    ranges = flatten([open_source("geo", "csv", wide), open_source("geo", "mmdb", path)], Report())
    assert [found(ranges, a) for a in ("1.0.0.0", "1.1.0.0", "1.2.0.0")] == ["DE", "DE", ""]


def test_the_report_counts_what_is_no_country_and_keeps_the_databases_own_continents(tmp_path: Path):
    database = Database()
    for network, code, continent in (
        ("1.0.0.0/8", "A1", "NA"), ("2.0.0.0/8", "A1", "NA"), ("3.0.0.0/8", "QQ", "EU"),
        ("4.0.0.0/8", "CY", "AS"), ("5.0.0.0/8", "CY", "AS"), ("6.0.0.0/8", "CY", "EU"),
        ("7.0.0.0/8", "EU", "EU"),
    ):  # fmt: skip
        database.add(network, {**country(code), "continent": {"code": continent}})
    database.add("8.0.0.0/8", {"traits": {}})
    report = Report()
    table(database.write(tmp_path / "x.mmdb"), report)
    assert report.lines() == [
        "A1: prefixes are misses: 2, such as A1 1.0.0.0/8",
        "unknown country codes: the continent counts: 1, such as QQ 3.0.0.0/8",
        "EU: taken as the continent @EU: 1, such as EU 7.0.0.0/8",
        "neither country nor continent: prefixes count as not listed: 1, such as 8.0.0.0/8",
    ]
    assert report.continents == {"CY": "AS"}
    assert report.built == 1_769_904_000


def test_progress_reaches_no_more_than_the_whole(tmp_path: Path):
    steps: list[tuple[int, int]] = []
    flatten(
        [open_source("geo", "mmdb", shared("country-2026-02-01.mmdb"))],
        Report(),
        lambda *step: steps.append(step),
    )
    assert len(steps) > 10
    assert steps == sorted(steps)
    assert all(0 < done <= total for done, total in steps)


READ = """
import json, resource, sys
from pathlib import Path
from geosteer.errors import SourceError
from geosteer_loader.tables.flatten import flatten
from geosteer_loader.tables.ranges import RangeBuilder
from geosteer_loader.sources.formats import open_source
from geosteer_loader.sources.report import Report
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
for path in sys.argv[1:]:
    try:
        flatten([open_source("geo", "mmdb", Path(path))], Report())
        print(json.dumps("read"), flush=True)
    except SourceError as exc:
        print(json.dumps(str(exc)), flush=True)
"""


def refusals(paths: list[Path]) -> list[str]:
    """How each file ends in a process with little time and memory: a crash there is a failure here."""
    child = subprocess.run([sys.executable, "-c", READ, *paths], capture_output=True, text=True, timeout=60)
    assert (child.returncode, child.stderr) == (0, "")
    return [json.loads(line) for line in child.stdout.splitlines()]


def test_hostile_files_are_refused_with_file_and_reason():
    paths = sorted(shared("maxmind/bad-data").rglob("*.mmdb"))
    paths += [shared(f"maxmind/test-data/{name}.mmdb") for name in (
        "GeoIP2-City-Test-Broken-Double-Format", "GeoIP2-City-Test-Invalid-Node-Count",
        "MaxMind-DB-test-broken-pointers-24", "MaxMind-DB-test-broken-search-tree-24",
    )]  # fmt: skip
    assert len(paths) > 20
    for path, refusal in zip(paths, refusals(paths), strict=True):
        assert refusal.startswith(f"{path}: ")
        assert len(refusal) > len(f"{path}: ")


@pytest.mark.parametrize("part", [0, 1, 1000, 1_000_000, 3_305_000, 3_305_558])
def test_a_database_cut_off_anywhere_is_refused(tmp_path: Path, part: int):
    path = tmp_path / "cut.mmdb"
    path.write_bytes(shared("country-2026-02-01.mmdb").read_bytes()[:part])
    (refusal,) = refusals([path])
    assert refusal.startswith(f"{path}: ")


def test_what_has_no_metadata_is_said_to_be_no_such_database_or_cut_off(tmp_path: Path):
    path = tmp_path / "cut.mmdb"
    for data in (b"", b"1.2.3.0/24 :127.0.0.20:ad\n", bytes(300_000)):
        path.write_bytes(data)
        with pytest.raises(SourceError) as refusal:
            list(open_source("geo", "mmdb", path).rows(Report()))
        assert (
            str(refusal.value) == f"{path}: opening: no metadata at its end: not an MMDB database, or cut off"
        )


def test_a_database_damaged_anywhere_is_read_or_refused_but_nothing_else(tmp_path: Path):
    whole = bytearray(shared("maxmind/test-data/GeoIP2-Country-Test.mmdb").read_bytes())
    paths = []
    for number, at in enumerate(range(0, len(whole), len(whole) // 97)):
        damaged = whole.copy()
        damaged[at : at + 4] = b"\xff\xff\xff\xff" if number % 2 else b"\0\0\0\0"
        paths.append(tmp_path / f"{number}.mmdb")
        paths[-1].write_bytes(damaged)
    assert all(line == "read" or line.startswith(str(tmp_path)) for line in refusals(paths))


def test_what_is_no_file_is_refused(tmp_path: Path):
    with pytest.raises(SourceError, match=r"not a regular file$"):
        table(tmp_path)
    with pytest.raises(SourceError, match=r"absent.mmdb: opening: No such file or directory$"):
        table(tmp_path / "absent.mmdb")


@pytest.mark.parametrize("name", ["GeoLite2-ASN-Test", "GeoIP2-ISP-Test", "MaxMind-DB-no-ipv4-search-tree"])
def test_a_database_without_countries_is_refused_by_its_type(name: str):
    path = shared(f"maxmind/test-data/{name}.mmdb")
    with maxminddb.open_database(path) as reader:
        kind = reader.metadata().database_type
    with pytest.raises(SourceError) as refusal:
        table(path)
    assert str(refusal.value) == f"{path}: database type {kind!r}: no record has a country or continent"


def test_a_tree_that_leads_back_into_itself_is_refused_soon(tmp_path: Path):
    chain = Database()
    chain.nodes = [[step + 1, step + 1] for step in range(127)] + [[0, 0]]
    doubling = Database().add("1.0.0.0/8", country("US"))
    doubling.nodes = [[step + 1, step + 1] for step in range(100)] + [[("data", 0), None]]
    paths = [chain.write(tmp_path / "chain.mmdb"), doubling.write(tmp_path / "doubling.mmdb")]
    for path, refusal in zip(paths, refusals(paths), strict=True):
        assert (
            refusal == f"{path}: search tree: the search tree is corrupt: a branch leads back into the tree"
        )


@pytest.mark.parametrize("wrong", [{"ip_version": 5}, {"record_size": 20}, {"node_count": 1 << 30}])
def test_impossible_metadata_is_refused(tmp_path: Path, wrong: dict[str, int]):
    path = Database().add("1.0.0.0/8", country("US")).write(tmp_path / "x.mmdb", **wrong)
    (refusal,) = refusals([path])
    assert refusal.startswith(f"{path}: ")


def test_a_nonsense_build_date_is_ignored(tmp_path: Path):
    report = Report()
    path = Database().add("1.0.0.0/8", country("US")).write(tmp_path / "x.mmdb", build_epoch=(1 << 64) - 1)
    table(path, report)
    assert report.built is None


def test_a_country_database_and_a_city_database_may_stand_in_for_each_other(tmp_path: Path):
    path = tmp_path / "live.mmdb"
    shutil.copy(shared("maxmind/test-data/GeoIP2-City-Test.mmdb"), path)
    assert found(table(path), "81.2.69.160") == "GB-ENG 51.51 -0.09"
    shutil.copy(shared("maxmind/test-data/GeoIP2-Country-Test.mmdb"), tmp_path / "new")
    (tmp_path / "new").rename(path)
    assert found(table(path), "81.2.69.160") == "GB"

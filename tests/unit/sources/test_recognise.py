"""Data as people have it: every format is recognised by its content, read as its makers mean it, or refused with reasons."""

from __future__ import annotations

import bz2
import gzip
import ipaddress
import json
import random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geosteer.decision.client import prefix_text
from geosteer.errors import SourceError
from geosteer_loader.sources.columns import split_fields
from geosteer_loader.sources.formats import FORMATS, open_source
from geosteer_loader.sources.head import SIZE
from geosteer_loader.sources.recognise import recognise
from geosteer_loader.sources.report import Report
from geosteer_loader.sources.source_files import SourceFile
from geosteer_loader.tables.flatten import flatten
from support.data import shared
from support.source_formats import BGP, BLOCKS4, BLOCKS6, GEO, LOCATIONS, PAIR, pair, zipped

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SAMPLES = {("geo", name): text for name, text in GEO.items()} | {
    ("bgp", name): text for name, text in BGP.items()
}


def form(name: str) -> str:
    return name.replace(",", " ").partition(" ")[0]


def read(
    path: Path, table: str, content: str | bytes, kind: str = "auto", report: Report | None = None
) -> list[str]:
    """The rows of a file with that content, as `10.0.0.0/8 A`."""
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    rows = open_source(table, kind, path).rows(report or Report())
    return [f"{prefix_text(bits, start, length)} {record}".strip() for bits, start, length, record in rows]


def refusal(path: Path, table: str, content: str | bytes, kind: str = "auto") -> list[str]:
    with pytest.raises(SourceError) as refused:
        read(path, table, content, kind)
    lines = str(refused.value).splitlines()
    assert all(line.startswith(f"{path}: ") for line in lines)
    return [line.removeprefix(f"{path}: ") for line in lines]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.mark.parametrize(("table", "name"), SAMPLES)
def test_every_format_is_taken_for_itself_and_for_no_other(path: Path, table: str, name: str) -> None:
    path.write_text(SAMPLES[table, name])
    taken = recognise(table, SourceFile(path))
    assert taken.format == form(name)
    assert taken.told
    if taken.format == "geolite2":
        (path.parent / "data").rename(path.parent / "Geo-Blocks-IPv4.csv")
        (path.parent / "Geo-Locations-en.csv").write_text(LOCATIONS)
        path = path.parent / "Geo-Blocks-IPv4.csv"
    assert list(open_source(table, "auto", path).rows(Report()))
    assert list(open_source(table, taken.format, path).rows(Report()))


def test_there_is_a_sample_of_every_text_format() -> None:
    binary = {"auto", "builtin", "mmdb", "mrt", "geolite2"}
    for table, samples in (("geo", GEO), ("bgp", BGP)):
        assert {form(name) for name in samples} | binary >= set(FORMATS[table])


ENCODINGS: dict[str, Callable[[str], bytes]] = {
    "UTF-8 with a mark": lambda text: text.encode("utf-8-sig"),
    "UTF-16": lambda text: text.encode("utf-16"),
    "UTF-16, the other order": lambda text: b"\xfe\xff" + text.encode("utf-16-be"),
    "UTF-16 without a mark": lambda text: text.encode("utf-16-le"),
    "the other order without a mark": lambda text: text.encode("utf-16-be"),
    "CRLF": lambda text: text.replace("\n", "\r\n").encode(),
    "no final newline": lambda text: text.rstrip("\n").encode(),
    "gzip": lambda text: gzip.compress(text.encode()),
    "bzip2 of UTF-16": lambda text: bz2.compress(text.encode("utf-16")),
    "zip": lambda text: zipped(sample=text),
}


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_however_a_file_was_saved_its_rows_are_the_same(path: Path, encoding: str) -> None:
    for (table, name), text in SAMPLES.items():
        if form(name) != "geolite2":
            plain = read(path, table, text, form(name))
            assert read(path, table, ENCODINGS[encoding](text)) == plain, name


def test_utf32_and_half_characters_are_refused(path: Path) -> None:
    assert refusal(path, "geo", GEO["csv"].encode("utf-32"), "csv") == [
        "reading: is UTF-32 text: save it as UTF-8"
    ]
    assert refusal(path, "geo", GEO["csv"].encode("utf-32"))[0].startswith(
        "format: not recognised; it begins with the bytes ff fe"
    )
    assert "line 2: " in refusal(path, "geo", GEO["csv"].encode("utf-16")[:-1], "csv")[0]


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("ranges", ["0.0.0.0/8", "1.0.0.0/24 AU", "2001:db8::/32 DE"]),
        ("ranges, cities of DB-IP", ["1.0.0.0/24 AU -27.48 153.02"]),
        ("ranges, cities of ip-location-db", ["1.0.0.0/24 AU -27.48 153.02"]),
        ("ranges, numbers", ["1.0.0.0/24 AU", "1.0.1.0/24 CN", "1.0.2.0/23 CN"]),
        ("ranges, tabs", ["1.0.0.0/24 AU", "1.0.1.0/24", "1.0.2.0/23"]),
        ("ranges with names", ["1.0.0.0/24 AU"]),
        ("ip2location", ["0.0.0.0/8", "1.0.0.0/24 AU"]),
        ("ip2location, cities", ["1.0.0.0/24 AU -27.47 153.03"]),
        ("ipinfo", ["1.0.0.0/24 AU"]),
        ("ipinfo, JSON", ["1.0.0.0/24 AU"]),
        ("rir", ["1.0.0.0/24 AU"]),
        ("rir, delegated", ["2.0.0.0/23 FR", "2.0.2.0/24 FR"]),
        ("geofeed", ["192.0.2.0/25 US-AL", "2001:db8::/32"]),
        ("csv, semicolons", ["192.0.2.0/24 GB", "2001:db8::/32 DE"]),
    ],
)
def test_lines_mean_what_their_makers_say(path: Path, name: str, rows: list[str]) -> None:
    assert read(path, "geo", GEO[name]) == rows


def test_ipv4_in_an_ipv6_file_of_ip2location_is_ipv4(path: Path) -> None:
    rows = read(path, "geo", GEO["ip2location, IPv6"])
    assert rows[-1] == "1.0.0.0/24 AU"
    assert all(row.endswith(tuple("0123456789")) for row in rows[:-1])  # holes, below ::ffff:0:0


@pytest.mark.parametrize("name", BGP)
def test_origins_are_read_from_all_of_them(path: Path, name: str) -> None:
    rows = read(path, "bgp", BGP[name])
    assert rows[0] == "8.8.8.0/24 AS15169"
    others = {
        "pyasn": ["9.9.9.0/24 AS65546"],
        "prefix2as": ["9.9.9.0/24 AS10 AS20"],
        "riswhois": ["9.9.9.0/24 AS10 AS20"],
    }
    assert rows[1:] == others.get(name, []) or name == "pyasn"


def test_of_several_origins_in_a_riswhoisdump_the_most_seen_comes_first_wherever_it_stands(
    path: Path,
) -> None:
    dump = "3\t8.8.8.0/24\t2\n7\t9.9.9.0/24\t1\n15169\t8.8.8.0/24\t340\n{20,10}\t8.8.8.0/24\t9\n"
    assert read(path, "bgp", dump) == ["8.8.8.0/24 AS15169 AS20 AS10 AS3", "9.9.9.0/24 AS7"]


@pytest.mark.parametrize(
    "name", ["GeoLite2-ASN-Test.mmdb", "GeoIP2-ISP-Test.mmdb", "GeoIP2-Enterprise-Test.mmdb"]
)
def test_as_numbers_come_from_mmdb_databases_too(name: str) -> None:
    path = shared("maxmind/test-data") / name
    assert recognise("bgp", SourceFile(path)).format == "mmdb"
    ranges = flatten([open_source("bgp", "auto", path)], Report())
    address = {"GeoIP2-Enterprise-Test.mmdb": ("1.124.213.1", "AS44244")}.get(name, ("1.128.0.1", "AS1221"))
    found = [
        record
        for start, record in zip(ranges[32].starts, ranges[32].records, strict=True)
        if start <= int(ipaddress.ip_address(address[0]))
    ]
    assert found[-1] == address[1]


def test_a_database_of_countries_has_no_as_numbers(path: Path) -> None:
    path = shared("maxmind/test-data") / "GeoLite2-Country-Test.mmdb"
    with pytest.raises(SourceError, match="no record has an AS number"):
        list(open_source("bgp", "mmdb", path).rows(Report()))


def test_blocks_and_locations_are_one_source_in_their_archive_and_side_by_side(tmp_path: Path) -> None:
    report = Report()
    assert read(tmp_path / "data.zip", "geo", pair(), report=report) == PAIR
    assert report.continents == {"AU": "OC", "US": "NA"}
    assert [line.partition(":")[0] for line in report.lines()] == ["neither country nor continent"]
    (tmp_path / "GeoLite2-City-Blocks-IPv4.csv").write_text(BLOCKS4)
    (tmp_path / "GeoLite2-City-Blocks-IPv6.csv.gz").write_bytes(gzip.compress(BLOCKS6.encode()))
    (tmp_path / "GeoLite2-City-Locations-ja.csv").write_text("")
    (tmp_path / "GeoLite2-City-Locations-en.csv").write_text(LOCATIONS)
    rows = []
    for name in ("GeoLite2-City-Blocks-IPv4.csv", "GeoLite2-City-Blocks-IPv6.csv.gz"):
        source = open_source("geo", "auto", tmp_path / name)
        rows += [f"{prefix_text(*row[:3])} {row[3]}" for row in source.rows(Report())]
    assert rows == PAIR


def test_as_numbers_of_both_families_come_in_one_archive(path: Path) -> None:
    head = "network,autonomous_system_number,autonomous_system_organization\n"
    archive = zipped(
        GeoLite2_ASN_Blocks_IPv4=f"{head}8.8.8.0/24,15169,GOOGLE\n",
        GeoLite2_ASN_Blocks_IPv6=f"{head}2a00::/32,10,X\n",
    )
    assert read(path, "bgp", archive) == ["8.8.8.0/24 AS15169", "2a00::/32 AS10"]


def test_blocks_without_their_locations_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "GeoLite2-City-Blocks-IPv4.csv"
    assert refusal(path, "geo", BLOCKS4)[0].startswith("no locations: put *-Locations-en.csv beside it")
    lonely = zipped(GeoLite2_City_Blocks_IPv4=BLOCKS4)
    assert refusal(tmp_path / "z", "geo", lonely) == ["has no member with locations (*-Locations-en.csv)"]
    bad = zipped(GeoLite2_City_Blocks_IPv4=BLOCKS4, GeoLite2_City_Locations_en="geoname_id,x\n1,2\n")
    assert refusal(tmp_path / "z", "geo", bad)[0].startswith("line 1: not a file of locations")
    other = zipped(
        GeoLite2_City_Blocks_IPv4=BLOCKS4.replace("2077456", "7"), GeoLite2_City_Locations_en=LOCATIONS
    )
    assert (
        refusal(tmp_path / "z", "geo", other)[0] == "line 2: the location '7' is not in the file of locations"
    )


@pytest.mark.parametrize(
    ("kind", "content", "reason"),
    [
        ("ranges", "1.0.0.0,1.0.0.255,AU\n1.0.1.9,1.0.1.0,AU\n",
         "line 2: the range ends before it begins: 1.0.1.9-1.0.1.0"),
        ("ranges", "1.0.0.0,1.0.0.255,AU\n1.0.0.128,1.0.1.255,CN\n", "line 2: the range overlaps one before it"),
        ("ranges", "1.0.0.0,1.0.0.255,AU\n1.0.1.0,::1,AU\n",
         "line 2: the range begins and ends in different families: 1.0.1.0-::1"),
        ("ranges", "1.0.0.0,1.0.0.255,AU\nx,1.0.1.0,AU\n", "line 2: not an address: 'x'"),
        ("ranges", "1.0.0.0,1.0.0.255,AU\n1.0.1.0\n", "line 2: 1 fields, expected at least 3"),
        ("ranges", "1,2,AU\n3,x,AU\n", "line 2: not the number of an address: 'x'"),
        ("ranges", "1,2,AU\n3,4294967296,AU\n", "line 2: begins as an IPv4 address and ends as none: 3-4294967296"),
        ("ranges", f"1,2,AU\n{1 << 127},{1 << 128},AU\n", f"line 2: not the number of an address: '{1 << 128}'"),
        ("ranges", '1.0.0.0,1.0.0.255,AU\n"1.0.1.0,1.0.1.255,AU\n', "line 2: malformed CSV: '\"1.0.1.0,1.0.1.255,AU'"),
        ("ranges", "start_ip,end_ip,country\n1.0.0.0,1.0.0.255,Australia\n", "line 2: not a country code: 'Australia'"),
        ("ranges", "start_ip,end_ip,cc,lat,lon\n1.0.0.0,1.0.0.255,AU,91,0\n", "line 2: coordinates out of range: 91,0"),
        ("ranges", "start_ip,end_ip,cc,lat,lon\n1.0.0.0,1.0.0.255,AU,a,0\n", "line 2: invalid number of degrees: 'a'"),
        ("ranges", "start_ip,end_ip\n1.0.0.0,1.0.0.255\n",
         "line 1: no column of country or continent: 'start_ip,end_ip'"),
        ("ranges", "hello\n", "line 1: its first line has no fields parted by commas, semicolons, tabs"),
        ("ranges", "", "line 1: no line with data"),
        ("ipinfo", '{"network":"1.0.0.0/24","country_code":"AU"}\n{"network":\n',
         "line 2: not a JSON object: '{\"network\":'"),
        ("ipinfo", '{"network":"1.0.0.0/24","country_code":"AU"}\n[]\n', "line 2: not a JSON object: '[]'"),
        ("ipinfo", '{"country_code":"AU"}\n', "line 1: no network or range: 'country_code'"),
        ("rir", "2|apnic|x|1|1|1|1\napnic|AU|ipv4|1.0.0.0|0|20110811|assigned\n",
         "line 2: not a range of IPv4 addresses: 1.0.0.0 and 0 addresses"),
        ("rir", "apnic|AU|ipv4|255.0.0.0|4294967295|20110811|assigned\n",
         "line 1: not a range of IPv4 addresses: 255.0.0.0 and 4294967295 addresses"),
        ("rir", "apnic|AU|ipv4|1.0.0.0|many|20110811|assigned\n",
         "line 1: not a number of addresses or a prefix length: 'many'"),
        ("rir", "apnic|AU|ipv6|2001:200::|129|20110811|assigned\n",
         "line 1: prefix length out of range, 0 to 128: '2001:200::/129'"),
        ("rir", "apnic|AU|ipv4|1.0.0.0|256|20110811|sold\n", "line 1: unknown status 'sold'"),
        ("rir", "apnic|AU|ipv4|1.0.0.0|256|20110811\n", "line 1: 6 fields, expected at least 7"),
        ("rir", "apnic|AUS|ipv4|1.0.0.0|256|20110811|assigned\n", "line 1: not a country code: 'AUS'"),
        ("rir", "hello\n", "line 1: not a line of a registry's statistics: 'hello'"),
        ("rir", "2|apnic|x|1|1|1|1\n", "contains no record of addresses"),
        ("geofeed", "192.0.2.1/24,US,US-AL,,\n", "line 1: host bits are set: '192.0.2.1/24'"),
        ("geofeed", "192.0.2.0/24,USA,US-AL,,\n", "line 1: unknown country code 'USA'"),
    ],
)  # fmt: skip
def test_a_malformed_line_is_named_with_its_reason(path: Path, kind: str, content: str, reason: str) -> None:
    assert refusal(path, "geo", content, kind)[0] == reason


@pytest.mark.parametrize(
    ("kind", "content", "reason"),
    [
        ("iptoasn", "1.0.0.0\t1.0.0.255\tGoogle\tUS\tX\n",
         "line 1: no column of asn: '1.0.0.0\\t1.0.0.255\\tGoogle\\tUS\\tX'"),
        ("csv", "network,asn\n1.0.0.0/24,65536.1\n", "line 2: invalid AS number: '65536.1'"),
        ("riswhois", "15169\t8.8.8.0/24\n",
         "line 1: expected an AS, a prefix and a number of peers: '15169\\t8.8.8.0/24'"),
        ("riswhois", "15169\t8.8.8.0/24\tall\n", "line 1: not a number of peers: 'all'"),
        ("riswhois", "Google\t8.8.8.0/24\t1\n", "line 1: invalid AS number: 'Google'"),
        ("riswhois", "% nothing\n", "contains no prefix"),
    ],
)  # fmt: skip
def test_a_malformed_line_of_origins_is_named_with_its_reason(
    path: Path, kind: str, content: str, reason: str
) -> None:
    assert refusal(path, "bgp", content, kind)[0] == reason


def test_every_malformed_line_is_named_and_many_are_counted(path: Path) -> None:
    lines = refusal(path, "geo", "1.0.0.0,1.0.0.255,AU\n" + "x,y,AU\n" * 30, "ranges")
    assert len(lines) == 21
    assert lines[-1] == "10 more malformed lines"


def test_what_cannot_be_told_is_refused_with_a_reason_for_each_format_that_was_considered(path: Path) -> None:
    for content in (
        "hello world\n",
        "<html><body>Sign in</body></html>\n",
        "1.2.3.4\n",
        bytes(range(256)) * 9,
    ):
        for table in ("geo", "bgp", "path"):
            first, *others = refusal(path, table, content)
            assert first.startswith("format: not recognised; it begins with ")
            names = [line.removeprefix("format: not ").partition(": ")[0] for line in others]
            assert sorted(names) == sorted(
                set(FORMATS[table]) - {"auto", "builtin"} - ({"geolite2"} if table == "bgp" else set())
            )
            assert all(line.partition(": not ")[2].partition(": ")[2] for line in others)
    assert refusal(path, "geo", "") == ["format: the file is empty"]
    assert "format: not csv: it has no line with data" in refusal(path, "geo", "# nothing\n\n")


def test_ranges_may_hold_others_and_the_narrower_counts(path: Path) -> None:
    report = Report()
    path.write_text(
        "1.0.0.1,1.0.0.254,AU\n1.0.0.1,1.0.0.2,CN\n1.0.0.4,1.0.0.7,JP\n9.0.0.0,9.0.0.255,DE\n8.0.0.0,8.0.0.255,FR\n"
    )
    ranges = flatten([open_source("geo", "auto", path)], report)[32]
    told = dict(zip(ranges.starts, ranges.records, strict=True))
    base = 1 << 24
    assert [told.get(base + at) for at in (0, 1, 3, 4, 8, 255)] == [None, "CN", "AU", "JP", "AU", ""]
    assert "ranges out of address order: the longest match counts: 1, such as line 5" in report.lines()


def test_a_head_of_any_length_tells_the_same(path: Path) -> None:
    line = "1.0.{0}.0,1.0.{0}.255,AU,x\n"
    text = "".join(line.format(number % 256) for number in range(SIZE // 10))
    path.write_text(text)
    assert recognise("geo", SourceFile(path)).format == "ranges"
    path.write_text("# " + "x" * (SIZE - 2) + "\n" + text)  # the head has no line with data
    assert (
        "no line with data"
        in refusal(path, "geo", path.read_bytes())[1] + refusal(path, "geo", path.read_bytes())[2]
    )


COUNTRIES = ("AU", "CN", "DE", "JP", "US")


def _files(ranges: list[tuple[int, int, str]], bits: int) -> dict[str, str]:
    """The same ranges as every format has them."""
    kind = ipaddress.IPv4Address if bits == 32 else ipaddress.IPv6Address
    prefixes = [
        (network, country)
        for first, last, country in ranges
        for network in ipaddress.summarize_address_range(kind(first), kind(last))
    ]
    mapped = [(first, last, country) for first, last, country in ranges]
    files = {
        "ranges": "".join(f"{kind(a)},{kind(b)},{country}\n" for a, b, country in ranges),
        "ranges, quoted, tabs": "".join(f'"{kind(a)}"\t"{kind(b)}"\t"{country}"\t"a ""b"""\n' for a, b, country in ranges),
        "ip2location": f'"0","{0 if bits == 32 else 1 << 32}","-","-"\n'
        + "".join(f'"{a}","{b}","{country}","Land, and sea"\n' for a, b, country in mapped),
        "csv": "".join(f"{network},{country}\n" for network, country in prefixes),
        "ipinfo": "network,country,country_code,as_name,as_domain\n"
        + "".join(f'{network},"Land, x",{country},,\n' for network, country in prefixes),
        "ipinfo, JSON": "".join(json.dumps({"network": str(n), "country_code": c}) + "\n" for n, c in prefixes),
        "geofeed": "".join(f"{network},{country},,,\n" for network, country in prefixes),
        "rir": "".join(
            f"apnic|{country}|ipv4|{kind(a)}|{b - a + 1}|20110811|assigned\n" for a, b, country in ranges
        )
        if bits == 32
        else "".join(f"apnic|{c}|ipv6|{n.network_address}|{n.prefixlen}|20110811|allocated|x\n" for n, c in prefixes),
    }  # fmt: skip
    if bits == 32:
        files["nerd"] = "".join(
            f"{kind(a)}-{kind(b)} :127.0.0.2:{country.lower()}\n" for a, b, country in ranges
        )
    return files


@given(st.sampled_from((32, 128)), st.integers(0, 1 << 32), st.integers(1, 8))
def test_the_same_ranges_in_every_format_are_the_same_table(
    tmp_path_factory: pytest.TempPathFactory, bits: int, seed: int, count: int
) -> None:
    folder = tmp_path_factory.mktemp("files")
    rng = random.Random(seed)
    base = (1 << 24) if bits == 32 else 0x2001 << 112
    ends = sorted({base + rng.randrange(1 << rng.randrange(4, 24)) for _ in range(2 * count)})
    ranges = [
        (first, last - 1, rng.choice(COUNTRIES)) for first, last in zip(ends[::2], ends[1::2], strict=False)
    ]
    if not ranges:
        return
    tables = {}
    for name, text in _files(ranges, bits).items():
        path = folder / name.replace(" ", "").replace(",", "-")
        path.write_text(text)
        assert recognise("geo", SourceFile(path)).format == form(name)
        found = flatten([open_source("geo", "auto", path)], Report())[bits]
        tables[name] = list(found.starts), found.records
    assert all(table == tables["ranges"] for table in tables.values()), tables


@given(st.lists(st.text('a",; \t', max_size=6), min_size=1, max_size=5), st.sampled_from(",;\t"))
def test_fields_are_those_of_the_standard_library_however_they_are_quoted(
    fields: list[str], delimiter: str
) -> None:
    whole = delimiter.join('"' + field.replace('"', '""') + '"' for field in fields)
    assert [field.strip() for field in split_fields(whole, delimiter)] == [field.strip() for field in fields]


def test_whole_degrees_and_a_malformed_line_do_not_hide_coordinates(path: Path) -> None:
    lines = [f"1.0.{at}.0,1.0.{at}.255,AS,JP,Tokyo,Tokyo,35.69,139.69\n" for at in range(40)]
    lines[3] = "1.0.3.0,1.0.3.255,AS,JP,Gifu,Ono,36,138\n"
    assert "1.0.3.0/24 JP 36 138" in read(path, "geo", "".join(lines))
    lines[5] = "1.0.5.0,1.0.5.255,AS,JP,Gifu,Ono,?,138\n"
    assert refusal(path, "geo", "".join(lines)) == ["line 6: invalid number of degrees: '?'"]


def test_objects_may_lack_what_is_not_known_of_them(path: Path) -> None:
    bare = '{"network":"1.0.0.0/24"}\n{"network":"9.9.9.0/24","country":"Germany","country_code":"DE","asn":"AS19281"}\n'
    assert read(path, "geo", bare) == ["1.0.0.0/24", "9.9.9.0/24 DE"]
    assert read(path, "bgp", bare) == ["9.9.9.0/24 AS19281"]


def test_quotes_between_tabs_are_text(path: Path) -> None:
    routes = '8.8.8.0\t8.8.8.255\t15169\tRU\t"Quoted" Ltd\n9.9.9.0\t9.9.9.255\t19281\tRU\t"Open Ltd\n'
    assert read(path, "bgp", routes) == ["8.8.8.0/24 AS15169", "9.9.9.0/24 AS19281"]


def test_asdot_is_read_in_riswhoisdump(path: Path) -> None:
    path.write_text(routes := "1.10000\t8.8.8.0/24\t20\n{1.10000,2.5000}\t9.9.9.0/24\t9\n")
    assert recognise("bgp", SourceFile(path)).format == "riswhois"
    assert read(path, "bgp", routes) == ["8.8.8.0/24 AS75536", "9.9.9.0/24 AS75536 AS136072"]


@pytest.mark.parametrize(
    "header",
    ["prefix,alpha2code,region,city,postal", "ip_prefix,country_code,region,city,postal_code"],
)
def test_a_geofeed_may_have_names_of_columns(path: Path, header: str) -> None:
    path.write_text(feed := f"{header}\n192.0.2.0/25,US,US-AL,Alabaster,\n")
    assert recognise("geo", SourceFile(path)).format == "geofeed"
    assert read(path, "geo", feed) == ["192.0.2.0/25 US-AL"]


def test_malformed_lines_of_a_small_file_are_named(path: Path) -> None:
    lines = "1.0.0.0,1.0.0.255,AU\n1.0.1.0,1.0.1.255,AU\n1.0.2.0,1.0.2.255,Australia\n1.0.3.0,1.0.3.255,AU\n"
    assert refusal(path, "geo", lines) == ["line 3: not a country code: 'Australia'"]

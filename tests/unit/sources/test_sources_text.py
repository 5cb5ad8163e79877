"""Text sources: the nerd zone's grammar, country lists by hand, and what all text files have in common."""

from __future__ import annotations

import bz2
import gzip
import ipaddress
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geosteer.decision.client import prefix_text
from geosteer.errors import ConfigError, SourceError
from geosteer_loader.sources.formats import FORMATS, open_source
from geosteer_loader.sources.prefix import parse_prefix, split_range
from geosteer_loader.sources.report import Report
from geosteer_loader.tables.flatten import flatten
from support.data import shared
from support.long import takes_long

if TYPE_CHECKING:
    from pathlib import Path


def read(path: Path, kind: str, content: str | bytes, report: Report | None = None) -> list[str]:
    """The rows of a file with that content, as `10.0.0.0/8 A`."""
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    rows = open_source("geo", kind, path).rows(report or Report())
    return [f"{prefix_text(bits, start, length)} {record}".strip() for bits, start, length, record in rows]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "countries.txt"


@pytest.mark.parametrize(
    ("line", "rows"),
    [
        ("85.10.224.152/29 :127.0.0.20:ad", "85.10.224.152/29 AD"),
        ("1.2.3.4 :127.0.3.72:us", "1.2.3.4/32 US"),
        ("1.2.3/24 :127.0.1.20:de", "1.2.3.0/24 DE"),
        ("10/8 :127.0.1.20:de", "10.0.0.0/8 DE"),
        ("1.2 :127.0.1.20:de", "1.2.0.0/16 DE"),
        ("1.2.3 :127.0.1.20:de", "1.2.3.0/24 DE"),
        ("1.4.0.0-1.4.3.255 :127.0.1.20:de", "1.4.0.0/22 DE"),
        ("1.4.0.1-1.4.0.4 :127.0.1.20:de", "1.4.0.1/32 DE|1.4.0.2/31 DE|1.4.0.4/32 DE"),
        ("1.7.1-3 :127.0.1.20:de", "1.7.1.0/24 DE|1.7.2.0/23 DE"),
        ("1.5-6 :127.0.1.20:de", "1.5.0.0/16 DE|1.6.0.0/16 DE"),
        ("1.8.0.10-20 :127.0.1.20:de", "1.8.0.10/31 DE|1.8.0.12/30 DE|1.8.0.16/30 DE|1.8.0.20/32 DE"),
        ("1.2-1.3 :127.0.1.20:de", "1.2.0.0/15 DE"),
        ("127-127.0.0 :127.0.1.20:de", "127.0.0.0/24 DE"),
        ("0.0.0.0/0 :127.0.1.20:de", "0.0.0.0/0 DE"),
        ("!1.3.5.0/24", "1.3.5.0/24"),
        ("! 1.3.5.0/24 :127.0.1.20:de", "1.3.5.0/24"),
        ("1.2.3.0/24 :127.0.1.20", "1.2.3.0/24 DE"),
        ("1.2.3.0/24 :127.0.1.20:", "1.2.3.0/24 DE"),
        ("1.2.3.0/24 fr", "1.2.3.0/24 FR"),
        ("1.17/16:127.0.1.20:de", "1.17.0.0/16 DE"),
        ("\t1.2.3.0/24\t:127.0.1.20:de \t", "1.2.3.0/24 DE"),
        ("1.2.3.0/24 :8:al", "1.2.3.0/24 AL"),
        ("1.2.3.0/24 :8:", "1.2.3.0/24 AL"),
        ("1.2.3.0/24 :127.0.0.36:unknown", "1.2.3.0/24 AU"),
        ("1.2.3.0/24 :127.0.0.2:eu", "1.2.3.0/24 @EU"),
        ("1.2.3.0/24 :127.0.0.2:ap", "1.2.3.0/24 @AS"),
        ("1.2.3.0/24 :127.0.0.2:zz", "1.2.3.0/24"),
        ("1.2.3.0/24 # nothing said", "1.2.3.0/24"),
        ("1.2.3.4 - 1.2.3.9", "1.2.3.4/32"),
        ("$SOA 3600 a b 0 600 300 86400 300", ""),
        (":$TTL 700", ""), ("#$TTL 700", ""), (";$TTL 700", ""), ("; comment", ""), ("# comment", ""), ("  ", ""),
    ],
)  # fmt: skip
def test_a_line_of_a_nerd_zone_means_what_rbldnsd_makes_of_it(path: Path, line: str, rows: str):
    assert "|".join(read(path, "nerd", line + "\n")) == rows


@pytest.mark.parametrize("line", [
    "15", "1.21.0.7/24", "1.3.4.5-6.7", "9.1.2-3.4", "1.2.3.9-1.2.3.4", "1.2.3.256", "1.2.3.4.5", "1.2.3.0/33",
    "2001:db8::/32", "1.2.3.0/24#x", "1..2/16", "1.2.3.0/", "1.2.3.0/24-9", "host.example", "1.2.3.0/24 :256:us",
    "1.2.3.0/24 :0:us", ":a:us",
    "1.2.3.0/24 :1.2:us", "1.2.3.0/24 ::us", "-1.2.3.4", "!", "!15",
])  # fmt: skip
def test_what_rbldnsd_ignores_with_a_warning_is_an_error_with_its_line(path: Path, line: str):
    with pytest.raises(SourceError) as refusal:
        read(path, "nerd", f"# one\n1.2.3.0/24 :127.0.1.20:de\n{line}\n")
    assert str(refusal.value).startswith(f"{path}: line 3: ")
    assert "\n" not in str(refusal.value)


def test_default_values_of_a_nerd_zone_hold_from_their_line_on(path: Path):
    zone = "1.0.0.0/8 de\n:127.0.1.20:de\n2.0.0.0/8\n3.0.0.0/8 fr\n:8\n4.0.0.0/8\n:8:\n5.0.0.0/8\n"
    assert read(path, "nerd", zone) == [
        "1.0.0.0/8 DE", "2.0.0.0/8 DE", "3.0.0.0/8 FR", "4.0.0.0/8 DE", "5.0.0.0/8 AL",
    ]  # fmt: skip


def test_ranges_beyond_maxrange4_are_left_out_from_its_line_on_and_it_only_sinks(path: Path):
    report = Report()
    zone = "1/8 de\n$MAXRANGE4 /16\n2/8 de\n3.1/16 de\n#$MAXRANGE4 256\n4.1/16 de\n4.1.1/24 de\n$MAXRANGE4 /0\n5/8 de\n"
    assert read(path, "nerd", zone, report) == ["1.0.0.0/8 DE", "3.1.0.0/16 DE", "4.1.1.0/24 DE"]
    assert report.lines() == ["larger than $MAXRANGE4: ignored: 3, such as line 3, line 6, line 9"]


def test_code_and_number_that_disagree_are_told(path: Path):
    report = Report()
    zone = "1/8 :127.0.1.20:us\n2/8 :127.0.3.58:uk\n3/8 :127.0.0.2:unknown\n4/8 :127.0.3.72:us\n"
    assert read(path, "nerd", zone, report) == ["1.0.0.0/8 US", "2.0.0.0/8 GB", "3.0.0.0/8", "4.0.0.0/8 US"]
    assert report.lines() == [
        "code and number name different countries: the code counts: 1, such as line 1: 1/8 :127.0.1.20:us",
        "unknown country codes beside a known number: the number counts: 1, such as line 2: 2/8 :127.0.3.58:uk",
        "no country: prefixes are misses: 1, such as line 3: 3/8 :127.0.0.2:unknown",
    ]


def test_withdrawn_codes_of_a_nerd_zone_are_what_took_their_place_by_code_and_by_number(path: Path):
    report = Report()
    zone = (
        "1/8 :127.0.2.18:an\n2/8 :127.0.2.18:\n3/8 :127.0.0.180:zr\n4/8 :127.0.3.123:cs\n5/8 :127.0.0.2:su\n"
    )
    assert read(path, "nerd", zone, report) == [
        "1.0.0.0/8 @NA", "2.0.0.0/8 @NA", "3.0.0.0/8 CD", "4.0.0.0/8 @EU", "5.0.0.0/8 RU",
    ]  # fmt: skip
    assert [line.rpartition(": ")[0] for line in report.lines()] == [
        "AN: withdrawn, taken as the continent @NA: 2, such as line 1: 1/8 :127.0.2.18:an, line 2",
        "ZR: withdrawn, taken as CD: 1, such as line 3",
        "CS: withdrawn, taken as the continent @EU: 1, such as line 4",
        "SU: withdrawn, taken as RU: 1, such as line 5",
    ]


@takes_long
@pytest.mark.no_cover
def test_the_nerd_zone_of_a_day_gives_the_ranges_of_the_same_days_database():
    zone = flatten([open_source("geo", "nerd", shared("zz.countries-2026-02-01.rbldnsd"))], Report())
    database = flatten([open_source("geo", "mmdb", shared("country-2026-02-01.mmdb"))], Report())
    assert zone[32] == database[32]
    assert zone[128].records == [""]


@pytest.mark.parametrize(
    ("line", "row"),
    [
        ("192.0.2.0/24,GB", "192.0.2.0/24 GB"),
        (" 192.0.2.0/24 , gb ", "192.0.2.0/24 GB"),
        ("2001:DB8::/32,de", "2001:db8::/32 DE"),
        ("192.0.2.1,FR", "192.0.2.1/32 FR"),
        ("192.0.2.0/24,US-CA", "192.0.2.0/24 US-CA"),
        ("192.0.2.0/24,US-CA,37.751,-122.4194", "192.0.2.0/24 US-CA 37.75 -122.42"),
        ("192.0.2.0/24,US,,", "192.0.2.0/24 US"),
        ("192.0.2.0/24,EU,50,10", "192.0.2.0/24 @EU 50 10"),
        ("192.0.2.0/24,", "192.0.2.0/24"),
        ("192.0.2.0/24,ZZ", "192.0.2.0/24"),
        ('"192.0.2.0/24","GB"', "192.0.2.0/24 GB"),
        ("192.0.2.0/24,AN", "192.0.2.0/24 @NA"),
        ("192.0.2.0/24,zr", "192.0.2.0/24 CD"),
        ("network,cc\n192.0.2.0/24,GB", "192.0.2.0/24 GB"),
        ("Network,CC,Latitude,Longitude\n192.0.2.0/24,GB,51,0", "192.0.2.0/24 GB 51 0"),
        ("cc,network\nGB,192.0.2.0/24", "192.0.2.0/24 GB"),
        ("country,lon,lat,prefix\nGB,-1,51,192.0.2.0/24", "192.0.2.0/24 GB 51 -1"),
        ("network,country,region_code\n192.0.2.0/24,US,CA", "192.0.2.0/24 US-CA"),
        (
            "network,geoname_id,continent_code,continent_name,country_iso_code,country_name\n192.0.2.0/24,1,EU,Europe,,",
            "192.0.2.0/24 @EU",
        ),
        ("network,cc,continent\n192.0.2.0/24,,EU", "192.0.2.0/24 @EU"),
        ("network,cc,continent,registered_country\n192.0.2.0/24,,EU,US", "192.0.2.0/24 @EU"),
        ("Netz,Land\n192.0.2.0/24,GB", "192.0.2.0/24 GB"),
        ("# x\nnetwork,cc\n\nnetwork,cc\n192.0.2.0/24,GB\nnetwork,cc\n", "192.0.2.0/24 GB"),
    ],
)
def test_a_line_of_a_country_list_gives_its_prefix(path: Path, line: str, row: str):
    assert read(path, "csv", line + "\n") == [row]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("192.0.2.1/24,GB", "host bits are set: '192.0.2.1/24'"),
        ("192.0.2.0/24,UK", "unknown country code 'UK'"),
        ("192.0.2.0/24,Germany", "unknown country code 'Germany'"),
        ("192.0.2.0/24", "expected `prefix,country` or `prefix,country,latitude,longitude`"),
        ("192.0.2.0/24,GB,1", "expected `prefix,country` or `prefix,country,latitude,longitude`"),
        ("192.0.2.0/24,US-,", "expected `prefix,country` or `prefix,country,latitude,longitude`"),
        ("192.0.2.0/24,US-", "invalid subdivision: 'US-'"),
        ("192.0.2.0/24,US-CALIFORNIA", "invalid subdivision: 'US-CALIFORNIA'"),
        ("192.0.2.0/24,GB,north,0", "invalid number of degrees: 'north'"),
        ("192.0.2.0/24,GB,91,0", "coordinates out of range: 91,0"),
        ("192.0.2.0/24,GB,nan,0", "coordinates out of range: nan,0"),
        ("192.0.2.0/33,GB", "prefix length out of range, 0 to 32: '192.0.2.0/33'"),
        ("192.0.2.0/255.255.255.0,GB", "prefix length out of range, 0 to 32: '192.0.2.0/255.255.255.0'"),
        ("192.0.2/24,GB", "not an address: '192.0.2'"),
        ("::ffff:192.0.2.0/120,GB", "v4-mapped network, write it as IPv4: '::ffff:192.0.2.0/120'"),
        (",GB", "not an address: ''"),
        ("Netz,Land", "not an address: 'Netz'"),
        ("network,geoname_id,is_anycast", "expected `prefix,country` or `prefix,country,latitude,longitude`"),
        ("192.0.2.0/24,GB,51,north", "invalid number of degrees: 'north'"),
        ('192.0.2.0/24,"G"\rB', "malformed CSV: '192.0.2.0/24,\"G\"\\rB'"),
    ],
)
def test_a_malformed_line_of_a_country_list_is_named_with_its_reason(path: Path, line: str, reason: str):
    with pytest.raises(SourceError) as refusal:
        read(path, "csv", f"prefix,country\n198.51.100.0/24,GB\n{line}\n")
    assert str(refusal.value) == f"{path}: line 3: {reason}"


def test_a_header_without_countries_is_named(path: Path):
    with pytest.raises(SourceError) as refusal:
        read(path, "csv", "network,geoname_id,is_anycast\n192.0.2.0/24,1,0\n")
    assert str(refusal.value).splitlines()[0] == (
        f"{path}: line 1: no column of prefixes or none of countries: 'network,geoname_id,is_anycast'"
    )


def test_all_malformed_lines_are_named_and_many_are_counted(path: Path):
    with pytest.raises(SourceError) as refusal:
        read(path, "csv", "192.0.2.0/24,GB\n" + "bad1,GB\n" * 25)
    named = str(refusal.value).splitlines()
    assert named[0] == f"{path}: line 2: not an address: 'bad1'"
    assert named[19] == f"{path}: line 21: not an address: 'bad1'"
    assert named[20:] == [f"{path}: 5 more malformed lines"]


CONTENT = "prefix,country\n# by hand\n\n192.0.2.0/24,GB\n2001:db8::/32,DE"


@pytest.mark.parametrize(
    "raw",
    [
        CONTENT.encode(), CONTENT.encode() + b"\n", b"\xef\xbb\xbf" + CONTENT.encode(),
        CONTENT.replace("\n", "\r\n").encode(), gzip.compress(CONTENT.encode()), bz2.compress(CONTENT.encode()),
    ],
    ids=["plain", "final newline", "byte order mark", "CRLF", "gzip", "bzip2"],
)  # fmt: skip
def test_text_files_are_read_however_they_were_saved(path: Path, raw: bytes):
    assert read(path, "csv", raw) == ["192.0.2.0/24 GB", "2001:db8::/32 DE"]


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress], ids=["gzip", "bzip2"])
def test_compressed_text_that_was_cut_off_is_refused(path: Path, pack):
    with pytest.raises(SourceError, match=r"the compressed data ends in the middle$"):
        read(path, "csv", pack(CONTENT.encode())[:-6])


def test_damaged_compression_is_refused(path: Path):
    whole = bytearray(gzip.compress(CONTENT.encode() * 100))
    whole[30:40] = bytes(10)
    with pytest.raises(SourceError, match=r"countries.txt: reading: "):
        read(path, "csv", bytes(whole))


def test_a_file_that_is_no_text_is_refused_without_being_read_into_memory(path: Path):
    with pytest.raises(SourceError, match=r"line 1: longer than 65536 bytes; not a text file\?$"):
        read(path, "csv", bytes(3 << 20))


def test_text_that_is_not_utf8_is_named_like_any_other_malformed_line(path: Path):
    with pytest.raises(SourceError, match=r"line 1: unknown country code"):
        read(path, "csv", b"192.0.2.0/24,\xff\xfe\n")


def test_absent_files_and_folders_are_refused(tmp_path: Path):
    for kind in ("csv", "nerd"):
        with pytest.raises(SourceError, match=r"not a regular file$"):
            list(open_source("geo", kind, tmp_path).rows(Report()))
        with pytest.raises(SourceError, match=r"No such file or directory$"):
            list(open_source("geo", kind, tmp_path / "absent").rows(Report()))


def test_an_unknown_format_is_refused_with_the_known_ones(path: Path):
    with pytest.raises(
        ConfigError,
        match=r"countries.txt: format: unknown format 'dat' for table geo; known: auto, builtin, mmdb, nerd, csv, ranges, ",
    ):
        open_source("geo", "dat", path)
    assert FORMATS["geo"][:5] == ("auto", "builtin", "mmdb", "nerd", "csv")


def test_progress_ends_at_the_size_of_the_file(path: Path):
    path.write_text("192.0.2.0/24,GB\n" * 100)
    steps: list[tuple[int, int]] = []
    list(open_source("geo", "csv", path).rows(Report(), lambda *step: steps.append(step)))
    assert steps[-1] == (1600, 1600)


@given(st.sampled_from((32, 128)), st.data())
def test_a_range_splits_into_the_prefixes_that_the_standard_library_finds(bits: int, drawn):
    near = (
        st.integers(0, 300)
        | st.integers((1 << bits) - 300, (1 << bits) - 1)
        | st.integers(0, (1 << bits) - 1)
    )
    first, last = sorted((drawn.draw(near), drawn.draw(near)))
    kind = ipaddress.IPv4Address if bits == 32 else ipaddress.IPv6Address
    networks = ipaddress.summarize_address_range(kind(first), kind(last))
    expected = [(int(network.network_address), network.prefixlen) for network in networks]
    assert list(split_range(bits, first, last)) == expected


@given(st.ip_addresses())
def test_addresses_come_back_as_they_were_written(address):
    if not getattr(address, "ipv4_mapped", None):
        bits, start, length = parse_prefix(str(address))
        assert (bits, start, length) == (address.max_prefixlen, int(address), address.max_prefixlen)
        assert ipaddress.ip_network(prefix_text(bits, start, length)) == ipaddress.ip_network(address)

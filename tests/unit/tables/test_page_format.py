"""Pages of the trie: what is built is found again, within the limits, the same for equal content; damage is seen."""

from __future__ import annotations

import random
from array import array
from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geosteer.errors import CorruptPage
from geosteer.keys import digest
from geosteer.tables import page_builder, page_format
from support import tables
from support.long import examples

if TYPE_CHECKING:
    from support.tables import Table

FAMILIES = pytest.mark.parametrize("bits", [32, 128])


def descend(built: page_builder.Built, bits: int, address: int) -> tuple[str, int]:
    """Record and uniform prefix length of an address, walked from the root page, every page checked for its place."""
    name, height, start, end = built.root, built.height, 0, (1 << bits) - 1
    while True:
        page = page_format.decode(built.pages[name])
        assert page.fits(bits, height, start, end)
        entry = page.find(address)
        value = page.value(entry)
        if isinstance(value, str):
            return value, page.uniform(address, entry)
        spans = [first for first, _ in page.spans(start)]
        start, end = spans[entry], [*spans[1:], end + 1][entry] - 1
        name, height = value, height - 1


def check_table(bits: int, table: Table, more: list[int]) -> None:
    built = page_builder.build(bits, *table)
    for address in tables.edges(bits, table, more):
        found = descend(built, bits, address)
        assert found == (tables.record_at(table, address), tables.widest(bits, table[0], address)), hex(
            address
        )


@FAMILIES
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_every_edge_of_a_small_table_is_found_as_a_linear_reading_finds_it(bits: int, data: st.DataObject):
    addresses = st.lists(st.integers(0, (1 << bits) - 1), max_size=10)
    check_table(bits, data.draw(tables.small_tables(bits)), data.draw(addresses))


@FAMILIES
@settings(max_examples=examples(12), deadline=None)
@given(data=st.data())
def test_every_edge_of_a_table_of_many_pages_is_found_as_a_linear_reading_finds_it(
    bits: int, data: st.DataObject
):
    addresses = st.lists(st.integers(0, (1 << bits) - 1), max_size=10)
    check_table(bits, data.draw(tables.large_tables(bits)), data.draw(addresses))


@FAMILIES
@pytest.mark.parametrize("record", ["", "US"])
def test_a_table_of_one_range_is_one_page_and_its_prefix_is_everything(bits: int, record: str):
    built = page_builder.build(bits, [0], [record])
    assert (len(built.pages), built.height, built.leaves) == (1, 0, 1)
    assert descend(built, bits, 77) == (record, 0)
    assert descend(built, bits, (1 << bits) - 1) == (record, 0)


@FAMILIES
def test_single_addresses_of_every_value_are_told_apart(bits: int):
    top = (1 << bits) - 1
    starts = [*range(300), *range(top - 300, top + 1)]
    built = page_builder.build(bits, starts, [f"r{number}" for number in range(len(starts))])
    for number, start in enumerate(starts):
        length = bits if start != 299 else None
        record, found = descend(built, bits, start)
        assert record == f"r{number}"
        assert length is None or found == length


@FAMILIES
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_pages_keep_to_the_limits_of_bytes_entries_and_height(bits: int, data: st.DataObject):
    table = data.draw(tables.large_tables(bits) | tables.small_tables(bits))
    built = page_builder.build(bits, *table)
    assert built.height <= 8
    for name, raw in built.pages.items():
        page = page_format.decode(raw)
        assert name == digest(raw)
        assert len(raw) <= 8192
        assert len(page.starts) <= 256
        assert len(page.values) == len(set(page.values)) <= len(page.starts)


@FAMILIES
@pytest.mark.parametrize("long", [False, True])
def test_a_page_exists_only_where_its_parent_prefix_would_not_fit_one(bits: int, long: bool):
    table = tables.scattered(bits, 1500, 7, long=long)
    built = page_builder.build(bits, *table)

    def leaves(name: Any, height: int, start: int) -> list[tuple[int, int]]:
        page = page_format.decode(built.pages[name])
        if height == 0:
            return [(start, page.prefix_len)]
        return [leaf for first, value in page.spans(start) for leaf in leaves(value, height - 1, first)]

    places = leaves(built.root, built.height, 0)
    assert len(places) == built.leaves > 1
    for start, length in places:
        host = bits - length + 1
        low = start >> host << host
        part = [(low, tables.record_at(table, low))]
        part += [pair for pair in zip(*table, strict=True) if low < pair[0] < low + (1 << host)]
        distinct = sum(len(record.encode()) + 1 for record in {record for _, record in part})
        at_most = 10 + len(part) * (bits // 8 + 1) + distinct
        assert len(part) > 256 or at_most > 8192, f"{low:x}/{length - 1} would have fitted one page"


def test_the_height_of_ten_thousand_crowded_single_addresses_is_bounded():
    starts = sorted({0, *(1 << bit | low for bit in range(16, 128) for low in range(90))})
    built = page_builder.build(
        128, starts, [f"{number % 251}{tables.LONG}"[:255] for number in range(len(starts))]
    )
    assert built.height <= 8
    for start in starts[::97]:
        assert descend(built, 128, start)[0] == f"{starts.index(start) % 251}{tables.LONG}"[:255]


@FAMILIES
def test_equal_content_gives_equal_pages_whatever_was_there_before(bits: int):
    table = tables.scattered(bits, 1000, 3)
    first = page_builder.build(bits, *table)
    page_builder.build(bits, *tables.scattered(bits, 1000, 4))
    again = page_builder.build(bits, tuple(table[0]), tuple(table[1]))
    assert (again.root, again.pages, again.children) == (first.root, first.pages, first.children)


def test_a_changed_record_changes_only_the_pages_on_the_way_to_it():
    starts = list(range(0, 1 << 32, 1 << 18))
    records = [("US", "DE", "FR")[number % 3] for number in range(len(starts))]
    before = page_builder.build(32, starts, records)
    records[5000] = "GB"
    after = page_builder.build(32, starts, records)
    assert before.height == after.height == 1
    assert len(after.pages.keys() - before.pages.keys()) == 2


def test_the_pages_of_a_part_do_not_depend_on_the_rest_of_the_table():
    dice = random.Random(5)
    starts = sorted({0, *(dice.getrandbits(32) for _ in range(80_000))})
    records = [str(number % 7) for number in range(len(starts))]
    before = page_builder.build(32, starts, records)
    table = dict(zip(starts, records, strict=True))
    inside = [start for start in starts if start >> 24 == 10]
    kept = {start: record for start, record in table.items() if start >> 24 != 10}
    kept |= {10 << 24: table[inside[-1]], inside[-1]: table[inside[-1]]}
    after = page_builder.build(32, *tables.merged(kept.items()))
    fresh = [page_format.decode(after.pages[name]) for name in after.pages.keys() - before.pages.keys()]
    leaves = [page for page in fresh if page.height == 0]
    assert len(leaves) == 1, "all of 10.0.0.0/8 in one page now"
    assert leaves[0].prefix_len <= 8


def test_parts_of_equal_content_at_different_places_share_a_page():
    starts = [base << 16 | offset << 8 for base in range(512) for offset in range(256)]
    built = page_builder.build(
        32, starts, [("A", "B", "C", "D")[number % 4] for number in range(len(starts))]
    )
    full = [
        page
        for page in map(page_format.decode, built.pages.values())
        if page.height == 0 and page.prefix_len == 16
    ]
    assert built.leaves > 512
    assert len(full) == 1
    assert [descend(built, 32, start) for start in starts[::999]] == [
        ("ABCD"[number % 4], 24) for number in range(0, len(starts), 999)
    ]


def spelled_out(bits: int, prefix: int, prefix_len: int, starts: list[int], values: list[bytes]) -> bytes:
    """A leaf by the words of the format, byte by byte."""
    whole = [address.to_bytes(bits // 8, "big") for address in (prefix, *starts[1:])]
    front = min(prefix_len // 8, bits // 8 - 1)
    behind = bits // 8
    while behind - 1 > front and all(not address[behind - 1] for address in whole):
        behind -= 1
    distinct = list(dict.fromkeys(values))
    return b"".join(
        (
            bytes((1, bits // 8, 0, prefix_len, front, behind - front)),
            len(values).to_bytes(2, "big"),
            len(distinct).to_bytes(2, "big"),
            *(address[front:behind] for address in whole),
            bytes(distinct.index(value) for value in values),
            *distinct,
        )
    )


def holds(bits: int, prefix: int, prefix_len: int, starts: list[int], values: list[bytes]) -> bool:
    """Whether a page has room for all entries of a prefix."""
    low = bisect_right(starts, prefix) - 1
    high = bisect_left(starts, prefix + (1 << (bits - prefix_len)), low)
    part = starts[low:high], values[low:high]
    return high - low <= page_format.MAX_ENTRIES and (
        len(spelled_out(bits, prefix, prefix_len, *part)) <= page_format.MAX_BYTES
    )


@FAMILIES
@settings(max_examples=examples(30), deadline=None)
@given(data=st.data())
def test_every_leaf_is_as_wide_as_it_may_be_and_has_the_bytes_that_the_format_says(
    bits: int, data: st.DataObject
):
    large = tables.scattered(bits, 600, data.draw(st.integers(0, 1000)), long=data.draw(st.booleans()))
    for starts, records in (data.draw(tables.small_tables(bits)), large):
        values = [page_builder.encode_record(record) for record in records]
        for low, high, prefix, length, page in page_builder.cut(bits, 0, starts, values):
            part = starts[low:high], values[low:high]
            expected = spelled_out(bits, prefix, length, *part)
            assert page == expected
            if length:
                assert not holds(bits, prefix & -(2 << (bits - length)), length - 1, starts, values)
            if bits == 32:
                assert page_builder.encode(bits, 0, prefix, length, array("I", part[0]), part[1]) == expected


def test_a_page_is_read_as_written_byte_by_byte():
    built = page_builder.build(32, [0, 0x0A000000, 0x0B000000], ["", "US", ""])
    assert built.pages[built.root] == bytes.fromhex(
        "01 04 00 00 00 01 0003 0002"  # version, IPv4, leaf, /0, nothing cut in front, starts of one byte
        "00 0a 0b"  # three starts
        "00 01 00"  # their records
        "00 02 5553"  # "", "US"
    )
    assert descend(built, 32, 0x0A010203) == ("US", 8)
    assert descend(built, 32, 0x0B010203) == ("", 8)
    assert descend(built, 32, 0xC0000001) == ("", 1)


@pytest.mark.parametrize(
    ("starts", "records", "reason"),
    [
        ([], [], "begin at address 0"),
        ([1], ["US"], "begin at address 0"),
        ([0], ["x" * 256], "longer than 255 bytes"),
        ([0], ["é" * 128], "longer than 255 bytes"),
    ],
)
def test_what_no_page_can_hold_is_refused(starts: list[int], records: list[str], reason: str):
    with pytest.raises(ValueError, match=reason):
        page_builder.build(32, starts, records)


def test_a_record_of_255_bytes_is_kept():
    assert descend(page_builder.build(32, [0], ["é" * 127 + "x"]), 32, 1) == ("é" * 127 + "x", 0)


# ---------------------------------------------------------------- damage


def sample_pages() -> list[bytes]:
    """Pages of both families, heights and widths, short and full."""
    found: dict[tuple[int, ...], bytes] = {}
    for bits in (32, 128):
        for table in (
            ([0], [""]),
            ([0, 5], ["US", "DE"]),
            tables.scattered(bits, 40, 1),
            tables.scattered(bits, 900, 2),
            tables.scattered(bits, 900, 2, long=True),
        ):
            for raw in page_builder.build(bits, *table).pages.values():
                page = page_format.decode(raw)
                found.setdefault((bits, page.height, raw[5], len(page.starts).bit_length()), raw)
    return list(found.values())


PAGES = sample_pages()


def is_sound_or_refused(raw: bytes) -> None:
    """Either CorruptPage, or a page that can be used at every address of its prefix without a surprise."""
    try:
        page = page_format.decode(raw)
    except CorruptPage:
        return
    kinds = bytes if page.height else str
    assert all(type(value) is kinds for value in page.values)
    assert list(page.starts) == sorted(set(page.starts))
    host = page.bits - page.prefix_len
    base = page.starts[0] << page.shift
    for start, value in page.spans(base):
        assert base <= start <= base + (1 << host) - 1
        entry = page.find(start)
        assert page.value(entry) == value
        assert page.prefix_len <= page.uniform(start, entry) <= page.bits
    last = base + (1 << host) - 1
    assert page.find(last) == len(page.starts) - 1
    assert page.prefix_len <= page.uniform(last, page.find(last)) <= page.bits
    page.fits(page.bits, page.height, 0, (1 << page.bits) - 1)


@pytest.mark.parametrize("number", range(len(PAGES)))
def test_a_page_cut_short_anywhere_is_refused(number: int):
    raw = PAGES[number]
    for length in range(len(raw)) if len(raw) < 600 else range(0, len(raw), 13):
        with pytest.raises(CorruptPage):
            page_format.decode(raw[:length])


@pytest.mark.parametrize("number", range(len(PAGES)))
def test_a_page_with_more_behind_it_is_refused(number: int):
    for more in (b"\0", b"\1", b"\0" * 16, b"x" * 9000):
        with pytest.raises(CorruptPage):
            page_format.decode(PAGES[number] + more)


@pytest.mark.parametrize("number", range(len(PAGES)))
def test_every_flipped_bit_of_header_and_entries_is_refused_or_harmless(number: int):
    raw = PAGES[number]
    for bit in range(8 * min(len(raw), 60)):
        damaged = bytearray(raw)
        damaged[bit // 8] ^= 1 << bit % 8
        is_sound_or_refused(bytes(damaged))


@settings(max_examples=300, deadline=None)
@given(
    raw=st.sampled_from(PAGES),
    changes=st.lists(st.tuples(st.integers(0, 8191), st.integers(0, 255)), min_size=1, max_size=4),
)
def test_any_changed_bytes_are_refused_or_harmless(raw: bytes, changes: list[tuple[int, int]]):
    damaged = bytearray(raw)
    for place, byte in changes:
        damaged[place % len(raw)] = byte
    is_sound_or_refused(bytes(damaged))


@settings(max_examples=300, deadline=None)
@given(
    head=st.tuples(
        st.just(1), st.sampled_from((4, 16, 0, 8)), st.integers(0, 9), st.integers(0, 255), st.integers(0, 17),
        st.integers(0, 17),
    ),
    counts=st.tuples(st.integers(0, 300), st.integers(0, 300)),
    body=st.binary(max_size=200),
)  # fmt: skip
def test_random_bytes_are_refused_or_harmless(head: tuple[int, ...], counts: tuple[int, int], body: bytes):
    is_sound_or_refused(body)
    is_sound_or_refused(bytes(head) + b"".join(count.to_bytes(2, "big") for count in counts) + body)


def test_a_page_of_another_format_says_which():
    with pytest.raises(CorruptPage, match="page format 2, this program knows 1"):
        page_format.decode(b"\x02" + PAGES[0][1:])


def test_a_record_that_is_not_utf8_is_refused():
    raw = bytearray(page_builder.build(32, [0], ["US"]).pages.popitem()[1])
    raw[-1] = 0xFF
    with pytest.raises(CorruptPage, match="not UTF-8"):
        page_format.decode(bytes(raw))


def test_a_page_fits_no_place_but_its_own():
    starts = list(range(0, 1 << 32, 1 << 20))
    built = page_builder.build(32, starts, [str(number) for number in range(len(starts))])
    leaves = [
        page_format.decode(page) for page in built.pages.values() if page_format.decode(page).height == 0
    ]
    page = next(page for page in leaves if page.starts[0] << page.shift & 0xFFFFFFFF == 1 << 28)
    first, last = 1 << 28, (2 << 28) - 1
    assert page.prefix_len == 4
    assert page.fits(32, 0, first, last)
    assert not page.fits(128, 0, first, last)
    assert not page.fits(32, 1, first, last)
    assert not page.fits(32, 0, 2 << 28, (3 << 28) - 1)
    assert not page.fits(32, 0, first, last - 1)
    assert not page.fits(32, 0, 0, last)

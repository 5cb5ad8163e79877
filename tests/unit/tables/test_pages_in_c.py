"""Pages are read in C as in Python: the same outline of a whole one, and a damaged one is left to Python, which refuses it."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geosteer.errors import CorruptPage
from geosteer.resp import conversation
from geosteer.tables import leaf, page_builder, page_format
from support import tables
from support.long import examples
from support.workers import EXTENSION

if TYPE_CHECKING:
    from support.tables import Table

pytestmark = pytest.mark.skipif(not EXTENSION.exists(), reason="the part in C was not built")
DAMAGES = st.lists(st.tuples(st.integers(0, 1 << 13), st.integers(0, 255)), max_size=3)
CUT = st.one_of(st.just(0), st.integers(0, 1 << 13))


def in_python(page: bytes) -> tuple[Any, ...] | None:
    """Everything that is read of a page; None: it is refused."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(page_format, "outline_quickly", None)  # another test may have loaded it
        try:
            read, at, count = page_format.outline(page)
        except CorruptPage:
            return None
    return (
        read.bits, read.height, read.prefix_len, read.shift, read.mask, read.starts, type(read.starts), read.index, at, count,
    )  # fmt: skip


def in_c(page: bytes) -> tuple[Any, ...] | None:
    """The same with C in front."""
    from geosteer.powerdns import _answerer

    with pytest.MonkeyPatch.context() as patched:
        quickly = _answerer.outline(page)
        patched.setattr(page_format, "outline_quickly", None)
        if quickly is None:
            return in_python(page)
        patched.setattr(page_format, "outline_quickly", _answerer.outline)
        read, at, count = page_format.outline(page)
    return (
        read.bits, read.height, read.prefix_len, read.shift, read.mask, read.starts, type(read.starts), read.index, at, count,
    )  # fmt: skip


def check(page: bytes) -> None:
    from geosteer.powerdns import _answerer

    outline = in_python(page)
    assert in_c(page) == outline
    whole = outline is not None and not isinstance(outline[5], list)
    assert (_answerer.outline(page) is not None) == whole, (
        "only damaged ones and wide starts are left to Python"
    )
    if outline is None or outline[1]:
        return
    for step in (1, 16):
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(page_format, "places_quickly", None)
            try:
                expected = page_format.places(page, outline[8], outline[9], step)
            except CorruptPage:
                expected = None
        assert _answerer.places(page, outline[8], outline[9], step) == expected


@pytest.mark.parametrize("bits", [32, 128])
@settings(max_examples=examples(150), deadline=None)
@given(st.data(), DAMAGES, CUT)
def test_pages_whole_and_damaged(
    bits: int, data: st.DataObject, damages: list[tuple[int, int]], cut: int
) -> None:
    table: Table = data.draw(tables.small_tables(bits))
    for page in page_builder.build(bits, *table).pages.values():
        check(page)
        broken = bytearray(page)
        for at, byte in damages:
            broken[at % len(broken)] = byte
        check(bytes(broken[: len(broken) - cut % len(broken)]))


@pytest.mark.parametrize("bits", [32, 128])
def test_headers_of_all_kinds(bits: int) -> None:
    dice = random.Random(bits)
    starts = sorted({0, *(dice.getrandbits(bits) >> 8 << 8 for _ in range(400))})
    names = [f"US-{number % 50:02} {number / 7:.2f} -122.42" for number in range(len(starts))]
    for page in page_builder.build(bits, starts, names).pages.values():
        for at in range(page_format.HEADER):
            for byte in range(256):
                check(page[:at] + bytes((byte,)) + page[at + 1 :])


@pytest.mark.parametrize(
    "page", [b"", b"\1", bytes(10), bytes(page_format.MAX_BYTES + 1), b"\1\4" + bytes(8000)]
)
def test_what_is_no_page(page: bytes) -> None:
    check(page)


@pytest.mark.parametrize(
    ("at", "count", "step"), [(-1, 1, 1), (0, 0, 1), (0, 257, 1), (0, 1, 0), (3, 1, 1), (9, 1, 1)]
)
def test_places_that_are_none_are_left_to_python(at: int, count: int, step: int) -> None:
    from geosteer.powerdns import _answerer

    assert _answerer.places(b"\0\0\0", at, count, step) is None


def check_packed(page: bytes, bits: int, first: int, last: int) -> bool:
    """Compare what C says of a leaf with what Python makes of it; whether it stays as its bytes."""
    from geosteer.powerdns import _answerer

    with pytest.MonkeyPatch.context() as patched:
        for name in ("outline_quickly", "places_quickly"):
            patched.setattr(page_format, name, None)
        patched.setattr(leaf, "packed_quickly", None)
        try:
            expected = leaf.read_leaf(page, bits, first, last, cut=False)
        except CorruptPage:
            expected = None
        dense = leaf.read_leaf(page, bits, first, last) if expected is not None else None
        patched.setattr(leaf, "packed_quickly", _answerer.packed)
        try:
            got = leaf.read_leaf(page, bits, first, last, cut=False)
        except CorruptPage:
            got = None
        assert type(got) is type(expected)
        if not isinstance(got, leaf.Packed) or dense is None:
            return False
        got.shelf = leaf.Ledger([0])
        span = last - first
        for address in (first, last, *(first + span * part // 97 for part in range(97))):
            assert got.measure(address) == dense.measure(address)
        assert got.shelf.grown == [got.grown]  # once, whatever is asked
        assert got.grown == dense.cost
    return True


@pytest.mark.parametrize("bits", [32, 128])
def test_leaves_that_stay_as_their_bytes(bits: int) -> None:
    """Whole ones for their addresses and for others, and damaged ones."""
    dice = random.Random(bits)
    starts = sorted({0, *(dice.getrandbits(bits) >> 8 << 8 for _ in range(1500))})
    names = [f"US-{number % 50:02} {number / 7:.2f} -122.42" for number in range(len(starts))]
    kept = damaged = 0
    for page in page_builder.build(bits, starts, names).pages.values():
        read = page_format.decode(page)
        if read.height:
            continue
        host = bits - read.prefix_len
        front = 0 if read.mask.bit_length() + read.shift >= bits else None
        if front is None:
            first = next(start for start, name in zip(starts, names, strict=True) if name == read.value(0))
            first = first >> host << host
        else:
            first = read.starts[0] << read.shift
        last = first + (1 << host) - 1
        kept += check_packed(page, bits, first, last)
        check_packed(page, bits, first + (1 << host) & (1 << bits) - 1, last)
        check_packed(page, bits, first, last - 1)
        check_packed(page, 160 - bits, first & 0xFFFFFFFF, last & 0xFFFFFFFF)
        for _ in range(60):
            at = dice.choice([dice.randrange(12), dice.randrange(len(page))])
            broken = page[:at] + bytes((dice.randrange(256),)) + page[at + 1 :]
            damaged += not check_packed(broken[: len(broken) - dice.choice([0, 0, 1])], bits, first, last)
    assert kept > 3
    assert damaged > 50


PIECES = st.lists(
    st.sampled_from([b"$", b"0", b"1", b"3", b"01", b"-1", b"\r\n", b"\r", b"\n", b"abc", b"$3\r\nabc\r\n", b"$0\r\n\r\n",
                     b">2\r\n", b"+OK\r\n", b"-ERR\r\n", b"1234567", b"99999999", b"\xb2", b" "]),
    max_size=8,
)  # fmt: skip


@settings(max_examples=examples(400), deadline=None)
@given(PIECES, st.integers(0, 3))
def test_texts_of_a_reply(pieces: list[bytes], count: int) -> None:
    from geosteer.powerdns import _answerer

    data = b"".join(pieces)
    assert _answerer.texts(data, count) == conversation.texts_of(data, count)


@pytest.mark.parametrize("size", [0, 1, 9, 10, 99, 4096, 9_999_999, 10_000_000])
def test_texts_of_sizes_at_edges(size: int) -> None:
    from geosteer.powerdns import _answerer

    for data in (
        b"$%d\r\n%s\r\n" % (size, bytes(size)),
        b"$%d\r\n" % size,
        b"$%d\r\n%s\r" % (size, bytes(size)),
    ):
        for count in (1, 2):
            assert _answerer.texts(data * count, count) == conversation.texts_of(data * count, count)
            assert _answerer.texts(data, count) == conversation.texts_of(data, count)

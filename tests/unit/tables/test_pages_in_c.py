"""Pages are read in C as in Python: the same outline of a whole one, and a damaged one is left to Python, which refuses it."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geosteer.errors import CorruptPage
from geosteer.tables import page_builder, page_format
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

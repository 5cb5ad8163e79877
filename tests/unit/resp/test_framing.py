"""Replies are bounded before the parser sees them, in whatever pieces they come."""

from __future__ import annotations

import itertools

import hiredis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geosteer.errors import BadReply
from geosteer.resp.conversation import MOST_BYTES, MOST_LINE, MOST_VALUES, Framing

INVALIDATED = b">2\r\n$10\r\ninvalidate\r\n*1\r\n$3\r\nkey\r\n"


def text(value: bytes) -> bytes:
    return b"$%d\r\n%s\r\n" % (len(value), value)


def framed(kind: bytes, members: list[bytes]) -> bytes:
    count = len(members) // 2 if kind == b"%" else len(members)
    return b"%s%d\r\n%s" % (kind, count, b"".join(members[: count * 2 if kind == b"%" else count]))


texts = st.binary(max_size=12).map(text) | st.sampled_from(
    [text(b"x" * 300), text(b"a\r\nb"), text(b""), text(b"$1\r\n")]
)
scalars = texts | st.sampled_from(
    [b":1\r\n", b"+OK\r\n", b"-ERR x\r\n", b"_\r\n", b"$-1\r\n", b"#t\r\n", b"*0\r\n", b"%0\r\n"]
)
flat = st.builds(framed, st.sampled_from([b"*", b"%", b"~"]), st.lists(texts, max_size=40))
values = st.recursive(
    scalars | flat,
    lambda inner: st.builds(framed, st.sampled_from([b"*", b"%", b"~"]), st.lists(inner, max_size=12)),
    max_leaves=30,
)
streams = st.lists(values | st.just(INVALIDATED), min_size=1, max_size=6)


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    bounds = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(bounds) if start < end]


def refused(chunks: list[bytes]) -> bool:
    framing = Framing()
    try:
        for chunk in chunks:
            framing.pass_on(chunk)
    except BadReply:
        return True
    return False


@given(streams, st.lists(st.integers(0, 1 << 16), max_size=8))
def test_every_byte_of_good_replies_is_passed_on_and_every_reply_is_seen_to_end(
    replies: list[bytes], cuts: list[int]
) -> None:
    data = b"".join(replies)
    framing = Framing()
    assert b"".join(framing.pass_on(piece) for piece in pieces(data, cuts)) == data
    # it stands at the beginning of a reply again: as much as one may have is taken, and no more
    most = b"*%d\r\n" % MOST_VALUES
    assert framing.pass_on(most) == most
    with pytest.raises(BadReply):
        framing.pass_on(b"*1\r\n")


@given(
    streams,
    st.lists(st.integers(0, 1 << 16), max_size=8),
    st.sampled_from([b"*", b"%", b"~", b">"]),
    st.integers(0, 50),
)
def test_no_announcement_is_overlooked(
    replies: list[bytes], cuts: list[int], kind: bytes, place: int
) -> None:
    """Not among many short texts either, whole or cut."""
    huge = b"%s%d\r\n" % (kind, MOST_VALUES + 1)
    members = [text(b"%d" % number) for number in range(place)]
    data = b"".join([*replies, b"*%d\r\n" % (place + 1), *members, huge])
    assert refused(pieces(data, cuts))


@given(
    st.binary(max_size=60),
    st.sampled_from([b"", b"*20\r\n", b"%9\r\n"]),
    st.lists(st.integers(0, 99), max_size=4),
)
def test_what_the_parser_takes_has_passed_here_in_one_piece_and_in_several(
    data: bytes, begin: bytes, cuts: list[int]
) -> None:
    """Cut anywhere, the same bytes reach the parser, or none does any more."""
    outcomes = set()
    for chunks in ([begin + data], pieces(begin + data, cuts), [bytes([byte]) for byte in begin + data]):
        framing, passed = Framing(), b""
        try:
            for chunk in chunks:
                passed += framing.pass_on(chunk)
        except (BadReply, ValueError):
            passed = b"refused"
        outcomes.add(passed)
    assert len(outcomes) == 1


def test_a_text_whose_content_looks_like_an_announcement_is_a_text() -> None:
    content = b"*999999999\r\n" * 20
    data = b"%10\r\n" + (text(b"field") + text(content)) * 10
    assert Framing().pass_on(data) == data
    reader = hiredis.Reader()
    reader.feed(data)
    assert reader.gets() == {b"field": content}


def test_sizes_at_the_bound() -> None:
    assert not refused([b"$%d\r\n" % (MOST_BYTES - 20)])
    assert refused([b"$%d\r\n" % MOST_BYTES])
    assert not refused([b"%%%d\r\n" % (MOST_VALUES // 2)])
    assert refused([b"%%%d\r\n" % (MOST_VALUES // 2 + 1)])
    assert refused([b"*1000\r\n", *[b"*1000\r\n"] * 270])
    assert not refused([b"+" + b"x" * (MOST_LINE - 3) + b"\r\n"])
    assert refused([b"+" + b"x" * MOST_LINE])
    assert refused([b"*200000\r\n", *[text(b"x" * 200) * 1000] * 200])


def test_many_replies_one_after_another_are_many_replies() -> None:
    """The bound is one reply's."""
    hash_ = b"%25000\r\n" + text(b"field") * 50_000
    framing = Framing()
    for _ in range(2 * MOST_VALUES // 50_000):
        framing.pass_on(hash_)
    half = text(bytes(MOST_BYTES // 2))
    for _ in range(4):
        framing.pass_on(half)

"""PowerDNS's side of the pipe: lines in whatever pieces they come, and what they ask."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geosteer.powerdns import protocol
from geosteer.powerdns.protocol import Lines, Question, version

STREAM = (
    b"HELO\t3\n"
    b"Q\twww.example.net\tIN\tSOA\t-1\t0.0.0.0\t0.0.0.0\t0.0.0.0/0\n"
    b"\n"
    b"Q\tWWW.example.net\tIN\tANY\t1\t198.51.100.53\t127.0.0.1\t192.0.2.0/24\n"
    b"Q\twww.exam"
)
WHOLE = STREAM.split(b"\n")[:-1]


def fed(*pieces: bytes) -> list[bytes]:
    lines = Lines()
    return [line for piece in pieces for line in lines.feed(piece)]


def test_a_stream_that_comes_whole_gives_its_whole_lines():
    assert fed(STREAM) == WHOLE


def test_a_stream_that_comes_byte_by_byte_gives_the_same_lines():
    assert fed(*(STREAM[at : at + 1] for at in range(len(STREAM)))) == WHOLE


@pytest.mark.parametrize("size", range(2, 70, 3))
def test_a_stream_that_comes_in_odd_pieces_gives_the_same_lines(size: int):
    assert fed(*(STREAM[at : at + size] for at in range(0, len(STREAM), size))) == WHOLE


@given(st.binary(max_size=200), st.lists(st.integers(0, 200)))
def test_any_bytes_in_any_pieces_are_cut_at_line_ends_alone(stream: bytes, cuts: list[int]):
    stream = stream.replace(b"\x05", b"\n")
    places = [0, *sorted(cuts), len(stream)]
    pieces = [stream[low:high] for low, high in pairwise(places)]
    assert fed(*pieces) == stream.split(b"\n")[:-1]


def test_the_start_of_the_next_line_is_kept_until_its_end_comes():
    lines = Lines()
    assert lines.empty
    assert lines.feed(b"one\ntw") == [b"one"]
    assert not lines.empty
    assert lines.feed(b"") == []
    assert lines.feed(b"o\n") == [b"two"]
    assert lines.empty


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> int:
    """A limit that tests reach soon."""
    monkeypatch.setattr(protocol, "LONGEST", 50)
    return 50


@pytest.mark.parametrize("piece", [1, 7, 49, 50, 51, 60, 500])
@pytest.mark.parametrize("length", [49, 50, 51, 52, 100, 333])
def test_a_line_that_is_too_long_comes_out_as_an_empty_one_and_the_next_is_whole(
    short: int, length: int, piece: int
):
    stream = b"first\n" + b"x" * length + b"\nlast\n"
    expected = [b"first", b"x" * length if length <= short else b"", b"last"]
    assert fed(*(stream[at : at + piece] for at in range(0, len(stream), piece))) == expected


def test_an_unfinished_line_holds_no_more_than_the_limit():
    lines = Lines()
    for _ in range(40):
        assert lines.feed(b"x" * 65536) == []
    assert not lines.empty
    assert lines.feed(b"\nQ\n") == [b"", b"Q"]
    assert lines.empty


def question(*fields: str, abi: int = 3) -> Question:
    return Question([b"Q", *(field.encode() for field in fields)], abi)


def test_a_question_is_read_with_its_name_in_lower_case():
    asked = question("WWW.Example.NET", "IN", "ANY", "-1", "198.51.100.53", "0.0.0.0", "192.0.2.0/24")
    assert (asked.name, asked.qtype, asked.remote, asked.subnet) == (
        b"www.example.net", b"ANY", "198.51.100.53", "192.0.2.0/24",
    )  # fmt: skip


@pytest.mark.parametrize(("abi", "fields"), [(1, 5), (2, 6), (3, 7), (4, 7), (5, 7)])
def test_each_version_of_the_protocol_has_its_number_of_fields(abi: int, fields: int):
    row = ["www.example.net", "IN", "ANY", "-1", "198.51.100.53", "127.0.0.1", "192.0.2.0/24"]
    asked = question(*row[:fields], abi=abi)
    assert asked.remote == "198.51.100.53"
    assert asked.subnet == ("192.0.2.0/24" if abi >= 3 else None)
    for wrong in {*range(9)} - {fields}:
        with pytest.raises(ValueError, match="fields"):
            question(*(row + ["x"] * 3)[:wrong], abi=abi)


def test_a_question_whose_addresses_are_no_text_is_refused():
    with pytest.raises(ValueError, match="ascii"):
        Question([b"Q", b"www", b"IN", b"ANY", b"1", b"\xff", b"x", b"y"], 3)


def test_odd_bytes_of_a_name_stay_as_they_are():
    name = b"A\\032b\\.c.\xc3\x84.example.NET"
    asked = Question([b"Q", name, b"IN", b"NS", b"-1", b"::1", b"::", b"::1/128"], 3)
    assert asked.name == b"a\\032b\\.c.\xc3\x84.example.net"


def test_a_carriage_return_at_the_end_of_a_line_does_no_harm():
    *lines, _ = b"HELO\t3\r\nQ\twww\tIN\tANY\t-1\t192.0.2.1\t::\t192.0.2.0/24\r\n".split(b"\n")
    assert version(lines[0].split(b"\t")) == 3
    assert Question(lines[1].split(b"\t"), 3).subnet == "192.0.2.0/24"


@pytest.mark.parametrize(
    ("text", "abi"),
    [
        ("0", 1),
        ("1", 1),
        ("2", 2),
        ("3", 3),
        ("4", 4),
        ("5", 5),
        ("6", 5),
        ("9", 5),
        ("007", 5),
        ("9" * 9999, 5),
    ],
)
def test_a_version_is_taken_as_powerdns_itself_takes_it(text: str, abi: int):
    assert version([b"HELO", text.encode()]) == abi


@pytest.mark.parametrize(
    "fields", [[], [b""], [b"-1"], [b"x"], [b"3", b""], [b"3", b"4"], [b" 3"], ["²".encode()], [b"\r"]]
)
def test_a_greeting_without_a_version_is_refused(fields: list[bytes]):
    with pytest.raises(ValueError, match="version"):
        version([b"HELO", *fields])


def test_a_stream_of_many_questions_in_random_pieces_loses_nothing():
    dice = random.Random(3)
    stream = b"".join(b"Q\tname%d\n" % number for number in range(2000))
    pieces, at = [], 0
    while at < len(stream):
        size = dice.choice((1, 2, 11, 100, 5000))
        pieces.append(stream[at : at + size])
        at += size
    assert fed(*pieces) == stream.split(b"\n")[:-1]

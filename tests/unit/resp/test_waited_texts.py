"""Pages that a question waits for are taken as they come; whatever else comes reaches the usual handlers."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING, Any, Self

import hiredis
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from geosteer.resp import link
from geosteer.resp.conversation import texts_of
from geosteer.resp.link import Link
from geosteer.resp.url import Address
from support.workers import EXTENSION

if TYPE_CHECKING:
    from pathlib import Path

REQUEST = b"*3\r\n$4\r\nHGET\r\n$1\r\nk\r\n$1\r\nf\r\n"
COMMAND = ("HGET", "k", "f")
PUSH = b">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nx\r\n"


class Pair:
    """A link, and the other end of it."""

    def __init__(self, path: Path) -> None:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
        listener.listen()
        self.pushes: list[Any] = []
        self.replies: list[Any] = []
        self.closed: list[str] = []
        self.expected = 0
        self.link = Link(
            Address(f"unix://{path}"), 0.05, time.monotonic, lambda _: None, lambda: None, self.pushes.append,
            self.closed.append,
        )  # fmt: skip
        self.link.connect()
        self.link.writable()
        self.server = listener.accept()[0]
        listener.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.server.close()
        self.link.close("the end")

    def ask(self, count: int = 1, seconds: float = 30) -> list[bytes] | None:
        """Texts that come for so many requests."""
        return self.link.texts(REQUEST * count, count, time.monotonic() + seconds, lambda: self.expect(count))

    def expect(self, count: int) -> None:
        """The handlers that are to take the replies."""
        for _ in range(count):
            self.expected += 1
            self.link.expect(COMMAND, self.replies.append)


@pytest.fixture(params=["python", "c"])
def pair(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """As workers have it with the part in C, and without."""
    if request.param == "c":
        if not EXTENSION.exists():
            pytest.skip("the part in C was not built")
        from geosteer.powerdns import _answerer

        monkeypatch.setattr(link, "exchange_quickly", _answerer.exchange)
    else:
        monkeypatch.setattr(link, "exchange_quickly", None)
    with Pair(tmp_path / "s") as both:
        yield both


@pytest.mark.parametrize(
    ("came", "texts"), [(b"$3\r\nabc\r\n", [b"abc"]), (b"$0\r\n\r\n$2\r\n\r\n\r\n", [b"", b"\r\n"])]
)
def test_whole_texts_are_given_back(pair: Pair, came: bytes, texts: list[bytes]) -> None:
    pair.server.send(came)
    assert pair.ask(len(texts)) == texts
    assert pair.server.recv(4096) == REQUEST * len(texts)
    assert (pair.expected, pair.replies, pair.link.answered, pair.link.suspect_at()) == (0, [], True, None)


@pytest.mark.parametrize(
    ("came", "later", "replies"),
    [
        (PUSH + b"$3\r\nabc\r\n", b"", [b"abc"]),
        (b"$3\r\nabc\r\n" + PUSH, b"", [b"abc"]),
        (PUSH, b"$3\r\nabc\r\n", [b"abc"]),
        (b"$3\r\nab", b"c\r\n", [b"abc"]),
        (b"$", b"3\r\nabc\r\n", [b"abc"]),
        (b"$3\r\nabc\r\n", b"$1\r\nd\r\n", [b"abc", b"d"]),
        (b"$3\r\nabc\r\n$-1\r\n", b"", [b"abc", None]),
        (b"_\r\n", b"", [None]),
    ],
)
def test_anything_else_goes_to_the_handlers(
    pair: Pair, came: bytes, later: bytes, replies: list[Any]
) -> None:
    pair.server.send(came)
    assert pair.ask(len(replies)) is None
    assert pair.expected == len(replies)
    if later:
        assert pair.link.suspect_at() is not None
        pair.server.send(later)
        pair.link.readable()
    assert pair.replies == replies
    assert len(pair.pushes) == (PUSH in came)
    assert not pair.closed
    pair.server.send(b"$1\r\nz\r\n")
    assert pair.ask() == [b"z"], "afterwards it is as before"


def test_an_error_goes_to_the_handler(pair: Pair) -> None:
    pair.server.send(b"-WRONGTYPE of another kind\r\n")
    assert pair.ask() is None
    assert [type(reply) for reply in pair.replies] == [hiredis.ReplyError]


def test_what_does_not_come_in_time_is_waited_for_elsewhere(pair: Pair) -> None:
    assert pair.ask(seconds=0.001) is None
    assert pair.link.suspect_at() is not None
    assert pair.ask() is None, "and nothing is sent beside it"
    assert pair.expected == 1
    pair.server.send(b"$3\r\nabc\r\n")
    pair.link.readable()
    assert pair.replies == [b"abc"]
    assert pair.server.recv(4096) == REQUEST


@pytest.mark.parametrize("came", [b"$3\r\nabc\r\n+more\r\n", b"$x\r\n", b"?", b"$99999999999\r\n"])
def test_what_is_no_reply_ends_the_connection(pair: Pair, came: bytes) -> None:
    pair.server.send(came)
    assert pair.ask() is None
    if came == b"?":
        pair.server.send(b"\r\n")
        pair.link.readable()
    assert len(pair.closed) == 1
    assert pair.ask() is None


def test_a_connection_that_ends_is_lost(pair: Pair) -> None:
    pair.server.close()
    assert pair.ask() is None
    assert len(pair.closed) == 1


def test_a_connection_that_ends_while_a_reply_is_waited_for_is_lost(pair: Pair) -> None:
    pair.server.shutdown(socket.SHUT_WR)
    assert pair.ask() is None
    assert pair.expected == 1
    pair.link.readable()
    assert len(pair.closed) == 1


def test_a_request_that_does_not_fit_is_sent_as_far_as_it_goes(pair: Pair) -> None:
    many = 100_000
    assert pair.link.texts(REQUEST * many, 1, time.monotonic() + 30, lambda: pair.expect(1)) is None
    assert pair.expected == 1
    assert pair.link.wants_write
    left = len(REQUEST) * many
    while left:
        left -= len(pair.server.recv(1 << 20))
        pair.link.writable()
    pair.server.send(b"$3\r\nabc\r\n")
    pair.link.readable()
    assert pair.replies == [b"abc"]


def test_where_something_is_under_way_nothing_is_sent(pair: Pair) -> None:
    pair.link.ask(COMMAND, pair.replies.append)
    pair.link.writable()
    assert pair.ask() is None
    assert pair.expected == 0
    assert pair.server.recv(4096) == REQUEST


@example(b"$1\r\na\r\n", 1)
@example(b"$01\r\na\r\n", 1)
@example(b"$1\r\na\r\n$1\r\nb\r\n", 1)
@given(
    st.lists(
        st.one_of(
            st.sampled_from([b"$", b"\r\n", b"1", b"-1", b"+OK\r\n", b"$1\r\na\r\n", PUSH]), st.binary(max_size=4),
            st.binary(max_size=9).map(lambda text: b"$%d\r\n%s\r\n" % (len(text), text)),
        ),
        max_size=5,
    ).map(b"".join),
    st.integers(1, 3),
)  # fmt: skip
def test_texts_are_what_the_parser_would_make_of_them(data: bytes, count: int) -> None:
    texts = texts_of(data, count)
    if texts is None:
        return
    missing: Any = object()
    reader = hiredis.Reader(notEnoughData=missing)
    reader.feed(data)
    assert [reader.gets() for _ in range(count)] == texts
    assert reader.gets() is missing
    assert not reader.has_data()

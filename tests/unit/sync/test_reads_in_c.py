"""What the part in C reads by itself when states of nodes change, and what it leaves to Python as it came."""

from __future__ import annotations

import os
import socket
import threading
import time
from contextlib import contextmanager
from select import POLLIN
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from geosteer.counters.counters import Counters
from geosteer.powerdns import compiled
from geosteer.resp import conversation
from support.long import examples
from support.workers import EXTENSION

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(not EXTENSION.exists(), reason="the part in C was not built")
NODES = "{p}:node:"
OVERRIDE = b"{p}:override"
LON1 = b"{p}:node:lon1"
UMLAUT = "{p}:node:mün1".encode()


def push(*keys: bytes) -> bytes:
    named = b"".join(b"$%d\r\n%s\r\n" % (len(key), key) for key in keys)
    return b">2\r\n$10\r\ninvalidate\r\n*%d\r\n%s" % (len(keys), named)


def request(key: bytes) -> bytes:
    return b"*2\r\n$7\r\nHGETALL\r\n$%d\r\n%s\r\n" % (len(key), key)


def hash_of(fields: dict[bytes, bytes]) -> bytes:
    texts = [text for pair in fields.items() for text in pair]
    return b"%%%d\r\n" % len(fields) + b"".join(b"$%d\r\n%s\r\n" % (len(text), text) for text in texts)


class Scene:
    """An answerer without questions, and the other end of its connection to Redis."""

    def __init__(self) -> None:
        self.worker, self.redis = socket.socketpair()
        self.redis.settimeout(20)
        self.wake = os.pipe()
        made = compiled.load(Counters("pdns"))
        assert made is not None
        self.answerer = made
        made.set_services([(b"www", None, None)])
        self.taken: list[tuple[bytes, bytes, bytes | dict[str, str]]] = []
        self.goes_on = False
        self.sent_at = 0.0
        made.set_reads(OVERRIDE, NODES.encode(), {"lon1": 1, "mün1": 1}, 0.2, self.take)

    def take(self, key: bytes, sent_at: float, unsent: bytes, reply: bytes | dict[str, str]) -> bool:
        self.sent_at = sent_at
        self.taken.append((key, unsent, reply))
        return self.goes_on

    def serve(self, seconds: float = 30.0, *, at_rest: bool = True) -> bytes | None:
        due = time.monotonic() + seconds
        return self.answerer.serve(self.wake[0], self.worker.fileno(), POLLIN, due, 1 << 40, at_rest)

    def told(self, pushed: bytes, *pieces: bytes) -> bytes:
        """What it asks for when it is told this, and is answered with these, one after the other read."""
        asked = []

        def answer() -> None:
            asked.append(self.redis.recv(4096))
            for piece in pieces:
                self.redis.sendall(piece)

        thread = threading.Thread(target=answer)
        thread.start()
        self.redis.sendall(pushed)
        assert self.serve() is None
        self.worker.shutdown(socket.SHUT_WR)  # the thread ends where nothing was asked
        thread.join(20)
        return asked[0]

    def left(self) -> bytes:
        """What it has not taken from the connection."""
        self.worker.setblocking(False)
        try:
            return self.worker.recv(65536)
        except BlockingIOError:
            return b""

    def close(self) -> None:
        for end in self.wake:
            os.close(end)
        self.worker.close()
        self.redis.close()


@contextmanager
def no_questions() -> Iterator[None]:
    """Standard input stays open, and nothing comes from it."""
    before, (end, other) = os.dup(0), os.pipe()
    os.dup2(end, 0)
    try:
        yield
    finally:
        os.dup2(before, 0)
        for fd in (before, end, other):
            os.close(fd)


@pytest.fixture
def scene() -> Iterator[Scene]:
    made = Scene()
    with no_questions():
        yield made
    made.close()


@pytest.mark.parametrize("key", [OVERRIDE, LON1, UMLAUT])
def test_a_key_that_changed_is_read_again_and_handed_over(scene: Scene, key: bytes) -> None:
    fields = {b"state": b"down", "größe".encode(): b"x" * 900, b"odd": b"\xff\r\n"}
    before = time.monotonic()
    assert scene.told(push(key), hash_of(fields)) == request(key)
    expected = {name.decode(): text.decode("utf-8", "replace") for name, text in fields.items()}
    assert scene.taken == [(key, b"", expected)]
    assert before <= scene.sent_at <= time.monotonic()
    assert scene.left() == b""


def test_it_goes_on_to_the_next_change(scene: Scene) -> None:
    scene.goes_on = True
    states = [{b"state": b"down"}, {}, {b"state": b"up"}]

    def redis() -> None:
        for state in states:
            scene.redis.sendall(push(LON1))
            assert scene.redis.recv(4096) == request(LON1)
            scene.redis.sendall(hash_of(state))
            while len(scene.taken) <= states.index(state):
                time.sleep(0.001)
        scene.redis.sendall(push(b"{p}:current"))

    thread = threading.Thread(target=redis)
    thread.start()
    assert scene.serve() is None
    thread.join(20)
    assert [reply for *_, reply in scene.taken] == [{"state": "down"}, {}, {"state": "up"}]


@pytest.mark.parametrize(
    "reply",
    [
        b"-WRONGTYPE Operation against a key holding the wrong kind of value\r\n", b"*0\r\n", b"%1\r\n$1\r\na\r\n$1\r\n",
        push(LON1) + hash_of({}), hash_of({}) + push(LON1), b"%01\r\n", b"%-1\r\n", b"%1\r\n+a\r\n+b\r\n", b"\0",
        b"%2\r\n$1\r\na\r\n$1\r\nb\r\n", b"%99999\r\n", b"%1\r\n$1\r\na\r\n$999999999\r\n", b"%1\r\n$01\r\na\r\n$1\r\nb\r\n",
    ],
)  # fmt: skip
def test_what_is_not_a_hash_goes_to_python_as_it_came(scene: Scene, reply: bytes) -> None:
    assert scene.told(push(LON1), reply) == request(LON1)
    assert scene.taken == [(LON1, b"", reply)]


def test_a_reply_that_does_not_come_in_time_is_awaited_in_python(scene: Scene) -> None:
    assert scene.told(push(OVERRIDE)) == request(OVERRIDE)
    assert scene.taken == [(OVERRIDE, b"", b"")]


@pytest.mark.parametrize(
    "pushed",
    [
        push(b"{p}:current"), push(b"{p}:beat"), push(b"{p}:node:other"), push(b"{p}:node:"), push(b"{p}:node:\xff"),
        push(b"{p}:override2"), push(b"{q}:override"), push(b"{p}:overrid"), push(LON1, OVERRIDE), push(LON1) + push(LON1),
        push(), push(LON1)[:-1], push(LON1)[:20], push(LON1) + b"+", b">2\r\n$10\r\ninvalidate\r\n_\r\n", b"%0\r\n", b"\r\n",
        push(b"x" * 600),
        push(LON1).replace(b"$13", b"$013"), push(LON1).replace(b"$13", b"$12"), push(LON1).replace(b"$13", b"$14"),
    ],
)  # fmt: skip
def test_any_other_message_is_left_where_it_is(scene: Scene, pushed: bytes) -> None:
    assert scene.told(pushed) == b""
    assert not scene.taken
    assert scene.left() == pushed


def test_nothing_is_read_while_something_is_under_way(scene: Scene) -> None:
    scene.redis.sendall(push(LON1))
    assert scene.serve(at_rest=False) is None
    assert not scene.taken
    assert scene.left() == push(LON1)


def test_a_connection_that_was_closed_is_left_to_python(scene: Scene) -> None:
    scene.redis.close()
    assert scene.serve() is None
    assert not scene.taken


def test_a_handler_that_fails_ends_nothing(scene: Scene) -> None:
    def take(*_: object) -> bool:
        raise ValueError("what came")

    scene.answerer.set_reads(OVERRIDE, NODES.encode(), {"lon1": 1}, 0.2, take)
    assert scene.told(push(LON1), hash_of({})) == request(LON1)
    wrong: list[tuple[Any, ...]] = [
        (1, b"", {}, 0.1, take),
        (b"", b"", [], 0.1, take),
        (b"", "", {}, 0.1, take),
    ]
    for bad in wrong:
        with pytest.raises(TypeError):
            scene.answerer.set_reads(*bad)


def handed_out(data: bytes) -> object:
    """The hash that a conversation makes of a reply, where nothing else came and it is whole."""
    replies: list[object] = []
    talk = conversation.Conversation(lambda _: None)
    talk.expect(("HGETALL", "key"), replies.append, 0.0)
    talk.feed(data)
    assert talk.at_rest
    return replies[0]


TEXT = st.one_of(
    st.binary(max_size=12), st.sampled_from([b"state", b"up", b"", b"\r\n", b"$1\r\na", b"x" * 255, b"\xc3\xa9", b"\xff"])
)  # fmt: skip


@settings(max_examples=examples(400), deadline=None)
@given(
    st.lists(st.tuples(TEXT, TEXT), max_size=5), st.integers(-1, 60), st.binary(max_size=3), st.integers(0, 3)
)
@example([(b"a", b"b"), (b"a", b"c")], -1, b"", 0)
@example([(b"a", b"")], 15, b"", 2)  # but for the end of its last, empty text
def test_a_hash_is_what_python_reads(
    fields: list[tuple[bytes, bytes]], at: int, other: bytes, gone: int
) -> None:
    from geosteer.powerdns import _answerer

    data = b"%%%d\r\n" % len(fields)
    data += b"".join(b"$%d\r\n%s\r\n" % (len(text), text) for pair in fields for text in pair)
    if at >= 0:  # damaged
        data = data[:at] + other + data[at + gone :]
    quick = _answerer.fields(data)
    if quick is not None and len(quick) == int(data[1 : data.index(b"\r")]):  # hiredis takes no field twice
        assert quick == handed_out(data)
    if data.startswith(b"%"):
        assert conversation._hash_of(data) in (None, quick)

"""Pushes of one key and small hashes are read by themselves where they come whole: with the result of any other way."""

from __future__ import annotations

from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from geosteer.resp.conversation import Conversation

Heard = list[tuple[str, Any]]

texts = st.binary(max_size=12) | st.sampled_from(
    [b"", b"state", b"a\r\nb", b"\r\n", b"$1\r\n", b"x" * 255, b"x" * 256, "é".encode(), b"\xff"]
)


def text(value: bytes) -> bytes:
    return b"$%d\r\n%s\r\n" % (len(value), value)


def fields_of(words: list[bytes]) -> bytes:
    return b"%%%d\r\n%s" % (len(words) // 2, b"".join(map(text, words[: len(words) // 2 * 2])))


def push_of(keys: list[bytes]) -> bytes:
    return b">2\r\n$10\r\ninvalidate\r\n*%d\r\n%s" % (len(keys), b"".join(map(text, keys)))


hashes = st.lists(texts, max_size=12).map(fields_of) | st.integers(60, 70).map(
    lambda count: fields_of([b"field%d" % number for number in range(2 * count)])
)
pushes = st.lists(texts, min_size=1, max_size=2).map(push_of)
others = st.sampled_from(
    [
        b"%1\r\n:1\r\n:2\r\n", b"%0\r\n", b"*0\r\n", b"*2\r\n$1\r\na\r\n$1\r\nb\r\n", b"-ERR x\r\n", b"%-1\r\n", b"%x\r\n",
        b">2\r\n$10\r\ninvalidate\r\n_\r\n", b">1\r\n$5\r\nother\r\n", b"%01\r\n$1\r\na\r\n$1\r\nb\r\n",
    ]
)  # fmt: skip
messages = (
    hashes | pushes | others | texts.map(text)
)  # the last: replies to other commands, with the next read


@st.composite
def garbled(draw: st.DrawFn) -> bytes:
    message = draw(messages)
    at = draw(st.integers(0, len(message)))
    return message[:at] + draw(st.binary(max_size=2)) + message[at + draw(st.integers(0, 2)) :]


class Plain(Conversation):
    """Reads everything in the same way."""

    __slots__ = ()

    def _take_quickly(self, _data: bytes) -> bool:
        return False


def heard(kind: type[Conversation], pieces: list[bytes], waiting: int, command: str = "HGETALL") -> Heard:
    """What is handed out, and whether it ends in an error."""
    found: Heard = []
    conversation = kind(lambda push: found.append(("push", (push[0], push[1]))))

    def take(reply: Any) -> None:
        found.append(("reply", list(reply.items()) if isinstance(reply, dict) else str(reply)))

    for _ in range(waiting):
        conversation.ask((command, "key"), take, 0.0)
    try:
        for piece in pieces:
            conversation.feed(piece)
    except Exception:  # noqa: BLE001  # whatever it is ends the connection
        found.append(("error", None))
    return found


@given(
    st.lists(messages | garbled(), min_size=1, max_size=5),
    st.integers(0, 5),
    st.sampled_from(["HGETALL", "HELLO"]),
)
@example([fields_of([b"a", b"b"]), push_of([b"k"]), b"%0\r\n"], 2, "HGETALL")
@example([b"%1\r\n$1\r\n", b"%0\r\n"], 2, "HGETALL")
@example([fields_of([b"a", b"b"]) + text(b"a page")], 2, "HGETALL")
def test_what_is_read_by_itself_is_heard_as_otherwise(
    stream: list[bytes], waiting: int, command: str
) -> None:
    """Garbled ones too: what is wrong with them is left to whoever reads all the others."""
    assert heard(Conversation, stream, waiting, command) == heard(Plain, stream, waiting, command)


@given(st.lists(hashes | pushes, min_size=1, max_size=3), st.lists(st.integers(0, 120), max_size=6))
@example([fields_of([b"a", b"b"])], [1])
@example([fields_of([b"a", b"b"])], [2])
@example([push_of([b"k"])], [1])
def test_what_comes_in_any_pieces_is_heard_as_otherwise(stream: list[bytes], cuts: list[int]) -> None:
    data = b"".join(stream)
    ends = sorted({min(cut, len(data)) for cut in cuts} | {len(data)})
    pieces = [data[begin:end] for begin, end in zip([0, *ends], ends, strict=False) if begin < end]
    assert heard(Conversation, pieces, len(stream)) == heard(Plain, pieces, len(stream))


def test_a_push_and_a_small_hash_are_told() -> None:
    stream = [push_of([b"k"]), fields_of([b"state", b"down", b"why", "é".encode()])]
    assert heard(Conversation, stream, 1) == [
        ("push", (b"invalidate", [b"k"])),
        ("reply", [("state", "down"), ("why", "é")]),
    ]

"""HTTP answers: the head as leniently as curl takes it, the framing of a body strictly, and compressed bodies."""

from __future__ import annotations

import gzip
import random
import subprocess
import threading
import zlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geosteer_loader.health.checks.answer import BODY, Judge, Wanted
from geosteer_loader.health.checks.result import Result
from support.servers import need

if TYPE_CHECKING:
    from collections.abc import Iterable

OK = b"HTTP/1.1 200 OK\r\n"
GOOD = Result(True)
LACKS = Result(False, "the body lacks the text")


def judge(pieces: Iterable[bytes], body: str = "") -> Result:
    """The result of an answer that comes in these pieces, and then ends."""
    judge = Judge(Wanted(statuses=[200], body=body))
    for piece in [*filter(None, pieces), b""]:
        result = judge.receive(piece)
        if result is not None:
            return result
    raise AssertionError("no result at the end")


def cuts(answer: bytes) -> list[list[bytes]]:
    """The answer whole, byte by byte, and in odd pieces."""
    rng = random.Random(7)
    places = sorted(rng.sample(range(len(answer) + 1), min(5, len(answer))))
    odd = [answer[low:high] for low, high in zip([0, *places], [*places, len(answer)], strict=True)]
    return [[answer], [answer[at : at + 1] for at in range(len(answer))], odd]


def everyway(answer: bytes, body: str = "") -> Result:
    """The result, which must not depend on how the answer is cut."""
    results = {judge(pieces, body) for pieces in cuts(answer)}
    assert len(results) == 1, results
    return results.pop()


SLIPS = {
    "blank in a name": OK + b"Foo Bar: x\r\n\r\n",
    "blank before the colon": OK + b"Content-Length : 0\r\n\r\n",
    "identity": OK + b"Transfer-Encoding: identity\r\n\r\n",
    "bare line feeds": b"HTTP/1.1 200 OK\nA: b\n\n",
    "mixed line ends": b"HTTP/1.1 200 OK\r\nA: b\n\r\n",
    "no reason phrase": b"HTTP/1.1 200\r\n\r\n",
    "no reason phrase but its blank": b"HTTP/1.1 200 \r\n\r\n",
    "version 1.0 without fields": b"HTTP/1.0 200 OK\r\n\r\n",
    "no name": OK + b": x\r\n\r\n",
    "no colon": OK + b"nonsense\r\n\r\n",
    "bytes above 127": OK + b"X-\xfc: \xff\r\n\r\n",
    "null": OK + b"X: \0\r\n\r\n",
    "folded": OK + b"X: a\r\n b\r\n\r\n",
    "two lengths": OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
    "a length that is not a number": OK + b"Content-Length: abc\r\n\r\n",
    "a negative length": OK + b"Content-Length: -1\r\n\r\n",
    "an unknown coding": OK + b"Transfer-Encoding: zip\r\n\r\n",
    "length and chunks": OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    "a reason in another alphabet": "HTTP/1.1 200 в порядке\r\n\r\n".encode(),
    "closed after the last field": OK + b"A: b\r\n",
    "after an interim answer": b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + OK + b"\r\n",
}


@pytest.mark.parametrize("answer", SLIPS.values(), ids=SLIPS)
def test_a_slip_in_the_head_does_not_matter_where_the_status_is_wanted(answer: bytes) -> None:
    assert everyway(answer) == GOOD
    assert everyway(answer.replace(b" 200", b" 503")) == Result(False, "status 503")


TAKEN_BY_CURL = (
    "blank in a name", "blank before the colon", "identity", "bare line feeds", "mixed line ends", "no reason phrase",
    "version 1.0 without fields", "no name", "bytes above 127", "folded", "after an interim answer",
)  # fmt: skip


@pytest.mark.parametrize("name", TAKEN_BY_CURL)
def test_curl_takes_them_too(name: str) -> None:
    import socket

    curl = need("curl")
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(SLIPS[name])

        thread = threading.Thread(target=serve)
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        command = [curl, "-s", "-o", "/dev/null", "-w", "%{http_code}", "-m", "5", url]
        done = subprocess.run(command, capture_output=True, text=True)
        thread.join()
    assert (done.returncode, done.stdout) == (0, "200")


NOT_HTTP = {
    "ssh": b"SSH-2.0-OpenSSH_9.2\r\n",
    "a number too long": b"HTTP/1.1 2000 OK\r\n\r\n",
    "no number": b"HTTP/1.1 OK\r\n\r\n",
    "letters": b"HTTP/x 200 OK\r\n\r\n",
    "html": b"<html>\n",
    "nothing": b"",
    "half a line": b"HTTP/1.1 200 O",
    "half a field": OK + b"A: b",
    "a head without end": OK + b"X: y\r\n" * 20_000,
    "a line without end": OK + b"X: " + b"y" * 200_000,
    "only interim answers": b"HTTP/1.1 100 Continue\r\n\r\n",
}


@pytest.mark.parametrize("name", NOT_HTTP)
def test_what_is_not_http_is_named_without_python(name: str) -> None:
    answer = NOT_HTTP[name]
    result = judge([answer]) if len(answer) > 1000 else everyway(answer)
    assert result.good is False
    assert result.reason.startswith("not HTTP: ")
    assert "bytearray" not in result.reason
    assert "b'" not in result.reason


FRAMED = {
    "length": (b"Content-Length: 4\r\n\r\nfine", GOOD),
    "the same length twice": (b"Content-Length: 4, 4\r\n\r\nfine", GOOD),
    "a blank before the colon": (b"Content-Length : 4\r\n\r\nfine", GOOD),
    "text behind the end": (b"Content-Length: 2\r\n\r\nfine", LACKS),
    "too short": (
        b"Content-Length: 9\r\n\r\nfin",
        Result(False, "the connection was closed within the body"),
    ),
    "until the end": (b"\r\nall is fine", GOOD),
    "identity": (b"Transfer-Encoding: identity\r\n\r\nfine", GOOD),
    "chunks": (b"Transfer-Encoding: chunked\r\n\r\n2\r\nfi\r\n2;x=y\r\nne\r\n0\r\n\r\n", GOOD),
    "chunks win": (b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfine\r\n0\r\n\r\n", GOOD),
    "text behind the last chunk": (b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nfine", LACKS),
    "text in the size": (b"Transfer-Encoding: chunked\r\n\r\n1;fine\r\nx\r\n0\r\n\r\n", LACKS),
    "a chunk without its end": (
        b"Transfer-Encoding: chunked\r\n\r\n2\r\nxxfine\r\n0\r\n\r\n",
        Result(False, "not HTTP: a chunk of the body is longer than it says"),
    ),
    "no size": (
        b"Transfer-Encoding: chunked\r\n\r\nzz\r\nfine",
        Result(False, "not HTTP: invalid chunk size"),
    ),
    "a huge size": (
        b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 17 + b"\r\nfine",
        Result(False, "not HTTP: invalid chunk size"),
    ),
    "other lengths": (
        b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nfine!",
        Result(False, "not HTTP: several values of Content-Length"),
    ),
    "no number": (b"Content-Length: +4\r\n\r\nfine", Result(False, "not HTTP: invalid Content-Length")),
    "an unknown coding": (
        b"Transfer-Encoding: gzip, chunked\r\n\r\nfine",
        Result(False, "not HTTP: unknown transfer encoding gzip, chunked"),
    ),
    "brotli": (
        b"Content-Encoding: br\r\n\r\nfine",
        Result(False, 'the body has the encoding "br", which this program cannot decode'),
    ),
    "damaged": (b"Content-Encoding: gzip\r\n\r\nfine", Result(False, "the gzip data is damaged")),
    "empty": (b"Content-Length: 0\r\n\r\n", LACKS),
}


@pytest.mark.parametrize(("rest", "result"), FRAMED.values(), ids=FRAMED)
def test_the_text_counts_within_the_body_only(rest: bytes, result: Result) -> None:
    assert everyway(OK + rest, "fine") == result


def raw(data: bytes) -> bytes:
    deflater = zlib.compressobj(wbits=-15)
    return deflater.compress(data) + deflater.flush()


CODED = {
    "gzip": (b"gzip", gzip.compress),
    "x-gzip": (b"x-gzip", gzip.compress),
    "deflate": (b"deflate", zlib.compress),
    "raw deflate": (b"Deflate", raw),
    "two members": (b"gzip", lambda data: gzip.compress(data[:3]) + gzip.compress(data[3:])),
    "padded": (b"gzip", lambda data: gzip.compress(data) + bytes(100)),
    "twice": (b"gzip, deflate", lambda data: zlib.compress(gzip.compress(data))),
    "identity": (b"identity", bytes),
}


@pytest.mark.parametrize(("coding", "encode"), CODED.values(), ids=CODED)
def test_a_compressed_body_is_searched_in_plain(coding, encode) -> None:
    body = encode(b"all is fine here")
    length = b"Content-Length: %d\r\n" % len(body)
    for head in (b"", length):
        answer = OK + head + b"Content-Encoding: " + coding + b"\r\n\r\n" + body
        assert everyway(answer, "fine") == GOOD
        assert everyway(answer, "well") == LACKS


@pytest.mark.parametrize("times", [1, 2])
def test_a_bomb_is_inflated_as_far_as_a_body_is_searched(times: int) -> None:
    import tracemalloc

    bomb = bytes(30_000_000)
    for _ in range(times):
        bomb = gzip.compress(bomb)
    coding = b", ".join([b"gzip"] * times)
    tracemalloc.start()
    result = judge([OK + b"Content-Encoding: " + coding + b"\r\n\r\n" + bomb], "fine")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert result == Result(False, "the first 1 MiB of the body lack the text")
    assert peak < 8 * BODY


def test_an_endless_body_is_read_no_further_than_needed() -> None:
    judge = Judge(Wanted(body="fine"))
    judge.receive(OK + b"\r\n")
    for _ in range(1 + BODY // 65536):
        result = judge.receive(bytes(65536))
        if result is not None:
            break
    assert result == Result(False, "the first 1 MiB of the body lack the text")


@given(st.lists(st.binary(max_size=40), max_size=6), st.sampled_from(["", "fine"]))
def test_whatever_comes_gives_a_result_and_no_error(pieces: list[bytes], body: str) -> None:
    assert judge([OK[:9], *pieces], body).good in {True, False}
    assert judge([OK + b"Transfer-Encoding: chunked\r\n\r\n", *pieces], body).good in {True, False}
    assert judge([OK + b"Content-Encoding: gzip\r\n\r\n\x1f\x8b\x08", *pieces], body).good in {True, False}

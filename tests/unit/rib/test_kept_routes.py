"""Routes that outlive the service: all of them, or none."""

from __future__ import annotations

import json
import random
import zlib
from hashlib import blake2b

import pytest

from geosteer_loader.rib import kept_routes
from geosteer_loader.rib.kept_routes import MAGIC
from geosteer_loader.rib.session import Phase
from geosteer_loader.rib.stream import RETURN, Stream
from support.exabgp_lines import Exabgp

PEER, OTHER = "10.99.0.1", "10.99.0.2"
PLACE = (5 << 24) << 8 | 24


def stream(now=0.0, kind="exabgp"):
    return Stream(kind, families=(32, 128), min_routes=0.9, forget=1000.0, now=now)


def filled(seed=1, count=50):
    dice = random.Random(seed)
    made, writer = stream(), Exabgp()
    for peer in (PEER, OTHER):
        made.line(writer.up(peer), 0.0)
        for number in range(count):
            steps: list[int | set[int]] = [3356]
            steps += [*(dice.choice((1, 174, 64512, 4200000000)) for _ in range(dice.randrange(4)))]
            steps += [{dice.randrange(9), 8}] if dice.random() < 0.2 else []
            network = dice.choice(
                (f"5.0.{number}.0/24", f"2a00:{number:x}::/32", "0.0.0.0/0", "::/0", f"6.1.1.{number}/32")
            )
            ids = (dice.choice((0, 1, 7, 65535)),) if dice.random() < 0.4 else ()
            made.line(writer.announce(peer, steps if dice.random() < 0.9 else [], network, ids=ids), 0.0)
        for family in ("ipv4", "ipv6"):
            made.line(writer.eor(peer, family), 0.0)
    made.tick(0.0)
    assert made.counts.bad == 0
    assert made.waiting((), 0.0) == ""
    return made, writer


def content(made, now=5.0, elapsed=1000.0):
    return kept_routes.sealed(kept_routes.encode(made.kept("s"), now + elapsed, elapsed))


def held(made):
    return {
        (peer, bits, number): sorted(
            (
                -1 if identifier is None else identifier,
                path.text,
                path.origins,
                path.length,
                path.origin or -1,
            )
            for identifier, path in session.counting.told(bits, number)
        )
        for peer, session in made.sessions.items()
        for bits in (32, 128)
        for number in session.counting.numbers(bits)
    }


@pytest.mark.parametrize("seed", range(5))
def test_what_is_read_again_is_what_was_held(seed):
    made, _ = filled(seed)
    at, sessions = kept_routes.decode(content(made), 1000.0)
    assert at == 1005.0
    again = stream()
    again.restore(sessions, 5.0, 5.0)
    assert held(again) == held(made)
    assert {session.phase for session in again.sessions.values()} == {Phase.LOST}


def test_a_file_that_is_cut_off_damaged_or_foreign_is_refused():
    whole = content(filled()[0])
    sizes = {
        0,
        1,
        len(MAGIC),
        len(MAGIC) + 16,
        len(whole) - 1,
        *(len(whole) * tenth // 10 for tenth in range(10)),
    }
    for size in sizes:
        with pytest.raises(ValueError, match=r"not a file of routes|damaged"):
            kept_routes.decode(whole[:size], 0.0)
    for place in range(len(MAGIC), len(whole), 97):
        with pytest.raises(ValueError, match="damaged"):
            kept_routes.decode(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :], 0.0)
    with pytest.raises(ValueError, match="not a file of routes"):
        kept_routes.decode(b'{"version": 1}', 0.0)


HEAD = {"at": 1.0, "paths": 4, "sessions": []}
ONE = {
    "stream": "s",
    "format": "exabgp",
    "peer": PEER,
    "lost": None,
    "routes": {"ipv4": [1, 0], "ipv6": [0, 0]},
}
ROUTE = PLACE.to_bytes(8, "little") + bytes(4)


@pytest.mark.parametrize(
    ("plain", "reason"),
    [
        (b"", "."),
        (b"[]\n", "malformed"),
        (json.dumps(HEAD).encode() + b"\n174", "not a count"),
        (json.dumps(HEAD).encode() + b"\n1 74more", "more bytes"),
        (json.dumps({**HEAD, "sessions": [ONE]}).encode() + b"\n1 74" + ROUTE[:-1], "fewer bytes"),
        (json.dumps({**HEAD, "sessions": [ONE]}).encode() + b"\n1 74" + ROUTE[:8] + b"\1\0\0\0", "malformed"),
        (json.dumps({**HEAD, "sessions": [ONE]}).encode() + b"\n1 74" + b"\x21" + ROUTE[1:], "not a prefix"),
        (json.dumps({**HEAD, "sessions": [ONE]}).encode() + b"\n1 74" + ROUTE[:1] + b"\1" + ROUTE[2:], "not a prefix"),
        (json.dumps({**HEAD, "sessions": [{**ONE, "routes": {"ipv4": [1 << 40, 0]}}]}).encode() + b"\n1 74", "not a count"),
        (json.dumps({**HEAD, "sessions": [{**ONE, "lost": "x"}]}).encode() + b"\n1 74" + ROUTE, "could not convert"),
        (json.dumps({**HEAD, "sessions": [{**ONE, "lost": float("nan")}]}).encode() + b"\n1 74" + ROUTE, "not a time"),
        (json.dumps({**HEAD, "sessions": [{**ONE, "peer": "\ud800"}]}).encode() + b"\n1 74" + ROUTE, "not a peer"),
        (json.dumps({**HEAD, "at": 1e300}).encode() + b"\n1 74", "not a time"),
        (json.dumps({**HEAD, "sessions": [ONE] * 5000}).encode() + b"\n1 74", "too many"),
        (json.dumps({**HEAD, "sessions": [ONE]}).encode() + b"\nx174" + ROUTE, "not an AS path"),
    ],
)  # fmt: skip
def test_a_file_with_a_right_digest_is_looked_at_all_the_same(plain, reason):
    body = zlib.compress(plain)
    with pytest.raises(ValueError, match=reason):
        kept_routes.decode(MAGIC + blake2b(body, digest_size=16).digest() + body, 0.0)


def test_what_unpacks_to_more_than_it_may_is_refused(monkeypatch):
    monkeypatch.setattr(kept_routes, "MOST_PLAIN", 1000)
    body = zlib.compress(bytes(100_000))
    with pytest.raises(ValueError, match="too large"):
        kept_routes.decode(MAGIC + blake2b(body, digest_size=16).digest() + body, 0.0)
    with pytest.raises(ValueError, match="more than"):
        kept_routes.encode(filled()[0].kept("s"), 0.0, 0.0)


def test_a_session_that_was_there_is_waited_for_and_one_that_was_away_counts_with_what_it_had():
    made, writer = filled()
    made.line(writer.down(OTHER), 2.0)
    _, sessions = kept_routes.decode(content(made), 1000.0)
    again = stream(10.0)
    changed = again.listen()
    again.restore(sessions, 5.0, 10.0)
    assert changed[32]
    assert "did not come back yet" in again.waiting((), 10.0)
    assert again.waiting((OTHER,), 10.0) == "no session came back yet"
    fresh = Exabgp()
    again.line(fresh.up(PEER), 20.0)
    routes = [f"5.0.{number}.0/24" for number in range(100)] + [
        f"2a00:{number:x}::/32" for number in range(100)
    ]
    again.line(fresh.announce(PEER, [174], *routes), 20.0)
    for family in ("ipv4", "ipv6"):
        again.line(fresh.eor(PEER, family), 20.0)
    again.tick(20.0)
    assert again.waiting((), 20.0) == ""
    assert again.sessions[PEER].counting.prefixes(32) == 100
    assert held(again).keys() >= {key for key in held(made) if key[0] == OTHER}
    again.tick(1001.0)  # 1,000 s after its loss, over the restart
    assert again.sessions[OTHER].counting is not None
    again.tick(1002.0)
    assert again.sessions[OTHER].counting is None


def test_after_a_while_what_was_kept_of_a_session_counts_beside_one_that_is_back():
    made, _ = filled()
    _, sessions = kept_routes.decode(content(made), 1000.0)
    again = stream(10.0)
    again.restore(sessions, 5.0, 10.0)
    again.sessions[PEER].awaited = None  # as if it were back
    assert "did not come back" in again.waiting((), 10.0 + RETURN - 1)
    assert again.waiting((), 10.0 + RETURN) == ""


def test_of_a_stream_of_another_format_nothing_is_taken_up():
    _, sessions = kept_routes.decode(content(filled()[0]), 1000.0)
    again = stream(kind="openbmp")
    again.restore(sessions, 0.0, 0.0)
    assert again.sessions == {}

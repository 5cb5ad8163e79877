"""Workers that remember replies answer, byte by byte, as one that decides each question anew, whatever changes meanwhile."""

from __future__ import annotations

import json
import os
import random
from select import POLLIN, poll
from typing import TYPE_CHECKING, Any

import pytest

from geosteer.counters.counters import BUCKETS, FIRST_KEY, KEYS
from geosteer.timestamps import format_time
from support.dns_setup import backend_toml, document
from support.long import LONG
from support.plain_replies import plain
from support.servers import wait_until
from support.tiny import GEO, publish_tiny
from support.workers import VARIANTS, Worker, started

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.plain_replies import Plain
    from support.servers import RedisServer

ROUNDS = 60 if LONG else 12
QUESTIONS = 150
"""In each round, of a few clients, so that most come again."""
SERVICES = {
    "www.cdn.example.net": {"map": "default", "ttl": 60},
    "more.cdn.example.net": {"map": "default", "ttl": 30, "max_answers": 2},
    "cname.cdn.example.net": {"map": "default", "ttl": 60, "answer": "cname"},
    "asn.cdn.example.net": {"map": "asns", "ttl": 60},
    "tie.cdn.example.net": {"map": "tie", "ttl": 60},
    "near.cdn.example.net": {"map": "default", "policy": "nearest", "ttl": 60},
    "*.wild.cdn.example.net": {"map": "default", "ttl": 60},
}
MAPS = {
    "asns": {
        "order": ["asns", "countries"], "all_down": "all", "asns": {"AS64500": {"nyc1": 100}},
        "countries": {"GB": {"lon1": 100}}, "default": {"ams1": 100},
    },
    "tie": {"order": ["countries"], "all_down": "all", "countries": {}, "default": {"lon1": 100, "ams1": 100, "nyc1": 50}},
}  # fmt: skip
BGP = {"192.0.2.0/25": "AS64500", "198.51.100.0/24": "AS64501 AS64500", "2001:db8:a::/48": "AS64500"}
MORE_GEO = {
    **GEO, "8.0.0.0/9": "US", "8.8.8.0/24": "GB", "9.0.0.0/8": "NL", "2a00::/16": "GB", "2a00:1::/32": "NL",
    "2a00:1:2::/48": "FR", "2600::/12": "US", "1.0.0.0/8": "@EU",
}  # fmt: skip


@pytest.fixture
def config(redis_server: RedisServer, prefix: str, tmp_path: Path) -> Path:
    with redis_server.client() as client:
        publish(client, prefix, 1)
    path = backend_toml(tmp_path, redis_server, "timeout = 5000", prefix)
    with path.open("a") as file:
        file.write(f'\n[metrics]\nfolder = "{tmp_path}/metrics"\n')
    (tmp_path / "metrics").mkdir()
    return path


def publish(client: Any, prefix: str, generation: int) -> None:
    geo = dict(MORE_GEO)
    if generation % 2 == 0:
        geo |= {"8.8.0.0/16": "NL", "2a00:1::/32": "GB"}
    described = document(services=SERVICES, maps=MAPS)
    publish_tiny(client, prefix, described, {"geo": geo, "bgp": BGP}, generation=generation)


@pytest.fixture(params=VARIANTS)
def worker(request: pytest.FixtureRequest, config: Path) -> Iterator[Worker]:
    with started(config, request.param) as made:
        yield made


@pytest.fixture
def oracle(config: Path) -> Iterator[Plain]:
    with plain(config) as made:
        yield made


class Questions:
    """Lines as PowerDNS sends them, and some that it does not."""

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(seed)
        self._clients = [self._client() for _ in range(40)]

    def _client(self) -> str:
        dice = self._dice
        base = dice.choice(
            [
                "192.0.2.",
                "198.51.100.",
                "203.0.113.",
                "8.8.8.",
                "8.8.",
                "9.1.",
                "1.2.",
                "10.0.",
                "127.0.0.",
                "77.1.",
            ]
        )
        if dice.random() < 0.6:
            while base.count(".") < 3:
                base += f"{dice.randrange(256)}."
            return f"{base}{dice.randrange(256)}/{dice.choice([0, 1, 8, 9, 15, 16, 20, 24, 25, 31, 32, 33])}"
        base = dice.choice(
            [
                "2001:db8:a:",
                "2001:db8:b:",
                "2a00:",
                "2a00:1:",
                "2a00:1:2:",
                "2600:",
                "2002:808:",
                "fd00:",
                "::ffff:",
                "64:ff9b:",
            ]
        )
        size = dice.choice([0, 16, 32, 40, 47, 48, 56, 64, 96, 112, 120, 127, 128, 129])
        return f"{base.rstrip(':') + '::'}{dice.choice(['', '1', '8.8.8.8'])}/{size}"

    def line(self) -> bytes:
        dice = self._dice
        name = dice.choice(
            [
                *SERVICES,
                "a.wild.cdn.example.net",
                "WWW.cdn.Example.net",
                "cdn.example.net",
                "no.cdn.example.net",
            ]
        )
        qtype = dice.choice(["ANY"] * 12 + ["SOA", "NS", "A"])
        remote = dice.choice(["198.51.100.53", "2001:db8:b::53", "0.0.0.0"])
        words = ["Q", name, "IN", qtype, "-1", remote, "127.0.0.1", dice.choice(self._clients)]
        if dice.random() < 0.05:
            words[dice.randrange(8)] = dice.choice(
                ["", "x", "Q", "ANY", "192.0.2.0/24", "\r", "01.2.3.4/24", "1.2.3/24"]
            )
        if dice.random() < 0.03:
            del words[dice.randrange(8)]
        line = "\t".join(words).encode() + (b"\r" if dice.random() < 0.02 else b"")
        return dice.choice(
            [line] * 40 + [b"", b"PING", b"AXFR\t1", b"CMD\tx", b"\xff\xfe\t\0", b"Q", b"\t" * 7]
        )

    def stream(self) -> list[bytes]:
        """Questions, one by one as PowerDNS asks them, or several in one write, or in two."""
        lines = [self.line() + b"\n" for _ in range(QUESTIONS)]
        pieces: list[bytes] = []
        while lines:
            piece = b"".join(
                [lines.pop() for _ in range(min(len(lines), self._dice.choice([1] * 20 + [2, 5])))]
            )
            pieces.append(piece)
        return pieces


def exchange(worker: Worker, piece: bytes, expected: bytes, cut: int) -> None:
    """Ask, in two writes where *cut* is inside, and compare as many bytes as are expected."""
    if 0 < cut < len(piece):
        worker.send(piece[:cut])
    worker.send(piece[cut if 0 < cut < len(piece) else 0 :])
    assert worker.process.stdout is not None
    found, poller = b"", poll()
    poller.register(worker.process.stdout, POLLIN)
    while found != expected and expected.startswith(found):
        assert poller.poll(20_000), (piece, expected, found)
        found += os.read(worker.process.stdout.fileno(), 1 << 16)
    assert found == expected, piece


def change(client: Any, prefix: str, turn: int) -> None:
    """One after the other: a generation, a node down and up, overrides with and without an end, a share of the clients."""
    until = format_time(float(client.time()[0]) + 3600)
    key = "{" + prefix + "}"
    if turn % 6 == 0:
        publish(client, prefix, turn + 2)
    elif turn % 6 == 1:
        client.hset(f"{key}:node:lon1", mapping={"state": "down"})
    elif turn % 6 == 2:
        client.hset(f"{key}:override", "ams1", json.dumps({"state": "down", "until": until}))
    elif turn % 6 == 3:
        client.hset(f"{key}:node:lon1", mapping={"state": "up", "shed": "0.5"})
    elif turn % 6 == 4:
        client.hset(f"{key}:override", "ams1", json.dumps({"state": "drain", "percent": 40}))
    else:
        client.delete(f"{key}:override")


def test_replies_are_those_of_one_that_remembers_nothing(
    redis_server: RedisServer, prefix: str, config: Path, worker: Worker, oracle: Plain
) -> None:
    clients = [
        f"{base}.{number}.0/24"
        for base in ("192.0", "198.51", "8.8", "9.1", "77.1")
        for number in (2, 8, 100)
    ]
    probes = [worker.question(name, subnet=subnet) for name in SERVICES for subnet in clients]

    def caught_up() -> bool:
        for line in probes:
            worker.send(line)
            if b"\n".join(worker.reply()) + b"\n" != oracle.answer(line[:-1]):
                return False
        return True

    with redis_server.client() as client:
        for turn in range(ROUNDS):
            wait_until(caught_up)
            asking = Questions(turn)
            for piece in asking.stream():
                exchange(worker, piece, oracle.answers(piece), turn % 3 * len(piece) // 3)
            change(client, prefix, turn)


def test_counters_are_those_of_one_that_remembers_nothing(
    config: Path, worker: Worker, oracle: Plain
) -> None:
    """Each question under zone, service, tier, node and layer; the time is taken of fewer."""
    for piece in Questions(7).stream() + Questions(7).stream():
        exchange(worker, piece, oracle.answers(piece), 0)
    raw = (config.parent / "metrics" / "pdns" / "0.counters").read_bytes()
    cells = memoryview(raw[: 4096 * 8]).cast("Q")
    lines = raw[4096 * 8 :].decode().split("\n")[: cells[KEYS]]
    plainly = oracle._counters
    expected = {"\t".join(key): plainly.cells[slot] for key, slot in plainly._slots.items()}
    assert dict(zip(lines, cells[FIRST_KEY:], strict=False)) == expected
    assert sum(expected.values()) > QUESTIONS
    assert sum(cells[BUCKETS : BUCKETS + 8]) < sum(expected.values())


def test_an_answer_goes_with_the_override_that_it_came_from(
    redis_server: RedisServer, prefix: str, config: Path, worker: Worker
) -> None:
    """Nobody says anything at the end of an override: what is remembered may last no longer."""
    del config
    www = "www.cdn.example.net"
    ask = [worker.question(www, subnet=f"192.0.2.{number}/32") for number in range(8)]

    def content() -> set[str]:
        found = set()
        for line in ask:
            worker.send(line)
            found |= {row.split(b"\t")[-1].decode() for row in worker.reply() if b"\tA\t" in row}
        return found

    with redis_server.client() as client:
        key = "{" + prefix + "}:override"
        client.hset(key, "lon1", json.dumps({"state": "down"}))
        wait_until(lambda: content() == {"192.0.2.2"})
        end = format_time(float(client.time()[0]) + 2)
        client.hset(key, "lon1", json.dumps({"state": "down", "until": end}))
        wait_until(lambda: content() == {"192.0.2.1"})


def test_draws_are_drawn_each_time(redis_server: RedisServer, prefix: str, tmp_path: Path) -> None:
    services = {"www.cdn.example.net": {"map": "tie", "policy": "weighted", "ttl": 60}}
    with redis_server.client() as client:
        publish_tiny(client, prefix, document(services=services, maps=MAPS))
    with Worker(backend_toml(tmp_path, redis_server, "timeout = 5000", prefix)) as worker:
        given = {worker.address("www.cdn.example.net", "192.0.2.0/24") for _ in range(100)}
    assert len(given) == 3

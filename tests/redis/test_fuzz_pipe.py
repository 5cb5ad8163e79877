"""geosteer-pipe under hostile input: a worker process that is asked anything, and floods of names and of client networks."""

from __future__ import annotations

import os
import random
from contextlib import contextmanager
from ipaddress import IPv4Address
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from faults.scene import NETWORKS, Scene, network
from geosteer.powerdns.logged import LoggedResponder
from geosteer.powerdns.responder import Responder
from geosteer.process import below, ticket
from geosteer.settings import load
from geosteer.sync.tier import Tier
from support.dns_setup import backend_toml
from support.pipe_replies import check_reply
from support.servers import RedisServer, wait_until
from support.tiny import publish_tiny
from support.workers import Worker

if TYPE_CHECKING:
    from collections.abc import Iterator

LONG = bool(os.environ.get("GEOSTEER_LONG"))
LINES = 1_000_000 if LONG else 50_000
WWW = "www.cdn.example.net"
GOOD = b"\t".join((b"Q", WWW.encode(), b"IN", b"ANY", b"-1", b"198.51.100.53", b"127.0.0.1", b"192.0.2.0/24"))
BATCH = 200
CORPUS = Path(__file__).parents[1] / "corpus" / "pipe"


@pytest.fixture
def config(redis_server: RedisServer, prefix: str, tmp_path: Path) -> Path:
    with redis_server.client() as client:
        publish_tiny(client, prefix)
    return backend_toml(tmp_path, redis_server, "timeout = 2000", prefix)


def memory(pid: int) -> int:
    """Bytes that a process holds (PSS)."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise LookupError(pid)


def descriptors(pid: int) -> int:
    """File descriptors that a process has open."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


class Lines:
    """Lines as nobody should send them."""

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(seed)

    def __call__(self) -> bytes:
        """One line, without its end."""
        dice = self._dice
        return dice.choice(
            (self._noise, self._cut, self._changed, self._names, self._subnets, self._bytes, self._words)
        )()

    def _noise(self) -> bytes:
        return self._dice.randbytes(self._dice.choice((1, 5, 60, 300))).replace(b"\n", b"")

    def _cut(self) -> bytes:
        return GOOD[: self._dice.randrange(len(GOOD))]

    def _changed(self) -> bytes:
        fields = GOOD.split(b"\t")
        odd = (
            b"",
            b" ",
            b"\0",
            b"-1",
            b"\xff\xfe",
            b"x" * 2000,
            b"ANY",
            b"SOA",
            b"NS",
            b"AXFR",
            b"A",
            b"0.0.0.0",
            b"::1",
            b"%s%n",
            b"\\",
        )
        for _ in range(self._dice.randrange(1, 4)):
            fields[self._dice.randrange(len(fields))] = self._dice.choice(odd)
        return b"\t".join(fields)

    def _names(self) -> bytes:
        dice = self._dice
        labels = [
            dice.choice(
                (
                    b"www",
                    b"a" * 63,
                    b"a" * 64,
                    b"*",
                    b"",
                    b"\\009",
                    b"\\.",
                    b"_",
                    b"_geosteer",
                    b"WwW",
                    b"\xc3\xa9",
                    b"-",
                    dice.randbytes(9),
                )
            )
            for _ in range(dice.randrange(12))
        ]
        name = b".".join([*labels, b"cdn.example.net"]).replace(b"\n", b"").replace(b"\t", b"")
        return GOOD.replace(WWW.encode(), name)

    def _subnets(self) -> bytes:
        some = self._dice.randrange
        text = self._dice.choice(
            (
                f"{some(999)}.{some(300)}.1.2/{some(-3, 200)}", f"::ffff:1.2.3.4/{some(300)}", "1.2.3.4", "/", "0/0", "::/0",
                f"2001:0:{some(70000):x}::/{some(150)}", f"{some(1 << 40)}/24", "fe80::1%eth0/64", "0x7f.1/8", "1.2.3.4/1e1",
                "1.2.3.4/ 8", "64:ff9b::1.2.3.4/96", "2002:102:304::/48", "１.2.3.4/24",
            )
        )  # fmt: skip
        return GOOD.replace(b"192.0.2.0/24", text.encode())

    def _bytes(self) -> bytes:
        line = bytearray(GOOD)
        for _ in range(self._dice.randrange(1, 6)):
            line[self._dice.randrange(len(line))] = self._dice.randrange(256)
        return bytes(line).replace(b"\n", b"")

    def _words(self) -> bytes:
        dice = self._dice
        return dice.choice(
            (
                b"AXFR\t1",
                b"AXFR\t-1\tx",
                b"CMD\tstatus",
                b"CMD\t\xff",
                b"PING",
                b"HELO\tx",
                b"HELO",
                b"HELO\t",
                b"END",
                b"Q",
                b"\r",
            )
        )


def taken(worker: Worker) -> bytes:
    """The last line of the next reply."""
    return worker.reply()[-1]


def test_any_lines_get_one_reply_each_and_leave_nothing_behind(config: Path) -> None:
    dice, lines = random.Random(7), Lines(7)
    right = {
        b"192.0.2.0/24": "192.0.2.1",
        b"198.51.100.0/24": "192.0.2.2",
        b"203.0.113.9/32": "192.0.2.2",
        b"8.8.8.0/24": "192.0.2.3",
    }
    with Worker(config) as worker:
        assert worker.address(WWW, "192.0.2.0/24") == "192.0.2.1"
        warm = (0, 0)
        for done in range(0, LINES, BATCH):
            many = [lines() for _ in range(BATCH)]
            worker.send(b"".join(line + b"\n" for line in many))
            for line in many:
                assert taken(worker) in {b"END", b"FAIL"}, line
            net = dice.choice(list(right))
            assert worker.address(WWW, net.decode()) == right[net]
            if done == LINES // 4 // BATCH * BATCH:
                warm = memory(worker.pid), descriptors(worker.pid)
        assert memory(worker.pid) < warm[0] + (2 << 20)
        assert descriptors(worker.pid) == warm[1]
        log = worker.close()
    assert b"Traceback" not in log


WATCHED = '---[debug]\nnetworks = ["0.0.0.0/0", "::/0"]\n[log]\nsample = 0.5\nfile = "decisions.log"\n'
"""Settings by which everybody is told why, and half of all decisions is logged."""


@pytest.fixture(scope="module")
def responder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Responder]:
    with answering(Responder, tmp_path_factory.mktemp("fuzz"), "timeout = 5000") as made:
        yield made


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Responder]:
    with answering(LoggedResponder, tmp_path_factory.mktemp("fuzz"), f"timeout = 5000\n{WATCHED}") as made:
        yield made


@contextmanager
def answering(kind: type[Responder], folder: Path, more: str) -> Iterator[Responder]:
    """A responder of that kind, once it is live."""
    with RedisServer() as server, server.client() as client:
        publish_tiny(client, "geosteer")
        tier = Tier(load(str(backend_toml(folder, server, more))), below)
        tier.start()
        tier.wait(tier._clock(), lambda: tier.name == "live")
        made = kind(tier, below, ticket, refuse)
        made.refresh()
        yield made
        tier.close()


def refuse(line: str) -> None:
    """Whatever is logged was not foreseen."""
    raise AssertionError(line)


FIELD = st.one_of(
    st.binary(max_size=80).map(lambda raw: raw.replace(b"\n", b"").replace(b"\t", b"")),
    st.sampled_from(GOOD.split(b"\t")),
    st.ip_addresses().map(lambda ip: f"{ip}".encode()),
    st.builds(lambda ip, size: f"{ip}/{size}".encode(), st.ip_addresses(), st.integers(-1, 130)),
    st.from_regex(rb"\A[a-z0-9*._\\-]{0,60}\.cdn\.example\.net\Z"),
    st.sampled_from((b"SOA", b"NS", b"ANY", b"A", b"AAAA", b"TXT")),
)


@settings(max_examples=3000 if LONG else 400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(FIELD, min_size=6, max_size=9), st.integers(0, 5))
def test_any_fields_make_a_whole_reply(responder: Responder, fields: list[bytes], abi: int) -> None:
    if fields[0][:4] != b"HELO":
        fields[0] = b"Q"
    check_reply(responder.reply(b"\t".join(fields[:8]), 0.0))
    del abi


DEBUG_NAME = st.from_regex(rb"\A([a-z0-9*._\\-]{1,9}\.)?_geosteer\.(www\.|cname\.|\*\.)?cdn\.example\.net\Z")


@settings(max_examples=3000 if LONG else 100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(FIELD, min_size=5, max_size=6), st.one_of(DEBUG_NAME, FIELD), st.booleans())
def test_so_does_a_worker_that_is_watched(
    watched: Responder, fields: list[bytes], name: bytes, is_good: bool
) -> None:
    words = GOOD.split(b"\t") if is_good else [b"Q", name, *fields]
    words[1] = name
    check_reply(watched.reply(b"\t".join(words[:8]), 0.0))


@pytest.mark.parametrize("path", sorted(CORPUS.glob("*")), ids=lambda path: path.name)
def test_what_once_was_hard_is_answered(responder: Responder, path: Path) -> None:
    for line in path.read_bytes().split(b"\n"):
        reply = responder.reply(line, 0.0)
        if not reply.startswith(b"OK\t") and not line.startswith(b"CMD"):
            check_reply(reply)
        responder.reply(b"HELO\t3", 0.0)
        responder.refresh()


def asked(server: RedisServer) -> int:
    """Commands that were carried out, but for PING and what this test asks."""
    with server.client() as client:
        stats = client.info("commandstats")
    return sum(
        stats[f"cmdstat_{name}"]["calls"]
        for name in ("hget", "hmget", "hgetall")
        if f"cmdstat_{name}" in stats
    )


def test_a_flood_of_random_names_asks_nothing_of_redis_and_takes_no_memory(
    own_redis: RedisServer, tmp_path: Path
) -> None:
    count = 200_000 if LONG else 20_000
    with own_redis.client() as client:
        publish_tiny(client, "geosteer")
    with Worker(backend_toml(tmp_path, own_redis)) as worker:
        wait_until(lambda: worker.ask(WWW, subnet="192.0.2.0/24") != [["FAIL"]])
        flood(worker, (f"x{number}.cdn.example.net" for number in range(2000)))
        before, commands = memory(worker.pid), asked(own_redis)
        flood(worker, (f"{number:x}.{number % 97}.cdn.example.net" for number in range(count)))
        assert asked(own_redis) == commands
        assert memory(worker.pid) < before + (1 << 20)


def flood(worker: Worker, names: Iterator[str]) -> None:
    """Ask for names that are not there, as PowerDNS would."""
    batch = []
    for name in names:
        batch += [worker.question(name, kind) for kind in ("SOA", "NS", "ANY")]
        if len(batch) > 200:
            worker.send(b"".join(batch))
            assert all(worker.reply() == [b"END"] for _ in batch)
            batch = []


def test_a_flood_of_client_networks_asks_nothing_of_redis_once_the_table_is_cached(
    tmp_path: Path,
) -> None:
    count = 400_000 if LONG else 30_000
    dice = random.Random(5)
    scene = Scene(tmp_path)
    with scene.redis as server:
        scene.publish()
        with Worker(backend_toml(tmp_path, server, "timeout = 2000")) as worker:
            wait_until(lambda: worker.ask(WWW, subnet=network(0)) != [["FAIL"]])

            def ask(many: int) -> None:
                for _ in range(many // 200):
                    batch = [worker.question(WWW, subnet=anywhere(dice)) for _ in range(200)]
                    worker.send(b"".join(batch))
                    assert all(worker.reply()[-1] == b"END" for _ in batch)

            for number in range(0, NETWORKS, 8):
                worker.ask(WWW, subnet=network(number))
            for bit in range(32):  # all around the table
                for base in ("11.0.0.0", "11.8.0.0"):
                    worker.ask(WWW, subnet=str(IPv4Address(int(IPv4Address(base)) ^ (1 << bit))) + "/32")
            ask(20_000)
            before, start = memory(worker.pid), asked(server)
            ask(count)
            assert asked(server) == start
            assert memory(worker.pid) < before + (2 << 20)


def anywhere(dice: random.Random) -> str:
    """A client's network: in the table, outside of it, of IPv6, of any length."""
    some = dice.randrange
    return dice.choice(
        (
            f"11.{some(8)}.{some(256)}.{some(256)}/{some(20, 33)}",
            f"{some(256)}.{some(256)}.{some(256)}.0/24",
            f"{some(0x2000, 0x4000):x}:{some(65536):x}:{some(65536):x}::/{some(20, 129)}",
        )
    )

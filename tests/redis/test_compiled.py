"""The part of the worker's loop that is in C answers as Python does, byte by byte, or leaves the question to Python."""

from __future__ import annotations

import ipaddress
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from select import POLLIN, poll
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from geosteer.counters.counters import HITS, Counters
from geosteer.decision.client import FLOORS
from geosteer.keys import FAMILIES, Keys, root_field
from geosteer.powerdns import compiled
from geosteer.powerdns.protocol import LONGEST
from geosteer.powerdns.responder import Responder
from geosteer.process import below, ticket
from geosteer.settings import load
from geosteer.sync.tier import Tier
from geosteer.tables import page_builder
from geosteer.zones import Names
from support.dns_setup import backend_toml, document
from support.long import LONG
from support.plain_replies import Plain, plain
from support.servers import RedisServer, wait_until
from support.tiny import publish_tiny
from support.workers import COMPILED, EXTENSION, SWITCH, VARIANTS, Worker, has_compiled, started

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(not EXTENSION.exists(), reason="the part in C was not built")
WWW = "www.cdn.example.net"
NAMES = [WWW, "other.cdn.example.net", "*.wild.cdn.example.net"]
SERVICES = {name: {"map": "default", "ttl": 60} for name in NAMES}
RECORDS = ["GB", "NL", "FR", "US", "@EU", "US-CA 37.75 -122.42", "", "JP"]
GOOD = b"Q\twww.cdn.example.net\tIN\tANY\t1\t198.51.100.53\t127.0.0.1\t8.8.8.0/24\n"


def publish(client: Any, prefix: str, ranges: int) -> None:
    """A table of so many ranges of each family: enough leaves that they are found by the first half of an address."""
    dice = random.Random(ranges)
    fields = publish_tiny(client, prefix, document(services=SERVICES), {})
    keys = Keys(prefix)
    for bits in FAMILIES.values():
        spread = (0x01000000, 0xDFFFFF00, 8) if bits == 32 else (0x2000 << 112, 0x2A10 << 112, 80)
        starts = sorted({0, *(dice.randrange(*spread[:2]) >> spread[2] << spread[2] for _ in range(ranges))})
        records, last = [], ""
        for _ in starts:
            last = dice.choice([record for record in RECORDS if record != last])
            records.append(last)
        built = page_builder.build(bits, starts, records)
        client.hset(keys.object, mapping={name.hex(): page for name, page in built.pages.items()})
        fields[root_field("geo", bits)] = built.root.hex()
    client.hset(keys.current, mapping={**fields, "generation": "2"})


@contextmanager
def settled(prefix: str, folder: Path, server: RedisServer, ranges: int, more: str = "") -> Iterator[Path]:
    with server.client() as client:
        publish(client, prefix, ranges)
    yield backend_toml(folder, server, f"timeout = 5000\n{more}", prefix)


class Pair:
    """A responder that tells C what it knows, and one that remembers nothing."""

    def __init__(self, config: Path, oracle: Plain, *, cut: bool = False) -> None:
        """*cut*: leaves are cut, as those are that were there before the part in C was."""
        self.counters = Counters("pdns")
        self._tier = Tier(load(str(config)), below, writes=False, counters=self.counters)
        self._tier.start()
        self._tier.wait(self._tier._clock(), lambda: self._tier.name == "live")
        self.responder = Responder(self._tier, below, ticket, lambda _: None)
        self.responder.refresh()
        made = compiled.load(self.counters)
        assert made is not None
        self.answerer, self._oracle = made, oracle
        self.responder.accelerate(made)
        self._tier._follower.leaves.cache.cut = cut

    def ask(self, data: bytes) -> bool:
        """Ask C, compare what it has with what is right, and have it learn; whether it had anything."""
        found = self.answerer.find(data)
        expected = self._oracle.answer(data[:-1]) if data.count(b"\n") == 1 and data.endswith(b"\n") else None
        if found is not None:
            assert found[0] == expected, data
        if expected is not None:
            got = self.responder.quickly(data)
            assert got is None or got[0] == expected, data
            assert found is None or found == got, data
            if got is None:
                assert self.responder.reply(data[:-1], self._tier._clock()) == expected, data
        return found is not None

    def close(self) -> None:
        self._tier.close()


@pytest.fixture(scope="module", params=[False, True], ids=["uncut", "cut"])
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with (
        RedisServer() as server,
        settled("geosteer", tmp_path_factory.mktemp("pair"), server, 30_000) as config,
        plain(config) as oracle,
    ):
        made = Pair(config, oracle, cut=request.param)
        yield made
        made.close()


def line(subnet: str, name: str = WWW, qtype: str = "ANY") -> bytes:
    return f"Q\t{name}\tIN\t{qtype}\t1\t198.51.100.53\t127.0.0.1\t{subnet}\n".encode()


EDGES = [
    "2001::/32", "2000:ffff::/32", "2001:1::/32", "2002::/16", "2001:ffff::/32", "2003::/16", "3fff::/16", "1fff::/16",
    "4000::/16", "2000::/3", "2000::/128", "126.0.0.0/8", "127.0.0.0/8", "128.0.0.0/1", "192.167.0.0/16", "192.169.0.0/16",
    "223.255.255.255/32", "1.0.0.0/32", "1.2.3.4/0", "1.2.3.4/33", "1.2.3.4/024", "01.2.3.4/24", "1.2.3.4.5/24", "1.2.3/24",
    "256.2.3.4/24", "1.2.3.4/", "1.2.3.4", "/24", "1.2.3.4/24/24", "1.2.3.4/-1", "1.2.3.4/24\r", "::ffff:8.8.8.8/128",
    "2a00::8.8.8.8/128", "2A00::/24", "2a00::/129", "2a00:::/24", "2a00::1::/24", "64:ff9b::808:808/128", "2a00::%eth0/64",
    "1:2:3:4:5:6:7:8/64", "2001:2:3:4:5:6:7:8:9/64", "20000::/16",
]  # fmt: skip


@pytest.mark.parametrize("subnet", EDGES)
def test_networks_at_edges_have_the_reply_of_python(pair: Pair, subnet: str) -> None:
    for _ in range(3):
        pair.ask(line(subnet))
    pair.ask(line(subnet, WWW.upper()))


ADDRESS4 = st.integers(0, 2**32 - 1).map(lambda number: str(ipaddress.IPv4Address(number)))
ADDRESS6 = st.one_of(
    st.integers(0x2000 << 112, 0x4000 << 112), st.integers(0, 2**128 - 1), st.integers(0x20000000 << 96, 0x20030000 << 96)
).map(lambda number: str(ipaddress.IPv6Address(number)))  # fmt: skip
SUBNET = st.one_of(
    st.builds(lambda ip, size: f"{ip}/{size}", ADDRESS4, st.integers(0, 33)),
    st.builds(lambda ip, size: f"{ip}/{size}", ADDRESS6, st.integers(0, 129)),
)


@settings(max_examples=5000 if LONG else 200)
@given(SUBNET, st.sampled_from([*NAMES, WWW.title(), "no.cdn.example.net"]))
def test_any_network_has_the_reply_of_python(pair: Pair, subnet: str, name: str) -> None:
    pair.ask(line(subnet, name))
    pair.ask(line(subnet, name))
    pair.ask(line(subnet, name))


CHANGE = st.tuples(
    st.sampled_from(["flip", "cut", "double", "put", "end"]), st.integers(0, 120),
    st.one_of(st.binary(max_size=3), st.sampled_from([b"\t", b"\n", b"\0", b"/", b"\r", b"Q", b"ANY\t", b":"])),
)  # fmt: skip


def changed(data: bytes, change: tuple[str, int, bytes]) -> bytes:
    how, at, put = change
    at %= len(data) + 1
    if how == "flip":
        return (
            data[:at] + bytes([data[at] ^ (put[0] if put else 1)]) + data[at + 1 :]
            if at < len(data)
            else data
        )
    if how == "cut":
        return data[:at] + data[at + 1 + len(put) :]
    if how == "double":
        return data[:at] + data[at - 5 if at > 5 else 0 :]
    return data[:at] + put + data[at:] if how == "put" else data[:at]


@settings(max_examples=20_000 if LONG else 300)
@example(b"Q\t\n", [])
@example(GOOD[:-1] + b"\n\n", [])
@example(GOOD.replace(b"IN", b"I\nN"), [])
@example(GOOD.replace(b"\tIN\t", b"\tIN\tANY\t"), [])
@given(
    st.sampled_from([GOOD, line("2a00:1::/32"), line("9.9.9.0/24", WWW.upper()), b"PING\n", b"AXFR\t1\n"]),
    st.lists(CHANGE, max_size=4),
)
def test_damaged_questions_have_the_reply_of_python_or_none(
    pair: Pair, data: bytes, changes: list[tuple[str, int, bytes]]
) -> None:
    for one in changes:
        data = changed(data, one)
    if data:
        pair.ask(data)
        pair.ask(data)


def test_most_questions_are_answered_in_c_after_a_while_from_leaves_that_come_and_go(
    tmp_path: Path, redis_server: RedisServer, prefix: str
) -> None:
    """With room for few leaves as well: the ones that went are asked for again, by Python."""
    dice = random.Random(5)
    with (
        settled(prefix, tmp_path, redis_server, 30_000, "cache = 500000") as config,
        plain(config) as oracle,
    ):
        pair = Pair(config, oracle)
        near = [dice.randrange(0x01000000, 0xDF000000) for _ in range(20)]
        answered = 0
        for turn in range(1500):
            network = (
                dice.choice(near) ^ dice.randrange(1 << 12)
                if turn % 3
                else dice.randrange(0x01000000, 0xDF000000)
            )
            answered += pair.ask(line(f"{ipaddress.IPv4Address(network)}/24", dice.choice(NAMES)))
        assert answered > 100, answered
        assert pair.counters.cells[HITS] > 0
        pair.close()


def test_after_a_change_of_node_states_the_first_answer_comes_from_c(
    tmp_path: Path, redis_server: RedisServer, prefix: str
) -> None:
    dice = random.Random(7)
    keys = Keys(prefix)
    states = [
        {"state": "down"},
        {"state": "up"},
        {"state": "up", "failing": "yes"},
        {"state": "up", "shed": "0.5"},
    ]
    overrides = ['{"state": "down"}', '{"state": "up"}', '{"state": "drain", "percent": 40}', None]
    asked = [
        line(subnet, name) for name in NAMES[:2] for subnet in ("8.8.8.0/24", "9.9.9.0/24", "2a00:1::/48")
    ]
    with (
        settled(prefix, tmp_path, redis_server, 300) as config,
        plain(config) as oracle,
        redis_server.client() as client,
    ):
        pair = Pair(config, oracle)
        followers, answered = (pair._tier, oracle._tier), 0
        for turn in range(60):
            for data in asked:
                pair.ask(data)
            node = dice.choice(("lon1", "ams1", "nyc1"))
            if turn % 2:
                override = dice.choice(overrides)
                if override is None:
                    client.hdel(keys.override, node)
                else:
                    client.hset(keys.override, node, override)
            else:
                client.hset(keys.node(node), mapping={"failing": "no", "shed": "0", **dice.choice(states)})
            for tier in followers:
                wait_until(lambda: holds(tier, client, keys))  # noqa: B023
            if pair.responder.decider.outdated(pair._tier._clock()):
                pair.responder.refresh()
            answered += sum(pair.answerer.find(data) is not None for data in asked)
            for data in asked:
                pair.ask(data)
        # the others: some node keeps a part of its clients, or all are down
        assert answered > 100, answered
        pair.close()


def test_the_first_change_finds_its_replies_made(
    tmp_path: Path, redis_server: RedisServer, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All workers of a host hear of it at once: what can be made before is made while nothing is asked."""
    keys = Keys(prefix)
    asked = [line(subnet) for subnet in ("8.8.8.0/24", "9.9.9.0/24", "80.1.1.0/24", "2a00:1::/48")]
    made: list[object] = []
    answered = 0
    template = Names.template

    def counted(names: Names, *given: Any) -> tuple[bytes, int]:
        made.append(given)
        return template(names, *given)

    with (
        settled(prefix, tmp_path, redis_server, 300) as config,
        plain(config) as oracle,
        redis_server.client() as client,
    ):
        for node in ("lon1", "ams1", "nyc1"):
            pair = Pair(config, oracle)
            for data in asked:
                pair.ask(data)
            pair.responder.prepare(time.monotonic() + 60)
            client.hset(keys.node(node), "state", "down")
            for tier in (pair._tier, oracle._tier):
                wait_until(lambda: holds(tier, client, keys))  # noqa: B023
            pair.responder.refresh()
            with monkeypatch.context() as patch:
                patch.setattr(Names, "template", counted)
                replies = [pair.answerer.find(data) for data in asked]
            assert not made
            for data, reply in zip(asked, replies, strict=True):
                answered += reply is not None
                assert reply is None or reply[0] == oracle.answer(data[:-1])
            client.hset(keys.node(node), "state", "up")
            pair.close()
            wait_until(lambda: holds(oracle._tier, client, keys))
    assert answered > 5, answered  # the others: a hash of the network has a say between two nodes


def test_what_c_knows_of_a_record_stays_where_tables_alone_change_and_nothing_else(
    tmp_path: Path, redis_server: RedisServer, prefix: str
) -> None:
    dice = random.Random(11)
    keys = Keys(prefix)
    places = [f"{first}.1.0.0/16" for first in range(60, 76)] + [f"2a00:{last}::/32" for last in range(1, 9)]
    asked = [line(place, name) for name in (*NAMES[:2], "cdn.example.net") for place in places]
    brief = {name: {**service, "ttl": 5} for name, service in SERVICES.items()}
    apex = {"map": "default", "ttl": 60}
    services: list[dict[str, Any]] = [
        SERVICES, brief, dict(list(SERVICES.items())[1:]), dict(reversed(SERVICES.items())),
        {**SERVICES, "cdn.example.net": apex}, {"cdn.example.net": apex, **SERVICES},
    ]  # fmt: skip
    kept = 0

    def flip(generation: int) -> None:
        tables = {"geo": {place: dice.choice(RECORDS) or "GB" for place in places}}
        publish_tiny(client, prefix, document(services=chosen), tables, generation=generation)
        for tier in (pair._tier, oracle._tier) if generation > 1 else ():
            wait_until(lambda: holds(tier, client, keys) and stands(tier, str(generation)))  # noqa: B023

    with redis_server.client() as client:
        chosen = SERVICES
        flip(1)
        config = backend_toml(tmp_path, redis_server, "timeout = 5000", prefix)
        with plain(config) as oracle:
            pair = Pair(config, oracle)
            for generation in range(2, 32):
                for data in asked * 2:
                    pair.ask(data)
                before, state = chosen, pair._tier.mirror.fields["lon1"]
                if dice.random() < 0.3:
                    chosen = dice.choice(services)
                if dice.random() < 0.2:
                    client.hset(keys.node("lon1"), "state", dice.choice(("up", "down")))
                flip(generation)
                pair.responder.refresh()
                pair.answerer.set_again(lambda *_: False)
                known = sum(pair.answerer.find(data) is not None for data in asked)
                pair.answerer.set_again(pair.responder._again)
                for data in asked:
                    pair.ask(data)
                alone = chosen is before and state == pair._tier.mirror.fields["lon1"]
                if not alone or "cdn.example.net" in chosen:  # the serial is in what an apex gives
                    assert not known
                kept += known
            pair.close()
    assert kept > 100, kept


def test_services_in_another_order_or_number_have_nothing_of_the_ones_before(
    tmp_path: Path, redis_server: RedisServer, prefix: str
) -> None:
    with settled(prefix, tmp_path, redis_server, 300) as config, plain(config) as oracle:
        pair = Pair(config, oracle)
        quick = pair.responder._quick
        listed: list[Any] = []
        for name in NAMES[:2]:
            _, v4, v6, _ = quick[name.encode()]
            listed.append((name.encode(), v4.lists(), v6.lists()))
        pair.responder._numbered = NAMES[:2]
        others = [listed[::-1], listed[:1], [*listed, (b"more.example.net", *listed[0][1:])], []]
        for services in (listed, *others):
            pair.answerer.set_services(listed)
            pair.answerer.set_again(pair.responder._again)
            for name in NAMES[:2] * 3:
                pair.ask(line("8.8.8.0/24", name))
            pair.answerer.set_again(lambda *_: False)
            assert pair.answerer.find(GOOD) is not None
            pair.answerer.set_services(services)
            assert (pair.answerer.find(GOOD) is not None) == (services is listed)
        pair.close()


def stands(tier: Tier, number: str) -> bool:
    """Whether the generation of that number is in force."""
    return tier.generation is not None and tier.generation.number == number


def holds(tier: Tier, client: Any, keys: Keys) -> bool:
    """Whether a tier has taken in what stands in Redis."""

    def stands(key: str) -> dict[str, str]:
        return {field.decode(): text.decode() for field, text in client.hgetall(key).items()}

    tier.tick()
    tier.wait(0.0, lambda: False)
    if tier.unsettled or tier.mirror.overrides != stands(keys.override):
        return False
    return all(fields == stands(keys.node(node)) for node, fields in tier.mirror.fields.items())


def test_services_and_leaves_of_another_shape_are_left_to_python() -> None:
    """What another version of the rest may hold is no error: it is answered in Python."""
    counters = Counters("pdns")
    made = compiled.load(counters)
    assert made is not None

    class Odd:
        cells, starts, index = [("GB", 24)], "text", b"\0"

    for slots, starts in (
        ([Odd()], [0]),
        ([None], memoryview(b"\0" * 4).cast("I")),
        ([Odd()], memoryview(b"\0" * 4).cast("I")),
    ):
        made.set_services([(b"www.cdn.example.net", (slots, starts, None), None)])
        made.learn(0, "GB", 24, b"END\n", 64)
        assert made.find(GOOD) is None
    made.learn(9, "GB", 24, b"END\n", 64)
    made.learn(0, "GB", 24, b"END\n", 1 << 20)
    for bad in ([1], [(1, 2, 3)], [(b"a", 1, None)], (), [(b"a", (1,), None)]):
        with pytest.raises(TypeError):
            made.set_services(bad)  # type: ignore[arg-type]
        assert made.find(GOOD) is None
    with pytest.raises((ValueError, BufferError)):
        type(made)(memoryview(bytearray(64)), HITS, bytes(FLOORS))
    with pytest.raises(BufferError):
        type(made)(memoryview(bytes(4096)).cast("Q"), HITS, bytes(FLOORS))


def test_a_memory_of_replies_that_is_full_begins_anew() -> None:
    made = compiled.load(Counters("pdns"))
    assert made is not None
    made.set_services([(b"www", None, None)])
    for number in range(40_000):
        made.learn(0, f"{number}", 24, b"END\n", 64)
    made.clear()
    made.clear()


@pytest.fixture
def config(redis_server: RedisServer, prefix: str, tmp_path: Path) -> Iterator[Path]:
    with settled(prefix, tmp_path, redis_server, 3000) as made:
        yield made


def read(worker: Worker, size: int) -> bytes:
    assert worker.process.stdout is not None
    found, poller = b"", poll()
    poller.register(worker.process.stdout, POLLIN)
    while len(found) < size and poller.poll(20_000):
        piece = os.read(worker.process.stdout.fileno(), 1 << 16)
        if not piece:
            break
        found += piece
    return found


@pytest.mark.parametrize("abi", [1, 2, 3, 4, 5])
def test_a_stream_in_any_pieces_gets_the_same_bytes(config: Path, abi: int) -> None:
    """Words that are no questions, lines too long, questions in one write or cut in two: PowerDNS does none of it."""
    dice = random.Random(abi)
    replies = []
    for variant in VARIANTS:
        asked = random.Random(abi)
        with started(config, variant, abi=abi) as worker:
            got = b""
            for turn in range(150):
                subnet = f"{asked.randrange(1, 200)}.{asked.randrange(4)}.0.0/{asked.choice([16, 24, 32])}"
                data = worker.question(asked.choice(NAMES), subnet=subnet)
                data = asked.choice(
                    [data] * 8
                    + [b"PING\n", b"AXFR\t1\n", b"\n", b"\xff\t\n", data + data, b"x" * 70_000 + b"\n"]
                )
                cut = asked.randrange(len(data)) if turn % 5 == 0 else 0
                if cut:
                    worker.send(data[:cut])
                    time.sleep(0.002)
                worker.send(data[cut:])
                for _ in range(data.count(b"\n")):
                    got += b"\n".join(worker.reply()) + b"\n"
            worker.send(b"x" * (LONGEST + 10) + b"\n" + data)
            got += b"\n".join(worker.reply()) + b"\n"
            worker.send(b"Q\thalf a line")
            replies.append(got)
    assert replies[0] == replies[1]
    assert replies[0].count(b"DATA") > 100
    del dice


@pytest.mark.parametrize("variant", VARIANTS)
def test_it_ends_when_powerdns_is_gone(config: Path, variant: str) -> None:
    with started(config, variant) as worker:
        for _ in range(3):
            worker.ask(WWW, subnet="8.8.8.0/24")
        assert worker.process.stdout is not None
        worker.process.stdout.close()
        worker.send(worker.question(WWW, subnet="8.8.8.0/24"))
        wait_until(lambda: worker.process.poll() is not None)
        assert worker.process.returncode == 0
        worker.process.stdout = None


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_reply_waits_for_room_and_comes_whole(config: Path, variant: str) -> None:
    """A pipe of one page, and questions whose replies nobody reads for a while."""
    import fcntl

    with started(config, variant) as worker:
        assert worker.process.stdout is not None
        fcntl.fcntl(worker.process.stdout.fileno(), fcntl.F_SETPIPE_SZ, 4096)
        worker.send(worker.question(WWW, subnet="8.8.8.0/24"))
        expected = b"\n".join(worker.reply()) + b"\n"
        for _ in range(3):
            worker.ask(WWW, subnet="8.8.8.0/24")
        count = 200
        for _ in range(count):
            worker.send(worker.question(WWW, subnet="8.8.8.0/24"))
        assert read(worker, count * len(expected)) == expected * count


def test_signals_between_questions_are_taken(config: Path) -> None:
    """SIGTERM is ignored, SIGHUP starts the program anew in place, and what is asked then is answered in C again."""
    with started(config, COMPILED) as worker:
        expected = worker.ask(WWW, subnet="8.8.8.0/24")
        for _ in range(3):
            assert worker.ask(WWW, subnet="8.8.8.0/24") == expected
        worker.process.send_signal(signal.SIGTERM)
        assert worker.ask(WWW, subnet="8.8.8.0/24") == expected
        worker.process.send_signal(signal.SIGHUP)
        assert worker.process.stderr is not None
        assert b"reloaded" in worker.process.stderr.readline()
        assert worker.ask(WWW, subnet="8.8.8.0/24") == expected
        wait_until(lambda: has_compiled(worker))
        assert worker.ask(WWW, subnet="8.8.8.0/24") == expected


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_connection_made_anew_is_heard(
    config: Path, redis_server: RedisServer, prefix: str, variant: str
) -> None:
    """Whatever number its descriptor has: the one before it had the same, or another one that is closed."""
    key = Keys(prefix).override
    with started(config, variant) as worker, redis_server.client() as client:
        before = worker.ask(WWW, subnet="8.8.8.0/24")
        address = worker.address(WWW, "8.8.8.0/24")
        (chosen,) = [name for name, node in document()["nodes"].items() if address in node["a"]]
        for _ in range(3):
            client.client_kill_filter(_type="normal", skipme=True)
            client.hset(key, chosen, '{"state": "down"}')
            wait_until(lambda: worker.ask(WWW, subnet="8.8.8.0/24") != before)
            client.hdel(key, chosen)
            wait_until(lambda: worker.ask(WWW, subnet="8.8.8.0/24") == before)


ONE_READ = """
import os, sys, time
sys.path.insert(0, sys.argv[1])
from geosteer.counters.counters import Counters
from geosteer.powerdns import compiled
made = compiled.load(Counters("pdns"))
made.set_services([(b"www.cdn.example.net", None, None)])
wake, redis = os.pipe()[0], os.open(sys.argv[2], os.O_RDONLY) if len(sys.argv) > 2 else -1
print(made.serve(wake, redis, 1, time.monotonic() + 60, 9, False))
"""


@pytest.mark.parametrize("stdin", ["pipe", "file"])
@pytest.mark.parametrize("redis", ["none", "file"])
def test_what_epoll_cannot_watch_is_polled(tmp_path: Path, stdin: str, redis: str) -> None:
    """A file is always ready: as stdin it is read, and as Redis it is left to Python."""
    path = tmp_path / "questions"
    path.write_bytes(GOOD)
    more = [str(path)] if redis == "file" else []
    reader, writer = os.pipe()
    os.write(writer, GOOD)
    os.close(writer)
    if stdin == "file":
        os.close(reader)
        reader = os.open(path, os.O_RDONLY)
    command = [sys.executable, "-I", "-c", ONE_READ, str(EXTENSION.parents[2]), *more]
    try:
        said = subprocess.check_output(command, stdin=reader, text=True)
    finally:
        os.close(reader)
    assert said == f"{None if more else GOOD!r}\n"


def test_without_it_a_worker_starts_as_well(config: Path, tmp_path: Path) -> None:
    """As where no compiler was: the same code without the file."""
    lib = tmp_path / "lib"
    shutil.copytree(EXTENSION.parents[1], lib / "geosteer")
    for path in lib.rglob("_answerer*"):
        path.unlink()
    import hiredis

    code = (
        f"import sys; sys.path[:0] = [{str(lib)!r}, {os.path.dirname(os.path.dirname(hiredis.__file__))!r}]\n"  # noqa: PTH120
        "from geosteer.powerdns.pipe import main; main()"
    )
    with Worker(
        config, command=[os.path.realpath("/proc/self/exe"), "-I", "-c", code], env=SWITCH[COMPILED]
    ) as worker:
        for _ in range(80):
            assert len(worker.ask(WWW, subnet="8.8.8.0/24")) == 2
        assert not has_compiled(worker)

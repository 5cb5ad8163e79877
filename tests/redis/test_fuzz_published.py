"""Whatever lies in Redis under geosteer's names, with right digests or not: a worker takes it or leaves it, and answers on."""

from __future__ import annotations

import copy
import json
import os
import random
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from geosteer.keys import digest
from geosteer.powerdns.responder import Responder
from geosteer.settings import load
from geosteer.sync.adoption import IDLE
from geosteer.sync.tier import Tier
from geosteer.tables import page_builder
from support.dns_setup import backend_toml
from support.pipe_replies import check_reply
from support.tiny import DOCUMENT, GEO, build, publish_tiny

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.servers import RedisServer

WWW = b"www.cdn.example.net"
QUESTIONS = [
    b"\t".join((b"Q", name, b"IN", kind, b"-1", b"198.51.100.53", b"127.0.0.1", net))
    for name in (
        WWW,
        b"cname.cdn.example.net",
        b"cdn.example.net",
        b"lon1.cdn.example.net",
        b"x.cdn.example.net",
    )
    for kind in (b"SOA", b"NS", b"ANY")
    for net in (b"192.0.2.0/24", b"203.0.113.200/32", b"2001:db8:b::/56")
]
ROUNDS = 40 if os.environ.get("GEOSTEER_LONG") else 1
ODD: tuple[Any, ...] = (
    None, True, 0, -1, 1e308, 10**30, 2**63, "", "x", "\0", "\t", "a\nEND", "1.2.3.4", "::1", "é", "x" * 300, [], [[]], {},
    {"a": 1}, [None], ["192.0.2.9"], {"lon1": -5}, {"lon1": "100"}, {"lon1": 1e999}, [1, 2],
    "2026-02-01T00:00:00Z", "*.cdn.example.net",
)  # fmt: skip


class Reader:
    """A worker's insides, in this process."""

    def __init__(self, config: Path) -> None:
        self.log: list[str] = []
        self.tier = Tier(load(str(config)), random.randrange, log=self.log.append)
        self.responder = Responder(self.tier, random.randrange, random.random, self.log.append)
        self.tier.start()

    def settle(self) -> None:
        """Take in all that was announced, and what follows from it."""
        done: list[bool] = []
        for _ in range(6):  # what comes may lead to further questions
            end = time.monotonic() + 5
            done.clear()
            self.tier._follower.link.ask(("PING",), lambda _: done.append(True))
            self.tier._follower.link.writable()
            while (not done or self.adopting) and time.monotonic() < end and self.tier._follower.link.fd >= 0:
                if done:
                    self.tier.wait(0.0, lambda: False)  # takes in what has come, and waits for nothing
                else:
                    self.tier.wait(time.monotonic(), lambda: bool(done))
                self.tier.tick()
            if not done:  # the connection was closed
                time.sleep(0.06)
                self.tier.tick()

    @property
    def adopting(self) -> bool:
        """Whether a generation is on its way in."""
        return self.tier._follower._adopter.phase != IDLE

    def answers(self) -> list[bytes]:
        """Replies to some questions, each of the form that PowerDNS takes."""
        if self.responder.decider.version != self.tier.version:
            self.responder.refresh()
        replies = [self.responder.reply(line, time.monotonic()) for line in QUESTIONS]
        for reply in replies:
            check_reply(reply)
        return replies


@pytest.fixture
def reader(redis_server: RedisServer, prefix: str, tmp_path: Path) -> Iterator[Reader]:
    with redis_server.client() as client:
        publish_tiny(client, prefix)
    made = Reader(backend_toml(tmp_path, redis_server, "timeout = 2000", prefix))
    made.settle()
    assert made.tier.name == "live"
    yield made
    made.tier.close()


def test_what_was_settled_is_in_force_however_long_a_rest_takes(
    redis_server: RedisServer, prefix: str, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the announcement of a generation and the first step towards it, it is on its way in as well."""
    monkeypatch.setattr("geosteer.sync.follower.REST", 0.05)
    with redis_server.client() as client:
        for number in range(2, 12, 2):
            publish_tiny(client, prefix, {**DOCUMENT, "nodes": []}, generation=number)
            reader.settle()
            assert reader.tier.name == "stale"
            publish_tiny(client, prefix, generation=number + 1)
            reader.settle()
            assert reader.tier.name == "live"


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a document."""
    if path:
        yield path
    if isinstance(value, dict):
        for key, one in value.items():
            yield from places(one, (*path, key))
    elif isinstance(value, list):
        for number, one in enumerate(value):
            yield from places(one, (*path, number))


def exchanged(document: dict[str, Any], path: tuple[Any, ...], new: Any, how: str) -> dict[str, Any]:
    """The document with one value replaced or removed, or one key renamed."""
    made: Any = copy.deepcopy(document)
    inner = made
    for key in path[:-1]:
        inner = inner[key]
    if how == "gone":
        del inner[path[-1]]
    elif how == "named" and isinstance(inner, dict):
        inner[str(new)] = inner.pop(path[-1])
    else:
        inner[path[-1]] = new
    return dict(made)


def test_any_configuration_document_is_taken_or_left(
    redis_server: RedisServer, prefix: str, reader: Reader
) -> None:
    dice = random.Random(1)
    everywhere = list(places(RICH))
    with redis_server.client() as client:
        for number in range(200 * ROUNDS):
            made = RICH
            for _ in range(dice.choice((1, 1, 1, 2, 5))):
                path = dice.choice(everywhere)
                try:
                    made = exchanged(
                        made, path, dice.choice(ODD), dice.choice(("new", "new", "gone", "named"))
                    )
                except (KeyError, IndexError, TypeError):
                    continue  # what was exchanged before is in the way
            publish_tiny(client, prefix, made, generation=number + 2)
            reader.settle()
            assert reader.tier._follower.link.fd >= 0, "a document costs no connection"
            reader.answers()
        publish_tiny(client, prefix, generation=100_000)
        reader.settle()
        assert reader.tier.name == "live"
        assert b"192.0.2.1\n" in reader.answers()[2 * 3]


RICH: dict[str, Any] = copy.deepcopy(DOCUMENT)
RICH["nodes"]["lon1"].update(
    {"weight": 100, "location": [51.5, 0.1], "capacity": 10, "ramp": 30, "settle": 60, "assume": "up"}
)
RICH["nodes"]["ams1"].update(
    {"location": [52.3, 4.9], "vantage": "ams", "checks": [{"type": "tcp", "port": 80}]}
)
RICH["networks"]["lab"] = {}
RICH["maps"]["default"].update(
    {
        "networks": {"lab": {"lon1": 1}},
        "asns": {"AS1": {"ams1": 1}},
        "subdivisions": {"US-CA": {"nyc1": 1}},
        "max_down": 0.5,
    }
)
RICH["services"].update(
    {
        f"{policy}.cdn.example.net": {
            "map": "default",
            "ttl": 30,
            "policy": policy,
            "max_answers": 2,
            "near_km": 100,
            "bias": {"lon1": 40, "ams1": -99},
            "offsets": {"lon1": {"add": 55.0, "edge": 10.0, "keep": 0.25}},
            "ttl_min": 5,
        }
        for policy in ("best", "weighted", "hash", "nearest", "path", "latency")
    }
)
RICH["services"]["*.wild.cdn.example.net"] = {"map": "default", "ttl": 60}
RICH["zones"]["cdn.example.net"]["records"] += [
    {"name": "sub.cdn.example.net", "type": "NS", "content": "ns.sub.cdn.example.net", "ttl": 60},
    {"name": "ns.sub.cdn.example.net", "type": "A", "content": "192.0.2.7", "ttl": 60},
    {"name": "t.cdn.example.net", "type": "TXT", "content": '"a b" "c"', "ttl": 60},
    {"name": "srv.cdn.example.net", "type": "SRV", "content": "1 2 3 host.example.net", "ttl": 60},
]


def test_any_node_state_override_and_beat_is_taken_or_left(
    redis_server: RedisServer, prefix: str, reader: Reader
) -> None:
    dice = random.Random(2)
    words = [
        b"",
        b"up",
        b"down",
        b"unknown",
        b"yes",
        b"no",
        b"0",
        b"1",
        b"-1",
        b"nan",
        b"inf",
        b"1e999",
        b"0.5",
        b"\xff\0\n",
        b"x" * 500,
    ]
    words += [
        b"2026-02-01T00:00:00Z",
        b"2026-13-41T99:99:99Z",
        b"9999999999-01-01T00:00:00Z",
        b"9" * 400 + b"-01-01T00:00:00Z",
        b"2126-02-01T00:00:00Z",
        b"1 " + b"9" * 400 + b"-01-01T00:00:00Z 1",
        b"1 2126-02-01T00:00:00Z 1",
        b"9" * 5000,
        b"x" * 100_000,
        b"{state: down}",
        b'{"state":"down"',
        b'"down',
        b'{"state":"down",}',
        b'{"state":"down","until":"' + b"9" * 400 + b'-01-01T00:00:00Z"}',
        b'{"state":"drain","percent":' + b"9" * 5000 + b"}",
        b"1 2026-02-01T00:00:00Z 1",
        b"1 x 1",
    ]
    words += [
        b"1 2026-02-01T00:00:00Z nan",
        b"1 2026-02-01T00:00:00Z -1",
        b"1 2026-02-01T00:00:00Z 1e999",
        b"null",
        b"[]",
        b"{}",
        b"{" * 9999,
    ]
    words += [
        json.dumps(dict.fromkeys(("state", "percent", "until", "since", "who"), odd)).encode() for odd in ODD
    ]
    words += [
        json.dumps({"state": state, "percent": odd, "until": odd}).encode()
        for state in ("up", "down", "drain")
        for odd in ODD
    ]
    fields = [
        b"state",
        b"since",
        b"shed",
        b"failing",
        b"reason",
        b"other",
        b"lon1",
        b"ams1",
        b"nyc1",
        b"\xff",
        b"no such node",
    ]
    keys = [
        f"{{{prefix}}}:{key}"
        for key in ("override", "beat", "node:lon1", "node:ams1", "node:nyc1", "node:none", "node:")
    ]
    with redis_server.client() as client:
        for _ in range(150 * ROUNDS):
            for _ in range(dice.randrange(1, 6)):
                client.hset(dice.choice(keys), dice.choice(fields), dice.choice(words))
            if dice.random() < 0.1:
                client.delete(dice.choice(keys))
            reader.settle()
            assert all(b"192.0.2." in reply or b"2001:" in reply for reply in reader.answers()[2 * 3 : 3 * 3])
        client.delete(*keys)
        reader.settle()
        assert b"192.0.2.1\n" in reader.answers()[2 * 3]


def test_states_that_c_has_read_are_answered_as_those_that_python_reads(
    redis_server: RedisServer, prefix: str, reader: Reader
) -> None:
    """What takes such a hash in is a way of its own, with as little as it takes."""
    dice = random.Random(5)
    taker = Reader(Path(reader.tier.settings.path))
    taker.settle()
    assert taker.answers() == reader.answers()
    base = f"{{{prefix}}}:"
    with redis_server.client() as client:
        for number in range(300 * ROUNDS):
            name = dice.choice(("lon1", "ams1", "nyc1"))
            key = dice.choice((base + "override", base + "node:" + name))
            if dice.random() < 0.2:
                client.delete(key)
            elif key.endswith("override"):
                client.hset(key, name, dice.choice(OVERRIDES))
            else:
                client.hset(key, mapping={field: dice.choice(WORDS[field]) for field in WORDS})
            reader.settle()
            fields = {k.decode(): v.decode() for k, v in client.hgetall(key).items()}
            version = taker.tier.version
            assert taker.tier.at_rest
            if taker.responder._take(key.encode(), time.monotonic(), b"", fields):
                assert not taker.responder.decider.outdated(time.monotonic()), "C goes on as it is"
            assert taker.tier.version <= version + 1
            assert taker.answers() == reader.answers(), (number, key, fields)
            assert taker.tier.mirror.fields == reader.tier.mirror.fields
    assert taker.log[1:] == reader.log[1:]
    taker.tier.close()


OVERRIDES = (
    '{"state":"down"}',
    '{"state":"up"}',
    '{"state":"drain","percent":0}',
    '{"state":"drain","percent":40}',
    "{",
)
WORDS = {
    "state": ("up", "up", "down", "down", "unknown", "x" * 5000),
    "since": ("2026-02-01T00:00:00Z", "then"),
    "before": ("down", "up", ""),
    "failing": ("yes", "no"),
    "shed": ("0", "1", "0.5", "nan"),
    "reason": ("", "timed out"),
}


def test_any_current_is_taken_or_left(redis_server: RedisServer, prefix: str, reader: Reader) -> None:
    dice = random.Random(3)
    key = f"{{{prefix}}}:current"
    with redis_server.client() as client:
        good = client.hgetall(key)
        words = [
            b"",
            b"1",
            b"2",
            b"-1",
            b"x",
            b"\xff",
            b"00" * 16,
            b"zz" * 16,
            b"0" * 31,
            b"1" * 10_000,
            b"9" * 400 + b"-01-01T00:00:00Z",
            b"2126-02-01T00:00:00Z",
            *good.values(),
        ]
        fields = [
            *good,
            b"published",
            b"geo.built",
            b"bgp.v4",
            b"bgp.v6",
            b"path.v4",
            b"nets.v6",
            b"geo.v5",
            b"",
            b"\xff",
            b"held",
        ]
        for _ in range(150 * ROUNDS):
            for _ in range(dice.randrange(1, 4)):
                client.hset(key, dice.choice(fields), dice.choice(words))
            if dice.random() < 0.2:
                client.hdel(key, dice.choice(fields))
            reader.settle()
            reader.answers()
            if dice.random() < 0.1:
                client.delete(key)
                client.hset(key, mapping=good)
        client.delete(key)
        client.hset(key, mapping={**good, b"generation": b"9"})
        reader.settle()
        assert reader.tier.name == "live"


def test_any_page_under_its_right_name_is_taken_or_left(
    redis_server: RedisServer, prefix: str, reader: Reader
) -> None:
    """Whoever may write there may write pages with right digests; none makes a worker loop, or take more than its cache."""
    dice = random.Random(4)
    key, wide = (
        f"{{{prefix}}}:object",
        {f"11.{n >> 8}.{n & 255}.0/24": ("GB", "NL", "FR")[n % 3] for n in range(700)},
    )
    leaf = build(GEO, 32)
    tree = page_builder.build(
        32, [0, *(0x0B000000 + (n << 8) for n in range(700))], ["", *(wide[net] for net in wide)]
    )
    pages = [*leaf.pages.values(), *tree.pages.values(), *build(GEO, 128).pages.values()]
    with redis_server.client() as client:
        for number in range(150 * ROUNDS):
            made = bytearray(dice.choice(pages))
            for _ in range(dice.randrange(4)):
                made[dice.randrange(min(len(made), dice.choice((10, 40, 8192))))] = dice.randrange(256)
            named = dice.choice([bytes(made), *pages])
            if made[2] and dice.random() < 0.5:  # an inner page that names whatever there is, over and over
                made[-16:] = digest(named)
            fields = {
                f"geo.{family}": digest(dice.choice((bytes(made), named))).hex() for family in ("v4", "v6")
            }
            client.hset(key, mapping={digest(page).hex(): page for page in (bytes(made), named)})
            client.hset(f"{{{prefix}}}:current", mapping={**fields, "generation": str(number + 2)})
            began = time.monotonic()
            reader.settle()
            reader.answers()
            assert time.monotonic() - began < 20
            assert reader.tier._follower.leaves.cache.size < 2 * reader.tier.settings.cache
        publish_tiny(client, prefix, generation=100_000)
        reader.settle()
        assert b"192.0.2.1\n" in reader.answers()[2 * 3]

"""Services that ask several tables: what is remembered by the entries that name a client is what would be decided."""

from __future__ import annotations

import ipaddress
import json
import random
from typing import TYPE_CHECKING, Any

import pytest

from geosteer.counters.counters import HITS, MISSES, Counters
from geosteer.keys import Keys, root_field
from geosteer.powerdns import compiled
from geosteer.powerdns.responder import Responder
from geosteer.process import below, ticket
from geosteer.resp import link
from geosteer.settings import load
from geosteer.sync.decider import Decider
from geosteer.sync.tier import Tier
from geosteer.tables import leaf, page_builder, page_format, tree
from support.dns_setup import backend_toml, document
from support.plain_replies import plain
from support.servers import wait_until
from support.tiny import publish_tiny
from support.workers import EXTENSION, VARIANTS, started

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from geosteer.powerdns._answerer import Answerer
    from support.plain_replies import Plain
    from support.servers import RedisServer

LAYERS = ["networks", "asns", "subdivisions", "countries", "continents"]
KEYS = {
    "networks": ["partner"],
    "asns": ["AS1", "AS2", "AS3"],
    "subdivisions": ["GB-ENG", "US-CA"],
    "countries": ["GB", "NL", "US"],
    "continents": ["EU", "NA"],
}
GEO = [
    "GB",
    "GB-ENG 51.5 -0.1",
    "GB-SCT 55.9 -3.2",
    "NL",
    "FR",
    "US-CA 37.75 -122.42",
    "US-CA 34 -118.2",
    "US",
    "@EU",
    "",
]
BGP = ["AS1", "AS2 AS1", "AS9 AS3", "AS9", "AS0", ""]
NODES = ["lon1", "ams1", "nyc1"]
STATES = [{"state": "up"}, {"state": "down"}, {"state": "unknown"}, {"state": "up", "shed": "0.5"}]


class Twins:
    """A responder that remembers, and one that does not, of one Redis."""

    def __init__(
        self, redis: RedisServer, prefix: str, config: Path, oracle: Plain, *, in_c: bool = False
    ) -> None:
        self._redis, self._prefix, self.oracle = redis, prefix, oracle
        self.counters = Counters("pdns")
        self.tier = Tier(load(str(config)), below, writes=False, counters=self.counters)
        self.tier.start()
        self.responder = Responder(self.tier, below, ticket, lambda _: None)
        self.answered_in_c = 0
        self._answerer: Answerer | None = None
        if in_c:
            self._answerer = compiled.load(self.counters)
            assert self._answerer is not None
            self.responder.accelerate(self._answerer)

    def publish(self, made: dict[str, Any], tables: dict[str, dict[str, str]], number: int) -> None:
        """Have both answer from another generation."""
        with self._redis.client() as client:
            publish_tiny(client, self._prefix, made, tables, generation=number)
        wait_until(lambda: all(self._caught_up(tier, number) for tier in (self.tier, self.oracle._tier)))

    def _caught_up(self, tier: Tier, number: int) -> bool:
        tier.tick()
        tier.wait(0.0, lambda: False)
        return tier.generation is not None and tier.generation.number == str(number) and tier.name == "live"

    def change(self, node: str, state: dict[str, str], override: dict[str, Any] | None) -> None:
        """Have both know another state of a node."""
        key = f"{{{self._prefix}}}:override"
        with self._redis.client() as client, client.pipeline() as together:
            together.hset(f"{{{self._prefix}}}:node:{node}", mapping=state)
            together.hdel(key, node) if override is None else together.hset(key, node, json.dumps(override))
            together.execute()
            wanted = client.hgetall(key), client.hgetall(f"{{{self._prefix}}}:node:{node}")
        text = [{name.decode(): value.decode() for name, value in each.items()} for each in wanted]
        for tier in (self.tier, self.oracle._tier):
            self._wait_for(tier, node, text)

    def _wait_for(self, tier: Tier, node: str, wanted: list[dict[str, str]]) -> None:
        wait_until(lambda: self._knows(tier, node, wanted))

    def _knows(self, tier: Tier, node: str, wanted: list[dict[str, str]]) -> bool:
        tier.tick()
        tier.wait(0.0, lambda: False)
        return [tier.mirror.overrides, tier.mirror.fields.get(node)] == wanted

    def ask(self, line: bytes) -> None:
        """Compare what both say, with pages that are here and pages that are not."""
        expected = self.oracle.answer(line)
        for _ in range(3):
            now = self.tier.clock()
            if self.responder.decider.outdated(now):
                self.responder.refresh()
            found = self._answerer.find(line + b"\n") if self._answerer is not None else None
            if found is not None:
                assert found[0] == expected, line
                self.answered_in_c += 1
            assert self.responder.reply(line, now) == expected, line


@pytest.fixture(params=["python", "c", "c, many leaves"])
def twins(
    redis_server: RedisServer, prefix: str, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Twins]:  # fmt: skip
    """With the part in C as well, and there with a table's leaves in branches as large ones have them."""
    in_c = request.param.startswith("c")
    if in_c and not EXTENSION.exists():
        pytest.skip("the part in C was not built")
    for name in ("outline_quickly", "places_quickly"):
        monkeypatch.setattr(page_format, name, None)  # as it was, afterwards
    monkeypatch.setattr(leaf, "packed_quickly", None)
    monkeypatch.setattr(link, "exchange_quickly", None)
    if request.param.endswith("many leaves"):
        monkeypatch.setattr(tree, "FLAT", 0)
    config = backend_toml(tmp_path, redis_server, "timeout = 5000", prefix)
    with redis_server.client() as client:
        publish_tiny(client, prefix, document(), {})
    with plain(config) as oracle:
        made = Twins(redis_server, prefix, config, oracle, in_c=in_c)
        yield made
        assert (made.answered_in_c > 0) == in_c
        made.tier.close()


def line(subnet: str, name: str) -> bytes:
    return f"Q\t{name}\tIN\tANY\t1\t198.51.100.53\t127.0.0.1\t{subnet}".encode()


def networks(dice: random.Random, records: list[str], count: int) -> dict[str, str]:
    """Prefixes of both families, some within others."""
    made = {}
    for _ in range(count):
        if dice.random() < 0.7:
            address, length = (
                f"{dice.choice([8, 9, 81])}.{dice.randrange(4)}.{dice.randrange(256)}.0",
                dice.choice([14, 16, 20, 24]),
            )
        else:
            address, length = f"2a0{dice.randrange(4)}:{dice.randrange(4)}::", dice.choice([30, 32, 48])
        made[str(ipaddress.ip_network(f"{address}/{length}", strict=False))] = dice.choice(records)
    return made


def some_map(dice: random.Random) -> dict[str, Any]:
    def weights() -> dict[str, int]:
        return dict(
            zip(dice.sample(NODES, dice.randint(1, 3)), dice.sample([0, 50, 100, 100, 200], 3), strict=False)
        )

    order = dice.sample(LAYERS, len(LAYERS))
    layers = {
        layer: {key: weights() for key in KEYS[layer] if dice.random() < 0.8}
        for layer in order
        if dice.random() < 0.8
    }
    return {"order": order, "all_down": dice.choice(["all", "none"]), **layers, "default": weights()}


@pytest.mark.parametrize("seed", range(4))
def test_it_is_what_would_be_decided(twins: Twins, seed: int) -> None:
    dice = random.Random(seed)
    for round_ in range(2):
        maps = {name: some_map(dice) for name in ("default", "second", "third")}
        services = {
            f"{name}.cdn.example.net": {"map": name, "ttl": 60, "max_answers": dice.choice([1, 1, 2])}
            for name in maps
        }
        services["www.cdn.example.net"] = {
            "map": "default",
            "ttl": 60,
            "policy": dice.choice(["best", "hash", "nearest"]),
        }
        tables = {
            "geo": networks(dice, GEO, 60),
            "bgp": networks(dice, BGP, 60),
            "nets": networks(dice, ["partner"], 3),
        }
        twins.publish(document(maps=maps, services=services), tables, 2 + round_)
        for _ in range(4):
            for _ in range(40):
                network = dice.choice([key for table in tables.values() for key in table])
                twins.ask(line(network, dice.choice(list(services))))
            override = dice.choice([None, None, {"state": "down"}, {"percent": 40}, {"state": "up"}])
            twins.change(dice.choice(NODES), dice.choice(STATES), override)


MAPS = {
    "default": {
        "order": ["asns", "countries"], "all_down": "all", "asns": {"AS1": {"ams1": 100}}, "countries": {"GB": {"lon1": 100}},
        "default": {"nyc1": 100},
    },
}  # fmt: skip
TABLES = {
    "geo": {f"8.{number}.0.0/16": "GB" if number % 2 else f"US-CA {number} -122" for number in range(200)},
    "bgp": {f"8.{number}.0.0/16": "AS1" if number % 5 == 0 else f"AS{number + 100}" for number in range(200)},
}


def test_a_new_pair_of_records_needs_no_decision(twins: Twins, monkeypatch: pytest.MonkeyPatch) -> None:
    twins.publish(document(maps=MAPS), TABLES, 2)
    for number in range(20):
        twins.ask(line(f"8.{number}.0.0/24", "www.cdn.example.net"))
    questions = [line(f"8.{number}.0.0/24", "www.cdn.example.net") for number in range(20, 200)]
    replies = [twins.oracle.answer(question) for question in questions]
    hits = twins.counters.cells[HITS]
    if twins.answered_in_c:
        found = [twins._answerer.find(question + b"\n") for question in questions]
        assert [reply and reply[0] for reply in found] == replies
    monkeypatch.setattr(Decider, "decide", lambda *_, **__: pytest.fail("decided"))
    assert [twins.responder.reply(question, twins.tier.clock()) for question in questions] == replies
    assert twins.counters.cells[HITS] > hits + len(questions)


ALONE = {
    "geo": {"order": ["countries"], "countries": {"GB": {"lon1": 100}}, "default": {"nyc1": 100}},
    "bgp": {"order": ["asns"], "asns": {"AS1": {"ams1": 100}}, "default": {"nyc1": 100}},
}


@pytest.mark.parametrize("table", ["geo", "bgp"])
def test_nor_does_a_new_record_of_the_only_table(
    twins: Twins, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of one with many records: the origins, or places in so many leaves that they must be those of a city table."""
    if table == "geo":
        monkeypatch.setattr(tree, "FLAT", 0)
    twins.publish(document(maps={"default": ALONE[table]}), {table: TABLES[table]}, 2)
    for number in range(20):
        twins.ask(line(f"8.{number}.0.0/24", "www.cdn.example.net"))
    questions = [line(f"8.{number}.0.0/24", "www.cdn.example.net") for number in range(20, 200)]
    replies = [twins.oracle.answer(question) for question in questions]
    monkeypatch.setattr(Decider, "decide", lambda *_, **__: pytest.fail("decided"))
    if twins._answerer is not None:
        found = [twins._answerer.find(question + b"\n") for question in questions]
        assert [reply and reply[0] for reply in found] == replies
    assert [twins.responder.reply(question, twins.tier.clock()) for question in questions] == replies


@pytest.mark.parametrize("changed", [False, True])
def test_nor_does_one_of_a_small_city_table_once_there_were_many(
    twins: Twins, changed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than replies are remembered by, in few leaves, as those of countries are; also where a state changes before."""
    places = {f"8.{n >> 8}.{n & 255}.0/24": f"{('GB', 'NL')[n & 1]} {n / 100} 0" for n in range(2400)}
    twins.publish(document(maps={"default": ALONE["geo"]}), {"geo": places}, 2)
    asked = [line(f"{network.partition('/')[0]}/24", "www.cdn.example.net") for network in places]
    twins.ask(asked[0])
    if changed:
        twins.change("ams1", {"state": "down"}, None)
    for question in asked[:2200]:
        twins.responder.reply(question, twins.tier.clock())
        if twins.responder.decider.outdated(twins.tier.clock()):
            twins.responder.refresh()
    for question in asked[:3]:
        twins.ask(question)
    questions = asked[2200::10]
    replies = [twins.oracle.answer(question) for question in questions]
    monkeypatch.setattr(Decider, "decide", lambda *_, **__: pytest.fail("decided"))
    if twins._answerer is not None:
        found = [twins._answerer.find(question + b"\n") for question in questions]
        assert [reply and reply[0] for reply in found] == replies
    assert [twins.responder.reply(question, twins.tier.clock()) for question in questions] == replies


def test_where_all_nodes_are_down_and_one_comes_back(twins: Twins) -> None:
    """The first layer that names a client answers then, though all were asked."""
    made = {**MAPS["default"], "order": ["countries", "asns"]}
    twins.publish(document(maps={"default": made}), TABLES, 2)
    for node in ("lon1", "nyc1"):
        twins.change(node, {"state": "down"}, None)
    twins.change("ams1", {"state": "down"}, None)
    for number in (1, 5, 3, 15):
        twins.ask(line(f"8.{number}.0.0/24", "www.cdn.example.net"))
    twins.change("ams1", {"state": "up"}, None)
    for number in (1, 5, 3, 15, 2, 10):
        twins.ask(line(f"8.{number}.0.0/24", "www.cdn.example.net"))


ROOMY = ["AS1", "AS2", "AS3 AS1", "", "AS0"]


def publish_wide(client: Any, prefix: str, ranges: int) -> None:
    """Tables of both families whose leaves are too many for a small cache, most of them with many distinct records."""
    dice = random.Random(ranges)
    fields = publish_tiny(client, prefix, document(maps=MAPS), {})
    keys = Keys(prefix)
    for table in ("geo", "bgp"):
        for bits in (32, 128):
            base, behind = (0x08000000, 8) if bits == 32 else (0x2A00 << 112, 96)
            starts = sorted({0, *(base + (dice.randrange(1 << 16) << behind) for _ in range(ranges))})
            records = [
                dice.choice(GEO if table == "geo" else ROOMY)
                if number % 3
                else f"{dice.choice(['US-CA', 'GB'])} {number} 1" if table == "geo" else f"AS{number}"
                for number in range(len(starts))
            ]  # fmt: skip
            built = page_builder.build(bits, starts, records)
            client.hset(keys.object, mapping={name.hex(): page for name, page in built.pages.items()})
            fields[root_field(table, bits)] = built.root.hex()
    client.hset(keys.current, mapping={**fields, "generation": "2"})


def test_workers_with_little_room_say_the_same(
    redis_server: RedisServer, prefix: str, tmp_path: Path
) -> None:
    """Most questions have to fetch leaves: one worker does so for C, the other one without it."""
    config = backend_toml(tmp_path, redis_server, "timeout = 5000\ncache = 60000", prefix)
    with redis_server.client() as client:
        publish_wide(client, prefix, 12_000)
    dice = random.Random(4)
    subnets = [
        f"8.{dice.randrange(256)}.{dice.randrange(256)}.0/24"
        if dice.random() < 0.7
        else f"2a00:{dice.randrange(1 << 16):x}::/{dice.choice([32, 48, 56])}"
        for _ in range(1500)
    ]
    said = []
    for variant in VARIANTS:
        with started(config, variant) as worker:
            replies = []
            for subnet in subnets:
                worker.send(line(subnet, "www.cdn.example.net") + b"\n")
                replies.append(b"\n".join(worker.reply()) + b"\n")
            said.append(replies)
    with plain(config) as oracle:
        asked = [oracle.answer(line(subnet, "www.cdn.example.net")) for subnet in subnets]
    assert said[0] == said[1]
    assert said[0] == asked


def test_leaves_are_brought_for_c_and_counted(redis_server: RedisServer, prefix: str, tmp_path: Path) -> None:
    if not EXTENSION.exists():
        pytest.skip("the part in C was not built")
    config = backend_toml(tmp_path, redis_server, "timeout = 5000\ncache = 60000", prefix)
    with redis_server.client() as client:
        publish_wide(client, prefix, 12_000)
    dice = random.Random(5)
    with plain(config) as oracle:
        made = Twins(redis_server, prefix, config, oracle, in_c=True)
        made.tier.wait(made.tier.clock(), lambda: made.tier.name == "live")
        for _ in range(400):
            made.ask(line(f"8.{dice.randrange(256)}.{dice.randrange(256)}.0/24", "www.cdn.example.net"))
        assert made.answered_in_c > 1000
        assert made.counters.cells[MISSES] > 300
        made.tier.close()

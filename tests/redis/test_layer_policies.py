"""Steering as a whole: what `explain` says is what a worker answers, for any client, policy and state of the nodes."""

from __future__ import annotations

import ipaddress
import json
import random
import time
from collections import Counter
from itertools import permutations
from typing import TYPE_CHECKING, Any

import click
import pytest

from geosteer.decision.client import from_question
from geosteer.decision.policy import unit
from geosteer.keys import Keys
from geosteer.library.chooser import Chooser
from geosteer.powerdns.responder import Responder
from geosteer.redirect.redirector import Redirector
from geosteer.redirect.routes import Routes, Target
from geosteer.redirect.squid_protocol import Rewriter
from geosteer.sync.tier import Tier
from geosteer_loader.cli.text.explain import text as as_text
from geosteer_loader.config.config import load
from geosteer_loader.config.redis import RedisSettings
from geosteer_loader.publish.publish import publish
from geosteer_loader.query import context
from geosteer_loader.query import explain as explanations
from geosteer_loader.store.store import Store, connect
from support.dns_setup import backend_toml
from support.long import LONG
from support.publishing import write_config
from support.servers import RedisServer
from support.steering import live_steering, make_settings, wait_live
from support.tiny import publish_tiny
from support.workers import Worker

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from geosteer_loader.query.context import Context
    from geosteer_loader.query.explanation import Explanation

POLICIES = (
    "best",
    "weighted",
    "hash",
    "nearest",
    "path",
    "latency",
    "nearest-biased",
    "latency-biased",
    "nearest-pushed",
)
BIAS = {"lon1": -60, "fra1": 35, "nyc1": 90, "sin1": 50}
OFFSETS = {
    "lon1": {"add": 200, "edge": 300, "keep": 0.4}, "lon2": {"add": 100, "edge": 300, "keep": 0.7},
    "ams1": {"add": 0, "edge": 150, "keep": 0.5}, "nyc1": {"add": 2000, "edge": 4000, "keep": 0.2},
}  # fmt: skip
"""Of large edges, so that many clients are at one."""
MOST = 10_000
CLIENTS = MOST if LONG else 800
"""At least; more where a layer was not met yet."""
LAYERS = {"networks", "asns", "subdivisions", "countries", "continents", "default"}
"""Of each policy: all six together make ten thousand in the short run too."""
ZONE = "cdn.example.net"
ORDER = ("networks", "asns", "subdivisions", "countries", "continents")
NODES: dict[str, dict[str, Any]] = {
    "lon1": {"location": [51.51, -0.13], "vantage": "lon", "weight": 100, "capacity": 400},
    "lon2": {"location": [51.4, -0.2], "vantage": "lon", "weight": 50},
    "ams1": {"location": [52.37, 4.9], "vantage": "ams"},
    "fra1": {"location": [50.11, 8.68], "vantage": "ams", "near_km": 900},
    "nyc1": {"location": [40.71, -74.01], "vantage": "nyc"},
    "sfo1": {"location": [37.77, -122.42], "vantage": "nyc", "aaaa": []},
    "sin1": {"location": [1.35, 103.82], "assume": "down"},
    "gru1": {"vantage": "gru"},
}
EVERYONE = dict.fromkeys(NODES, 100)
SPREAD = {"lon1": 30, "lon2": 70, "ams1": 100, "fra1": 100, "nyc1": 20, "sfo1": 10, "sin1": 50, "gru1": 0}
MAP: dict[str, Any] = {
    "order": list(ORDER),
    "networks": {"office": {"lon2": 100}, "lab": {"fra1": 10, "gru1": 10}},
    "asns": {"AS10": {"ams1": 100, "fra1": 100}, "AS20": {"nyc1": 100}, "AS30": {"fra1": 100}},
    "subdivisions": {"US-CA": {"sfo1": 100, "nyc1": 20}, "GB-SCT": {"lon2": 5}},
    "countries": {
        "GB": SPREAD, "NL": {"ams1": 100, "lon1": 100}, "DE": {"fra1": 100}, "US": EVERYONE, "BR": {"gru1": 100, "nyc1": 9},
    },
    "continents": {"EU": EVERYONE, "NA": {"nyc1": 70, "sfo1": 70}, "SA": {"gru1": 100}, "AS": {"sin1": 100}},
    "default": SPREAD,
}  # fmt: skip
GEO = (
    "GB", "GB-SCT 55.95 -3.19", "GB 51.5 -0.1", "NL 52.3 4.9", "DE 50.1 8.6", "FR 48.8 2.3", "US", "US-CA 37.7 -122.4",
    "US-NY 40.7 -74", "BR -23.5 -46.6", "@EU", "@EU 50 10", "JP 35.6 139.7", "@AS", "",
)  # fmt: skip
BGP = ("AS10", "AS20", "AS30 AS20", "AS99 AS20 AS10", "AS99", "")
PATH = ("lon=3 ams=4", "lon=2 ams=2 nyc=2", "nyc=1 lon=15", "gru=2 sin1=2", "ams=0", "")
RTT = (
    "fra1=12 ams1=14 lon1=15",
    "lon2=3 lon1=9",
    "nyc1=80 sfo1=83 gru1=84 sin1=200",
    "sin1=1",
    "other=1",
    "",
)
NETS = ("office", "lab", "")


def configuration(**changes: Any) -> dict[str, Any]:
    """Every policy as a service of one answer, and one of three."""
    nodes = {}
    for number, (name, spec) in enumerate(NODES.items(), 1):
        nodes[name] = {
            "a": [f"192.0.2.{number}"], "aaaa": [f"2001:db8::{number}"], "hostname": f"{name}.example.net",
            "ramp": 0, "well_connected": 1, **spec,
        }  # fmt: skip
    services = {}
    for name in POLICIES:
        policy, _, how = name.partition("-")
        placed: dict[str, Any] = (
            {"bias": BIAS} if how == "biased" else {"offsets": OFFSETS} if how == "pushed" else {}
        )
        ranks: dict[str, Any] = {"map": "m", "policy": policy, **placed}
        services[f"{name}.{ZONE}"] = {**ranks, "ttl": 60}
        services[f"{name}-3.{ZONE}"] = {**ranks, "ttl": 60, "max_answers": 3}
        services[f"{name}-placed.{ZONE}"] = {**ranks, "country_middle": False}
        services[f"{name}-name.{ZONE}"] = {**ranks, "ttl": 60, "answer": "cname"}
    return {
        "format": 1, "nodes": nodes, "networks": {"office": {}, "lab": {}}, "maps": {"m": {**MAP, **changes}},
        "zones": {ZONE: {"soa": {"mname": "ns1.example.net", "rname": "h.example.net"}, "ns": ["ns1.example.net"]}},
        "services": services,
        "continents": {"GB": "EU", "NL": "EU", "DE": "EU", "FR": "EU", "US": "NA", "BR": "SA", "JP": "AS"},
        "middles": {"GB": [54, -2], "US": [39, -95]},
    }  # fmt: skip


def scattered(dice: random.Random, records: tuple[str, ...], count: int) -> dict[str, str]:
    """Nested prefixes of all sizes, crowded so that random clients meet them."""
    entries = {}
    for _ in range(count):
        if dice.random() < 0.7:
            length = dice.choice((8, 10, 12, 14, 16, 18, 20, 22, 24, 26))
            entries[
                str(ipaddress.IPv4Network((address4(dice) >> (32 - length) << (32 - length), length)))
            ] = dice.choice(records)
        else:
            length = dice.choice((24, 28, 32, 36, 40, 48, 52))
            entries[
                str(ipaddress.IPv6Network((address6(dice) >> (128 - length) << (128 - length), length)))
            ] = dice.choice(records)
    return entries


def address4(dice: random.Random) -> int:
    return (dice.choice((20, 21, 22, 23, 90, 192)) << 24) | dice.getrandbits(24)


def address6(dice: random.Random) -> int:
    return (0x2A00 << 112) | (dice.getrandbits(16) << 96) | dice.getrandbits(80)


def a_client(dice: random.Random) -> str:
    """A client network as resolvers send them, or a whole address of either family, or one within the other."""
    kind = dice.random()
    if kind < 0.6:
        length = dice.choice((24, 24, 24, 20, 16, 32))
        return str(ipaddress.IPv4Network((address4(dice) >> (32 - length) << (32 - length), length)))
    if kind < 0.9:
        length = dice.choice((56, 56, 48, 32, 64, 128))
        return str(ipaddress.IPv6Network((address6(dice) >> (128 - length) << (128 - length), length)))
    four = ipaddress.IPv4Address(address4(dice))
    if kind < 0.95:
        return f"::ffff:{four}/{dice.choice((120, 128))}"
    return f"{ipaddress.IPv6Address(0x2002 << 112 | int(four) << 80)}/{dice.choice((40, 48))}"


class World:
    """One Redis with a generation, a worker's own code on it, and the loader's."""

    def __init__(self, server: RedisServer, prefix: str, folder: Path) -> None:
        dice = random.Random(6)
        self.tables = {
            "geo": scattered(dice, GEO, 160), "bgp": scattered(dice, BGP, 90), "path": scattered(dice, PATH, 90),
            "nets": scattered(dice, NETS, 12), "rtt": scattered(dice, RTT, 90),
        }  # fmt: skip
        with server.client() as client:
            publish_tiny(client, prefix, configuration(), self.tables)
            set_states(client, Keys(prefix))
        self.server, self.prefix = server, prefix
        self.store = connect(RedisSettings(url=server.url, prefix=prefix))
        self.tier = Tier(make_settings(server, prefix, folder, timeout=5000), lambda _: 0)
        self.tier.start()
        wait_live(self.tier)
        self.ticket = 0.0
        self.responder = Responder(self.tier, lambda _: 0, lambda: self.ticket, lambda _: None)
        self.responder.refresh()

    def answer(self, name: str, subnet: str = "0.0.0.0/0", remote: str = "0.0.0.0") -> tuple[list[Any], int]:
        """Records in order as (type, content, TTL), and the scope, as PowerDNS gets them."""
        line = f"Q\t{name}.{ZONE}\tIN\tANY\t-1\t{remote}\t127.0.0.1\t{subnet}".encode()
        lines = self.responder.reply(line, time.monotonic()).decode().splitlines()
        return records(lines)

    def explain(self, seen: Context, name: str, client: str) -> dict[str, Any]:
        """As `geosteer explain`, on a view that is read once."""
        service = explanations.find_service(seen.model, f"{name}.{ZONE}")
        asker = explanations.asker_of(client, seen)
        return explanations.describe(seen, service, asker, service.kinds, self.ticket).to_json()


def records(lines: list[str]) -> tuple[list[Any], int]:
    found = []
    scope = 0
    for line in lines:
        fields = line.split("\t")
        if fields[0] == "DATA" and fields[5] in {"A", "AAAA", "CNAME"}:
            found.append((fields[5], fields[8], int(fields[6])))
            scope = max(scope, int(fields[1]))
    return found, scope


def told(found: Mapping[str, Any]) -> list[Any]:
    return [(one["type"], one["content"], one["ttl"]) for one in found["answer"]]


def set_states(client: Any, keys: Keys) -> None:
    """Every way in which nodes differ: shedding, drained, down, failing checks, unknown."""
    for node, fields in {
        "lon1": {"state": "up", "shed": "0.35"},
        "lon2": {"state": "up", "shed": "0.1"},
        "ams1": {"state": "up", "failing": "yes", "shed": "0.7"},
        "fra1": {"state": "up"},
        "nyc1": {"state": "up", "before": "down", "since": "2026-01-01T00:00:00Z"},
        "gru1": {"state": "down", "reason": "timed out"},
    }.items():
        client.hset(keys.node(node), mapping=fields)
    client.hset(keys.override, "lon2", json.dumps({"state": "drain", "percent": 40, "who": "me"}))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with RedisServer() as server:
        made = World(server, "geosteer", tmp_path_factory.mktemp("world"))
        yield made
        made.tier.close()
        made.store.close()


@pytest.mark.no_cover  # counting lines would take longer than the test
@pytest.mark.timeout(600)
@pytest.mark.parametrize("policy", POLICIES)
def test_explain_and_a_worker_agree_for_ten_thousand_clients(world: World, policy: str) -> None:
    dice = random.Random(policy)
    seen = context.live(world.store)
    met: Counter[str] = Counter()
    for number in range(MOST):
        if number >= CLIENTS and met.keys() >= LAYERS:
            break
        name = policy if number % 4 else f"{policy}-3" if number % 8 else f"{policy}-name"
        client = a_client(dice)
        world.ticket = dice.random()
        found = world.explain(seen, name, client)
        if from_question("0.0.0.0", client) and not (number % 10 == 0 and client.endswith(("/32", "/128"))):
            assert world.answer(name, client) == (told(found), found["scope"]), client
        else:  # a resolver that sends no client network, or a private one, is a client itself
            assert world.answer(name, remote=client.partition("/")[0])[0] == told(found), client
        assert found["nodes"], client
        met.update([found["layer"].partition(" ")[0], *found["nodes"]])
        chosen = [one["node"] for one in found["candidates"] if one["chosen"]]
        assert set(chosen) == set(found["nodes"])
    assert met.keys() >= LAYERS
    assert len({node for node in NODES if met[node]}) >= 6


@pytest.mark.parametrize("policy", POLICIES)
def test_a_worker_process_agrees_too(world: World, tmp_path: Path, policy: str) -> None:
    dice = random.Random(policy)
    seen = context.live(world.store)
    config = backend_toml(tmp_path, world_url(world), "timeout = 2000")
    clients = [client for client in (a_client(dice) for _ in range(70)) if from_question("0.0.0.0", client)]
    with Worker(config) as worker:
        for client in clients:
            found = world.explain(seen, f"{policy}-3", client)
            lines = [
                "\t".join(["DATA", *fields]) for fields in worker.ask(f"{policy}-3.{ZONE}", subnet=client)
            ]
            answered, scope = records(lines)
            assert scope == found["scope"]
            if policy == "weighted":
                possible = {one["node"] for one in found["candidates"] if one["chance"] > 0}
                addresses = {
                    (kind, content)
                    for node in possible
                    for kind in ("A", "AAAA")
                    for content in seen.model.nodes[node].contents(kind)
                }
                assert {(kind, content) for kind, content, _ in answered} <= addresses
                assert len(answered) == len(set(answered)) == len(found["answer"])
            else:
                assert answered == told(found)


def world_url(world: World) -> str:
    return world.store.name


@pytest.mark.no_cover
def test_the_share_of_draws_that_explain_tells_is_what_all_tickets_come_to(world: World) -> None:
    seen = context.live(world.store)
    steps = 2000
    client = next(
        net
        for net, record in world.tables["geo"].items()
        if record == "GB" and ":" not in net and world.explain(seen, "weighted", net)["key"] == "GB"
    )
    counts: Counter[str] = Counter()
    for step in range(steps):
        world.ticket = (step + 0.5) / steps
        found = world.explain(seen, "weighted", client)
        counts[found["answer"][0]["content"]] += 1
    chances = {one["node"]: one["chance"] for one in found["candidates"] if one["type"] == "A"}
    assert sum(chances.values()) == pytest.approx(1, abs=1e-5)
    assert chances["sin1"] == chances["gru1"] == 0
    for node, chance in chances.items():
        content = seen.model.nodes[node].a[0]
        assert abs(counts[content] - chance * steps) <= 1, node


@pytest.mark.no_cover
def test_a_node_that_goes_down_moves_only_its_own_clients_of_policy_hash(world: World) -> None:
    seen = context.live(world.store)
    networks = [f"20.{high}.{low}.0/24" for high in range(16) for low in range(0, 256, 4)]

    def owners(**states: str) -> dict[str, str]:
        known = dict(seen.states)
        for node, word in states.items():
            known[node] = type(known[node])()
            known[node].update({"state": word})
        changed = context.Context(
            model=seen.model,
            cell=seen.cell,
            states=known,
            overrides=seen.overrides,
            loads={},
            now=seen.now,
            generation=1,
            tier="live",
        )
        return {net: world.explain(changed, "hash-name", net)["nodes"][0] for net in networks}

    before, after = owners(), owners(fra1="down")
    moved = {net for net in networks if before[net] != after[net]}
    assert moved == {net for net in networks if before[net] == "fra1"}
    assert moved


@pytest.mark.parametrize("policy", [policy for policy in POLICIES if policy != "weighted"])
def test_a_client_gets_the_same_node_in_every_front_end(world: World, tmp_path: Path, policy: str) -> None:
    """HTTP and Squid may hash the path instead, which is their default for `hash`: here they go by the client's network."""
    dice = random.Random(11)
    name = f"{policy}-name"
    chooser = Chooser(world.tier, lambda _: 0, lambda: 0.0, lambda _: None)
    squid = Rewriter(chooser, Target(), Routes(), by_path=False)
    with live_steering(world.server, world.prefix, tmp_path, timeout=5000) as library:
        web = Redirector(library, by_path=False)
        for _ in range(300):
            four = dice.random() < 0.7
            client = str(
                ipaddress.IPv4Address(address4(dice)) if four else ipaddress.IPv6Address(address6(dice))
            )
            length = 24 if four else 48
            ((_, target, _),), _ = world.answer(name, f"{client}/{length}", "192.0.2.1")
            # the path names other files each time, and does not matter
            reply = web.reply(
                "GET", b"/%d" % dice.getrandbits(20), "http", client, [(b"host", f"{name}.{ZONE}".encode())]
            )
            line = f"1 http://{name}.{ZONE}/{dice.getrandbits(20)} {client}/- - GET".encode()
            seen = {
                "pipe": target.removesuffix(".example.net"),
                "library": getattr(library.decide(f"{name}.{ZONE}", client).node, "name", None),
                "http": dict(reply.headers)[b"location"].decode().partition("://")[2].partition(".")[0],
                "squid": squid.reply(line, time.monotonic())
                .decode()
                .partition("node_=")[2]
                .partition(" ")[0],
            }
            assert len(set(seen.values())) == 1, (client, seen)


# ---------------------------------------------------------------- layers

NAMED = {
    "networks": {"office": {"lon1": 100}}, "asns": {"AS10": {"lon2": 100}}, "subdivisions": {"US-CA": {"ams1": 100}},
    "countries": {"US": {"fra1": 100}}, "continents": {"NA": {"nyc1": 100}}, "default": {"sfo1": 100},
}  # fmt: skip
NAMING = {
    "nets": {"20.0.0.0/16": "office"}, "bgp": {"20.0.0.0/14": "AS99 AS10"}, "geo": {"20.0.0.0/8": "US-CA 37 -122"},
}  # fmt: skip


def published(
    server: RedisServer, prefix: str, tables: Mapping[str, Mapping[str, str]], **changes: Any
) -> tuple[Store, Context]:
    with server.client() as client:
        publish_tiny(client, prefix, configuration(**changes), tables)
    store = connect(RedisSettings(url=server.url, prefix=prefix))
    return store, context.live(store)


class Told(dict[str, Any]):
    """What `geosteer explain --json` tells, and its text."""

    def __init__(self, explanation: Explanation) -> None:
        super().__init__(explanation.to_json())
        self.text = as_text(explanation)


def explained(seen: Context, name: str, client: str, kinds: tuple[str, ...] = ("A",)) -> Told:
    service = explanations.find_service(seen.model, f"{name}.{ZONE}")
    return Told(explanations.describe(seen, service, explanations.asker_of(client, seen), kinds))


def test_layers_answer_in_any_order_that_is_configured(redis_server: RedisServer, prefix: str) -> None:
    for order in permutations(ORDER):
        store, seen = published(redis_server, prefix, NAMING, **NAMED, order=list(order))
        with store:
            everywhere = explained(seen, "best", "20.0.0.0/24")
            assert everywhere["layer"].partition(" ")[0] == order[0]
            assert [one["layer"] for one in everywhere["layers"]] == [order[0]]
            no_network = explained(seen, "best", "20.1.0.0/24")
            assert no_network["layer"].partition(" ")[0] == next(one for one in order if one != "networks")
            geo_only = explained(seen, "best", "20.8.0.0/24")
            left = [one for one in order if one not in {"networks", "asns"}]
            assert geo_only["layer"].partition(" ")[0] == left[0]


def test_the_layers_tried_are_told_with_what_came_of_each(redis_server: RedisServer, prefix: str) -> None:
    changes = {**NAMED, "asns": {"AS10": {"lon2": 100}}, "countries": {"US": {"fra1": 100}}}
    tables = {**NAMING, "bgp": {"20.0.0.0/8": "AS99"}, "nets": {}}
    with redis_server.client() as client:
        client.hset(Keys(prefix).node("ams1"), mapping={"state": "down"})
        client.hset(Keys(prefix).node("fra1"), mapping={"state": "up", "shed": "1"})
    store, seen = published(redis_server, prefix, tables, **changes)
    with store:
        found = explained(seen, "best", "20.0.0.0/24")
    assert [(one["layer"], one["key"], one["outcome"]) for one in found["layers"]] == [
        ("networks", None, "the table has no record for the client"),
        ("asns", None, "does not name AS99"),
        ("subdivisions", "US-CA", "has no serving node"),
        ("countries", "US", "has no serving node"),
        ("continents", "NA", "answers"),
    ]
    assert {one["node"]: one["excluded"] for one in found["candidates"]} == {
        "ams1": "down", "fra1": "sheds all", "nyc1": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("record", "node", "key"),
    [
        ("AS10", "ams1", "AS10"), ("AS20 AS10", "nyc1", "AS20"), ("AS99 AS98 AS10", "ams1", "AS10"),
        ("AS0", "lon1", None), ("AS0 AS10", "ams1", "AS10"), ("AS100", "lon1", None), ("AS1", "lon1", None),
    ],
)  # fmt: skip
def test_the_first_origin_that_a_layer_names_counts_and_no_as_is_equal_to_none(
    redis_server: RedisServer, prefix: str, record: str, node: str, key: str | None
) -> None:
    asns = {
        "AS10": {"ams1": 100},
        "AS20": {"nyc1": 100},
        "AS0": {"gru1": 100},
    }  # AS0: no check let it through
    store, seen = published(
        redis_server,
        prefix,
        {"bgp": {"20.0.0.0/8": record}},
        order=["asns"],
        asns=asns,
        default={"lon1": 100},
    )
    with store:
        found = explained(seen, "best", "20.0.0.0/24")
        assert found["nodes"] == [node]
        assert found["layers"][0]["key"] == key
        assert explained(seen, "best", "30.0.0.0/24")["nodes"] == ["lon1"], "no record is no AS either"


# ---------------------------------------------------------------- what is told


def test_candidates_come_with_distance_load_and_why_they_give_a_client_away(
    redis_server: RedisServer, prefix: str
) -> None:
    keys = Keys(prefix)
    with redis_server.client() as client:
        client.hset(keys.beat, "feed", "1 2026-01-01T00:00:00Z 10")
        client.hset(
            keys.verdict("feed"),
            mapping={
                "lon1": json.dumps({"load": 380, "loaded": "2026-01-01T00:00:00.000Z"}),
                "gone": json.dumps({"load": 1, "loaded": "2026-01-01T00:00:00.000Z"}),
            },
        )
        client.hset(keys.node("lon1"), mapping={"state": "up", "shed": "0.999"})
    tables = {"geo": {"20.0.0.0/9": "GB 51.5 -0.1"}, "path": {"20.0.0.0/10": "lon=2 ams=1"}}
    nodes = {"lon1": 100, "ams1": 100, "gru1": 100}
    store, seen = published(
        redis_server, prefix, tables, order=["countries"], countries={"GB": nodes}, default={"nyc1": 1}
    )
    with store:
        near = explained(seen, "nearest", "20.0.0.0/24")
        far = explained(seen, "path", "20.0.0.0/24")
        unknown = explained(seen, "nearest", "30.0.0.0/24")
    by_node = {one["node"]: one for one in near["candidates"]}
    assert by_node["lon1"]["km"] == pytest.approx(2.35, abs=0.1)
    assert by_node["ams1"]["km"] == pytest.approx(357, abs=1)
    assert by_node["gru1"]["km"] is None
    assert by_node["lon1"]["load"] == 0.95
    assert by_node["lon1"]["shed"] == 0.999
    assert by_node["lon1"]["spilled"]
    assert by_node["ams1"]["chosen"]
    assert by_node["ams1"]["load"] is None
    assert near["nodes"] == ["ams1"]
    assert near["scope_reason"] == "which clients a node keeps is settled by a hash of their /24"
    assert {one["node"]: one["path_length"] for one in far["candidates"]} == {
        "lon1": 2,
        "ams1": 1,
        "gru1": None,
    }
    assert far["scope"] == 10
    assert far["scope_reason"] == "path 20.0.0.0/10 is the narrowest of the tables asked (geo, path)"
    assert unknown["candidates"][0]["km"] is None
    text = click.unstyle(near.text)
    rows = {line.split()[3]: line for line in text.splitlines() if line.startswith("countries GB")}
    assert "  356  " in rows["ams1"]
    assert rows["ams1"].endswith("chosen")
    assert "95 %" in rows["lon1"]
    assert rows["lon1"].endswith("gives this client away")
    assert "scope 24: which clients a node keeps is settled by a hash of their /24" in text
    assert "lon1: sheds >99 % for its load" in text.splitlines()
    assert near["policy_reason"] is far["policy_reason"] is None
    assert unknown["policy_reason"] == "geo has no place for the client, so nodes rank as in best"


def test_a_bias_is_told_beside_the_distance_or_time_that_it_changes(
    redis_server: RedisServer, prefix: str
) -> None:
    tables = {"geo": {"20.0.0.0/9": "GB 51.5 -0.1"}, "rtt": {"20.0.0.0/10": "lon1=9 ams1=12 fra1=20"}}
    nodes = {"lon1": 100, "ams1": 100, "fra1": 100}
    store, seen = published(redis_server, prefix, tables, order=[], default=nodes)
    with store:
        near = explained(seen, "nearest-biased", "20.100.0.0/24")
        fast = explained(seen, "latency-biased", "20.0.0.0/24")
        nowhere = explained(seen, "nearest-biased", "30.0.0.0/24")
    by_node = {one["node"]: one for one in near["candidates"]}
    assert by_node["lon1"]["bias"] == -60
    assert by_node["lon1"]["biased"] == pytest.approx(by_node["lon1"]["km"] / 0.4, abs=0.2)
    assert by_node["fra1"]["biased"] == pytest.approx(by_node["fra1"]["km"] * 0.65, abs=0.2)
    assert "bias" not in by_node["ams1"]
    assert "biased" not in by_node["ams1"]
    text = click.unstyle(near.text)
    assert "COUNTS AS" in text
    assert f"{by_node['fra1']['biased']:.0f} with bias 35" in text
    timed = {one["node"]: (one["ms"], one.get("biased")) for one in fast["candidates"]}
    assert timed == {"lon1": (9, 22.5), "ams1": (12, None), "fra1": (20, 13.0)}
    assert fast["nodes"][0] in {"ams1", "fra1"}, "lon1 is the fastest without its bias"
    assert not any("bias" in one for one in nowhere["candidates"])


def test_an_operators_word_a_ramp_and_the_order_of_answers_are_told(
    redis_server: RedisServer, prefix: str
) -> None:
    keys = Keys(prefix)
    since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    said = {"state": "drain", "percent": 99.9, "who": "me@here", "since": since, "why": "new disks"}
    with redis_server.client() as client:
        client.hset(keys.override, mapping={"ams1": json.dumps(said), "fra1": json.dumps({"state": "down"})})
        client.hset(keys.node("nyc1"), mapping={"state": "up", "before": "down", "since": since})
        client.hset(keys.node("lon1"), mapping={"state": "up", "failing": "yes"})
    nodes = {**configuration()["nodes"], "nyc1": {**configuration()["nodes"]["nyc1"], "ramp": 9000}}
    weights = {"ams1": 3, "lon1": 2, "nyc1": 9, "fra1": 1, "lon2": 1}
    with redis_server.client() as client:
        made = configuration(order=[], default=weights)
        publish_tiny(client, prefix, {**made, "nodes": nodes}, {})
    with connect(RedisSettings(url=redis_server.url, prefix=prefix)) as store:
        found = explained(context.live(store), "best-3", "20.0.0.0/24")
    by_node = {one["node"]: one for one in found["candidates"] if one["type"] == "A"}
    assert {name: one["rank"] for name, one in by_node.items()} == {
        "ams1": 1, "lon1": 2, "lon2": 3, "nyc1": None, "fra1": None,
    }  # fmt: skip
    assert by_node["ams1"]["override"] == said
    assert by_node["lon1"]["override"] is by_node["lon1"]["ramps_until"] is None
    text = click.unstyle(found.text)
    assert f"ams1: operator: drain to 99.9 %, me@here since {since}: new disks" in text.splitlines()
    assert "lon1: checks fail, though too few to call it down: a shorter TTL" in text.splitlines()
    assert f"nyc1: came back, ramps up until {by_node['nyc1']['ramps_until']}" in text.splitlines()


def test_the_order_of_equals_is_explained(redis_server: RedisServer, prefix: str) -> None:
    nodes = {"lon1": 200, "ams1": 100, "fra1": 100, "nyc1": 50}
    tables = {"geo": {"20.0.0.0/9": "GB 51.5 -0.1"}}
    store, seen = published(redis_server, prefix, tables, order=[], default=nodes)
    with store:
        best = explained(seen, "best", "20.0.0.0/24")
        near = explained(seen, "nearest", "20.0.0.0/24")
        hashed = explained(seen, "hash-name", "20.0.0.0/24", ("CNAME",))
        drawn = explained(seen, "weighted", "20.0.0.0/24")
    network = "20.0.0.0/24"
    ordered = sorted(("ams1", "fra1"), key=lambda node: -unit(node, network)[1])
    reason = (
        "the same weight, so they are ordered by a hash of node and client (the client counts as 20.0.0.0/24)"
    )
    assert best["equals"] == [{"type": "A", "nodes": ordered, "reason": reason}]
    assert f"{', '.join(ordered)}: {reason}" in best.text.splitlines()
    assert near["equals"] == [], "they differ in weight or distance"
    assert hashed["equals"][0]["nodes"][0] == hashed["nodes"][0]
    assert "a hash of node and client, weighted" in hashed["equals"][0]["reason"]
    assert drawn["equals"] == []
    assert best["nodes"] == ["lon1"], "equals of which none is chosen are told of too"


def test_a_client_that_nobody_keeps_is_told_so(redis_server: RedisServer, prefix: str) -> None:
    with redis_server.client() as client:
        client.hset(Keys(prefix).node("lon1"), mapping={"state": "up", "shed": "0.999"})
        client.hset(Keys(prefix).node("ams1"), mapping={"state": "up", "shed": "0.998"})
    tables = {"geo": {"20.0.0.0/9": "GB"}}
    store, seen = published(
        redis_server, prefix, tables, order=["countries"], countries={"GB": {"ams1": 1}}, default={"lon1": 1}
    )
    with store:
        found = explained(seen, "best", "20.0.0.0/24")
    assert [one["outcome"] for one in found["layers"] if one["type"] == "A"] == [
        "answers, although the client is outside every node's share", "its nodes give the client away",
    ]  # fmt: skip
    assert found["answered_by"] == {"A": "countries GB"}
    assert [one["unwilling"] for one in found["candidates"] if one["type"] == "A"] == [True, False]
    text = click.unstyle(found.text)
    assert "chosen (outside every node's share, and this one's is the highest)" in text


def test_each_type_may_be_answered_by_a_layer_of_its_own(redis_server: RedisServer, prefix: str) -> None:
    tables = {"geo": {"20.0.0.0/9": "GB"}}
    store, seen = published(
        redis_server, prefix, tables, order=["countries"], countries={"GB": {"sfo1": 1}}, default={"lon1": 1}
    )
    with store:
        found = explained(seen, "best", "20.0.0.0/24", ("A", "AAAA"))
        drawn = explained(seen, "weighted", "20.0.0.0/24")
    assert found["ticket"] is None
    told = drawn.text
    assert "drawn with ticket 0; --ticket draws again with the same" in told
    text = found.text
    assert "layer countries GB for A, default for AAAA" in text


ONLY_GEO = "geo 20.0.0.0/9 is the widest prefix with one record, and no other table was asked"


@pytest.mark.parametrize(
    ("client", "name", "scope", "reason"),
    [
        ("20.0.0.0/24", "best", 9, ONLY_GEO),
        ("20.0.0.0/24", "weighted", 24, "a draw settled it"),
        ("20.0.0.0/24", "hash", 24, "a hash of the client's /24 settled it"),
        ("20.200.0.1/32", "best", 32, "geo 20.200.0.1/32 is the widest prefix with one record, and no other table was asked"),
        ("2a00::/32", "hash", 48, "a hash of the client's /48 settled it"),
        ("2a00::/32", "best", 5, "a wider prefix would hold addresses that are looked up in another way"),
        (
            "::ffff:20.0.0.0/120", "best", 105,
            f"{ONLY_GEO}; 96 bits more, since the address carries an IPv4 one",
        ),
        (
            "2001:0:4136:e378:8000:63bf:3fff:fdd2", "best", 128,
            "only all of its bits give the IPv4 address that it carries",
        ),
        ("0.0.0.0/0", "best", 1, "nothing is known of the client, so no table was asked"),
    ],
)  # fmt: skip
def test_the_reason_of_a_scope_is_told(
    redis_server: RedisServer, prefix: str, client: str, name: str, scope: int, reason: str
) -> None:
    tables = {"geo": {"20.0.0.0/9": "GB", "20.200.0.1/32": "GB"}}
    countries = {"GB": {"lon1": 100, "ams1": 50}}
    store, seen = published(
        redis_server, prefix, tables, order=["countries"], countries=countries, default={"lon1": 2, "ams1": 1}
    )
    with store:
        found = explained(seen, name, client)
    assert (found["scope"], found["scope_reason"]) == (scope, reason)


def test_a_client_whose_nodes_are_all_down_is_told_why_the_chosen_one_would_not_have_served(
    redis_server: RedisServer, prefix: str
) -> None:
    with redis_server.client() as client:
        client.hset(Keys(prefix).node("lon1"), mapping={"state": "down", "reason": "timed out"})
    store, seen = published(redis_server, prefix, {}, order=[], default={"lon1": 100})
    with store:
        found = explained(seen, "best", "20.0.0.0/24")
    (one,) = (one for one in found["candidates"] if one["layer"] == "default")
    assert one["chosen"]
    assert one["excluded"] is None
    assert one["ignored"] == "down: timed out"
    text = found.text
    assert "chosen (although down: timed out)" in text


# ---------------------------------------------------------------- the plan

SERVICE = f"""
[zones."{ZONE}"]
soa = {{ mname = "ns1.example.net", rname = "hostmaster.example.net" }}
ns = ["ns1.example.net"]
[services."best.{ZONE}"]
map = "default"
[services."weighted.{ZONE}"]
map = "default"
policy = "weighted"
[[sources.bgp]]
format = "pyasn"
path = "as.dat"
"""


def test_a_plan_explains_what_the_publish_then_makes_and_writes_nothing(
    own_redis: RedisServer, tmp_path: Path
) -> None:
    dice = random.Random(3)
    blocks = [f"{20 + number}.0.0.0/8" for number in range(12)]
    geo, routes = tmp_path / "geo.csv", tmp_path / "as.dat"

    def draw() -> None:
        geo.write_text("".join(f"{block},{dice.choice(('GB', 'NL', 'US-CA'))}\n" for block in blocks))

    def explain(*, plan: bool) -> list[dict[str, Any]]:
        asked = [explanations.explain(config, f"best.{ZONE}", block, plan=plan) for block in blocks]
        asked += [
            explanations.explain(config, f"weighted.{ZONE}", blocks[0], ticket=ticket, plan=plan)
            for ticket in (0.1, 0.4, 0.7, 0.9)
        ]
        return [{**one.to_json(), "tier": "", "generation": 0} for one in asked]

    draw()
    routes.write_text("".join(f"{block} AS{number + 1}\n" for number, block in enumerate(blocks)))
    path = write_config(tmp_path, own_redis.url, geo=[geo], networks={"lab": ["21.0.0.0/9"]}, more=SERVICE)
    path.write_text(
        path.read_text().replace("default = { ams1 = 100 }", "default = { lon2 = 30, lon1 = 30, ams1 = 40 }")
    )
    config = load(path, {})
    first = explanations.explain(config, f"best.{ZONE}", blocks[0], plan=True)
    assert (first.tier, first.generation) == ("planned", None)
    with own_redis.client() as client:
        assert client.keys() == []
        before = explain(plan=True)
        with connect(config.redis) as store:
            publish(config, store)
        assert explain(plan=False) == before == explain(plan=True)
        draw()
        routes.write_text(routes.read_text().replace("AS3", "AS4"))
        path.write_text(path.read_text().replace("lon2 = 50", "lon2 = 500"))
        config = load(path, {})
        objects = client.hlen("{geosteer}:object")
        planned = explain(plan=True)
        assert client.hlen("{geosteer}:object") == objects
        assert explain(plan=False) == before != planned
        with connect(config.redis) as store:
            assert publish(config, store).changed == ["geo", "bgp", "config"]
        assert explain(plan=False) == planned


PRIVATE = {
    "geo": {"20.0.0.0/8": "GB"},
    "nets": {"10.1.0.0/16": "office", "fd00::/48": "office"},
}


@pytest.mark.parametrize(
    ("subnet", "node", "scope"),
    [
        ("10.1.2.0/24", "gru1", 16),
        ("10.2.2.0/24", "lon1", 15),
        ("fd00::/56", "gru1", 48),
        ("::ffff:10.1.2.0/120", "gru1", 112),
        ("192.168.1.0/24", "lon1", 16),
    ],
)
def test_a_private_network_counts_where_something_published_names_it(
    redis_server: RedisServer, prefix: str, tmp_path: Path, subnet: str, node: str, scope: int
) -> None:
    spec = {"networks": {"office": {"gru1": 100}}, "countries": {"GB": {"lon1": 100}}}
    store, seen = published(redis_server, prefix, PRIVATE, **spec)
    addresses = seen.model.nodes[node].contents("A")
    with store, Worker(backend_toml(tmp_path, redis_server, prefix=prefix)) as worker:
        lines = worker.ask(f"best.{ZONE}", subnet=subnet, remote="20.0.0.53")
        assert [fields[-1] for fields in lines if "A" in fields] == list(addresses)
        assert {int(fields[0]) for fields in lines if "A" in fields} == {scope}
        told = explained(seen, "best", subnet)
        if node == "gru1":
            assert (told["nodes"], told["layer"], told["scope"]) == (["gru1"], "networks", scope)
        else:
            assert told["scope"] == scope


def test_explain_of_one_type_has_the_scope_of_that_types_records(world: World) -> None:
    seen, dice, apart = context.live(world.store), random.Random(15), 0
    for number in range(300):
        client, name = a_client(dice), ("best", "hash", "nearest")[number % 3]
        if not from_question("0.0.0.0", client):
            continue
        line = f"Q\t{name}.{ZONE}\tIN\tANY\t-1\t0.0.0.0\t127.0.0.1\t{client}".encode()
        lines = [
            one.split("\t") for one in world.responder.reply(line, time.monotonic()).decode().splitlines()
        ]
        scopes = {fields[5]: int(fields[1]) for fields in lines if fields[0] == "DATA"}
        for kind in ("A", "AAAA"):
            if kind in scopes:
                assert explained(seen, name, client, (kind,))["scope"] == scopes[kind], (client, kind)
        apart += len(set(scopes.values())) > 1
    assert apart


@pytest.mark.parametrize(
    ("record", "service", "node", "reason"),
    [
        ("GB", "nearest", "lon1", "geo has no place for the client, so its country's middle (GB) stands in"),
        ("GB", "nearest-placed", "sin1", "geo has no place for the client, so nodes rank as in best"),
        ("@EU", "nearest", "sin1", "geo has no place for the client, so nodes rank as in best"),
        ("GB 40 -74", "nearest", "nyc1", None),
    ],
)
def test_the_middle_of_a_country_is_named_where_it_stands_in_for_a_place(
    redis_server: RedisServer, prefix: str, record: str, service: str, node: str, reason: str | None
) -> None:
    default = {"sin1": 100, "lon1": 50, "nyc1": 10}
    tables = {"geo": {"20.0.0.0/9": record}}
    with redis_server.client() as client:
        client.hset(Keys(prefix).node("sin1"), "state", "up")
    store, seen = published(redis_server, prefix, tables, order=[], default=default)
    with store:
        told = explained(seen, service, "20.0.0.0/24")
    assert told["nodes"] == [node]
    assert told["policy_reason"] == reason
    assert {one["node"]: one["km"] is not None for one in told["candidates"]}[node] == (
        service == "nearest" and record != "@EU"
    )

"""Every front end gives one client the node that DNS gives it; and what the others need besides."""

from __future__ import annotations

import json
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from geosteer import NoService, NotReady, Steering
from geosteer.decision.client import parse
from geosteer.library.chooser import Chooser
from geosteer.powerdns.responder import Responder
from geosteer.process import below
from geosteer.sync.tier import Tier
from support.policies import CLIENTS, POLICIES, TABLES, every_policy
from support.servers import wait_until
from support.steering import WWW, document, live_steering, make_settings, republish, set_state, wait_live
from support.tiny import publish_tiny

if TYPE_CHECKING:
    from pathlib import Path

    from support.servers import RedisServer

LATER = 1e12
"""A time for questions that may wait as long as they like."""


class Dns:
    """The answers of the pipe worker's own code."""

    def __init__(self, tier: Tier) -> None:
        self.responder = Responder(tier, below, lambda: 0.5, lambda _: None)
        self.responder.refresh()

    def ask(self, name: str, client: str) -> tuple[dict[str, list[str]], int]:
        """Contents by record type, and the TTL."""
        line = f"Q\t{name}\tIN\tANY\t-1\t{client}\t0.0.0.0\t{client}/{128 if ':' in client else 32}".encode()
        contents: dict[str, list[str]] = {}
        ttl = 0
        for data in self.responder.reply(line, LATER).decode().splitlines():
            fields = data.split("\t")
            if fields[0] == "DATA" and fields[5] in {"A", "AAAA", "CNAME"}:
                contents.setdefault(fields[5], []).append(fields[-1])
                ttl = int(fields[6])
        return contents, ttl


def live_tier(server: RedisServer, prefix: str, folder: Path) -> Tier:
    tier = Tier(make_settings(server, prefix, folder, timeout=5000), below)
    tier.start()
    wait_live(tier)
    return tier


@pytest.mark.parametrize("policy", POLICIES)
def test_every_front_end_gives_a_client_the_node_whose_address_dns_gives(
    redis_server: RedisServer, prefix: str, tmp_path: Path, policy: str
) -> None:
    republish(redis_server, prefix, every_policy(), tables=TABLES)
    name = f"{policy}.cdn.example.net"
    tier = live_tier(redis_server, prefix, tmp_path)
    dns = Dns(tier)
    chooser = Chooser(tier, below, lambda: 0.5, lambda _: None)
    used = set()
    for address in CLIENTS:
        for _ in range(2):  # decided, and remembered
            contents, ttl = dns.ask(name, address)
            choice = chooser.choose(name, parse(address), LATER - 1)
            found = [content for node in choice.nodes for content in node.contents(choice.kind)]
            assert contents[choice.kind] == found, address
            assert choice.ttl == ttl
            used.add(choice.nodes)
    assert len(used) > 1
    tier.close()


def test_a_client_gets_the_node_for_its_own_address_family(
    redis_server: RedisServer, prefix: str, tmp_path: Path
) -> None:
    """DNS answers A and AAAA with different nodes where a node has no address of one family."""
    maps = {"default": {"default": {"nyc1": 100, "lon1": 1}}}
    republish(redis_server, prefix, document(maps=maps, nodes={"nyc1": {"aaaa": []}}))
    with live_steering(redis_server, prefix, tmp_path) as steering:
        four, six = steering.decide(WWW, "8.8.8.8"), steering.decide(WWW, "2a00::1")
        assert (four.kind, four.node and four.node.name) == ("A", "nyc1")
        assert (six.kind, six.node and six.node.name) == ("AAAA", "lon1")


@pytest.mark.parametrize(
    "name",
    [
        "www.cdn.example.net",
        "WWW.CDN.Example.NET",
        "www.cdn.example.net.",
        "a.wild.example.org",
        "b.c.wild.example.org",
    ],
)
def test_a_service_is_found_whatever_the_case_and_by_its_wildcard(
    redis_server: RedisServer, prefix: str, tmp_path: Path, name: str
) -> None:
    republish(redis_server, prefix, document(services={"*.wild.example.org": {"map": "default"}}))
    with live_steering(redis_server, prefix, tmp_path) as steering:
        node = steering.decide(name, "192.0.2.1").node
        assert node is not None
        assert node.name == "lon1"


@pytest.mark.parametrize(
    "name", ["", ".", "other.example.net", "example.net", "cdn.example.net", "\0", "ü.example"]
)
def test_a_name_that_is_no_service_is_an_error_once_something_is_published(
    redis_server: RedisServer, prefix: str, tmp_path: Path, name: str
) -> None:
    republish(redis_server, prefix, document())
    with live_steering(redis_server, prefix, tmp_path) as steering:
        with pytest.raises(NoService):
            steering.decide(name, "192.0.2.1")
        with pytest.raises(NoService):
            steering.explain(name, "192.0.2.1")


def test_the_next_best_nodes_are_given_on_request_and_the_best_one_stays(
    redis_server: RedisServer, prefix: str, tmp_path: Path
) -> None:
    republish(
        redis_server, prefix, document(services={"two.cdn.example.net": {"map": "default", "max_answers": 2}})
    )
    with live_steering(redis_server, prefix, tmp_path) as steering:
        names = {
            limit: [node.name for node in steering.decide(WWW, "203.0.113.1", limit=limit).nodes] for limit in (0, 1, 2, 9)
        }  # fmt: skip
        one_layer = [node.name for node in steering.decide("two.cdn.example.net", "192.0.2.1").nodes]
        assert [node.name for node in steering.decide(WWW, "192.0.2.1", limit=3).nodes] == [
            "lon1",
            "ams1",
            "nyc1",
        ]
        set_state(redis_server, prefix, "lon1", "down")
        wait_until(lambda: steering.decide(WWW, "192.0.2.1").nodes[0].name == "ams1")
        assert [node.name for node in steering.decide(WWW, "192.0.2.1", limit=3).nodes] == ["ams1", "nyc1"]
    # The next layers make up for what is missing, in the order in which the client would go there; in DNS they don't.
    assert names == {0: ["ams1"], 1: ["ams1"], 2: ["ams1", "lon1"], 9: ["ams1", "lon1", "nyc1"]}
    assert one_layer == ["lon1"]


def test_hash_goes_by_the_path_where_there_is_one_so_that_an_object_lives_on_one_node(
    redis_server: RedisServer, prefix: str, tmp_path: Path
) -> None:
    republish(redis_server, prefix, every_policy())
    name, clients = "hash.cdn.example.net", [f"10.{net}.0.1" for net in range(30)]
    with live_steering(redis_server, prefix, tmp_path) as steering:
        by_path = {
            path: {steering.decide(name, client, path=path).nodes for client in clients}
            for path in (f"/film/{number}" for number in range(30))
        }
        assert all(len(nodes) == 1 for nodes in by_path.values())
        assert len(set.union(*by_path.values())) == 3
        assert len({steering.decide(name, client).nodes for client in clients}) == 3
        # Even where nobody is known: then there is no client network to go by.
        assert {path: {steering.decide(name, path=path).nodes} for path in by_path} == by_path
        assert len({steering.decide(name).nodes for _ in clients}) == 1


@pytest.mark.parametrize("policy", sorted(set(POLICIES) - {"hash"}))
def test_other_policies_do_not_care_for_the_path(
    redis_server: RedisServer, prefix: str, tmp_path: Path, policy: str
) -> None:
    republish(redis_server, prefix, every_policy(), tables=TABLES)
    name = f"{policy}.cdn.example.net"
    with live_steering(redis_server, prefix, tmp_path) as steering:
        for client in CLIENTS:
            plain = steering.decide(name, client).nodes
            assert {steering.decide(name, client, path=f"/{number}").nodes for number in range(5)} == {plain}


def test_weighted_draws_are_made_anew_for_every_question_in_exact_proportion(
    redis_server: RedisServer, prefix: str, tmp_path: Path
) -> None:
    services = {"draw.cdn.example.net": {"map": "draw", "policy": "weighted"}}
    maps = {"draw": {"default": {"lon1": 10, "ams1": 20, "nyc1": 70}}}
    republish(redis_server, prefix, document(services=services, maps=maps))
    tier = live_tier(redis_server, prefix, tmp_path)
    tickets = iter([number / 1000 for number in range(1000)])
    chooser = Chooser(tier, below, lambda: next(tickets), lambda _: None)
    drawn = Counter(
        chooser.choose("draw.cdn.example.net", parse("192.0.2.1"), LATER).nodes[0].name for _ in range(1000)
    )
    assert drawn == {"lon1": 100, "ams1": 200, "nyc1": 700}
    tier.close()


def test_a_map_that_refuses_gives_no_node(redis_server: RedisServer, prefix: str, tmp_path: Path) -> None:
    republish(redis_server, prefix, document(maps={"default": {"all_down": "none"}}))
    for node in ("lon1", "ams1", "nyc1"):
        set_state(redis_server, prefix, node, "down")
    with live_steering(redis_server, prefix, tmp_path) as steering:
        choice = steering.decide(WWW, "192.0.2.1")
        assert (choice.node, choice.nodes, choice.tier) == (None, (), "live")
        assert choice.decision is not None
        assert choice.decision.refused


def test_a_node_that_goes_down_loses_its_clients_at_once_and_gets_them_back(
    redis_server: RedisServer, prefix: str, tmp_path: Path
) -> None:
    republish(redis_server, prefix, document())
    with live_steering(redis_server, prefix, tmp_path) as steering:
        assert [node.name for node in steering.decide(WWW, "192.0.2.1").nodes] == ["lon1"]
        set_state(redis_server, prefix, "lon1", "down")
        wait_until(lambda: [node.name for node in steering.decide(WWW, "192.0.2.1").nodes] == ["ams1"])
        set_state(redis_server, prefix, "lon1", "up")
        wait_until(lambda: [node.name for node in steering.decide(WWW, "192.0.2.1").nodes] == ["lon1"])


def test_a_new_generation_is_in_force_without_a_restart(
    redis_server: RedisServer, prefix: str, tmp_path: Path
) -> None:
    republish(redis_server, prefix, document())
    with live_steering(redis_server, prefix, tmp_path) as steering:
        steering.decide(WWW, "192.0.2.1", path="/a", limit=2)
        republish(redis_server, prefix, document(maps={"default": {"countries": {"GB": {"nyc1": 1}}}}))
        wait_until(lambda: [node.name for node in steering.decide(WWW, "192.0.2.1").nodes] == ["nyc1"])
        assert steering.generation == "2"


def test_the_ttl_shrinks_towards_the_end_of_an_override(
    redis_server: RedisServer, prefix: str, tmp_path: Path
) -> None:
    republish(redis_server, prefix, document())
    until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 4))
    with redis_server.client() as client:
        client.hset(f"{{{prefix}}}:override", "lon1", json.dumps({"state": "down", "until": until}))
    with live_steering(redis_server, prefix, tmp_path) as steering:
        first = steering.decide(WWW, "192.0.2.1")
        assert [node.name for node in first.nodes] == ["ams1"]
        assert 1 <= first.ttl <= 4
        wait_until(lambda: [node.name for node in steering.decide(WWW, "192.0.2.1").nodes] == ["lon1"])
        assert steering.decide(WWW, "192.0.2.1").ttl == 60


def test_who_may_not_wait_is_told_so_while_a_page_is_on_its_way(
    own_redis: RedisServer, tmp_path: Path
) -> None:
    with own_redis.client() as client:
        publish_tiny(client, "geosteer")
    with live_steering(own_redis, "geosteer", tmp_path, timeout=20_000) as steering:
        own_redis.freeze()
        begin = time.monotonic()
        with pytest.raises(NotReady):
            steering.decide(WWW, "192.0.2.1", wait=False)
        assert time.monotonic() - begin < 20
        own_redis.thaw()
        wait_until(lambda: steering.decide(WWW, "192.0.2.1").tier == "live")
        assert [node.name for node in steering.decide(WWW, "192.0.2.1", wait=False).nodes] == ["lon1"]


def test_nobody_known_gets_the_default_layer(redis_server: RedisServer, prefix: str, tmp_path: Path) -> None:
    republish(redis_server, prefix, document())
    with live_steering(redis_server, prefix, tmp_path) as steering:
        choice = steering.decide(WWW)
        assert [node.name for node in choice.nodes] == ["nyc1"]
        assert choice.decision is not None
        assert choice.decision.layer == {"A": "default"}


# ---------------------------------------------------------------------- without Redis


def test_without_redis_the_last_known_states_steer_and_after_max_stale_the_round_robin(
    own_redis: RedisServer, tmp_path: Path
) -> None:
    with own_redis.client() as client:
        publish_tiny(client, "geosteer")
        client.save()
    with live_steering(own_redis, "geosteer", tmp_path, max_stale=3) as steering:
        wait_until(lambda: steering.decide(WWW, "192.0.2.1").tier == "live")
        own_redis.kill()
        wait_until(lambda: steering.tier == "stale")
        stale = steering.decide(WWW, "192.0.2.1")
        assert ([node.name for node in stale.nodes], stale.tier, stale.ttl) == (["lon1"], "stale", 60)
        wait_until(lambda: steering.tier == "fallback")
        dealt = [steering.decide(WWW, "192.0.2.1") for _ in range(300)]
        assert Counter(choice.nodes[0].name for choice in dealt) == {"lon1": 100, "ams1": 200}
        assert {(choice.tier, choice.ttl, choice.decision) for choice in dealt} == {("fallback", 10, None)}
        own_redis.start()
        wait_until(lambda: steering.tier == "live")
        assert [node.name for node in steering.decide(WWW, "192.0.2.1").nodes] == ["lon1"]


def test_a_start_without_redis_answers_from_the_last_good_state(
    own_redis: RedisServer, tmp_path: Path
) -> None:
    with own_redis.client() as client:
        publish_tiny(client, "geosteer")
    with live_steering(own_redis, "geosteer", tmp_path):
        pass  # it writes what it knows when it ends
    own_redis.stop()
    with Steering.open(make_settings(own_redis, "geosteer", tmp_path), log=lambda _: None) as steering:
        choices = [steering.decide(WWW, "192.0.2.1") for _ in range(30)]
        assert Counter(choice.nodes[0].name for choice in choices) == {"lon1": 10, "ams1": 20}
        with pytest.raises(NoService):
            steering.decide("other.example.net", "192.0.2.1")
        assert steering.able


FALLBACK = {
    "zones": {
        "cdn.example.net": {
            "soa": {"mname": "ns1.example.net", "rname": "hostmaster.example.net"},
            "ns": ["ns1.example.net"],
            "services": ["www", "*.video.cdn.example.net", {"name": "dl", "answer": "cname"}],
        },
    },
    "servers": [
        {"name": "a", "a": ["192.0.2.1"], "aaaa": ["2001:db8::1"], "hostname": "a.example.net", "weight": 1},
        {"name": "b", "a": ["192.0.2.2"], "hostname": "b.example.net", "weight": 3},
    ],
}  # fmt: skip


def test_with_nothing_but_its_own_settings_it_answers_for_the_services_listed_there(
    own_redis: RedisServer, tmp_path: Path
) -> None:
    own_redis.stop()
    settings = make_settings(own_redis, "geosteer", tmp_path, fallback=FALLBACK)
    with Steering.open(settings, log=lambda _: None) as steering:
        for name, kind in ((WWW, "A"), ("x.video.cdn.example.net", "A"), ("dl.cdn.example.net", "CNAME")):
            dealt = [steering.decide(name, "192.0.2.9") for _ in range(40)]
            assert Counter(choice.nodes[0].name for choice in dealt) == {"a": 10, "b": 30}
            assert {(choice.kind, choice.tier) for choice in dealt} == {(kind, "fallback")}
        six = {steering.decide(WWW, "2001:db8::9").nodes[0].name for _ in range(8)}
        assert six == {"a"}
        assert steering.able


def test_not_knowing_is_not_the_same_as_there_being_no_such_service(
    own_redis: RedisServer, tmp_path: Path
) -> None:
    own_redis.stop()
    with Steering.open(make_settings(own_redis, "geosteer", tmp_path), log=lambda _: None) as steering:
        choice = steering.decide("other.example.net", "192.0.2.1")
        assert (choice.node, choice.tier, choice.decision) == (None, "fallback", None)
        assert not steering.able


def test_a_frozen_redis_delays_answers_once_and_by_no_more_than_the_timeout(
    own_redis: RedisServer, tmp_path: Path
) -> None:
    with own_redis.client() as client:
        publish_tiny(client, "geosteer")
    with live_steering(own_redis, "geosteer", tmp_path, timeout=800) as steering:
        steering.decide(WWW, "192.0.2.1")
        own_redis.freeze()
        took = []
        for address in ("192.0.2.1", "192.0.2.1", *["2001:db8:a::1"] * 8):
            begin = time.monotonic()
            steering.decide(WWW, address)
            took.append(time.monotonic() - begin)
        own_redis.thaw()
        assert 1 <= sum(seconds >= 0.8 for seconds in took) <= 3, took
        wait_until(lambda: steering.decide(WWW, "2001:db8:a::1").tier == "live")

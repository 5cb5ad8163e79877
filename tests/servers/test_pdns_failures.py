"""Redis refused, frozen or lost: every question is still answered, and in time."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING

import dns.rcode
import pytest

from support.dns_setup import backend_toml, document, serving, set_override
from support.servers import PowerDNS, RedisServer, addresses, scope, wait_until
from support.tiny import DOCUMENT, publish_tiny

if TYPE_CHECKING:
    from pathlib import Path

WWW = "www.cdn.example.net"
GB, NL = "192.0.2.0/24", "198.51.100.0/24"
FALLBACK = """
---
[fallback.zones."cdn.example.net"]
soa = { mname = "ns1.example.net", rname = "hostmaster.example.net" }
ns = ["ns1.example.net"]
services = ["www", "*.dyn"]
records = [
    { name = "static", type = "A", content = "192.0.2.200" }, { name = "*.wild", type = "A", content = "192.0.2.201" },
]
[[fallback.servers]]
name = "one"
a = ["192.0.2.101"]
aaaa = ["2001:db8::101"]
weight = 1
[[fallback.servers]]
name = "three"
a = ["192.0.2.103"]
aaaa = ["2001:db8::103"]
weight = 3
"""


PROMPT = 3.0
"""Seconds in which an answer comes that waits for nothing, on any machine."""
BUDGET = 0.8
"""Seconds of `timeout`, so long that the machine's other work is no reason for it; a link is given up after one second."""


def timed(pdns: PowerDNS, subnet: str = GB, rtype: str = "A") -> tuple[list[str], float]:
    began = time.monotonic()
    answer = addresses(pdns.query(WWW, rtype, subnet=subnet, timeout=20))
    return answer, time.monotonic() - began


def test_a_frozen_redis_costs_a_cold_question_its_budget_and_the_next_ones_nothing(
    own_redis: RedisServer, tmp_path: Path
) -> None:
    with serving(
        tmp_path, own_redis, more=f"timeout = {1000 * BUDGET}", settings={"pipe-timeout": 20_000}
    ) as pdns:
        assert timed(pdns)[0] == ["192.0.2.1"]
        own_redis.freeze()
        try:
            waits = [timed(pdns, f"2a00:{number:x}::/48") for number in range(40)]
            assert all(answer for answer, _ in waits)
            assert 1 <= sum(wait >= BUDGET for _, wait in waits) <= 3, waits
            assert timed(pdns)[0] == ["192.0.2.1"]
            time.sleep(1.2)
            assert timed(pdns)[0] == ["192.0.2.1"]
        finally:
            own_redis.thaw()


def test_a_killed_redis_leaves_stale_answers_then_the_round_robin_then_recovers(
    own_redis: RedisServer, tmp_path: Path
) -> None:
    with serving(tmp_path, own_redis, more=f"max_stale = 4\ntimeout = {1000 * PROMPT}") as pdns:
        assert timed(pdns)[0] == ["192.0.2.1"]
        own_redis.kill()
        for _ in range(10):
            answer, wait = timed(pdns)
            assert answer == ["192.0.2.1"]
            assert wait < PROMPT
        wait_until(lambda: timed(pdns)[0] == ["192.0.2.2"])
        response = pdns.query(WWW, "A", subnet=GB)
        assert response.answer[0].ttl == 10
        assert scope(response) == 1
        own_redis.start()
        with own_redis.client() as client:
            publish_tiny(client, "geosteer")
        wait_until(lambda: scope(pdns.query(WWW, "A", subnet=GB)) == 24)


def test_the_round_robin_leaves_out_what_an_operator_put_down(own_redis: RedisServer, tmp_path: Path) -> None:
    set_override(own_redis, "ams1", state="down", who="test")
    with serving(tmp_path, own_redis, more="max_stale = 0") as pdns:
        wait_until(lambda: timed(pdns, NL)[0] == ["192.0.2.1"])
        own_redis.kill()
        wait_until(lambda: scope(pdns.query(WWW, "A", subnet=NL)) == 1)
        assert {timed(pdns, NL)[0][0] for _ in range(12)} == {"192.0.2.1"}


@pytest.mark.parametrize("threads", [1, 3])
def test_dual_stack_clients_are_spread_by_weight_for_each_type(tmp_path: Path, threads: int) -> None:
    folder = tmp_path / "no-redis-here"
    folder.mkdir()
    with PowerDNS(backend_toml(folder, f"unix://{folder}/absent.sock", FALLBACK), threads=threads) as pdns:
        counts = {"A": Counter[str](), "AAAA": Counter[str]()}
        for number in range(240):
            for rtype, counter in counts.items():
                response = pdns.query(WWW, rtype, subnet=f"198.51.{number}.0/24")
                assert scope(response) == 1
                counter.update(addresses(response))
    for counter in counts.values():
        light, heavy = sorted(counter.values())
        # In each cycle of four slots, two go to the type: the light server is one of them every second time.
        assert abs(light - 240 / 4) < 4.5 * (120 * 0.25) ** 0.5
        assert light + heavy == 240


def test_a_worker_that_starts_without_redis_answers_from_the_last_good_state(
    own_redis: RedisServer, tmp_path: Path
) -> None:
    what = document()
    what["zones"]["cdn.example.net"]["records"].append(
        {"name": "text.cdn.example.net", "type": "TXT", "content": '"kept"', "ttl": 60}
    )
    with serving(tmp_path, own_redis, what) as pdns:
        assert timed(pdns)[0] == ["192.0.2.1"]
        wait_until((tmp_path / "last-good.json").exists)
    own_redis.kill()
    with PowerDNS(tmp_path / "backend.toml") as pdns:
        assert {timed(pdns)[0][0] for _ in range(12)} == {"192.0.2.1", "192.0.2.2"}
        assert addresses(pdns.query("text.cdn.example.net", "TXT")) == ['"kept"']
        assert addresses(pdns.query("lon1.cdn.example.net", "A")) == ["192.0.2.1"]
        assert pdns.query("cdn.example.net", "SOA").answer
        assert pdns.query("nothing.cdn.example.net").rcode() == dns.rcode.NXDOMAIN
        own_redis.start()
        with own_redis.client() as client:
            publish_tiny(client, "geosteer", what)
        wait_until(lambda: scope(pdns.query(WWW, "A", subnet=GB)) == 24)


def test_a_worker_that_knows_only_its_own_settings_answers_what_they_list(tmp_path: Path) -> None:
    with PowerDNS(backend_toml(tmp_path, f"unix://{tmp_path}/absent.sock", FALLBACK)) as pdns:
        assert pdns.query("cdn.example.net", "SOA").answer
        assert addresses(pdns.query("cdn.example.net", "NS")) == ["ns1.example.net."]
        assert addresses(pdns.query("static.cdn.example.net")) == ["192.0.2.200"]
        assert len(addresses(pdns.query("x.dyn.cdn.example.net"))) == 1
        assert pdns.query("unlisted.cdn.example.net").rcode() == dns.rcode.SERVFAIL
        assert pdns.query("www.example.org").rcode() == dns.rcode.REFUSED


def test_a_worker_that_knows_no_zone_fails_and_never_says_that_a_name_is_not_there(tmp_path: Path) -> None:
    with PowerDNS(backend_toml(tmp_path, f"unix://{tmp_path}/absent.sock")) as pdns:
        for _ in range(3):
            began = time.monotonic()
            assert pdns.query(WWW).rcode() == dns.rcode.SERVFAIL
            assert time.monotonic() - began < PROMPT


def test_an_emptied_redis_is_an_outage_not_a_new_truth(own_redis: RedisServer, tmp_path: Path) -> None:
    with serving(tmp_path, own_redis) as pdns:
        assert timed(pdns)[0] == ["192.0.2.1"]
        with own_redis.client() as client:
            client.flushall()
            assert all(timed(pdns)[0] == ["192.0.2.1"] for _ in range(5))
            other = document()
            other["maps"]["default"]["countries"]["GB"] = {"nyc1": 100}
            publish_tiny(client, "geosteer", other, generation=2)
        wait_until(lambda: timed(pdns)[0] == ["192.0.2.3"])


def test_a_map_that_refuses_when_all_is_down_gives_servfail(own_redis: RedisServer, tmp_path: Path) -> None:
    what = document()
    what["maps"]["default"]["all_down"] = "none"
    with serving(tmp_path, own_redis, what) as pdns:
        for node in DOCUMENT["nodes"]:
            set_override(own_redis, node, state="down", who="test")
        wait_until(lambda: pdns.query(WWW, "A", subnet=GB).rcode() == dns.rcode.SERVFAIL)


def test_wildcard_records_of_the_settings_are_answered_without_redis(tmp_path: Path) -> None:
    with PowerDNS(backend_toml(tmp_path, "unix:///nowhere", FALLBACK)) as pdns:
        for name in ("a.wild", "b.a.wild"):
            assert addresses(pdns.query(f"{name}.cdn.example.net", "A")) == ["192.0.2.201"]
            assert pdns.query(f"{name}.cdn.example.net", "TXT").rcode() == dns.rcode.NOERROR
        assert pdns.query("unlisted.cdn.example.net", "A").rcode() == dns.rcode.SERVFAIL

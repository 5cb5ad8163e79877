"""`_geosteer.<service>`: operators ask a name server why, and nobody else sees it, through PowerDNS with its caches on."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import dns.rcode
import pytest

from support.dns_setup import backend_toml, document, serving, set_override, set_state
from support.servers import PowerDNS, RedisServer, addresses, wait_until
from support.tiny import publish_tiny

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dns.message import Message

WWW = "www.cdn.example.net"
GB, NL = "192.0.2.0/24", "198.51.100.0/24"
OPERATOR, OTHER_OPERATOR, OUTSIDER = "127.0.0.9", "127.0.0.10", "127.0.0.20"
SETTINGS = 'max_stale = "1h"\n---[debug]\nnetworks = ["127.0.0.8/29"]\n'
LONG_CACHES = {"cache-ttl": 60, "query-cache-ttl": 60, "negquery-cache-ttl": 60}
EVERYTHING = document(
    services={
        "*.cdn.example.net": {"map": "default", "ttl": 30},
        "cdn.example.net": {"map": "default", "ttl": 30},
        "draw.cdn.example.net": {"map": "default", "ttl": 30, "policy": "weighted"},
    }
)


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="module", params=["as shipped", "60 s"])
def pdns(
    request: pytest.FixtureRequest, redis: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PowerDNS]:
    settings = LONG_CACHES if request.param == "60 s" else {}
    folder = tmp_path_factory.mktemp("debug")
    with serving(folder, redis, EVERYTHING, SETTINGS, threads=2, settings=settings) as server:
        yield server


def nonce(service: str = WWW) -> str:
    return f"{random.randrange(10**9)}._geosteer.{service}"


def told(response: Message) -> dict[str, str]:
    """The key=value strings of the one TXT record, in their order."""
    ((record,),) = response.answer
    return dict(string.decode().split("=", 1) for string in record.strings)


def test_an_operator_is_told_what_decides(pdns: PowerDNS) -> None:
    response = pdns.query(nonce(), "TXT", subnet=NL, source=OPERATOR)
    facts = told(response)
    assert {key: facts.pop(key) for key in ("time", "worker")}.keys() == {"time", "worker"}
    assert facts == {
        "service": WWW, "resolver": OPERATOR, "subnet": NL, "client": NL, "map": "default", "policy": "best",
        "geo": "198.51.100.0/24 NL", "A": "ams1", "A.layer": "countries NL", "A.scope": "24", "AAAA": "ams1",
        "AAAA.layer": "countries NL", "AAAA.scope": "24", "ttl": "60", "tier": "live", "generation": "1",
    }  # fmt: skip
    assert [rrset.ttl for rrset in response.answer] == [0]
    assert list(facts)[:4] == ["service", "resolver", "subnet", "client"]


def test_each_client_is_told_of_itself_and_never_from_a_cache(pdns: PowerDNS) -> None:
    for name in (nonce(), f"_geosteer.{WWW}"):
        for _ in range(3):
            for subnet, node in (
                (GB, "lon1"),
                (NL, "ams1"),
                ("192.0.2.77/32", "lon1"),
                ("2001:db8:b::/48", "ams1"),
            ):
                for source in (OPERATOR, OTHER_OPERATOR):
                    facts = told(pdns.query(name, "TXT", subnet=subnet, source=source))
                    assert (facts["A"], facts["subnet"], facts["resolver"]) == (node, subnet, source)
            for source in (OPERATOR, OTHER_OPERATOR):
                facts = told(pdns.query(name, "TXT", source=source))
                assert (facts["resolver"], facts["subnet"], facts["A"]) == (source, f"{source}/32", "nyc1")


@pytest.mark.parametrize("subnet", [None, NL, f"{OPERATOR}/32", "127.0.0.0/8"])
def test_for_everybody_else_the_name_does_not_exist(pdns: PowerDNS, subnet: str | None) -> None:
    service = "draw.cdn.example.net"
    name = nonce(service)
    for source in (OPERATOR, OUTSIDER) * 3:
        response = pdns.query(name, "TXT", subnet=subnet, source=source)
        if source == OPERATOR:
            assert told(response)["ticket"]
        else:
            assert (response.rcode(), response.answer) == (dns.rcode.NXDOMAIN, [])
            break  # from now on it is missing for everybody: what PowerDNS remembers has no client
    for source in (OUTSIDER, OUTSIDER):
        for tcp in (False, True):
            response = pdns.query(nonce(service), "TXT", subnet=subnet, source=source, tcp=tcp)
            assert (response.rcode(), response.answer) == (dns.rcode.NXDOMAIN, [])
            assert WWW not in str(response.additional)


def test_with_a_label_of_ones_own_no_outsider_can_blind_an_operator(pdns: PowerDNS) -> None:
    for subnet in (None, NL):
        for name in (f"_geosteer.{WWW}", nonce(), f"*._geosteer.{WWW}"):
            assert pdns.query(name, "TXT", subnet=subnet, source=OUTSIDER).answer == []
        for _ in range(2):
            assert told(pdns.query(nonce(), "TXT", subnet=subnet, source=OPERATOR))["service"] == WWW


@pytest.mark.parametrize(
    ("service", "is_answered_by"),
    [
        ("cname.cdn.example.net", "cname.cdn.example.net"),
        ("cdn.example.net", "cdn.example.net"),
        ("img.cdn.example.net", "*.cdn.example.net"),
        ("a.b.cdn.example.net", "*.cdn.example.net"),
        ("lon1.cdn.example.net", None),
        ("x.www.cdn.example.net", None),
        ("ns1.example.org", None),
    ],
)
def test_every_service_has_one_and_nothing_else(
    pdns: PowerDNS, service: str, is_answered_by: str | None
) -> None:
    response = pdns.query(nonce(service), "TXT", subnet=NL, source=OPERATOR)
    if is_answered_by is None:
        assert response.answer == []
    else:
        facts = told(response)
        assert facts["service"] == is_answered_by
        assert facts["CNAME" if service.startswith("cname") else "A"] == "ams1"


@pytest.mark.parametrize("rtype", ["A", "SOA", "NS", "MX"])
def test_it_has_no_other_records(pdns: PowerDNS, rtype: str) -> None:
    assert pdns.query(nonce(), rtype, source=OPERATOR).answer == []


def test_it_is_told_over_tcp_too(pdns: PowerDNS) -> None:
    assert told(pdns.query(nonce(), "TXT", subnet=GB, source=OPERATOR, tcp=True))["A"] == "lon1"


def test_it_names_who_may_not_serve(redis: RedisServer, pdns: PowerDNS) -> None:
    set_state(redis, "ams1", "down", reason='refused "here" \\ t\u00fcr')
    try:
        wait_until(lambda: "not" in told(pdns.query(nonce(), "TXT", subnet=NL, source=OPERATOR)))
        facts = told(pdns.query(nonce(), "TXT", subnet=NL, source=OPERATOR))
        assert facts["not"] == 'ams1 (down: refused "here" \\ t\u00fcr)'
        assert (facts["A"], facts["A.layer"]) == ("lon1", "continents EU")
        assert addresses(pdns.query(WWW, "A", subnet=NL, source=OUTSIDER)) == ["192.0.2.1"]
    finally:
        set_state(redis, "ams1", "up")
        wait_until(lambda: addresses(pdns.query(WWW, "A", subnet=NL)) == ["192.0.2.2"])


@pytest.mark.parametrize("subnet", [GB, NL, "203.0.113.0/24", "8.8.8.0/24", "10.0.0.0/8", "0.0.0.0/0", None])
def test_what_is_told_is_what_is_answered(pdns: PowerDNS, subnet: str | None) -> None:
    nodes = {"lon1": "192.0.2.1", "ams1": "192.0.2.2", "nyc1": "192.0.2.3"}
    facts = told(pdns.query(nonce(), "TXT", subnet=subnet, source=OPERATOR))
    answer = pdns.query(WWW, "A", subnet=subnet, source=OPERATOR)
    assert addresses(answer) == [nodes[facts["A"]]]


def test_it_tells_the_truth_in_every_tier(own_redis: RedisServer, tmp_path: Path) -> None:
    fallback = (
        SETTINGS.replace('"1h"', '"2s"')
        + '[fallback.zones."cdn.example.net"]\nns = ["ns1.example.net"]\nservices = ["www*"]\n'
        'soa = { mname = "ns1.example.net", rname = "hostmaster.example.net" }\n'
        '[[fallback.servers]]\nname = "spare"\na = ["192.0.2.99"]\nweight = 3\n'
    )

    def ask() -> dict[str, str]:
        return told(server.query(nonce(), "TXT", subnet=NL, source=OPERATOR))

    with PowerDNS(backend_toml(tmp_path, own_redis, fallback), settings={"negquery-cache-ttl": 0}) as server:
        facts = ask()  # nothing was ever published: only the worker's own settings are left
        assert (facts["tier"], facts["generation"], facts["layer"], facts["servers"], facts["ttl"]) == (
            "fallback", "none", "last resort", "spare:3", "10",
        )  # fmt: skip
        assert server.query(nonce(), "TXT", subnet=NL, source=OUTSIDER).answer == []
        with own_redis.client() as client:
            publish_tiny(client, "geosteer")
        wait_until(lambda: ask()["tier"] == "live")
        assert ask()["A"] == "ams1"
        with own_redis.client() as client:
            client.hset("{geosteer}:beat", "prober", "1 2026-02-01T00:00:00.000Z 0.2")
        wait_until(lambda: ask().get("frozen") == "prober", what="frozen states")
        facts = ask()
        assert (facts["tier"], facts["A"], facts["A.layer"]) == ("stale", "ams1", "countries NL")
        own_redis.freeze()
        try:
            wait_until(lambda: ask()["tier"] == "fallback", what="the end of max_stale")
            facts = ask()
            assert (facts["layer"], facts["servers"]) == ("last resort", "lon1:10 ams1:20")
            assert "A" not in facts
        finally:
            own_redis.thaw()
        wait_until(lambda: ask()["tier"] != "fallback")
        set_override(own_redis, "ams1", state="down", who="test", why="test")
        wait_until(lambda: ask()["A"] == "lon1")
        assert ask()["not"] == "ams1 (operator: down)"


def test_without_the_setting_nobody_is_told(own_redis: RedisServer, tmp_path: Path) -> None:
    with serving(tmp_path, own_redis) as pdns:
        response = pdns.query(nonce(), "TXT", source=OPERATOR)
        assert (response.rcode(), response.answer) == (dns.rcode.NXDOMAIN, [])

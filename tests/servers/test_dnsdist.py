"""conf/dnsdist.conf with a real dnsdist: its cache keeps answers of clients, and gives none to another client."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

import pytest

from support.dns_setup import backend_toml, document, set_state
from support.export_servers import Behind, Dnsdist
from support.servers import RedisServer, addresses, scope
from support.tiny import publish_tiny

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.servers import PowerDNS

WWW = "www.cdn.example.net"
TABLES = {
    "geo": {
        "127.0.0.2/32": "GB", "127.0.0.3/32": "NL", "127.0.0.4/30": "GB", "127.0.1.0/24": "NL", "192.0.2.0/24": "GB",
        "198.51.100.0/24": "NL", "198.51.100.128/25": "GB", "203.0.113.0/24": "FR", "2001:db8:a::/48": "GB",
        "2001:db8:b::/48": "NL",
    }
}  # fmt: skip
GB, NL, OTHER = "192.0.2.1", "192.0.2.2", "192.0.2.3"


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="module")
def pdns(redis: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PowerDNS]:
    with redis.client() as client:
        publish_tiny(client, "geosteer", document(), TABLES)
    settings = {"proxy-protocol-from": "127.0.0.1"}
    more = '---[debug]\nnetworks = ["127.0.0.9"]\n'
    with Behind(backend_toml(tmp_path_factory.mktemp("dnsdist"), redis, more), settings=settings) as server:
        yield server


@pytest.fixture
def dnsdist(pdns: PowerDNS) -> Iterator[Dnsdist]:
    with Dnsdist(pdns) as server:
        yield server


def asked(pdns: PowerDNS) -> int:
    """Questions that reached PowerDNS over UDP."""
    return int(pdns.control("show", "udp-queries"))


def test_a_network_is_answered_from_the_cache_and_another_is_not(dnsdist: Dnsdist, pdns: PowerDNS) -> None:
    first = dnsdist.query(WWW, subnet="192.0.2.0/24")
    assert (addresses(first), scope(first)) == ([GB], 24)
    before = asked(pdns)
    for _ in range(20):
        again = dnsdist.query(WWW, subnet="192.0.2.0/24")
        assert (addresses(again), scope(again)) == ([GB], 24)
    assert asked(pdns) - before <= 2  # dnsdist asks now and then whether PowerDNS is there
    other = dnsdist.query(WWW, subnet="198.51.100.0/25")
    assert (addresses(other), scope(other)) == ([NL], 25)
    assert addresses(dnsdist.query(WWW, subnet="198.51.100.128/25")) == [GB]


def test_resolvers_without_a_client_network_are_told_apart_by_their_whole_address(
    dnsdist: Dnsdist, pdns: PowerDNS
) -> None:
    wanted = {"127.0.0.2": GB, "127.0.0.3": NL, "127.0.0.4": GB, "127.0.0.9": OTHER, "127.0.1.7": NL}
    for tcp in (False, True):
        for _ in range(3):
            for source, address in wanted.items():
                response = dnsdist.query(WWW, source=source, tcp=tcp)
                assert addresses(response) == [address], source
                assert scope(response) is None
    before = asked(pdns)
    for source, address in wanted.items():
        assert addresses(dnsdist.query(WWW, source=source)) == [address]
    assert asked(pdns) - before <= 1


@pytest.mark.parametrize(
    "subnet",
    [
        "0.0.0.0/0",
        "::/0",
        "10.0.0.0/8",
        "192.168.1.0/24",
        "172.16.0.0/12",
        "fd00::/48",
        "fe80::/64",
        "::ffff:10.0.0.0/120",
        "64:ff9b::a00:0/120",
        "2002:a00::/40",
    ],
)
def test_a_network_that_says_nothing_is_no_key_and_the_resolver_counts(dnsdist: Dnsdist, subnet: str) -> None:
    for _ in range(3):
        for source, address in (("127.0.0.2", GB), ("127.0.0.3", NL), ("127.0.0.9", OTHER)):
            assert addresses(dnsdist.query(WWW, subnet=subnet, source=source)) == [address]


def test_many_clients_in_any_order_all_get_their_own_answers(dnsdist: Dnsdist) -> None:
    dice = random.Random(1)
    networks = [(f"192.0.2.{at}/32", GB) for at in range(0, 256, 16)]
    networks += [(f"198.51.100.{at}/28", GB if at >= 128 else NL) for at in range(0, 256, 16)]
    networks += [(f"203.0.113.{at}/30", NL) for at in range(0, 256, 16)]  # of the continent
    networks += [(f"10{at}.1.2.0/24", OTHER) for at in range(1, 10)]
    networks += [
        (f"2001:db8:{group}:{at:x}::/64", address)
        for group, address in (("a", GB), ("b", NL), ("c", OTHER))
        for at in range(16)
    ]
    for _ in range(600):
        subnet, address = dice.choice(networks)
        assert addresses(dnsdist.query(WWW, subnet=subnet)) == [address], subnet


def test_only_operators_are_told_why_whatever_the_cache_holds(dnsdist: Dnsdist) -> None:
    for number in range(3):
        name = f"{number}{random.randrange(10**9)}._geosteer.{WWW}"
        for subnet in (None, "192.0.2.0/24", "127.0.0.9/32"):
            for _ in range(2):
                (answer,) = dnsdist.query(name, "TXT", subnet=subnet, source="127.0.0.9").answer
                assert "resolver=127.0.0.9" in answer.to_text()
        for subnet in (None, "192.0.2.0/24", "127.0.0.9/32"):
            assert dnsdist.query(name, "TXT", subnet=subnet, source="127.0.0.20").answer == []


def test_a_static_name_is_kept_once_for_everybody(dnsdist: Dnsdist, pdns: PowerDNS) -> None:
    assert addresses(dnsdist.query("cdn.example.net", "MX", source="127.0.0.2")) == ["10 mx.example.net."]
    before = asked(pdns)
    for at in range(2, 30):
        assert addresses(dnsdist.query("cdn.example.net", "MX", source=f"127.0.0.{at}")) == [
            "10 mx.example.net."
        ]
    assert asked(pdns) - before <= 2


def test_a_node_that_goes_down_is_given_for_five_seconds_at_most(
    dnsdist: Dnsdist, redis: RedisServer
) -> None:
    subnet = "192.0.2.77/32"
    try:
        assert addresses(dnsdist.query(WWW, subnet=subnet)) == [GB]
        set_state(redis, "lon1", "down")
        began = time.monotonic()
        while addresses(dnsdist.query(WWW, subnet=subnet)) == [GB]:
            assert time.monotonic() - began < 30, "five, on a quiet machine"
            time.sleep(0.05)
        assert addresses(dnsdist.query(WWW, subnet=subnet)) == [NL]
    finally:
        set_state(redis, "lon1", "up")


def test_ttls_age_in_the_cache(dnsdist: Dnsdist) -> None:
    assert dnsdist.query(WWW, subnet="192.0.2.88/32").answer[0].ttl == 60
    time.sleep(2.1)
    assert dnsdist.query(WWW, subnet="192.0.2.88/32").answer[0].ttl in {57, 58}

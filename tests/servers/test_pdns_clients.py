"""Each client gets its own answer, through PowerDNS with its caches on."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

import pytest

from support.dns_setup import backend_toml, document, serving, set_override, set_state
from support.servers import PowerDNS, RedisServer, addresses, scope, wait_until
from support.tiny import publish_tiny

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WWW = "www.cdn.example.net"


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="module")
def pdns(redis: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PowerDNS]:
    with serving(tmp_path_factory.mktemp("clients"), redis, threads=3) as server:
        yield server


def test_two_countries_one_after_another_get_their_own_answers(pdns: PowerDNS) -> None:
    for _ in range(10):
        british = pdns.query(WWW, "A", subnet="192.0.2.0/24")
        dutch = pdns.query(WWW, "A", subnet="198.51.100.0/24")
        assert (addresses(british), scope(british)) == (["192.0.2.1"], 24)
        assert (addresses(dutch), scope(dutch)) == (["192.0.2.2"], 24)
        assert addresses(pdns.query(WWW, "AAAA", subnet="2001:db8:a:1::/64")) == ["2001:db8:1::1"]
        assert addresses(pdns.query(WWW, "AAAA", subnet="2001:db8:b:1::/64")) == ["2001:db8:2::1"]


def test_two_clients_without_ecs_get_their_own_answers(own_redis: RedisServer, tmp_path: Path) -> None:
    with own_redis.client() as client:
        tables = {"geo": {"127.0.0.2/32": "GB", "127.0.0.3/32": "NL"}}
        publish_tiny(client, "geosteer", tables=tables)
    with PowerDNS(backend_toml(tmp_path, own_redis)) as pdns:
        for _ in range(5):
            for source, wanted in (
                ("127.0.0.2", "192.0.2.1"),
                ("127.0.0.3", "192.0.2.2"),
                ("127.0.0.4", "192.0.2.3"),
            ):
                for rtype, first in (("A", wanted), ("AAAA", "2001:db8:")):
                    response = pdns.query(WWW, rtype, source=source)
                    assert addresses(response)[0].startswith(first)
                    assert scope(response) is None


@pytest.mark.parametrize(
    "subnet",
    ["192.0.2.128/25", "192.0.2.0/25", "203.0.113.0/24", "203.0.113.200/32", "8.8.8.0/24", "192.0.0.0/16"],
)
def test_every_address_within_the_scope_gets_the_same_answer(pdns: PowerDNS, subnet: str) -> None:
    response = pdns.query(WWW, "A", subnet=subnet)
    length = scope(response)
    assert length
    network = ipaddress.ip_network(f"{subnet.partition('/')[0]}/{length}", strict=False)
    probes = {network[0], network[-1], network[len(range(network.num_addresses)) // 3]}
    for address in probes:
        other = pdns.query(WWW, "A", subnet=f"{address}/32")
        assert addresses(other) == addresses(response)


@pytest.mark.parametrize(
    "subnet", ["0.0.0.0/0", "::/0", "10.1.2.0/24", "8.8.8.8/32", "fe80::/64", "2002:c000:201::/48"]
)
def test_no_service_name_ever_has_scope_0(pdns: PowerDNS, subnet: str) -> None:
    for rtype in ("A", "AAAA"):
        response = pdns.query(WWW, rtype, subnet=subnet)
        assert scope(response)
        assert len(addresses(response)) == 1


def test_a_mapped_client_is_looked_up_as_the_ipv4_address_it_carries(pdns: PowerDNS) -> None:
    response = pdns.query(WWW, "A", subnet="2002:c000:201::/48")
    assert (addresses(response), scope(response)) == (["192.0.2.1"], 40)


def test_a_node_that_goes_down_is_no_longer_given_and_comes_back(redis: RedisServer, pdns: PowerDNS) -> None:
    def given() -> list[str]:
        return addresses(pdns.query(WWW, "A", subnet="192.0.2.0/24"))

    assert given() == ["192.0.2.1"]
    set_override(redis, "lon1", state="down", who="test", why="test")
    wait_until(lambda: given() == ["192.0.2.2"])
    assert all(given() == ["192.0.2.2"] for _ in range(8))
    with redis.client() as client:
        client.delete("{geosteer}:override")
    wait_until(lambda: given() == ["192.0.2.1"])
    set_state(redis, "lon1", "down", reason="refused")
    wait_until(lambda: all(given() == ["192.0.2.2"] for _ in range(4)))
    set_state(redis, "lon1", "up")
    wait_until(lambda: all(given() == ["192.0.2.1"] for _ in range(4)))


def test_a_new_generation_answers_at_once_in_every_worker(own_redis: RedisServer, tmp_path: Path) -> None:
    with serving(tmp_path, own_redis, threads=3) as pdns:
        assert addresses(pdns.query(WWW, "A", subnet="192.0.2.0/24")) == ["192.0.2.1"]
        other = document()
        other["maps"]["default"]["countries"]["GB"] = {"nyc1": 100}
        with own_redis.client() as client:
            publish_tiny(client, "geosteer", other, generation=2, published="2026-02-02T00:00:00Z")
        wait_until(
            lambda: all(
                addresses(pdns.query(WWW, "A", subnet="192.0.2.0/24")) == ["192.0.2.3"] for _ in range(6)
            )
        )

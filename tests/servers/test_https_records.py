"""HTTPS and SVCB records: their hints are the addresses that A and AAAA give the same client, whatever happens."""

from __future__ import annotations

import ipaddress
import os
import random
from typing import TYPE_CHECKING, Any

import dns.message
import dns.rcode
import dns.rdata
import dns.rdatatype
import pytest
from dns.rdtypes.svcbbase import ParamKey

from geosteer_loader.config.config import check_backend
from geosteer_loader.export import worker_fallback
from support.dns_setup import backend_toml, document, set_override, set_state
from support.servers import PowerDNS, RedisServer, wait_until
from support.tiny import GEO, publish_tiny

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ZONE = "cdn.example.net"
GB = "192.0.2.0/24"
NL = "198.51.100.0/24"
EVERYWHERE = {
    "order": ["countries"], "countries": {"GB": {"lon1": 100, "ams1": 100}},
    "default": {"nyc1": 50, "lon1": 10, "ams1": 40},
}  # fmt: skip
ECH = "AED+DQA8AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7"
HTTPS = [{"alpn": ["h2", "h3"], "port": 8443, "ech": ECH}]
SVCB = [
    {"name": "_dns", "alpn": ["dot", "h2"], "port": 853, "dohpath": "/q{?dns}"},
    {"name": "_8443._https", "alpn": ["h2"], "port": 8443},
]
POLICIES = ("best", "weighted", "hash")
LONG = bool(os.environ.get("GEOSTEER_LONG"))


def services() -> dict[str, Any]:
    made: dict[str, Any] = {
        f"{policy}.{ZONE}": {"map": "all", "policy": policy, "ttl": 60, "https": HTTPS, "max_answers": 1 + at}
        for at, policy in enumerate(POLICIES)
    }
    made[f"www.{ZONE}"] = {"map": "default", "ttl": 60, "https": HTTPS, "svcb": SVCB}
    made[f"one.{ZONE}"] = {"map": "one", "ttl": 60, "https": HTTPS}
    made[f"two.{ZONE}"] = {"map": "all", "ttl": 60, "https": [
        {"priority": 1, "alpn": ["h3"], "no_default_alpn": True, "mandatory": ["alpn", "port"], "port": 444},
        {"priority": 2, "alpn": ["h2"]}, {},
    ]}  # fmt: skip
    made[ZONE] = {
        "map": "default",
        "ttl": 60,
        "https": [{"priority": 0, "target": f"www.{ZONE}"}],
    }
    made[f"*.wild.{ZONE}"] = {"map": "all", "ttl": 60, "https": HTTPS}
    return made


def what() -> dict[str, Any]:
    return document(
        services=services(),
        maps={"all": EVERYWHERE, "one": {"default": {"four": 100, "lon1": 1}}},
        nodes={"four": {"a": ["192.0.2.44", "192.0.2.45"]}},
    )


@pytest.fixture(scope="module")
def server(module_redis: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PowerDNS]:
    folder = tmp_path_factory.mktemp("https")
    with module_redis.client() as client:
        publish_tiny(client, "geosteer", what())
    # several workers, since A, AAAA and HTTPS of a client go to one each
    with PowerDNS(backend_toml(folder, module_redis), threads=3) as running:
        wait_until(lambda: contents(ask(running, f"www.{ZONE}", "A", GB)) == {"192.0.2.1"})
        yield running


def ask(server: PowerDNS, name: str, rtype: str, subnet: str) -> dns.message.Message:
    return server.query(name, rtype, subnet=subnet)


def records(response: dns.message.Message, rtype: str, section: str = "answer") -> list[dns.rdata.Rdata]:
    wanted = dns.rdatatype.from_text(rtype)
    return [record for rrset in getattr(response, section) if rrset.rdtype == wanted for record in rrset]


def contents(response: dns.message.Message, rtype: str = "A", section: str = "answer") -> set[str]:
    return {record.to_text() for record in records(response, rtype, section)}


def hints(record: Any, key: ParamKey) -> set[str]:
    value = record.params.get(key)
    return set(value.addresses) if value is not None else set()


class Answers:
    """What a client gets of one name."""

    def __init__(
        self, server: PowerDNS, name: str, subnet: str, rtype: str = "HTTPS", at: str | None = None
    ) -> None:
        self.a = ask(server, name, "A", subnet)
        self.bound = ask(server, at or name, rtype, subnet)
        self.aaaa = ask(server, name, "AAAA", subnet)
        self.records = records(self.bound, rtype)
        self.addresses = contents(self.a), contents(self.aaaa, "AAAA")

    @property
    def agree(self) -> bool:
        """Whether every record has the addresses of both types as its hints, in it and beside it."""
        for record in self.records:
            if self.addresses != (hints(record, ParamKey.IPV4HINT), hints(record, ParamKey.IPV6HINT)):
                return False
        beside = contents(self.bound, "A", "additional"), contents(self.bound, "AAAA", "additional")
        return bool(self.records) and beside in (self.addresses, (set(), set())) and any(self.addresses)


def clients(number: int, seed: int = 1) -> list[str]:
    """Networks of both families, half of them where the table knows something."""
    rng = random.Random(seed)
    made = []
    known = [ipaddress.ip_network(text) for text in GEO]
    for at in range(number):
        if at % 2:
            net = known[rng.randrange(len(known))]
            inside = int(net[0]) + rng.randrange(net.num_addresses)
            length = rng.choice((24, 32) if net.version == 4 else (48, 56, 64))
            base = ipaddress.ip_address(inside)
        elif at % 4:
            base, length = ipaddress.IPv4Address(rng.randrange(16 << 24, 100 << 24)), 24
        else:
            base, length = ipaddress.IPv6Address((0x2400 << 112) + rng.randrange(1 << 108)), 56
        made.append(str(ipaddress.ip_network((base, length), strict=False)))
    return made


def test_the_record_says_what_is_configured_and_where_the_client_goes(server: PowerDNS) -> None:
    response = ask(server, f"www.{ZONE}", "HTTPS", GB)
    assert response.rcode() == dns.rcode.NOERROR
    assert contents(response, "HTTPS") == {
        f'1 . alpn="h2,h3" port="8443" ipv4hint="192.0.2.1" ech="{ECH}" ipv6hint="2001:db8:1::1"'
    }
    assert [rrset.ttl for rrset in response.answer] == [60]
    (option,) = response.options
    assert option.scopelen == 24


@pytest.mark.parametrize("name", [*POLICIES, "www", "one", "two", "x.wild"])
def test_hints_are_the_addresses_of_a_and_aaaa(server: PowerDNS, name: str) -> None:
    seen = set()
    for subnet in clients(60):
        answers = Answers(server, f"{name}.{ZONE}", subnet)
        assert answers.agree, (subnet, answers.bound, answers.addresses)
        assert {rrset.ttl for each in (answers.a, answers.aaaa, answers.bound) for rrset in each.answer} == {
            60
        }
        scopes = [each.options[0].scopelen for each in (answers.a, answers.aaaa) if each.answer]
        assert answers.bound.options[0].scopelen == max(scopes)
        seen.add(frozenset(answers.addresses[0]))
    assert len(seen) > 1 or name == "one"


@pytest.mark.parametrize(
    ("label", "rtype", "head"),
    [("_dns", "SVCB", 'alpn="dot,h2" port="853"'), ("_8443._https", "HTTPS", 'alpn="h2" port="8443"')],
)
def test_names_below_a_service_have_records_of_their_own(
    server: PowerDNS, label: str, rtype: str, head: str
) -> None:
    at = f"{label}.www.{ZONE}"
    for subnet in clients(40):
        answers = Answers(server, f"www.{ZONE}", subnet, rtype, at)
        assert answers.agree, answers.bound
        assert all(f"1 www.{ZONE}. {head}" in record.to_text() for record in answers.records)
    response = ask(server, at, "A", GB)
    assert response.rcode() == dns.rcode.NOERROR
    assert not response.answer


def test_an_alias_at_the_apex_brings_no_addresses_but_the_clients_own(server: PowerDNS) -> None:
    for subnet in [GB, NL, *clients(20)]:
        response = ask(server, ZONE, "HTTPS", subnet)
        assert contents(response, "HTTPS") == {f"0 www.{ZONE}."}
        own = Answers(server, f"www.{ZONE}", subnet)
        assert own.agree
        for rrset in response.additional:
            name = rrset.name.to_text().rstrip(".")
            if rrset.rdtype == dns.rdatatype.HTTPS:
                assert name == f"www.{ZONE}"
                assert all(not hints(one, ParamKey.IPV4HINT) | hints(one, ParamKey.IPV6HINT) for one in rrset)
        assert contents(response, "A", "additional") in (own.addresses[0], set())
        assert contents(response, "AAAA", "additional") in (own.addresses[1], set())


def test_a_service_of_names_answers_with_its_name(server: PowerDNS) -> None:
    response = ask(server, f"cname.{ZONE}", "HTTPS", GB)
    assert contents(response, "CNAME") == {f"lon1.{ZONE}."}
    assert not records(response, "HTTPS")


def test_a_question_for_all_types_has_them_all(server: PowerDNS) -> None:
    response = server.query(f"www.{ZONE}", "ANY", subnet=GB, tcp=True)
    types = {rrset.rdtype.name for rrset in response.answer}
    assert types == {"A", "AAAA", "HTTPS"}


def changes(rng: random.Random) -> Callable[[RedisServer], None]:
    """One change of what is known of a node, to be made."""
    node = rng.choice(("lon1", "ams1", "nyc1", "four"))
    if rng.random() < 0.5:
        state = rng.choice(("up", "down", "unknown"))
        return lambda redis: set_state(redis, node, state, failing=rng.choice(("yes", "no")))
    percent = rng.choice((0, 30, 70, 100))
    fields: dict[str, Any] = {"state": "down"} if not percent else {"percent": percent}
    return lambda redis: set_override(redis, node, **fields)


def test_hints_agree_while_states_change(server: PowerDNS, module_redis: RedisServer) -> None:
    """A change may come between two questions: then the same client, asked once more, gets answers that agree."""
    rng = random.Random(7)
    names = [f"{name}.{ZONE}" for name in (*POLICIES, "www", "one", "two")]
    for number, subnet in enumerate(clients(10_000 if LONG else 120, seed=3)):
        if not number % 4:
            changes(rng)(module_redis)
        name = rng.choice(names)
        wait_until(lambda: Answers(server, name, subnet).agree, what=f"{name} to agree for {subnet}")  # noqa: B023
    with module_redis.client() as client:
        client.delete("{geosteer}:override", *client.keys("{geosteer}:node:*"))


def test_hints_agree_without_redis(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The last resort is drawn by the client's network: three workers say the same."""
    folder = tmp_path_factory.mktemp("away")
    with RedisServer() as redis:
        with redis.client() as client:
            publish_tiny(client, "geosteer", what())
        more = "max_stale = 0"
        with PowerDNS(backend_toml(folder, redis, more), threads=3) as running:
            wait_until(lambda: contents(ask(running, f"www.{ZONE}", "A", GB)) == {"192.0.2.1"})
            wait_until((folder / "last-good.json").exists, what="the snapshot")
            redis.stop()
            wait_until(lambda: {
                rrset.ttl for _ in range(6) for rrset in ask(running, f"www.{ZONE}", "A", GB).answer
            } == {10}, what="fallback")  # fmt: skip
            seen = set()
            for subnet in clients(30):
                for name in ("www", "weighted", "two", "one"):
                    answers = Answers(running, f"{name}.{ZONE}", subnet)
                    assert answers.agree, (subnet, answers.bound, answers.addresses)
                    seen |= answers.addresses[0]
                assert Answers(running, f"www.{ZONE}", subnet, "SVCB", f"_dns.www.{ZONE}").agree
            assert seen == {"192.0.2.1", "192.0.2.2"}


def test_a_worker_that_has_its_settings_alone_gives_hints_too(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("alone")
    fallback = {
        "nodes": {
            "a": {"a": ["192.0.2.1"], "aaaa": ["2001:db8::1"], "well_connected": 1},
            "b": {"a": ["192.0.2.2"], "aaaa": ["2001:db8::2"], "well_connected": 3},
        },
        "zones": what()["zones"], "services": services(),
    }  # fmt: skip
    config = backend_toml(folder, "unix:///nowhere", "first_wait = 0")
    config.write_text(config.read_text() + worker_fallback.text(fallback))
    assert check_backend(config) == []
    with PowerDNS(config, threads=3) as running:
        wait_until(lambda: contents(ask(running, f"www.{ZONE}", "A", GB)))
        for subnet in clients(12):
            for name in ("www", "weighted", "two", "x.wild"):
                assert Answers(running, f"{name}.{ZONE}", subnet).agree
            assert Answers(running, f"www.{ZONE}", subnet, "SVCB", f"_dns.www.{ZONE}").agree


def test_records_that_cannot_be_used_leave_the_addresses(
    module_redis: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("garbled")
    garbled: list[Any] = [
        "h2", [{"alpn": ["h2 ipv4hint=999.1.1.1"]}], [{"port": 70000}], [{"ech": "no base64"}], [{"target": "a\tb"}], {"a": 1},
        [{"priority": 0}], [{"mandatory": ["port"]}], [{"newer": 1}], [7], [{"alpn": ["h2"]}] * 9,
    ]  # fmt: skip
    made = {f"g{at}.{ZONE}": {"map": "default", "ttl": 60, "https": one} for at, one in enumerate(garbled)}
    with module_redis.client() as client:
        publish_tiny(
            client, "garbled", document(services={**made, f"www.{ZONE}": {"map": "default", "https": HTTPS}})
        )
    with PowerDNS(backend_toml(folder, module_redis, prefix="garbled")) as running:
        wait_until(lambda: contents(ask(running, f"www.{ZONE}", "A", GB)) == {"192.0.2.1"})
        assert Answers(running, f"www.{ZONE}", GB).agree
        for name in made:
            response = ask(running, name, "HTTPS", GB)
            assert (response.rcode(), response.answer) == (dns.rcode.NOERROR, [])
            assert contents(ask(running, name, "A", GB)) == {"192.0.2.1"}
            assert contents(ask(running, name, "AAAA", GB), "AAAA") == {"2001:db8:1::1"}
        assert "no HTTPS and SVCB records for 'g0." in running.log

"""What PowerDNS answers at every kind of name, as RFC 1034, 2308 and 4592 have it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import pytest

from support.dns_setup import document, serving
from support.servers import PowerDNS, RedisServer, addresses, scope

if TYPE_CHECKING:
    from collections.abc import Iterator

ZONE = "cdn.example.net"
RECORDS = [
    {"name": ZONE, "type": "MX", "content": "10 mx.example.net", "ttl": 300},
    {"name": ZONE, "type": "TXT", "content": '"v=spf1 -all"', "ttl": 300},
    {"name": f"_sip._tcp.{ZONE}", "type": "SRV", "content": "10 5 443 sip.example.net", "ttl": 300},
    {"name": f"alias.{ZONE}", "type": "CNAME", "content": f"lon1.{ZONE}", "ttl": 300},
    {"name": f"*.wild.{ZONE}", "type": "A", "content": "192.0.2.77", "ttl": 300},
    {"name": f"there.wild.{ZONE}", "type": "TXT", "content": '"there"', "ttl": 300},
    {"name": f"sub.{ZONE}", "type": "NS", "content": f"ns.sub.{ZONE}", "ttl": 300},
    {"name": f"ns.sub.{ZONE}", "type": "A", "content": "192.0.2.99", "ttl": 300},
    {"name": f"www.{ZONE}", "type": "TXT", "content": '"beside"', "ttl": 300},
]
SERVICES = {
    ZONE: {"map": "default", "ttl": 60},
    f"*.dyn.{ZONE}": {"map": "default", "ttl": 60},
    f"deep.down.{ZONE}": {"map": "default", "ttl": 60},
}


@pytest.fixture(scope="module")
def pdns(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PowerDNS]:
    what = document(services=SERVICES)
    what["zones"][ZONE]["records"] = RECORDS
    what["zones"][ZONE]["soa"]["rname"] = r"john\.doe.example.net"
    with RedisServer() as redis, serving(tmp_path_factory.mktemp("names"), redis, what) as server:
        yield server


def is_nxdomain(response: dns.message.Message) -> bool:
    return response.rcode() == dns.rcode.NXDOMAIN and not response.answer and has_soa(response)


def is_nodata(response: dns.message.Message) -> bool:
    return response.rcode() == dns.rcode.NOERROR and not response.answer and has_soa(response)


def has_soa(response: dns.message.Message) -> bool:
    return any(rrset.rdtype == dns.rdatatype.SOA for rrset in response.authority)


def test_the_apex_has_soa_ns_static_records_and_its_addresses(pdns: PowerDNS) -> None:
    soa = pdns.query(ZONE, "SOA").answer[0][0]
    assert (soa.mname.to_text(), soa.minimum, soa.serial) == ("ns1.example.net.", 30, 1769904000)
    assert soa.rname.labels[0] == b"john.doe"
    assert set(addresses(pdns.query(ZONE, "NS"))) == {"ns1.example.net.", "ns2.example.net."}
    assert addresses(pdns.query(ZONE, "MX")) == ["10 mx.example.net."]
    assert addresses(pdns.query(ZONE, "TXT")) == ['"v=spf1 -all"']
    assert addresses(pdns.query(ZONE, "A", subnet="192.0.2.0/24")) == ["192.0.2.1"]
    assert pdns.query(ZONE, "A").flags & dns.flags.AA


@pytest.mark.parametrize("name", ["nothing", "a.b.nothing", "below.www", "x.alias", "lon9", "_tcp2"])
def test_a_name_that_is_not_there_is_nxdomain(pdns: PowerDNS, name: str) -> None:
    assert is_nxdomain(pdns.query(f"{name}.{ZONE}"))


@pytest.mark.parametrize(
    ("name", "rtype"),
    [
        ("wild", "A"),
        ("down", "A"),
        ("_tcp", "SRV"),
        ("dyn", "A"),
        ("www", "MX"),
        ("lon1", "TXT"),
        ("there.wild", "A"),
    ],
)
def test_a_name_without_that_type_is_nodata(pdns: PowerDNS, name: str, rtype: str) -> None:
    assert is_nodata(pdns.query(f"{name}.{ZONE}", rtype))


def test_a_wildcard_answers_below_its_parent_only(pdns: PowerDNS) -> None:
    assert addresses(pdns.query(f"x.wild.{ZONE}")) == ["192.0.2.77"]
    assert addresses(pdns.query(f"a.b.wild.{ZONE}")) == ["192.0.2.77"]
    assert is_nxdomain(pdns.query(f"x.there.wild.{ZONE}"))
    assert pdns.query(f"X.wild.{ZONE}").answer[0].name.to_text() == f"X.wild.{ZONE}."


def test_a_wildcard_service_answers_by_client(pdns: PowerDNS) -> None:
    assert addresses(pdns.query(f"a.dyn.{ZONE}", subnet="192.0.2.0/24")) == ["192.0.2.1"]
    assert addresses(pdns.query(f"a.dyn.{ZONE}", subnet="198.51.100.0/24")) == ["192.0.2.2"]


def test_a_cname_service_answers_with_one_cname_and_its_addresses(pdns: PowerDNS) -> None:
    response = pdns.query(f"cname.{ZONE}", "A", subnet="192.0.2.0/24")
    assert addresses(response) == [f"lon1.{ZONE}.", "192.0.2.1"]
    assert addresses(pdns.query(f"cname.{ZONE}", "MX", subnet="192.0.2.0/24")) == [f"lon1.{ZONE}."]


def test_a_static_cname_to_a_node_host_name_is_followed(pdns: PowerDNS) -> None:
    assert addresses(pdns.query(f"alias.{ZONE}", "AAAA")) == [f"lon1.{ZONE}.", "2001:db8:1::1"]


def test_a_node_host_name_has_scope_0(pdns: PowerDNS) -> None:
    response = pdns.query(f"ams1.{ZONE}", "A", subnet="192.0.2.0/24")
    assert (addresses(response), scope(response)) == (["192.0.2.2"], 0)


def test_a_delegation_refers_with_its_glue(pdns: PowerDNS) -> None:
    for name in ("sub", "x.sub", "ns.sub"):
        response = pdns.query(f"{name}.{ZONE}", "A")
        assert not response.answer
        assert not response.flags & dns.flags.AA
        assert [rrset[0].to_text() for rrset in response.authority] == [f"ns.sub.{ZONE}."]
        assert [rrset[0].to_text() for rrset in response.additional] == ["192.0.2.99"]


def test_static_records_stand_beside_a_service(pdns: PowerDNS) -> None:
    assert addresses(pdns.query(f"www.{ZONE}", "TXT")) == ['"beside"']
    assert addresses(pdns.query(f"_sip._tcp.{ZONE}", "SRV")) == ["10 5 443 sip.example.net."]


@pytest.mark.parametrize("tcp", [False, True])
def test_letter_case_does_not_matter_and_comes_back(pdns: PowerDNS, tcp: bool) -> None:
    response = pdns.query("wWw.CDN.example.NET", "A", subnet="198.51.100.0/24", tcp=tcp)
    assert addresses(response) == ["192.0.2.2"]
    assert response.answer[0].name.to_text() == "wWw.CDN.example.NET."


def test_a_foreign_name_is_refused(pdns: PowerDNS) -> None:
    assert pdns.query("www.example.org").rcode() == dns.rcode.REFUSED


def test_a_zone_transfer_is_refused(pdns: PowerDNS) -> None:
    import dns.query
    import dns.xfr
    import dns.zone

    with pytest.raises((dns.xfr.TransferError, EOFError)):
        list(dns.query.xfr(pdns.addresses[0], ZONE, port=pdns.port, timeout=3))

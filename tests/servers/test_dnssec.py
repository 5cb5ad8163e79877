"""A signed zone: PowerDNS signs what the workers answer, with keys in a second backend and NSEC3 in narrow mode."""

from __future__ import annotations

import os
import re
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dns.exception
import dns.query
import dns.rcode
import dns.xfr
import dns.zone
import pytest

from support.dns_setup import backend_toml, document
from support.servers import PowerDNS, RedisServer, addresses, need, wait_until
from support.tiny import publish_tiny

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ZONE = "cdn.example.net"
GB = "192.0.2.0/24"
SOA = {"mname": "ns1.example.net", "rname": "hostmaster.example.net"}
SCHEMA = Path("/usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql")


def keys_in_sqlite(folder: Path, narrow: bool, zones: Sequence[str] = (ZONE,)) -> dict[str, str | int]:
    """A database of keys for zones, as the README says; the settings that it takes."""
    if not SCHEMA.exists():
        reason = "pdns-backend-sqlite3 is not installed (apt-get install pdns-backend-sqlite3)"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    database = folder / "keys.sqlite3"
    rows = ", ".join(f"('{zone}', 'NATIVE')" for zone in zones)
    tables = SCHEMA.read_text() + f"INSERT INTO domains (name, type) VALUES {rows};"
    subprocess.run([need("sqlite3"), str(database)], input=tables, text=True, check=True)
    settings: dict[str, str | int] = {
        "launch": "pipe,gsqlite3", "gsqlite3-database": str(database), "gsqlite3-dnssec": "yes",
    }  # fmt: skip
    config = folder / "pdns.conf"
    config.write_text(
        "launch=gsqlite3\n"
        + "".join(f"{key}={value}\n" for key, value in settings.items() if key != "launch")
    )
    tool = [need("pdnsutil"), f"--config-dir={folder}"]
    for zone in zones:
        subprocess.run([*tool, "secure-zone", zone], check=True, capture_output=True)
        nsec3 = [*tool, "set-nsec3", zone, "1 0 0 -", *(["narrow"] if narrow else [])]
        subprocess.run(nsec3, check=True, capture_output=True)
    return settings


@contextmanager
def signed(folder: Path, redis: RedisServer, prefix: str, **settings: str | int) -> Iterator[PowerDNS]:
    what = document()
    what["services"][f"www.{ZONE}"] |= {
        "https": [{"alpn": ["h2"]}],
        "svcb": [{"name": "_dns", "alpn": ["dot"]}],
    }
    what["services"][ZONE] = {
        "map": "default",
        "ttl": 60,
        "https": [{"priority": 0, "target": f"www.{ZONE}"}],
    }
    what["zones"][ZONE]["records"].append(
        {"name": f"a.empty.{ZONE}", "type": "TXT", "content": '"x"', "ttl": 60}
    )
    with redis.client() as client:
        publish_tiny(client, prefix, what)
    config = backend_toml(folder, redis, prefix=prefix)
    with PowerDNS(config, settings={**keys_in_sqlite(folder, narrow=True), **settings}) as server:
        wait_until(lambda: addresses(server.query(f"www.{ZONE}", subnet=GB)) == ["192.0.2.1"])
        yield server


class Delv:
    """BIND's validating resolver, which trusts the zone's key and nothing else."""

    def __init__(self, folder: Path, server: PowerDNS) -> None:
        (key,) = [
            record for record in server.query(ZONE, "DNSKEY", tcp=True).answer[0] if record.flags == 257
        ]
        self._anchors = folder / "anchors"
        text = "".join(key.to_text().split(" ", 3)[3].split())
        self._anchors.write_text(
            f'trust-anchors {{ {ZONE}. static-key 257 3 {int(key.algorithm)} "{text}"; }};\n'
        )
        self._server = server

    def __call__(self, name: str, rtype: str) -> str:
        """What it prints."""
        command = [
            need("delv"),
            "@127.0.0.1",
            "-p",
            str(self._server.port),
            "-a",
            str(self._anchors),
            f"+root={ZONE}",
        ]
        done = subprocess.run([*command, name, rtype], capture_output=True, text=True, timeout=30)
        return done.stdout + done.stderr


def test_answers_and_denials_validate(redis_server: RedisServer, prefix: str, tmp_path: Path) -> None:
    with signed(tmp_path, redis_server, prefix) as server:
        delv = Delv(tmp_path, server)
        for name, rtype, content in (
            (f"www.{ZONE}", "A", "192.0.2.3"), (f"www.{ZONE}", "AAAA", "2001:db8:3::1"), (ZONE, "MX", "mx.example.net"),
            (ZONE, "SOA", "hostmaster.example.net"), (ZONE, "NS", "ns2.example.net"), (f"a.empty.{ZONE}", "TXT", '"x"'),
            (f"lon1.{ZONE}", "A", "192.0.2.1"), (f"www.{ZONE}", "HTTPS", "ipv4hint=192.0.2.3 ipv6hint=2001:db8:3::1"),
            (f"_dns.www.{ZONE}", "SVCB", "ipv4hint=192.0.2.3 ipv6hint=2001:db8:3::1"), (ZONE, "HTTPS", f"0 www.{ZONE}."),
        ):  # fmt: skip
            said = delv(name, rtype)
            assert "; fully validated" in said, said
            assert content in said
        said = delv(f"cname.{ZONE}", "CNAME")
        assert "; fully validated" in said, said
        assert f"nyc1.{ZONE}" in said
        for name, rtype, kind in (
            (f"nothing.{ZONE}", "A", "ncache nxdomain"), (f"x.y.nothing.{ZONE}", "A", "ncache nxdomain"),
            (f"www.{ZONE}", "MX", "ncache nxrrset"), (f"empty.{ZONE}", "A", "ncache nxrrset"),
            (f"cname.{ZONE}", "CNAME", "fully validated"), (f"lon1.{ZONE}", "HTTPS", "ncache nxrrset"),
            (f"_dns.www.{ZONE}", "A", "ncache nxrrset"), (f"www.{ZONE}", "SVCB", "ncache nxrrset"),
        ):  # fmt: skip
            said = delv(name, rtype)
            assert kind in said or kind.replace("ncache ", "") in said.lower(), said
            assert "fully validated" in said, said
        assert server.running


def test_the_signature_is_of_the_answer_that_each_client_gets(
    redis_server: RedisServer, prefix: str, tmp_path: Path
) -> None:
    with signed(tmp_path, redis_server, prefix) as server:
        signatures = set()
        for net, node in ((GB, "192.0.2.1"), ("198.51.100.0/24", "192.0.2.2")):
            question = dns.message.make_query(
                f"www.{ZONE}", "A", want_dnssec=True, options=[dns.edns.ECSOption.from_text(f"ECS {net}/0")]
            )
            response = dns.query.udp(question, "127.0.0.1", 5, port=server.port)
            records = {one.rdtype.name: one for one in response.answer}
            assert [one.to_text() for one in records["A"]] == [node]
            signatures |= {one.to_text() for one in records["RRSIG"]}
        assert len(signatures) == 2


def test_a_question_for_a_denial_does_not_make_one_clients_answer_everybodys(
    redis_server: RedisServer, prefix: str, tmp_path: Path
) -> None:
    """PowerDNS asks for the types of the name then, on behalf of nobody."""
    with signed(tmp_path, redis_server, prefix) as server:
        for _ in range(3):
            question = dns.message.make_query(f"www.{ZONE}", "MX", want_dnssec=True)
            assert dns.query.udp(question, "127.0.0.1", 5, port=server.port).rcode() == dns.rcode.NOERROR
            assert addresses(server.query(f"www.{ZONE}", subnet=GB)) == ["192.0.2.1"]
            assert addresses(server.query(f"www.{ZONE}", subnet="198.51.100.0/24")) == ["192.0.2.2"]


def test_a_transfer_is_refused(redis_server: RedisServer, prefix: str, tmp_path: Path) -> None:
    with redis_server.client() as client:
        publish_tiny(client, prefix)
    with PowerDNS(backend_toml(tmp_path, redis_server, prefix=prefix)) as server:
        with pytest.raises((dns.xfr.TransferError, dns.exception.FormError, EOFError)):
            dns.zone.from_xfr(dns.query.xfr("127.0.0.1", ZONE, port=server.port, timeout=5))
        assert addresses(server.query(f"www.{ZONE}", subnet=GB)) == ["192.0.2.1"]


CHILD = f"sub.{ZONE}"


def with_child(ds: Sequence[str] = ()) -> dict[str, Any]:
    """A zone and a child zone served beside it, with a service at its apex; the parent lists these DS records."""
    what = document(
        services={CHILD: {"map": "default", "ttl": 60}, f"www.{CHILD}": {"map": "default", "ttl": 60}},
        zones={CHILD: {"soa": SOA, "ns": [f"ns1.{CHILD}"], "records": [
            {"name": f"ns1.{CHILD}", "type": "A", "content": "192.0.2.53"},
            {"name": f"*.wild.{CHILD}", "type": "TXT", "content": '"wild"'},
        ]}},
    )  # fmt: skip
    records = [{"name": CHILD, "type": "DS", "content": content, "ttl": 60} for content in ds]
    what["zones"][ZONE]["records"] += [
        *records, {"name": f"a.{ZONE}", "type": "TXT", "content": '"parent"', "ttl": 60},
    ]  # fmt: skip
    return what


OF_CHILD = (
    (CHILD, "A"), (CHILD, "AAAA"), (CHILD, "NS"), (CHILD, "SOA"), (CHILD, "MX"), (f"www.{CHILD}", "A"),
    (f"www.{CHILD}", "TXT"), (f"ns1.{CHILD}", "A"), (f"nothing.{CHILD}", "A"), (f"x.wild.{CHILD}", "TXT"),
)  # fmt: skip
"""Questions about the child: answers, denials and a wildcard."""


@pytest.mark.parametrize("signed_child", [False, True], ids=["child-unsigned", "child-signed"])
@pytest.mark.parametrize("cache", [0, 60])
def test_a_signed_parent_and_a_child_zone_beside_it_validate(
    redis_server: RedisServer, prefix: str, tmp_path: Path, signed_child: bool, cache: int
) -> None:
    settings = keys_in_sqlite(tmp_path, narrow=True, zones=(ZONE, CHILD) if signed_child else (ZONE,))
    ds: list[str] = []
    if signed_child:
        tool = [need("pdnsutil"), f"--config-dir={tmp_path}", "show-zone", CHILD]
        said = subprocess.run(tool, check=True, capture_output=True, text=True).stdout
        ds = re.findall(r"IN DS (\d+ \d+ 2 [0-9a-f]+)", said)
        assert ds
    with redis_server.client() as client:
        publish_tiny(client, prefix, with_child(ds))
    config = backend_toml(tmp_path, redis_server, prefix=prefix)
    caches = {"query-cache-ttl": cache, "negquery-cache-ttl": cache}
    with PowerDNS(config, settings={**settings, **caches}) as server:
        wait_until(lambda: addresses(server.query(f"www.{ZONE}", subnet=GB)) == ["192.0.2.1"])
        delv = Delv(tmp_path, server)
        for _ in range(2):
            said = delv(CHILD, "DS")
            assert "fully validated" in said, said
            assert ("ncache" in said or "nxrrset" in said) is not signed_child, said
            for name, rtype in OF_CHILD:
                said = delv(name, rtype)
                assert ("fully validated" if signed_child else "unsigned answer") in said, (
                    name,
                    rtype,
                    said,
                )
            for name, rtype in (
                (ZONE, "SOA"),
                (f"a.{ZONE}", "TXT"),
                (f"nothing.{ZONE}", "A"),
                (f"www.{ZONE}", "A"),
            ):
                said = delv(name, rtype)
                assert "fully validated" in said, said
        assert addresses(server.query(CHILD, subnet=GB)) == ["192.0.2.1"], "the child's apex is a service"
        assert server.running

"""A signed zone: PowerDNS signs what the workers answer, with keys in a second backend and NSEC3 in narrow mode."""

from __future__ import annotations

import os
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

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
    from collections.abc import Iterator

ZONE = "cdn.example.net"
GB = "192.0.2.0/24"
SCHEMA = Path("/usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql")


def keys_in_sqlite(folder: Path, narrow: bool) -> dict[str, str | int]:
    """A database of keys for the zone, as the README says; the settings that it takes."""
    if not SCHEMA.exists():
        reason = "pdns-backend-sqlite3 is not installed (apt-get install pdns-backend-sqlite3)"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    database = folder / "keys.sqlite3"
    tables = SCHEMA.read_text() + f"INSERT INTO domains (name, type) VALUES ('{ZONE}', 'NATIVE');"
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
    subprocess.run([*tool, "secure-zone", ZONE], check=True, capture_output=True)
    subprocess.run(
        [*tool, "set-nsec3", ZONE, "1 0 0 -", *(["narrow"] if narrow else [])],
        check=True,
        capture_output=True,
    )
    return settings


@contextmanager
def signed(folder: Path, redis: RedisServer, prefix: str, **settings: str | int) -> Iterator[PowerDNS]:
    what = document()
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
            (f"lon1.{ZONE}", "A", "192.0.2.1"),
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
            (f"cname.{ZONE}", "CNAME", "fully validated"),
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

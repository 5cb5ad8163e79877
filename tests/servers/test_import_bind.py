"""`geosteer import bind-geoip`: after it geosteer answers each client as a real named does by its views."""

from __future__ import annotations

import contextlib
import ipaddress
from typing import TYPE_CHECKING

import dns.exception
import dns.message
import dns.query

from geosteer_loader.cli.main import main
from geosteer_loader.config.config import load
from geosteer_loader.publish.publish import publish
from geosteer_loader.store.generation_view import View
from geosteer_loader.store.store import connect
from support.export_oracle import Oracle
from support.mmdb_writer import Database
from support.servers import RedisServer, _Server, addresses, free_port, need, wait_until

if TYPE_CHECKING:
    from pathlib import Path

# named knows a client by its source address alone: everybody is in 127.0.0.0/8, which is all this host's.
PLACES = {
    "127.1.0.0/16": ("SE", "EU"), "127.2.0.0/15": ("NO", "EU"), "127.4.0.0/16": ("DE", "EU"),
    "127.5.128.0/17": ("JP", "AS"), "127.6.0.0/24": ("US", "NA"), "127.7.0.0/30": ("SE", "EU"),
}  # fmt: skip
OFFICES = ("127.1.2.0/24", "127.6.0.128/25", "127.9.9.9/32")
VIEWS = """
acl nordic { geoip country SE; geoip country NO; };
acl office { 127.1.2/24; 127.6.0.128/25; 127.9.9.9; };
view "office" { match-clients { office; }; zone "example.com" { type primary; file "office"; }; };
view "nordic" { match-clients { nordic; }; zone "example.com" { type master; file "nordic"; }; };
view "asia" { match-clients { geoip db country country JP; }; zone "example.com" { type master; file "asia"; }; };
view "europe" { match-clients { geoip continent EU; }; zone "example.com" { type master; file "europe"; }; };
view "all" { zone "example.com" { type master; file "all"; }; };
"""
ZONE = """$TTL 300
@ IN SOA ns1 hostmaster 1 3600 600 604800 60
@ NS ns1
ns1 A 192.0.2.53
www A 192.0.2.{number}
www AAAA 2001:db8::{number}
two A 192.0.2.{pair}
two A 192.0.2.{more}
same A 192.0.2.9
"""


class Named(_Server):
    """A named on a high loopback port; *config* has all but its options."""

    def __init__(self, folder: Path, config: str) -> None:
        super().__init__()
        self.folder, self.config, self.port = folder, config, 0

    def start(self) -> None:
        """Start on a free port and wait until a question is answered."""
        program = need("named")
        self.port = free_port()
        path = self.directory / "named.conf"
        path.write_text(
            f'options {{ directory "{self.folder}"; geoip-directory "{self.folder}"; recursion no; '
            f"listen-on port {self.port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; dnssec-validation no; "
            f'pid-file "{self.directory}/pid"; session-keyfile "{self.directory}/key"; }};\n'
            f"controls {{ }};\n{self.config}"
        )
        self._launch([program, "-c", str(path), "-g", "-n", "1"])
        wait_until(self._ready, what="an answer from named")

    def query(self, name: str, kind: str, client: str) -> dns.message.Message:
        """Ask once, from an address of this host."""
        question = dns.message.make_query(name, kind)
        return dns.query.udp(question, "127.0.0.1", 30, port=self.port, source=client)

    def _ready(self) -> bool:
        if not self.running:
            raise self._failed("ended while starting")
        with contextlib.suppress(dns.exception.DNSException, OSError):
            dns.query.udp(dns.message.make_query("example.com", "SOA"), "127.0.0.1", 0.2, port=self.port)
            return True
        return False


def boundaries() -> list[str]:
    """The addresses before and after each end of each network."""
    chosen = set()
    for text in (*PLACES, *OFFICES):
        network = ipaddress.ip_network(text)
        first, last = int(network.network_address), int(network.broadcast_address)
        chosen |= {first - 1, first, last, last + 1}
    return [str(ipaddress.ip_address(address)) for address in sorted(chosen)]


def test_imported_it_answers_each_client_as_named_does(tmp_path: Path) -> None:
    for number, file in enumerate(("office", "nordic", "asia", "europe", "all"), 1):
        text = ZONE.format(number=number, pair=20 + number, more=30 + number)
        (tmp_path / file).write_text(text)
    database = Database(version=4, kind="GeoLite2-Country")
    for network, (country, continent) in PLACES.items():
        database.add(network, {"country": {"iso_code": country}, "continent": {"code": continent}})
    database.write(tmp_path / "GeoLite2-Country.mmdb")
    config = tmp_path / "named.conf"
    config.write_text(f'options {{ directory "{tmp_path}"; }};\n{VIEWS}')
    path = tmp_path / "geosteer.toml"
    assert main(["import", "bind-geoip", str(config), "--output", str(path)]) == 0
    with RedisServer() as redis, Named(tmp_path, VIEWS) as server:
        text = path.read_text().replace("unix:///run/redis/redis.sock", redis.url)
        path.write_text(text.replace('format = "builtin"', 'format = "mmdb"\npath = "GeoLite2-Country.mmdb"'))
        loaded = load(path, {})
        with connect(loaded.redis) as store:
            publish(loaded, store)
            view = View(store)
            seen = set()
            for name in ("www.example.com", "two.example.com"):
                oracle = Oracle(view, name)
                for client in boundaries():
                    decision = oracle.decide(f"{client}/32")
                    for kind in ("A", "AAAA"):
                        ours = sorted(
                            content
                            for node in decision.answer.get(kind, ())
                            for content in node.contents(kind)
                        )
                        theirs = sorted(addresses(server.query(name, kind, client)))
                        assert ours == theirs, (name, kind, client)
                        seen.update(theirs)
    assert {f"192.0.2.{number}" for number in range(1, 6)} <= seen, "every view answered somebody"

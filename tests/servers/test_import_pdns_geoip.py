"""`geosteer import pdns-geoip`: after it geosteer answers as PowerDNS' geoip backend does."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING

import pytest

from geosteer_loader.cli.main import main
from geosteer_loader.config.config import load
from geosteer_loader.publish.publish import publish
from geosteer_loader.sources.countries import COUNTRIES
from geosteer_loader.store.generation_view import View
from geosteer_loader.store.store import connect
from support.dns_setup import document
from support.export_oracle import NAME, Oracle, edges, tiny_config
from support.export_servers import GeoIP
from support.long import LONG
from support.made_database import made_database
from support.servers import RedisServer, addresses
from support.tiny import publish_tiny

if TYPE_CHECKING:
    from pathlib import Path

WORLD = """
domains:
- domain: example.com
  ttl: 30
  records:
    example.com:
      - soa: ns1.example.net hostmaster.example.net 7 7200 3600 1209600 90
      - ns: ns1.example.net
      - mx: {content: 10 mail.example.com, ttl: 900}
    mail.example.com:
      - a: 192.0.2.25
    ch.eu.w.example.com:
      - a: 192.0.2.1
      - aaaa: 2001:db8::1
    gb.eu.w.example.com:
      - a: 192.0.2.2
      - aaaa: 2001:db8::2
    eu.w.example.com:
      - a: 192.0.2.3
      - a: 192.0.2.33
      - aaaa: 2001:db8::3
    as.w.example.com:
      - a: 192.0.2.4
      - aaaa: 2001:db8::4
    elsewhere.w.example.com:
      - a: 192.0.2.5
      - aaaa: 2001:db8::5
    lab.example.com:
      - a: 192.0.2.6
      - aaaa: 2001:db8::6
    mid.m.example.com:
      - a: 192.0.2.7
      - aaaa: 2001:db8::7
    isles.m.example.com:
      - a: 192.0.2.8
      - aaaa: 2001:db8::8
  mapping_lookup_formats: ['%cc-%re', '%cc']
  custom_mapping: {ch: mid, de: mid, gb-eng: mid, gb: isles}
  services:
    mapped.example.com: ['%mp.m.example.com', 'elsewhere.w.example.com']
    www.example.com: ['%cc.%cn.w.example.com', '%cn.w.example.com', 'elsewhere.w.example.com']
    lab-www.example.com: {10.0.0.0/8: lab.example.com, 10.2.0.0/16: as.w.example.com,
                          default: ['%cn.w.example.com', 'elsewhere.w.example.com']}
"""
NAMES = ("www.example.com", "lab-www.example.com", "mapped.example.com")


@pytest.mark.no_cover
@pytest.mark.timeout(900)
def test_imported_it_answers_as_before(tmp_path: Path) -> None:
    zones = tmp_path / "zones.yaml"
    zones.write_text(WORLD)
    settings = tmp_path / "geo.conf"
    database = made_database(part=not LONG, continents=True)
    settings.write_text(
        f"launch=geoip\ngeoip-zones-file={zones}\ngeoip-database-files={database}\nedns-subnet-processing=yes\n"
    )
    path = tmp_path / "geosteer.toml"
    assert main(["import", "pdns-geoip", str(zones), "--output", str(path)]) == 0
    with RedisServer() as redis, GeoIP(settings) as server:
        text = path.read_text().replace("unix:///run/redis/redis.sock", redis.url)
        path.write_text(text.replace('format = "builtin"', f'format = "mmdb"\npath = "{database}"'))
        config = load(path, {})
        with connect(config.redis) as store:
            publish(config, store)
            view = View(store)
            asked = 0
            for name in NAMES:
                oracle = Oracle(view, name)
                for subnet in edges(view, 200 if LONG else 60):
                    decision = oracle.decide(subnet)
                    for kind in ("A", "AAAA"):
                        given = sorted(
                            content for node in decision.answer[kind] for content in node.contents(kind)
                        )
                        assert sorted(addresses(server.query(name, kind, subnet=subnet))) == given, (
                            name,
                            subnet,
                        )
                        asked += 1
            assert asked > 300


def test_https_comes_back_from_an_export(
    emptied_redis: RedisServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The classes of an export mean something in its database only, so that here they become countries."""
    https = [
        {"priority": 2, "alpn": ["h2", "h3"], "no_default_alpn": True, "port": 8443, "mandatory": ["alpn", "port"]},
        {"ech": "AAj+DQAEAAAAAA=="},
        {"priority": 3, "target": "other.example.org", "alpn": ["h2"]},
    ]  # fmt: skip
    made = document()
    made["services"] = {NAME: {"map": "default", "ttl": 60, "https": https}}
    with emptied_redis.client() as client:
        publish_tiny(client, "geosteer", made)
    folder = tmp_path / "x"
    config = str(tiny_config(tmp_path, emptied_redis))
    assert main(["export", "pdns-geoip", str(folder), "--config", config, "--quiet"]) == 0
    zones = folder / "geosteer.yaml"
    assert main(["import", "pdns-geoip", str(zones)]) == 3
    assert f"services: {NAME}: no nodes are left" in capsys.readouterr().err
    text = zones.read_text()
    classes = sorted(set(re.findall(r"^ +(c[0-9a-f]{14})\.", text, re.MULTILINE)))
    for name, country in zip(classes, sorted(COUNTRIES), strict=False):
        text = text.replace(f"{name}.", f"{country.lower()}.")
    assert len(set(re.findall("ipv4hint=([^ ]+)", text))) > 1
    zones.write_text(text)
    path = tmp_path / "imported.toml"
    assert main(["import", "pdns-geoip", str(zones), "--output", str(path)]) == 0
    assert load(path, {})
    assert tomllib.loads(path.read_text())["services"][NAME]["https"] == https

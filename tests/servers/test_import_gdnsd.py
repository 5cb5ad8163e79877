"""`geosteer import gdnsd`: after it geosteer answers as gdnsd does, each node down in turn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from geosteer_loader.cli.main import main
from geosteer_loader.config.config import load
from geosteer_loader.publish.publish import publish
from geosteer_loader.store.generation_view import View
from geosteer_loader.store.store import connect
from support.dns_setup import set_override
from support.export_oracle import REAL, Oracle, edges
from support.export_servers import Gdnsd
from support.long import LONG
from support.made_database import made_database
from support.servers import RedisServer, addresses, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WORLD = """
service_types => { web => { plugin => static, state => UP } }
plugins => { static => {}, geoip => {
  service_types => web,
  maps => {
    prod => {
      geoip2_db => country.mmdb, # gdnsd reads continents there
      datacenters => [us, eu, ap],
      map => {
        EU => { default => [eu, us, ap], CH => [us, eu, ap], GB = [ap us eu] },
        AS => [ap, us, eu], OC => [ap, eu, us],
        NA => { MX => [us, ap, eu] },
        default => [us, eu, ap],
      },
      nets => {
        10.0.0.0/8 => [ap, us, eu], 10.2.0.0/16 => [eu us ap], 2001:db8:100::/40 => [eu, ap, us], ::c000:200/120 => [ap us eu]
      }
    }
  }
  resources => {
    www => { map => prod, dcmap => {
      us => { addrs_v4 => { lb01 => 192.0.2.1 }, addrs_v6 => { lb01 => 2001:db8::1 } },
      eu => { addrs_v4 => [ 192.0.2.2, 192.0.2.3 ], addrs_v6 => { one => 2001:db8::2 } },
      ap => { plugin => multifo, addrs_v4 => { 1 => 192.0.2.4 }, addrs_v6 => { 1 => 2001:db8::4 } }
    } }
    mail => { map => prod, skip_first => true, dcmap => { us => 192.0.2.1, eu => 192.0.2.2, ap => 192.0.2.4 } }
  }
}}
"""
ZONE = """
@ 3600 SOA ns1 hostmaster.example.net. ( 7 1h 10M 7D 90 )
  NS ns1
@ 900 MX 10 mail
ns1 A 192.0.2.53
$TTL 1h
$ORIGIN sub
txt TXT "a;b" (
  second )
host.@Z 77 A 192.0.2.77
$ORIGIN @Z
www 300/30 DYNA geoip!www
www-eu 120 DYNA geoip!www/eu
mail 60 DYNA geoip!mail
*.img 60 DYNA geoip!www
"""
NAMES = ("www.example.com", "www-eu.example.com", "mail.example.com", "a.img.example.com")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "gdnsd"
    (made / "zones").mkdir(parents=True)
    (made / "geoip").mkdir()
    (made / "geoip" / "country.mmdb").symlink_to(made_database(part=not LONG, continents=True))
    (made / "geosteer.cfg").write_text(WORLD)
    (made / "zones" / "example.com").write_text(ZONE)
    return made


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


@pytest.mark.no_cover
@pytest.mark.timeout(900)
def test_imported_it_answers_as_before_with_each_datacenter_down_in_turn(
    own_redis: RedisServer, folder: Path, tmp_path: Path
) -> None:
    with Gdnsd(folder) as server:
        path = tmp_path / "geosteer.toml"
        assert main(["import", "gdnsd", str(folder), "--output", str(path)]) == 0
        path.write_text(path.read_text().replace("unix:///run/redis/redis.sock", own_redis.url))
        config = load(path, {})
        with connect(config.redis) as store:
            publish(config, store)
            subnets = edges(View(store), 100 if LONG else 25)
            asked = 0
            for down in (None, "us", "eu", "ap"):
                server.force_down([f"geoip/{name}/{down}" for name in ("www", "mail") if down])
                wait_until(lambda: _taken(server, down), what=f"gdnsd to leave out {down}")  # noqa: B023
                for name in config.document["nodes"]:
                    set_override(own_redis, name, state="down" if name.rpartition("-")[2] == down else "up")
                view = View(store)
                for name in NAMES:
                    service = "*.img.example.com" if name.startswith("a.") else name
                    oracle = Oracle(view, service)
                    for subnet in subnets:
                        decision = oracle.decide(subnet)
                        for kind in oracle.service.kinds:
                            given = sorted(
                                content for node in decision.answer[kind] for content in node.contents(kind)
                            )
                            assert sorted(addresses(server.query(name, kind, subnet=subnet))) == given, (
                                down,
                                name,
                                subnet,
                            )
                            asked += 1
            assert asked > 500


def _taken(server: Gdnsd, down: str | None) -> bool:
    """Whether forced states are in the answers; they come a second after gdnsd tells them."""
    us, eu, ap = ("us", "192.0.2.1"), ("eu", "192.0.2.2"), ("ap", "192.0.2.4")
    firsts = {
        "10.2.0.0/24": (eu, us),
        "10.0.0.0/24": (ap, us),
        "192.0.2.0/24": (ap, us),
        "8.8.8.0/24": (us, eu),
    }
    for subnet, ranking in firsts.items():
        first = next(address for name, address in ranking if name != down)
        if first not in addresses(server.query(NAMES[0], "A", subnet=subnet)):
            return False
    return True


@pytest.mark.no_cover
@pytest.mark.timeout(900)
def test_what_was_exported_comes_back_the_same(own_redis: RedisServer, tmp_path: Path) -> None:
    """Only where gdnsd has states from is lost: the files that the export keeps."""
    before, after = tmp_path / "before.toml", tmp_path / "after.toml"
    both = REAL.replace('a = ["192.0.2.2"]', 'a = ["192.0.2.2"]\naaaa = ["2001:db8:2::1", "2001:db8:2::2"]')
    before.write_text(both.format(url=own_redis.url, geo=made_database(part=not LONG, continents=True)))
    config = load(before, {})
    with connect(config.redis) as store:
        publish(config, store)
        assert main(["export", "gdnsd", str(tmp_path / "g"), "--config", str(before), "--quiet"]) == 0
        assert main(["import", "gdnsd", str(tmp_path / "g"), "--output", str(after)]) == 3
        assert main(["import", "gdnsd", str(tmp_path / "g"), "--output", str(after), "--lossy"]) == 0
        text = after.read_text().replace("unix:///run/redis/redis.sock", own_redis.url)
        after.write_text(text.replace("[redis]\n", '[redis]\nprefix = "again"\n'))
        imported = load(after, {})
        with connect(imported.redis) as other:
            publish(imported, other)
            first, second = Oracle(View(store)), Oracle(View(other))
            for subnet in edges(View(store), 400 if LONG else 100):
                if subnet.startswith("::"):  # gdnsd looks there for IPv4, and takes no network
                    continue
                one, two = first.decide(subnet), second.decide(subnet)
                for kind in ("A", "AAAA"):
                    given, wanted = (
                        {content for node in answer[kind] for content in node.contents(kind)}
                        for answer in (two.answer, one.answer)
                    )
                    assert given == wanted or one.split, subnet

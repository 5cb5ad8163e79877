"""`geosteer export geo-map`: what the old geo backend would make of the files is what the Director says.

That backend has not been built since 2015, so its rules stand here as its sources have them (auth-3.4.11, modules/geobackend).
"""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from geosteer_loader.cli.main import main
from geosteer_loader.config.config import load
from geosteer_loader.export.geo_map import IP_MAP
from geosteer_loader.publish.publish import publish
from geosteer_loader.store.generation_view import View
from geosteer_loader.store.store import connect
from support.dns_setup import document, set_override, set_state
from support.export_oracle import NAME, REAL, Oracle, edges, tiny_config
from support.long import LONG
from support.made_database import country_database
from support.tiny import publish_tiny

if TYPE_CHECKING:
    from support.servers import RedisServer

ZONE = "cdn.example.net"


class GeoBackend:
    """Reads the files as the backend did, and answers."""

    def __init__(self, folder: Path) -> None:
        settings = dict(
            line.split("=", 1)
            for line in (folder / f"{ZONE}.conf").read_text().splitlines()
            if line and line[0] != "#"
        )
        self.settings = settings
        self.prefixes: dict[tuple[int, int], int] = {}
        for line in Path(settings["geo-ip-map-zonefile"]).read_text(encoding="ascii").splitlines():
            if line.startswith(("#", "$SOA")):
                continue
            prefix, address, *_ = [word for word in line.replace(":", " ").split() if word]
            network = ipaddress.IPv4Network(prefix)
            value = int(ipaddress.IPv4Address(address)) & 0x7FFF
            self.prefixes[int(network.network_address), network.prefixlen] = value
        self.maps: dict[str, dict[int, str]] = {}
        for path in Path(settings["geo-maps"]).iterdir():
            if not path.name.startswith("."):
                self._map(path.read_text(encoding="ascii").splitlines())

    def _map(self, lines: list[str]) -> None:
        record, origin, targets = "", "", {}
        for line in lines:
            if line.startswith("#"):
                continue
            word, _, rest = line.rstrip(" \r").partition(" ")
            if word == "$RECORD":
                record = rest
            elif word == "$ORIGIN":
                origin = rest
            else:
                code, target = int(word), rest.strip()
                assert 0 <= code <= 32767
                assert code not in targets
                targets[code] = target[:-1] if target.endswith(".") else f"{target}.{origin}"
        assert record.endswith(f".{ZONE}.")
        assert 0 in targets  # mandatory
        self.maps[record.rstrip(".")] = targets

    def answer(self, name: str, client: str) -> str:
        """The target of the CNAME."""
        targets = self.maps[name]
        address = ipaddress.ip_address(client)
        if address.version == 6:
            return targets[0]
        for length in range(32, -1, -1):
            found = self.prefixes.get((int(address) >> (32 - length) << (32 - length), length))
            if found is not None:
                return targets.get(found, targets[0]) if found else targets[0]
        return targets[0]


def export(config: Path, folder: Path, *more: str) -> int:
    return main(["export", "geo-map", str(folder), "--config", str(config), *more])


@pytest.mark.no_cover
def test_at_the_boundaries_of_real_data_it_names_the_node_that_the_director_names(
    own_redis: RedisServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "geosteer.toml"
    text = REAL
    for number, name in enumerate(("lon1", "ams1", "fra1", "nyc1", "sin1")):
        text = text.replace(f"[nodes.{name}]", f'[nodes.{name}]\nhostname = "h{number}.example.org"')
    path.write_text(text.format(url=own_redis.url, geo=country_database()))
    config = load(path, {})
    with connect(config.redis) as store:
        publish(config, store)
        set_state(own_redis, "ams1", "down")
        set_state(own_redis, "sin1", "up")
        set_override(own_redis, "nyc1", state="drain", percent=0)
        assert export(path, tmp_path / "g") == 3
        told = capsys.readouterr().err
        assert "IPv6: the backend does not support it" in told
        assert f'services."{NAME}": where equals or shares are drawn, one node gets all' in told
        assert export(path, tmp_path / "g", "--lossy") == 0
        backend = GeoBackend(tmp_path / "g")
        view = View(store)
        oracle = Oracle(view)
        checked = 0
        for subnet in edges(view, 1500 if LONG else 60):
            decision = oracle.decide(subnet)
            given = backend.answer(NAME, subnet.partition("/")[0])
            if ":" in subnet:
                assert given == backend.maps[NAME][0]
            elif decision.split:
                assert given in {"h0.example.org", "h4.example.org"}  # one of the tie, the same for all
            else:
                assert given == decision.answer["A"][0].hostname, subnet
                checked += 1
        assert checked > (200 if LONG else 100)


def put(redis: RedisServer, what: dict[str, Any], tables: dict[str, dict[str, str]] | None = None) -> None:
    with redis.client() as client:
        publish_tiny(
            client, "geosteer", what, tables or {"geo": {"192.0.2.0/24": "GB", "198.51.100.0/24": "NL"}}
        )


def test_countries_have_their_iso_number_and_states_change_director_maps_alone(
    own_redis: RedisServer, tmp_path: Path
) -> None:
    put(own_redis, document(services={"more.cdn.example.net": {"map": "default", "answer": "cname"}}))
    config = tiny_config(tmp_path, own_redis)
    out = tmp_path / "g"
    assert export(config, out) == 0
    assert (out / IP_MAP).read_text().splitlines()[1:] == [
        "192.0.2.0/24 :127.0.3.58:gb",
        "198.51.100.0/24 :127.0.2.16:nl",
    ]
    assert (out / ZONE / NAME).read_text().splitlines()[1:] == [
        f"$RECORD {NAME}.",
        "0 nyc1.cdn.example.net.",
        "# nl",
        "528 ams1.cdn.example.net.",
        "# gb",
        "826 lon1.cdn.example.net.",
    ]
    assert (out / f"{ZONE}.conf").read_text().splitlines()[1:] == [
        "launch=geo", f"geo-zone={ZONE}", "geo-soa-values=ns1.example.net,hostmaster.example.net",
        "geo-ns-records=ns1.example.net,ns2.example.net", "geo-ttl=60", "geo-ns-ttl=3600",
        f"geo-ip-map-zonefile={out / IP_MAP}", f"geo-maps={out / ZONE}", "query-cache-ttl=0", "cache-ttl=0",
    ]  # fmt: skip
    stamp = (out / IP_MAP).stat().st_mtime_ns
    set_state(own_redis, "lon1", "down")
    assert export(config, out) == 0
    assert GeoBackend(out).answer(NAME, "192.0.2.1") == "ams1.cdn.example.net"
    assert (out / IP_MAP).stat().st_mtime_ns == stamp


def test_what_is_no_country_has_a_number_of_its_own(own_redis: RedisServer, tmp_path: Path) -> None:
    what = document()
    what["maps"]["default"]["networks"] = {"lab": {"nyc1": 1}}
    what["maps"]["default"]["subdivisions"] = {"GB-SCT": {"ams1": 1}}
    tables = {
        "geo": {
            "192.0.2.0/24": "GB",
            "198.51.100.0/24": "GB-SCT",
            "203.0.113.0/24": "@EU",
            "10.0.0.0/8": "US",
        },
        "nets": {"192.0.2.128/25": "lab"},
    }
    put(own_redis, what, tables)
    assert export(tiny_config(tmp_path, own_redis), tmp_path / "g", "--lossy") == 0
    backend = GeoBackend(tmp_path / "g")
    names = {address: backend.answer(NAME, address) for address in
             ("192.0.2.1", "192.0.2.200", "198.51.100.1", "203.0.113.1", "10.1.1.1", "11.0.0.1", "2001:db8::1")}  # fmt: skip
    assert {address: name.partition(".")[0] for address, name in names.items()} == {
        "192.0.2.1": "lon1", "192.0.2.200": "nyc1", "198.51.100.1": "ams1", "203.0.113.1": "ams1", "10.1.1.1": "nyc1",
        "11.0.0.1": "nyc1", "2001:db8::1": "nyc1",
    }  # fmt: skip
    assert min(value for value in backend.prefixes.values() if value > 999) == 1000


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, []),
        ({"maps": {"default": {"order": ["countries"], "countries": {"NL": {"lon1": 1, "ams1": 1}, "FR": {"ams1": 1}},
                               "default": {"nyc1": 1, "lon1": 1}}}},
         [f'services."{name}": where equals or shares are drawn, one node gets all: all others, nl'
          for name in (NAME, "cname.cdn.example.net")]),
        ({"nodes": {"ams1": {"aaaa": ["2001:db8:2::1"], "hostname": "ams1.cdn.example.net"}}},
         [f'services."{NAME}": where A and AAAA have different nodes, that of A answers: nl']),
        ({"services": {NAME: {"map": "default", "policy": "hash"}}},
         [f'services."{NAME}".policy: hash: all clients of one class get the same node']),
        ({"services": {"*.x.cdn.example.net": {"map": "default"}}},
         ['services."*.x.cdn.example.net": the backend does not support wildcards: only the literal name is answered']),
        ({"services": {NAME: {"map": "default", "ttl": 30}}},
         ['zones."cdn.example.net": the backend has one TTL for all services; the least is taken: 30']),
        ({"nodes": {"lon1": {"a": ["192.0.2.1"], "aaaa": ["2001:db8::1"]}},
          "services": {"cname.cdn.example.net": {"map": "default"}}},
         ['services."www.cdn.example.net": node lon1 has no host name, and the backend answers with host names only',
          'services."cname.cdn.example.net": node lon1 has no host name, and the backend answers with host names only']),
    ],
    ids=["all can be said", "a tie", "a node without A", "hash", "wildcard", "several TTLs", "no host name"],
)  # fmt: skip
def test_what_the_backend_cannot_do_is_listed_and_refused(
    own_redis: RedisServer,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    changes: dict[str, Any],
    told: list[str],
) -> None:
    put(own_redis, document(**changes))
    config = tiny_config(tmp_path, own_redis)
    assert export(config, tmp_path / "g", "--quiet") == (3 if told else 0)
    lines = [line for line in capsys.readouterr().err.splitlines() if "static records" not in line]
    assert [line.removeprefix("geosteer: ") for line in lines[:-1]] == told
    if told:
        assert not (tmp_path / "g").exists()

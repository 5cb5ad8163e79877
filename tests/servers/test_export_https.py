"""HTTPS and SVCB records in exports: with the hints of each class of clients, or without any, which is listed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dns.rdatatype
import pytest

from geosteer_loader.cli.main import main
from support.dns_setup import document
from support.export_oracle import NAME, tiny_config
from support.export_servers import Gdnsd, GeoIP, Knot
from support.servers import RedisServer, addresses
from support.tiny import publish_tiny

if TYPE_CHECKING:
    from pathlib import Path

SVCB = [{"name": "_dns", "alpn": ["dot"], "port": 853}]
PLACE = f'services."{NAME}"'
NO_HINTS = "the records have no hints: they are the same for every client"
CLIENTS = (
    "192.0.2.0/24",
    "198.51.100.0/24",
    "203.0.113.128/25",
    "2001:db8:a::/48",
    "2001:db8:b::/48",
    "8.8.8.0/24",
)


def export(kind: str, redis: RedisServer, folder: Path, *more: str, **service: Any) -> int:
    what = document(
        services={NAME: {"map": "default", "ttl": 60, "https": [{"alpn": ["h2", "h3"]}], **service}}
    )
    what["maps"]["default"]["continents"]["EU"] = {"ams1": 100, "lon1": 50}
    with redis.client() as client:
        publish_tiny(client, "geosteer", what)
    return main(
        ["export", kind, str(folder / "x"), "--config", str(tiny_config(folder, redis)), "--quiet", *more]
    )


def texts(server: Any, kind: str, subnet: str, name: str = NAME) -> list[str]:
    wanted = dns.rdatatype.from_text(kind)
    return sorted(
        record.to_text()
        for rrset in server.query(name, kind, subnet=subnet).answer
        if rrset.rdtype == wanted
        for record in rrset
    )


@pytest.mark.parametrize("kind", ["knot", "pdns-geoip"])
def test_hints_are_those_of_the_class(emptied_redis: RedisServer, tmp_path: Path, kind: str) -> None:
    assert export(kind, emptied_redis, tmp_path) == 0
    folder = tmp_path / "x"
    with Knot(folder) if kind == "knot" else GeoIP(folder / "pdns-geoip.conf") as server:
        seen = set()
        for subnet in CLIENTS:
            (a,), (aaaa,) = texts(server, "A", subnet), texts(server, "AAAA", subnet)
            assert texts(server, "HTTPS", subnet) == [f'1 . alpn="h2,h3" ipv4hint="{a}" ipv6hint="{aaaa}"']
            seen.add(a)
        assert len(seen) == 3


@pytest.mark.parametrize("kind", ["knot", "pdns-geoip", "gdnsd"])
def test_what_stands_below_a_service_has_no_hints(
    emptied_redis: RedisServer, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    assert export(kind, emptied_redis, tmp_path, svcb=SVCB) == 3
    said = capsys.readouterr().err
    assert f"{PLACE}.svcb: {NO_HINTS}" in said
    assert (f"{PLACE}.https: {NO_HINTS}" in said) == (kind == "gdnsd")
    assert export(kind, emptied_redis, tmp_path, "--lossy", svcb=SVCB) == 0
    folder = tmp_path / "x"
    made: Any = Knot(folder) if kind == "knot" else Gdnsd(folder)
    with GeoIP(folder / "pdns-geoip.conf") if kind == "pdns-geoip" else made as server:
        for subnet in CLIENTS[:2]:
            assert texts(server, "SVCB", subnet, f"_dns.{NAME}") == [f'1 {NAME}. alpn="dot" port="853"']
            if kind == "gdnsd":
                assert texts(server, "HTTPS", subnet) == ['1 . alpn="h2,h3"']
                assert addresses(server.query(NAME, subnet=subnet)) == [
                    "192.0.2.1" if subnet == CLIENTS[0] else "192.0.2.2"
                ]


def test_where_powerdns_draws_there_are_no_hints(
    emptied_redis: RedisServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tie = {"order": [], "default": {"lon1": 1, "ams1": 1}}
    made = {"maps": {"default": tie}}
    what = document(**made, services={NAME: {"map": "default", "https": [{"alpn": ["h3"]}]}})
    with emptied_redis.client() as client:
        publish_tiny(client, "geosteer", what)
    words = [
        "export",
        "pdns-geoip",
        str(tmp_path / "x"),
        "--config",
        str(tiny_config(tmp_path, emptied_redis)),
        "--quiet",
    ]
    assert main(words) == 3
    assert f"{PLACE}.https: where nodes are drawn, the records have no hints" in capsys.readouterr().err
    assert main([*words, "--lossy"]) == 0
    with GeoIP(tmp_path / "x" / "pdns-geoip.conf") as server:
        assert texts(server, "HTTPS", CLIENTS[0]) == ['1 . alpn="h3"']


def test_the_old_geo_backend_has_none(
    emptied_redis: RedisServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export("geo-map", emptied_redis, tmp_path) == 3
    assert f"{PLACE}: HTTPS and SVCB records are left out" in capsys.readouterr().err

"""`geosteer bgp`, and what `explain` says of routes that were passed over."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from geosteer_loader.cli.main import main
from support.mrt_writer import peers, rib
from support.publishing import write_config

if TYPE_CHECKING:
    from pathlib import Path

    from support.servers import RedisServer

ROUTES = [
    rib("5.0.0.0/8", [3356, 10], [3356, 20]),
    rib("5.1.0.0/16", [3356, 1, 666]),
    rib("6.0.0.0/8", [3356, 1, {7, 8}]),
    rib("10.0.0.0/8", [3356, 10]),
    rib("2a00:1::/32", [3356, 30]),
]
MORE = """
[sources]
cache = "cache"
[[sources.bgp]]
format = "mrt"
path = "rib.mrt"
[[sources.bgp]]
format = "pyasn"
path = "late.dat"
[[sources.path]]
format = "mrt"
path = "rib.mrt"
vantage = "lon"
[[sources.path]]
format = "bgpdump"
path = "rib.txt"
vantage = "ams"
[rpki]
roas = "roas.json"
"""
ROAS = [
    {"asn": "AS10", "prefix": "5.0.0.0/8", "maxLength": 8},
    {"asn": "AS10", "prefix": "5.1.0.0/16", "maxLength": 24},
]


@pytest.fixture
def config(redis_server: RedisServer, prefix: str, tmp_path: Path) -> Path:
    (tmp_path / "rib.mrt").write_bytes(peers(3356) + b"".join(ROUTES))
    (tmp_path / "late.dat").write_text("5.0.0.0/8\t10\n2a00:1::/32\t31\n")
    line = "TABLE_DUMP2|1400824800|B|192.0.2.9|65000|5.0.0.0/8|65000 2 10|IGP|192.0.2.9|0|0||NAG||\n"
    (tmp_path / "rib.txt").write_text(line + line.replace("65000 2 10", "65000 2 3 10"))
    (tmp_path / "roas.json").write_text(json.dumps({"roas": ROAS}))
    path = write_config(tmp_path, redis_server.url, prefix, more=MORE)
    assert main(["publish", "--quiet", "--config", str(path)]) == 0
    return path


def ask(config: Path, capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    capsys.readouterr()
    assert main([*words, "--json", "--config", str(config)]) == 0
    return json.loads(capsys.readouterr().out)


def test_every_route_is_told_with_what_makes_it_count_or_not(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = ask(config, capsys, "bgp", "5.1.2.3")
    assert told["published"] == {
        "bgp": {"prefix": "5.0.0.0/8", "record": "AS10"},
        "path": {"prefix": "5.0.0.0/8", "record": "lon=2 ams=3"},
    }
    assert told["roas"]["vrps"] == 2
    assert told["notes"] == []
    rows = [
        (
            each["table"],
            each["vantage"],
            each["prefix"],
            each["path"],
            each["rpki"],
            each["counts"],
            each["why"],
        )
        for each in told["routes"]
    ]
    invalid = "AS666 rpki invalid, passed over"
    assert rows == [
        ("bgp", None, "5.0.0.0/8", "3356 10", "valid", False, "a later source has the prefix as well"),
        ("bgp", None, "5.0.0.0/8", "3356 20", "invalid", False, "AS20 rpki invalid, passed over"),
        ("bgp", None, "5.0.0.0/8", None, "valid", True, "counts"),
        ("path", "lon", "5.0.0.0/8", "3356 10", "valid", True, "counts"),
        ("path", "lon", "5.0.0.0/8", "3356 20", "invalid", False, "AS20 rpki invalid, passed over"),
        ("path", "ams", "5.0.0.0/8", "65000 2 10", "valid", True, "counts"),
        ("path", "ams", "5.0.0.0/8", "65000 2 3 10", "valid", False, "a shorter path counts"),
        ("bgp", None, "5.1.0.0/16", "3356 1 666", "invalid", False, invalid),
        ("path", "lon", "5.1.0.0/16", "3356 1 666", "invalid", False, invalid),
    ]
    assert told["routes"][0]["peer"] == "AS3356 0.0.0.0"
    assert told["routes"][5]["peer"] == "AS65000 192.0.2.9"


def test_sets_bogons_and_ipv6_are_told_as_well(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (first, _) = ask(config, capsys, "bgp", "6.1.1.1")["routes"]
    assert (first["path"], first["origins"], first["rpki"]) == ("3356 1 {7,8}", [7, 8], "not found")
    (bogon, _) = ask(config, capsys, "bgp", "10.1.1.1")["routes"]
    assert (bogon["counts"], bogon["why"]) == (False, "bogon prefixes")
    routes = ask(config, capsys, "bgp", "2a00:1::1")["routes"]
    assert [(each["origins"], each["counts"]) for each in routes] == [
        ([30], False),
        ([31], True),
        ([30], True),
    ]
    assert main(["bgp", "192.0.2.1", "--config", str(config)]) == 0
    assert "no source has a route to it" in capsys.readouterr().out


def test_what_cannot_be_read_is_a_note_and_no_failure(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (config.parent / "rib.mrt").unlink()
    (config.parent / "roas.json").write_text("{")
    told = ask(config, capsys, "bgp", "5.1.2.3")
    assert ["No such file" in note for note in told["notes"]] == [True, True]
    assert "earlier ones are used" in told["roas"]["trouble"]
    assert {each["prefix"] for each in told["routes"]} == {"5.0.0.0/8"}


def test_explain_names_the_routes_that_were_passed_over(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask(config, capsys, "explain", "www.cdn.example.net", "5.1.2.3")["notes"] == [
        "bgp 5.0.0.0/8: AS20 rpki invalid, passed over",
        "bgp 5.1.0.0/16: AS666 rpki invalid, passed over",
        "path 5.0.0.0/8: AS20 rpki invalid, passed over",
        "path 5.1.0.0/16: AS666 rpki invalid, passed over",
    ]
    assert ask(config, capsys, "explain", "www.cdn.example.net", "6.1.2.3")["notes"] == []

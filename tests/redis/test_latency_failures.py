"""Nodes that fail for some: explain says for whom and how often; measured times in metrics."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from geosteer_loader.cli.main import main
from geosteer_loader.config.host import load
from geosteer_loader.latency.store import Measurements
from geosteer_loader.metrics.exporter import Exporter
from support.dns_setup import document
from support.export_oracle import tiny_config
from support.tiny import publish_tiny

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from support.servers import RedisServer

NAME = "www.cdn.example.net"


def test_explain_says_for_whom_a_node_fails(
    own_redis: RedisServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    everyone = {"lon1": 100, "ams1": 100, "nyc1": 100}
    what = document(services={NAME: {"map": "all", "policy": "latency"}}, maps={"all": {"default": everyone}})
    tables = {
        "bgp": {"192.0.2.0/24": "AS3320"},
        "rtt": {"192.0.2.0/24": "ams1=15 lon1=10031", "198.51.100.0/24": "lon1=10050"},
    }
    with own_redis.client() as client:
        publish_tiny(client, "geosteer", what, tables)
    config = tiny_config(tmp_path, own_redis)

    def explained(address: str, *options: str) -> str:
        assert main(["explain", "--config", str(config), NAME, address, *options]) == 0
        return capsys.readouterr().out

    assert "fails for 31 % of AS3320" in explained("192.0.2.7")
    candidates = {
        each["node"]: each
        for each in json.loads(explained("192.0.2.7", "--json"))["candidates"]
        if each["type"] == "A"
    }
    assert candidates["lon1"]["fails"] == "fails for 31 % of AS3320"
    assert (candidates["lon1"]["ms"], candidates["ams1"]["ms"], candidates["ams1"]["fails"]) == (
        None,
        15,
        None,
    )
    assert "fails for 50 % of 198.51.100.0/24" in explained("198.51.100.7")


def test_commands_on_what_is_published_take_a_file_with_measured_times(tmp_path: Path) -> None:
    path = tmp_path / "geosteer.toml"
    path.write_text(
        '[redis]\nurl = "redis://x"\n[latency]\ndatabase = "l.sqlite"\n[[latency.inputs]]\nformat = "own"\n'
    )
    assert load(path, {}).measurements == tmp_path / "l.sqlite"
    path.write_text('[redis]\nurl = "redis://x"\n')
    assert str(load(path, {}).measurements) == "/var/lib/geosteer/latency/samples.sqlite"


def test_metrics_tell_what_the_database_holds(tmp_path: Path) -> None:
    path = tmp_path / "latency.sqlite"
    assert "geosteer_latency_up 0.0" in Exporter(measurements=path).text().decode()
    store = Measurements(path, 86400.0)
    store.replace_records(
        [("system", "3320/DE/32", '{"fra1": 12}', 0, 1e9)],
        {"window": 1e9, "judged": 7.0, "changed": 1.0},
        [("system", "3320/DE/32", "ams1", 0.31, 1, 0), ("system", "3320/DE/32", "par1", 0.2, 0, 1)],
    )
    store.close()
    text = Exporter(measurements=path).text().decode()
    for line in (
        "geosteer_latency_up 1.0", "geosteer_latency_window_timestamp_seconds 1e+09", "geosteer_latency_window_changes 1.0",
        'geosteer_latency_records{level="system"} 1.0', "geosteer_latency_nodes_failing 1.0", "geosteer_latency_networks 0.0",
    ):  # fmt: skip
        assert line in text
    path.write_bytes(b"no database")
    assert "geosteer_latency_up 0.0" in Exporter(measurements=path).text().decode()

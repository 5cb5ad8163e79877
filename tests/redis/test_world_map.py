"""`geosteer map`: a file that stands alone, in the figures of `geosteer who`."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

import pytest

from geosteer_loader.cli.main import main
from geosteer_loader.config.config import load
from geosteer_loader.percent import percent
from geosteer_loader.publish.publish import publish
from geosteer_loader.query.who import who
from geosteer_loader.store.store import connect
from geosteer_loader.web.world import world
from support.world import DOWNLOADS, NODES, SERVICE, write_world

if TYPE_CHECKING:
    from pathlib import Path

    from support.servers import RedisServer

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def site(tmp_path: Path, redis_server: RedisServer, prefix: str) -> Path:
    path = write_world(tmp_path, redis_server.url, prefix)
    config = load(path, {})
    with connect(config.redis) as store:
        publish(config, store)
    return path


def drawn(path: Path, service: str = SERVICE, *options: str) -> str:
    file = path.parent / "map.svg"
    assert main(["map", service, "-o", str(file), "--config", str(path), *options]) == 0
    return file.read_text()


def titles(text: str) -> dict[str, str]:
    """Name of a country or node -> what is said of it."""
    found = (title.text or "" for title in ET.fromstring(text).iter(f"{SVG}title"))
    return {title.partition(": ")[0]: title.partition(": ")[2] for title in found}


def test_each_country_has_the_shares_of_who(site: Path) -> None:
    text = drawn(site)
    with connect(load(site, {}).redis) as store:
        part = who(store, SERVICE).parts["v4"]
    said = titles(text)
    assert len(part.countries) > 240
    for line in part.countries:
        if line.country in world().countries:
            wanted = ", ".join(f"{node} {percent(share)}" for node, share in line.nodes.items())
            assert said[world().countries[line.country].name] == wanted
    for node, share in part.nodes.items():
        assert f"{node}</tspan>".replace(node, "") in text
        assert f"> {percent(share)}</tspan>" in text
        assert said[node] == "serves"


def test_the_file_loads_nothing_and_is_small(site: Path) -> None:
    text = drawn(site)
    assert len(text.encode()) < 120_000
    assert re.findall(r"(?:href|src)=|url\((?!#)|<script|<style|style=|@import", text) == []
    assert set(re.findall(r"https?://[^\"<]+", text)) == {"http://www.w3.org/2000/svg"}


def test_an_outage_shows(site: Path) -> None:
    with connect(load(site, {}).redis) as store:
        store.call(
            "HSET",
            store.keys.node("nyc1"),
            "state",
            "down",
            "since",
            "2026-02-01T00:00:00Z",
            "reason",
            "503 <b>",
        )
    said = titles(drawn(site, DOWNLOADS))
    assert said["nyc1"].startswith("down")
    assert said["Canada"] == "sjc1 100.0 %"
    assert said["Brazil"] == "gru1 100.0 %"
    assert set(NODES) <= set(said)


def test_ipv6_has_a_map_of_its_own(site: Path) -> None:
    assert "clients of IPv6" in drawn(site, SERVICE, "--ipv6")


def test_a_file_that_cannot_be_written_is_named(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = site.parent / "nowhere" / "map.svg"
    assert main(["map", SERVICE, "-o", str(target), "--config", str(site)]) == 1
    assert str(target) in capsys.readouterr().err

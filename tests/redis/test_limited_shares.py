"""`max_share` from the configuration to workers' answers: no node has more clients than it may, and a plan says what moves."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from geosteer_loader.config.config import load
from geosteer_loader.publish.plan import plan
from geosteer_loader.publish.publish import Outcome, publish
from geosteer_loader.query.status import gather
from geosteer_loader.store import current
from geosteer_loader.store.store import connect
from support.steering import live_steering

if TYPE_CHECKING:
    from pathlib import Path

    from support.servers import RedisServer

WWW = "www.cdn.example.net"
SHAPE = """
[redis]
url = "{url}"
[[sources.geo]]
format = "csv"
path = "geo.csv"
[nodes.lon1]
a = ["192.0.2.1"]
location = [51.5, 0.0]
well_connected = 1
[nodes.ams1]
a = ["192.0.2.2"]
location = [52.4, 4.9]
[nodes.mad1]
a = ["192.0.2.3"]
location = [40.4, -3.7]
[maps.default]
default = {{ lon1 = 100, ams1 = 100, mad1 = 100 }}
[guard]
max_impact = 1.0
max_shrink = 1.0
max_country_change = 1.0
grace = 0
[zones."cdn.example.net"]
soa = {{ mname = "ns1.example.net", rname = "hostmaster.example.net" }}
ns = ["ns1.example.net"]
[services."www.cdn.example.net"]
map = "default"
policy = "nearest"
{more}
"""
BLOCKS = [f"20.{number}.0.0/16" for number in range(64)]


class Site:
    """A Redis, and a configuration with one service and a table of places."""

    def __init__(self, folder: Path, server: RedisServer) -> None:
        self.folder, self.server = folder, server
        self.write_table(0)

    def write_table(self, shift: float) -> None:
        lines = [
            f"{block},GB,{46 + number % 8 + shift:.2f},{number // 8 - 3:.2f}\n"
            for number, block in enumerate(BLOCKS)
        ]
        (self.folder / "geo.csv").write_text("".join(lines))

    def config(self, more: str = "") -> Any:
        path = self.folder / "geosteer.toml"
        path.write_text(SHAPE.format(url=self.server.url, more=more))
        return load(path, {})

    def publish(self, more: str = "") -> Outcome:
        config = self.config(more)
        with connect(config.redis) as store:
            return publish(config, store)

    def plan(self, more: str = "") -> dict[str, Any]:
        config = self.config(more)
        with connect(config.redis) as store:
            return plan(config, store).to_json()

    def service(self) -> dict[str, Any]:
        with connect(self.config().redis) as store:
            service: dict[str, Any] = current.document(store, current.read(store))["services"][WWW]
        return service

    def status(self) -> list[str]:
        with connect(self.config().redis) as store:
            return gather(store).warnings

    def answers(self) -> dict[str, str]:
        """Client network -> node, as a worker answers, for 16 of each block."""
        with live_steering(self.server, "geosteer", self.folder) as steering:
            return {
                client: steering.decide(WWW, client).node.name
                for block in BLOCKS
                for number in range(0, 256, 16)
                for client in (f"{block.removesuffix('.0.0/16')}.{number}.1",)
            }


@pytest.fixture
def site(tmp_path: Path, own_redis: RedisServer) -> Site:
    return Site(tmp_path, own_redis)


def parts(answers: dict[str, str]) -> dict[str, float]:
    return {node: count / len(answers) for node, count in Counter(answers.values()).items()}


LIMITS = "max_share = { lon1 = 0.25, ams1 = 0.3 }"


def test_workers_give_a_node_no_more_clients_than_it_may_have(site: Site) -> None:
    site.publish()
    before = site.answers()
    assert parts(before)["lon1"] > 0.4
    planned = site.plan(LIMITS)
    moves = planned["impact"][WWW]["v4"]["all_up"]
    assert moves["nodes"]["lon1"][0] == pytest.approx(parts(before)["lon1"], abs=0.02)
    assert moves["nodes"]["lon1"][1] == pytest.approx(0.25, abs=1e-3)
    assert any(change["place"].endswith("offsets") for change in planned["config"])
    site.publish(LIMITS)
    after = site.answers()
    assert parts(after)["lon1"] == pytest.approx(0.25, abs=0.02)
    assert parts(after)["ams1"] <= 0.32
    moved = {client for client in after if before[client] != after[client]}
    assert len(moved) / len(after) == pytest.approx(moves["share_known"], abs=0.03)
    assert site.answers() == after, "the same clients each time"


def test_what_did_not_change_is_not_worked_out_again_and_the_same_comes_out_each_time(site: Site) -> None:
    first = site.publish(LIMITS)
    offsets = site.service()["offsets"]
    assert site.publish(LIMITS).generation == first.generation
    site.server.client().flushall()
    site.publish(LIMITS)
    assert site.service()["offsets"] == offsets
    site.publish()
    assert "offsets" not in site.service()


def test_a_changed_table_makes_new_offsets_and_moves_few_clients(site: Site) -> None:
    site.publish(LIMITS)
    before, offsets = site.answers(), site.service()["offsets"]
    site.write_table(0.06)
    assert "config" in site.publish(LIMITS).changed
    after = site.answers()
    assert site.service()["offsets"] != offsets
    assert parts(after)["lon1"] == pytest.approx(0.25, abs=0.02)
    assert sum(before[client] != after[client] for client in after) / len(after) < 0.08


def test_a_limit_that_cannot_be_kept_is_a_warning(site: Site) -> None:
    alone = "max_share = { lon1 = 0.2 }\n[maps.default.countries]\nGB = { lon1 = 100 }"
    warning = (
        f"service {WWW}: node lon1 has 100.0% of the clients, more than its max_share of 20.0%: "
        "100.0% of the clients have no other node to go to, or no known place"
    )
    assert warning in site.plan(alone)["warnings"]
    first = site.publish(alone)
    assert warning in first.warnings
    again = site.publish(alone)
    assert again.generation == first.generation
    assert warning in again.warnings, "it holds for as long as it is published"
    assert warning in site.plan(alone)["warnings"]
    assert warning in site.status()
    site.publish()
    assert "over_share" not in site.service()
    assert warning not in site.status()


def test_the_published_document_holds_a_few_numbers_for_each_node(site: Site) -> None:
    site.publish(LIMITS)
    for offset in site.service()["offsets"].values():
        assert offset.keys() == {"add", "edge", "keep"}
    assert len(json.dumps(site.service()["offsets"])) < 200

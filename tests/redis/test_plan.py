"""`geosteer plan`: what a publish would change is told beforehand, and nothing is written."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from geosteer.errors import Refused, SourceError
from geosteer_loader.cli.main import main
from geosteer_loader.config.config import load
from geosteer_loader.config.diff import differences, line
from geosteer_loader.impact.traffic import read_traffic
from geosteer_loader.publish.plan import plan
from geosteer_loader.publish.publish import Outcome, publish
from geosteer_loader.store.store import connect
from support.data import shared
from support.publishing import SERVICE, current_of, objects_in, write_config, write_csv

if TYPE_CHECKING:
    from pathlib import Path

    from support.servers import RedisServer

WWW = "www.cdn.example.net"
DAY = ("10.0.0.0/8,GB", "11.0.0.0/8,NL", "2001:db8::/32,GB")


class Site:
    """A Redis, and a configuration with one service, whose table is a list of lines."""

    def __init__(self, folder: Path, server: RedisServer) -> None:
        self.folder = folder
        self.server = server
        self.client = server.client()
        self.limits = "1.0"
        self.text = ""

    def config(self, lines: tuple[str, ...], *replaced: tuple[str, str], **options: Any) -> Any:
        geo = options.pop("geo", None) or [write_csv(self.folder / "geo.csv", lines)]
        path = write_config(self.folder, self.server.url, geo=geo, **options)
        text = path.read_text().replace("max_impact = 1.0", f"max_impact = {self.limits}")
        text = text.replace("[nodes.ams1]", "[nodes.ams1]\nwell_connected = 1") + SERVICE
        for old, new in replaced:
            assert old in text
            text = text.replace(old, new)
        path.write_text(text)
        self.text = text
        return load(path, {})

    def publish(self, lines: tuple[str, ...], *replaced: tuple[str, str], **options: Any) -> Outcome:
        force = options.pop("force", ())
        config = self.config(lines, *replaced, **options)
        with connect(config.redis) as store:
            return publish(config, store, force=force)

    def plan(self, lines: tuple[str, ...], *replaced: tuple[str, str], **options: Any) -> dict[str, Any]:
        clients = options.pop("clients", None)
        config = self.config(lines, *replaced, **options)
        with connect(config.redis) as store:
            found = plan(config, store, read_traffic(clients) if clients else None).to_json()
        assert json.loads(json.dumps(found)) is not None
        return found


@pytest.fixture
def site(tmp_path: Path, own_redis: RedisServer) -> Site:
    return Site(tmp_path, own_redis)


def test_a_first_plan_says_that_all_is_new(site: Site) -> None:
    found = site.plan(DAY, networks={"lab": ["192.0.2.0/24"]})
    assert found["generation"] is None
    assert found["changed"] == ["geo", "nets", "config"]
    assert found["tables"]["geo"]["state"] == "new"
    assert found["tables"]["geo"]["v4"]["changed"] == 2 << 24
    assert found["tables"]["geo"]["v6"]["movements"] == [{"from": "-", "to": "GB", "changed": 1 << 16}]
    assert found["config"] == []
    assert found["impact"] == {}
    assert site.client.keys() == []


def test_a_plan_tells_what_publish_then_does(site: Site) -> None:
    site.publish(DAY)
    before = current_of(site.client), objects_in(site.client)
    lines = ("10.0.0.0/8,GB", "11.0.0.0/9,NL", "11.128.0.0/9,GB", "2001:db8::/33,GB")
    found = site.plan(lines, weight=50)
    assert (current_of(site.client), objects_in(site.client)) == before
    assert not site.client.exists("{geosteer}:lock")
    v4, v6 = found["tables"]["geo"]["v4"], found["tables"]["geo"]["v6"]
    assert v4["changed"] == 1 << 23
    assert v4["share"] == 2**23 / 2**32
    assert v4["unit"] == "addresses"
    assert v4["movements"] == [{"from": "NL", "to": "GB", "changed": 1 << 23}]
    assert v6["changed"] == 1 << 15
    assert v6["movements"] == [{"from": "GB", "to": "-", "changed": 1 << 15}]
    assert v4["pages"] == {"before": 1, "after": 1, "new": 1, "gone": 1}
    assert found["config"] == [
        {"place": "nodes.ams1.weight", "change": "changed", "before": 100, "after": 50}
    ]
    outcome = site.publish(lines, weight=50)
    assert outcome.changed == found["changed"] == ["geo", "config"]
    assert outcome.written.objects == found["objects"] == 3
    assert outcome.written.size == found["bytes"]
    assert outcome.impact == found["impact"]


def test_an_unchanged_plan_says_so(site: Site) -> None:
    site.publish(DAY)
    found = site.plan(DAY)
    assert (found["changed"], found["objects"], found["impact"]) == ([], 0, {})
    assert found["tables"]["geo"]["v4"]["changed"] == 0


def test_the_impact_counts_a_wanted_change_of_the_configuration(site: Site) -> None:
    site.publish(DAY)
    found = site.plan(DAY, ("lon1 = 100, lon2 = 50", "lon1 = 100, lon2 = 100"))
    shift = found["impact"][WWW]["v4"]
    assert shift["all_up"]["share_known"] == pytest.approx(0.25)
    assert shift["all_up"]["share"] == pytest.approx(2**24 / 2 / 2**32)
    assert shift["all_up"]["nodes"] == {"lon1": pytest.approx((0.5, 0.25)), "lon2": pytest.approx((0, 0.25))}
    site.client.hset("{geosteer}:node:lon2", mapping={"state": "down", "since": "2026-02-01T00:00:00Z"})
    found = site.plan(DAY, ("lon1 = 100, lon2 = 50", "lon1 = 100, lon2 = 100"))
    assert found["impact"][WWW]["v4"]["now"]["share"] == 0


def test_real_clients_weigh_the_impact(site: Site, tmp_path: Path) -> None:
    site.publish(DAY)
    clients = tmp_path / "clients.txt"
    clients.write_text("# from a log\n10.1.2.3 30\n   10 11.0.0.0/24\n2001:db8::/48, 20\n\n192.0.2.1\n")
    found = site.plan(("10.0.0.0/8,NL", "11.0.0.0/8,NL", "2001:db8::/32,NL"), clients=clients)
    shift = found["impact"][WWW]["clients"]
    assert shift["clients"] == 61
    assert shift["all_up"]["moved"] == 50
    assert shift["all_up"]["share"] == 50 / 61


def test_clients_that_are_none_are_named(tmp_path: Path) -> None:
    clients = tmp_path / "clients.txt"
    clients.write_text("10.1.2.3\nhello 3\n10.0.0.0/8 -1\n10.0.0.0/8 0\n10.0.0.0/33\n")
    with pytest.raises(SourceError) as caught:
        read_traffic(clients)
    assert [line.split(": ")[1] for line in str(caught.value).splitlines()] == [
        "line 2",
        "line 3",
        "line 4",
        "line 5",
    ]
    clients.write_text("# nobody\n")
    with pytest.raises(SourceError, match="no clients"):
        read_traffic(clients)


def test_a_table_change_that_moves_too_many_clients_is_refused_and_can_be_forced(site: Site) -> None:
    site.limits = "0.2"
    site.publish(DAY)
    lines = ("10.0.0.0/8,NL", "11.0.0.0/8,NL", "12.0.0.0/8,GB", "2001:db8::/32,GB")
    refused = site.plan(lines)["refused"]
    assert [one["guard"] for one in refused] == ["max_impact"]
    with pytest.raises(Refused, match=r"max_impact: www\.cdn\.example\.net: 66\.7 % of the v4 clients"):
        site.publish(lines)
    assert current_of(site.client)["generation"] == "1"
    assert site.publish(lines, force=["max_impact"]).generation == 2


def test_a_wanted_change_of_the_configuration_is_shown_and_passes(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    site.limits = "0.2"
    caplog.set_level("INFO")
    site.publish(DAY)
    outcome = site.publish(DAY, ("GB = { lon1 = 100, lon2 = 50 }", "GB = { lon2 = 50 }"))
    assert outcome.changed == ["config"]
    assert outcome.impact[WWW]["v4"]["all_up"]["share_known"] == 0.5
    assert "www.cdn.example.net: 50.00 % of the v4 clients get another node" in caplog.text


def test_only_the_tables_part_of_a_change_of_both_counts_against_the_limit(site: Site) -> None:
    site.limits = "0.2"
    site.publish(DAY)
    lines = ("10.0.0.0/8,GB", "11.0.0.0/8,NL", "12.0.0.0/10,GB", "2001:db8::/32,GB")
    outcome = site.publish(lines, ("GB = { lon1 = 100, lon2 = 50 }", "GB = { lon2 = 50 }"))
    assert outcome.changed == ["geo", "config"]
    assert outcome.impact[WWW]["v4"]["all_up"]["share_known"] == pytest.approx(1.25 / 2.25)


def test_a_table_that_was_added_or_removed_on_purpose_passes(site: Site) -> None:
    site.limits = "0.0"
    site.publish(DAY)
    lab = {"lab": ["10.0.0.0/9"]}
    more = ("default = { ams1 = 100 }", "networks = { lab = { ams1 = 1 } }\ndefault = { ams1 = 100 }")
    assert site.publish(DAY, more, networks=lab).impact[WWW]["v4"]["all_up"]["share_known"] == 0.25
    assert site.publish(DAY, networks={"lab": ["10.0.0.0/16"]}).changed == ["nets", "config"]


def test_a_country_without_a_serving_node_is_warned_of(site: Site) -> None:
    site.publish(DAY)
    for node in ("lon1", "lon2"):
        site.client.hset(
            f"{{geosteer}}:node:{node}", mapping={"state": "down", "since": "2026-02-01T00:00:00Z"}
        )
    found = site.plan(DAY, weight=50)
    assert found["warnings"] == [
        "map default: A: no node of their own entry serves, layer default answers: GB (50.0 % of all)"
    ]
    site.client.hset("{geosteer}:node:ams1", mapping={"state": "down", "since": "2026-02-01T00:00:00Z"})
    outcome = site.publish(DAY, weight=50)
    assert outcome.warnings == [
        "map default: A: no layer that names them has a serving node: GB, NL (100.0 % of all)"
    ]
    clients = site.folder / "clients"
    clients.write_text("11.0.0.1 10\n12.0.0.1 5\n")
    assert "NL (100.0 % of all)" in site.plan(DAY, weight=40, clients=clients)["warnings"][0]


def test_a_held_or_damaged_generation_is_told_of(site: Site) -> None:
    site.publish(DAY)
    site.client.hset("{geosteer}:current", "held", "ops@host: bad data")
    found = site.plan(DAY)
    assert found["held"] == "ops@host: bad data"
    assert found["changed"] == ["release"]
    site.client.hdel("{geosteer}:object", current_of(site.client)["geo.v4"])
    found = site.plan(("10.0.0.0/8,GB",))
    assert any(warning.startswith("geo.v4: cannot be compared") for warning in found["warnings"])


def test_configurations_are_compared_setting_by_setting() -> None:
    before = {
        "nodes": {"a": {"weight": 100, "a": ["192.0.2.1"]}, "b": {"weight": 1}},
        "services": {"x.y": {"ttl": 60}},
    }
    after = {
        "nodes": {"a": {"weight": 50, "a": ["192.0.2.2"]}, "c": {"weight": 1, "hostname": None}},
        "services": {"x.y": {"ttl": 30}},
    }
    assert [line(one) for one in differences(before, after)] == [
        '  nodes.a.a: ["192.0.2.1"] -> ["192.0.2.2"]',
        "  nodes.a.weight: 100 -> 50",
        "- nodes.b: { weight = 1 }",
        "+ nodes.c: { weight = 1 }",
        '  services."x.y".ttl: 60 -> 30',
    ]
    assert differences(None, after) == []


def test_the_command_prints_text_or_json(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.publish(DAY)
    config = site.config(("10.0.0.0/8,GB", "11.0.0.0/8,GB", "2001:db8::/32,GB"), weight=50)
    assert main(["plan", "--config", str(config.path)]) == 0
    out = capsys.readouterr().out
    assert "geo.v4: NL -> GB 16,777,216 addresses" in out
    assert "nodes.ams1.weight: 100 -> 50" in out
    assert "www.cdn.example.net  IPv4     50.00 %" in out
    assert main(["plan", "--json", "--config", str(config.path)]) == 0
    assert json.loads(capsys.readouterr().out)["changed"] == ["geo", "config"]
    assert main(["plan", "--clients", "absent", "--config", str(config.path)]) == 2


def test_a_schema_that_this_program_cannot_write_is_bad_usage(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    config = str(site.config(DAY).path)
    assert main(["publish", "--schema", "2", "--config", config]) == 2
    assert "can publish schema 1 to 1" in capsys.readouterr().err
    assert main(["publish", "--schema", "1", "--config", config]) == 0
    assert current_of(site.client)["schema"] == "1"


def test_a_real_days_change_moves_few_clients_and_the_numbers_add_up(
    tmp_path: Path, own_redis: RedisServer
) -> None:
    site = Site(tmp_path, own_redis)
    site.limits = "0.001"
    days = [shared("country-2026-01-31.mmdb"), shared("country-2026-02-01.mmdb")]
    site.publish((), geo=days[:1])
    found = site.plan((), geo=days[1:])
    v4 = found["tables"]["geo"]["v4"]
    assert v4["changed"] == sum(one["changed"] for one in v4["movements"]) == 1280
    assert v4["movements"][0] == {"from": "-", "to": "US", "changed": 768}
    assert {"from": "US", "to": "JP", "changed": 256} in v4["movements"]
    assert found["objects"] <= 40
    assert found["impact"][WWW]["v4"]["all_up"]["share"] == 0
    assert found["refused"] == []
    assert site.publish((), geo=days[1:]).written.objects == found["objects"]

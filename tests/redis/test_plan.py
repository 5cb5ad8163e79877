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
from geosteer_loader.publish.refusals import GoneAltogether, ImpactTooHigh, SeveralRefused
from geosteer_loader.store.store import connect
from support.data import shared
from support.long import takes_long
from support.publishing import current_of, objects_in, write_config, write_csv

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


def test_a_change_of_the_configuration_counts_like_any_other_and_can_be_forced(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    site.limits = "0.2"
    caplog.set_level("INFO")
    site.publish(DAY)
    other = ("GB = { lon1 = 100, lon2 = 50 }", "GB = { lon2 = 50 }")
    found = site.plan(DAY, other)
    assert found["moved"] == {WWW: 1.0}  # of IPv6, where GB is all there is
    assert [one["guard"] for one in found["refused"]] == ["max_impact", "max_impact"]
    with pytest.raises(Refused, match=r"max_impact: www\.cdn\.example\.net: 50\.0 % of the v4 clients"):
        site.publish(DAY, other)
    outcome = site.publish(DAY, other, force=["max_impact"])
    assert outcome.changed == ["config"]
    assert outcome.impact[WWW]["v4"]["all_up"]["share_known"] == 0.5
    assert "www.cdn.example.net: 50.00 % of the v4 clients get another node" in caplog.text


def test_tables_and_configuration_count_together(site: Site) -> None:
    site.limits = "0.2"
    site.publish(DAY)
    lines = ("10.0.0.0/8,GB", "11.0.0.0/8,NL", "12.0.0.0/10,GB", "2001:db8::/32,GB")
    other = ("GB = { lon1 = 100, lon2 = 50 }", "GB = { lon2 = 50 }")
    with pytest.raises(SeveralRefused) as caught:
        site.publish(lines, other)
    shares = {one.family: one.share for one in caught.value.findings if isinstance(one, ImpactTooHigh)}
    assert shares == {"v4": pytest.approx(1.25 / 2.25), "v6": 1.0}


def test_a_map_that_asks_no_table_from_elsewhere_is_guarded_too(site: Site) -> None:
    site.limits = "0.2"
    plain = ("countries = { GB = { lon1 = 100, lon2 = 50 } }\n", "")
    site.publish(DAY, plain)
    found = site.plan(DAY, plain, ("default = { ams1 = 100 }", "default = { lon1 = 100 }"))
    assert found["moved"] == {WWW: 1.0}
    assert [one["guard"] for one in found["refused"]] == ["max_impact", "max_impact"]
    networks = (plain[0], "networks = { lab = { lon2 = 1 } }\n")
    lab = {"lab": ["10.0.0.0/16", "2001:db8::/48"]}
    site.publish(DAY, networks, networks=lab, force=["max_impact"])
    others = site.plan(DAY, networks, ("default = { ams1 = 100 }", "default = { lon1 = 100 }"), networks=lab)
    assert others["moved"][WWW] > 0.99
    own = site.plan(
        DAY,
        ("countries = { GB = { lon1 = 100, lon2 = 50 } }", networks[1].replace("lon2", "lon1")),
        networks=lab,
    )
    assert own["moved"] == {WWW: 1.0}


def test_nothing_counts_where_there_were_no_clients_before(site: Site) -> None:
    site.limits = "0.0"
    assert site.plan(DAY)["refused"] == []
    site.publish(DAY)
    more = '[services."new.cdn.example.net"]\nmap = "default"\n'
    found = site.plan(DAY, (more_at := f'[services."{WWW}"]', more + more_at))
    assert (found["moved"], found["refused"]) == ({WWW: 0.0}, [])


def test_a_table_that_is_added_moves_clients_like_any_other_change(site: Site) -> None:
    site.limits = "0.0"
    site.publish(DAY)
    lab = {"lab": ["10.0.0.0/9"]}
    more = ("default = { ams1 = 100 }", "networks = { lab = { ams1 = 1 } }\ndefault = { ams1 = 100 }")
    assert site.plan(DAY, more, networks=lab)["moved"] == {WWW: 0.25}
    outcome = site.publish(DAY, more, networks=lab, force=["max_impact"])
    assert outcome.impact[WWW]["v4"]["all_up"]["share_known"] == 0.25
    assert site.publish(DAY, networks={"lab": ["10.0.0.0/16"]}, force=["max_impact"]).changed == [
        "nets",
        "config",
    ]


VANISHING = {
    "a zone": (
        (
            "[zones.",
            '[zones."x.example"]\nsoa = { mname = "a.y.example", rname = "b.y.example" }\nns = ["a.y.example"]\n[zones.',
        ),
        "zone x.example",
    ),
    "a service": (
        ("[services.", '[services."dl.cdn.example.net"]\nmap = "default"\n[services.'),
        "service dl.cdn.example.net",
    ),
    "a node": (
        ("default = { ams1 = 100 }", "default = { ams1 = 100, fra1 = 1 }\n[nodes.fra1]\na = ['192.0.2.9']"),
        "node fra1",
    ),
    "a node of last resort": (
        ("[maps.", "[nodes.fra1]\na = ['192.0.2.9']\nwell_connected = 1\n[maps."),
        "node fra1",
    ),
    "a static record": (
        (
            'ns = ["ns1.example.net"]',
            'ns = ["ns1.example.net"]\nrecords = [{ name = "ns1", type = "A", content = "192.0.2.53" }]',
        ),
        "record ns1.cdn.example.net A",
    ),
    "a service's type": (
        ('a = ["192.0.2.3"]', 'a = ["192.0.2.3"]\naaaa = ["2001:db8::3"]'),
        "record www.cdn.example.net AAAA",
    ),
    "a table": (("[maps.", '[[sources.bgp]]\nformat = "pyasn"\npath = "as.dat"\n[maps.'), "table bgp"),
    "several": (
        (
            "[maps.",
            '[[sources.bgp]]\nformat = "pyasn"\npath = "as.dat"\n[networks.lab]\nprefixes = ["10.0.0.0/8"]\n[maps.',
        ),
        "table",
    ),
}


@pytest.mark.parametrize("what", VANISHING)
def test_what_would_be_gone_altogether_is_named_and_refused_until_forced(site: Site, what: str) -> None:
    (site.folder / "as.dat").write_text("11.0.0.0/8 AS64\n")
    more, told = VANISHING[what]
    site.publish(DAY, more)
    found = site.plan(DAY)
    assert [one["guard"] for one in found["refused"]] == ["vanished"]
    assert told in found["refused"][0]["finding"]
    assert sum(map(len, found["vanished"].values())) == (2 if what == "several" else 1)
    with pytest.raises(GoneAltogether, match=f"vanished: would be gone: .*{told}") as caught:
        site.publish(DAY)
    gone = caught.value
    assert {kind: list(getattr(gone, kind)) for kind in found["vanished"]} == found["vanished"]
    assert current_of(site.client)["generation"] == "1"
    outcome = site.publish(DAY, force=["vanished"])
    assert outcome.vanished == found["vanished"]
    (_, entry), *_ = site.client.xrevrange("{geosteer}:history")
    assert entry[b"changed"].endswith(b" forced:vanished")


def test_texts_come_and_go_and_a_record_may_get_another_content(site: Site) -> None:
    ns = 'ns = ["ns1.example.net"]'
    records = '{ name = "ns1", type = "A", content = "192.0.2.53" }'
    text = '{ name = "_acme-challenge", type = "TXT", content = "x" }'
    site.publish(DAY, (ns, f"{ns}\nrecords = [{records}, {text}]"))
    assert site.plan(DAY, (ns, f"{ns}\nrecords = [{records.replace('53', '54')}]"))["refused"] == []


def test_a_node_that_nothing_uses_may_go(site: Site) -> None:
    site.publish(DAY, ("[maps.", "[nodes.fra1]\na = ['192.0.2.9']\n[maps."))
    assert site.plan(DAY)["refused"] == []
    assert site.publish(DAY).changed == ["config"]


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
    assert "www.cdn.example.net  50.00 %  IPv4     50.00 %" in out
    assert main(["plan", "--json", "--config", str(config.path)]) == 0
    assert json.loads(capsys.readouterr().out)["changed"] == ["geo", "config"]
    assert main(["plan", "--clients", "absent", "--config", str(config.path)]) == 2


def test_the_command_is_a_gate(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.limits = "0.2"
    config = str(site.config(DAY).path)
    assert main(["publish", "--config", config]) == 0
    capsys.readouterr()
    assert main(["plan", "--quiet", "--config", config]) == 0
    assert capsys.readouterr() == ("", "")
    config = str(site.config(("10.0.0.0/9,NL", "10.128.0.0/9,GB", "11.0.0.0/8,NL", "2001:db8::/32,GB")).path)
    assert main(["plan", "--quiet", "--config", config]) == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("max_impact: www.cdn.example.net: ")
    assert err.endswith("publish needs --force max_impact\n")
    assert main(["plan", "--config", config]) == 3
    assert "publish needs --force max_impact" in capsys.readouterr().out
    assert main(["plan", "--json", "--config", config]) == 3
    assert json.loads(capsys.readouterr().out)["refused"][0]["guard"] == "max_impact"


def test_a_service_that_would_be_gone_stands_in_the_impact(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    site.publish(DAY, ("[services.", '[services."dl.cdn.example.net"]\nmap = "default"\n[services.'))
    assert main(["plan", "--config", str(site.config(DAY).path)]) == 3
    out = capsys.readouterr().out
    assert "dl.cdn.example.net   gone" in out
    assert "vanished: would be gone: service dl.cdn.example.net; publish needs --force vanished" in out


def test_a_schema_that_this_program_cannot_write_is_bad_usage(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    config = str(site.config(DAY).path)
    assert main(["publish", "--schema", "2", "--config", config]) == 2
    assert "can publish schema 1 to 1" in capsys.readouterr().err
    assert main(["publish", "--schema", "1", "--config", config]) == 0
    assert current_of(site.client)["schema"] == "1"


@takes_long
@pytest.mark.no_cover
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

"""`geosteer history --diff`: what two generations differ in, as an operator would call it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from geosteer_loader.cli.main import main
from geosteer_loader.store.history import entries
from geosteer_loader.store.store import connect
from support.publishing import make_config, write_config, write_csv

if TYPE_CHECKING:
    from pathlib import Path

    from support.servers import RedisServer

BEFORE = """
[maps.far]
default = { lon1 = 10 }
[zones."cdn.example.net"]
soa = { mname = "ns1.example.net", rname = "hostmaster.example.net" }
ns = ["ns1.example.net"]
[services."www.cdn.example.net"]
map = "default"
[services."old.cdn.example.net"]
map = "far"
"""
AFTER = """
[nodes.fra1]
a = ["192.0.2.9"]
[maps.far]
countries = { DE = { fra1 = 100 } }
default = { lon1 = 20, fra1 = 5 }
[zones."cdn.example.net"]
soa = { mname = "ns1.example.net", rname = "hostmaster.example.net" }
ns = ["ns1.example.net", "ns2.example.net"]
[services."www.cdn.example.net"]
map = "default"
policy = "weighted"
[services."new.cdn.example.net"]
map = "far"
"""


class Place:
    """Two generations that differ in everything."""

    def __init__(self, folder: Path, server: RedisServer, prefix: str, capsys: Any) -> None:
        self._capsys = capsys
        self.folder, self.url, self.prefix = folder, server.url, prefix
        self.publish("192.0.2.0/24,GB", "198.51.100.0/25,US", networks={"lab": ["10.0.0.0/8"]}, more=BEFORE)
        self.publish("192.0.2.0/24,NL", "198.51.100.0/25,US", "2001:db8::/32,NL", weight=50, more=AFTER)

    def publish(self, *lines: str, **options: Any) -> None:
        geo = [write_csv(self.folder / "geo.csv", lines)]
        self.path = write_config(self.folder, self.url, self.prefix, geo=geo, **options)
        assert (
            main(["publish", "--config", str(self.path), "--force", "vanished", "--force", "empty_country"])
            == 0
        )

    def run(self, *words: str, code: int = 0) -> str:
        self._capsys.readouterr()
        assert main(["history", *words, "--config", str(self.path)]) == code
        self.out, self.err = self._capsys.readouterr()
        return str(self.out)


@pytest.fixture
def place(
    tmp_path: Path, redis_server: RedisServer, prefix: str, capsys: pytest.CaptureFixture[str]
) -> Place:
    return Place(tmp_path, redis_server, prefix, capsys)


def test_what_changed_is_told_by_its_name(place: Place) -> None:
    text = place.run("--diff", "1", "2")
    head, _, rest = text.partition("\n\n")
    assert [line.split(",")[0] for line in head.splitlines()] == ["generation 1", "-> generation 2"]
    groups = {part.splitlines()[0]: part.splitlines()[1:] for part in rest.rstrip().split("\n\n")}
    assert list(groups) == ["sources", "nodes", "weights", "maps", "services", "zones", "networks"]
    assert "    v4: 256 addresses in 1 ranges have another record" in groups["sources"]
    assert "      GB -> NL: 256 addresses" in groups["sources"]
    assert any(line.startswith("  nets: removed") for line in groups["sources"])
    assert groups["nodes"][0].startswith('  fra1: { a = ["192.0.2.9"]')
    assert groups["weights"] == [
        "  map far, default, fra1: 5 (new)", "  map far, default, lon1: 10 -> 20", "  ams1, weight: 100 -> 50",
    ]  # fmt: skip
    assert groups["maps"] == ["  map far, countries.DE: { fra1 = 100 } (new)"]
    assert '  www.cdn.example.net, policy: "best" -> "weighted"' in groups["services"]
    assert any(line.startswith("  old.cdn.example.net: gone (was {") for line in groups["services"])
    assert groups["zones"] == [
        '  cdn.example.net, ns: ["ns1.example.net"] -> ["ns1.example.net", "ns2.example.net"]'
    ]
    assert groups["networks"] == ["  lab: gone (was {})"]


def test_programs_get_the_same(place: Place) -> None:
    told = json.loads(place.run("--diff", "1", "2", "--json"))
    assert list(told) == [
        "before", "after", "sources", "nodes", "weights", "maps", "services", "zones", "networks", "other", "warnings",
    ]  # fmt: skip
    assert (told["before"]["generation"], told["after"]["generation"]) == (1, 2)
    assert told["sources"]["geo"]["state"] == "changed"
    assert told["sources"]["geo"]["families"]["v4"]["movements"] == [
        {"from": "GB", "to": "NL", "changed": 256}
    ]
    assert told["sources"]["geo"]["sources"][0][0]["file"] == "geo.csv"
    assert {"place": "nodes.ams1.weight", "change": "changed", "before": 100, "after": 50} in told["weights"]
    assert told["warnings"] == []
    backwards = json.loads(place.run("--diff", "2", "1", "--json"))
    assert {"place": "nodes.ams1.weight", "change": "changed", "before": 50, "after": 100} in backwards[
        "weights"
    ]


def test_the_same_a_missing_and_a_damaged_generation(place: Place) -> None:
    assert place.run("--diff", "2", "2").endswith("they are the same\n")
    place.run("--diff", "1", "9", code=1)
    assert "generation 9 is not kept; there are: 1, 2" in place.err
    place.run("--diff", "1", code=2)
    config = make_config(place.folder, place.url, place.prefix)
    with connect(config.redis) as store:
        store.call("HDEL", store.keys.object, entries(store)[0].fields["geo.v4"])
    told = json.loads(place.run("--diff", "1", "2", "--json"))
    assert told["warnings"][0].startswith("geo.v4: cannot be compared: ")

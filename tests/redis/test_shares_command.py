"""`geosteer shares`: demand in, a plan as text, JSON and a map that the configuration takes."""

from __future__ import annotations

import io
import json
import random
import re
import signal
from typing import TYPE_CHECKING, Any

import pytest

from geosteer.decision.model import Model
from geosteer_loader.cli.main import main
from geosteer_loader.config.config import load
from geosteer_loader.shares import costs
from geosteer_loader.shares.demand import Region
from geosteer_loader.shares.table_reader import TableReader
from geosteer_loader.store.store import connect
from geosteer_loader.tables.ranges import Ranges
from support.tiny import publish_tiny, ranges

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.servers import RedisServer

CONFIG = """
[redis]
url = "{url}"
[nodes.lon1]
a = ["192.0.2.1"]
location = [51.5, -0.1]
capacity = 1000
vantage = "lon"
well_connected = 1
[nodes."ams.1"]
a = ["192.0.2.2"]
location = [52.4, 4.9]
capacity = 500
[nodes.nyc1]
a = ["192.0.2.3"]
location = [40.7, -74.0]
capacity = 800
weight = 50
[nodes.sin1]
a = ["192.0.2.4"]
location = [1.3, 103.8]
[nodes.gru1]
a = ["192.0.2.5"]
capacity = 100
[nodes.off1]
a = ["192.0.2.6"]
capacity = 100
weight = 0
[maps.default]
default = {{ lon1 = 100 }}
"""
DEMAND = "700 GB\nFR 300\nUS 400\ndefault 50\n"


class Shares:
    """Runs the command in this process."""

    def __init__(self, folder: Path, url: str, capsys: pytest.CaptureFixture[str]) -> None:
        self.config = folder / "geosteer.toml"
        self.config.write_text(CONFIG.format(url=url))
        self.demand = folder / "demand.txt"
        self.demand.write_text(DEMAND)
        self._capsys = capsys

    def __call__(self, *words: str, demand: str | None = None) -> tuple[int, str, str]:
        """Exit code, stdout, stderr."""
        code = main(["shares", demand or str(self.demand), *words, "--config", str(self.config)])
        return (code, *self._capsys.readouterr())

    def json(self, *words: str) -> Any:
        code, out, err = self(*words, "--json")
        assert code == 0, err
        return json.loads(out)


@pytest.fixture(autouse=True)
def _own_signals() -> Iterator[None]:
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def shares(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Shares:
    return Shares(tmp_path, "unix:///nowhere/redis.sock", capsys)


def test_a_plan_is_shown_with_regions_nodes_and_closings(shares: Shares) -> None:
    code, out, err = shares("--offline")
    assert code == 0
    assert out.startswith("demand 1450, capacity 2300, planned up to 80.0 % of it: 1840\nmean distance ")
    lines = [line.split() for line in out.splitlines()]
    assert ["GB", "700", "lon1", "100.0", "%", "306"] in lines
    assert any(line[:3] == ["lon1", "1000", "800"] and "80.0" in line for line in lines)
    assert "CLOSED" in out
    assert "short of" in out
    assert err == (
        "warning: not planned with: sin1 without a capacity\nwarning: not planned with: gru1 without a location\n"
    )


def test_programs_get_the_same_as_json(shares: Shares) -> None:
    found = shares.json("--offline", "-q")
    assert found["demand"] == 1450
    assert found["shortfall"] == 0
    assert {one["node"]: one["capacity"] for one in found["nodes"]} == {
        "lon1": 1000,
        "ams.1": 500,
        "nyc1": 800,
    }
    assert all(one["utilisation"] <= 0.8 + 1e-6 for one in found["nodes"])
    assert sum(one["load"] for one in found["nodes"]) == pytest.approx(1450)
    assert {one["node"] for one in found["closings"]} == {"lon1", "ams.1", "nyc1"}
    assert found["map"]["countries"]["GB"] == {"lon1": 1000}
    assert shares.json("--offline", "--no-closing", "-q")["closings"] == []


def test_what_nearest_needs_to_come_to_the_same_is_proposed(shares: Shares) -> None:
    found = shares.json("--offline", "-q")
    full = {one["node"]: one["load"] for one in found["nodes"] if one["utilisation"] > 0.799}
    assert found["max_share"] == {node: pytest.approx(load / 1450, abs=1e-3) for node, load in full.items()}
    _, out, _ = shares("--offline")
    assert "for a service of policy nearest on a map of these nodes, one of:" in out
    assert any(line.startswith("max_share = { ") for line in out.splitlines())


def test_the_map_that_is_written_is_one_that_the_configuration_takes(shares: Shares, tmp_path: Path) -> None:
    written = tmp_path / "planned.toml"
    code, _, err = shares("--offline", "--write", str(written), "--map", "peak")
    assert code == 0
    assert f"{written}: wrote map peak" in err
    shares.config.write_text(shares.config.read_text() + written.read_text())
    maps = load(shares.config, {}).document["maps"]
    assert maps["peak"]["countries"]["GB"] == {"lon1": 1000}
    assert sum(maps["peak"]["countries"]["FR"].values()) == 1000
    assert set(maps["peak"]["default"]) == {"ams.1", "nyc1"}, "those that have room left"


def test_demand_without_room_is_said_plainly_and_nothing_is_written(shares: Shares, tmp_path: Path) -> None:
    shares.demand.write_text("GB 1500\nFR 700\n")
    code, out, err = shares("--offline", "--write", str(tmp_path / "planned.toml"))
    assert code == 1
    told = "infeasible: planned up to 80.0 % of its capacity, no node has room for 360 of a demand of 2200; left over: "
    assert told in out
    assert told in err
    assert re.search(r"no node +\d+\.\d %", out)
    assert not (tmp_path / "planned.toml").exists()
    assert shares("--offline", "--fill", "1")[0] == 0


def test_nodes_to_plan_with_can_be_named(shares: Shares) -> None:
    found = shares.json("--offline", "--node", "l*", "--node", "nyc?", "--fill", "1", "-q")
    assert {one["node"] for one in found["nodes"]} == {"lon1", "nyc1"}
    code, _, err = shares("--offline", "--node", "x*")
    assert (code, err) == (2, f"{shares.config}: nodes: no node with a weight above 0 matches x*\n")
    assert shares("--offline", "--node", "sin1")[0] == 2


def test_demand_may_come_from_another_command(shares: Shares, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"\xef\xbb\xbf  12 GB\n   3 NL\n")))
    code, out, _ = shares("--offline", demand="-")
    assert code == 0
    assert out.startswith("demand 15, ")


@pytest.mark.parametrize(
    ("words", "code"),
    [(("--fill", "0"), 2), (("--by", "luck"), 2), (("--by", "path", "--offline"), 2), ((), 1)],
    ids=["fill", "by", "offline path", "no Redis"],
)
def test_what_cannot_be_done_has_its_exit_code(shares: Shares, words: tuple[str, ...], code: int) -> None:
    assert shares(*words)[0] == code
    shares.demand.write_text("nonsense\n")
    assert shares("--offline")[0] == 1  # bad data


# ---------------------------------------------------------------- costs from published tables

GEO = {
    "20.0.0.0/9": "US-CA 37.8 -122.4", "20.128.0.0/9": "US 40.7 -74", "21.0.0.0/8": "GB 51.5 -0.1", "22.0.0.0/8": "FR",
    "2a00::/16": "NL 52.4 4.9",
}  # fmt: skip
BGP = {"20.0.0.0/10": "AS10", "21.0.0.0/8": "AS20 AS10", "22.0.0.0/9": "AS30"}
PATH = {"20.0.0.0/8": "lon=4 nyc1=2", "21.0.0.0/9": "lon=1 nyc1=3", "21.128.0.0/9": "lon=3"}


def published(redis: RedisServer, prefix: str) -> None:
    with redis.client() as client:
        publish_tiny(client, prefix, tables={"geo": GEO, "bgp": BGP, "path": PATH})


def measured(shares: Shares, redis: RedisServer, prefix: str, by: str, *keys: str) -> costs.Costs:
    config = load(shares.config, {"GEOSTEER_REDIS_URL": redis.url, "GEOSTEER_REDIS_PREFIX": prefix})
    model = Model(config.document)
    regions = [
        Region(
            layer="asns" if key[:2] == "AS" else "subdivisions" if "-" in key else "countries",
            key=key,
            demand=1,
        )
        for key in keys
    ]
    with connect(config.redis) as store:
        whole = TableReader(store, store.hash(store.keys.current))
        return costs.measured(by, regions, [model.nodes["lon1"], model.nodes["nyc1"]], model, whole.read)


def test_distances_are_means_over_the_addresses_of_a_region(
    shares: Shares, redis_server: RedisServer, prefix: str
) -> None:
    published(redis_server, prefix)
    found = measured(shares, redis_server, prefix, "distance", "US", "GB", "FR", "NL", "AS10", "AS30")
    assert found["GB"]["lon1"] == pytest.approx(0, abs=1)
    california, new_york = 4130, 0
    assert found["US"]["nyc1"] == pytest.approx((california + new_york) / 2, abs=30), (
        "half of it is California"
    )
    assert found["FR"]["lon1"] == pytest.approx(523, abs=10), (
        "a country without coordinates lies at its middle"
    )
    assert found["NL"]["lon1"] == pytest.approx(357, abs=5), "of IPv6, where there is no IPv4"
    assert found["AS10"]["nyc1"] == pytest.approx((4130 * 1 + 5570 * 4) / 5, abs=60)
    assert found["AS30"]["lon1"] == pytest.approx(523, abs=10)
    apart = measured(shares, redis_server, prefix, "distance", "US", "US-CA")
    assert apart["US"]["nyc1"] == pytest.approx(0, abs=1), "the rest of the US"
    assert apart["US-CA"]["nyc1"] == pytest.approx(california, abs=30)


def test_path_lengths_are_means_too_and_count_16_where_there_is_no_path(
    shares: Shares, redis_server: RedisServer, prefix: str
) -> None:
    published(redis_server, prefix)
    found = measured(shares, redis_server, prefix, "path", "US", "GB", "FR", "AS20")
    assert found["US"] == {"lon1": 4, "nyc1": 2}
    assert found["GB"] == {"lon1": 2, "nyc1": (3 + 16) / 2}
    assert found["AS20"] == found["GB"]
    assert "FR" not in found, "nobody has a path there"


def test_a_plan_by_path_prefers_the_shorter_path(
    shares: Shares, redis_server: RedisServer, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GEOSTEER_REDIS_URL", redis_server.url)
    monkeypatch.setenv("GEOSTEER_REDIS_PREFIX", prefix)
    with redis_server.client() as client:
        publish_tiny(client, prefix, tables={"geo": GEO})
    code, _, err = shares("--by", "path")
    assert code == 1
    assert "no table path is published" in err
    published(redis_server, prefix)
    shares.demand.write_text("US 100\nGB 100\nFR 10\n")
    found = shares.json("--by", "path")
    flows = {one["region"]: [part["node"] for part in one["nodes"]] for one in found["regions"]}
    assert flows["US"] == ["nyc1"]
    assert flows["GB"] == ["lon1"]
    assert found["unit"] == "hops"
    assert "location of the demand of FR unknown" in shares("--by", "path")[2]


@pytest.mark.parametrize("seed", range(3))
def test_joined_tables_tell_both_records_of_every_address(seed: int) -> None:
    dice = random.Random(seed)

    def table() -> Ranges:
        entries = {}
        for _ in range(30):
            length = dice.randrange(1, 9)
            start = dice.getrandbits(8) >> (8 - length) << (32 - length)
            entries[f"{start >> 24}.0.0.0/{length}"] = dice.choice(("A", "B", ""))
        starts, found = ranges(entries, 32)
        return Ranges(bits=32, starts=starts, records=found, prefixes=len(entries))

    one, other = table(), table()
    counts: dict[tuple[str, str], int] = {}
    for size, mine, theirs in costs.joined(one, other):
        counts[mine, theirs] = counts.get((mine, theirs), 0) + size
    expected: dict[tuple[str, str], int] = {}
    for block in range(256):
        mine, theirs = (
            next(record for start, end, record in each.spans() if start <= block << 24 < end)
            for each in (one, other)
        )
        pair = mine, theirs
        if pair[0]:
            expected[pair] = expected.get(pair, 0) + (1 << 24)
    assert counts == expected

"""A decision log is decided again: every front end's lines, while states, overrides and generations change."""

from __future__ import annotations

import json
import random
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from geosteer import Steering
from geosteer_loader.cli.main import main
from geosteer_loader.health import feed
from geosteer_loader.health.exchange import Exchange
from geosteer_loader.health.overrides import Wish, override
from geosteer_loader.health.transitions import Rule
from geosteer_loader.publish.publish import publish
from geosteer_loader.query.explain import explain_in
from geosteer_loader.query.past import Timeline
from geosteer_loader.query.replay import Outcome, replay
from geosteer_loader.store.store import connect
from support.data import ROOT
from support.dns_setup import backend_toml
from support.long import LONG
from support.publishing import make_config, write_csv
from support.workers import Worker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.servers import RedisServer

ZONE = "cdn.example.net"
POLICIES = ("best", "weighted", "hash", "nearest", "latency")
GEO = (
    "192.0.2.0/26,GB", "192.0.2.64/26,NL", "192.0.2.128/25,FR", "198.51.100.0/25,US-CA,37.75,-122.42", "198.51.100.128/32,GB",
    "2001:db8::/32,NL", "2001:db8:7:8000::/49,GB", "203.0.113.0/24,DE,52.5,13.4",
)  # fmt: skip
CLIENTS = (
    "192.0.2.0/27", "192.0.2.70/32", "192.0.2.130/32", "198.51.100.128/32", "198.51.100.7/32", "2001:db8:7:9000::/56",
    "2001:db8:7:1::/64", "203.0.113.0/24", "8.8.8.8/32", "0.0.0.0/0", "::ffff:192.0.2.70/128",
)  # fmt: skip
WIDE = ("203.0.113.0/24", "8.8.8.8/32", "2001:db8:1::/48", "2001:db8:1:2::/64")
ROUNDS = 400 if LONG else 40
NODES = ("lon1", "lon2", "ams1")
MAP = """
[nodes.nyc1]
a = ["192.0.2.4"]
aaaa = ["2001:db8::4"]
well_connected = 1
location = [40.7, -74.0]
ramp = 1
[nodes.fra1]
a = ["192.0.2.5"]
location = [50.1, 8.7]
[maps.all]
order = ["subdivisions", "countries", "continents"]
countries = { GB = { lon1 = 100, lon2 = 50, nyc1 = 10 }, NL = { ams1 = 100, fra1 = 100 } }
continents = { EU = { ams1 = 100, lon1 = 100, fra1 = 30 } }
default = { nyc1 = 100, fra1 = 100 }
[zones."cdn.example.net"]
soa = { mname = "ns1.example.net", rname = "hostmaster.example.net" }
ns = ["ns1.example.net"]
"""
SERVICES = "".join(
    f'[services."{policy}.{ZONE}"]\nmap = "all"\npolicy = "{policy}"\nttl = 5\nmax_answers = {1 + number % 2}\n'
    for number, policy in enumerate(POLICIES)
)


class Place:
    """A configuration, changed at random, and the front ends that log what they decide meanwhile."""

    def __init__(self, folder: Path, server: RedisServer, prefix: str) -> None:
        self.folder, self.server, self.prefix = folder, server, prefix
        self.options: dict[str, Any] = {
            "geo": [write_csv(folder / "geo.csv", GEO)], "keep": 100, "more": MAP + SERVICES,
        }  # fmt: skip
        self.config = make_config(folder, server.url, prefix, **self.options)
        self.store = connect(self.config.redis)
        more = '---[log]\nsample = 1\nfile = "decisions.log"\n'
        self.backend = backend_toml(folder, server, more, prefix)
        self.log = folder / "decisions.log"

    def publish(self, weight: int) -> None:
        self.options["weight"] = weight
        publish(make_config(self.folder, self.server.url, self.prefix, **self.options), self.store)

    def feed(self, **states: Any) -> None:
        items = feed.parse(json.dumps({"nodes": states}), "feed")
        feed.publish(Exchange(self.store, "monitor", Rule()), items, 60)

    def change(self, dice: random.Random) -> None:
        """Something that may change answers."""
        node = dice.choice((*NODES, "nyc1", "fra1"))
        match dice.randrange(6):
            case 0:
                self.publish(dice.randrange(10, 200))
            case 1:
                until = dice.choice((None, 0.3))
                override(self.store, [node], Wish(state="drain", percent=dice.randrange(100), seconds=until))
            case 2:
                override(self.store, [node], Wish(state=dice.choice(("auto", "up", "down"))))
            case _:
                self.feed(**{node: {"state": dice.choice(("up", "up", "down")), "load": dice.random()}})


@pytest.fixture
def place(tmp_path: Path, redis_server: RedisServer, prefix: str) -> Iterator[Place]:
    made = Place(tmp_path, redis_server, prefix)
    with made.store:
        made.publish(100)
        made.feed(**{node: {"state": "up"} for node in (*NODES, "nyc1", "fra1")})
        yield made


def test_every_line_is_decided_as_it_was_whatever_changed_meanwhile(place: Place) -> None:
    dice = random.Random(7)
    squid = subprocess.Popen(
        [ROOT / "bin" / "geosteer-squid", "--config", place.backend], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )  # fmt: skip
    assert squid.stdin is not None
    assert squid.stdout is not None
    with (
        Worker(place.backend) as worker,
        Steering.open(place.backend, log=print, front_end="http") as steering,
        squid,
    ):
        for _ in range(ROUNDS):
            place.change(dice)
            for _ in range(6):
                name, client = f"{dice.choice(POLICIES)}.{ZONE}", dice.choice(CLIENTS)
                worker.ask(name, subnet=client, remote="198.51.100.99")
                address = client.partition("/")[0]
                steering.decide(
                    name, address, path=dice.choice(("", "/a", "/film/2")), limit=dice.randrange(4)
                )
                squid.stdin.write(f"http://{name}/x {address}/- - GET\n".encode())
                squid.stdin.flush()
                assert squid.stdout.readline()
        squid.stdin.close()
    lines = place.log.read_bytes().splitlines(keepends=True)
    result = replay(Timeline(place.store), lines)
    assert result.differences == []
    assert result.lines == len(lines) == ROUNDS * 6 * 3
    counts = {outcome: count for outcome, count in result.outcomes.items() if count}
    # on a busy machine a page may come too late for an answer
    assert counts.keys() <= {Outcome.SAME, Outcome.NEAR, Outcome.LAST_RESORT}
    assert counts[Outcome.SAME] > 0.9 * len(lines)
    assert {json.loads(line)["front_end"] for line in lines} == {"pdns", "http", "squid"}
    told = {tuple(json.loads(line)["nodes"].get("A", ())) for line in lines}
    assert len(told) > 6, "the changes must have changed answers"
    assert any(json.loads(line).get("path") for line in lines)


def test_explain_tells_the_same_of_a_moment_in_the_past(place: Place) -> None:
    dice = random.Random(11)
    with Worker(place.backend) as worker:
        for _ in range(25):
            place.change(dice)
            for _ in range(6):
                worker.ask(
                    f"{dice.choice(POLICIES)}.{ZONE}", subnet=dice.choice(WIDE), remote="198.51.100.99"
                )
    timeline, explained = Timeline(place.store), 0
    for line in place.log.read_bytes().splitlines():
        fields = json.loads(line)
        # a table that tells addresses within a /24 apart cannot be asked with what the log has of the client
        whole = all(
            table["length"] <= (48 if ":" in table["prefix"] else 24) for table in fields["tables"].values()
        )
        past = timeline.at(fields["now"])
        if (
            whole
            and past.entry.generation == fields["generation"]
            and replay(timeline, [line]).outcomes[Outcome.SAME]
        ):
            explained += 1
            told = explain_in(
                past.context, fields["service"], fields["client"], None, fields.get("ticket", 0.0)
            )
            assert set(told.nodes) == {node for nodes in fields["nodes"].values() for node in nodes}
    assert explained > 100


def test_the_command_names_lines_that_are_decided_otherwise(
    place: Place, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with Worker(place.backend) as worker:
        for _ in range(3):
            worker.ask(f"best.{ZONE}", subnet="192.0.2.0/26")
    lines = place.log.read_text().splitlines()
    path, config = tmp_path / "some.log", str(place.folder / "geosteer.toml")

    def run(*more: str, code: int) -> str:
        capsys.readouterr()
        assert main(["replay", str(path), "--config", config, *more]) == code
        return capsys.readouterr().out

    path.write_text("".join(f"{line}\n" for line in lines))
    assert run(code=0) == "3 lines\n3 decided as logged\n"

    other = json.loads(lines[0])
    assert other["nodes"] == {"A": ["lon1"], "AAAA": ["nyc1"]}
    changed = [
        {**other, "nodes": {"A": ["lon2"], "AAAA": ["nyc1"]}},
        {**other, "now": 1.0},
        {**other, "generation": 99},
        {**other, "layer": "last resort"},
        {**other, "path": None},
        {**other, "service": "gone." + ZONE},
        {**other, "client": "nowhere"},
        {**other, "now": "soon"},
        {**other, "now": 1e400},
        {**other, "tables": 5},
        {**other, "nodes": [1]},
        [],
        {},
    ]
    path.write_text("".join(f"{json.dumps(each)}\n" for each in changed) + "no JSON\n" + "[" * 60_000)
    document = json.loads(run("--json", code=1))
    differences = document.pop("differences")
    assert isinstance(document.pop("since"), float)
    assert document == {
        "lines": 15, "same": 0, "near": 0, "different": 2, "last_resort": 1, "out_of_reach": 2, "incomplete": 1,
        "unreadable": 9,
    }  # fmt: skip
    assert [(each["line"], each["logged"]["A"], each["decided"].get("A")) for each in differences] == [
        (1, ["lon2"], ["lon1"]), (6, ["lon1"], None),
    ]  # fmt: skip
    text = run(code=1)
    assert f"best.{ZONE} 192.0.2.0/24: logged A lon2, AAAA nyc1, decided A lon1, AAAA nyc1\n" in text
    assert "generation 1 has no such service" in text
    assert "9 unreadable\n" in text

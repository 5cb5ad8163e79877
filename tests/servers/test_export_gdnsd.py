"""`geosteer export gdnsd`: gdnsd gives each client what the Director gives it, and follows node states by itself."""

from __future__ import annotations

import signal
import subprocess
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from geosteer_loader.cli.main import main
from geosteer_loader.config.config import load
from geosteer_loader.publish.publish import publish
from geosteer_loader.store.generation_view import View
from geosteer_loader.store.store import connect
from support.data import ROOT
from support.dns_setup import document, set_override, set_state
from support.export_oracle import NAME, REAL, Oracle, edges, ends, tiny_config
from support.export_servers import Gdnsd
from support.long import LONG
from support.made_database import country_database
from support.servers import RedisServer, addresses, need, scope, wait_until
from support.tiny import DOCUMENT, publish_tiny

if TYPE_CHECKING:
    from pathlib import Path


def export(config: Path, folder: Path, *more: str) -> int:
    return main(["export", "gdnsd", str(folder), "--config", str(config), *more])


@pytest.mark.no_cover
@pytest.mark.timeout(3000)
def test_at_the_boundaries_of_real_data_it_answers_as_the_director_does(
    emptied_redis: RedisServer, tmp_path: Path
) -> None:
    path = tmp_path / "geosteer.toml"
    text = REAL.replace('a = ["192.0.2.2"]', 'a = ["192.0.2.2"]\naaaa = ["2001:db8:2::1", "2001:db8:2::2"]')
    path.write_text(text.format(url=emptied_redis.url, geo=country_database()))
    config = load(path, {})
    with connect(config.redis) as store:
        publish(config, store)
        set_state(emptied_redis, "ams1", "down")
        set_state(emptied_redis, "sin1", "up")
        set_override(emptied_redis, "nyc1", state="drain", percent=0)
        assert export(path, tmp_path / "g") == 0
        view = View(store)
        oracle = Oracle(view)
        clear = split = 0
        with Gdnsd(tmp_path / "g") as server:
            for subnet in edges(view, 200 if LONG else 25):
                decision = oracle.decide(subnet)
                for kind in ("A", "AAAA"):
                    said = server.query(NAME, kind, subnet=subnet)
                    given = sorted(addresses(said))
                    if decision.split:
                        split += 1
                        tied = {"A": ("192.0.2.1", "192.0.2.5"), "AAAA": ("2001:db8:1::1", "2001:db8:5::1")}
                        assert given[0] in tied[kind], subnet
                        continue
                    clear += 1
                    assert given == contents(decision, kind), subnet
                    around = scope(said)
                    assert around
                    for other in ends(subnet, around):
                        assert contents(oracle.decide(other), kind) == given
        assert clear > 200
        assert split > 3


def contents(decision: Any, kind: str) -> list[str]:
    return sorted(content for node in decision.answer[kind] for content in node.contents(kind))


def made(**changes: Any) -> dict[str, Any]:
    """The small document without what gdnsd cannot do: a CNAME into the zone itself."""
    found = document(**changes)
    for node in found["nodes"].values():
        if node.get("hostname", "").endswith(".cdn.example.net"):
            node["hostname"] = node["hostname"].replace(".cdn.example.net", ".cdn.example.org")
    return found


def put(redis: RedisServer, what: dict[str, Any], generation: int = 1) -> None:
    with redis.client() as client:
        publish_tiny(client, "geosteer", what, generation=generation)


def test_all_of_a_zone_is_served_as_by_the_workers(emptied_redis: RedisServer, tmp_path: Path) -> None:
    zones = {
        "cdn.example.net": {
            "soa": {"mname": "ns1.example.net", "rname": "hostmaster.example.net", "minimum": 77, "ttl": 60},
            "ns": ["ns1.example.net", "ns2.cdn.example.net"],
            "records": [
                {"name": "ns2.cdn.example.net", "type": "A", "content": "192.0.2.53", "ttl": 300},
                {"name": "cdn.example.net", "type": "MX", "content": "10 mx.example.net", "ttl": 300},
                {"name": "cdn.example.net", "type": "TXT", "content": '"a \\"quoted\\" text" "and \\\\ more"', "ttl": 30},
                {"name": "cdn.example.net", "type": "CAA", "content": '0 issue "ca.example.net"', "ttl": 30},
                {"name": "a.b.cdn.example.net", "type": "SRV", "content": "0 5 443 www.cdn.example.net", "ttl": 30},
                {"name": "a.b.cdn.example.net", "type": "SSHFP", "ttl": 30,
                 "content": "1 1 aabbccddeeff00112233445566778899aabbccdd"},
                {"name": "cut.cdn.example.net", "type": "NS", "content": "ns.cut.cdn.example.net", "ttl": 30},
                {"name": "ns.cut.cdn.example.net", "type": "A", "content": "192.0.2.77", "ttl": 30},
            ],
        },
    }  # fmt: skip
    services = {"*.img.cdn.example.net": {"map": "default"}, "cdn.example.net": {"map": "default", "ttl": 20}}
    what = made(zones=zones, services=services)
    what["nodes"]["nyc1"]["hostname"] = "nyc1.cdn.example.net"
    what["maps"]["other"] = {**what["maps"]["default"], "default": {"lon1": 1}}
    what["services"]["cname.cdn.example.net"]["map"] = "other"
    put(emptied_redis, what)
    assert export(tiny_config(tmp_path, emptied_redis), tmp_path / "g") == 0
    gb = "192.0.2.0/24"
    with Gdnsd(tmp_path / "g") as server:

        def ask(name: str, kind: str) -> list[str]:
            return sorted(addresses(server.query(name, kind, subnet=gb)))

        assert ask("cdn.example.net", "SOA") == [
            "ns1.example.net. hostmaster.example.net. 1769904000 3600 600 604800 77"
        ]
        assert ask("cdn.example.net", "NS") == ["ns1.example.net.", "ns2.cdn.example.net."]
        assert ask("cdn.example.net", "MX") == ["10 mx.example.net."]
        assert ask("cdn.example.net", "TXT") == ['"a \\"quoted\\" text" "and \\\\ more"']
        assert ask("cdn.example.net", "CAA") == ['0 issue "ca.example.net"']
        assert ask("cdn.example.net", "A") == ask("x.y.img.cdn.example.net", "A") == ["192.0.2.1"]
        assert ask("www.cdn.example.net", "AAAA") == ["2001:db8:1::1"]
        assert ask("cname.cdn.example.net", "A") == ["lon1.cdn.example.org."]
        assert ask("nyc1.cdn.example.net", "AAAA") == ["2001:db8:3::1"]
        assert ask("a.b.cdn.example.net", "SRV") == ["0 5 443 www.cdn.example.net."]
        assert ask("a.b.cdn.example.net", "SSHFP") == ["1 1 aabbccddeeff00112233445566778899aabbccdd"]
        assert server.query("b.cdn.example.net", "A").rcode() == 0
        assert server.query("nx.cdn.example.net", "A").rcode() == 3
        assert [rrset.name.to_text() for rrset in server.query("x.cut.cdn.example.net", "A").authority] == [
            "cut.cdn.example.net."
        ]
        assert server.query(NAME, "A", subnet=gb).answer[0].ttl == 60
        for subnet in ("::ffff:198.51.100.0/120", "64:ff9b::c633:6400/120", "2002:c633:6400::/40"):
            assert addresses(server.query(NAME, subnet=subnet)) == ["192.0.2.2"], subnet


def test_a_tie_becomes_a_draw_by_weight_among_those_that_are_up(
    emptied_redis: RedisServer, tmp_path: Path
) -> None:
    what = made()
    what["nodes"]["ams1"]["a"] += ["192.0.2.22"]
    what["maps"]["default"]["continents"]["EU"] = {"ams1": 100, "lon1": 100}
    put(emptied_redis, what)
    config = tiny_config(tmp_path, emptied_redis)
    assert export(config, tmp_path / "g") == 0
    with Gdnsd(tmp_path / "g") as server:
        given = Counter(
            tuple(sorted(addresses(server.query(NAME, subnet="203.0.113.0/25")))) for _ in range(400)
        )
        assert given.keys() == {("192.0.2.1",), ("192.0.2.2", "192.0.2.22")}  # a node with all that it has
        assert all(140 < count < 260 for count in given.values())
        set_state(emptied_redis, "lon1", "down")
        assert export(config, tmp_path / "g") == 0
        ask = lambda: sorted(addresses(server.query(NAME, subnet="203.0.113.0/25")))  # noqa: E731
        wait_until(lambda: all(ask() == ["192.0.2.2", "192.0.2.22"] for _ in range(20)))


def test_it_follows_states_without_a_restart_and_publishes_with_a_replacement(
    emptied_redis: RedisServer, tmp_path: Path
) -> None:
    put(
        emptied_redis,
        made(
            nodes={
                "lon1": {"a": ["192.0.2.1"], "aaaa": ["2001:db8::1"], "hostname": "l.example.org", "ramp": 0}
            }
        ),
    )
    config = tiny_config(tmp_path, emptied_redis)
    out = tmp_path / "g"
    assert export(config, out) == 0
    with Gdnsd(out) as server:
        pid = server.pid

        def until(wanted: str) -> float:
            began = time.monotonic()
            wait_until(lambda: addresses(server.query(NAME, subnet="192.0.2.0/24")) == [wanted], what=wanted)
            return time.monotonic() - began

        command = [
            str(ROOT / "bin" / "geosteer"),
            "export",
            "gdnsd",
            str(out),
            "--config",
            str(config),
            "--watch",
        ]
        with (tmp_path / "log").open("w") as log:
            follower = subprocess.Popen(command, stderr=log, stdout=subprocess.PIPE, text=True)
        try:
            assert follower.stdout is not None
            assert follower.stdout.readline() == f"{out}: as before\n"
            until("192.0.2.1")
            set_state(emptied_redis, "lon1", "down")
            took = [until("192.0.2.2")]
            set_state(emptied_redis, "lon1", "up")
            took.append(until("192.0.2.1"))
            assert server.pid == pid
            assert server.running
            changed = made()
            changed["maps"]["default"]["countries"]["GB"] = {"nyc1": 1}
            put(emptied_redis, changed, 2)
            until("192.0.2.3")
            changed["services"]["new.cdn.example.net"] = {"map": "default"}
            put(emptied_redis, changed, 3)
            wait_until(
                lambda: addresses(server.query("new.cdn.example.net", subnet="192.0.2.0/24")) == ["192.0.2.3"]
            )
        finally:
            follower.send_signal(signal.SIGTERM)
            assert follower.wait(60) == 143, (tmp_path / "log").read_text()
        print("from a change to the answer:", [f"{seconds:.2f} s" for seconds in took])


@pytest.mark.parametrize(
    ("states", "overrides", "given"),
    [
        ({"lon1": "down", "ams1": "down"}, {}, "192.0.2.3"),
        ({"lon1": "down", "ams1": "down", "nyc1": "down"}, {}, "192.0.2.1"),
        ({"lon1": "down", "ams1": "down", "nyc1": "down"}, {"lon1": {"state": "down"}}, "192.0.2.2"),
        ({}, {"lon1": {"state": "drain"}, "ams1": {"state": "down"}}, "192.0.2.3"),
        ({}, {name: {"state": "drain"} for name in ("lon1", "ams1", "nyc1")}, "192.0.2.1"),
        ({}, {name: {"state": "down"} for name in ("lon1", "ams1", "nyc1")}, "192.0.2.1"),
        ({"lon1": "down"}, {"lon1": {"state": "up"}}, "192.0.2.1"),
    ],
    ids=["two down", "all down", "all down, one put down", "drained and put down", "all drained", "all put down", "put up"],
)  # fmt: skip
def test_states_are_written_as_the_director_counts_them(
    emptied_redis: RedisServer, tmp_path: Path, states: dict[str, str], overrides: dict[str, Any], given: str
) -> None:
    put(emptied_redis, made())
    for name, state in states.items():
        set_state(emptied_redis, name, state)
    for name, said in overrides.items():
        set_override(emptied_redis, name, **said)
    config = tiny_config(tmp_path, emptied_redis)
    assert export(config, tmp_path / "g") == 0
    with connect(load(config, {}).redis) as store:
        decision = Oracle(View(store)).decide("192.0.2.0/24")
    assert contents(decision, "A") == [given]
    lines = (tmp_path / "g" / "states" / "default-best-a-aaaa").read_text().splitlines()
    up = [line.split('"')[1] for line in lines if line.endswith("UP")]
    ranking = ["192.0.2.1", "192.0.2.2", "192.0.2.3"]
    assert next(address for address in ranking if address in up) == given


TIES = {"order": ["countries"], "countries": {"GB": {"lon1": 1, "ams1": 1}}, "default": {"nyc1": 1}}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, []),
        ({"maps": {"default": TIES}}, []),
        ({"services": {NAME: {"map": "default", "policy": "weighted"}}}, []),
        (
            {"services": {NAME: {"map": "default", "policy": "hash", "max_answers": 2}}},
            [f'services."{NAME}".policy: hash: answers are not sticky, each one is drawn by weight',
             f'services."{NAME}".max_answers: only one node is returned'],
        ),
        (
            {"maps": {"default": {**TIES, "all_down": "none"}}},
            ["maps.default.all_down: none: the best node is given, where it should fail"],
        ),
        (
            {"nodes": {"lon1": {"a": ["192.0.2.1"], "hostname": "l.example.org"}}},
            [f'services."{NAME}": AAAA: node lon1 has no such address, and its clients get an empty answer'],
        ),
        (
            {"nodes": {"nyc1": {**DOCUMENT["nodes"]["nyc1"], "hostname": "n.sub.cdn.example.net."[:-1]}}},
            [],
        ),
        (
            {"zones": {"cdn.example.net": {**DOCUMENT["zones"]["cdn.example.net"],
             "ns": ["ns1.example.net", "ns2.cdn.example.net"],
             "records": [{"name": "cdn.example.net", "type": "HINFO", "content": '"a" "b"'}]}}},
            ['zones."cdn.example.net": name server ns2.cdn.example.net has no static address, and is left out',
             'zones."cdn.example.net": cdn.example.net HINFO: gdnsd has no such records, and it is left out'],
        ),
        (
            {"zones": {"in.cdn.example.net": DOCUMENT["zones"]["cdn.example.net"] | {"records": []}},
             "services": {"x.in.cdn.example.net": {"map": "default"}}},
            ['zones."in.cdn.example.net": gdnsd has no nested zones: its records are written to cdn.example.net'],
        ),
    ],
    ids=["all can be said", "tie", "weighted", "hash, several answers", "a map that refuses", "a family missing",
         "host name in the zone", "zone", "zone in a zone"],
)  # fmt: skip
def test_what_gdnsd_cannot_do_is_listed_and_refused(
    emptied_redis: RedisServer,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    changes: dict[str, Any],
    told: list[str],
) -> None:
    what = made(**changes)
    if "nyc1" in changes.get("nodes", {}):
        what["nodes"]["nyc1"]["hostname"] = "n.cdn.example.net"
        told = [
            'services."cname.cdn.example.net".answer: cname: addresses are given, as the hosts are in its own zone'
        ]
    put(emptied_redis, what)
    config = tiny_config(tmp_path, emptied_redis)
    assert export(config, tmp_path / "g") == (3 if told else 0)
    lines = capsys.readouterr().err.splitlines()
    if told:
        assert lines == [
            *(f"geosteer: {text}" for text in told),
            "geosteer: refused: this format cannot express that (--lossy writes the rest)",
        ]
        assert export(config, tmp_path / "g", "--lossy") == 0
    done = subprocess.run(
        [need("gdnsd"), "-c", str(tmp_path / "g"), "checkconf"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_a_share_is_refused_but_does_not_stop_who_follows(emptied_redis: RedisServer, tmp_path: Path) -> None:
    put(emptied_redis, made())
    set_override(emptied_redis, "lon1", state="drain", percent=30)
    config = tiny_config(tmp_path, emptied_redis)
    assert export(config, tmp_path / "g") == 3
    assert export(config, tmp_path / "g", "--lossy") == 0
    assert '"192.0.2.1" => UP\n' in (tmp_path / "g" / "states" / "default-best-a-aaaa").read_text()


def test_a_node_whose_checks_fail_gets_the_short_ttl(emptied_redis: RedisServer, tmp_path: Path) -> None:
    put(emptied_redis, made(services={NAME: {"map": "default", "ttl": 60, "ttl_min": 12}}))
    set_state(emptied_redis, "lon1", "up", failing="yes")
    config = tiny_config(tmp_path, emptied_redis)
    assert export(config, tmp_path / "g") == 0
    with Gdnsd(tmp_path / "g") as server:
        assert server.query(NAME, subnet="192.0.2.0/24").answer[0].ttl == 12


def test_latency_goes_by_measured_times_among_those_that_are_up(
    emptied_redis: RedisServer, tmp_path: Path
) -> None:
    what = made(services={NAME: {"map": "default", "policy": "latency"}})
    for name, place in {"lon1": [51, 0], "ams1": [52, 5], "nyc1": [41, -74]}.items():
        what["nodes"][name]["location"] = place
    what["maps"]["default"] = {"default": {"lon1": 1, "ams1": 2, "nyc1": 3}}
    tables = {
        "geo": {"192.0.2.0/24": "GB 50 1", "198.51.100.0/24": "US 40 -80"},
        "rtt": {"192.0.2.0/24": "nyc1=9 ams1=30 lon1=40"},
    }
    with emptied_redis.client() as client:
        publish_tiny(client, "geosteer", what, tables)
    config = tiny_config(tmp_path, emptied_redis)
    nets = ("192.0.2.0", "198.51.100.0")

    def given() -> list[str]:
        assert export(config, tmp_path / "g") == 0
        assert (tmp_path / "g" / "states" / "default-latency-100-3-5-places-a-aaaa").exists()
        with Gdnsd(tmp_path / "g") as server:
            return [addresses(server.query(NAME, subnet=f"{net}/24"))[0] for net in nets]

    assert given() == ["192.0.2.3", "192.0.2.3"]
    set_state(emptied_redis, "nyc1", "down")
    with connect(load(config, {}).redis) as store:
        oracle = Oracle(View(store))
        right = [contents(oracle.decide(f"{net}/24"), "A")[0] for net in nets]
    assert given() == right


@pytest.mark.parametrize(
    ("bias", "best"), [({}, "192.0.2.3"), ({"nyc1": -60, "lon1": 90}, "192.0.2.1")], ids=["no bias", "biased"]
)
def test_nearest_goes_by_distance_among_those_that_are_up(
    emptied_redis: RedisServer, tmp_path: Path, bias: dict[str, int], best: str
) -> None:
    what = made(services={NAME: {"map": "default", "policy": "nearest", "bias": bias}})
    for name, place in {"lon1": [51, 0], "ams1": [52, 5], "nyc1": [41, -74]}.items():
        what["nodes"][name]["location"] = place
    what["maps"]["default"] = {"default": {"lon1": 1, "ams1": 2, "nyc1": 3}}
    table = {"geo": {"192.0.2.0/24": "GB 50 1", "198.51.100.0/24": "US 40 -80", "203.0.113.0/24": "GB"}}
    with emptied_redis.client() as client:
        publish_tiny(client, "geosteer", what, table)
    config = tiny_config(tmp_path, emptied_redis)

    def given() -> list[str]:
        assert export(config, tmp_path / "g") == 0
        with Gdnsd(tmp_path / "g") as server:
            return [
                addresses(server.query(NAME, subnet=f"{net}/24"))[0]
                for net in ("192.0.2.0", "198.51.100.0", "203.0.113.0")
            ]

    assert given() == ["192.0.2.1", best, "192.0.2.3"]
    set_state(emptied_redis, "nyc1", "down")
    with connect(load(config, {}).redis) as store:
        oracle = Oracle(View(store))
        right = [
            contents(oracle.decide(f"{net}/24"), "A")[0]
            for net in ("192.0.2.0", "198.51.100.0", "203.0.113.0")
        ]
    assert given() == right

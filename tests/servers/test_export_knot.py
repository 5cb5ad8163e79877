"""`geosteer export knot`: Knot DNS gives each client what the Director gives it, and follows node states within a second."""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from geosteer_loader.cli.main import main
from geosteer_loader.config.config import load
from geosteer_loader.export import watch
from geosteer_loader.export.knot import Exporter
from geosteer_loader.export.published_state import Picture
from geosteer_loader.export.watch import ReloadFailed, Writer
from geosteer_loader.publish.publish import publish
from geosteer_loader.store.generation_view import View
from geosteer_loader.store.store import connect
from support.data import ROOT
from support.dns_setup import document, set_state
from support.export_oracle import NAME, REAL, Oracle, edges, ends, tiny_config
from support.export_servers import Knot
from support.long import LONG
from support.made_database import country_database
from support.servers import RedisServer, addresses, scope, wait_until
from support.tiny import publish_tiny

if TYPE_CHECKING:
    from pathlib import Path

NODES = {
    "lon1": "192.0.2.1",
    "ams1": "192.0.2.2",
    "fra1": "192.0.2.3",
    "nyc1": "192.0.2.4",
    "sin1": "192.0.2.5",
}


def export(config: Path, folder: Path, *more: str) -> int:
    return main(["export", "knot", str(folder), "--config", str(config), "--quiet", *more])


def contents(decision: Any, kind: str) -> list[str]:
    return sorted(content for node in decision.answer[kind] for content in node.contents(kind))


@pytest.mark.no_cover
@pytest.mark.timeout(3000)
def test_at_the_boundaries_of_real_data_it_answers_as_the_director_does_whichever_node_is_down(
    emptied_redis: RedisServer, tmp_path: Path
) -> None:
    path, folder = tmp_path / "geosteer.toml", tmp_path / "k"
    text = REAL.replace("AU = {{ sin1 = 1, lon1 = 1 }}", "AU = {{ sin1 = 2, lon1 = 1 }}")
    text = text.replace("AF = {{ lon1 = 5, ams1 = 5, nyc1 = 5 }}", "AF = {{ lon1 = 5, ams1 = 4, nyc1 = 3 }}")
    path.write_text(text.format(url=emptied_redis.url, geo=country_database()))
    config = load(path, {})
    with connect(config.redis) as store:
        publish(config, store)
        for node in NODES:
            set_state(emptied_redis, node, "up", since="2026-01-01T00:00:00Z")
        picture = Picture(store)
        files = Writer(Exporter(picture, folder).bundle, folder, "", lambda _: True)
        files.once(lossy=False)
        database = (folder / "classes.mmdb").stat()
        clients = edges(View(store), 200 if LONG else 25)
        with Knot(folder) as knot:
            for node in ("", *NODES):
                if node:
                    set_state(emptied_redis, node, "down")
                    assert picture.refresh()
                    # where the next best are equal, nobody can say which one it is
                    files.once(lossy=True)
                    watch.run(knot.reload)
                oracle = Oracle(View(store))
                compared = 0
                for subnet in clients if not node else clients[:: 1 + len(clients) // 100]:
                    decision = oracle.decide(subnet)
                    if decision.split:
                        continue
                    for kind in ("A", "AAAA"):
                        said = knot.query(NAME, kind, subnet=subnet)
                        given, around = sorted(addresses(said)), scope(said)
                        assert given == contents(decision, kind), (node, subnet)
                        assert around, subnet  # 0 would be for everybody
                        compared += 1
                        for other in ends(subnet, around):
                            assert contents(oracle.decide(other), kind) == given, (node, subnet, other)
                assert compared > 40
                if node:
                    set_state(emptied_redis, node, "up", since="2026-01-01T00:00:00Z")
        after = (folder / "classes.mmdb").stat()
        assert (after.st_ino, after.st_mtime_ns) == (database.st_ino, database.st_mtime_ns)


def put(redis: RedisServer, what: dict[str, Any], generation: int = 1) -> None:
    with redis.client() as client:
        publish_tiny(client, "geosteer", what, generation=generation)


def test_all_of_a_zone_is_served_as_by_the_workers(emptied_redis: RedisServer, tmp_path: Path) -> None:
    what = document()
    what["zones"]["cdn.example.net"]["records"] += [
        {"name": "ns2.cdn.example.net", "type": "A", "content": "192.0.2.53", "ttl": 300},
        {
            "name": "cdn.example.net",
            "type": "TXT",
            "content": '"a \\"quoted\\" text" "and \\\\ more"',
            "ttl": 30,
        },
        {"name": "cdn.example.net", "type": "CAA", "content": '0 issue "ca.example.net"', "ttl": 30},
        {"name": "a.b.cdn.example.net", "type": "SRV", "content": "0 5 443 www.cdn.example.net", "ttl": 30},
        {"name": "a.b.cdn.example.net", "type": "HTTPS", "content": "1 . alpn=h2", "ttl": 30},
        {"name": "cut.cdn.example.net", "type": "NS", "content": "ns.cut.cdn.example.net", "ttl": 30},
        {"name": "ns.cut.cdn.example.net", "type": "A", "content": "192.0.2.77", "ttl": 30},
    ]
    what["zones"]["other.example"] = {
        "soa": {"mname": "ns1.example.net", "rname": "h.example.net"},
        "ns": ["ns1.example.net"],
    }
    what["services"] |= {
        "*.img.cdn.example.net": {"map": "default"}, "cdn.example.net": {"map": "default", "ttl": 20},
        "two.cdn.example.net": {"map": "two", "max_answers": 2},
    }  # fmt: skip
    what["maps"]["two"] = {"default": {"lon1": 3, "ams1": 2, "nyc1": 1}}
    what["nodes"]["ams1"]["a"] += ["192.0.2.22"]
    put(emptied_redis, what)
    with emptied_redis.client() as client:
        client.hset(
            "{geosteer}:node:ams1", mapping={"state": "up", "failing": "yes", "since": "2026-01-01T00:00:00Z"}
        )
    assert export(tiny_config(tmp_path, emptied_redis), tmp_path / "k") == 0
    british, dutch = "192.0.2.0/24", "198.51.100.0/24"
    with Knot(tmp_path / "k") as knot:

        def ask(name: str, kind: str, subnet: str = british) -> list[str]:
            return sorted(addresses(knot.query(name, kind, subnet=subnet)))

        assert ask("cdn.example.net", "SOA") == [
            "ns1.example.net. hostmaster.example.net. 1769904000 3600 600 604800 30"
        ]
        assert ask("cdn.example.net", "NS") == ["ns1.example.net.", "ns2.example.net."]
        assert ask("other.example", "NS") == ["ns1.example.net."]
        assert ask("cdn.example.net", "MX") == ["10 mx.example.net."]
        assert ask("cdn.example.net", "TXT") == ['"a \\"quoted\\" text" "and \\\\ more"']
        assert ask("cdn.example.net", "CAA") == ['0 issue "ca.example.net"']
        assert ask("a.b.cdn.example.net", "SRV") == ["0 5 443 www.cdn.example.net."]
        assert ask("a.b.cdn.example.net", "HTTPS") == ['1 . alpn="h2"']
        assert ask("cdn.example.net", "A") == ask("x.y.img.cdn.example.net", "A") == ["192.0.2.1"]
        assert ask(NAME, "A", dutch) == ["192.0.2.2", "192.0.2.22"]
        assert ask(NAME, "AAAA") == ["2001:db8:1::1"]
        assert ask("two.cdn.example.net", "A") == ["192.0.2.1", "192.0.2.2", "192.0.2.22"]
        assert ask("cname.cdn.example.net", "A") == ["192.0.2.1", "lon1.cdn.example.net."]
        assert ask("nyc1.cdn.example.net", "AAAA") == ["2001:db8:3::1"]
        assert knot.query("b.cdn.example.net", "A").rcode() == 0
        assert knot.query("nx.cdn.example.net", "A").rcode() == 3
        assert [rrset.name.to_text() for rrset in knot.query("x.cut.cdn.example.net", "A").authority] == [
            "cut.cdn.example.net."
        ]
        # a node whose checks fail: the lower TTL, from another module
        assert knot.query(NAME, "A", subnet=british).answer[0].ttl == 60
        assert knot.query(NAME, "A", subnet=dutch).answer[0].ttl == 30
        assert knot.query("cdn.example.net", "A", subnet=british).answer[0].ttl == 20
        for subnet in ("::ffff:198.51.100.0/120", "64:ff9b::c633:6400/120", "2002:c633:6400::/40"):
            assert ask(NAME, "A", subnet) == ["192.0.2.2", "192.0.2.22"], subnet


def test_it_follows_states_and_publishes_and_survives_what_is_broken(
    emptied_redis: RedisServer, tmp_path: Path
) -> None:
    put(emptied_redis, document())
    config, out = tiny_config(tmp_path, emptied_redis), tmp_path / "k"
    assert export(config, out) == 0
    with Knot(out) as knot:

        def gives(wanted: str, name: str = NAME) -> bool:
            return addresses(knot.query(name, subnet="192.0.2.0/24")) == [wanted]

        command = [
            sys.executable,
            "-m",
            "geosteer_loader",
            "export",
            "knot",
            str(out),
            "--config",
            str(config),
            "--watch",
        ]
        with (tmp_path / "log").open("w") as log:
            follower = subprocess.Popen(
                [*command, "--interval", "0.05", "--reload", shlex.join(knot.reload)],
                stdout=subprocess.PIPE, stderr=log, text=True, cwd=ROOT,
            )  # fmt: skip
        try:
            assert follower.stdout is not None
            follower.stdout.readline()
            for state, wanted in (("down", "192.0.2.2"), ("up", "192.0.2.1")):
                began = time.monotonic()
                set_state(emptied_redis, "lon1", state, since="2026-01-01T00:00:00Z")
                wait_until(partial(gives, wanted), what=wanted)
                print(f"{state}: {time.monotonic() - began:.2f} s")
            changed = document()
            changed["maps"]["default"]["countries"]["GB"] = {"nyc1": 1}
            changed["services"]["new.cdn.example.net"] = {"map": "default"}
            put(emptied_redis, changed, 2)
            wait_until(lambda: gives("192.0.2.3", "new.cdn.example.net"), what="a new service")
            assert gives("192.0.2.3")
        finally:
            follower.send_signal(signal.SIGTERM)
            assert follower.wait(60) == 143, (tmp_path / "log").read_text()
        for name, broken in (
            ("geo/cdn.example.net.60.yaml", b"www.cdn.example.net:\n  - geo"), ("classes.mmdb", b"x" * 100),
            ("knot.conf", b"mod-geoip:\n  - nonsense"), ("zones/cdn.example.net.zone", b"x SOA"),
        ):  # fmt: skip
            path = out / name
            whole = path.read_bytes()
            (tmp_path / "broken").write_bytes(broken)
            (tmp_path / "broken").replace(path)
            if name.startswith("zones/"):  # its zone alone; Knot says so in its log
                watch.run(knot.reload)
            else:
                with pytest.raises(ReloadFailed):
                    watch.run(knot.reload)
            assert gives("192.0.2.3"), name
            assert export(config, out, "--reload", shlex.join(knot.reload)) == 0
            assert path.read_bytes() == whole
        assert gives("192.0.2.3")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, []),
        ({"services": {NAME: {"map": "default", "policy": "weighted"}}},
         [f'services."{NAME}".policy: weighted: the module draws nothing; one node gets all clients of a class',
          f'services."{NAME}": where equals or shares are drawn, one node gets all clients of a class']),
        ({"zones": {"cdn.example.net": {**document()["zones"]["cdn.example.net"], "records": [
            {"name": "alias.cdn.example.net", "type": "CNAME", "content": NAME}]}}},
         ["alias.cdn.example.net CNAME: leads to a service, of which everybody gets the same node"]),
    ],
    ids=["all can be said", "weighted", "an alias of a service"],
)  # fmt: skip
def test_what_knot_cannot_do_is_listed_and_refused(
    emptied_redis: RedisServer,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    changes: dict[str, Any],
    told: list[str],
) -> None:
    what = document(**changes)
    what["maps"]["default"]["countries"]["FR"] = {"lon1": 2, "ams1": 1}
    what["maps"]["default"]["default"] = {"nyc1": 3, "lon1": 1}
    put(emptied_redis, what)
    config = tiny_config(tmp_path, emptied_redis)
    assert export(config, tmp_path / "k") == (3 if told else 0)
    said = capsys.readouterr().err
    assert [text for text in told if text not in said] == []
    assert (tmp_path / "k").exists() is not bool(told)
    assert export(config, tmp_path / "k", "--lossy") == 0

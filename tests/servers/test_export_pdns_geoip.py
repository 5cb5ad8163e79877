"""`geosteer export pdns-geoip`: PowerDNS' own geoip backend gives each client what the Director gives it."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Any

import maxminddb
import pytest

from geosteer_loader.cli.main import main
from geosteer_loader.config.config import load
from geosteer_loader.export.pdns_geoip import DATABASE, SETTINGS, ZONES, Exporter
from geosteer_loader.export.published_state import Picture
from geosteer_loader.export.watch import Writer
from geosteer_loader.publish.publish import publish
from geosteer_loader.store.generation_view import View
from geosteer_loader.store.store import connect
from support.data import ROOT
from support.dns_setup import document, set_override, set_state
from support.export_oracle import NAME, REAL, Oracle, edges, ends, tiny_config
from support.export_servers import GeoIP
from support.long import LONG
from support.made_database import country_database
from support.servers import RedisServer, addresses, scope, wait_until
from support.tiny import publish_tiny

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import dns.message


def export(config: Path, folder: Path, *more: str) -> int:
    return main(["export", "pdns-geoip", str(folder), "--config", str(config), "--quiet", *more])


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, RedisServer]]:
    folder = tmp_path_factory.mktemp("real")
    with RedisServer() as server:
        path = folder / "geosteer.toml"
        path.write_text(REAL.format(url=server.url, geo=country_database()))
        config = load(path, {})
        with connect(config.redis) as store:
            publish(config, store)
        yield path, server


@pytest.mark.no_cover
@pytest.mark.timeout(3000)
def test_at_every_boundary_of_real_data_it_answers_as_the_director_does(
    published: tuple[Path, RedisServer], tmp_path: Path
) -> None:
    config, redis = published
    set_state(redis, "ams1", "down")
    set_state(redis, "sin1", "up")
    set_override(redis, "nyc1", state="drain", percent=0)
    assert export(config, tmp_path) == 0
    with connect(load(config, {}).redis) as store, GeoIP(tmp_path / SETTINGS) as server:
        view = View(store)
        oracle = Oracle(view)
        ask = Asker(server)
        clear = split = 0
        for subnet in edges(view, 400 if LONG else 40):
            decision = oracle.decide(subnet)
            for kind in ("A", "AAAA"):
                said = ask(NAME, kind, subnet)
                given = sorted(addresses(said))
                around = scope(said)
                if decision.split:
                    split += 1
                    assert (
                        given[0]
                        in {"A": ("192.0.2.1", "192.0.2.5"), "AAAA": ("2001:db8:1::1", "2001:db8:5::1")}[kind]
                    )
                    assert around in {32, 128}
                    continue
                clear += 1
                right = sorted(content for node in decision.answer[kind] for content in node.contents(kind))
                assert given == right, subnet
                # It may be wider than the Director's: neighbours that the map treats alike are one.
                assert around
                for other in ends(subnet, around):
                    assert (
                        sorted(
                            content
                            for node in oracle.decide(other).answer[kind]
                            for content in node.contents(kind)
                        )
                        == right
                    )
        assert clear > 300
        assert split > 3


class Asker:
    """Asks over one socket."""

    def __init__(self, server: GeoIP) -> None:
        self._server = server

    def __call__(self, name: str, kind: str, subnet: str) -> dns.message.Message:
        return self._server.query(name, kind, subnet=subnet)


def test_a_tie_becomes_equal_weights_and_a_share_its_part(own_redis: RedisServer, tmp_path: Path) -> None:
    made = document()
    made["maps"]["default"]["continents"]["EU"] = {"ams1": 100, "lon1": 100}
    made["nodes"]["lon1"]["ramp"] = 0
    with own_redis.client() as client:
        publish_tiny(client, "geosteer", made)
    config = tiny_config(tmp_path, own_redis)
    assert export(config, tmp_path) == 0
    assert weights(tmp_path, "FR") == {"192.0.2.1": 1, "192.0.2.2": 1}
    assert weights(tmp_path, "GB") == {"192.0.2.1": 0}
    set_override(own_redis, "lon1", state="drain", percent=20)
    assert export(config, tmp_path) == 0
    # One half meet lon1 first, of whom it keeps 0.2; the others meet ams1, which keeps all.
    assert weights(tmp_path, "FR") == {"192.0.2.1": 100, "192.0.2.2": 900}
    # Of its own country's clients it keeps 0.2; the others go to the continent: there it draws the same again.
    assert weights(tmp_path, "GB") == {"192.0.2.1": 200, "192.0.2.2": 800}
    with GeoIP(tmp_path / SETTINGS) as server:
        given = [addresses(server.query(NAME, subnet="192.0.2.0/24"))[0] for _ in range(400)]
        assert 30 < given.count("192.0.2.1") < 140  # 80 is to be expected, 8 the standard deviation
        assert given.count("192.0.2.1") + given.count("192.0.2.2") == 400


def weights(folder: Path, country: str, number: int = 0) -> dict[str, int]:
    """Address -> weight (0: none) of the first service for clients of the small table's country."""
    prefix = {"GB": "192.0.2.1", "NL": "198.51.100.1", "FR": "203.0.113.1"}[country]
    with maxminddb.open_database(folder / DATABASE) as reader:
        found: Any = reader.get(prefix)
    lines = (folder / ZONES).read_text().splitlines()
    at = lines.index(f"    {found['country']['iso_code']}.{number}.geosteer.invalid:") + 1
    chosen: dict[str, int] = {}
    while lines[at].startswith("    - "):
        kind, _, rest = lines[at].removeprefix("    - ").partition(": ")
        if kind == "a":
            content = rest.partition('"')[2].partition('"')[0]
            chosen[content] = int(rest.partition("weight: ")[2].rstrip("}") or 0)
        at += 1
    return chosen


def test_all_of_a_zone_is_served_as_by_the_workers(own_redis: RedisServer, tmp_path: Path) -> None:
    zones = {
        "sub.cdn.example.net": {"soa": {"mname": "ns1.example.net", "rname": "h.example.net"}, "ns": ["ns1.example.net"]},
        "cdn.example.net": {
            "soa": {"mname": "ns1.example.net", "rname": "hostmaster.example.net", "minimum": 77},
            "ns": ["ns1.example.net", "ns2.example.net"],
            "ns_ttl": 7200,
            "records": [
                {"name": "cdn.example.net", "type": "MX", "content": "10 mx.example.net", "ttl": 300},
                {"name": "cdn.example.net", "type": "TXT", "content": '"a \\"quoted\\" text" "and \\\\ more"', "ttl": 30},
                {"name": "a.b.cdn.example.net", "type": "SRV", "content": "0 5 443 www.cdn.example.net", "ttl": 30},
                {"name": "cut.cdn.example.net", "type": "NS", "content": "ns.cut.cdn.example.net", "ttl": 30},
                {"name": "ns.cut.cdn.example.net", "type": "A", "content": "192.0.2.77", "ttl": 30},
            ],
        },
    }  # fmt: skip
    services = {"*.img.cdn.example.net": {"map": "default"}, "www.sub.cdn.example.net": {"map": "default"},
                "cdn.example.net": {"map": "default", "ttl": 20}, "www.other.example": {"map": "default"}}  # fmt: skip
    with own_redis.client() as client:
        publish_tiny(client, "geosteer", document(zones=zones, services=services))
    assert export(tiny_config(tmp_path, own_redis), tmp_path) == 0
    gb = "192.0.2.0/24"
    with GeoIP(tmp_path / SETTINGS) as server:

        def ask(name: str, kind: str) -> list[str]:
            return sorted(addresses(server.query(name, kind, subnet=gb)))

        assert ask("cdn.example.net", "SOA") == [
            "ns1.example.net. hostmaster.example.net. 1769904000 3600 600 604800 77"
        ]
        assert ask("cdn.example.net", "NS") == ["ns1.example.net.", "ns2.example.net."]
        assert ask("cdn.example.net", "MX") == ["10 mx.example.net."]
        assert ask("cdn.example.net", "TXT") == ['"a \\"quoted\\" text" "and \\\\ more"']
        assert ask("cdn.example.net", "A") == ask("www.sub.cdn.example.net", "A") == ["192.0.2.1"]
        assert ask("x.y.img.cdn.example.net", "AAAA") == ["2001:db8:1::1"]
        assert ask("a.b.cdn.example.net", "SRV") == ["0 5 443 www.cdn.example.net."]
        assert ask("cname.cdn.example.net", "A") == ["192.0.2.1", "lon1.cdn.example.net."]
        assert ask("nyc1.cdn.example.net", "AAAA") == ["2001:db8:3::1"]
        assert server.query("b.cdn.example.net", "A").rcode() == 0
        assert server.query("nx.cdn.example.net", "A").rcode() == 3
        assert server.query("www.other.example", "A").rcode() == 5
        cut = server.query("x.cut.cdn.example.net", "A")
        assert [rrset.name.to_text() for rrset in cut.authority] == ["cut.cdn.example.net."]
        lines = (tmp_path / ZONES).read_text().splitlines()
        hidden = next(line.strip().rstrip(":") for line in lines if "geosteer.invalid:" in line)
        assert server.query(hidden, "A").rcode() == 5


def test_clients_who_carry_an_ipv4_address_get_what_it_gets(own_redis: RedisServer, tmp_path: Path) -> None:
    with own_redis.client() as client:
        publish_tiny(client, "geosteer")
    assert export(tiny_config(tmp_path, own_redis), tmp_path) == 0
    with GeoIP(tmp_path / SETTINGS) as server:
        for subnet in (
            "198.51.100.0/24",
            "::ffff:198.51.100.0/120",
            "64:ff9b::c633:6400/120",
            "2002:c633:6400::/40",
        ):
            assert addresses(server.query(NAME, subnet=subnet)) == ["192.0.2.2"], subnet
        assert addresses(server.query(NAME, subnet="2001:db8:a::/48")) == ["192.0.2.1"]


def losses(redis: RedisServer, folder: Path, capsys: pytest.CaptureFixture[str], **changes: Any) -> list[str]:
    """What the export of the small document with changes says that it cannot say."""
    with redis.client() as client:
        publish_tiny(client, "geosteer", document(**changes))
    config = tiny_config(folder, redis)
    code = export(config, folder / "out")
    lines = capsys.readouterr().err.splitlines()
    if code == 0:
        return []
    assert code == 3
    assert not (folder / "out").exists()
    assert lines[-1] == "geosteer: refused: this format cannot express that (--lossy writes the rest)"
    assert export(config, folder / "out", "--lossy") == 0
    capsys.readouterr()
    return [line.removeprefix("geosteer: ") for line in lines[:-1]]


TIE = {
    "default": {"order": ["countries"], "countries": {"GB": {"lon1": 1, "ams1": 1}}, "default": {"nyc1": 1}}
}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, []),
        ({"maps": TIE}, []),
        ({"services": {NAME: {"map": "default", "policy": "weighted"}}}, []),
        ({"services": {NAME: {"map": "default", "max_answers": 2}}}, []),
        (
            {"services": {NAME: {"map": "default", "policy": "hash"}}},
            ['services."www.cdn.example.net".policy: hash: answers are not sticky, each one is drawn by weight'],
        ),
        (
            {"maps": TIE, "services": {NAME: {"map": "default", "max_answers": 2}}},
            ['services."www.cdn.example.net".max_answers: where nodes are drawn, one of them is given'],
        ),
        (
            {"maps": TIE, "nodes": {"lon1": {"a": ["192.0.2.1", "192.0.2.9"], "hostname": "lon1.example.org"}}},
            ['services."www.cdn.example.net": A: of node lon1, which is drawn, one address is given'],
        ),
        (
            {"maps": {"default": {**TIE["default"], "all_down": "none"}}},
            ["maps.default.all_down: none: the answer is empty then, where it should fail"],
        ),
        (
            {"zones": {"z.example": {"soa": {"mname": "n.example", "rname": "h.example"}, "ns": ["n.example"], "records": [
                {"name": "z.example", "type": "TXT", "content": '"50 %cc"'},
                {"name": "y.z.example", "type": "TXT", "content": '"50 % of"'}]}}},
            ['zones."z.example".records: z.example TXT: the backend fills in what follows a %'],
        ),
    ],
    ids=["all can be said", "tie", "weighted", "several answers", "hash", "several of a tie", "several addresses of a tie",
         "a map that refuses", "percent signs"],
)  # fmt: skip
def test_what_the_backend_cannot_do_is_listed_and_refused(
    own_redis: RedisServer,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    changes: dict[str, Any],
    told: list[str],
) -> None:
    assert losses(own_redis, tmp_path, capsys, **changes) == told


def test_a_second_export_of_the_same_replaces_nothing_and_states_change_the_small_file_alone(
    own_redis: RedisServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with own_redis.client() as client:
        publish_tiny(client, "geosteer")
    config = tiny_config(tmp_path, own_redis)

    def written(*more: str) -> list[str]:
        assert export(config, tmp_path / "out", "--json", *more) == 0
        found: list[str] = json.loads(capsys.readouterr().out)["written"]
        return found

    assert written() == [DATABASE, ZONES, SETTINGS]
    assert written() == []
    set_state(own_redis, "lon1", "down")
    assert written("--reload", f"touch {tmp_path}/told") == [ZONES]
    assert (tmp_path / "told").exists()
    assert export(config, tmp_path / "out", "--reload", "false") == 0  # nothing changed, nobody is told


def test_a_reload_that_fails_is_an_error(
    own_redis: RedisServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with own_redis.client() as client:
        publish_tiny(client, "geosteer")
    config = tiny_config(tmp_path, own_redis)
    assert export(config, tmp_path / "a", "--reload", "ls /no/such/file") == 1
    assert "No such file or directory" in capsys.readouterr().err
    assert export(config, tmp_path / "b", "--reload", "/no/such/program") == 1
    assert (tmp_path / "b" / ZONES).exists()
    told = tmp_path / "told"
    for folder in ("a", "b"):  # what failed is made up for, though the files are as before
        assert export(config, tmp_path / folder, "--reload", f"touch {told}") == 0
        assert told.exists()
        told.unlink()
        assert export(config, tmp_path / folder, "--reload", f"touch {told}") == 0
        assert not told.exists()
    assert sorted(path.name for path in (tmp_path / "b").iterdir()) == [DATABASE, ZONES, SETTINGS]


def test_a_change_that_could_not_be_written_is_made_up_for(own_redis: RedisServer, tmp_path: Path) -> None:
    with own_redis.client() as client:
        publish_tiny(client, "geosteer")
    out, kept = tmp_path / "out", tmp_path / "kept"
    with connect(load(tiny_config(tmp_path, own_redis), {}).redis) as store:
        picture = Picture(store)
        writer = Writer(Exporter(picture, out).bundle, out, "", lambda _: True)
        writer.once(lossy=False)
        before = (out / ZONES).read_text()

        def steps() -> Iterator[None]:
            set_state(own_redis, "lon1", "down")
            out.rename(kept)
            out.write_text("in the way")
            yield
            out.unlink()
            kept.rename(out)
            assert (out / ZONES).read_text() == before
            yield
            assert (out / ZONES).read_text() != before

        turn = steps()
        with pytest.raises(StopIteration):
            writer.follow(picture, 0.0, lambda _: next(turn))


def test_it_follows_states_and_publishes_until_it_is_ended(own_redis: RedisServer, tmp_path: Path) -> None:
    with own_redis.client() as client:
        publish_tiny(client, "geosteer")
    config = tiny_config(tmp_path, own_redis)
    out = tmp_path / "out"
    assert export(config, out) == 0
    with GeoIP(out / SETTINGS) as server:

        def answers() -> list[str]:
            return addresses(server.query(NAME, subnet="192.0.2.0/24"))

        def until(wanted: str) -> float:
            began = time.monotonic()
            wait_until(lambda: answers() == [wanted], what=f"{wanted}, not {answers()}")
            return time.monotonic() - began

        reload = f"pdns_control --config-dir={server.directory} --socket-dir={server.directory} reload"
        command = [str(ROOT / "bin" / "geosteer"), "export", "pdns-geoip", str(out), "--config", str(config),
                   "--watch", "--reload", reload]  # fmt: skip
        with (tmp_path / "log").open("w") as log:
            follower = subprocess.Popen(command, stderr=log, stdout=subprocess.PIPE, text=True)
        try:
            assert follower.stdout is not None
            assert follower.stdout.readline() == f"{out}: as before\n"
            assert answers() == ["192.0.2.1"]
            set_state(own_redis, "lon1", "down")
            took = [until("192.0.2.2")]  # its continent
            set_state(own_redis, "lon1", "up")
            took.append(until("192.0.2.1"))
            set_override(own_redis, "lon1", state="down", until=soon(own_redis, 2))
            took.append(until("192.0.2.2"))
            until("192.0.2.1")  # by itself
            changed = document()
            changed["maps"]["default"]["countries"]["GB"] = {"nyc1": 1}
            with own_redis.client() as client:
                publish_tiny(client, "geosteer", changed, generation=2)
            until("192.0.2.3")
            own_redis.freeze()
            time.sleep(0.5)
            own_redis.thaw()
            set_state(own_redis, "nyc1", "down")
            until("192.0.2.2")
        finally:
            follower.send_signal(signal.SIGTERM)
            assert follower.wait(60) == 143, (tmp_path / "log").read_text()
        print("from a change to the answer:", [f"{seconds:.2f} s" for seconds in took])


def soon(redis: RedisServer, seconds: int) -> str:
    from geosteer.timestamps import format_time

    with redis.client() as client:
        return format_time(client.time()[0] + seconds)

"""Exports that follow node states: what they keep from before comes to the same as making everything anew."""

from __future__ import annotations

import random
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import pytest

from geosteer.timestamps import format_time
from geosteer_loader.cli.main import main
from geosteer_loader.config.config import load
from geosteer_loader.export import followed_classes, gdnsd, geo_map, haproxy, knot, nginx, pdns_geoip
from geosteer_loader.export.client_classes import Answers
from geosteer_loader.export.followed_classes import FEW
from geosteer_loader.export.published_state import Picture
from geosteer_loader.export.redirects import Manner
from geosteer_loader.export.watch import ReloadFailed, Writer
from geosteer_loader.store.store import connect
from support.dns_setup import document, set_override, set_state
from support.export_oracle import tiny_config
from support.tiny import publish_tiny

if TYPE_CHECKING:
    from pathlib import Path

    from support.servers import RedisServer

NODES = ("n0", "n1", "n2", "n3", "n4")
COUNTRIES = ("GB", "NL", "FR", "US", "DE", "JP")
EXPORTERS: dict[str, type[pdns_geoip.Exporter | gdnsd.Exporter | geo_map.Exporter]] = {
    "pdns-geoip": pdns_geoip.Exporter,
    "gdnsd": gdnsd.Exporter,
    "geo-map": geo_map.Exporter,
}


def made(policy: str, all_down: str) -> dict[str, Any]:
    """A map whose layers name a few nodes each, so that most states make no difference to most clients."""
    dice = random.Random(policy + all_down)

    def some() -> dict[str, int]:
        return {name: dice.choice([0, 1, 1, 2, 3]) for name in dice.sample(NODES, 2)}

    found = document()
    found["nodes"] = {
        name: {
            "a": [f"192.0.2.{at}"], "location": [at * 10, 0], "ramp": 0, "hostname": f"{name}.example.org",
            **({} if at == 3 else {"aaaa": [f"2001:db8::{at}"]}),
        }
        for at, name in enumerate(NODES)
    }  # fmt: skip
    found["maps"] = {
        "default": {
            "order": ["networks", "countries", "continents"],
            "all_down": all_down,
            "networks": {"lab": some()},
            "countries": {country: some() for country in COUNTRIES[:4]},
            "continents": {"EU": some()},
            "default": {"n0": 1, "n1": 2},
        }
    }
    found["services"] = {
        "www.cdn.example.net": {"map": "default", "policy": policy},
        "two.cdn.example.net": {"map": "default", "policy": policy, "max_answers": 2, "ttl": 20},
    }
    return found


TABLES = {
    "geo": {f"198.51.{at}.0/24": f"{country} {at * 5} 1" for at, country in enumerate(COUNTRIES)}
    | {"2001:db8:a::/48": "GB", "2001:db8:b::/48": "NL 52 4"},
    "nets": {"198.51.1.64/26": "lab", "2001:db8:b:1::/64": "lab"},
    "rtt": {
        "198.51.0.0/25": "n3=9 n1=10 n0=40",
        "198.51.2.0/24": "n2=30",
        "2001:db8:a::/48": "n4=1 n0=2 n1=3 n2=4",
    },
}


@pytest.mark.parametrize("kind", EXPORTERS)
@pytest.mark.parametrize(
    ("policy", "all_down", "few"),
    [
        ("best", "all", FEW),
        ("best", "none", FEW),
        ("weighted", "all", FEW),
        ("nearest", "all", FEW),
        ("nearest", "all", 0),
        ("hash", "none", FEW),
        ("latency", "all", FEW),
        ("latency", "all", 0),
    ],
)
def test_what_is_followed_is_what_is_made_anew(
    own_redis: RedisServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    policy: str,
    all_down: str,
    few: int,
) -> None:
    for module in (followed_classes, gdnsd):
        monkeypatch.setattr(module, "FEW", few)
    with own_redis.client() as client:
        publish_tiny(client, "geosteer", made(policy, all_down), tables=TABLES)
    dice = random.Random(f"{kind} {policy} {all_down}")
    make = EXPORTERS[kind]
    with connect(load(tiny_config(tmp_path, own_redis), {}).redis) as store:
        picture = Picture(store)
        following = make(picture, tmp_path)
        following.bundle()
        for _ in range(12):
            name = dice.choice(NODES)
            what = dice.randrange(5)
            if what < 3:
                set_state(own_redis, name, dice.choice(["up", "down", "down"]))
            elif what == 3:
                set_override(own_redis, name, state="drain", percent=dice.choice([0, 30, 100]))
            else:
                with own_redis.client() as client:
                    client.hset(f"{{geosteer}}:node:{name}", "failing", dice.choice(["yes", "no"]))
            picture.refresh()
            assert following.bundle() == make(Picture(store), tmp_path).bundle()


def test_a_node_that_changes_concerns_the_classes_that_name_it(
    own_redis: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 300 networks, each with a node of its own, one is worked out again; no table is read again."""
    found = document()
    found["nodes"] |= {
        f"p{at}": {"a": ["192.0.2.9"], "aaaa": ["2001:db8::9"], "ramp": 0} for at in range(300)
    }
    found["maps"]["default"]["networks"] = {f"n{at}": {f"p{at}": 1} for at in range(300)}
    nets = {f"10.{at >> 8}.{at & 255}.0/24": f"n{at}" for at in range(300)}
    with own_redis.client() as client:
        publish_tiny(client, "geosteer", found, tables={"nets": nets})
    asked = []
    settled = Answers.settled

    def counted(self: Answers) -> Any:
        asked.append(self)
        return settled(self)

    monkeypatch.setattr(Answers, "settled", counted)
    with connect(load(tiny_config(tmp_path, own_redis), {}).redis) as store:
        picture = Picture(store)
        exporter = pdns_geoip.Exporter(picture, tmp_path)
        first = exporter.bundle()
        variants = 2
        assert len(asked) >= 300 * variants
        asked.clear()
        monkeypatch.setattr(store, "objects", None)
        set_state(own_redis, "p7", "down")
        assert picture.refresh()
        second = exporter.bundle()
        assert len(asked) == variants
        assert second.files[pdns_geoip.DATABASE] is first.files[pdns_geoip.DATABASE]
        assert second.files[pdns_geoip.ZONES] != first.files[pdns_geoip.ZONES]


@pytest.mark.parametrize("policy", ["nearest", "latency"])
def test_with_few_places_a_state_changes_no_file_of_networks(
    own_redis: RedisServer, tmp_path: Path, policy: str
) -> None:
    """By distance, too: only gdnsd, which ranks nodes for each network, has another order then."""
    with own_redis.client() as client:
        publish_tiny(client, "geosteer", made(policy, "all"), tables=TABLES)
    with connect(load(tiny_config(tmp_path, own_redis), {}).redis) as store:
        picture = Picture(store)
        exporters: dict[str, Any] = {
            pdns_geoip.DATABASE: pdns_geoip.Exporter(picture, tmp_path),
            knot.DATABASE: knot.Exporter(picture, tmp_path),
            nginx.NETWORKS: nginx.Exporter(picture, tmp_path, Manner()),
            haproxy.NETWORKS: haproxy.Exporter(picture, tmp_path, Manner()),
            geo_map.IP_MAP: geo_map.Exporter(picture, tmp_path),
        }
        before = {name: exporter.bundle().files for name, exporter in exporters.items()}
        set_state(own_redis, "n1", "down")
        assert picture.refresh()
        for name, exporter in exporters.items():
            after = exporter.bundle().files
            assert after[name] is before[name][name]
            assert after != before[name]


def test_a_file_that_somebody_else_changed_is_written_again(own_redis: RedisServer, tmp_path: Path) -> None:
    with own_redis.client() as client:
        publish_tiny(client, "geosteer", document())
    folder = tmp_path / "out"
    with connect(load(tiny_config(tmp_path, own_redis), {}).redis) as store:
        picture = Picture(store)
        writer = Writer(pdns_geoip.Exporter(picture, folder).bundle, folder, "", lambda _: True)
        assert len(writer.once(lossy=True)[1]) == 3
        assert writer.once(lossy=True)[1] == []
        database = folder / pdns_geoip.DATABASE
        data = database.read_bytes()
        for wrong in (b"", b"x" * len(data)):
            database.write_bytes(wrong)
            assert writer.once(lossy=True)[1] == [pdns_geoip.DATABASE]
            assert database.read_bytes() == data
        database.unlink()
        assert writer.once(lossy=True)[1] == [pdns_geoip.DATABASE]


def test_times_of_states_do_not_count(own_redis: RedisServer, tmp_path: Path) -> None:
    """A state that was written again, as probes do after a pause, makes nothing anew."""
    with own_redis.client() as client:
        publish_tiny(client, "geosteer", document())
        with connect(load(tiny_config(tmp_path, own_redis), {}).redis) as store:
            picture = Picture(store)
            exporter = pdns_geoip.Exporter(picture, tmp_path)
            first = exporter.bundle()
            client.hset("{geosteer}:node:lon1", mapping={"state": "unknown", "since": format_time(5)})
            assert picture.refresh()
            assert exporter.bundle() == first


@pytest.mark.parametrize("patient", [False, True])
def test_a_command_that_fails_again_and_again_is_told_of_once(
    own_redis: RedisServer, tmp_path: Path, caplog: pytest.LogCaptureFixture, patient: bool
) -> None:
    """What it says has the time and its process id in it, as with `nginx -s reload` while nginx does not run."""
    with own_redis.client() as client:
        publish_tiny(client, "geosteer", document())
    with connect(load(tiny_config(tmp_path, own_redis), {}).redis) as store:
        picture, folder = Picture(store), tmp_path / "x"
        works = tmp_path / "works"
        command = f"sh -c 'test -e {works} || {{ echo $(date +%N) $$ >&2; exit 1; }}'"
        writer = Writer(pdns_geoip.Exporter(picture, folder).bundle, folder, command, lambda _: True)
        with nullcontext() if patient else pytest.raises(ReloadFailed):
            writer.once(lossy=True, patient=patient)
        left = iter(range(8))

        def wait(_: float) -> None:
            at = next(left)
            if at == 6:
                works.touch()

        with pytest.raises(StopIteration):
            writer.follow(picture, 1, wait)
    warnings = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert len([text for text in warnings if "exit status 1" in text]) == 1, warnings
    assert warnings[-1] == "recovered"


def test_who_follows_does_not_end_because_the_server_is_not_there_yet(
    own_redis: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with own_redis.client() as client:
        publish_tiny(client, "geosteer", document())
    followed = []
    monkeypatch.setattr(Writer, "follow", lambda _self, _picture, interval: followed.append(interval))
    config = str(tiny_config(tmp_path, own_redis))
    command = ["export", "nginx", str(tmp_path / "x"), "--config", config, "--reload", "false"]
    assert main([*command, "--watch"]) == 0
    assert followed == [0.2]
    assert main(command) == 1, "it was not told yet"


def test_a_state_changes_one_small_file_where_countries_and_ases_make_some_thousand_kinds_of_places(
    own_redis: RedisServer, tmp_path: Path
) -> None:
    found = document()
    found["services"]["www.cdn.example.net"] |= {"policy": "nearest"}
    found["maps"]["default"] = {"default": dict.fromkeys(("lon1", "ams1", "nyc1"), 1)}
    for at, node in enumerate(("lon1", "ams1", "nyc1")):
        found["nodes"][node]["location"] = [0, 30 * at]
    geo = {f"10.{at >> 8}.{at & 255}.0/24": f"GB {at % 90} {at // 90}" for at in range(3000)}
    with own_redis.client() as client:
        publish_tiny(client, "geosteer", found, tables={"geo": geo})
    with connect(load(tiny_config(tmp_path, own_redis), {}).redis) as store:
        picture, folder = Picture(store), tmp_path / "x"
        writer = Writer(nginx.Exporter(picture, folder, Manner()).bundle, folder, "", lambda _: False)
        writer.once(lossy=True)
        set_state(own_redis, "lon1", "down")
        assert picture.refresh()
        assert writer.once(lossy=True)[1] == [nginx.NODES]

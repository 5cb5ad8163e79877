"""Feeds of another monitor: states beside the probers', loads that make a node give clients away, malformed ones refused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from geosteer.errors import ConfigError
from geosteer_loader.cli.feed import feed
from geosteer_loader.cli.probe import probe
from geosteer_loader.config.host import load
from geosteer_loader.health.feed import Item, parse, publish
from support.health import Place, document, tcp

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from click.testing import Result

    from support.servers import RedisServer


@pytest.fixture
def place(redis_server: RedisServer, prefix: str) -> Iterator[Place]:
    found = Place(redis_server, prefix)
    text = document({"n1": [tcp(80)], "n2": [], "n3": [], "n4": []})
    text["nodes"]["n2"] |= {"capacity": 200, "settle": 100}
    found.publish(text)
    yield found
    found.close()


def send(place: Place, period: float = 60, name: str = "feed", **nodes: Any) -> list[str]:
    """One feed; the names of nodes that are not configured."""
    items = parse(json.dumps({"nodes": nodes}), "f.json")
    return publish(place.exchange(name), items, period)[1]


def test_a_state_of_a_feed_is_a_nodes_state(place: Place) -> None:
    send(place, n1={"state": "down", "reason": "disk full"}, n2={"state": "up"})
    assert place.node("n1")["state"] == "down"
    assert place.node("n1")["reason"] == "disk full"
    assert place.node("n2")["state"] == "up"
    assert place.client.hget(place.keys.beat, "feed").split()[2] == "60"


def test_a_feed_has_one_vote_beside_the_probers(place: Place) -> None:
    lon, ams = place.exchange("lon"), place.exchange("ams")
    for exchange in (lon, ams):
        place.say(exchange, n1="up")
    send(place, n1={"state": "down"})
    assert place.state("n1") == "up"
    place.say(lon, n1="down")
    assert place.state("n1") == "down"
    assert place.node("n1")["reason"].endswith("(2 of 3 probers)")


def test_since_is_when_the_state_began(place: Place) -> None:
    send(place, n1={"state": "down"})
    before = json.loads(place.client.hget(place.keys.verdict("feed"), "n1"))
    send(place, n1={"state": "down"})
    after = json.loads(place.client.hget(place.keys.verdict("feed"), "n1"))
    assert after["since"] == before["since"]
    assert after["checked"] > before["checked"]


def test_nodes_that_are_not_configured_are_named_and_left_out(place: Place) -> None:
    assert send(place, n1={"state": "up"}, other={"state": "down"}) == ["other"]
    assert place.node("other") == {}
    assert not place.client.hexists(place.keys.verdict("feed"), "other")


def settle(place: Place, seconds: float, node: str = "n2") -> None:
    """Let time pass, as far as the last step is concerned."""
    from geosteer.timestamps import format_time_ms, parse_time

    key = place.keys.verdict("feed")
    verdict = json.loads(place.client.hget(key, node))
    if "stepped" in verdict:
        verdict["stepped"] = format_time_ms(parse_time(verdict["stepped"]) - seconds)
        place.client.hset(key, node, json.dumps(verdict))


def test_loads_shed_clients_step_by_step(place: Place) -> None:
    shed = []
    for busy in (150, 190, 230, 230, 170, 150, 100, 100, 100, 100, 100, 100, 100):
        send(place, n2={"load": busy})
        shed.append(float(place.node("n2").get("shed", 0)))
        settle(place, 100)
    assert shed == [0, 0.05, 0.2, 0.35, 0.35, 0.3, 0.25, 0.2, 0.15, 0.1, 0.05, 0, 0]


def test_there_is_one_step_per_settling_time(place: Place) -> None:
    for _ in range(3):
        send(place, n2={"load": 500})
        settle(place, 40)
    assert place.node("n2")["shed"] == "0.15"
    send(place, n2={"load": 500})
    assert place.node("n2")["shed"] == "0.3"


def test_what_was_shed_goes_on_from_the_nodes_hash_when_the_feed_lost_its_memory(place: Place) -> None:
    send(place, n2={"load": 500})
    place.client.delete(place.keys.verdict("feed"))
    send(place, n2={"load": 500})
    assert place.node("n2")["shed"] == "0.3"


def test_a_load_without_a_state_says_nothing_of_the_state(place: Place) -> None:
    send(place, n2={"load": 500})
    assert "state" not in place.node("n2")
    place.say(place.exchange("lon"), n2="up")
    send(place, n2={"load": 500})
    assert place.node("n2")["state"] == "up"


def test_a_prober_leaves_alone_what_a_feed_sheds(place: Place) -> None:
    send(place, n1={"load": 5})
    place.say(place.exchange("lon"), n1="up")
    place.say(place.exchange("lon"), n1="down")
    assert place.node("n1")["shed"] == "0.15"


def test_shedding_ends_when_no_load_came_for_long(place: Place) -> None:
    send(place, n2={"load": 500})
    key = place.keys.verdict("feed")
    old = json.loads(place.client.hget(key, "n2")) | {"loaded": "2001-01-01T00:00:00Z"}
    place.client.hset(key, "n2", json.dumps(old))
    place.say(place.exchange("lon"), n1="up")
    assert place.node("n2")["shed"] == "0"


# ---- malformed

GOOD = {"state": "up"}


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("", ["f: line 1, column 1: Expecting value"]),
        ("{\n  'nodes': 1}", ["f: line 2, column 3: Expecting property name enclosed in double quotes"]),
        ("[]", ['f: nodes: must be an object, as in {"nodes": {"lon1": {"state": "up"}}}']),
        ('{"nodes": [1]}', ['f: nodes: must be an object, as in {"nodes": {"lon1": {"state": "up"}}}']),
        ('{"nodes": {}, "node": {}}', ["f: node: unknown key"]),
        ('{"nodes": {"a": 1}}', ["f: nodes.a: must be an object with state, load, reason, not a whole number"]),
        ('{"nodes": {"a": null}}', ["f: nodes.a: must be an object with state, load, reason, not null"]),
        ('{"nodes": {"a": {}}}', ["f: nodes.a: has neither a state nor a load"]),
        (
            '{"nodes": {"a": {"state": "Up", "extra": 1}}}',
            ["f: nodes.a.extra: unknown key", 'f: nodes.a.state: must be "up" or "down", not "Up"'],
        ),
        ('{"nodes": {"a": {"state": ["up"]}}}', ['f: nodes.a.state: must be "up" or "down", not a list']),
        (
            '{"nodes": {"a": {"load": -1}, "b": {"load": "1"}}}',
            [
                "f: nodes.a.load: must be a number from 0 on, not -1",
                'f: nodes.b.load: must be a number from 0 on, not "1"',
            ],
        ),
        ('{"nodes": {"a": {"load": true}}}', ["f: nodes.a.load: must be a number from 0 on, not a boolean"]),
        ('{"nodes": {"a": {"load": NaN}}}', ["f: nodes.a.load: must be a number from 0 on, not nan"]),
        ('{"nodes": {"a": {"load": 1e999}}}', ["f: nodes.a.load: must be a number from 0 on, not inf"]),
        ('{"nodes": {"a": {"state": "up"}, "a": {"state": "down"}}}', ["f: a: is listed twice"]),
        (
            '{"nodes": {"a": {"load": Infinity, "load": NaN}, "a": {"state": NaN}}, "nodes": {"b": 1}}',
            [
                "f: load: is listed twice",
                "f: a: is listed twice",
                "f: nodes: is listed twice",
                "f: nodes.b: must be an object with state, load, reason, not a whole number",
            ],
        ),
        ('{"nodes": {"a": {"state": "up", "reason": 7}}}', ["f: nodes.a.reason: must be text, not a whole number"]),
        ("[" * 100_000, ["f: line 1, column 1: is nested too deeply"]),
    ],
)  # fmt: skip
def test_every_problem_is_told_with_its_place(text: str, problems: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text, "f")
    assert caught.value.problems == problems


def test_state_load_and_reason_are_taken_as_they_are() -> None:
    assert parse('{"nodes": {"a": {"state": "down", "load": 3, "reason": "x\\ny\\ud800"}}}', "f") == {
        "a": Item(state="down", load=3, reason="x\\ny\\ud800")
    }


# ---- the commands


def settings_file(place: Place, folder: Path, more: str = "") -> str:
    path = folder / "geosteer.toml"
    path.write_text(f'[redis]\nurl = "{place.server.url}"\nprefix = "{place.prefix}"\n{more}')
    return str(path)


def call(command: Any, *words: str, said: str | None = None) -> Result:
    return CliRunner().invoke(command, list(words), input=said)


def test_a_feed_may_come_on_standard_input(place: Place, tmp_path: Path) -> None:
    text = json.dumps({"nodes": {"n1": {"state": "down", "reason": "gone"}, "n2": GOOD}})
    done = call(
        feed,
        "-",
        "--config",
        settings_file(place, tmp_path),
        "--name",
        "nagios",
        "--period",
        "5m",
        said=text,
    )
    assert done.exit_code == 0, done.output
    assert "n1: down (was unknown): gone" in done.output
    assert "4 nodes: 1 up, 1 down, 2 unknown" in done.output
    assert place.client.hget(place.keys.beat, "nagios").split()[2] == "300"


def test_a_malformed_feed_changes_nothing(place: Place, tmp_path: Path) -> None:
    send(place, n1={"state": "up"})
    before = {key: place.client.dump(key) for key in place.client.scan_iter("{" + place.prefix + "}*")}
    path = tmp_path / "f.json"
    path.write_text(json.dumps({"nodes": {"n1": {"state": "down"}, "n2": {"state": "broken"}}}))
    done = call(feed, str(path), "--config", settings_file(place, tmp_path))
    assert isinstance(done.exception, ConfigError)
    assert done.exception.exit_code == 2
    assert before == {
        key: place.client.dump(key) for key in place.client.scan_iter("{" + place.prefix + "}*")
    }


def test_a_probe_needs_nothing_but_where_redis_is(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = call(probe, "--config", settings_file(place, tmp_path, '[prober]\nname = "lon"\nforget = "2h"\n'))
    assert done.exit_code == 0, done.output
    assert place.state("n1") == "down"
    assert place.client.hget(place.keys.beat, "lon").split()[2] == "60"
    monkeypatch.chdir(tmp_path / "..")
    monkeypatch.setenv("GEOSTEER_REDIS_URL", place.server.url)
    monkeypatch.setenv("GEOSTEER_REDIS_PREFIX", place.prefix)
    assert load(None).redis.prefix == place.prefix
    assert call(probe, "--once").exit_code == 0


def test_the_rest_of_a_loaders_file_is_not_looked_at(place: Place, tmp_path: Path) -> None:
    path = settings_file(place, tmp_path, "[nodes.x]\nnonsense = 1\n[sources]\ngeo = 7\n")
    assert load(tmp_path / "geosteer.toml").prober.rule == "majority"
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "missing.toml")
    assert "cannot be read" in caught.value.problems[0]
    (tmp_path / "geosteer.toml").write_text('[redis]\nurl = "ftp://x"\n[probr]\n[prober]\nrule = "some"\n')
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "geosteer.toml")
    assert [line.split(": ")[1:3] for line in caught.value.problems] == [
        ["line 5", "prober.rule"], ["line 3", "probr"], ["line 2", "redis.url"],
    ]  # fmt: skip
    assert path


def test_without_a_file_or_an_address_it_says_what_to_do() -> None:
    with pytest.raises(ConfigError, match="GEOSTEER_REDIS_URL"):
        load(None, {})


def test_a_period_goes_with_single_runs_only(place: Place, tmp_path: Path) -> None:
    done = call(probe, "--watch", "--period", "5m", "--config", settings_file(place, tmp_path))
    assert done.exit_code == 2

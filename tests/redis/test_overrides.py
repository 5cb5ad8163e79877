"""An operator's word on nodes: who is meant, what is written, and that the last word counts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from geosteer.decision.node_state import Override
from geosteer.errors import ConfigError, StoreError
from geosteer.timestamps import parse_time
from geosteer_loader.health.overrides import Change, Wish, override, read
from geosteer_loader.publish.publish import publish
from geosteer_loader.store.store import Store, connect
from support.publishing import make_config
from support.relay import Relay

if TYPE_CHECKING:
    from pathlib import Path

    from support.servers import RedisServer


@pytest.fixture
def store(tmp_path: Path, own_redis: RedisServer) -> Store:
    store = connect(make_config(tmp_path, own_redis.url).redis)
    publish(make_config(tmp_path, own_redis.url, networks={"lab": ["10.0.0.0/8"]}), store)
    return store


def say(store: Store, state: str, *globs: str, **options: Any) -> list[Change]:
    return override(store, globs, Wish(state=state, **options))


def said(server: RedisServer) -> dict[str, dict[str, Any]]:
    raw = server.client().hgetall("{geosteer}:override")
    return {name.decode(): json.loads(text) for name, text in raw.items()}


def test_a_glob_means_the_nodes_that_match_it_now(store: Store, own_redis: RedisServer) -> None:
    changes = say(store, "down", "lon*", why="fire")
    assert [change.node for change in changes] == ["lon1", "lon2"]
    assert set(said(own_redis)) == {"lon1", "lon2"}
    assert [change.node for change in say(store, "up", "AMS1", "l?n1")] == ["ams1", "lon1"]


def test_an_override_says_what_who_why_and_since_when(store: Store, own_redis: RedisServer) -> None:
    say(store, "drain", "lon1", percent=20, seconds=7200, why="kernel update")
    found = said(own_redis)["lon1"]
    assert found["state"] == "drain"
    assert found["percent"] == 20
    assert found["why"] == "kernel update"
    assert "@" in found["who"]
    assert abs(parse_time(found["since"]) - store.now()) < 3
    assert parse_time(found["until"]) - parse_time(found["since"]) in {7200, 7201}  # never early
    worker = Override.read(json.dumps(found))
    assert (worker.state, worker.percent, worker.until) == ("drain", 20, parse_time(found["until"]))


def test_what_is_not_said_is_left_out(store: Store, own_redis: RedisServer) -> None:
    say(store, "drain", "lon1")
    assert set(said(own_redis)["lon1"]) == {"state", "since", "who", "why"}


def test_the_last_command_on_a_node_counts_and_auto_removes_it(store: Store, own_redis: RedisServer) -> None:
    say(store, "drain", "*", percent=5, seconds=60)
    say(store, "down", "lon1")
    say(store, "auto", "lon2")
    found = said(own_redis)
    assert {name: fields["state"] for name, fields in found.items()} == {"ams1": "drain", "lon1": "down"}
    assert "until" not in found["lon1"]
    assert "percent" not in found["lon1"]
    say(store, "auto", "*")
    assert said(own_redis) == {}


def test_the_same_word_twice_is_written_once(store: Store, tmp_path: Path, own_redis: RedisServer) -> None:
    assert all(change.changed for change in say(store, "down", "lon*", why="fire"))
    before = said(own_redis)
    with Relay(own_redis.directory, own_redis.socket) as relay:
        through = connect(make_config(tmp_path, relay.url).redis)
        assert not any(change.changed for change in say(through, "down", "lon*", why="fire"))
        assert not any(change.changed for change in say(through, "auto", "ams1"))
    assert {words[0] for words in relay.commands} <= {b"HGETALL", b"HMGET", b"TIME", b"CLIENT"}
    assert said(own_redis) == before


def test_a_new_reason_does_not_change_since_when(store: Store, own_redis: RedisServer) -> None:
    say(store, "down", "lon1", why="fire")
    client = own_redis.client()
    old = {**said(own_redis)["lon1"], "since": "2026-01-01T00:00:00Z"}
    client.hset("{geosteer}:override", "lon1", json.dumps(old))
    say(store, "down", "lon1", why="water")
    assert said(own_redis)["lon1"]["since"] == "2026-01-01T00:00:00Z"
    say(store, "up", "lon1", why="water")
    assert said(own_redis)["lon1"]["since"] > "2026-01-01T00:00:00Z"


def test_several_nodes_are_written_in_one_command(
    store: Store, tmp_path: Path, own_redis: RedisServer
) -> None:
    with Relay(own_redis.directory, own_redis.socket) as relay:
        through = connect(make_config(tmp_path, relay.url).redis)
        say(through, "down", "*")
        say(through, "auto", "*")
    writes = [words for words in relay.commands if words[0] in {b"HSET", b"HDEL"}]
    assert [(words[0], len(words)) for words in writes] == [(b"HSET", 2 + 6), (b"HDEL", 2 + 3)]


def test_a_glob_that_matches_nothing_is_refused_with_the_names_that_exist(
    store: Store, own_redis: RedisServer
) -> None:
    with pytest.raises(ConfigError) as caught:
        say(store, "down", "lon1", "par*", "x")
    assert caught.value.exit_code == 2
    assert caught.value.problems == [
        "par*: no such node; there are: ams1, lon1, lon2",
        "x: no such node; there are: ams1, lon1, lon2",
    ]
    assert said(own_redis) == {}


@pytest.mark.parametrize(
    "wish",
    [
        {"state": "down", "percent": 5},
        {"state": "auto", "percent": 5},
        {"state": "auto", "seconds": 5},
        {"state": "auto", "why": "x"},
    ],
)
def test_wishes_that_make_no_sense_are_refused(store: Store, wish: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="no meaning"):
        override(store, ["lon1"], Wish(**wish))


def test_auto_reaches_the_override_of_a_node_that_is_gone(store: Store, own_redis: RedisServer) -> None:
    own_redis.client().hset("{geosteer}:override", "old1", '{"state": "down"}')
    with pytest.raises(ConfigError):
        say(store, "up", "old1")
    assert [change.node for change in say(store, "auto", "old*")] == ["old1"]


def test_what_somebody_else_wrote_there_is_replaced_and_until_then_ignored(
    store: Store, own_redis: RedisServer
) -> None:
    own_redis.client().hset("{geosteer}:override", mapping={"lon1": "[]", "lon2": "{"})
    assert read(store, store.now()) == {}
    say(store, "down", "lon*")
    assert set(read(store, store.now())) == {"lon1", "lon2"}


def test_before_the_first_publish_nothing_can_be_overruled(tmp_path: Path, own_redis: RedisServer) -> None:
    store = connect(make_config(tmp_path, own_redis.url).redis)
    with pytest.raises(StoreError, match="nothing is published"):
        say(store, "down", "lon1")

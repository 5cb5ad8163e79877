"""What `geosteer status` says, and when it calls for somebody."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click
import pytest

from geosteer.errors import StoreError
from geosteer.timestamps import format_time
from geosteer_loader.cli.text import formatting, monitoring
from geosteer_loader.cli.text.status import text as as_text
from geosteer_loader.health.overrides import Wish, override
from geosteer_loader.health.verdicts import Verdict
from geosteer_loader.publish.publish import publish
from geosteer_loader.query.status import gather
from geosteer_loader.store.lease import Lease
from geosteer_loader.store.store import Store, connect
from support.health import document
from support.publishing import current_of, make_config, write_csv
from support.tiny import publish_tiny

if TYPE_CHECKING:
    from pathlib import Path

    from support.servers import RedisServer


@pytest.fixture
def store(tmp_path: Path, own_redis: RedisServer) -> Store:
    config = make_config(
        tmp_path, own_redis.url, geo=[write_csv(tmp_path / "geo.csv")], networks={"lab": ["10.0.0.0/8"]}
    )
    store = connect(config.redis)
    publish(config, store)
    return store


@pytest.fixture
def client(own_redis: RedisServer) -> Any:
    return own_redis.client()


def probe(client: Any, name: str, state: str, **fields: Any) -> None:
    since = {"since": "2026-02-01T00:00:00Z", "reason": "", "failing": "no", "shed": "0"}
    client.hset(f"{{geosteer}}:node:{name}", mapping={"state": state, **since, **fields})


def test_it_tells_generation_tables_and_nodes(store: Store, own_redis: RedisServer) -> None:
    found = gather(store)
    assert found.generation == 1
    assert found.schema == 1
    assert found.prefix == "geosteer"
    assert found.redis == own_redis.url
    assert found.held is None
    assert found.publisher is None
    assert found.age is not None
    assert found.age < 10
    assert set(found.tables) == {"geo", "nets"}
    geo = found.tables["geo"]
    assert geo.v4 == current_of(own_redis.client())["geo.v4"]
    assert (geo.prefixes, geo.ranges, geo.there) == (3, 8, True)
    assert geo.source[0]["file"] == "geo.csv"
    assert set(found.nodes) == {"ams1", "lon1", "lon2"}
    assert found.nodes["lon1"].state == "unknown"
    assert found.nodes["lon1"].serving is True
    told = found.to_json()
    assert json.loads(json.dumps(told)) == told


def test_nothing_published_is_an_error(tmp_path: Path, own_redis: RedisServer) -> None:
    with (
        connect(make_config(tmp_path, own_redis.url).redis) as store,
        pytest.raises(StoreError, match="nothing"),
    ):
        gather(store)


@pytest.mark.parametrize(
    ("state", "fields", "wish", "serving", "share", "excluded"),
    [
        ("up", {}, None, True, 1.0, None),
        ("down", {"reason": "HTTP 500"}, None, False, 0.0, "down: HTTP 500"),
        ("up", {"shed": "0.25"}, None, True, 0.75, None),
        ("up", {"shed": "1"}, None, False, 0.0, "sheds all"),
        ("down", {}, Wish(state="up"), True, 1.0, None),
        ("up", {}, Wish(state="down"), False, 0.0, "operator: down"),
        ("up", {}, Wish(state="drain", percent=20), True, 0.2, None),
        ("up", {}, Wish(state="drain"), False, 0.0, "operator: drained"),
    ],
)
def test_a_node_serves_by_the_rule_that_workers_follow(
    store: Store,
    client: Any,
    state: str,
    fields: dict[str, str],
    wish: Wish | None,
    serving: bool,
    share: float,
    excluded: str | None,
) -> None:
    probe(client, "lon1", state, **fields)
    if wish:
        override(store, ["lon1"], wish)
    node = gather(store).nodes["lon1"]
    assert (node.state, node.serving, node.share, node.excluded) == (
        state,
        serving,
        share,
        excluded,
    )
    assert (node.override is not None) == (wish is not None)


def test_nodes_that_nobody_looks_at_and_warnings_of_checks_are_told(
    tmp_path: Path, own_redis: RedisServer, client: Any
) -> None:
    check = {
        "type": "tcp",
        "port": 80,
        "interval": 10,
        "timeout": 2,
        "profile": {"up": 3, "ok": 3, "down": 2},
    }
    publish_tiny(client, "geosteer", document({"never": [check], "seen": [check], "fed": []}, order=[]), {})
    client.hset("{geosteer}:current", "published", "2026-02-01T00:00:00Z")
    with connect(make_config(tmp_path, own_redis.url).redis) as store:
        now = store.now()
        verdict = Verdict(
            state="up", since=now, checked=now, expires=now + 32, warning="certificate ends in 5 days"
        )
        client.hset("{geosteer}:verdict:lon", "seen", verdict.encode())
        client.hset("{geosteer}:beat", "lon", f"7 {format_time(now)} 10")
        found = gather(store)
    assert {name: node.never_checked for name, node in found.nodes.items()} == {
        "fed": False,
        "never": True,
        "seen": False,
    }
    code, line = monitoring.judge(found)
    assert code == 1
    assert "; never checked: never; is a prober running?; " in line
    assert "seen: certificate ends in 5 days; " in line
    text = click.unstyle(as_text(found))
    assert "unknown (never checked)" in text
    assert "seen: certificate ends in 5 days" in text


def test_an_override_that_ran_out_is_in_force_no_more(store: Store, client: Any) -> None:
    old = {"state": "down", "until": "2026-01-01T00:00:00Z"}
    client.hset("{geosteer}:override", "lon1", json.dumps(old))
    node = gather(store).nodes["lon1"]
    assert node.serving is True
    assert node.override is None
    assert gather(store).overrides == {}


def test_monitoring_is_content_while_all_is_well(store: Store, client: Any) -> None:
    for name in ("ams1", "lon1", "lon2"):
        probe(client, name, "up")
    code, line = monitoring.judge(gather(store))
    assert code == 0
    assert line.startswith("OK - generation 1, 3 of 3 nodes serving, geo ")
    assert "\n" not in line


def test_monitoring_warns_of_what_somebody_should_look_at(store: Store, client: Any) -> None:
    probe(client, "lon1", "down", reason="timeout")
    probe(client, "lon2", "up", failing="yes")
    client.hset("{geosteer}:current", "held", "ops: bad data")
    now = store.now()
    client.hset(
        "{geosteer}:beat", mapping={"a": f"7 {format_time(now - 60)} 10", "b": f"9 {format_time(now)} 10"}
    )
    client.config_set("maxmemory-policy", "allkeys-lru")
    code, line = monitoring.judge(gather(store), max_age=-1)
    assert code == 1
    for part in (
        "WARNING - ", "lon1 down: timeout", "lon2 fails checks", "held: ops: bad data", "a silent for ", "allkeys-lru",
        "table geo is ", "2 of 3 nodes serving",
    ):  # fmt: skip
        assert part in line, line
    assert "b silent" not in line
    assert "table nets" not in line


def test_monitoring_does_not_warn_of_a_node_that_an_operator_put_down(store: Store, client: Any) -> None:
    probe(client, "lon1", "down")
    override(store, ["lon1"], Wish(state="down"))
    assert monitoring.judge(gather(store))[0] == 0


def test_monitoring_is_alarmed_by_a_map_without_nodes_and_by_missing_pages(store: Store, client: Any) -> None:
    for name in ("ams1", "lon1", "lon2"):
        probe(client, name, "down")
    code, line = monitoring.judge(gather(store))
    assert code == 2
    assert line.startswith("CRITICAL - map default has no serving node; ")
    override(store, ["*"], Wish(state="up"))
    assert monitoring.judge(gather(store))[0] == 0
    client.hdel("{geosteer}:object", current_of(client)["geo.v6"])
    code, line = monitoring.judge(gather(store))
    assert code == 2
    assert "table geo is incomplete" in line
    assert monitoring.failed("a\nb") == (2, "CRITICAL - a b")


def test_a_publisher_at_work_is_shown(store: Store) -> None:
    with connect_again(store) as other, Lease(other):
        assert " since " in str(gather(store).publisher)


def connect_again(store: Store) -> Store:
    from geosteer_loader.config.config import RedisSettings

    return connect(RedisSettings(url=store.name, prefix="geosteer"))


def test_the_text_shows_states_and_why(store: Store, client: Any) -> None:
    probe(client, "lon1", "down", reason="HTTP 500")
    client.hset("{geosteer}:beat", "probe@host", f"7 {format_time(store.now() - 99)} 10")
    override(store, ["lon2"], Wish(state="drain", percent=20, why="kernel update"))
    text = click.unstyle(as_text(gather(store)))
    assert "generation 1, published " in text
    lines = {line.split()[0]: line.split() for line in text.splitlines() if line}
    assert lines["geo"][1:3] == ["3", "8"]
    assert lines["lon1"] == ["lon1", "down", "0", "%", "2026-02-01T00:00:00Z", "HTTP", "500"]
    assert lines["lon2"][:6] == ["lon2", "unknown,", "operator:", "drain", "20", "%"]
    assert "kernel update" in text
    override(store, ["lon1"], Wish(state="up", why="the check is wrong"))
    text = click.unstyle(as_text(gather(store)))
    assert "down, operator: up" in text
    assert "the check is wrong (checks: HTTP 500)" in text
    assert lines["probe@host"][-1] == "silent"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (119, "119 s"),
        (120, "2 min"),
        (7199, "119 min"),
        (7200, "2 h"),
        (3 * 86400, "3 d"),
        (None, "?"),
    ],
)
def test_spans_of_time_are_short(seconds: float | None, text: str) -> None:
    assert formatting.span(seconds) == text


def test_columns_are_aligned_whatever_their_colours() -> None:
    text = formatting.columns(("NAME", "N"), [("a", 1), (click.style("long", fg="red"), 22)])
    assert click.unstyle(text).splitlines() == ["NAME   N", "a      1", "long  22"]
    assert click.unstyle(formatting.columns(("NAME", "N"), [])) == "NAME  N"


def test_values_that_nobody_of_ours_wrote_are_passed_over(store: Store, client: Any) -> None:
    deep = "[" * 100_000
    client.hset("{geosteer}:override", mapping={"lon1": deep, "ams1": "1" * 5000})
    client.hset("{geosteer}:verdict:p", mapping={"lon1": deep, "ams1": "1"})
    client.hset("{geosteer}:beat", mapping={"p": "9" * 5000 + " 2026-02-01T00:00:00Z 5", "q": deep})
    client.hset("{geosteer}:current", "geo.source", deep)
    client.set("{geosteer}:lock", deep)
    found = gather(store)
    assert (found.generation, found.overrides, found.beats) == (1, {}, {})
    assert found.publisher is not None
    assert found.publisher.startswith("somebody ([[[")
    assert len(found.publisher) < 100
    override(store, ["lon1"], Wish(state="auto"))
    assert client.hexists("{geosteer}:override", "lon1") is False

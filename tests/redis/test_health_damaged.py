"""Rubbish in the keys of node health: no traceback, nothing damaged is believed, and its owner repairs it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from typing import TYPE_CHECKING, Any

import pytest

from geosteer.timestamps import parse_time
from geosteer_loader.cli.main import main
from geosteer_loader.health.feed import Item, publish
from geosteer_loader.health.last_seen import last_checks
from support.health import EAGER, Place, document, switches, tcp, until, watching

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.servers import RedisServer

LONG_YEAR = f"{'9' * 400}-01-01T00:00:00Z"
FUTURE = "2126-01-01T00:00:00Z"
TIMES = (
    LONG_YEAR, FUTURE, "-5-01-01T00:00:00Z", "2026-02-01", "", "nan", "2026-01-01T00:00:1e400Z", "0001-01-01T00:00:nanZ", "\0",
)  # fmt: skip
JSON = (
    "", "{", "[]", "null", "{state: down}", '{"state":"down"', '"down', '{"state":"down",}', "1" * 5000, "[" * 100_000,
    b"\xff\xfe", '{"state": ["down"]}', '{"state": "\\ud800", "reason": "\\ud800"}', '{"state": "up", "counters": [1]}',
    '{"state": null, "shed": NaN, "load": 1e999}',
    '{"state": "up", "counters": {"tcp 1": {"state": "up", "failures": 1e400}}}',
)  # fmt: skip
VERDICTS: tuple[Any, ...] = (
    *JSON,
    *(
        json.dumps({"state": "down", "since": time, "checked": time, "expires": time, "reason": "rubbish", "load": 5,
                    "loaded": time, "stepped": time, "shed": 0.7,
                    "counters": {"tcp 80": {"state": "down", "failures": 0, "successes": 0, "checked": time}}})
        for time in TIMES
    ),
)  # fmt: skip
BEATS = (*(f"5 {time} 10" for time in TIMES), "", "x",
         f"{'9' * 400} 2026-01-01T00:00:00Z 10", f"1 {FUTURE} inf", f"1 {FUTURE} nan",
         "1 2026-01-01T00:00:00Z -5", "1 2026-01-01T00:00:00Z 1e300", b"\xff \xff \xff")  # fmt: skip


@pytest.fixture
def place(redis_server: RedisServer, prefix: str) -> Iterator[Place]:
    made = Place(redis_server, prefix)
    yield made
    made.close()


def shown(value: Any) -> str:
    return str(value[:40])


def command(place: Place, folder: Path, *words: str) -> int:
    """A command's exit code."""
    path = folder / "probe.toml"
    path.write_text(
        f'[redis]\nurl = "{place.server.url}"\nprefix = "{place.prefix}"\n[prober]\nname = "lon"\n'
    )
    return main([*words, "--config", str(path)])


def all_run(place: Place, folder: Path) -> None:
    """Every command that writes node states ends well, and the node is up and fed as if nothing had been there."""
    (folder / "feed.json").write_text('{"nodes": {"n1": {"state": "up", "load": 0.1}}}')
    for _ in range(2):
        assert command(place, folder, "probe", "--once", "--period", "2s") == 0
        assert command(place, folder, "feed", str(folder / "feed.json")) == 0
    assert place.state("n0") == "up"
    assert place.state("n1") == "up"
    assert place.client.hget(place.keys.node("n1"), "shed") in {None, "0"}


def published(place: Place, port: int) -> None:
    place.publish(document({"n0": [tcp(port, profile=EAGER)], "n1": []}))


def check(place: Place, folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        published(place, server.getsockname()[1])
        all_run(place, folder)


@pytest.mark.parametrize("text", VERDICTS, ids=shown)
def test_a_damaged_verdict_is_not_believed_and_its_owner_writes_a_good_one(
    place: Place, tmp_path: Path, text: Any
) -> None:
    for writer in ("lon", "feed", "ams"):
        for node in ("n0", "n1", "gone"):
            place.client.hset(place.keys.verdict(writer), node, text)
    place.client.hset(place.keys.beat, "ams", "1 2026-01-01T00:00:00Z 10")
    check(place, tmp_path)
    for writer, node in (("lon", "n0"), ("feed", "n1")):
        verdict = json.loads(place.client.hget(place.keys.verdict(writer), node))
        assert verdict["state"] == "up"
        assert parse_time(verdict["expires"]) < place.client.time()[0] + 1000
    if text in JSON[:11]:
        assert not place.client.hexists(place.keys.verdict("lon"), "gone")


@pytest.mark.parametrize("text", BEATS, ids=shown)
def test_a_damaged_beat_is_replaced_or_removed(place: Place, tmp_path: Path, text: Any) -> None:
    for writer in ("lon", "feed", "ams"):
        place.client.hset(place.keys.beat, writer, text)
    check(place, tmp_path)
    beats = place.client.hgetall(place.keys.beat)
    assert beats.keys() == {"lon", "feed"}
    now = place.client.time()[0]
    for beat in beats.values():
        count, time, _ = beat.split()
        assert 1 <= int(count) <= 10**15
        assert abs(parse_time(time) - now) < 60


@pytest.mark.parametrize("time", TIMES, ids=shown)
def test_a_damaged_time_of_a_state_is_repaired(place: Place, tmp_path: Path, time: str) -> None:
    for node in ("n0", "n1"):
        fields = {"state": "up", "since": time, "failing": "no", "shed": "nan", "before": "down"}
        place.client.hset(place.keys.node(node), mapping=fields)
    check(place, tmp_path)
    now = place.client.time()[0]
    for node in ("n0", "n1"):
        since = parse_time(place.node(node)["since"])
        assert since <= now + 1
        if time.startswith("-5"):
            continue
        assert since > now - 60


@pytest.mark.parametrize(
    "fields",
    [
        {"state": "\0", "since": "x", "shed": "x", "failing": "x", "reason": b"\xff"},
        {"state": "down", "since": FUTURE, "shed": "1e999"},
        {"state": "up", "shed": "-3"},
        {b"\xff": "x"},
    ],
)
def test_damaged_fields_of_a_node_are_repaired(place: Place, tmp_path: Path, fields: dict[Any, Any]) -> None:
    for node in ("n0", "n1"):
        place.client.hset(place.keys.node(node), mapping=fields)
    check(place, tmp_path)
    assert place.client.hget(place.keys.node("n1"), "failing") == "no"


def test_a_service_goes_on_whatever_is_written_meanwhile(place: Place) -> None:
    async def main() -> None:
        async with switches(2) as ports:
            place.publish(
                document(
                    {f"n{number}": [tcp(one.port, profile=EAGER)] for number, one in enumerate(ports)},
                    max_down=1,
                )
            )
            async with watching(place.prober()):
                await until(lambda: place.state("n0") == "up")
                for text in VERDICTS:
                    place.client.hset(place.keys.verdict("lon"), "n0", text)
                    place.client.hset(place.keys.verdict("ams"), "n0", text)
                for text in BEATS:
                    place.client.hset(place.keys.beat, mapping={"lon": text, "ams": text})
                for time in TIMES:
                    place.client.hset(place.keys.node("n0"), "since", time)
                await until(lambda: "ams" not in place.client.hkeys(place.keys.beat))
                await ports[0].close()
                await until(lambda: place.state("n0") == "down")

    asyncio.run(main())


def test_looks_are_not_from_the_future(place: Place) -> None:
    exchange = place.exchange()
    place.publish(document({"n0": [], "n1": []}))
    place.say(exchange, n0="up")
    for text in VERDICTS:
        place.client.hset(place.keys.verdict("lon"), "n1", text)
        seen = last_checks(exchange._store, exchange.time())
        assert seen.keys() <= {"n0", "n1"}
        assert "n1" not in seen or not seen["n1"].fresh


@pytest.mark.parametrize("text", JSON, ids=shown)
def test_a_damaged_document_is_one_message(place: Place, tmp_path: Path, text: Any) -> None:
    from geosteer.keys import digest

    published(place, 1)
    data = text if isinstance(text, bytes) else text.encode()
    place.client.hset(place.keys.object, digest(data).hex(), data)
    place.client.hset(place.keys.current, "config", digest(data).hex())
    (tmp_path / "feed.json").write_text('{"nodes": {"n1": {"state": "up"}}}')
    for words in (("probe", "--once"), ("feed", str(tmp_path / "feed.json"))):
        assert command(place, tmp_path, *words) in {1, 3}


@pytest.mark.parametrize("part", ["nodes", "maps", "services"])
@pytest.mark.parametrize(
    "value", [None, [], {"x": None}, {"x": []}, {"x": {"checks": [{"type": "tcp"}], "a": 5}}, 5]
)
def test_a_document_of_another_shape_is_one_message(place: Place, part: str, value: Any) -> None:
    made = document({"n0": [], "n1": []})
    place.publish(made)
    from geosteer.errors import GeosteerError
    from support.tiny import publish_tiny

    made[part] = value
    publish_tiny(place.server.client(), place.prefix, made, {}, generation=7)
    with contextlib.suppress(GeosteerError):
        publish(place.exchange("feed"), {"n1": Item(state="up")}, 60)


OVERRIDES: tuple[Any, ...] = (
    *JSON,
    *(json.dumps({"state": "down", "until": time, "since": time, "who": 5, "why": ["x"]}) for time in TIMES),
    '{"state": "drain", "percent": 1e999}',
    '{"state": "drain", "percent": "5"}',
    '{"state": "up", "percent": NaN}',
)


@pytest.mark.parametrize("text", OVERRIDES, ids=shown)
def test_a_damaged_override_is_listed_replaced_and_removed(place: Place, text: Any) -> None:
    from geosteer_loader.health.overrides import Wish, listed, override, read

    place.publish(document({"n0": [], "n1": []}))
    store = place.exchange()._store
    place.client.hset(place.keys.override, "n0", text)
    assert [one.node for one in listed(store)] == ["n0"]
    assert read(store, store.now()).keys() <= {"n0"}
    json.dumps([one.to_json() for one in listed(store)], ensure_ascii=False)
    override(store, ["n0"], Wish(state="down", why="a test"))
    written = json.loads(place.client.hget(place.keys.override, "n0"))
    assert written["why"] == "a test"
    assert abs(parse_time(written["since"]) - place.client.time()[0]) < 5
    place.client.hset(place.keys.override, "n0", text)
    override(store, ["*"], Wish(state="auto"))
    assert place.client.hgetall(place.keys.override) == {}

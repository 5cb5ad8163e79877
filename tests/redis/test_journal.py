"""The journal: what is told of each change, by whom, and that what cannot be told stops nothing."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from geosteer.errors import Refused
from geosteer_loader.health import feed
from geosteer_loader.health.exchange import Exchange
from geosteer_loader.health.overrides import Wish, override
from geosteer_loader.health.transitions import Rule
from geosteer_loader.journal import writing
from geosteer_loader.journal.events import FIELDS, KINDS, Note, decode, node_fields
from geosteer_loader.journal.reading import first, follow, read, read_back
from geosteer_loader.publish.publish import publish
from geosteer_loader.publish.rollback import rollback
from geosteer_loader.store.history import entries
from geosteer_loader.store.store import connect
from support.publishing import make_config, write_csv

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from geosteer_loader.config.config import Config
    from geosteer_loader.journal.events import Event
    from support.servers import RedisServer


class Place:
    """A small published configuration, and what the journal says of it."""

    def __init__(self, folder: Path, server: RedisServer, prefix: str) -> None:
        self.folder, self.server, self.prefix = folder, server, prefix
        self.config = self.configured()
        self.store = connect(self.config.redis)

    def configured(self, **options: Any) -> Config:
        options.setdefault("geo", [write_csv(self.folder / "geo.csv")])
        return make_config(self.folder, self.server.url, self.prefix, **options)

    def publish(self, **options: Any) -> None:
        publish(self.configured(**options), self.store)

    def events(self, *kinds: str) -> list[Event]:
        return [event for event in read(self.store) if not kinds or event.kind in kinds]

    def feed(self, text: dict[str, Any], name: str = "monitor", period: float = 60) -> Exchange:
        exchange = Exchange(self.store, name, Rule())
        feed.publish(exchange, feed.parse(json.dumps({"nodes": text}), "feed"), period)
        return exchange


@pytest.fixture
def place(tmp_path: Path, redis_server: RedisServer, prefix: str) -> Iterator[Place]:
    made = Place(tmp_path, redis_server, prefix)
    with made.store:
        yield made


def test_a_publish_says_what_it_changed_and_with_which_program(place: Place) -> None:
    place.publish()
    place.publish(weight=50)
    place.publish(weight=50)  # changes nothing, and is no event
    one, two = place.events("publish")
    assert (one.before, one.after, two.before, two.after) == ("", "1", "1", "2")
    assert one.what == "geo config"
    assert two.what == "config; nodes.ams1.weight: 100 -> 50"
    assert two.by == writing.program()
    assert "@" in two.who
    # Both are of one transaction.
    assert [entry.id.partition("-")[0] for entry in entries(place.store)] == [
        event.id.partition("-")[0] for event in (one, two)
    ]


def test_what_was_refused_or_failed_is_told_once(place: Place) -> None:
    place.publish()
    strict = replace(place.config, guard=replace(place.config.guard, canaries={"192.0.2.1": "FR"}))
    for _ in range(3):
        with pytest.raises(Refused):
            publish(strict, place.store)
    (event,) = place.events("refused")
    assert event.what == "canaries"
    assert "192.0.2.1" in event.why
    (place.folder / "geo.csv").write_text("nonsense")
    with pytest.raises(Exception, match=r"geo\.csv"):
        publish(place.config, place.store)
    (event,) = place.events("failed")
    assert "geo.csv" in event.why


def test_a_rollback_a_hold_and_its_end(place: Place) -> None:
    place.publish()
    place.publish(weight=50)
    rollback(place.store, why="GB moved")
    with pytest.raises(Refused):
        place.publish(weight=60)
    publish(place.configured(weight=60), place.store, release=True)
    kinds = [(event.kind, event.before, event.after) for event in place.events()]
    assert kinds == [
        ("publish", "", "1"), ("publish", "1", "2"), ("rollback", "2", "3"), ("refused", "", ""), ("publish", "3", "4"),
    ]  # fmt: skip
    back, refused, released = place.events()[2:]
    assert (back.what, back.why) == ("back to generation 1, held", "GB moved")
    assert "held" in refused.why
    assert "release" in released.what


def test_overrides_have_before_and_after_and_who_and_why(place: Place) -> None:
    place.publish()
    override(place.store, ["lon*"], Wish(state="drain", percent=20, why="kernel"))
    override(place.store, ["lon*"], Wish(state="drain", percent=20, why="kernel"))  # as it is: no event
    override(place.store, ["lon1"], Wish(state="down"))
    override(place.store, ["lon1", "lon2"], Wish(state="auto"))
    events = place.events("override", "ended")
    assert [(event.kind, event.node) for event in events] == [
        ("override", "lon1"), ("override", "lon2"), ("override", "lon1"), ("ended", "lon1"), ("ended", "lon2"),
    ]  # fmt: skip
    assert events[0].before == ""
    assert json.loads(events[0].after)["percent"] == 20
    assert events[0].why == "kernel"
    assert events[2].before == events[0].after
    assert (events[3].before, events[3].after) == (events[2].after, "")


def test_an_override_that_ran_out_is_told_once_by_the_next_writer(place: Place) -> None:
    place.publish()
    override(place.store, ["lon1"], Wish(state="down", seconds=0.01))
    time.sleep(1.1)  # until is a whole second
    override(place.store, ["ams1"], Wish(state="drain"))
    override(place.store, ["ams1"], Wish(state="auto"))
    (event,) = place.events("expired")
    assert (event.node, event.before) == ("lon1", event.after)
    assert event.what.startswith("ran out at ")


def test_a_prober_tells_of_an_override_that_ran_out_between_its_beats(place: Place) -> None:
    place.publish()
    exchange = place.feed({"ams1": {"state": "up"}})
    override(place.store, ["lon1"], Wish(state="down", seconds=0.01))
    time.sleep(1.1)
    for name in ("monitor", "other", "monitor"):
        place.feed({"ams1": {"state": "up"}}, name)
    assert [event.node for event in place.events("expired")] == ["lon1"]
    assert exchange.name == "monitor"


def test_states_are_told_with_the_whole_hash_before_and_after(place: Place) -> None:
    place.publish()
    place.feed({"lon1": {"state": "up"}, "lon2": {"state": "up"}})
    place.feed({"lon1": {"state": "down", "reason": "fire"}})
    place.feed({"lon1": {"state": "up"}, "lon2": {"load": 0.95}})
    by_node = {"lon1": "", "lon2": ""}
    for event in place.events("state", "failing", "shed"):
        assert event.before == by_node[event.node]
        by_node[event.node] = event.after
    for node, text in by_node.items():
        assert node_fields(text) == place.store.hash(place.store.keys.node(node))
    down = next(event for event in place.events("state") if event.why)
    assert (down.node, down.why, down.what) == ("lon1", "fire", "down, was up (by monitor)")
    assert [(event.node, event.what) for event in place.events("ramp")] == [
        ("lon1", "gets its clients back over 60 s")
    ]
    assert [event.what for event in place.events("shed")] == ["sheds 0.05, was 0 (by monitor)"]


def test_writers_of_states_come_go_and_come_back(place: Place) -> None:
    place.publish()
    leaving = place.feed({"lon1": {"state": "up"}})
    place.feed({"lon1": {"state": "up"}}, "other")
    place.feed({"lon1": {"state": "up"}})
    leaving.resign("was stopped")
    place.feed({"lon1": {"state": "up"}})
    feed.forget(place.store, "other")
    assert [(event.subject, event.what) for event in place.events("prober")] == [
        ("monitor", "came"), ("other", "came"), ("monitor", "was stopped"), ("monitor", "came"),
        ("other", "forgotten by an operator"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "spoil",
    [
        ("ACL", "SETUSER", "default", "-xadd"),
        ("SET", "{geosteer}:journal", "a text"),
        ("XADD", "{geosteer}:journal", "18446744073709551615-18446744073709551615", "a", "b"),
    ],
    ids=["not permitted", "wrong type", "no later id"],
)
def test_an_event_that_cannot_be_written_stops_no_change(
    spoil: tuple[str, ...], tmp_path: Path, own_redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    place = Place(tmp_path, own_redis, "geosteer")
    place.publish()
    own_redis.client().execute_command(*spoil)
    caplog.clear()
    override(place.store, ["lon1"], Wish(state="down", seconds=0.01))
    place.feed({"lon2": {"state": "down"}, "ams1": {"state": "up"}})
    override(place.store, ["lon1"], Wish(state="auto"))
    if spoil[0] != "ACL":  # which refuses the history, too
        place.publish(weight=50)
        rollback(place.store)
        assert place.store.hash(place.store.keys.current)["generation"] == "3"
    assert place.store.hash(place.store.keys.override) == {}
    assert place.store.hash(place.store.keys.node("lon2"))["state"] == "down"
    written = [record.message for record in caplog.records if "the journal is not written" in record.message]
    assert written
    assert len(set(written)) == len(written)


def test_a_history_that_may_not_be_written_still_refuses_a_publish(
    tmp_path: Path, own_redis: RedisServer
) -> None:
    """The history is part of a generation; only the journal stands aside."""
    place = Place(tmp_path, own_redis, "geosteer")
    place.publish()
    own_redis.client().execute_command("ACL", "SETUSER", "default", "-xadd")
    with pytest.raises(Exception, match="ACL"):
        place.publish(weight=50)
    assert place.store.hash(place.store.keys.current)["generation"] == "1"


def test_it_is_bounded_by_length_and_by_age(tmp_path: Path, redis_server: RedisServer, prefix: str) -> None:
    config = make_config(tmp_path, redis_server.url, prefix, geo=[write_csv(tmp_path / "geo.csv")])
    store = connect(config.redis, journal_length=1000)
    for number in range(25):
        writing.note(store, [Note(kind="prober", what=f"{number} {nth}") for nth in range(100)])
    assert 1000 <= len(list(read(store))) <= 1100
    newest = list(read_back(store))
    assert newest == list(reversed(list(read(store))))
    assert newest[0].what == "24 99"
    time.sleep(0.05)
    writing.note(store, [Note(kind="prober", what="last")])
    writing.trim(store, 0.03)
    kept = list(read(store))
    assert len(kept) < 120  # whole nodes of the stream are cut, of 100 entries
    assert kept[-1].what == "last"
    assert first(store) == kept[0]


def test_events_are_followed(place: Place) -> None:
    place.publish()
    (known,) = place.events()
    said: list[Event] = []

    def meanwhile(_seconds: float) -> None:
        place.publish(weight=len(said) + 1)

    for event in follow(place.store, known.id, meanwhile):
        said.append(event)
        if len(said) == 2:
            break
    assert [event.after for event in said] == ["2", "3"]


def test_what_a_stranger_wrote_is_read_without_trust(place: Place) -> None:
    key = place.store.keys.journal
    with place.server.client() as client:
        client.xadd(key, {b"\xff": b"\xfe", "kind": b"\x1b[31mx", "at": "2026-13-01T00:00:00Z"})
        client.xadd(key, {"kind": "state", "subject": "n" * 40_000, "before": "[" * 30_000, "after": "[1]"})
    strange, large = place.events()
    assert strange.kind == "\x1b[31mx"
    assert abs(strange.time - place.store.now()) < 60
    assert large.subject == ""
    assert node_fields(large.before) == node_fields(large.after) == {}
    json.dumps([strange.to_json(), large.to_json()])


def test_all_fields_stand_in_one_order_and_every_kind_is_explained() -> None:
    words = Note(kind="publish").fields(0.0, "who", "by")
    assert tuple(words[::2]) == FIELDS
    event = decode("5000-1", dict(zip(words[::2], words[1::2], strict=True)))
    assert (event.id, event.time, event.kind) == ("5000-1", 5.0, "publish")
    # Behind an id of a clock that was an hour ahead, only `at` tells the time.
    assert decode("3600000-7", {"at": "1970-01-01T00:00:05.250Z"}).time == 5.25
    assert set(KINDS) >= {
        "publish",
        "rollback",
        "refused",
        "failed",
        "override",
        "expired",
        "state",
        "prober",
    }


def test_a_post_of_many_states_is_one_transaction_with_its_events(place: Place) -> None:
    place.publish()
    with place.server.client() as client, client.monitor() as monitor:
        place.feed({name: {"state": "up"} for name in ("lon1", "lon2", "ams1")})
        place.store.call("ECHO", "done")
        words: list[str] = []
        while not words or words[-1] != "ECHO":
            words.append(str(monitor.next_command()["command"]).split(" ")[0].upper())
    transactions = [part.split(" EXEC")[0] for part in " ".join(words).split("MULTI ")[1:]]
    assert [part.count("XADD") for part in transactions if "HSET" in part and "XADD" in part] == [3 + 1]
    assert len(place.events("state")) == 3

"""Verdicts, states and beats in a real Redis: what is written, when, and what happens when several write at once."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import pytest

from geosteer.errors import StoreError
from geosteer.timestamps import format_time, parse_time
from geosteer_loader.config.redis import RedisSettings
from geosteer_loader.health.heartbeat import read as read_beat
from geosteer_loader.health.last_seen import LATE, alarms, last_checks
from geosteer_loader.health.verdicts import Verdict
from geosteer_loader.health.writer_report import Post
from geosteer_loader.store.store import connect
from support.health import Place, document, tcp, verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.servers import RedisServer

NODES = [f"n{number}" for number in range(1, 5)]


@pytest.fixture
def place(redis_server: RedisServer, prefix: str) -> Iterator[Place]:
    found = Place(redis_server, prefix)
    found.publish(document({name: [tcp(80, interval=10, timeout=2)] for name in NODES}))
    yield found
    found.close()


def test_a_verdict_becomes_a_state_with_a_beat(place: Place) -> None:
    place.say(place.exchange("lon"), n1="down", n2="up")
    assert place.node("n1")["state"] == "down"
    assert place.node("n1")["reason"] == "refused"
    assert place.node("n1")["before"] == "unknown"
    assert place.node("n2")["state"] == "up"
    assert place.node("n3") == {}
    count, time, period = place.client.hget(place.keys.beat, "lon").split()
    assert (count, period) == ("1", "10")
    assert abs(parse_time(time) - place.client.time()[0]) < 5
    assert json.loads(place.client.hget(place.keys.verdict("lon"), "n1"))["state"] == "down"


def test_a_verdict_key_expires_when_its_prober_is_gone_for_long(place: Place) -> None:
    place.say(place.exchange("lon"), n1="up")
    assert 86400 < place.client.ttl(place.keys.verdict("lon")) <= 2 * 86400


def test_two_of_three_probers_decide(place: Place) -> None:
    boards = [place.exchange(name) for name in ("lon", "ams", "nyc")]
    for exchange in boards:
        place.say(exchange, n1="up")
    place.say(boards[0], n1="down")
    assert place.state("n1") == "up"
    assert place.node("n1")["failing"] == "no"
    place.say(boards[1], n1="down")
    assert place.node("n1")["state"] == "down"
    assert place.node("n1")["before"] == "up"
    assert place.node("n1")["reason"] == "refused (2 of 3 probers)"
    place.say(boards[1], n1="up")
    assert place.node("n1")["before"] == "down"


def test_a_tie_keeps_the_state(place: Place) -> None:
    lon, ams = place.exchange("lon"), place.exchange("ams")
    place.say(lon, n1="down")
    place.say(ams, n1="up")
    assert place.state("n1") == "down"
    place.say(lon, n1="up")
    assert place.state("n1") == "up"
    place.say(lon, n1="down")
    assert place.state("n1") == "up"


@pytest.mark.parametrize(("rule", "state"), [("any", "down"), ("all", "up"), ("majority", "up")])
def test_other_rules_may_be_chosen(place: Place, rule: str, state: str) -> None:
    boards = [place.exchange(name, rule=rule) for name in ("lon", "ams", "nyc")]
    for exchange in boards:
        place.say(exchange, n1="up")
    place.say(boards[0], n1="down")
    assert place.state("n1") == state


def test_a_prober_that_fell_silent_no_longer_counts(place: Place) -> None:
    lon, ams, nyc = (place.exchange(name) for name in ("lon", "ams", "nyc"))
    for exchange in (ams, nyc):
        place.say(exchange, n1="up")
        place.say(exchange, n1="up", age=100)
    place.say(lon, n1="down")
    assert place.state("n1") == "down"


def test_what_nobody_looks_at_stays_as_it_is_until_it_is_forgotten(place: Place) -> None:
    lon, ams = place.exchange("lon"), place.exchange("ams")
    place.say(lon, n1="down")
    place.say(lon, age=3500, n1="down", n2="up")
    place.say(ams, n2="up")
    assert place.state("n1") == "down"
    place.say(lon, age=3601, n1="down")
    place.say(ams, n2="up")
    assert place.node("n1")["state"] == "unknown"
    assert place.node("n1")["before"] == "down"
    place.say(lon, n1="up")
    assert place.node("n1")["before"] == "unknown"


def test_after_everything_was_lost_no_state_says_that_it_was_down(place: Place) -> None:
    lon = place.exchange("lon")
    place.say(lon, n1="up", n2="down")
    place.say(lon, n1="down", n2="down")
    place.say(lon, n1="up", n2="down")
    assert place.node("n1")["before"] == "down"
    place.client.delete(
        place.keys.node("n1"), place.keys.node("n2"), place.keys.verdict("lon"), place.keys.beat
    )
    place.say(lon, n1="up", n2="down")
    assert place.node("n1")["before"] == "unknown"
    assert place.node("n2") | {"since": ""} == {
        "state": "down",
        "since": "",
        "reason": "refused",
        "failing": "no",
        "before": "unknown",
    }


def test_a_quiet_round_pushes_nothing_but_the_beat(place: Place) -> None:
    lon, ams = place.exchange("lon"), place.exchange("ams")
    states: dict[str, Any] = dict.fromkeys(NODES, "up")
    place.say(lon, **states)
    place.say(ams, **states)
    listener = place.server.client(single_connection_client=True)
    pushed: list[str] = []
    listener.connection._parser.set_invalidation_push_handler(
        lambda push: pushed.extend(key.decode() for key in push[1] or ["all"])
    )
    prefixes = (place.keys.current, place.keys.nodes, place.keys.beat, place.keys.override)
    listener.execute_command(
        "CLIENT", "TRACKING", "ON", "BCAST", *(word for prefix in prefixes for word in ("PREFIX", prefix))
    )
    for _ in range(3):
        place.say(lon, **states)
        place.say(ams, **states)
    listener.ping()
    assert pushed
    assert set(pushed) == {place.keys.beat}
    place.say(lon, **{**states, "n1": "down"})
    place.say(ams, **{**states, "n1": "down"})
    listener.ping()
    assert pushed.count(place.keys.node("n1")) == 1
    listener.close()


def test_only_the_nodes_named_are_written_between_rounds(place: Place) -> None:
    lon = place.exchange("lon")
    place.say(lon, n1="up", n2="up")
    before = place.client.hget(place.keys.verdict("lon"), "n2")
    verdicts = {"n1": verdict(lon, "down"), "n2": verdict(lon, "up")}
    lon.post(place.watched, Post(verdicts=verdicts, write={"n1"}))
    assert place.client.hget(place.keys.verdict("lon"), "n2") == before
    assert place.client.hget(place.keys.beat, "lon").startswith("1 ")
    assert place.state("n1") == "down"


def test_between_rounds_only_the_nodes_in_question_are_read(place: Place) -> None:
    class Counting:
        """A store that notes what is read of nodes."""

        def __init__(self, store: Any) -> None:
            self._store, self.read = store, [""]

        def __getattr__(self, name: str) -> Any:
            return getattr(self._store, name)

        def pipe(self, commands: Any, *, tolerant: bool = False) -> Any:
            self.read = [command[1] for command in commands if len(command) > 1 and ":node:" in command[1]]
            return self._store.pipe(commands, tolerant=tolerant)

    exchange, other = place.exchange("lon"), place.exchange("ams")
    place.say(exchange, n1="up", n2="up", n3="up", n4="up")
    exchange._store = counting = Counting(exchange._store)  # type: ignore[assignment]
    seen = {name: verdict(exchange, "up") for name in NODES}
    exchange.post(place.watched, Post(verdicts=seen, write={"n2"}))
    assert counting.read == [place.keys.node("n2")]
    # What others say, and what they have written meanwhile, is met all the same.
    place.say(other, n3="down")
    exchange.post(place.watched, Post(verdicts=seen, write=()))
    exchange.post(place.watched, Post(verdicts={**seen, "n3": verdict(exchange, "down")}, write={"n3"}))
    assert place.node("n3")["state"] == "down"
    place.client.delete(place.keys.node("n1"))
    exchange.post(place.watched, Post(verdicts=seen, write=(), period=10.0))
    assert len(counting.read) == len(place.watched.nodes)
    assert place.state("n1") == "up"


def test_what_an_emptied_redis_has_lost_is_said_again_in_the_next_round(place: Place) -> None:
    exchange = place.exchange("lon")
    place.say(exchange, n1="up", n2="up")
    place.client.delete(place.keys.verdict("lon"), place.keys.node("n1"))
    seen = {name: verdict(exchange, "up") for name in ("n1", "n2")}
    exchange.post(place.watched, Post(verdicts=seen, write={"n2"}, period=10.0))
    assert set(place.client.hkeys(place.keys.verdict("lon"))) == {"n1", "n2"}
    assert place.state("n1") == "up"


def test_verdicts_that_were_withdrawn_freeze_the_states(place: Place) -> None:
    lon = place.exchange("lon")
    place.say(lon, n1="up")
    now = lon.time()
    gone = Verdict(state="down", since=now, checked=now, expires=now)
    lon.post(place.watched, Post(verdicts={"n1": gone}, counted={"n1": verdict(lon, "up")}))
    assert place.state("n1") == "up"
    place.say(place.exchange("ams"), n2="up")
    assert place.state("n1") == "up"


def test_several_that_post_at_once_all_get_through_and_agree(place: Place) -> None:
    names = [f"p{number}" for number in range(6)]
    boards = {name: place.exchange(name) for name in names}
    for exchange in boards.values():
        states: dict[str, Any] = dict.fromkeys(NODES, "up")
        place.say(exchange, **states)
    errors: list[Exception] = []

    def work(name: str) -> None:
        try:
            for turn in range(10):
                place.say(boards[name], n1="down" if turn % 2 or turn == 9 else "up")
        except StoreError as exc:
            errors.append(exc)

    threads = [threading.Thread(target=work, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert {text.split()[0] for text in place.client.hvals(place.keys.beat)} == {"11"}
    assert place.state("n1") == "down"


def test_beats_go_on_counting_and_carry_the_primarys_time(place: Place) -> None:
    place.say(place.exchange("lon"), n1="up")
    place.say(place.exchange("lon"), n1="up", period=60)
    beat = read_beat(place.client.hget(place.keys.beat, "lon"))
    seconds, micro = place.client.time()
    assert (beat.number, beat.period) == (2, 60)
    assert abs(beat.time - (seconds + micro / 1e6)) < 2


def test_a_second_prober_of_the_same_name_is_noticed(place: Place) -> None:
    one, two = place.exchange("lon"), place.exchange("lon")
    assert place.say(one, n1="up").trouble == []
    assert place.say(one, n1="up").trouble == []
    place.say(two, n1="up")
    (line,) = place.say(one, n1="up").trouble
    assert "another prober is called lon too" in line


def test_whoever_leaves_takes_its_promise_back_only_if_others_keep_it(place: Place) -> None:
    lon, ams = place.exchange("lon"), place.exchange("ams")
    place.say(lon, n1="up")
    lon.resign()
    assert place.client.hkeys(place.keys.beat) == ["lon"]
    place.say(ams, n1="up")
    lon.resign()
    assert place.client.hkeys(place.keys.beat) == ["ams"]


def test_nodes_that_left_the_configuration_are_removed_after_a_day(place: Place) -> None:
    lon = place.exchange("lon")
    place.say(lon, n1="up", n4="up")
    place.publish(document({name: [tcp(80)] for name in NODES[:3]}))
    place.say(lon, n1="up")
    assert place.node("n4")
    stale = verdict(lon, "up", age=86500)
    place.client.hset(place.keys.verdict("lon"), "n4", stale.encode())
    place.say(lon, n1="up")
    assert place.node("n4") == {}
    assert place.client.hkeys(place.keys.verdict("lon")) == ["n1"]


def test_writers_that_are_silent_for_a_day_are_removed(place: Place) -> None:
    lon = place.exchange("lon")
    place.say(place.exchange("old"), n1="up")
    place.say(lon, n1="up")
    ago = format_time(lon.time() - 86500)
    place.client.hset(place.keys.beat, "old", f"7 {ago} 10")
    place.say(lon, n1="up")
    assert place.client.hkeys(place.keys.beat) == ["lon"]
    assert not place.client.exists(place.keys.verdict("old"))


def test_text_that_is_no_verdict_counts_as_absent(place: Place) -> None:
    place.say(place.exchange("ams"), n1="up", n2="up")
    place.client.hset(place.keys.verdict("ams"), mapping={"n1": "nonsense", "n2": '{"state": 1}', "x": "[]"})
    place.say(place.exchange("lon"), n1="down")
    assert place.state("n1") == "down"


def test_without_anything_published_it_says_so(redis_server: RedisServer, prefix: str) -> None:
    with pytest.raises(StoreError, match="nothing is published"):
        Place(redis_server, prefix).exchange().refresh()


def test_it_can_be_told_how_long_nobody_has_looked_at_a_node(place: Place) -> None:
    lon, ams = place.exchange("lon"), place.exchange("ams")
    place.say(lon, age=420, n1="down", n2="down")
    place.say(ams, n2="down")
    with connect(RedisSettings(url=place.server.url, prefix=place.prefix)) as store:
        found = last_checks(store, store.now())
    assert {name: look.fresh for name, look in found.items()} == {"n1": False, "n2": True}
    assert 420 <= found["n1"].age < 425
    assert found["n2"].age < 5
    frozen = "not checked any more: n1; their states are frozen"
    assert alarms(found, ["n1", "n2", "n3"], LATE - 1) == [frozen]
    assert alarms(found, ["n1", "n2", "n3"], LATE + 1) == [
        frozen,
        "never checked: n3; is a prober running?",
    ]
    assert alarms(found, ["n2"], LATE + 1) == []

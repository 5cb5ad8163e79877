"""The past: what was in force at a time, told from history and journal, and what is said where they do not reach."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from geosteer.decision.node_state import NodeState
from geosteer.errors import ConfigError
from geosteer.timestamps import format_time_ms
from geosteer_loader.cli.main import main
from geosteer_loader.health import feed
from geosteer_loader.health.exchange import Exchange
from geosteer_loader.health.overrides import Wish, override
from geosteer_loader.health.transitions import Rule
from geosteer_loader.publish.publish import publish
from geosteer_loader.query.past import OutOfReach, Timeline
from geosteer_loader.store.store import connect
from support.publishing import make_config, write_config, write_csv

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.servers import RedisServer

WWW = "www.cdn.example.net"


class Place:
    """A small configuration, changed step by step; the time after each step is kept."""

    def __init__(self, folder: Path, server: RedisServer, prefix: str) -> None:
        self.folder, self.url, self.prefix = folder, server.url, prefix
        self.client = server.client()
        self.options: dict[str, Any] = {"geo": [write_csv(folder / "geo.csv")], "keep": 8}
        self.store = connect(make_config(folder, self.url, prefix, **self.options).redis)

    def publish(self, **options: Any) -> float:
        self.options |= options
        publish(make_config(self.folder, self.url, self.prefix, **self.options), self.store)
        return self.tick()

    def feed(self, **states: Any) -> float:
        nodes = {
            name: {"state": value} if isinstance(value, str) else value for name, value in states.items()
        }
        items = feed.parse(json.dumps({"nodes": nodes}), "feed")
        feed.publish(Exchange(self.store, "monitor", Rule()), items, 60)
        return self.tick()

    def say(self, state: str, node: str, **options: Any) -> float:
        override(self.store, [node], Wish(state=state, **options))
        return self.tick()

    def tick(self) -> float:
        """A moment between this step and the next, by the server's clock."""
        time.sleep(0.004)
        moment = self.store.now()
        time.sleep(0.004)
        return moment

    def explain(self, capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> Any:
        path = write_config(self.folder, self.url, self.prefix, **self.options)
        capsys.readouterr()
        assert main(["explain", WWW, "192.0.2.77", *words, "--json", "--config", str(path)]) == code
        out, err = capsys.readouterr()
        return json.loads(out) if not code else err


@pytest.fixture
def place(tmp_path: Path, redis_server: RedisServer, prefix: str) -> Iterator[Place]:
    made = Place(tmp_path, redis_server, prefix)
    with made.store:
        yield made


def test_every_step_is_told_as_it_was(place: Place) -> None:
    moments = [
        place.publish(),
        place.feed(lon1="up", lon2="up", ams1="up"),
        place.say("drain", "lon1", percent=20, why="kernel"),
        place.feed(lon2="down"),
        place.publish(weight=50),
        place.say("auto", "lon1"),
        place.feed(lon2="up", lon1={"load": 0.95}),
    ]
    timeline = Timeline(place.store)
    seen = [timeline.at(moment) for moment in moments]
    assert [past.entry.generation for past in seen] == [1, 1, 1, 1, 2, 2, 2]
    assert [past.document["nodes"]["ams1"]["weight"] for past in seen] == [100] * 4 + [50] * 3
    assert [past.states.get("lon2", NodeState()).state for past in seen] == [
        "unknown",
        "up",
        "up",
        "down",
        "down",
        "down",
        "up",
    ]
    assert [past.states.get("lon1", NodeState()).shed for past in seen] == [0.0] * 6 + [0.05]
    assert [sorted(past.overrides) for past in seen] == [[], [], ["lon1"], ["lon1"], ["lon1"], [], []]
    assert [past.context.now for past in seen] == moments
    assert all(past.doubts == [] for past in seen)
    assert seen[6].states["lon2"].came_back
    # A second after the last step nothing is near any more; right after it, all that is within a second.
    assert {event.kind for event in timeline.near(moments[-1])} >= {"state", "shed"}
    assert timeline.near(moments[-1] + 3) == []


def test_what_is_not_known_is_refused_with_the_time_from_which_it_is(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    early = place.tick()
    first = place.publish(keep=1, grace=0)
    place.publish(weight=50)
    timeline = Timeline(place.store)
    with pytest.raises(OutOfReach, match="the first generation that is kept is 2") as refusal:
        timeline.at(first)
    assert refusal.value.since == timeline.generations[0].written
    with pytest.raises(OutOfReach):
        timeline.at(early)
    with pytest.raises(ConfigError, match="future"):
        timeline.at(time.time() + 3600)
    complaint = place.explain(capsys, "--at", "2026-01-01 14:00", code=1)
    assert format_time_ms(timeline.generations[0].written) in complaint
    assert "generation 1 is not kept; there are: 2" in place.explain(capsys, "--generation", "1", code=1)
    place.client.delete(place.store.keys.journal)
    assert "the journal is empty" in place.explain(capsys, "--at", "now", code=1)
    place.say("down", "lon1")
    assert "; both tell from " in place.explain(capsys, "--at", "-1s", code=1)


def test_whoever_writes_past_the_journal_is_noticed(place: Place) -> None:
    place.publish()
    place.feed(lon1="up", lon2="up")
    known = place.say("drain", "lon1", percent=20)
    place.client.hset(place.store.keys.node("lon1"), "state", "down")
    place.client.hset(place.store.keys.override, "lon1", '{"state": "up"}')
    time.sleep(1.1)
    (state, said) = Timeline(place.store).at(known).doubts
    assert state.startswith("lon1: its state was written past the journal after ")
    assert said.startswith("lon1: its override was written past the journal after ")
    later = place.feed(lon1="up", lon2="up")
    (state, said) = Timeline(place.store).at(known).doubts
    assert state.startswith("lon1: its state was written past the journal between ")
    # From the next event on it is certain again.
    assert Timeline(place.store).at(later).doubts == [said]


def test_the_command_tells_the_past(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.publish(keep=8, grace=600)
    place.feed(lon1="up", lon2="up", ams1="up")
    before = place.tick()
    place.feed(lon1="down")
    told = place.explain(capsys, "--at", format_time_ms(before))
    assert told["nodes"] == ["lon1"]
    assert told["at"] == format_time_ms(before)
    assert any("state lon1 down, was up (by monitor)" in note for note in told["notes"])
    assert place.explain(capsys, "--at", "now")["nodes"] == ["lon2"]
    assert place.explain(capsys)["at"] is None
    # By the generation: as it was when that was published, before any state was known.
    assert place.explain(capsys, "--generation", "1")["candidates"][0]["state"] == "unknown"
    both = place.explain(capsys, "--generation", "1", "--at", "now")
    assert (both["generation"], both["nodes"]) == (1, ["lon2"])
    for words in (["--at", "yesterday"], ["--at", "now", "--plan"], ["--generation", "0"]):
        place.explain(capsys, *words, code=2)
    place.explain(capsys, "--at", "2999-01-01", code=2)


def test_an_event_of_the_future_does_not_draw_those_after_it_there(place: Place) -> None:
    """A stranger may write any time; the states that follow are found at their own all the same."""
    place.publish()
    place.feed(lon1="up", ams1="up")
    hostile = {"kind": "state", "subject": "ams1", "after": "{}", "before": "{}"}
    for at in ("2999-01-01T00:00:00.000Z", "9999-12-31T23:59:59.999Z"):
        place.client.xadd(place.store.keys.journal, {**hostile, "at": at})
    up = place.tick()
    down = place.feed(lon1={"state": "down", "reason": "refused"})
    again = place.feed(lon1="up")
    place.client.xadd(place.store.keys.journal, {**hostile, "at": "now"}, id="99999999999999-1")
    last = place.feed(lon1={"state": "down", "reason": "refused"})
    timeline = Timeline(place.store)
    states = [timeline.at(moment).states["lon1"].state for moment in (up, down, again, last)]
    assert states == ["up", "down", "up", "down"], "the last by its own time, behind an id of the future"
    assert all(event.time <= timeline.now + 5 for event in timeline.events)


def test_the_load_for_which_a_node_shed_is_told(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """Loads change no answer, what nodes shed for them does: so the journal has them where that changed."""
    place.publish()
    place.feed(lon1={"state": "up", "load": 0.5}, lon2="up", ams1="up")
    idle = place.tick()
    overloaded = place.feed(lon1={"load": 1.25})
    place.feed(lon1={"load": 1.3})  # before the first step has settled: nothing changes
    later = place.tick()
    shown = place.explain(capsys, "--at", format_time_ms(overloaded))
    (lon1,) = [each for each in shown["candidates"] if each["node"] == "lon1"]
    assert (lon1["shed"], lon1["load"]) == (0.15, None)
    (note,) = [line for line in shown["notes"] if line.startswith("lon1 sheds since ")]
    assert note.endswith(
        "sheds 0.15, was 0 (by monitor): load 1.25 of 1; its load is not kept for other times"
    )
    assert note in place.explain(capsys, "--at", format_time_ms(later))["notes"]
    assert not [
        line for line in place.explain(capsys, "--at", format_time_ms(idle))["notes"] if "its load" in line
    ]


def test_a_time_without_a_zone_is_local(
    place: Place, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    place.publish()
    monkeypatch.setenv("TZ", "Asia/Kathmandu")
    time.tzset()
    try:
        assert "2026-03-01T08:15:00.000Z" in place.explain(capsys, "--at", "2026-03-01 14:00", code=1)
        assert "2026-03-01T14:00:00.000Z" in place.explain(capsys, "--at", "2026-03-01T14:00Z", code=1)
        assert "2026-03-01T13:00:00.000Z" in place.explain(capsys, "--at", "2026-03-01 14:00+01:00", code=1)
    finally:
        monkeypatch.undo()
        time.tzset()

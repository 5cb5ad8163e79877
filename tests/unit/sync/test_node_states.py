"""What a worker remembers of the keys that change: states, overrides, beats and the writers' clock."""

from __future__ import annotations

import json

import pytest

from geosteer.sync.node_states import Mirror
from geosteer.timestamps import parse_time

NOON = parse_time("2026-02-01T12:00:00Z")


def beat(count: int, time: str = "2026-02-01T12:00:00Z", period: str = "5") -> str:
    return f"{count} {time} {period}"


def test_a_node_is_unknown_until_its_hash_was_read_and_known_after():
    mirror = Mirror()
    assert "lon1" not in mirror.states
    assert mirror.set_node("lon1", {"state": "down", "reason": "timed out"})
    assert (mirror.states["lon1"].state, mirror.states["lon1"].reason) == ("down", "timed out")
    assert mirror.fields == {"lon1": {"state": "down", "reason": "timed out"}}


def test_only_what_differs_counts_as_a_change():
    mirror = Mirror()
    assert not mirror.set_node("lon1", {})
    assert mirror.set_node("lon1", {"state": "up"})
    assert not mirror.set_node("lon1", {"state": "up"})
    assert mirror.set_node("lon1", {"state": "up", "failing": "yes"})
    assert mirror.set_node("lon1", {}), "the key was deleted"
    assert mirror.states["lon1"].state == "unknown"


def test_fields_are_kept_as_they_were_read_not_as_they_change_afterwards():
    mirror, fields = Mirror(), {"state": "up"}
    mirror.set_node("lon1", fields)
    fields["state"] = "down"
    assert mirror.set_node("lon1", fields)
    assert mirror.states["lon1"].state == "down"


def test_overrides_come_and_go_with_the_hash():
    mirror = Mirror()
    assert mirror.set_overrides({}) == (False, [])
    assert mirror.set_overrides({"lon1": '{"state":"down"}'}) == (True, [])
    assert mirror.states["lon1"].forced(NOON).state == "down"
    assert mirror.set_overrides({"lon1": '{"state":"down"}'}) == (False, [])
    assert mirror.set_overrides({"lon1": '{"state":"up"}', "ams1": '{"state":"drain","percent":5}'}) == (
        True,
        [],
    )
    assert mirror.states["lon1"].forced(NOON).state == "up"
    assert mirror.states["ams1"].forced(NOON).percent == 5
    assert mirror.set_overrides({}) == (True, [])
    assert mirror.states["lon1"].forced(NOON) is None
    assert mirror.states["ams1"].forced(NOON) is None


@pytest.mark.parametrize(
    "text", ["", "down", "{}", '{"state":["down"]}', '{"state":"drain","percent":1e999}', "[" * 9999]
)
def test_an_override_that_cannot_be_read_is_named_and_counts_as_absent(text: str):
    mirror = Mirror()
    mirror.set_overrides({"lon1": '{"state":"down"}', "ams1": '{"state":"down"}'})
    assert mirror.set_overrides({"lon1": text, "ams1": '{"state":"down"}'}) == (True, ["lon1"])
    assert mirror.states["lon1"].override is None
    assert mirror.states["ams1"].override is not None


def test_an_override_does_not_depend_on_the_order_in_which_hashes_are_read():
    first, second = Mirror(), Mirror()
    first.set_node("lon1", {"state": "up"})
    for mirror in (first, second):
        mirror.set_overrides({"lon1": json.dumps({"state": "drain", "percent": 50})})
    second.set_node("lon1", {"state": "up"})
    assert first.states["lon1"].share(NOON, 0) == second.states["lon1"].share(NOON, 0) == 0.5


def test_the_time_is_the_workers_own_until_a_beat_arrives_and_the_writers_from_then_on():
    mirror = Mirror()
    assert mirror.time(100.0, 55.0) == 55.0
    mirror.set_beats({"probe@a": beat(1)}, 100.0, pushed=True)
    assert mirror.time(100.0, 55.0) == NOON
    assert mirror.time(107.5, 9e9) == NOON + 7.5


def test_a_beat_that_stood_there_at_the_start_is_no_clock_since_it_may_be_of_any_age():
    mirror = Mirror()
    mirror.set_beats({"probe@a": beat(1)}, 100.0, pushed=False)
    assert mirror.time(100.0, 55.0) == 55.0
    mirror.set_beats({"probe@a": beat(1)}, 101.0, pushed=True)
    assert mirror.time(101.0, 56.0) == 56.0, "pushed for another writer's sake: this one has not moved"
    mirror.set_beats({"probe@a": beat(2, "2026-02-01T12:00:05Z")}, 105.0, pushed=True)
    assert mirror.time(105.0, 60.0) == NOON + 5


def test_the_servers_time_counts_until_a_beat_is_pushed_and_is_no_earlier_than_a_beat():
    mirror = Mirror()
    mirror.set_clock(NOON + 20, 100.0)
    assert mirror.time(101.0, 55.0) == NOON + 21
    mirror.set_beats({"probe@a": beat(1, "2026-02-01T12:10:00Z")}, 102.0, pushed=False)
    mirror.set_clock(NOON + 20, 102.0)
    assert mirror.time(103.0, 55.0) == NOON + 601, "a replica's clock is late"
    mirror.set_beats({"probe@a": beat(2, "2026-02-01T12:10:01Z")}, 104.0, pushed=True)
    mirror.set_clock(NOON + 9999, 104.0)
    assert mirror.time(104.0, 55.0) == NOON + 601


def test_states_are_frozen_when_every_writer_has_missed_three_of_its_periods():
    mirror = Mirror()
    mirror.set_beats({"probe@a": beat(1), "probe@b": beat(1, period="20")}, 100.0, pushed=True)
    assert mirror.frozen_at() == 160.0
    assert mirror.frozen(115.1) == [], "the other one goes on"
    assert mirror.frozen(160.0) == []
    assert sorted(mirror.frozen(160.1)) == ["probe@a", "probe@b"]
    mirror.set_beats({"probe@a": beat(2), "probe@b": beat(1, period="20")}, 170.0, pushed=True)
    assert mirror.frozen(171.0) == []
    assert mirror.frozen_at() == 185.0


def test_reading_the_same_beat_again_is_no_sign_of_life():
    mirror = Mirror()
    mirror.set_beats({"probe@a": beat(1)}, 100.0, pushed=False)
    mirror.set_beats({"probe@a": beat(1)}, 114.0, pushed=True)
    assert mirror.frozen(115.1) == ["probe@a"]


def test_nobody_who_promised_nothing_can_fall_silent():
    mirror = Mirror()
    assert mirror.frozen(1e9) == []
    assert mirror.frozen_at() is None
    mirror.set_beats({"once@a": beat(1, period="0")}, 100.0, pushed=True)
    assert mirror.frozen(1e9) == []
    assert mirror.frozen_at() is None


def test_a_writer_that_took_its_beat_away_has_promised_nothing_any_more():
    mirror = Mirror()
    mirror.set_beats({"probe@a": beat(1)}, 100.0, pushed=True)
    mirror.set_beats({}, 105.0, pushed=True)
    assert mirror.frozen(1e9) == []
    assert mirror.time(110.0, 0.0) == NOON + 10, "what time it is was learnt all the same"


@pytest.mark.parametrize(
    "text",
    [
        "", "1", "1 now 5", "1 2026-02-01T12:00:00Z", "1 2026-02-01T12:00:00Z soon", "1 2026-02-01T12:00:00Z nan",
        "1 2026-02-01T12:00:00Z inf", "1 2026-02-01T12:00:infZ 5",
    ],
)  # fmt: skip
def test_a_beat_that_cannot_be_read_is_as_none(text: str):
    mirror = Mirror()
    mirror.set_beats({"probe@a": text, "probe@b": beat(1)}, 100.0, pushed=True)
    assert mirror.frozen(1e9) == ["probe@b"]
    assert mirror.frozen_at() == 115.0


def test_nodes_that_are_no_longer_configured_are_forgotten_but_not_what_an_operator_said_of_them():
    mirror = Mirror()
    mirror.set_node("lon1", {"state": "down"})
    mirror.set_node("ams1", {"state": "down"})
    mirror.set_overrides({"lon1": '{"state":"down"}'})
    mirror.forget_others({"ams1": None})
    assert list(mirror.fields) == ["ams1"]
    assert mirror.states["ams1"].state == "down"
    assert mirror.states["lon1"].state == "unknown"
    assert mirror.states["lon1"].forced(NOON).state == "down"
    assert mirror.set_node("lon1", {"state": "down"}), "one that comes back is read again"


@pytest.mark.parametrize("time", ["2126-02-01T12:00:00Z", "1971-01-01T00:00:00Z"])
def test_a_beat_far_off_the_servers_time_is_a_sign_of_life_but_no_clock(time: str):
    mirror = Mirror()
    mirror.set_beats({"probe@a": beat(1, time)}, 100.0, pushed=False)
    mirror.set_clock(NOON, 100.0)
    assert mirror.time(100.0, 0.0) == NOON
    assert mirror.set_beats({"probe@a": beat(2, time)}, 102.0, pushed=True) == ["probe@a"]
    assert mirror.time(102.0, 0.0) == NOON + 2
    assert not mirror.frozen(103.0)
    assert mirror.set_beats({"probe@a": beat(3)}, 104.0, pushed=True) == []
    assert mirror.time(104.0, 0.0) == NOON


def test_what_is_longer_than_anything_that_is_written_counts_as_absent():
    mirror = Mirror()
    mirror.set_node("lon1", {"state": "down", "reason": "x" * 10_000, "y" * 10_000: ""})
    assert mirror.fields["lon1"] == {"state": "down"}
    assert mirror.set_overrides({"lon1": '{"state":"up","why":"' + "x" * 10_000 + '"}'}) == (True, ["lon1"])
    assert mirror.states["lon1"].override is None


@pytest.mark.parametrize("time", ["2126-02-01T12:00:00Z", "1971-01-01T00:00:00Z"])
def test_where_the_server_may_not_be_asked_a_beat_far_off_this_machines_clock_is_no_clock(time: str):
    mirror = Mirror(lambda: NOON + 30)
    assert mirror.set_beats({"probe@a": beat(1, time)}, 100.0, pushed=True) == ["probe@a"]
    assert mirror.time(100.0, 55.0) == 55.0
    assert mirror.frozen(101.0) == []
    assert mirror.frozen(116.0) == ["probe@a"], "a sign of life all the same"
    assert mirror.set_beats({"probe@a": beat(2)}, 104.0, pushed=True) == []
    assert mirror.time(104.0, 55.0) == NOON


def test_a_second_writer_is_as_good_a_witness_as_a_clock_here():
    mirror = Mirror(lambda: NOON - 9e6)
    beats = {"probe@a": beat(1), "probe@b": beat(1, "2026-02-01T12:00:03Z")}
    assert mirror.set_beats(beats, 100.0, pushed=False) == []
    assert mirror.set_beats({**beats, "probe@a": beat(2, "2026-02-01T12:00:05Z")}, 105.0, pushed=True) == []
    assert mirror.time(105.0, 0.0) == NOON + 5


def test_a_clock_here_that_was_never_set_is_no_witness():
    mirror = Mirror(lambda: 4711.0)
    assert mirror.set_beats({"probe@a": beat(1)}, 100.0, pushed=True) == []
    assert mirror.time(100.0, 4711.0) == NOON


def test_a_beat_read_before_the_server_told_the_time_is_named_as_soon_as_it_has():
    mirror = Mirror(lambda: NOON)
    beats = {"probe@a": beat(1, "2126-02-01T12:00:00Z"), "probe@b": beat(1, "2020-02-01T12:00:00Z")}
    assert mirror.set_beats(beats, 100.0, pushed=False) == []
    mirror.set_clock(NOON, 100.1)
    assert mirror.ahead(100.1) == ["probe@a"], "an old one is an old one"


def test_no_beat_promises_for_longer_than_a_day():
    mirror = Mirror()
    mirror.set_beats({"probe@a": beat(1, period="1e8")}, 100.0, pushed=True)
    assert mirror.frozen_at() == 100.0 + 3 * 86400

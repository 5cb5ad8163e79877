"""What is written of nodes: only changes, with the state before; and who is held back when many fall at once."""

from __future__ import annotations

from typing import Any

import pytest

from geosteer.timestamps import format_time
from geosteer_loader.health import load_shedding
from geosteer_loader.health.mass_failure import NodeFailure, doubtful, hold
from geosteer_loader.health.transitions import Judgement, Rule, judge
from geosteer_loader.health.verdicts import Verdict
from geosteer_loader.health.watchlist import MapWeights, read

NOW = 100_000.0
CHECK = {"type": "tcp", "port": 80, "interval": 10, "timeout": 2, "profile": {"up": 3, "ok": 3, "down": 2}}


def document(count: int = 4, **settings: Any) -> dict[str, Any]:
    names = [f"n{number}" for number in range(1, count + 1)]
    return {
        "format": 1,
        "nodes": {name: {"a": ["192.0.2.1"], "weight": 100, "checks": [CHECK]} for name in names},
        "maps": {"default": {"default": dict.fromkeys(names, 100), **settings}},
        "services": {},
    }


def verdict(state: str, since: float = NOW - 1, **more: Any) -> Verdict:
    return Verdict(state=state, since=since, checked=NOW, expires=NOW + 32, **more)


def run(
    verdicts: dict[str, Verdict], states: dict[str, dict[str, str]] | None = None, text: dict[str, Any] | None = None
) -> Judgement:  # fmt: skip
    return judge(read(text or document()), {"p": verdicts}, states or {}, Rule(), NOW)


UP = {"state": "up", "since": "1970-01-01T00:00:00Z", "reason": "", "failing": "no", "before": "unknown"}
DOWN = {**UP, "state": "down", "reason": "refused"}


def test_the_first_state_is_as_old_as_the_verdict_and_never_says_that_it_was_down() -> None:
    assert run({"n1": verdict("up", NOW - 500)}).changes["n1"] == {
        "state": "up", "since": format_time(NOW - 500), "reason": "", "failing": "no", "before": "unknown",
    }  # fmt: skip


def test_a_change_says_what_was_before_and_is_of_now() -> None:
    found = run({"n1": verdict("down", reason="refused")}, {"n1": UP})
    assert found.changes == {
        "n1": {
            "state": "down",
            "since": format_time(NOW),
            "reason": "refused",
            "failing": "no",
            "before": "up",
        }
    }
    found = run({"n1": verdict("up")}, {"n1": DOWN})
    assert found.changes["n1"]["before"] == "down"


def test_what_stands_there_already_is_not_written_again() -> None:
    assert (
        run(
            {"n1": verdict("up"), "n2": verdict("down", reason="now another")}, {"n1": UP, "n2": DOWN}
        ).changes
        == {}
    )


def test_failures_are_announced_before_the_node_is_down_and_their_end_too() -> None:
    found = run({"n1": verdict("up", failing=True, reason="refused")}, {"n1": UP})
    assert found.changes == {"n1": {"failing": "yes", "reason": "refused"}}
    found = run({"n1": verdict("up")}, {"n1": {**UP, "failing": "yes", "reason": "refused"}})
    assert found.changes == {"n1": {"failing": "no", "reason": ""}}


def test_a_forgotten_node_becomes_unknown_and_comes_back_without_a_ramp() -> None:
    old = Verdict(state="down", checked=NOW - 3601, expires=NOW - 3500)
    changed = run({"n1": old}, {"n1": DOWN}).changes["n1"]
    assert (changed["state"], changed["before"]) == ("unknown", "down")
    changed = run({"n1": verdict("up")}, {"n1": {**DOWN, **changed}}).changes["n1"]
    assert (changed["state"], changed["before"]) == ("up", "unknown")


def test_a_prober_that_fell_silent_changes_nothing_before_that() -> None:
    old = Verdict(state="down", checked=NOW - 3500, expires=NOW - 3400)
    assert run({"n1": old}, {"n1": DOWN}).changes == {}


def test_nodes_that_are_not_configured_are_left_alone() -> None:
    assert run({"other": verdict("down")}).changes == {}


# ---- many at once


def fall(*names: str, since: float = NOW - 1) -> dict[str, Verdict]:
    return {name: verdict("down", since, reason="refused") for name in names}


ALL_UP = {f"n{number}": UP for number in range(1, 5)}


def test_half_of_a_map_may_go_down_at_once() -> None:
    found = run(fall("n1", "n2"), ALL_UP)
    assert set(found.changes) == {"n1", "n2"}
    assert not found.held


def test_more_than_half_is_kept_for_one_round_and_announced() -> None:
    found = run(fall("n1", "n2", "n3"), ALL_UP)
    assert found.changes == {name: {"failing": "yes", "reason": "refused"} for name in ("n1", "n2", "n3")}
    assert found.held == [
        "map default: 75% of its weight would be down at once, more than max_down 50%: kept for one more round: n1, n2, n3"
    ]
    assert found.again == pytest.approx(NOW - 1 + 10)


def test_after_one_more_round_they_are_down() -> None:
    found = run(fall("n1", "n2", "n3", since=NOW - 10), ALL_UP)
    assert {name: fields["state"] for name, fields in found.changes.items()} == dict.fromkeys(
        ("n1", "n2", "n3"), "down"
    )


def test_those_that_went_down_a_moment_ago_count_too() -> None:
    states = {
        **ALL_UP,
        "n1": {**DOWN, "since": format_time(NOW - 5)},
        "n2": {**DOWN, "since": format_time(NOW - 5)},
    }
    found = run(fall("n1", "n2", "n3"), states)
    assert found.changes == {"n3": {"failing": "yes", "reason": "refused"}}


def test_those_that_are_down_for_longer_do_not() -> None:
    states = {**ALL_UP, "n1": DOWN, "n2": DOWN}
    assert run(fall("n1", "n2", "n3"), states).changes["n3"]["state"] == "down"


def test_those_that_fail_and_may_soon_go_down_count_too() -> None:
    failing = {name: verdict("up", failing=True, reason="refused") for name in ("n2", "n3")}
    found = run(fall("n1") | failing, ALL_UP)
    assert found.changes == {name: {"failing": "yes", "reason": "refused"} for name in ("n1", "n2", "n3")}
    assert found.held[0].endswith("kept for one more round: n1")


def test_a_first_state_is_not_kept_back_but_counts_for_those_that_were_up() -> None:
    found = run(fall("n1", "n2", "n3"))
    assert [fields["state"] for fields in found.changes.values()] == ["down"] * 3
    assert not found.held
    found = run(fall("n1", "n2", "n3"), {"n3": UP})
    assert {name: fields.get("state") for name, fields in found.changes.items()} == {
        "n1": "down",
        "n2": "down",
        "n3": None,
    }


def test_a_map_that_allows_everything_holds_nothing() -> None:
    assert len(run(fall("n1", "n2", "n3", "n4"), ALL_UP, document(max_down=1)).changes) == 4


WEIGHTS = MapWeights(name="m", max_down=0.5, weights={"big": 300, "a": 100, "b": 100})
OTHER = MapWeights(name="other", max_down=0.1, weights={"a": 10, "z": 10})


@pytest.mark.parametrize(
    ("falls", "held"),
    [
        ({"a": 0, "b": 0}, set()),
        ({"big": 0}, {"big"}),
        ({"big": 0, "a": 0}, {"big", "a"}),
        ({"big": 0, "a": 11}, {"big"}),
        ({"x": 0}, set()),
    ],
    ids=["light ones", "a heavy one", "both", "one of them was kept long enough", "in no map"],
)
def test_weights_count_not_nodes(falls: dict[str, float], held: set[str]) -> None:
    ages = {name: NodeFailure(NOW - age, 10, done=False) for name, age in falls.items()}
    assert set(hold([WEIGHTS], ages, NOW)[0]) == held


def test_one_map_that_loses_too_much_is_enough_to_keep_a_node() -> None:
    assert set(hold([WEIGHTS, OTHER], {"a": NodeFailure(NOW, 10, done=False)}, NOW)[0]) == {"a"}


@pytest.mark.parametrize(
    ("turned", "good", "doubt"),
    [(4, 0, False), (5, 0, True), (4, 1, False), (5, 1, True), (8, 2, False), (9, 1, True), (0, 500, False), (400, 100, False),
     (401, 99, True)],
)  # fmt: skip
def test_a_prober_doubts_itself_when_more_than_four_fifths_of_five_or_more_turn_bad(
    turned: int, good: int, doubt: bool
) -> None:
    assert doubtful(turned, good) is doubt


def test_the_highest_weight_of_a_node_in_a_map_counts_times_its_own() -> None:
    text = document(3)
    text["nodes"]["n1"]["weight"] = 50
    text["nodes"]["n3"]["weight"] = 0
    text["maps"]["default"]["countries"] = {"GB": {"n1": 400}}
    (one,) = read(text).maps
    assert one.weights == {"n1": 200, "n2": 100}


# ---- shedding


@pytest.mark.parametrize(
    ("before", "load", "after"),
    [
        (0.0, 0.5, 0.0), (0.0, 0.9, 0.0), (0.0, 0.91, 0.05), (0.0, 1.0, 0.05), (0.0, 1.01, 0.15), (0.5, 0.85, 0.5),
        (0.5, 0.8, 0.5), (0.5, 0.79, 0.45), (0.03, 0.1, 0.0), (0.95, 5.0, 1.0), (1.0, 0.95, 1.0), (0.3, 0.0, 0.25),
    ],
)  # fmt: skip
def test_one_step_of_shedding(before: float, load: float, after: float) -> None:
    assert load_shedding.step(before, load) == after


def test_a_load_that_is_shared_out_settles_within_the_limits() -> None:
    """Demand of 1.4 of the capacity, of which the node gives away its shed part."""
    value, seen = 0.0, []
    for _ in range(100):
        value = load_shedding.step(value, 1.4 * (1 - value))
        seen.append(1.4 * (1 - value))
    assert all(load_shedding.SOFT <= load <= load_shedding.HARD for load in seen[20:])
    assert len(set(seen[20:])) == 1


def test_a_step_waits_for_the_one_before_to_show_its_effect() -> None:
    assert not load_shedding.due(NOW - 40, 60, NOW)
    assert load_shedding.due(NOW - 59.5, 60, NOW)


def test_shed_is_written_when_it_changes_and_ends_when_no_load_came_for_long() -> None:
    loaded = {"n1": Verdict(load=1.2, loaded=NOW, shed=0.15)}
    assert run(loaded).changes == {"n1": {"shed": "0.15"}}
    assert run(loaded, {"n1": {"shed": "0.15"}}).changes == {}
    assert run({"n1": Verdict(load=1.2, loaded=NOW - 3601, shed=0.15)}, {"n1": {"shed": "0.15"}}).changes == {
        "n1": {"shed": "0"}
    }


def test_the_longest_ttl_of_its_services_is_how_long_a_node_settles() -> None:
    text = document(2)
    text["services"] = {"a": {"map": "default", "ttl": 30}, "b": {"map": "default", "ttl": 300}}
    text["nodes"]["n2"]["settle"] = 20
    nodes = read(text).nodes
    assert (nodes["n1"].settle, nodes["n2"].settle) == (300, 20)

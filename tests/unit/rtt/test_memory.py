"""What is published stays until something is better by enough, for long enough."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from geosteer_loader.rtt.memory import NODES, Equality, Record, Steadiness, equals, judge, rounded

RULES = Steadiness()


def test_the_first_estimate_is_published_and_small_changes_follow() -> None:
    record = judge(None, {"a": 20.2, "b": 40.0}, RULES)
    assert record == Record({"a": 20, "b": 40})
    assert judge(record, {"a": 24.0, "b": 41.0}, RULES) == Record({"a": 24, "b": 41})


def test_a_better_node_waits_for_two_windows() -> None:
    record = Record({"a": 20, "b": 40})
    once = judge(record, {"a": 60.0, "b": 40.0}, RULES)
    assert once == Record({"a": 20, "b": 40}, 1)
    assert judge(once, {"a": 60.0, "b": 40.0}, RULES) == Record({"b": 40, "a": 60})


def test_a_window_in_which_it_is_not_better_begins_the_wait_anew() -> None:
    once = Record({"a": 20, "b": 40}, 1)
    assert judge(once, {"a": 41.0, "b": 36.0}, RULES) == Record({"a": 20, "b": 36}, 0)


def test_a_gain_below_the_margin_moves_nobody() -> None:
    record = Record({"a": 20, "b": 40})
    for _ in range(5):
        record = judge(record, {"a": 45.0, "b": 36.0}, RULES)
    assert record.times == {"a": 20, "b": 36}, "the node that is given keeps its time"


def test_what_holds_clients_where_they_are_still_tells_which_node_is_next_best() -> None:
    record = Record({"a": 20, "b": 40})
    for fresh in ({"a": 26.0, "c": 18.0, "b": 40.0, "d": 19.0}, {"a": 26.0, "c": 24.0, "b": 40.0, "d": 25.0}):
        held = judge(record, fresh, RULES)
        assert list(held.times) == ["a", "c", "d", "b"]
        assert equals(held.times, Equality()) == {"a"}, "nobody is moved"
        assert held.times["b"] == 40


def test_one_of_two_equals_that_gets_worse_is_left() -> None:
    record = Record({"a": 20, "b": 21})
    for _ in range(2):
        record = judge(record, {"a": 20.0, "b": 80.0}, RULES)
    assert record.times == {"a": 20, "b": 80}


def test_a_node_that_is_gone_is_left() -> None:
    record = Record({"a": 20, "b": 40})
    for _ in range(2):
        record = judge(record, {"b": 40.0}, RULES)
    assert record.times == {"b": 40}


def test_what_services_say_of_equal_times_decides_who_is_moved() -> None:
    record, fresh = Record({"a": 20, "b": 22}), {"a": 23.0, "b": 21.0}
    assert judge(record, fresh, RULES) == Record({"b": 21, "a": 23}), "both are equal before and after"
    strict = Steadiness(equal=(Equality(0, 0),))
    assert judge(record, fresh, strict).times == {"a": 20, "b": 21}, (
        "the other way round it would move clients for 2 ms"
    )
    both = Steadiness(equal=(Equality(0, 0), Equality()))
    assert judge(record, fresh, both).times == record.times
    wide = Steadiness(equal=(Equality(50, 0),))
    assert judge(record, {"a": 60.0, "b": 21.0}, wide).times == {"b": 21, "a": 60}


def test_a_record_has_the_best_nodes_only() -> None:
    told = rounded({f"n{number}": float(100 - number) for number in range(50)})
    assert len(told) == NODES
    assert next(iter(told.items())) == ("n49", 51)


times = st.dictionaries(st.sampled_from("abcde"), st.floats(0.2, 9000), min_size=1)


@given(st.lists(times, min_size=1, max_size=20))
def test_nobody_is_moved_twice_within_the_windows_that_a_change_has_to_wait(
    windows: list[dict[str, float]],
) -> None:
    record, moved = None, -RULES.windows
    for number, window in enumerate(windows):
        after = judge(record, window, RULES)
        if record is not None and equals(after.times, Equality()) != equals(record.times, Equality()):
            assert number - moved >= RULES.windows
            moved = number
        elif record is None:
            moved = number
        record = after

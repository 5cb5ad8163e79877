"""When a service publishes: by tables of moments, and whatever happens in any order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geosteer_loader.follow.followed import Sight
from geosteer_loader.follow.live_feed import due_after
from geosteer_loader.follow.pace import AFTER_REFUSAL, FIRST_RETRY, LAST_RETRY, Outcome, Pace, Timing

QUIET, CEILING = 5.0, 20.0
TIMING = Timing(QUIET, CEILING)


def ready(version: int) -> Sight:
    return Sight(version, True)


def half(version: int) -> Sight:
    return Sight(version, False, "is being written")


def settled(*names: str) -> Pace:
    """A pace for which version 0 of each name was published at second 0."""
    pace = Pace(dict.fromkeys(names, TIMING))
    sights = {name: ready(0) for name in names}
    assert pace.step(-QUIET, sights) is None
    assert pace.step(0.0, sights) == frozenset(names)
    pace.ended(0.0, names, Outcome.DONE)
    assert pace.step(CEILING, sights) is None
    return pace


def test_several_changes_are_one_publish_after_a_quiet_moment() -> None:
    pace = settled("a", "b")
    assert pace.step(100, {"a": ready(1), "b": ready(0)}) is None
    assert pace.step(104, {"a": ready(1), "b": ready(1)}) is None
    assert pace.step(108.9, {"a": ready(1), "b": ready(1)}) is None
    assert pace.step(109, {"a": ready(1), "b": ready(1)}) == frozenset({"a", "b"})


def test_what_changes_all_the_time_is_published_at_the_ceiling_and_others_not_before_they_are_calm() -> None:
    pace = settled("feed", "file")
    for second in range(100, 120):
        assert pace.step(second, {"feed": ready(second), "file": ready(0)}) is None
    assert pace.step(120, {"feed": ready(120), "file": ready(1)}) == frozenset({"feed"})


def test_a_half_file_holds_nobody_up_for_longer_than_it_moves() -> None:
    pace = settled("a", "b")
    assert pace.step(100, {"a": ready(1), "b": half(1)}) is None
    assert pace.step(104, {"a": ready(1), "b": half(2)}) is None
    assert pace.step(109, {"a": ready(1), "b": half(2)}) == frozenset({"a"})


def test_a_half_file_is_never_published_however_long_it_stays() -> None:
    pace = settled("a")
    for second in range(100, 1000, 7):
        assert pace.step(second, {"a": half(second // 50)}) is None
    assert pace.step(1000, {"a": ready(1)}) is None
    assert pace.step(1005, {"a": ready(1)}) == frozenset({"a"})


def test_a_refusal_is_not_tried_again_until_something_changes() -> None:
    pace = settled("a")
    sights = {"a": ready(1)}
    assert pace.step(100, sights) is None
    assert pace.step(105, sights) == frozenset({"a"})
    pace.ended(105, {"a"}, Outcome.REFUSED)
    assert pace.step(105 + 10 * AFTER_REFUSAL, sights) is None
    assert pace.step(106 + 10 * AFTER_REFUSAL, {"a": ready(2)}) is None
    assert pace.step(111 + 10 * AFTER_REFUSAL, {"a": ready(2)}) == frozenset({"a"})


def test_a_failure_is_tried_again_at_growing_distances() -> None:
    pace, now, waits = settled("a"), 100.0, []
    pace.step(now, {"a": ready(1)})
    now += QUIET
    for _ in range(9):
        began = now
        while pace.step(now, {"a": ready(1)}) is None:
            now += 0.5
        waits.append(now - began)
        pace.ended(now, {"a"}, Outcome.FAILED)
    assert waits[1:] == [FIRST_RETRY * 2**n for n in range(6)] + [LAST_RETRY] * 2


MOVES = st.lists(
    st.tuples(
        st.sampled_from([0.5, 1.0, 3.0, 6.0, 25.0]),
        st.sampled_from("abc"),
        st.integers(0, 3),
        st.booleans(),
        st.sampled_from(list(Outcome)),
    ),
    max_size=60,
)


@given(MOVES)
def test_only_what_is_whole_is_published_never_twice_and_never_later_than_the_ceiling(
    moves: list[tuple[float, str, int, bool, Outcome]],
) -> None:
    names = "abc"
    pace = Pace(dict.fromkeys(names, TIMING))
    sights = {name: ready(0) for name in names}
    tried: dict[str, object] = {}
    whole_since: dict[str, float] = {}
    free_from, now = 0.0, 0.0
    for passed, name, version, is_ready, outcome in moves:
        now += passed
        sights = {**sights, name: Sight(version, is_ready)}
        for each, sight in sights.items():
            if not sight.ready or sight.version == tried.get(each, "none"):
                whole_since.pop(each, None)
            else:
                whole_since.setdefault(each, now)
        taken = pace.step(now, sights)
        if taken is None:
            overdue = [each for each, since in whole_since.items() if now >= since + CEILING]
            assert now < free_from or not overdue
            continue
        assert all(sights[each].ready for each in taken)
        assert any(sights[each].version != tried.get(each, "none") for each in taken)
        pace.ended(now, taken, outcome)
        if outcome in {Outcome.DONE, Outcome.REFUSED}:
            for each in taken:
                tried[each] = sights[each].version
                whole_since.pop(each, None)
        wait = {Outcome.REFUSED: AFTER_REFUSAL, Outcome.FAILED: FIRST_RETRY}.get(outcome, 0.0)
        free_from = now + wait if outcome is not Outcome.FAILED else now + LAST_RETRY


@pytest.mark.parametrize(("lasted", "following"), [(0.0, 5.0), (1.0, 4.0), (1.5, 3.5), (4.5, 10.0)])
def test_a_live_table_is_published_so_often_that_a_change_is_through_within_the_interval(
    lasted: float, following: float
) -> None:
    assert due_after(lasted, 5.0) == pytest.approx(following)

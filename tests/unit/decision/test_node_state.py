"""A node's share and the operator's word on it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geosteer.decision.node_state import NodeState, Override
from geosteer.timestamps import format_time, parse_time

SINCE = parse_time("2026-02-01T00:00:00Z")


def up(**fields: str) -> NodeState:
    """A node that came up on SINCE after having been down."""
    state = NodeState()
    state.update({"state": "up", "before": "down", "since": "2026-02-01T00:00:00Z", **fields})
    return state


@pytest.mark.parametrize(
    ("text", "state", "percent", "until"),
    [
        ('{"state":"down"}', "down", 100, None),
        ('{"state":"up","who":"me","why":"x","since":"?"}', "up", 100, None),
        ('{"state":"drain"}', "drain", 0, None),
        ('{"state":"drain","percent":25}', "drain", 25, None),
        ('{"state":"drain","percent":12.5}', "drain", 12.5, None),
        ('{"state":"up","percent":null,"until":null}', "up", 100, None),
        ('{"state":"down","until":""}', "down", 100, None),
        ('{"state":"down","until":"2026-02-01T00:00:00Z"}', "down", 100, SINCE),
    ],
)
def test_an_override_is_read_from_its_json(text: str, state: str, percent: float, until: float | None):
    override = Override.read(text)
    assert (override.state, override.percent, override.until) == (state, percent, until)


@pytest.mark.parametrize(
    "text",
    [
        "", "{}", "[]", "null", "1", '"down"', '{"state":"off"}', '{"state":["down"]}', '{"state":"down"',
        '{"state":"drain","percent":-1}', '{"state":"drain","percent":101}', '{"state":"drain","percent":"50"}',
        '{"state":"drain","percent":NaN}', '{"state":"drain","percent":1e999}',
        '{"state":"drain","percent":1' + "0" * 400 + "}", '{"state":"drain","percent":[]}',
        '{"state":"down","until":"tomorrow"}', '{"state":"down","until":1769904000}', "[" * 100_000,
    ],
)  # fmt: skip
def test_what_is_no_override_is_refused(text: str):
    with pytest.raises(ValueError):  # noqa: PT011  # the JSON reader words some of the refusals
        Override.read(text)


def test_an_override_is_in_force_until_its_very_second():
    state = up()
    state.override = Override("down", 100, SINCE + 60)
    assert state.forced(SINCE + 59.999) is state.override
    assert state.forced(SINCE + 60) is None
    state.override = Override("down")
    assert state.forced(SINCE + 1e9) is state.override


def test_a_node_nobody_told_of_is_unknown_and_keeps_all_its_clients():
    state = NodeState()
    assert (state.state, state.share(SINCE, 0), state.share(SINCE, 600), state.forced(SINCE)) == (
        "unknown", 1, 1, None,
    )  # fmt: skip


def test_share_is_percent_times_ramp_times_what_is_not_shed():
    state = up(shed="0.25")
    state.override = Override("drain", 40)
    assert state.share(SINCE + 50, 100) == pytest.approx(0.4 * 0.5 * 0.75)
    assert state.share(SINCE + 100, 100) == pytest.approx(0.4 * 0.75)
    assert state.share(SINCE + 50, 0) == pytest.approx(0.4 * 0.75)


def test_the_percent_of_an_override_ends_with_it():
    state = up()
    state.override = Override("drain", 40, SINCE + 10)
    assert state.share(SINCE + 9, 0) == pytest.approx(0.4)
    assert state.share(SINCE + 10, 0) == 1


@pytest.mark.parametrize(
    ("after", "share"),
    [(-100, 0.05), (0, 0.05), (29, 0.05), (30, 0.05), (150, 0.25), (599, 599 / 600), (600, 1), (9e9, 1)],
)
def test_a_node_that_came_back_grows_from_a_twentieth_to_all_in_its_ramp(after: float, share: float):
    assert up().share(SINCE + after, 600) == pytest.approx(share)


def test_a_node_that_was_never_down_does_not_ramp():
    for before in ("unknown", "up", ""):
        assert up(before=before).share(SINCE, 600) == 1
    assert up(before="down").share(SINCE, 600) == 0.05


def test_a_node_that_is_down_or_unknown_does_not_ramp():
    for word in ("down", "unknown"):
        assert not up(state=word).ramping(SINCE + 1, 600)


@pytest.mark.parametrize("share", [0.06, 0.3, 0.5, 0.999])
def test_the_time_at_which_a_growing_share_passes_a_value_is_exact(share: float):
    state = up()
    when = state.reaches(share, SINCE + 1, 600)
    assert when is not None
    assert state.share(when - 0.001, 600) < share < state.share(when + 0.001, 600)


def test_a_share_that_never_gets_there_has_no_time():
    shedding = up(shed="0.5")
    assert shedding.reaches(0.51, SINCE + 1, 600) is None
    assert shedding.reaches(0.5, SINCE + 1, 600) == SINCE + 600
    assert shedding.reaches(0.4, SINCE + 1, 600) == pytest.approx(SINCE + 480)
    assert shedding.reaches(0.4, SINCE + 600, 600) is None
    assert up().reaches(0.4, SINCE + 1, 0) is None
    assert up(shed="1").reaches(0.0, SINCE + 1, 600) is None


@pytest.mark.parametrize(
    ("fields", "state", "since", "shed", "failing"),
    [
        ({}, "unknown", 0, 0, False),
        ({"state": "down", "reason": "timed out", "failing": "yes"}, "down", 0, 0, True),
        ({"state": "UP"}, "unknown", 0, 0, False),
        ({"state": "up", "failing": "no"}, "up", 0, 0, False),
        ({"state": "up", "since": "then", "shed": "some"}, "up", 0, 0, False),
        ({"state": "up", "shed": "-1"}, "up", 0, 0, False),
        ({"state": "up", "shed": "7"}, "up", 0, 1, False),
        ({"state": "up", "shed": "nan"}, "up", 0, 0, False),
        ({"state": "up", "shed": "inf"}, "up", 0, 1, False),
        ({"state": "up", "shed": "0.35"}, "up", 0, 0.35, False),
        ({"state": "up", "since": "2026-02-01T00:00:00Z", "before": "down"}, "up", SINCE, 0, False),
        ({"state": "up", "since": "then", "before": "down"}, "up", 0, 0, False),
        ({"state": "up", "since": "2026-02-01T00:00:00Z"}, "up", 0, 0, False),
    ],
)
def test_fields_that_cannot_be_read_count_as_absent(
    fields, state: str, since: float, shed: float, failing: bool
):
    node = up(shed="0.5", failing="yes", reason="before")
    node.update(fields)
    assert (node.state, node.since, node.shed, node.failing) == (state, since, shed, failing)
    assert node.reason == fields.get("reason", "")


@given(
    st.dictionaries(
        st.sampled_from(("state", "since", "shed", "failing", "reason", "before")), st.text(max_size=25)
    ),
    st.floats(0, 4e9),
    st.floats(0, 1e6),
)
def test_a_share_is_between_0_and_1_whatever_stands_in_redis(fields: dict[str, str], now: float, ramp: float):
    state = up()
    state.update(fields)
    assert 0 <= state.share(now, ramp) <= 1


@given(st.integers(0, 100), st.floats(0, 1), st.integers(0, 3000), st.floats(0.001, 1))
def test_a_share_does_not_shrink_by_itself(percent: int, shed: float, after: int, step: float):
    state = up(shed=str(shed))
    state.override = Override("drain", percent)
    assert state.share(SINCE + after, 1000) <= state.share(SINCE + after + step, 1000)
    assert format_time(state.since) == "2026-02-01T00:00:00Z"


@pytest.mark.parametrize("before", [0.0, 0.1, 1.0])
def test_without_a_ramp_a_node_is_back_at_once_even_by_a_clock_that_is_behind(before: float):
    state = NodeState()
    state.update({"state": "up", "since": "2026-02-01T00:00:00Z", "before": "down"})
    assert state.share(state.since - before, 0) == 1.0
    assert not state.ramping(state.since - before, 0)

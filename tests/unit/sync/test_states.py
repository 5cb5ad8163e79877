"""The table of states of a worker that follows Redis, walked."""

from __future__ import annotations

import pytest

from geosteer.sync import states
from geosteer.sync.states import EVENTS, TRANSITIONS


def walk(*events: str) -> str:
    state = states.AWAY
    for event in events:
        state = TRANSITIONS[state][event]
    return state


def test_every_state_has_every_event_and_leads_to_known_states():
    constants = [value for name, value in vars(states).items() if name.isupper()]
    assert TRANSITIONS.keys() >= states.LIVE | states.EMPTY | states.WELL
    for row in TRANSITIONS.values():
        assert tuple(row) == EVENTS
        assert set(row.values()) <= TRANSITIONS.keys()
    assert set(TRANSITIONS) | set(EVENTS) == {value for value in constants if isinstance(value, str)}


def test_every_state_is_reached_from_the_first_and_every_one_leads_back():
    seen, ahead = set(), [states.AWAY]
    while ahead:
        state = ahead.pop()
        if state not in seen:
            seen.add(state)
            ahead += TRANSITIONS[state].values()
    assert seen == set(TRANSITIONS)
    assert {row[states.CLOSED] for row in TRANSITIONS.values()} == {states.AWAY}
    assert {row[states.OPENED] for row in TRANSITIONS.values()} == {states.OPENING}


@pytest.mark.parametrize("state", TRANSITIONS)
def test_only_all_that_was_read_makes_a_connection_live(state: str):
    for event, after in TRANSITIONS[state].items():
        if after in states.LIVE and state not in states.LIVE:
            told = {states.EMPTIED, states.ALIEN, states.REFUSED, states.IN_FORCE}
            assert event in ({states.READ} if state.startswith("opening,") else told)


@pytest.mark.parametrize("state", TRANSITIONS)
def test_what_current_tells_last_is_what_counts(state: str):
    for event, live, opening in (
        (states.EMPTIED, states.LIVE_EMPTY, states.OPENING_EMPTY),
        (states.ALIEN, states.LIVE_FOREIGN, states.OPENING_FOREIGN),
        (states.REFUSED, states.LIVE_UNUSABLE, states.OPENING_UNUSABLE),
        (states.IN_FORCE, states.LIVE_USABLE, states.OPENING_USABLE),
    ):
        after = TRANSITIONS[state][event]
        if state == states.AWAY:
            assert after == states.AWAY, "no connection, no word"
        else:
            assert after == (live if state in states.LIVE | {states.ADOPTING} else opening)


@pytest.mark.parametrize(
    ("events", "state"),
    [
        ("opened in-force read", states.LIVE_USABLE),
        ("opened announced read", states.ADOPTING),
        ("opened announced in-force read", states.LIVE_USABLE),
        ("opened announced read in-force", states.LIVE_USABLE),
        ("opened announced read refused", states.LIVE_UNUSABLE),
        ("opened in-force announced read", states.ADOPTING),
        ("opened in-force read announced", states.LIVE_USABLE),
        ("opened in-force read announced refused", states.LIVE_UNUSABLE),
        ("opened emptied read announced", states.LIVE_UNUSABLE),
        ("opened alien read announced in-force", states.LIVE_USABLE),
        ("opened in-force read closed", states.AWAY),
        ("opened in-force read closed opened read", states.ADOPTING),
    ],
)
def test_the_ways_of_a_connection(events: str, state: str):
    assert walk(*[event.replace("-", " ") for event in events.split()]) == state

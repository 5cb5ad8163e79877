"""The state machine: thresholds up, ok and down, as a table of results and what they make of a check."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geosteer_loader.health.thresholds import Health, Profile, step

FAST = Profile(up=3, ok=3, down=2)
GDNSD = Profile(up=20, ok=10, down=10)
EAGER = Profile(up=1, ok=1, down=1)

CASES = [
    ("the first result is the state: good", FAST, "+", "U"),
    ("the first result is the state: bad", FAST, "-", "D"),
    ("one failure is not enough", FAST, "+-", "Uf"),
    ("the second takes it down", FAST, "+--", "UfD"),
    ("fewer than ok successes forget nothing", FAST, "+-++-", "UfffD"),
    ("ok successes in a row forget the failures", FAST, "+-+++-", "UfffUf"),
    ("a failure in between starts the count of successes again", Profile(up=3, ok=3, down=3), "+-++-++-", "UffffffD"),
    ("down: successes have to come in a row", FAST, "-++-++-", "DDDDDDD"),
    ("down: up successes in a row bring it up", FAST, "-+++", "DDDU"),
    ("what came up has a clean record", FAST, "-+++-", "DDDUf"),
    ("one threshold each: every result is the state", EAGER, "+-+-", "UDUD"),
    ("gdnsd: nine failures are not enough", GDNSD, "+" + "-" * 9, "U" + "f" * 9),
    ("gdnsd: ten are", GDNSD, "+" + "-" * 10, "U" + "f" * 9 + "D"),
    ("gdnsd: nine successes do not forget", GDNSD, "+" + "-" * 9 + "+" * 9 + "-", "U" + "f" * 18 + "D"),
    ("gdnsd: ten do", GDNSD, "+" + "-" * 9 + "+" * 10 + "-", "U" + "f" * 18 + "Uf"),
    ("gdnsd: nineteen successes do not bring it up", GDNSD, "-" + "+" * 19, "D" * 20),
    ("gdnsd: twenty do", GDNSD, "-" + "+" * 20, "D" * 20 + "U"),
]  # fmt: skip


def walk(profile: Profile, results: str) -> list[Health]:
    """The health after each result."""
    health, found = None, []
    for result in results:
        health = step(health, result == "+", profile)
        found.append(health)
    return found


def letters(healths: list[Health]) -> str:
    return "".join("D" if not one.up else "f" if one.failing else "U" for one in healths)


@pytest.mark.parametrize(
    ("profile", "results", "states"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_results_make_states(profile: Profile, results: str, states: str) -> None:
    assert letters(walk(profile, results)) == states


@pytest.mark.parametrize("profile", [FAST, GDNSD], ids=["fast", "gdnsd"])
def test_a_node_that_fails_once_in_three_changes_its_state_at_most_once(profile: Profile) -> None:
    healths = walk(profile, "++-" * 100)
    changes = sum(before.up != after.up for before, after in pairwise(healths))
    assert changes <= 1
    assert healths[-1].up == healths[100].up


def test_one_failure_in_three_never_takes_down_what_forgets_after_two() -> None:
    assert all(health.up for health in walk(Profile(up=3, ok=2, down=3), "++-" * 100))


@given(
    results=st.text("+-", min_size=1, max_size=60),
    up=st.integers(1, 9),
    ok=st.integers(1, 9),
    down=st.integers(1, 9),
)
def test_the_last_result_can_be_told_from_the_counters(results: str, up: int, ok: int, down: int) -> None:
    health = walk(Profile(up=up, ok=min(ok, up), down=down), results)[-1]
    # A node that just forgot its failures, or came up, has counters at zero; only a good result does that.
    assert health.last_good == (results[-1] == "+")


@given(results=st.text("+-", min_size=1, max_size=60), cut=st.integers(0, 60))
def test_a_restart_in_between_changes_nothing(results: str, cut: int) -> None:
    whole = walk(FAST, results)[-1]
    health = walk(FAST, results[:cut])[-1] if results[:cut] else None
    for result in results[cut:]:
        health = step(health and Health(health.up, health.failures, health.successes), result == "+", FAST)
    assert health == whole

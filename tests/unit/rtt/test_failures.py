"""Failures: a node is marked where it fails far more often than elsewhere, for two windows, and by enough networks."""

from __future__ import annotations

import pytest

from geosteer_loader.rtt.failures import Attempts, FailureRules, Mark, Verdict, marked, verdicts

RULES = FailureRules()
HERE, NODE = "AS64500", "fra1"


def window(failures: list[float], attempts: float = 12.0, elsewhere: float = 0.01) -> list[Attempts]:
    """One AS whose networks fail so often, and five others."""
    told = [
        Attempts(f"net{number}", f"net{number}", HERE, NODE, attempts * (1 - part), attempts * part)
        for number, part in enumerate(failures)
    ]
    return told + [
        Attempts(
            f"other{number}", f"other{number}", f"AS{number}", NODE, 100 * (1 - elsewhere), 100 * elsewhere
        )
        for number in range(5)
    ]


def test_a_node_that_fails_for_an_as_alone_is_found_with_its_rate():
    verdict = verdicts(window([0.31] * 8), RULES)[HERE, NODE]
    assert verdict.failing
    assert verdict.rate == pytest.approx(0.31)


@pytest.mark.parametrize(
    ("failures", "elsewhere"),
    [
        ([0.31] * 4, 0.01),  # below the quorum
        ([0.05] * 20, 0.01),  # seldom
        ([0.31] * 8, 0.25),  # it fails everywhere
        ([1.0] * 3 + [0.0] * 7, 0.0),  # some networks only: they lie, or the fault is theirs
        ([0.0] * 8, 0.0),
    ],
)
def test_what_is_no_fault_of_the_path_marks_nothing(failures, elsewhere):
    verdict = verdicts(window(failures, elsewhere=elsewhere), RULES).get((HERE, NODE))
    assert verdict is None or not verdict.failing


def test_a_network_of_many_reports_counts_as_one():
    told = [*window([0.0] * 9), Attempts("liar", "liar", HERE, NODE, 0.0, 1e6)]
    assert not verdicts(told, RULES)[HERE, NODE].failing


def test_networks_of_one_voter_are_one():
    told = [Attempts(f"net{number}", "2001:db8::/32", HERE, NODE, 0.0, 20.0) for number in range(50)]
    assert (HERE, NODE) not in verdicts(told + window([]), RULES)


def test_few_attempts_say_that_a_node_recovered_but_not_that_it_fails():
    assert verdicts(window([0.0] * 6, attempts=2.0), RULES)[HERE, NODE] == Verdict(False, 0.0)
    assert (HERE, NODE) not in verdicts(window([1.0] * 6, attempts=2.0), RULES)


def test_a_network_that_fails_by_itself_is_judged_by_itself():
    made = verdicts(window([0.0] * 9 + [0.8], attempts=30.0), RULES)
    assert made["net9", NODE].failing
    assert not made[HERE, NODE].failing


FAILS, CALM = Verdict(True, 0.3), Verdict(False, 0.0)


@pytest.mark.parametrize(
    ("windows", "on"),
    [
        ([FAILS], False),
        ([FAILS, FAILS], True),
        ([FAILS, CALM, FAILS], False),
        ([FAILS, None, FAILS], False),
        ([FAILS, FAILS, CALM], True),
        ([FAILS, FAILS, None, None, CALM], True),
        ([FAILS, FAILS, CALM, FAILS, CALM], True),
        ([FAILS, FAILS, CALM, CALM], False),
    ],
)
def test_two_windows_in_two_windows_out(windows, on):
    mark: Mark | None = None
    for verdict in windows:
        mark = marked(mark, verdict, RULES)
    assert (mark is not None and mark.on) is on

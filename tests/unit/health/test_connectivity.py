"""When a prober doubts itself, and what shows that it is connected again."""

from __future__ import annotations

import asyncio

import pytest

from geosteer_loader.health.checks.result import Result
from geosteer_loader.health.connectivity import Connectivity

NODES = [f"n{number}" for number in range(10)]


def connectivity(*, control_answers: bool = False, cut_off: bool = True) -> Connectivity:
    async def answers(_target: str, _timeout: float) -> bool:
        return control_answers

    made = Connectivity(("192.0.2.1:53",), answers)
    made.cut_off = cut_off
    return made


@pytest.mark.parametrize(
    ("good", "bad", "unknown", "expected", "returns"),
    [
        (NODES, [], [], NODES, True),
        (NODES[:2], NODES[2:], [], NODES, True),
        (NODES[:1], NODES[1:], [], NODES, False),  # nine of ten still fail: as it was when doubt began
        (NODES[:1], NODES[1:], [], NODES[:1], True),  # ... but those were down before
        (NODES[:1], [], NODES[1:], NODES, True),
        ([], NODES, [], NODES, False),
        ([], [], NODES, NODES, False),
    ],
)
def test_nodes_that_answer_are_proof_enough(good, bad, unknown, expected, returns) -> None:
    made = connectivity()
    for names, result in ((good, True), (bad, False), (unknown, None)):
        for name in names:
            made.note(name, "tcp 80", Result(result))
    assert (asyncio.run(made.returns(expected, 100)) is not None) is returns
    assert made.cut_off is not returns


def test_a_node_answers_when_all_of_its_checks_do() -> None:
    made = connectivity()
    made.note("n1", "tcp 80", Result(True))
    made.note("n1", "tcp 443", Result(False))
    assert asyncio.run(made.returns(NODES, 100)) is None
    made.note("n1", "tcp 443", Result(True))
    assert asyncio.run(made.returns(NODES, 100)) == "1 node"


def test_a_control_target_that_answers_is_proof_too() -> None:
    assert asyncio.run(connectivity(control_answers=True).returns(NODES, 100)) == "192.0.2.1:53"


def test_what_was_seen_before_it_was_cut_off_does_not_count() -> None:
    made = connectivity(cut_off=False)
    made.note("n1", "tcp 80", Result(True))
    assert asyncio.run(made.doubts(9, 1, 0, 10))
    assert asyncio.run(made.returns(NODES, 100)) is None


def test_a_control_target_that_answers_dispels_doubt_for_a_while() -> None:
    made = connectivity(control_answers=True, cut_off=False)
    assert not asyncio.run(made.doubts(9, 1, 0, 10))
    made._answers = connectivity()._answers
    assert not asyncio.run(made.doubts(9, 1, 9, 10))
    assert asyncio.run(made.doubts(9, 1, 10, 10))


def test_without_a_control_target_a_prober_never_doubts_itself() -> None:
    assert not asyncio.run(Connectivity((), connectivity()._answers).doubts(10, 0, 0, 10))


def test_the_first_nodes_that_answer_are_not_counted_before_the_others_had_the_time_to_fail() -> None:
    made = connectivity(cut_off=False)
    assert asyncio.run(made.doubts(9, 1, 100, 10))
    made.note("n1", "tcp 80", Result(True))
    assert asyncio.run(made.returns(NODES, 119)) is None
    assert asyncio.run(made.returns(NODES, 120)) == "1 node"

"""Replies remembered by the hash of their question: what comes out is what was kept for that question, or nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geosteer.powerdns import reply_memory
from geosteer.powerdns.reply_memory import FEWEST, MOST, ReplyMemory
from support.data import ROOT

ANSWERS = [(b"DATA %d\nEND\n" % number, number) for number in range(50)]
STEP = st.one_of(st.tuples(st.binary(max_size=3), st.sampled_from(ANSWERS)), st.just("clear"))


def found(memory: ReplyMemory, question: bytes) -> tuple[bytes, int] | None:
    """What the worker's loop does, without a call."""
    key = hash(question)
    at = key & memory.mask
    return memory.answers[memory.numbers[at]] if memory.tags[at] == key else None


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Places so few that questions meet, and that they are doubled soon."""
    monkeypatch.setattr(reply_memory, "FEWEST", 4)
    monkeypatch.setattr(reply_memory, "MOST", 32)
    monkeypatch.setattr(reply_memory, "ANSWERS", 20)


@pytest.mark.usefixtures("small")
def test_an_answer_comes_back_for_its_own_question_alone() -> None:
    @given(st.lists(STEP, max_size=300))
    def steps(steps: list[tuple[bytes, tuple[bytes, int]] | str]) -> None:
        memory, kept = ReplyMemory(), dict[bytes, tuple[bytes, int]]()
        same = memory.tags, memory.numbers, memory.answers
        for step in steps:
            if isinstance(step, str):
                memory.clear()
                kept.clear()
                continue
            question, answer = step
            memory.keep(question, answer)
            kept[question] = answer
            if hash(question):
                assert found(memory, question) == answer
            for other, its in kept.items():
                assert found(memory, other) in {its, None}
        for question in (b"", b"never asked"):
            assert question in kept or found(memory, question) is None
        assert (memory.tags, memory.numbers, memory.answers) == same
        assert all(a is b for a, b in zip(same, (memory.tags, memory.numbers, memory.answers), strict=True))
        assert len(memory.tags) == len(memory.numbers) == memory.mask + 1 <= 32

    steps()


def test_the_empty_question_has_no_answer() -> None:
    """It is what is read at the end of the input, and its hash is that of an empty place."""
    assert found(ReplyMemory(), b"") is None


def test_many_questions_take_640_kib_and_most_are_found() -> None:
    memory = ReplyMemory()
    assert memory.mask + 1 == FEWEST
    for number in range(MOST):
        memory.keep(b"%d" % number, ANSWERS[number % 50])
    assert memory.mask + 1 == MOST
    places = memory.tags.buffer_info()[1] * 8 + memory.numbers.buffer_info()[1] * 2
    assert places == 640 * 1024
    held = sum(found(memory, b"%d" % number) == ANSWERS[number % 50] for number in range(MOST))
    assert held > MOST / 2


def test_forgetting_leaves_the_places_of_a_start() -> None:
    memory = ReplyMemory()
    for number in range(MOST):
        memory.keep(b"%d" % number, ANSWERS[0])
    memory.clear()
    assert len(memory.tags) == FEWEST
    assert all(found(memory, b"%d" % number) is None for number in range(MOST))


def test_nothing_is_remembered_where_anybody_can_work_out_the_hashes() -> None:
    code = (
        f"import sys; sys.path[:0] = [{str(ROOT / 'backend')!r}]\n"
        "from geosteer.powerdns.reply_memory import KEYED, ReplyMemory\n"
        "memory = ReplyMemory()\nmemory.keep(b'a', (b'b', 1))\nprint(KEYED, any(memory.tags))"
    )
    for seed, expected in (("0", "False False"), ("random", "True True")):
        done = subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        )  # fmt: skip
        assert done.stdout.strip() == expected

"""Verdicts of several probers become one state, as a table."""

from __future__ import annotations

import pytest

from geosteer_loader.health.aggregate import Outcome, decide
from geosteer_loader.health.verdicts import Verdict

NOW, FORGET = 100_000.0, 3600.0


def verdict(word: str) -> Verdict:
    """`+` up, `-` down, `f` failing; `?` behind it: expired 5 minutes ago, `!`: so long ago that it is forgotten."""
    age = {"?": 300.0, "!": FORGET + 1}.get(word[1:], 0.0)
    return Verdict(
        state="down" if word[0] == "-" else "up", since=NOW - 50, checked=NOW - age, expires=NOW - age + 30,
        failing=word[0] == "f", reason="" if word[0] == "+" else "no answer",
    )  # fmt: skip


def ask(words: str, rule: str = "majority", current: str = "up", *, checked: bool = True) -> Outcome:
    return decide(
        [verdict(word) for word in words.split()], current, rule=rule, now=NOW, forget=FORGET, checked=checked
    )


@pytest.mark.parametrize(
    ("words", "current", "majority", "any_", "all_"),
    [
        ("+", "down", "up", "up", "up"),
        ("-", "up", "down", "down", "down"),
        ("+ -", "up", "up", "down", "up"),
        ("+ -", "down", "down", "down", "up"),
        ("+ -", "unknown", "unknown", "down", "up"),
        ("- -", "up", "down", "down", "down"),
        ("+ + -", "down", "up", "down", "up"),
        ("+ - -", "up", "down", "down", "up"),
        ("- - -", "up", "down", "down", "down"),
        ("+ + - -", "down", "down", "down", "up"),
        ("+ -? -?", "down", "up", "up", "up"),
        ("- +? +?", "up", "down", "down", "down"),
        ("-? -?", "up", "up", "up", "up"),
        ("+? +?", "down", "down", "down", "down"),
        ("-! +?", "down", "down", "down", "down"),
        ("-! +!", "down", "unknown", "unknown", "unknown"),
        ("", "down", "down", "down", "down"),
        ("", "unknown", "unknown", "unknown", "unknown"),
    ],
    ids=[
        "one decides alone: up", "one decides alone: down", "a tie keeps up", "a tie keeps down", "a tie keeps unknown",
        "agreed", "two of three are up", "two of three are down", "all are down", "a tie of four",
        "the only fresh one decides alone: up", "the only fresh one decides alone: down",
        "nobody fresh: up stays", "nobody fresh: down stays", "one of them is not forgotten yet",
        "all are forgotten", "none was ever given, but one will come", "never checked",
    ],
)  # fmt: skip
def test_the_rule_decides(words: str, current: str, majority: str, any_: str, all_: str) -> None:
    found = tuple(ask(words, rule, current).state for rule in ("majority", "any", "all"))
    assert found == (majority, any_, all_)


def test_what_nobody_is_to_check_and_nobody_speaks_of_is_unknown() -> None:
    assert ask("", current="down", checked=False).state == "unknown"


@pytest.mark.parametrize(
    ("words", "majority", "any_", "all_"),
    [
        ("+", False, False, False), ("f", True, True, True), ("f +", False, True, False), ("f f +", True, True, False),
        ("f - +", True, False, False), ("+ + -", False, False, False),
        ("f - f", True, False, True), ("- -", False, False, False),
    ],
)  # fmt: skip
def test_a_node_is_failing_when_it_goes_down_with_those_that_see_failures(
    words: str, majority: bool, any_: bool, all_: bool
) -> None:
    found = tuple(bool(ask(words, rule).failing) for rule in ("majority", "any", "all"))
    assert found == (majority, any_, all_)


def test_without_a_fresh_verdict_nothing_is_said_of_failures() -> None:
    assert ask("f?").failing is None


def at(state: str, since: float) -> Verdict:
    return Verdict(state=state, since=since, checked=NOW, expires=NOW + 30, reason="x")


@pytest.mark.parametrize(
    ("rule", "verdicts", "since"),
    [
        ("majority", [at("down", 10), at("down", 30), at("down", 90)], 30),
        ("majority", [at("up", 5), at("down", 30), at("down", 90)], 90),
        ("any", [at("up", 5), at("down", 30), at("down", 90)], 30),
        ("all", [at("down", 10), at("down", 30), at("down", 90)], 90),
        ("majority", [at("down", 10)], 10),
    ],
)
def test_it_is_down_since_enough_probers_said_so(rule: str, verdicts: list[Verdict], since: float) -> None:
    outcome = decide(verdicts, "up", rule=rule, now=NOW, forget=FORGET, checked=True)
    assert (outcome.state, outcome.since) == ("down", since)


def test_a_reason_names_how_many_probers_have_it() -> None:
    assert ask("-").reason == "no answer"
    assert ask("- - +").reason == "no answer (2 of 3 probers)"

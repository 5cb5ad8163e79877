"""One prober's own verdicts: the worst check of a node wins, a restart goes on, and what it does not trust is taken back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geosteer_loader.health import verdicts
from geosteer_loader.health.checks.result import Result
from geosteer_loader.health.ledger import Ledger
from geosteer_loader.health.thresholds import Health
from geosteer_loader.health.verdicts import Counter, Verdict, decode
from geosteer_loader.health.watchlist import Watchlist, read

if TYPE_CHECKING:
    from collections.abc import Mapping

GOOD, BAD = Result(True), Result(False, "connection refused")
PROFILE = {"up": 3, "ok": 3, "down": 2}


def check(port: int, **more: Any) -> dict[str, Any]:
    return {"type": "tcp", "port": port, "interval": 10, "timeout": 2, "profile": PROFILE, **more}


def watchlist(**nodes: list[dict[str, Any]]) -> Watchlist:
    specs = {name: {"a": ["192.0.2.1"], "checks": checks} for name, checks in nodes.items()}
    return read({"nodes": specs, "maps": {}, "services": {}})


class Book:
    """A ledger with results by node and port."""

    def __init__(
        self,
        ledger: Ledger | None = None,
        known: Mapping[str, Verdict | None] | None = None,
        **nodes: Any,
    ):
        self.list = watchlist(**nodes)
        self.ledger = ledger or Ledger()
        self.ledger.follow(
            self.list, {name: verdict for name, verdict in (known or {}).items() if verdict is not None}
        )
        self.now = 1000.0

    def note(self, node: str, results: str, at: int = 0) -> list[bool]:
        one = self.list.nodes[node].checks[at]
        changed = []
        for result in results:
            self.now += 1
            changed.append(
                self.ledger.note(node, one, {"+": GOOD, "-": BAD, "?": Result(None)}[result], self.now)
            )
        return changed

    def state(self, node: str) -> str:
        verdict = self.ledger.verdict(node)
        return "none" if verdict is None else f"{verdict.state}{' failing' * verdict.failing}"


def test_the_worst_of_several_checks_wins() -> None:
    book = Book(n=[check(80), check(443)])
    book.note("n", "+")
    assert book.state("n") == "none"
    book.note("n", "+", 1)
    assert book.state("n") == "up"
    book.note("n", "-", 1)
    assert book.state("n") == "up failing"
    book.note("n", "-", 1)
    book.note("n", "+++")
    assert book.state("n") == "down"
    assert book.ledger.verdict("n").reason == "tcp 443: connection refused"
    book.note("n", "++", 1)
    assert book.state("n") == "down"
    book.note("n", "+", 1)
    assert book.state("n") == "up"
    assert book.ledger.verdict("n").reason == ""


def test_a_first_result_that_is_bad_decides_without_the_other_check() -> None:
    book = Book(n=[check(80), check(443)])
    book.note("n", "-")
    assert book.state("n") == "down"


def test_only_changes_are_reported_as_such() -> None:
    book = Book(n=[check(80)])
    assert book.note("n", "++-+++--") == [True, False, True, False, False, True, True, True]


def test_a_probe_that_could_not_look_says_nothing() -> None:
    book = Book(n=[check(80)])
    assert book.note("n", "?") == [False]
    assert book.state("n") == "none"
    book.note("n", "+?-?")
    assert book.state("n") == "up failing"


def test_two_checks_that_look_the_same_are_counted_apart() -> None:
    book = Book(n=[check(80), check(80)])
    book.note("n", "+")
    book.note("n", "-", 1)
    assert set(book.ledger.verdict("n").counters) == {"tcp 80", "tcp 80 #2"}
    assert book.state("n") == "down"


def test_a_restart_goes_on_where_it_was() -> None:
    first = Book(n=[check(80)])
    first.note("n", "+-")
    text = first.ledger.verdict("n").encode()
    again = Book(known={"n": decode(text)}, n=[check(80)])
    assert again.state("n") == "up failing"
    assert again.ledger.verdict("n").reason == "tcp 80: connection refused"
    again.note("n", "-")
    assert again.state("n") == "down"


def test_a_check_that_is_new_has_to_have_a_result_but_the_state_stays_meanwhile() -> None:
    first = Book(n=[check(80)])
    first.note("n", "+")
    again = Book(first.ledger, n=[check(81)])
    assert again.state("n") == "none"
    again.note("n", "-")
    assert again.state("n") == "down"


def test_a_node_that_is_no_longer_configured_has_no_verdict() -> None:
    first = Book(n=[check(80)], m=[check(80)])
    first.note("n", "+")
    again = Book(first.ledger, m=[check(80)])
    assert again.ledger.verdicts() == {}


def test_verdicts_last_for_three_intervals_of_the_check_made_last_and_the_timeout() -> None:
    book = Book(n=[check(80), check(81, interval=60)])
    book.note("n", "+")
    book.note("n", "+", 1)
    verdict = book.ledger.verdict("n")
    assert verdict.checked == book.now
    assert verdict.expires == book.now + 3 * 60 + 2


def test_runs_that_come_less_often_than_the_interval_make_verdicts_last_longer() -> None:
    book = Book(Ledger(period=300), n=[check(80)])
    book.note("n", "+")
    assert book.ledger.verdict("n").expires == book.now + 3 * 300 + 2


def test_what_failed_in_the_last_round_can_be_taken_back() -> None:
    nodes: dict[str, Any] = {f"n{number}": [check(80)] for number in range(6)}
    book = Book(**nodes)
    for name in book.list.nodes:
        book.note(name, "+")
    book.note("n5", "--")
    book.now += 100
    for name in list(book.list.nodes)[:5]:
        book.note(name, "+-")
    assert book.ledger.turned(book.now) == (5, 0)
    book.ledger.take_back(book.now)
    assert [book.state(name) for name in book.list.nodes] == ["up"] * 5 + ["down"]
    book.note("n0", "-")
    assert book.state("n0") == "up failing"


def test_states_that_changed_are_taken_back_with_their_times() -> None:
    book = Book(n=[check(80, profile={"up": 1, "ok": 1, "down": 1})])
    book.note("n", "+")
    since = book.ledger.verdict("n").since
    book.note("n", "-")
    assert book.state("n") == "down"
    book.ledger.take_back(book.now)
    assert (book.state("n"), book.ledger.verdict("n").since, book.ledger.verdict("n").reason) == (
        "up",
        since,
        "",
    )


def test_nodes_that_were_not_looked_at_in_this_round_do_not_count_as_good() -> None:
    nodes: dict[str, Any] = {f"n{number}": [check(80)] for number in range(5)}
    book = Book(old=[check(80, interval=3600)], **nodes)
    book.note("old", "+")
    book.now += 100
    for number in range(5):
        book.note(f"n{number}", "+-")
    assert book.ledger.turned(book.now) == (5, 0)


# ---- as JSON

moments = st.integers(1_000_000_000_000, 4_000_000_000_000).map(lambda milli: milli / 1000)
counters = st.builds(
    Counter, st.builds(Health, st.booleans(), st.integers(0, 30), st.integers(0, 30)), moments
)
some = st.builds(
    Verdict,
    state=st.sampled_from(("up", "down")), since=moments, checked=moments, expires=moments, failing=st.booleans(),
    reason=st.text(max_size=50), warning=st.text(max_size=50),
    counters=st.dictionaries(st.text(max_size=9), counters, max_size=3),
)  # fmt: skip


@given(some)
def test_a_verdict_reads_as_it_was_written(verdict: Verdict) -> None:
    assert decode(verdict.encode()) == verdict


def test_the_fields_of_a_verdict_are_those_that_are_documented() -> None:
    verdict = Verdict(
        state="up", since=1.5, checked=2, expires=3, reason="x", counters={"tcp 80": Counter(Health(True, 1, 0), 2)},
        load=0.5, loaded=2, shed=0.05, stepped=2,
    )  # fmt: skip
    assert json.loads(verdict.encode()) == {
        "state": "up", "since": "1970-01-01T00:00:01.500Z", "checked": "1970-01-01T00:00:02.000Z",
        "expires": "1970-01-01T00:00:03.000Z", "reason": "x",
        "counters": {"tcp 80": {"state": "up", "failures": 1, "successes": 0, "checked": "1970-01-01T00:00:02.000Z"}},
        "load": 0.5, "loaded": "1970-01-01T00:00:02.000Z", "shed": 0.05, "stepped": "1970-01-01T00:00:02.000Z",
    }  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "[]",
        "1",
        "[" * 100000,
        '{"state": 7, "counters": {"a": 1, "b": {"state": "up"}}}',
        '{"state": ["up"], "counters": {"a": {"state": {}}}}',
    ],
)
def test_what_is_no_verdict_is_read_as_none_or_without_a_state(text: str) -> None:
    found = decode(text)
    assert found is None or (found.state is None and not found.counters)


def test_a_number_that_is_none_is_left_out() -> None:
    assert decode('{"load": NaN, "shed": Infinity}') == Verdict()
    assert verdicts.decode('{"shed": 7, "load": 1, "loaded": "2026-01-01T00:00:00Z"}').shed == 1.0
    assert verdicts.decode('{"shed": 7, "load": 1}').shed == 0.0  # nobody knows for how long it was meant

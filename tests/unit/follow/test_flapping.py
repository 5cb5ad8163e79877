"""Events of sessions that flap: few, and none without a trace."""

from __future__ import annotations

from geosteer_loader.follow.flapping import MOST, SPAN, Flapping
from geosteer_loader.journal.events import Note


def note(what, peer="10.0.0.1"):
    return Note(kind="session", subject=peer, what=what)


def test_a_session_that_flaps_for_a_day_is_some_events_an_hour_and_the_last_state_is_told():
    flapping = Flapping()
    told: list[Note] = []
    for second in range(0, 86400, 10):
        told += flapping.take(note(("up", "lost")[second // 10 % 2]), float(second))
    told += flapping.due(86400.0 + SPAN)
    assert len(told) == 24 * (MOST + 1)
    assert (told[-1].what, told[-1].subject) == ("lost", "10.0.0.1")
    assert told[-1].why == f"it flaps: {360 - MOST} more events within an hour, the last of them: lost"


def test_what_happens_now_and_then_is_told_one_by_one_whatever_others_do():
    flapping = Flapping()
    for number in range(100):
        list(flapping.take(note("lost"), float(number)))
    quiet = note("whole", "10.0.0.2")
    assert list(flapping.take(quiet, 100.0)) == [quiet]
    assert list(flapping.due(200.0)) == []
    assert [each.subject for each in flapping.due(SPAN)] == ["10.0.0.1"]
    assert list(flapping.take(note("lost"), SPAN + 1)) == [note("lost")]


def test_at_the_end_what_was_not_told_is():
    flapping = Flapping()
    for number in range(MOST + 3):
        list(flapping.take(note("up"), float(number)))
    assert [each.why for each in flapping.rest()] == [
        "it flaps: 3 more events within an hour, the last of them: up"
    ]
    assert list(flapping.rest()) == []

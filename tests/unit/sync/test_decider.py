"""The bounded memory of front ends."""

from __future__ import annotations

from geosteer.sync.decider import REFRESHED, Memory


def test_a_full_memory_keeps_what_is_there_and_begins_anew_after_many_that_found_no_room():
    memory = Memory(4)
    for number in range(4):
        memory.keep(number, str(number))
    for number in range(100, 100 + 4 * REFRESHED - 1):
        memory.keep(number, "")
    assert memory == {0: "0", 1: "1", 2: "2", 3: "3"}
    memory.keep("late", "kept")
    assert memory == {"late": "kept"}
    for number in range(3 + 4 * REFRESHED - 1):
        memory.keep(number, "")
    assert "late" in memory, "the count starts over too"

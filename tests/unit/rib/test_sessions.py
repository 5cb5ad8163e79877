"""When what a session holds may be used: never half a table, whatever it does in between."""

from __future__ import annotations

import json

import pytest

from geosteer_loader.rib import saved, session
from geosteer_loader.rib.session import NEXT, Event, Phase
from geosteer_loader.rib.stream import Stream
from support.exabgp_lines import Exabgp

PEER, OTHER = "10.99.0.1", "10.99.0.2"


class World:
    """A stream with a clock that a test turns."""

    def __init__(self, kind="exabgp", known=None, **rules):
        settings = {"families": (32, 128), "min_routes": 0.9, "forget": 1000.0, **rules}
        self.now = 0.0
        self.stream = Stream(kind, now=0.0, saved=known, **settings)
        self.changed = self.stream.listen()
        self.writer = Exabgp()

    def say(self, *lines: bytes) -> None:
        for line in lines:
            self.stream.line(line, self.now)
        self.stream.tick(self.now)

    def load(self, peer=PEER, count=20, origin=174, end=("ipv4", "ipv6")) -> None:
        self.say(
            self.writer.up(peer),
            self.writer.announce(peer, [65001, origin], *(f"5.0.{number}.0/24" for number in range(count))),
            *(self.writer.eor(peer, family) for family in end),
        )

    def origins(self) -> list[int]:
        """Of 5.0.0.0/24."""
        number = (5 << 24) << 8 | 24
        return [origin for path in self.stream.paths(32, number, ()) for origin in path.origins]

    @property
    def waiting(self) -> str:
        return self.stream.waiting((), self.now)

    def told(self) -> list[str]:
        return [f"{one.what} {one.peer}" for one in self.stream.happenings()]


def test_the_table_of_states_is_the_one_that_the_module_shows():
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in session.__doc__.splitlines()
        if line.startswith("| ") and "state |" not in line
    ]
    shown = set()
    for state, events, after, _ in rows:
        for event in events.split(", "):
            shown.add((state, {"lines lost": "down"}.get(event, event), after.split(",")[0]))
    assert shown == {(state.value, event.value, after.value) for (state, event), after in NEXT.items()}


def test_nothing_counts_before_end_of_rib_of_every_family():
    world = World()
    world.load(end=("ipv6",))
    assert world.waiting == f"session {PEER}: End-of-RIB of ipv4 is missing"
    assert world.origins() == []
    world.say(world.writer.eor(PEER, "ipv4"))
    assert world.waiting == ""
    assert world.origins() == [174]
    assert len(world.changed[32]) == 20
    assert world.told() == [f"up {PEER}", f"whole {PEER}"]


def test_end_of_rib_of_a_router_that_has_nothing_yet_is_not_a_table():
    world = World()
    world.say(world.writer.up(PEER), world.writer.eor(PEER, "ipv4"), world.writer.eor(PEER, "ipv6"))
    assert world.waiting == f"session {PEER}: it has no routes"


def test_a_lost_session_goes_on_counting_until_as_much_is_there_again():
    world = World()
    world.load()
    world.changed[32].clear()
    world.say(world.writer.down(PEER))
    assert (world.waiting, world.origins()) == ("", [174])
    world.load(count=17, origin=3356)  # 85 %
    assert (world.waiting, world.origins()) == ("", [174])
    assert not world.changed[32]
    world.say(world.writer.announce(PEER, [3356], "5.1.0.0/24"))  # 90 %
    assert (world.waiting, world.origins()) == ("", [3356])
    assert len(world.changed[32]) == 21  # three are gone, one is new, the others are different
    assert world.stream.sessions[PEER].losses == 1


def test_a_session_that_flaps_changes_nothing_in_between():
    world = World()
    world.load()
    world.changed[32].clear()
    for _ in range(5):
        world.say(world.writer.down(PEER))
        world.load(count=5, origin=3356)
        world.now += 10
    assert not world.changed[32]
    assert world.origins() == [174]


def test_a_refused_connection_is_neither_a_session_nor_the_loss_of_one():
    world = World()
    world.say(world.writer.connected(PEER), world.writer.down(PEER))
    assert world.stream.sessions[PEER].losses == 0
    assert world.told() == []


def test_a_missing_line_ends_a_session_until_it_comes_up_anew():
    world = World()
    world.load()
    world.writer.announce(PEER, [3356], "5.0.0.0/24")  # lost on the way
    world.say(world.writer.announce(PEER, [3356], "5.0.1.0/24"))
    assert world.stream.sessions[PEER].phase is Phase.LOST
    world.say(world.writer.announce(PEER, [3356], "5.0.0.0/24"))
    assert world.origins() == [174]
    world.load(origin=3356)
    assert world.origins() == [3356]


def test_a_new_connection_that_goes_on_where_the_last_one_ended_does_not_bring_its_sessions_back():
    world = World()
    world.load()
    world.stream.disconnected("the connection ended", world.now)
    world.stream.connected(world.now)
    world.say(world.writer.announce(PEER, [3356], "5.0.0.0/24"))
    assert world.stream.sessions[PEER].phase is Phase.LOST
    assert world.origins() == [174]


def test_one_of_two_sessions_may_be_away_while_the_other_goes_on():
    world = World()
    world.load()
    world.load(OTHER, origin=3356)
    world.say(world.writer.down(PEER))
    world.say(world.writer.announce(OTHER, [15169], "5.0.0.0/24"))
    assert world.waiting == ""
    assert world.origins() == [174, 15169]


def test_a_new_session_does_not_hold_up_what_others_count():
    world = World()
    world.load()
    world.load(OTHER, end=())
    assert world.waiting == ""


def test_a_session_that_stays_away_is_forgotten_in_the_end():
    world = World()
    world.load()
    world.load(OTHER, origin=3356)
    world.say(world.writer.down(PEER))
    world.now = 999.0
    world.say()
    assert world.origins() == [174, 3356]
    world.now = 1000.0
    world.say()
    assert world.origins() == [3356]
    assert world.told()[-1] == f"forgotten {PEER}"


def test_a_session_that_has_become_smaller_for_good_counts_in_the_end():
    world = World()
    world.load()
    world.say(world.writer.down(PEER))
    world.load(count=5, origin=3356)
    world.now = 1000.0
    world.say()
    assert world.origins() == [3356]


def test_after_a_restart_every_session_of_before_is_waited_for_and_as_many_routes():
    world = World()
    world.load()
    world.load(OTHER)
    text = saved.text({"one": world.stream}, 1_000_000.0)
    again = World(known=saved.read(text, 1_000_000.0)["one"])
    assert again.waiting == f"session {PEER}: it is waiting"
    again.load()
    assert again.waiting == f"session {OTHER}: it is waiting"
    again.load(OTHER, count=10)
    assert again.waiting == f"session {OTHER}: it has 10 prefixes of ipv4, and had 20"
    again.say(again.writer.announce(OTHER, [174], *(f"5.0.{number}.0/24" for number in range(20))))
    assert again.waiting == ""


def test_a_session_that_stays_away_after_a_restart_is_forgotten_too():
    world = World()
    world.load()
    world.load(OTHER)
    world.now = 500.0
    again = World(known=saved.read(saved.text({"one": world.stream}, 0.0), 0.0)["one"])
    again.load()
    again.now = 1000.0
    again.say()
    assert again.waiting == ""


@pytest.mark.parametrize(
    "content",
    [
        "", "[]", "{}", "null", '{"version": 2}', '{"version": 1}', '{"version": 1, "streams": []}',
        '{"version": 1, "streams": {"a": 1}}', '{"version": 1, "streams": {"a": {"b": {}}}}', "[" * 100_000,
        '{"version": 1, "streams": {"a": {"b": {"prefixes": {"ipv4": -1, "ipv6": 0}, "lost": null}}}}',
        '{"version": 1, "streams": {"a": {"b": {"prefixes": {"ipv4": 1, "ipv6": 0}, "lost": "x"}}}}',
        '{"version": 1, "streams": {"a": {"\\ud800": {"prefixes": {"ipv4": 1, "ipv6": 0}, "lost": null}}}}',
    ],
)  # fmt: skip
def test_a_damaged_state_is_refused(content):
    with pytest.raises(ValueError, match=r".+"):
        saved.read(content, 0.0)


def test_a_stream_without_end_of_rib_is_whole_when_its_routes_have_settled():
    world = World("gobgp", families=())
    world.stream.connected(0.0)

    def announce(*thirds: int) -> None:
        routes = [
            {
                "nlri": {"prefix": f"5.0.{third}.0/24"},
                "attrs": [{"type": 2, "as_paths": [{"segment_type": 2, "asns": [174]}]}],
            }
            for third in thirds
        ]
        world.say(json.dumps(routes).encode())

    for second in range(12):
        world.now = float(second)
        announce(second)
        assert world.waiting
    world.now = 20.9
    announce(1)
    assert world.waiting == "session gobgp: the number of its prefixes has not settled"
    world.now = 21.1
    announce(2)
    assert world.waiting == ""
    world.stream.disconnected("gobgp ended", 22.0)
    assert world.origins() == [174]


def test_no_more_sessions_are_kept_than_there_may_be():
    world = World()
    for number in range(70):
        world.say(world.writer.up(f"10.1.0.{number}"))
    assert len(world.stream.sessions) == 64
    assert world.stream.counts.bad == 6
    assert world.stream.last_bad == "more than 64 sessions"


def test_events_without_a_row_change_nothing():
    for phase in Phase:
        for event in Event:
            assert (phase, event) in NEXT or event in {Event.DOWN, Event.WHOLE, Event.FORGOTTEN}

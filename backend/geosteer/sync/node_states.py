"""What Redis keys that change hold, as one worker last read them: node states, overrides, beats. No I/O."""

from __future__ import annotations

from geosteer.decision.node_state import NodeState, Override
from geosteer.timestamps import parse_time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

LONGEST_PERIOD = 86400.0
"""Seconds; a longer period counts as this one: else a beat could promise nothing for years, and switch off what it is for."""
FOREVER = 1e9
"""Seconds; no writer has a longer period, and a beat that says so is ignored."""
EARLIEST = 1767225600.0
"""2026-01-01, seconds since 1970: a clock that tells an earlier time was never set."""
ASTRAY = 3600.0
"""Seconds that a beat's time may be off the server's own, a replica's included; one that is further off is ignored."""
LONGEST = 4096
"""Characters of a field or of its name; what is longer counts as absent."""
STEP = 1.0
"""Seconds by which the clock may move before answers are decided anew that are remembered until some time."""
MISSED = 3
"""Periods without a beat after which node states count as frozen."""


class Mirror:
    """Node states with their overrides, and who keeps them."""

    __slots__ = (
        "_beats", "_clock_base", "_noted_base", "_pushed", "_told", "_wall", "ending", "fields", "overrides", "states",
    )  # fmt: skip

    def __init__(self, wall: Callable[[], float] = lambda: 0.0) -> None:
        """Args: wall: this machine's own clock, seconds since 1970; 0 where it has none."""
        self._wall = wall
        self.states: dict[str, NodeState] = {}
        self.fields: dict[str, dict[str, str]] = {}
        """Node -> the fields of its hash, as read."""
        self.overrides: dict[str, str] = {}
        """Node -> JSON, as read."""
        self.ending = False
        """Whether any of the overrides ends by itself."""
        self._beats: dict[str, tuple[str, float, float, float]] = {}
        """Writer -> its beat as read, when that was read, its period, and the time that it tells."""
        self._clock_base: float | None = None
        self._noted_base: float | None = None
        """The clock's base when it was last seen to have stepped."""
        self._told: float | None = None
        """The time that the server told, less the monotonic time; None: it was not asked yet, or may not be."""
        self._pushed = False
        """The clock is that of a beat that was just written."""

    def set_node(self, name: str, fields: Mapping[str, str]) -> bool:
        """Take in a node's hash; returns whether anything changed."""
        before = self.fields.get(name, {})
        fields = dict(fields)
        for key, text in list(fields.items()):
            if len(text) > LONGEST or len(key) > LONGEST:
                del fields[key]
        self.fields[name] = fields
        if before == fields:
            return False
        self._state(name).update(fields)
        return True

    def set_overrides(self, overrides: Mapping[str, str]) -> tuple[bool, list[str]]:
        """Take in the hash of overrides; returns whether anything changed, and the nodes whose text cannot be read."""
        if overrides == self.overrides:
            return False, []
        bad, ending = [], False
        for name in self.overrides.keys() - overrides.keys():
            self._state(name).override = None
        for name, text in overrides.items():
            state = self._state(name)
            try:
                state.override = override = Override.read(text if len(text) <= LONGEST else "")
                ending = ending or override.until is not None
            except ValueError:
                state.override = None  # as for a worker that starts now
                bad.append(name)
        self.overrides, self.ending = dict(overrides), ending
        return True, bad

    def set_beats(self, beats: Mapping[str, str], now: float, *, pushed: bool) -> list[str]:
        """Take in the hash of beats; returns the writers whose beat tells a time that is not believed.

        Such a beat is a sign of life all the same: who wrote it is there, only its time is `ASTRAY`.
        Args: now: the worker's monotonic time; pushed: it was read because a beat arrived.
        """
        astray = []
        for writer in self._beats.keys() - beats.keys():
            del self._beats[writer]
        for writer, text in beats.items():
            known = self._beats.get(writer)
            if known is not None and known[0] == text:
                continue
            parts = text.split() if len(text) <= LONGEST else []
            try:
                when, period = parse_time(parts[1]), float(parts[2])
            except (ValueError, IndexError):
                continue
            if not 0 <= period < FOREVER:
                continue
            self._beats[writer] = (text, now, min(period, LONGEST_PERIOD), when)
            witnesses = self._witnesses(writer, now) if pushed or self._told is not None else []
            if _far(when, witnesses, late=pushed):
                astray.append(writer)
            elif pushed:
                self._clock_base = when - now  # a beat that stood there at the start may be of any age
                self._pushed = True
        return astray

    def _witnesses(self, writer: str, now: float) -> list[float]:
        """What else tells the time: the server; where it may not be asked, other writers and a clock here that was set."""
        if self._told is not None:
            return [self._told + now]
        others = [told + now - seen for name, (_, seen, _, told) in self._beats.items() if name != writer]
        wall = self._wall()
        return [*others, wall] if wall >= EARLIEST else others

    def ahead(self, now: float) -> list[str]:
        """The writers whose beat, whenever it was written, tells a time that is still to come by everything else."""
        return [
            writer for writer, (_, seen, _, told) in self._beats.items()
            if _far(told + now - seen, self._witnesses(writer, now), late=False)
        ]  # fmt: skip

    def set_clock(self, when: float, now: float) -> None:
        """Take in the server's own time: better than this machine's own, until a beat is pushed.

        A replica's clock may be off, and is ignored once a beat of the primary has come; it is never earlier than a beat
        that is not `ASTRAY`.
        """
        self._told = when - now
        if not self._pushed:
            times = [time for *_, time in self._beats.values() if time <= when + ASTRAY]
            self._clock_base = max([when, *times]) - now

    def clock_stepped(self) -> bool:
        """Whether the clock has moved by `STEP` or more since this last said so."""
        base, noted = self._clock_base, self._noted_base
        if base is None or (noted is not None and abs(base - noted) < STEP):
            return False
        self._noted_base = base
        return True

    def time(self, now: float, wall: float) -> float:
        """Seconds since 1970 at the monotonic time *now*, by the writers' clock; *wall* before anything was heard."""
        return wall if self._clock_base is None else self._clock_base + now

    def frozen(self, now: float) -> list[str]:
        """The writers that promised to keep node states, when all of them have fallen silent; one live writer is enough."""
        ends = self.frozen_at()
        return list(self._beats) if ends is not None and now > ends else []

    def frozen_at(self) -> float | None:
        """Monotonic time at which the last writer will count as silent; None: there are no writers."""
        return max(
            (seen + MISSED * period for _, seen, period, _ in self._beats.values() if period > 0),
            default=None,
        )

    def forget_others(self, names: Mapping[str, object]) -> None:
        """Drop nodes that are no longer configured."""
        for name in self.fields.keys() - names.keys():
            del self.fields[name]
            self._state(name).update({})

    def _state(self, name: str) -> NodeState:
        state = self.states.get(name)
        if state is None:
            state = self.states[name] = NodeState()
        return state


def _far(when: float, witnesses: Sequence[float], *, late: bool) -> bool:
    """Whether a time is `ASTRAY` of every witness: after it, or with *late* before it as well; never without witnesses."""
    offs = [when - witness for witness in witnesses]
    return bool(offs) and all(off > ASTRAY or (late and off < -ASTRAY) for off in offs)

"""What decided about clients at a time in the past: generation, node states and overrides, by history and journal.

Decisions are functions of these, of the client and of the time, so that `Timeline(store).at(time).context` takes the
place of what is published now wherever a `Context` is asked for: `explain.explain_in(context, ...)`, the web page, the
replay of a decision log.

The state of a node at T is the `after` of its last event up to T, else the `before` of its first one later, else what stands
in Redis. Where one event's `before` is not the last one's `after`, somebody wrote past the journal, which is told.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any

from geosteer.errors import ConfigError, StoreError
from geosteer.sync.node_states import Mirror
from geosteer.timestamps import format_time_ms
from geosteer_loader.journal.events import OVERRIDES, STATES, node_fields, node_text, not_after
from geosteer_loader.journal.reading import read
from geosteer_loader.query.context import LIVE, Context
from geosteer_loader.store import current, history, node_states
from geosteer_loader.store.generation_view import View

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from geosteer.decision.node_state import NodeState
    from geosteer_loader.journal.events import Event
    from geosteer_loader.store.history import Entry
    from geosteer_loader.store.store import Store

GENERATIONS = frozenset({"publish", "rollback", "live"})
"""Kinds of events whose `before` and `after` are numbers of generations."""

NEAR = 1.0
"""Seconds around a moment in which an event may not have reached every worker, or had already."""

ANSWERS = (*STATES, *OVERRIDES, "expired", "publish", "rollback")
"""Kinds of events that change answers at once."""

AHEAD = 1.0
"""Seconds that a moment may be ahead of the server's clock and still count as now."""


class OutOfReach(StoreError):
    """History or journal do not reach back to the moment that is asked about."""

    def __init__(self, text: str, since: float | None) -> None:
        super().__init__(text)
        self.since = since
        """From when on they do, seconds since 1970; None: they tell nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """All that decided about clients at one moment, as far as it was written down."""

    time: float
    """Seconds since 1970, by the primary's clock."""
    entry: Entry
    """The generation in force, or the one that was asked for."""
    document: Mapping[str, Any]
    """Its configuration document."""
    context: Context
    """For `explain.explain_in`, with states and overrides as they were."""
    near: Sequence[Event]
    """Events within `NEAR` seconds: a worker may have answered without them, or with them already."""
    doubts: Sequence[str]
    """What is not certain: nodes whose state or override was changed past the journal around that time; one line each."""
    program: str
    """Version of the program that published the generation; "": not known."""
    sheds: Mapping[str, Event]
    """Node that shed then -> the event with which it began to shed as much, which names its load."""

    @property
    def states(self) -> Mapping[str, NodeState]:
        """Node -> its state, with its override."""
        return self.context.states

    @property
    def overrides(self) -> Mapping[str, str]:
        """Node -> JSON of its override, in force at `time` or not."""
        return self.context.overrides

    def endings(self, seconds: float = NEAR) -> list[tuple[str, float]]:
        """Nodes whose override ends by itself at most *seconds* before or after, and when."""
        return [
            (name, state.override.until)
            for name, state in self.states.items()
            if state.override is not None
            and state.override.until is not None
            and abs(state.override.until - self.time) <= seconds
        ]


def kept_generation(entries: Sequence[Entry], generation: int) -> Entry:
    """The one with that number. Raises: OutOfReach: it is not kept; the text has those that are."""
    for entry in entries:
        if entry.generation == generation:
            return entry
    names = ", ".join(str(entry.generation) for entry in entries) or "none"
    since = entries[0].written if entries else None
    raise OutOfReach(f"generation {generation} is not kept; there are: {names}", since)


class _Track:
    """The events of one hash or field: what it held when."""

    __slots__ = ("events", "times")

    def __init__(self, events: list[Event]) -> None:
        self.events = events
        self.times = list(accumulate((event.time for event in events), max))

    def at(self, time: float) -> str | None:
        """What it held; None: as it stands in Redis now."""
        place = bisect_right(self.times, time)
        if place:
            return self.events[place - 1].after
        return self.events[0].before if self.events else None

    def shed_since(self, time: float) -> Event | None:
        """The last event up to *time* that changed a node's shed."""
        for event in reversed(self.events[: bisect_right(self.times, time)]):
            if node_fields(event.after).get("shed") != node_fields(event.before).get("shed"):
                return event
        return None

    def doubt(self, time: float, now: str, asked: float) -> str:
        """Between which events it was changed by somebody whom the journal does not name; "": it was not, around *time*.

        Args: now: what stands in Redis; asked: when that was read.
        """
        place = bisect_right(self.times, time)
        before = self.events[place - 1] if place else None
        after = self.events[place] if place < len(self.events) else None
        if before is not None and after is not None and before.after != after.before:
            return f"between {format_time_ms(before.time)} and {format_time_ms(after.time)}"
        return self.changed_since(now, asked) if after is None else ""

    def changed_since(self, now: str, asked: float) -> str:
        """The same, for the time after the last event."""
        last = self.events[-1] if self.events else None
        if last is None or last.after == now or last.time >= asked - NEAR:
            return ""
        return f"after {format_time_ms(last.time)}"

    def gaps(self) -> list[tuple[Event, Event]]:
        """Events that follow each other, of which the second does not begin with what the first ended with."""
        return [(before, after) for before, after in pairwise(self.events) if before.after != after.before]


class Timeline:
    """Journal, history and what stands in Redis, read once; any number of moments can be asked for."""

    def __init__(self, store: Store) -> None:
        """Raises: StoreError."""
        self._store = store
        self._views: dict[str, View] = {}
        self.now = store.now()
        """When it was read, seconds since 1970."""
        # States before the journal: what changes in between is then an event, whose `before` counts.
        self._overrides_now = store.hash(store.keys.override)
        self._hashes: dict[str, dict[str, str]] = {}
        fields = current.read(store)
        if "config" in fields:
            self._read_hashes(list(current.document(store, fields)["nodes"]))
        self.generations: Sequence[Entry] = history.entries(store)
        """Those that are kept, oldest first."""
        self._written = [entry.written for entry in self.generations]
        self.events: Sequence[Event] = [not_after(event, self.now) for event in read(store)]
        """The whole journal, oldest first."""
        self._times = list(accumulate((event.time for event in self.events), max))
        self._states = _tracks(self.events, STATES)
        self._overrides = _tracks(self.events, OVERRIDES)
        self._programs = {event.after: event.by for event in self.events if event.kind in GENERATIONS}

    @property
    def since(self) -> float | None:
        """The first moment that can be asked for, seconds since 1970; None: there is none."""
        if not self.events or not self.generations:
            return None
        return max(self._times[0], self.generations[0].written)

    def at(self, time: float, generation: int | None = None) -> Past:
        """What was in force at *time*, seconds since 1970. Args: generation: take this one, whichever was in force.

        Raises: OutOfReach: journal or history do not tell. ConfigError: it lies in the future. StoreError.
        """
        if time > self.now + AHEAD:
            raise ConfigError([f"{format_time_ms(time)} lies in the future"])
        entry = self._entry(time) if generation is None else self.entry(generation)
        self._check_reach(time)
        view = self._view(entry)
        names = list(view.generation.model.nodes)
        mirror, doubts = self._mirror(names, time)
        if generation is None:
            doubts += self._left_out(entry)
        return Past(
            time=time,
            entry=entry,
            document=view.generation.document,
            context=Context(
                model=view.generation.model,
                cell=view.cell,
                states=mirror.states,
                overrides=mirror.overrides,
                loads={},
                now=time,
                generation=entry.generation,
                tier=LIVE,
            ),
            near=self.near(time),
            doubts=doubts,
            program=self._programs.get(str(entry.generation), ""),
            sheds={
                name: event
                for name, state in mirror.states.items()
                if state.shed and (event := self._states.get(name, _NONE).shed_since(time)) is not None
            },
        )

    def near(self, time: float, seconds: float = NEAR) -> list[Event]:
        """Events that change answers, at most *seconds* before or after a moment."""
        low, high = bisect_left(self._times, time - seconds), bisect_right(self._times, time + seconds)
        return [event for event in self.events[low:high] if event.kind in ANSWERS]

    def entry(self, generation: int) -> Entry:
        """A kept generation. Raises: OutOfReach: it is not kept."""
        return kept_generation(self.generations, generation)

    def tracks(self) -> dict[str, Mapping[str, _Track]]:
        """What the journal follows -> node -> its events; generations under ""."""
        generations = _Track([event for event in self.events if event.kind in GENERATIONS])
        return {"generation": {"": generations}, "state": self._states, "override": self._overrides}

    def unexplained(self) -> list[str]:
        """Where what stands in Redis is not what the last event says, one line each. Raises: StoreError."""
        self._read_hashes(list(self._states))
        lines = [
            f"state of {name}: changed past the journal {when}"
            for name, track in self._states.items()
            if (when := track.changed_since(node_text(self._hashes[name]), self.now))
        ]
        return lines + [
            f"override of {name}: changed past the journal {when}"
            for name, track in self._overrides.items()
            if (when := track.changed_since(self._overrides_now.get(name, ""), self.now))
        ]

    def _entry(self, time: float) -> Entry:
        place = bisect_right(self._written, time)
        if not place:
            raise self._out_of_reach(time)
        return self.generations[place - 1]

    def _left_out(self, entry: Entry) -> list[str]:
        """Whether later generations may have been in force that are not kept."""
        place = self.generations.index(entry) + 1
        if place == len(self.generations):
            return []
        following = self.generations[place]
        many = following.generation - entry.generation - 1
        if many < 1:
            return []
        since, until = format_time_ms(entry.written), format_time_ms(following.written)
        return [
            f"tables of BGP sessions are those of {since}: {many} generations up to {until} are no longer kept"
        ]

    def _check_reach(self, time: float) -> None:
        if not self.events or time < self._times[0]:
            raise self._out_of_reach(time)

    def _out_of_reach(self, time: float) -> OutOfReach:
        first = self.generations[0] if self.generations else None
        kept = (
            f"the first generation that is kept is {first.generation}, published at {format_time_ms(first.written)}"
            if first
            else "no generation is kept"
        )
        begins = f"begins at {format_time_ms(self._times[0])}" if self._times else "is empty"
        from_then = f"; both tell from {format_time_ms(self.since)} on" if self.since is not None else ""
        return OutOfReach(
            f"{self._store.name}: {format_time_ms(time)} is out of reach: {kept} ([guard] keep, keep_for); "
            f"the journal {begins} ([journal] keep, max_length){from_then}",
            self.since,
        )

    def _view(self, entry: Entry) -> View:
        key = entry.id
        if key not in self._views:
            while len(self._views) >= VIEWS:
                del self._views[next(iter(self._views))]
            self._views[key] = View(self._store, entry.fields)
        return self._views[key]

    def _mirror(self, names: Sequence[str], time: float) -> tuple[Mirror, list[str]]:
        """States and overrides at that time, and where they are not certain."""
        self._read_hashes(names)
        mirror, doubts = Mirror(), []
        overrides = {}
        for name in names:
            track = self._states.get(name, _NONE)
            now = self._hashes[name]
            text = track.at(time)
            mirror.set_node(name, now if text is None else node_fields(text))
            if doubt := track.doubt(time, node_text(now), self.now):
                doubts.append(f"{name}: its state was written past the journal {doubt}")
            track = self._overrides.get(name, _NONE)
            override = track.at(time)
            override = self._overrides_now.get(name, "") if override is None else override
            if override:
                overrides[name] = override
            if doubt := track.doubt(time, self._overrides_now.get(name, ""), self.now):
                doubts.append(f"{name}: its override was written past the journal {doubt}")
        mirror.set_overrides(overrides)
        return mirror, doubts

    def _read_hashes(self, names: Sequence[str]) -> None:
        """What stands in Redis of these nodes. Those that are not configured any more are not written either."""
        unread = [name for name in names if name not in self._hashes]
        if unread:
            self._hashes.update(node_states.read(self._store, unread).fields)


VIEWS = 8
"""Generations whose pages are kept in memory."""

_NONE = _Track([])


def _tracks(events: Sequence[Event], kinds: Sequence[str]) -> dict[str, _Track]:
    by_subject: dict[str, list[Event]] = {}
    for event in events:
        if event.kind in kinds:
            by_subject.setdefault(event.subject, []).append(event)
    return {subject: _Track(found) for subject, found in by_subject.items()}

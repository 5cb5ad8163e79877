"""A worker's connection to what is published: reads it, and reads again what is announced to have changed. Nothing blocks."""

from __future__ import annotations

from hiredis import ReplyError

from geosteer.counters.counters import ERRORS, RECONNECTIONS, REDIS_ERRORS
from geosteer.keys import Keys
from geosteer.resp.link import Link, wrong_type
from geosteer.sync import states
from geosteer.sync.adoption import Adopter, Unusable
from geosteer.sync.handshake import Handshake
from geosteer.sync.leaf_requests import LeafRequests
from geosteer.sync.node_states import Mirror

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any, Protocol

    from geosteer.counters.counters import Counters
    from geosteer.resp.url import Address
    from geosteer.settings import Settings
    from geosteer.sync.generation import Generation

    class Changed(Protocol):
        """What is called after a change."""

        def __call__(self, *, tables_alone: bool = False, states_alone: bool = False) -> None:
            """Take note.

            Args:
                tables_alone: what a service gives for a record stays as it is.
                states_alone: only what is known of nodes, so that answers come from where they came from.
            """


BACKOFF = (0.05, 0.5)
"""Seconds before a connection is tried again: at first, at most."""
POLL_EVERY = 1.0
"""Seconds between reads where pushes cannot be had, or where what is published cannot be used."""
STEADY = 2.0
"""Seconds that a connection must be live before the troubles of earlier ones are forgotten."""
CLOSING = "closed"
"""Why a connection ends that this program ends itself."""
STEP = 0.0004
"""Seconds that adopting a generation goes on for at once; a single piece of it may take a little longer."""
FIRST_STEP = 0.005
"""The same while there is nothing to answer from."""
REST = 0.004
"""Seconds between two such steps: all workers of a host adopt at the same time, and answer questions meanwhile."""
STARVED = 0.008
"""Seconds after a step until the next is taken although a question waits."""
ELSEWHERE = 10.0
"""Seconds between attempts to find a server whose node states are not frozen, where there are several."""


class Follower:
    """Follows what is published under one prefix of one Redis."""

    def __init__(
        self, settings: Settings, random: Callable[[int], int], clock: Callable[[], float],
        say: Callable[[str, str], None], changed: Changed, learnt: Callable[[], None],
        wall: Callable[[], float], counters: Counters, hurry: Callable[[], None],
    ) -> None:  # fmt: skip
        """Make a follower that has not begun to connect.

        Args:
            random: below(n), uniform in 0..n-1.
            clock: monotonic seconds.
            say: takes a topic and a line for the log, "" when the trouble is over.
            changed: called after every change that may change an answer, or where answers come from; *tables_alone*: it is
                none of what a service gives for a record; *states_alone*: where answers come from has not changed.
            learnt: called when something came that is worth keeping on disk.
            wall: this machine's own clock, seconds since 1970.
            counters: take trouble with Redis, and tell the connection's name.
            hurry: called when `work` has something to do.
        """
        self.keys = keys = Keys(settings.prefix)
        self.state = states.AWAY
        """One of `states`."""
        self.generation: Generation | None = None
        self.mirror = Mirror(wall)
        self.first = True
        """No connection was lost yet: a question waits for the very first one only."""
        self.proof: float | None = None
        """When Redis was last known to be well, before it was not."""
        self.reading = 0
        """Reads of node states and overrides under way: an answer waits for them if it may."""
        self.address = settings.address
        self._random, self._clock = random, clock
        self._say, self._changed, self._learnt = say, changed, learnt
        self._counters = counters
        self._handshake = Handshake(settings, keys, say, counters.front_end)
        self.link = _link_kind(self.address)(
            self.address,
            settings.timeout,
            clock,
            self._handshake.greet,
            self._opened,
            self._pushed,
            self._closed,
            settings.tls,
        )
        self.leaves = LeafRequests(self.link, keys.object, settings.cache, say, self._doubt_current)
        self._adopter = Adopter(
            self.link, keys.object, self.leaves, self._fresh, self._in_force, self._cannot_adopt, hurry
        )
        self._next_step = 0.0
        self._last_moment = 0.0
        self._dirty: dict[str, None] = {}
        self._retry_at: float | None = None
        self._backoff = BACKOFF[0]
        self._next_poll = 0.0
        self._next_leave = 0.0
        self._steady_at: float | None = None

    @property
    def live(self) -> bool:
        """Whether the connection stands and all that was asked for on opening is in."""
        return self.state in states.LIVE

    @property
    def usable(self) -> bool:
        """Whether what stands under `current` is in force."""
        return self.state == states.LIVE_USABLE

    @property
    def foreign(self) -> bool:
        """Whether it is not, but only because it is of another schema."""
        return self.state == states.LIVE_FOREIGN

    def start(self) -> None:
        """Begin to connect."""
        self.link.connect()
        self._changed()

    def tick(self, now: float) -> float:
        """Do what time calls for; returns the monotonic time to be called again at the latest."""
        if self._retry_at is not None and now >= self._retry_at:
            self._retry_at = None
            self.start()
        due = min(self.link.tick(now), now + POLL_EVERY)
        if self._steady_at is not None and now >= self._steady_at:
            self._steady_at = None
            self._backoff = BACKOFF[0]
            self._say("link", "")
        if self.live and not (self._handshake.pushes and self.usable) and now >= self._next_poll:
            self._next_poll = now + POLL_EVERY  # without pushes; or a repair may come without an announcement
            self._dirty_all()
            self.pump()
        if self.live and self.link.several and now >= self._next_leave and self.mirror.frozen(now):
            self._next_leave = now + ELSEWHERE
            self.link.leave("node states are frozen there")
        return due if self._retry_at is None else min(due, self._retry_at)

    @property
    def ready(self) -> bool:
        """Whether `work` has a step to take, now or after a rest."""
        return self._adopter.ready

    def work(self, now: float, *, idle: bool) -> float | None:
        """Bring what is announced a step nearer; returns when to be called again (monotonic), None: nothing is to be done.

        Between two steps there is a rest, in which other processes have the processor, while there is anything to answer from.
        Args: idle: no question is waiting; else a step is taken only when none was for long.
        """
        adopter = self._adopter
        if not adopter.ready:
            return None
        if self.generation is not None and now < (self._next_step if idle else self._last_moment):
            return self._next_step
        adopter.step(self._clock, STEP if self.generation is not None else FIRST_STEP)
        now = self._clock()
        self._next_step, self._last_moment = now + REST, now + STARVED
        if not adopter.ready:
            return None
        return self._next_step if self.generation is not None else now

    def pump(self) -> None:
        """Read again what was announced to have changed."""
        if self._dirty and self.link.up:
            self._read_dirty(pushed=True)
            self.link.writable()

    @property
    def at_rest(self) -> bool:
        """Whether all is read and in force, and nothing is under way: then others may read states, for `take`."""
        return self.state == states.LIVE_USABLE and not self._dirty and not self.reading and self.link.at_rest

    def take(self, key: str, sent_at: float, unsent: bytes, reply: bytes | Mapping[str, str]) -> bool:
        """Go on where the hash of overrides, or of a node's state, was asked for at rest.

        All workers of a host do so at once, and each finds its caches cold: what counts is how little code it takes.

        Args: reply: the hash; or what came instead, with *sent_at* and *unsent* as for `Link.take`.
        Returns: whether it was the hash: then nothing else has changed, and nothing is under way.
        """
        name = "" if key == self.keys.override else key[len(self.keys.nodes) :]
        if not isinstance(reply, bytes):
            self.link.heard()
            self._say(key, "")
            self._place(name, reply)
            return True
        self.reading += 1
        self.link.take(("HGETALL", key), self._taker(name), sent_at, unsent, reply)
        if self.reading:
            self._changed(states_alone=True)
        self.pump()
        self.link.writable()
        return False

    def _taker(self, name: str) -> Callable[[Any], None]:
        """What takes the state of a node, or the overrides ("")."""

        def take(reply: Any) -> None:
            self.reading -= 1
            self._note(name, reply)

        return take

    def _note(self, name: str, reply: Any) -> None:
        """Take in what came for the state of a node, or for the overrides ("")."""
        fields = self._fields(self.keys.node(name) if name else self.keys.override, reply)
        if fields is not None:
            self._place(name, fields)

    def _place(self, name: str, fields: Mapping[str, str]) -> None:
        """Take in the hash of a node's state, or of the overrides ("")."""
        if name:
            changed = self.mirror.set_node(name, fields)
        else:
            changed, bad = self.mirror.set_overrides(fields)
            names = ", ".join(sorted(bad))
            self._say("override", f"override of {names} cannot be read and is ignored" if names else "")
        if changed:
            self._changed(states_alone=True)
            self._learnt()

    def _become(self, event: str) -> None:
        """Go on to the state that follows."""
        before = self.state
        self.state = after = states.TRANSITIONS[before][event]
        if before in states.WELL and after not in states.WELL:
            self.proof = self._clock()
        if after in states.LIVE and before not in states.LIVE:
            self._steady_at = self._clock() + STEADY
            if not self.first:
                self._counters.count(RECONNECTIONS)
        if after != before:
            self._changed()

    def _opened(self) -> None:
        self._forget_requests()
        self._become(states.OPENED)
        self._dirty_all()
        self._read_dirty(pushed=False)
        self.link.ask(("TIME",), self._take_time)
        self.link.ask(
            ("PING",), lambda reply: self._become(states.READ) if self.link.accepts(reply) else None
        )

    def _closed(self, reason: str) -> None:
        self.first = False
        self._steady_at = None
        self._forget_requests()
        if reason != CLOSING:
            self._count_error(_kind_of(reason))
        self._say("link", f"{self.address}: {reason}")
        jitter = 0.5 + self._random(1024) / 2048
        self._retry_at = self._clock() + self._backoff * jitter
        self._backoff = min(2 * self._backoff, BACKOFF[1])
        self._become(states.CLOSED)
        self._changed()

    def _count_error(self, kind: str) -> None:
        self._counters.count(ERRORS + REDIS_ERRORS.index(kind))

    def lose(self) -> None:
        """Count the connection as lost, for an exception on the way to its end."""
        self._forget_requests()
        self._retry_at = self._clock() + BACKOFF[1]
        self.state = states.TRANSITIONS[self.state][states.CLOSED]

    def _forget_requests(self) -> None:
        self.reading = 0
        self._adopter.drop()
        self.leaves.forget()
        # those of a generation that was on its way were not all read
        self.mirror.forget_others(self.generation.model.nodes if self.generation is not None else {})

    def _pushed(self, push: Any) -> None:
        if push[0] != b"invalidate":
            return
        if push[1] is None:  # everything was dropped: FLUSHALL, or a replica's full resync
            self._dirty_all()
            return
        for key in push[1]:
            self._dirty[key.decode("utf-8", "replace")] = None

    def _dirty_all(self) -> None:
        keys = self.keys
        for key in (keys.current, keys.override, keys.beat):
            self._dirty[key] = None
        for name in self.mirror.fields:
            self._dirty[keys.node(name)] = None

    def _read_dirty(self, *, pushed: bool) -> None:
        keys, link = self.keys, self.link
        dirty, self._dirty = self._dirty, {}
        if len(dirty) > 1:  # `current` first: where it is gone, the others are not believed
            dirty = dict.fromkeys(sorted(dirty, key=lambda key: key != keys.current))
        for key in dirty:
            if key == keys.current:
                link.ask(("HGETALL", key), self._take_current)
            elif key == keys.override:
                self.reading += 1
                link.ask(("HGETALL", key), self._taker(""))
            elif key == keys.beat:
                link.ask(("HGETALL", key), lambda reply: self._take_beats(reply, pushed=pushed))
            elif key.startswith(keys.nodes):
                name = key[len(keys.nodes) :]
                if (
                    self.generation is None
                    or name in self.generation.model.nodes
                    or name in self.mirror.fields
                ):
                    self._ask_node(name)
        if self.reading:
            self._changed(states_alone=True)  # an answer that is remembered may be outdated already

    def _ask_node(self, name: str) -> None:
        self.reading += 1
        self.link.ask(("HGETALL", self.keys.node(name)), self._taker(name))

    def _take_beats(self, reply: Any, *, pushed: bool) -> None:
        beats = self._fields(self.keys.beat, reply)
        if beats is None:
            return
        now, mirror = self._clock(), self.mirror
        before = mirror.frozen(now)
        self._say_astray(mirror.set_beats(beats, now, pushed=pushed))
        # every other beat changes no answer, and what is remembered stays
        if mirror.clock_stepped() or mirror.frozen(now) != before:
            self._changed()

    def _say_astray(self, writers: list[str]) -> None:
        names = ", ".join(sorted(writers))
        self._say("time", f"the time that the beat of {names} tells is not believed" if names else "")

    def _take_time(self, reply: Any) -> None:
        """Overrides end by the clock of those who write them, not by that of this machine."""
        if not isinstance(reply, ReplyError):  # not allowed to ask: the next beat tells the time
            self.mirror.set_clock(int(reply[0]) + int(reply[1]) / 1e6, self._clock())
        self._say_astray(self.mirror.ahead(self._clock()))
        if self.mirror.clock_stepped():
            self._changed()

    def _fields(self, key: str, reply: Any) -> Mapping[str, str] | None:
        """What a reply says of node states; None: nothing, since it is an error, or nothing is published there.

        Of a key of the wrong type the last known content stays, since the nodes there may be down; all others stay live.
        """
        if not isinstance(reply, ReplyError):
            self._say(key, "")
            return None if self.state in states.EMPTY else reply
        if wrong_type(reply):
            self._count_error("wrong_type")
            self._say(key, f"{key}: {reply}: its last known content counts")
        else:
            self._say(key, "")
            self.link.accepts(reply)
        return None

    def _take_current(self, reply: Any) -> None:
        if wrong_type(reply):
            if self.state in states.EMPTY:
                self._dirty_all()
            self._adopter.drop()
            self._cannot_adopt(f"{self.keys.current}: {reply}")
            return
        if not self.link.accepts(reply):
            return
        fields = reply
        if fields and self.state in states.EMPTY:
            self._dirty_all()
        if self.generation is not None and fields == self.generation.fields:
            self._adopter.drop()
            self._become(states.IN_FORCE)
            return
        try:
            self._adopter.begin(fields, self.generation)
        except Unusable as exc:
            self._say("current", f"{self.keys.current}: {exc}")
            self._become(exc.event)
            return
        self._become(states.ANNOUNCED)

    def _cannot_adopt(self, reason: str) -> None:
        self._count_error("generation")
        self._say("current", reason)
        self._become(states.REFUSED)

    def _fresh(self, generation: Generation) -> Iterator[Callable[[Callable[[], None]], None]]:
        """What asks for the state of each node that a generation brings: no answer waits for it before it is in force."""
        for name in generation.model.nodes:
            if name not in self.mirror.fields:
                self.mirror.set_node(name, {})  # from now on it is read again when it changes
                yield self._asker(name)

    def _asker(self, name: str) -> Callable[[Callable[[], None]], None]:
        def ask(arrived: Callable[[], None]) -> None:
            def take(reply: Any) -> None:
                self._note(name, reply)
                arrived()

            self.link.ask(("HGETALL", self.keys.node(name)), take)

        return ask

    def _in_force(self, generation: Generation) -> None:
        before, self.generation = self.generation, generation
        self.link.patient = False
        self.mirror.forget_others(generation.model.nodes)
        self._say("current", "")
        if before is None or before.model is not generation.model:
            self._doubt_services(generation.model.doubt)
        self._become(states.IN_FORCE)
        self._changed(
            tables_alone=before is not None
            and before.model is generation.model
            and before.trees.keys() == generation.trees.keys()
        )
        self._learnt()

    def _doubt_services(self, doubt: str) -> None:
        """Tell what of the services cannot be used: all else is answered."""
        if doubt:
            self._count_error("generation")
        self._say("services", doubt)

    def _doubt_current(self) -> None:
        """A page is missing or damaged: perhaps something newer is published."""
        self._count_error("page")
        self._dirty[self.keys.current] = None


def _kind_of(reason: str) -> str:
    """One of `REDIS_ERRORS`; "other" where the module that tells it cannot be loaded, for want of descriptors."""
    try:
        from geosteer.sync.trouble import kind_of  # a worker's start needs none
    except (OSError, ImportError):
        return "other"
    return kind_of(reason)


def _link_kind(address: Address) -> type[Link]:
    """What gets to the server that an address leads to."""
    if address.scheme == "redis+sentinel":
        from geosteer.resp.sentinel import SentinelLink

        return SentinelLink
    if address.scheme == "redis+cluster":
        from geosteer.resp.cluster import ClusterLink

        return ClusterLink
    return Link

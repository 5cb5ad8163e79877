"""The lookup tier as one worker sees it: what is published, from where answers come now, and how long one waits for Redis.

Nothing here blocks, except `wait`, for at most the time that a question may wait.
"""

from __future__ import annotations

from time import monotonic, time

from geosteer.counters.counters import Counters
from geosteer.errors import CorruptPage
from geosteer.process import described
from geosteer.sync.follower import CLOSING, Follower
from geosteer.sync.lookups import Lookups

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from geosteer.settings import Settings
    from geosteer.sync.generation import Generation
    from geosteer.sync.last_good import LastGood

LIVE, STALE, FALLBACK = "live", "stale", "fallback"
STUMBLED = 0.5
"""Seconds after an unexpected exception until things are looked at again, at the latest."""
AFTER = 0.01
"""Seconds after a change until `tick` wants to be called, at the latest."""
AFTER_LIVE = 0.05
"""The same while Redis is well: the other workers of a host have heard of the change too, and answer first."""
EVERY = 60.0
"""Seconds at least between two writes."""
SOON = 0.2
"""Seconds after a change, so that what belongs together is in."""
PATIENCE = 5.0
"""Seconds for which a write gives way to questions that wait."""


class Keeper:
    """Writes the snapshot soon after a change, at most once a minute, and not while a question waits."""

    __slots__ = ("_origin", "_path", "_rest", "due")

    def __init__(self, path: str, origin: str) -> None:
        self._path, self._origin = path, origin
        self._rest = 0.0
        self.due: float | None = None
        """When the next one is to be written (monotonic), or None."""

    def soon(self, now: float) -> float:
        """Something changed; returns when it is to be written (monotonic)."""
        if self.due is None:
            self.due = max(now + SOON, self._rest)
        return self.due

    def wanted(self, now: float, *, idle: bool) -> bool:
        """Whether one is to be written now."""
        return self.due is not None and now >= self.due and (idle or now > self.due + PATIENCE)

    def may(self, now: float) -> bool:
        """Whether a pending snapshot may be written early, since there will be no later chance."""
        return self.due is not None and now >= self._rest

    def save(
        self,
        now: float,
        current: Mapping[str, str],
        document: str,
        states: Mapping[str, Any],
        overrides: Mapping[str, str],
    ) -> str:
        """Write it; returns what went wrong, or ""."""
        self._rest = now + EVERY
        from geosteer.sync.snapshot import write  # a worker's start needs none

        sorted_states, sorted_overrides = dict(sorted(states.items())), dict(sorted(overrides.items()))
        trouble = write(self._path, self._origin, current, document, sorted_states, sorted_overrides)
        self.due = self._rest if trouble else None  # a disk that is full now may not be so then
        return trouble


class Tier(Lookups):
    """Follows what is published under one prefix of one Redis."""

    def __init__(
        self, settings: Settings, random: Callable[[int], int], *, clock: Callable[[], float] = monotonic,
        wall: Callable[[], float] = time, log: Callable[[str], None] = lambda _: None, writes: bool = True,
        counters: Counters | None = None,
    ) -> None:  # fmt: skip
        """Make a tier that has not begun to connect.

        Args:
            random: below(n), uniform in 0..n-1.
            log: takes one line, worth an operator's reading.
            writes: may write the snapshot.
            counters: take what it does; default: nobody reads them.
        """
        self.version = 0
        """Goes up with every change that may change an answer."""
        self.decided = 0
        """Goes up with every change but one of tables alone: what a service gives for a record stays as it was then."""
        self.last_good: LastGood | None = None
        """From disk, while there is no generation."""
        self.due = 0.0
        """Monotonic time at which `tick` wants to be called."""
        self._wall, self._write_log, self._writes = wall, log, writes
        self._said: dict[str, str] = {}
        self.name = FALLBACK
        """Where answers come from now: `live`, `stale` or `fallback`."""
        if settings.doubt:
            self._log(settings.doubt)
        self._snapshot_read = False
        self._prepared = False
        self._keeper = Keeper(settings.snapshot, settings.origin)
        counters = counters or Counters("library")
        follower = Follower(
            settings, random, clock, self._say, self._changed, self._learnt, wall, counters, self._hurry
        )
        self.mirror = follower.mirror
        """Node states and overrides."""
        super().__init__(settings, follower, clock, counters)

    # ------------------------------------------------------------------ for the front end's loop

    def start(self) -> None:
        """Begin to connect."""
        self._started = self._clock()
        self._follower.start()

    @property
    def place(self) -> tuple[str, int]:
        """Host and port of the server that it reads from, or tries to; of a unix socket its path and 0."""
        return self._follower.link.place

    @property
    def reading(self) -> int:
        """Reads of node states and overrides under way: an answer waits for them if it may."""
        return self._follower.reading

    @property
    def unsettled(self) -> bool:
        """Whether an answer has something to wait for, if it may: states being read, or a first generation."""
        return self._follower.reading > 0 or self._follower.generation is None

    def leave_uncut(self) -> None:
        """Have leaves stay small from now on: their records' lengths are measured by what is quick at it."""
        self._follower.leaves.cache.cut = False

    def now(self) -> float:
        """Seconds since 1970, by the clock of those who write node states where one was heard."""
        return self._follower.mirror.time(self._clock(), self._wall())

    def tick(self, *, idle: bool = True) -> None:
        """Do what time calls for, and say in `due` when to be called again; *idle*: no question is waiting."""
        now = self._clock()
        self.due = now + STUMBLED
        try:
            self._tick(now, idle=idle)
        except Exception as exc:  # noqa: BLE001  # the follower goes on after any exception
            self.stumble(exc)

    def _tick(self, now: float, *, idle: bool) -> None:
        due = self._follower.tick(now)
        step_due = self._follower.work(now, idle=idle)
        self._rename()
        if idle and not self._prepared and self.generation is not None:
            self._prepared = True
            _prepare()
        if self._keeper.wanted(now, idle=idle):
            self._save(now)
        for time_of in (self._stale_ends(), self.mirror.frozen_at(), self._keeper.due):
            if time_of is not None and now < time_of < due:
                due = time_of
        self.due = due if step_due is None else min(due, step_due)
        self._note()

    def _note(self) -> None:
        """Let others see how this worker is."""
        generation, cache = self.generation, self._follower.leaves.cache
        number = generation.number if generation is not None else ""
        self.counters.note(self._wall(), number, self.name, cache.count, cache.size)

    def finish(self) -> None:
        """Before the end: write a snapshot that was about to be written."""
        now = self._clock()
        if self._keeper.may(now):
            self._save(now)

    def close(self) -> None:
        """End the connection, and say nothing of it."""
        self._write_log = _silent
        self._follower.link.close(CLOSING)
        self.counters.close()

    @property
    def known(self) -> Generation | LastGood | None:
        """The best that is known of names and nodes."""
        return self.generation or self.last_good

    def put_down(self) -> set[str]:
        """Nodes that an operator put down."""
        now = self.now()
        forced = ((name, state.forced(now)) for name, state in self.mirror.states.items())
        return {name for name, override in forced if override and override.state == "down"}

    def load_last_good(self) -> None:
        """Read the last good state from disk, once, for a worker that has nothing better."""
        if self._snapshot_read:
            return
        self._snapshot_read = True
        from geosteer.sync.last_good import read_last_good

        path = self.settings.snapshot
        try:
            self.last_good, trouble = read_last_good(path, self.settings.origin)
        except (CorruptPage, ValueError, KeyError, TypeError, AttributeError) as exc:
            self._say("snapshot", f"snapshot {path}: {exc}")
            return
        if trouble:
            self._say("snapshot", f"snapshot {trouble}")
        if self.last_good is not None:
            self.mirror.set_overrides(self.last_good.overrides)
            self._say("services", self.last_good.model.doubt)
            self._log(f"answers from the last good state, {path}, until Redis is there")
            self.version += 1
            self.decided += 1

    def _knows_nothing(self) -> bool:
        if self.known is None:
            self.load_last_good()
        return self.known is None

    # ------------------------------------------------------------------ what it amounts to

    def _stale_ends(self) -> float | None:
        proof = self._follower.proof
        return None if proof is None else proof + self.settings.max_stale

    def _changed(self, *, tables_alone: bool = False, states_alone: bool = False) -> None:
        """Something came that may change an answer, or where answers come from unless it is of *states_alone*."""
        self.version += 1
        if not tables_alone:
            self.decided += 1
        if states_alone:
            return  # many workers hear of it at once, and the next answer of each waits for this
        self._soon()
        generation = self._follower.generation
        if generation is not None and generation is not self._indexed:
            self._index(generation)
        self._rename()

    def _soon(self) -> None:
        """Have `tick` called soon, but not at once."""
        self.due = min(self.due, self._clock() + (AFTER_LIVE if self._follower.live else AFTER))

    def _hurry(self) -> None:
        """There is something to be done between two questions."""
        self.due = 0.0

    def _rename(self) -> None:
        """Find out where answers come from now."""
        follower, now, ends = self._follower, self._clock(), self._stale_ends()
        if follower.generation is None:
            name = FALLBACK
        elif follower.live and follower.usable:
            frozen = follower.mirror.frozen(now)
            self._say(
                "beat", f"node states are frozen: nothing from {', '.join(sorted(frozen))}" if frozen else ""
            )
            name = STALE if frozen else LIVE
        elif follower.live and follower.foreign:
            name = STALE  # what is published needs a newer program; that is no outage
        else:
            name = STALE if ends is not None and now < ends else FALLBACK
        if name != self.name:
            if self.name != FALLBACK or name != LIVE or not follower.first:
                self._log(f"answers are {name} now")
            self.name = name
            self.version += 1
            self.decided += 1

    def _learnt(self) -> None:
        keeper = self._keeper
        if self._writes and keeper.due is None:
            self.due = min(self.due, keeper.soon(self._clock()))

    def _save(self, now: float) -> None:
        generation, mirror = self._follower.generation, self._follower.mirror
        if generation is None or not self._follower.live:
            return
        trouble = self._keeper.save(now, generation.fields, generation.text, mirror.fields, mirror.overrides)
        self._say("snapshot", f"snapshot {trouble}" if trouble else "")

    def _log(self, text: str) -> None:
        """One line for an operator; a failing log must not stop the worker."""
        try:
            self._write_log(text)
        except Exception:  # noqa: BLE001, S110  # it is the caller's own
            pass

    def _say(self, topic: str, text: str) -> None:
        """Log a trouble once, until it changes or ends ("")."""
        if self._said.get(topic, "") != text:
            self._said[topic] = text
            if text:
                self._log(text)

    def stumble(self, exc: BaseException) -> None:
        """After an unexpected exception start over on a new connection; each kind is logged once."""
        self._say(_kind(exc), described(exc))
        try:
            self._follower.link.close(f"unexpected {type(exc).__name__}")
        except Exception:  # noqa: BLE001  # what went wrong may stand in the way here too; the timer comes again
            self._follower.lose()


def _prepare() -> None:
    """Load what a lost connection needs: when it is lost there may be no descriptor left to load it by."""
    try:
        import geosteer.decision.round_robin
        import geosteer.sync.trouble  # noqa: F401
    except (OSError, ImportError):
        return


def _silent(_text: str) -> None:
    """No log."""


def _kind(exc: BaseException) -> str:
    """Exceptions from one line of code are of one kind."""
    trace = exc.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace is not None else ""
    return f"{type(exc).__name__} {where}"

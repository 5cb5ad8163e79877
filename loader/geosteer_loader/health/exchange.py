"""Where probers and feeds meet: verdicts, node states and beats in Redis, read and written in one step."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Any

from geosteer.decision.model import FORMAT
from geosteer.errors import Refused, StoreError
from geosteer_loader.config.values import shown
from geosteer_loader.health import events, heartbeat, watchlist
from geosteer_loader.health.commands import remove_verdicts, remove_writers, write_nodes, write_verdicts
from geosteer_loader.health.other_writers import OtherWriters
from geosteer_loader.health.terms import DAY, DOWN, UP
from geosteer_loader.health.transitions import judge
from geosteer_loader.health.verdicts import decode
from geosteer_loader.health.writer_report import PostResult
from geosteer_loader.journal.events import Note
from geosteer_loader.journal.writing import additions
from geosteer_loader.journal.writing import note as write_note
from geosteer_loader.store import current, node_states
from geosteer_loader.store.redis_errors import ConnectionLost
from geosteer_loader.store.replacing import discard_known
from geosteer_loader.store.store import texts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from geosteer_loader.health.transitions import Rule
    from geosteer_loader.health.verdicts import Verdict
    from geosteer_loader.health.watchlist import Watchlist
    from geosteer_loader.health.writer_report import Post
    from geosteer_loader.store.store import Command, Store

TRIES = 20
"""How often a post is tried while others write at the same time."""
LONGEST_WAIT = 0.3
"""Seconds before the next try, at most; the first ones come sooner."""


class _NewWriter(Exception):  # not an error
    """There are other writers than those whose keys are watched: watch again."""


class Exchange:
    """One writer's view of node health in Redis."""

    def __init__(self, store: Store, name: str, rule: Rule) -> None:
        self.name = name
        """Of the writer: its verdicts are under `verdict:<name>`."""
        self._store = store
        self._rule = rule
        self._ahead = 0.0
        self._config = ""
        self._writers: set[str] = {name}
        self._last_beat: str | None = None
        self._withdrawn = False
        """It said that it goes, and has not beaten since."""
        self._others = OtherWriters()
        self._mine: dict[str, Verdict] = {}
        """This writer's earlier verdicts on nodes without a new one, when all was read last."""
        self._states: dict[str, dict[str, str]] = {}
        """The nodes' hashes as last read or written."""
        self._waits = random.Random()  # noqa: S311  # it spreads writers in time

    def time(self) -> float:
        """Seconds since 1970 by the primary's clock, as last heard; this machine's own does not count."""
        return time.monotonic() + self._ahead

    def refresh(self) -> Watchlist | None:
        """The nodes and checks that are published; None: as at the last call.

        Raises: StoreError: nothing usable is published, or Redis failed. Refused: a newer geosteer published it.
        """
        fields = current.read(self._store)
        self._hear(self._store.now())
        if fields.get("config", "") == self._config and self._config:
            return None
        try:
            document = current.document(self._store, fields)
            if document.get("format") != FORMAT:
                raise Refused(
                    f"{self._store.name}: configuration document format {shown(document.get('format'))} is published, "
                    f"this program knows {FORMAT}: upgrade it"
                )
            watched = watchlist.read(document)
        except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError) as exc:
            raise StoreError(
                f"{self._store.name}: the published configuration is malformed: publish again"
            ) from exc
        self._config = fields["config"]
        return watched

    def own(self) -> dict[str, Verdict]:
        """This writer's verdicts of earlier runs. Raises: StoreError."""
        return _decoded(
            self._store.pipe([("HGETALL", self._store.keys.verdict(self.name))], tolerant=True)[0],
            self.time(),
        )

    def states(self, nodes: Sequence[str]) -> dict[str, dict[str, str]]:
        """The hashes of these nodes. Raises: StoreError."""
        return node_states.read(self._store, nodes).fields

    def post(self, watched: Watchlist, post: Post) -> PostResult:
        """Write verdicts, the nodes whose state follows from all writers' verdicts, and the beat, in one MULTI.

        Raises: StoreError: Redis failed, or others wrote each time that it was tried.
        """
        for attempt in range(TRIES):
            posted = self._try(watched, post)
            if posted is not None:
                return posted
            self._states = {}
            time.sleep(self._waits.uniform(0, min(0.01 * 2**attempt, LONGEST_WAIT)))
        raise StoreError(f"{self._store.name}: others wrote node states at the same time, {TRIES} times over")

    def resign(self, why: str = "went") -> None:
        """Withdraw the beat, if other writers keep node states; the journal is told why. Raises: StoreError.

        A last writer's beat stays, so that workers notice that states are frozen.
        """
        beats = self._store.hash(self._store.keys.beat, tolerant=True)
        own = heartbeat.read(beats.get(self.name))
        if own is not None and not own.silent(self.time()):
            write_note(self._store, [Note(kind="prober", subject=self.name, what=why)])
            self._withdrawn = True
        others = (heartbeat.read(text) for name, text in beats.items() if name != self.name)
        if self.name in beats and any(beat and not beat.silent(self.time()) for beat in others):
            self._store.call("HDEL", self._store.keys.beat, self.name)

    def _try(self, watched: Watchlist, post: Post) -> PostResult | None:
        keys = self._store.keys
        prepared: list[PostResult] = []
        last, self._last_beat = self._last_beat, None  # until this one is known to be written

        def prepare(_run: Callable[..., Any]) -> Sequence[Command]:
            # Read on another connection, all at once; what changes from here on ends the transaction.
            posted, commands = self._prepare(watched, post, last)
            prepared.append(posted)
            return commands

        try:
            watch = [keys.beat, *(keys.verdict(name) for name in sorted(self._writers))]
            done = self._store.transact(watch, prepare)
        except _NewWriter:
            return None
        if done is None:
            return None
        posted = prepared[-1]
        if posted.beat:
            self._withdrawn = False
        self._last_beat = posted.beat or last
        self._states = {
            name: {**fields, **posted.judgement.changes.get(name, {})}
            for name, fields in posted.states.items()
        }
        return posted

    def _prepare(
        self, watched: Watchlist, post: Post, last_beat: str | None
    ) -> tuple[PostResult, list[Command]]:
        keys, writers = self._store.keys, sorted(self._writers)
        # Between rounds one change must not wait until all is read that did not change.
        whole = post.period is not None or post.write is None or not self._states
        if not whole:
            writers.remove(self.name)
        nodes = list(watched.nodes) if whole else self._in_question(watched, post)
        read = [keys.beat, *map(keys.verdict, writers), *map(keys.node, nodes)]
        now, beats, *rest = self._store.pipe([("TIME",), *(("HGETALL", key) for key in read)], tolerant=True)
        discard_known(self._store, read)
        seconds = self._hear(int(now[0]) + int(now[1]) / 1e6)
        beats = texts(beats)
        if not beats.keys() <= self._writers:
            self._writers = {self.name, *beats}
            raise _NewWriter
        verdicts_by = dict(zip(writers, rest, strict=False))
        own, unreadable = verdicts_by.pop(self.name, None), []
        if own is not None:
            # This writer's earlier verdicts do not matter for nodes that have a new one.
            spoken = {name.encode() for name in post.verdicts}
            silent = {name: text for name, text in own.items() if name not in spoken}
            self._mine = _decoded(silent, seconds)
            unreadable = [name for name in silent if name.decode(errors="replace") not in self._mine]
        mine = {name: verdict for name, verdict in self._mine.items() if name not in post.verdicts}
        for name, fields in verdicts_by.items():
            self._others.update(name, fields)
        stored = {name: self._others.verdicts(name, seconds) for name in verdicts_by}
        fresh = {name: texts(reply) for name, reply in zip(nodes, rest[len(writers) :], strict=True)}
        states = {name: fresh[name] if name in fresh else self._states[name] for name in watched.nodes}
        counted = {**mine, **(post.verdicts if post.counted is None else post.counted)}
        judgement = judge(watched, {**stored, self.name: counted}, states, self._rule, seconds)
        posted = PostResult(judgement, states, _doubles(self.name, beats.get(self.name), last_beat))
        # Verdicts that an emptied Redis has lost are written again.
        lost = {name for name in post.verdicts if name.encode() not in own} if own is not None else set()
        oldest = seconds - max(DAY, self._rule.forget)
        commands = [
            *write_verdicts(keys, self.name, post, lost, self._rule.forget),
            *remove_verdicts(keys, self.name, mine, unreadable, watched.nodes, oldest),
            *write_nodes(keys, judgement.changes),
        ]
        notes = [
            *events.nodes(watched, states, judgement, self.name),
            *events.removed(self._gone(watched, mine, oldest)),
        ]
        if post.period is not None:
            notes += self._expired(beats, seconds)
            beat = beats.pop(self.name, None)
            notes += events.came(self.name, beat, seconds, withdrawn=self._withdrawn)
            posted.beat = heartbeat.following(beat, seconds, post.period).text()
            commands.append(("HSET", keys.beat, self.name, posted.beat))
            removal, removed = remove_writers(keys, beats, seconds)
            commands += removal
            notes += events.gone(removed)
            self._writers -= set(removed)
            self._others.forget(removed)
        return posted, [*commands, *additions(self._store, notes, seconds)]

    def _gone(
        self, watched: Watchlist, mine: Mapping[str, Verdict], oldest: float
    ) -> dict[str, dict[str, str]]:
        """The hashes that `remove_verdicts` removes, as they are."""
        names = [
            name for name, verdict in mine.items() if verdict.seen() < oldest and name not in watched.nodes
        ]
        if not names:
            return {}
        replies = self._store.pipe(
            [("HGETALL", self._store.keys.node(name)) for name in names], tolerant=True
        )
        return {name: texts(reply) for name, reply in zip(names, replies, strict=True)}

    def _expired(self, beats: Mapping[str, str], now: float) -> list[Note]:
        """Overrides that ran out since any writer last beat: one that did tells of it."""
        try:
            overrides = self._store.hash(self._store.keys.override, tolerant=True)
        except StoreError as exc:
            if isinstance(exc, ConnectionLost):
                raise
            return []  # a writer of states may not be allowed to read it
        times = events.ended(overrides, events.last_beat(beats, now), now)
        return list(events.expired(overrides, times))

    def _in_question(self, watched: Watchlist, post: Post) -> list[str]:
        """Nodes whose stored state must be read: all but those that were up and that no writer doubts."""
        doubted = set(self._others.doubted())
        doubted.update(post.write or ())
        doubted.update(
            name for name, verdict in post.verdicts.items() if verdict.state == DOWN or verdict.failing
        )
        return [
            name
            for name in watched.nodes
            if name in doubted
            or (known := self._states.get(name)) is None
            or known.get("state") != UP
            or known.get("failing") != "no"
        ]

    def _hear(self, now: float) -> float:
        self._ahead = now - time.monotonic()
        return now


def _decoded(fields: Mapping[bytes, bytes], now: float) -> dict[str, Verdict]:
    decoded = ((name.decode(errors="replace"), decode(text)) for name, text in fields.items())
    return {name: verdict for name, verdict in decoded if verdict is not None and verdict.believable(now)}


def _doubles(name: str, there: str | None, last: str | None) -> list[str]:
    if last is None or there == last or heartbeat.read(there) is None:
        return []
    return [f"another prober is called {name} too: give each a name of its own ([prober] name)"]

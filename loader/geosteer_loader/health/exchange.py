"""Where probers and feeds meet: verdicts, node states and beats in Redis, read and written in one step."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Any

from geosteer.decision.model import FORMAT
from geosteer.errors import Refused, StoreError
from geosteer_loader.health import heartbeat, watchlist
from geosteer_loader.health.aggregate import DOWN, UP
from geosteer_loader.health.transitions import judge
from geosteer_loader.health.verdicts import decode
from geosteer_loader.health.writer_report import Posted
from geosteer_loader.store import current
from geosteer_loader.store.store import texts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from geosteer_loader.health.transitions import Rule
    from geosteer_loader.health.verdicts import Verdict
    from geosteer_loader.health.watchlist import Watchlist
    from geosteer_loader.health.writer_report import Post
    from geosteer_loader.store.store import Command, Store

DAY = 86400.0
"""Seconds after which what nobody keeps any more is removed: gone nodes, silent writers."""
TRIES = 20
"""How often a post is tried while others write at the same time."""
LONGEST_WAIT = 0.3
"""Seconds before the next try, at most; the first ones come sooner."""


class _Moved(Exception):  # it is no error
    """There are other writers than those that are watched."""


class Board:
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
        self._others: dict[str, dict[bytes, tuple[bytes, Verdict | None]]] = {}
        """Other writer -> node -> its verdict as last read, and decoded."""
        self._mine: dict[str, Verdict] = {}
        """What this writer said before of nodes that it did not speak of when all was read last."""
        self._states: dict[str, dict[str, str]] = {}
        """The nodes' hashes as last read or written."""
        self._waits = random.Random()  # noqa: S311  # it spreads writers in time

    def time(self) -> float:
        """Seconds since 1970 by the primary's clock, as last heard; this machine's own does not count."""
        return time.monotonic() + self._ahead

    def refresh(self) -> Watchlist | None:
        """What is published to be watched over, when it is not what was read last.

        Raises: StoreError: nothing is published, or Redis failed. Refused: a newer geosteer published it.
        """
        fields = current.read(self._store)
        self._hear(self._store.now())
        if fields.get("config", "") == self._config and self._config:
            return None
        document = current.document(self._store, fields)
        if document.get("format") != FORMAT:
            raise Refused(
                f"{self._store.name}: configuration document format {document.get('format')} is published, "
                f"this program knows {FORMAT}: upgrade it"
            )
        found = watchlist.read(document)
        self._config = fields["config"]
        return found

    def own(self) -> dict[str, Verdict]:
        """What this writer said in earlier runs. Raises: StoreError."""
        return _decoded(self._store.call("HGETALL", self._store.keys.verdict(self.name)))

    def states(self, nodes: Sequence[str]) -> dict[str, dict[str, str]]:
        """The hashes of these nodes. Raises: StoreError."""
        replies = self._store.pipe([("HGETALL", self._store.keys.node(name)) for name in nodes])
        return {name: texts(reply) for name, reply in zip(nodes, replies, strict=True)}

    def post(self, watched: Watchlist, said: Post) -> Posted:
        """Write verdicts, the nodes whose state follows from all writers' verdicts, and the beat, in one MULTI.

        Raises: StoreError: Redis failed, or others wrote each time that it was tried.
        """
        for attempt in range(TRIES):
            posted = self._try(watched, said)
            if posted is not None:
                return posted
            self._states = {}
            time.sleep(self._waits.uniform(0, min(0.01 * 2**attempt, LONGEST_WAIT)))
        raise StoreError(f"{self._store.name}: others wrote node states at the same time, {TRIES} times over")

    def resign(self) -> None:
        """Take the promise back to keep node states, where others keep them. Raises: StoreError.

        Where nobody else does, workers have to learn that states are frozen.
        """
        beats = self._store.hash(self._store.keys.beat)
        others = (heartbeat.read(text) for name, text in beats.items() if name != self.name)
        if self.name in beats and any(one and not one.silent(self.time()) for one in others):
            self._store.call("HDEL", self._store.keys.beat, self.name)

    def _try(self, watched: Watchlist, said: Post) -> Posted | None:
        keys = self._store.keys
        found: list[Posted] = []
        last, self._last_beat = self._last_beat, None  # until this one is known to be written

        def prepare(_run: Callable[..., Any]) -> Sequence[Command]:
            # Read on another connection, all at once; what changes from here on ends the transaction.
            posted, commands = self._prepare(watched, said, last)
            found.append(posted)
            return commands

        try:
            watch = [keys.beat, *(keys.verdict(name) for name in sorted(self._writers))]
            done = self._store.transact(watch, prepare)
        except _Moved:
            return None
        if done is None:
            return None
        self._last_beat = found[0].beat or last
        posted = found[0]
        self._states = {
            name: {**fields, **posted.judgement.changes.get(name, {})}
            for name, fields in posted.states.items()
        }
        return posted

    def _prepare(self, watched: Watchlist, said: Post, last_beat: str | None) -> tuple[Posted, list[Command]]:
        keys, writers = self._store.keys, sorted(self._writers)
        # Between rounds one change must not wait until all is read that did not change.
        whole = said.period is not None or said.write is None or not self._states
        if not whole:
            writers.remove(self.name)
        nodes = list(watched.nodes) if whole else self._in_question(watched, said)
        now, beats, *rest = self._store.pipe(
            [
                ("TIME",),
                ("HGETALL", keys.beat),
                *(("HGETALL", keys.verdict(name)) for name in writers),
                *(("HGETALL", keys.node(name)) for name in nodes),
            ]
        )
        seconds = self._hear(int(now[0]) + int(now[1]) / 1e6)
        beats = texts(beats)
        if not beats.keys() <= self._writers:
            self._writers = {self.name, *beats}
            raise _Moved
        said_by = dict(zip(writers, rest, strict=False))
        own = said_by.pop(self.name, None)
        if own is not None:
            # Of nodes that it speaks of now, what this writer said before does not matter.
            spoken = {name.encode() for name in said.verdicts}
            self._mine = _decoded({name: text for name, text in own.items() if name not in spoken})
        mine = {name: one for name, one in self._mine.items() if name not in said.verdicts}
        stored = {name: self._decoded(name, fields) for name, fields in said_by.items()}
        read = {name: texts(reply) for name, reply in zip(nodes, rest[len(writers) :], strict=True)}
        states = {name: read[name] if name in read else self._states[name] for name in watched.nodes}
        counted = {**mine, **(said.verdicts if said.counted is None else said.counted)}
        judgement = judge(watched, {**stored, self.name: counted}, states, self._rule, seconds)
        posted = Posted(judgement, states, _doubles(self.name, beats.get(self.name), last_beat))
        # What a Redis that was emptied has lost is said again.
        lost = {name for name in said.verdicts if name.encode() not in own} if own is not None else set()
        commands = self._own_commands(watched, said, mine, lost, seconds)
        commands += [("HSET", keys.node(name), *_pairs(fields)) for name, fields in judgement.changes.items()]
        if said.period is not None:
            posted.beat = heartbeat.following(beats.get(self.name), seconds, said.period).text()
            commands.append(("HSET", keys.beat, self.name, posted.beat))
            commands += self._burials(beats, seconds)
        return posted, commands

    def _in_question(self, watched: Watchlist, said: Post) -> list[str]:
        """Nodes of which more is to be known than that they were up, and still are as far as anybody has said."""
        doubted = {
            name.decode(errors="replace")
            for known in self._others.values()
            for name, (_, one) in known.items()
            if one is not None and (one.state == DOWN or one.failing)
        }
        doubted.update(said.write or ())
        doubted.update(name for name, one in said.verdicts.items() if one.state == DOWN or one.failing)
        return [
            name
            for name in watched.nodes
            if name in doubted
            or (known := self._states.get(name)) is None
            or known.get("state") != UP
            or known.get("failing") != "no"
        ]

    def _own_commands(
        self, watched: Watchlist, said: Post, mine: Mapping[str, Verdict], lost: set[str], now: float
    ) -> list[Command]:
        keys = self._store.keys
        key = keys.verdict(self.name)
        wanted = said.verdicts if said.write is None else lost.union(said.write)
        names = [name for name in wanted if name in said.verdicts]
        commands: list[Command] = []
        if names:
            commands.append(("HSET", key, *_pairs({name: said.verdicts[name].encode() for name in names})))
            # Outlives a prober that is away for a weekend less than its counters would be worth.
            commands.append(("PEXPIRE", key, int(1000 * 2 * max(DAY, self._rule.forget))))
        spent = [
            name
            for name, verdict in mine.items()
            if name not in said.verdicts and verdict.seen() < now - max(DAY, self._rule.forget)
        ]
        if spent:
            commands.append(("HDEL", key, *spent))
        gone = [keys.node(name) for name in spent if name not in watched.nodes]
        if gone:
            commands.append(("DEL", *gone))
        return commands

    def _burials(self, beats: Mapping[str, str], now: float) -> list[Command]:
        """Removes writers that have been silent for a day."""
        dead = [
            name
            for name, text in beats.items()
            if name != self.name
            and (one := heartbeat.read(text))
            and one.time < now - max(DAY, 3 * one.period)
        ]
        if not dead:
            return []
        keys = self._store.keys
        self._writers -= set(dead)
        for name in dead:
            self._others.pop(name, None)
        return [("HDEL", keys.beat, *dead), ("DEL", *(keys.verdict(name) for name in dead))]

    def _decoded(self, writer: str, fields: Mapping[bytes, bytes]) -> dict[str, Verdict]:
        """Another writer's verdicts; those that are as they were are not decoded again."""
        before = self._others.get(writer, {})
        known = self._others[writer] = {
            name: last if (last := before.get(name)) and last[0] == text else (text, decode(text))
            for name, text in fields.items()
        }
        return {name.decode(errors="replace"): one for name, (_, one) in known.items() if one is not None}

    def _hear(self, now: float) -> float:
        self._ahead = now - time.monotonic()
        return now


def _decoded(fields: Mapping[bytes, bytes]) -> dict[str, Verdict]:
    found = ((name.decode(errors="replace"), decode(text)) for name, text in fields.items())
    return {name: verdict for name, verdict in found if verdict is not None}


def _pairs(fields: Mapping[str, str]) -> list[str]:
    return [word for pair in fields.items() for word in pair]


def _doubles(name: str, there: str | None, last: str | None) -> list[str]:
    if last is None or there is None or there == last:
        return []
    return [f"another prober is called {name} too: give each a name of its own ([prober] name)"]

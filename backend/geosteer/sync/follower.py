"""A worker's connection to what is published: follows changes by push, adopts generations, fetches pages. Nothing blocks."""

from __future__ import annotations

import hiredis

from geosteer.errors import CorruptPage
from geosteer.keys import Keys
from geosteer.resp.link import Link
from geosteer.sync.generation import Adoption, Generation, Unusable
from geosteer.sync.node_states import Mirror
from geosteer.tables.leaf_cache import LeafCache

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from geosteer.resp.url import Address
    from geosteer.settings import Settings
    from geosteer.tables.leaf_cache import Place
    from geosteer.tables.tree import Branch, Tree

OUTSTANDING = 64
"""Page requests under way at most."""
WARMED = 256
"""Leaves fetched before a new generation answers, at most: those in use that have changed."""
BATCH = 64
"""Leaves asked for in one command."""
BACKOFF = (0.05, 0.5)
"""Seconds before a connection is tried again: at first, at most."""
POLL_EVERY = 1.0
"""Seconds between reads where pushes cannot be had, or where what is published cannot be used."""
ELSEWHERE = 10.0
"""Seconds between attempts to find a server whose node states are not frozen, where there are several."""


class Feed:
    """Follows what is published under one prefix of one Redis."""

    def __init__(
        self, settings: Settings, random: Callable[[int], int], clock: Callable[[], float],
        say: Callable[[str, str], None], changed: Callable[[], None], learnt: Callable[[], None],
    ) -> None:  # fmt: skip
        """Make a feed that has not begun to connect.

        Args:
            random: below(n), uniform in 0..n-1.
            clock: monotonic seconds.
            say: takes a topic and a line for the log, "" when the trouble is over.
            changed: called after every change that may change an answer, or where answers come from.
            learnt: called when something came that is worth keeping on disk.
        """
        self.keys = Keys(settings.prefix)
        self.generation: Generation | None = None
        self.mirror = Mirror()
        self.live = False
        """The connection stands and all that was asked for on opening is in."""
        self.usable = False
        """What stands under `current` can be used."""
        self.foreign = False
        """It cannot, but only because it is of another schema."""
        self.first = True
        """The very first connection is still being made: the only one that a question waits for."""
        self.proof: float | None = None
        """When Redis was last known to be well, before it was not."""
        self.reading = 0
        """Reads of node states and overrides under way: an answer waits for them if it may."""
        self.address = settings.address
        self.link = _link_kind(self.address)(
            self.address,
            settings.timeout,
            clock,
            self._greet,
            self._opened,
            self._pushed,
            self._closed,
            settings.tls,
        )
        self._settings, self._random, self._clock = settings, random, clock
        self._say, self._changed, self._learnt = say, changed, learnt
        self._cache = LeafCache(settings.cache)
        self._adoption: Adoption | None = None
        self._asked: set[tuple[int, int]] = set()
        self._dirty: dict[str, None] = {}
        self._retry_at: float | None = None
        self._backoff = BACKOFF[0]
        self._pushes = True
        self._next_poll = 0.0
        self._next_leave = 0.0
        self._opened_well = False
        """What was asked for on opening is in."""
        self._adopting = False
        """A generation is on its way in; a new connection is live only after that."""
        self._void = False
        """Nothing is published there: then what else is not there says nothing of node states either."""

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
        if self.live and not (self._pushes and self.usable) and now >= self._next_poll:
            self._next_poll = now + POLL_EVERY  # no pushes, or nobody may announce that a damage was repaired
            self._dirty_all()
            self.pump()
        if self.live and self.link.several and now >= self._next_leave and self.mirror.frozen(now):
            self._next_leave = now + ELSEWHERE
            self.link.leave("node states are frozen there")
        return due if self._retry_at is None else min(due, self._retry_at)

    def pump(self) -> None:
        """Read again what was announced to have changed."""
        if self._dirty and self.link.up:
            self._read_dirty(pushed=True)
            self.link.writable()

    def ask_leaves(self, wanted: list[tuple[Tree, Branch, int]]) -> Callable[[], bool]:
        """Ask for leaves, in one write; returns what says whether all of these requests are over."""
        marks = [(id(branch), number) for _, branch, number in wanted]
        for tree, branch, number in wanted:
            self._ask_leaf(tree, branch, number)
        self.link.writable()
        return lambda: not any(mark in self._asked for mark in marks)

    def _greet(self, link: Link) -> None:
        """Log in, and ask to be told of changes."""
        keys, address, settings = self.keys, self.address, self._settings
        login = ("AUTH", settings.username or "default", settings.password) if settings.password else ()
        link.ask(("HELLO", 3, *login), self._hello)
        if address.database:
            link.ask(("SELECT", address.database), self._checked)
        tracking = ["CLIENT", "TRACKING", "ON", "BCAST"]
        for prefix in (keys.current, keys.nodes, keys.beat, keys.override):
            tracking += ["PREFIX", prefix]
        link.ask(tracking, self._tracked)

    def _opened(self) -> None:
        self.reading = 0
        self._adoption = None
        self._opened_well = self._adopting = False
        self._asked.clear()
        self._dirty_all()
        self._read_dirty(pushed=False)
        self.link.ask(("TIME",), self._take_time)
        self.link.ask(("PING",), self._arrived)

    def _hello(self, reply: Any) -> None:
        if isinstance(reply, hiredis.ReplyError) and str(reply).startswith("NOPROTO"):
            self._pushes = False
        else:
            self._checked(reply)

    def _tracked(self, reply: Any) -> None:
        if isinstance(reply, hiredis.ReplyError) and not str(reply).startswith(
            ("NOAUTH", "NOPERM", "LOADING")
        ):
            if self._pushes:
                self._say("push", f"{self.address}: no pushes ({reply}); asking every second")
            self._pushes = False
        else:
            self._checked(reply)

    def _checked(self, reply: Any) -> bool:
        """Whether a reply is no error; an error ends the connection, since a Redis that refuses is as good as away."""
        if isinstance(reply, hiredis.ReplyError):
            self.link.close(str(reply))
            return False
        return True

    def _arrived(self, reply: Any) -> None:
        """All that was asked for on opening is in."""
        if self._checked(reply):
            self._opened_well = True
            self._come_alive()

    def _come_alive(self) -> None:
        if self._opened_well and not self._adopting and not self.live:
            self.live = True
            self._backoff = BACKOFF[0]
            self._say("link", "")
            self._changed()

    def _closed(self, reason: str) -> None:
        now = self._clock()
        if self.live and (self.usable or self.foreign):
            self.proof = now
        self.first = False
        self.live = False
        self.reading = 0
        self._adoption = None
        self._asked.clear()
        self._say("link", f"{self.address}: {reason}")
        jitter = 0.5 + self._random(1024) / 2048
        self._retry_at = now + self._backoff * jitter
        self._backoff = min(2 * self._backoff, BACKOFF[1])
        self._changed()

    def _pushed(self, push: Any) -> None:
        if not push or push[0] != b"invalidate":
            return
        if push[1] is None:  # everything was dropped: FLUSHALL, or a replica's full resync
            self._dirty_all()
        else:
            for key in push[1]:
                self._dirty[key.decode("utf-8", "replace")] = None

    def _dirty_all(self) -> None:
        keys = self.keys
        for key in (keys.current, keys.override, keys.beat):
            self._dirty[key] = None
        for name in self.generation.model.nodes if self.generation else ():
            self._dirty[keys.node(name)] = None

    def _read_dirty(self, *, pushed: bool) -> None:
        keys, link = self.keys, self.link
        dirty, self._dirty = self._dirty, {}
        # `current` first: where it is gone, the others are not believed
        for key in sorted(dirty, key=lambda key: key != keys.current):
            if key == keys.current:
                link.ask(("HGETALL", key), self._take_current)
            elif key == keys.override:
                self.reading += 1
                link.ask(("HGETALL", key), self._take_overrides)
            elif key == keys.beat:
                link.ask(("HGETALL", key), lambda reply: self._take_beats(reply, pushed=pushed))
            elif key.startswith(keys.nodes):
                name = key[len(keys.nodes) :]
                if self.generation is None or name in self.generation.model.nodes:
                    self._ask_node(name)
        if self.reading:
            self._changed()  # an answer that is remembered may be outdated already

    def _ask_node(self, name: str) -> None:
        self.reading += 1
        self.link.ask(("HGETALL", self.keys.node(name)), lambda reply: self._take_node(name, reply))

    def _take_node(self, name: str, reply: Any) -> None:
        self.reading -= 1
        if self._checked(reply) and not self._void and self.mirror.set_node(name, _text(reply)):
            self._changed()
            self._learnt()

    def _take_overrides(self, reply: Any) -> None:
        self.reading -= 1
        if not self._checked(reply) or self._void:
            return
        changed, bad = self.mirror.set_overrides(_text(reply))
        self._say(
            "override", f"override of {', '.join(sorted(bad))} cannot be read and is ignored" if bad else ""
        )
        if changed:
            self._changed()
            self._learnt()

    def _take_beats(self, reply: Any, *, pushed: bool) -> None:
        if self._checked(reply) and not self._void:
            self.mirror.set_beats(_text(reply), self._clock(), pushed=pushed)
            self._changed()

    def _take_time(self, reply: Any) -> None:
        """Overrides end by the clock of those who write them, not by that of this machine."""
        if isinstance(reply, list):  # one who may not ask is told by the next beat
            self.mirror.set_clock(int(reply[0]) + int(reply[1]) / 1e6, self._clock())

    def _take_current(self, reply: Any) -> None:
        if not self._checked(reply):
            return
        fields = _text(reply)
        if self._void and fields:
            self._dirty_all()
        self._void = not fields
        if self.generation is not None and fields == self.generation.fields:
            self._adoption = None
            self._well(well=True)
            return
        try:
            self._adoption = Adoption(fields, self.generation)
        except Unusable as exc:
            self._adoption = None
            self._say("current", f"{self.keys.current}: {exc}")
            self._well(well=False, foreign="schema" in fields)
            return
        self._adopting = True
        self._adopt()

    def _adopt(self) -> None:
        adoption = self._adoption
        if adoption is None:
            return
        try:
            missing = adoption.missing()
            if missing:
                command = ("HMGET", self.keys.object, *[name.hex() for name in missing])
                self.link.ask(command, lambda reply: self._take_objects(adoption, missing, reply))
                return
            generation = adoption.finish()
        except CorruptPage as exc:
            self._cannot_adopt(str(exc))
            return
        self._adoption = None
        self._warm(generation)

    def _take_objects(self, adoption: Adoption, names: list[bytes], reply: Any) -> None:
        if not self._checked(reply) or adoption is not self._adoption:
            return
        try:
            for name, data in zip(names, reply, strict=True):
                adoption.give(name, data)
        except (CorruptPage, TypeError, ValueError) as exc:
            self._cannot_adopt(str(exc))
            return
        self._adopt()

    def _cannot_adopt(self, reason: str) -> None:
        number = self._adoption.fields.get("generation") if self._adoption else "?"
        self._adoption = None
        self._say("current", f"generation {number} cannot be adopted: {reason}")
        self._well(well=False)

    def _warm(self, generation: Generation) -> None:
        """Before a complete generation answers, fetch what would be missed: new nodes' states, changed leaves in use."""
        fresh = [name for name in generation.model.nodes if name not in self.mirror.fields]
        for name in fresh:
            self.mirror.set_node(name, {})
            self._ask_node(name)
        came: list[tuple[Place, Any]] = []
        wanted = self._changed_leaves(generation)
        for at in range(0, len(wanted), BATCH):
            batch = wanted[at : at + BATCH]
            names = [branch.digest(number).hex() for _, branch, number in batch]
            self.link.ask(("HMGET", self.keys.object, *names), _collector(batch, came))
        if fresh or wanted:
            self.link.ask(
                ("PING",), lambda reply: self._in_force(generation, came) if self._checked(reply) else None
            )
        else:
            self._in_force(generation, came)

    def _changed_leaves(self, generation: Generation) -> list[Place]:
        if self.generation is None:
            return []
        old, new = self.generation.trees, generation.trees
        both = [key for key in old if key in new and old[key] is not new[key]]
        return self._cache.outdated([old[key] for key in both], [new[key] for key in both], WARMED)

    def _in_force(self, generation: Generation, came: list[tuple[Place, Any]]) -> None:
        self._cache = self._cache.carry_over(list(generation.trees.values()))
        for (tree, branch, number), data in came:
            if not isinstance(data, bytes):
                continue
            try:
                self._cache.put(tree.bits, branch, number, data)
            except CorruptPage as exc:
                self._say("page", f"page {branch.digest(number).hex()}: {exc}")
        self.generation = generation
        self.mirror.forget_others(generation.model.nodes)
        self._say("current", "")
        self._well(well=True)
        self._learnt()

    def _ask_leaf(self, tree: Tree, branch: Branch, number: int) -> None:
        mark = (id(branch), number)
        if mark in self._asked or not self.link.up or len(self._asked) >= OUTSTANDING:
            return
        self._asked.add(mark)
        command = ("HGET", self.keys.object, branch.digest(number).hex())
        self.link.ask(command, lambda reply: self._take_leaf(mark, tree, branch, number, reply))

    def _take_leaf(self, mark: tuple[int, int], tree: Tree, branch: Branch, number: int, reply: Any) -> None:
        self._asked.discard(mark)
        if not self._checked(reply):
            return
        try:
            if not isinstance(reply, bytes):
                raise CorruptPage("is not there")
            self._cache.put(tree.bits, branch, number, reply)
        except CorruptPage as exc:
            self._say("page", f"page {branch.digest(number).hex()}: {exc}")
            self._dirty[self.keys.current] = None

    def _well(self, *, well: bool, foreign: bool = False) -> None:
        if self.usable and not well:
            self.proof = self._clock()
        self.usable, self.foreign = well, foreign
        self._adopting = False
        self._come_alive()
        self._changed()


def _link_kind(address: Address) -> type[Link]:
    """What gets to the server that an address leads to."""
    if address.scheme == "redis+sentinel":
        from geosteer.resp.sentinel import SentinelLink

        return SentinelLink
    if address.scheme == "redis+cluster":
        from geosteer.resp.cluster import ClusterLink

        return ClusterLink
    return Link


def _collector(batch: list[Place], came: list[tuple[Place, Any]]) -> Callable[[Any], None]:
    def collect(reply: Any) -> None:
        if isinstance(
            reply, list
        ):  # an error is met again by the PING that follows, or by the first that needs a page
            came.extend(zip(batch, reply, strict=False))

    return collect


def _text(reply: Any) -> dict[str, str]:
    """A hash as text; what is not UTF-8 is marked, since it can match nothing."""
    if isinstance(reply, list):  # RESP2
        reply = dict(zip(reply[::2], reply[1::2], strict=False))
    return {key.decode("utf-8", "replace"): value.decode("utf-8", "replace") for key, value in reply.items()}

"""The lookup tier as one worker sees it: the current generation, its pages, the nodes' states, and where an answer comes from.

Nothing here blocks, except `wait`, for at most the time that a question may wait.
"""

from __future__ import annotations

from select import POLLERR, POLLHUP, POLLIN, POLLOUT, poll
from time import monotonic, time

import hiredis

from geosteer import snapshot
from geosteer.client import CARRIERS, parse
from geosteer.errors import CorruptPage, GeosteerError
from geosteer.generation import Adoption, Generation, Unusable, serial_of
from geosteer.lean import bisect_right, load_json, socket
from geosteer.mirror import Mirror
from geosteer.model import Model
from geosteer.schema import Keys
from geosteer.tree import LeafCache, PageMissing
from geosteer.wire import Address, Link

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from geosteer.client import Client
    from geosteer.settings import Settings
    from geosteer.tree import Branch, Tree

AF_INET, AF_INET6 = socket.AF_INET, socket.AF_INET6
_pton, _number = socket.inet_pton, int.from_bytes

LIVE, STALE, FALLBACK = "live", "stale", "fallback"
OUTSTANDING = 64
"""Page requests under way at most."""
BACKOFF = (0.05, 0.5)
"""Seconds before a connection is tried again: at first, at most."""
POLL_EVERY = 1.0
"""Seconds between reads where pushes cannot be had."""


class NotReady(GeosteerError):
    """What a lookup needs is not here, and Redis did not give it in time."""


class LastGood:
    """What the snapshot on disk says: enough for names and the round robin of last resort."""

    __slots__ = ("document", "model", "serial")

    def __init__(self, data: Mapping[str, Any]) -> None:
        """Raises: CorruptPage, ValueError, KeyError, TypeError: it cannot be used."""
        self.document: dict[str, Any] = load_json(data["document"])
        self.model = Model(self.document)
        self.serial = serial_of(data["current"])


class Tier:
    """Follows what is published under one prefix of one Redis."""

    def __init__(
        self, settings: Settings, random: Callable[[int], int], *, clock: Callable[[], float] = monotonic,
        wall: Callable[[], float] = time, log: Callable[[str], None] = lambda _: None,
    ) -> None:  # fmt: skip
        """Args: random: below(n), uniform in 0..n-1; log: takes one line, worth an operator's reading."""
        self.settings = settings
        self.keys = Keys(settings.prefix)
        self.generation: Generation | None = None
        self.mirror = Mirror()
        self.version = 0
        """Goes up with every change that may change an answer."""
        self.last_good: LastGood | None = None
        """From disk, while there is no generation."""
        self._random, self._clock, self._wall, self._log = random, clock, wall, log
        self._address = Address(settings.url)
        self._link = Link(
            self._address, settings.timeout, clock, self._opened, self._pushed, self._closed, settings.tls
        )
        self._cache = LeafCache(settings.cache)
        self._v4: dict[str, Tree] = {}
        self._v6: dict[str, Tree] = {}
        self._adoption: Adoption | None = None
        self._asked: dict[tuple[int, int], float] = {}
        self._dirty: dict[str, None] = {}
        self._live = False
        self._usable = False  # what stands under `current` can be used
        self._foreign = False  # ... cannot, but only because it is of another schema
        self._proof: float | None = None  # when Redis was last known to be well
        self._retry_at: float | None = None
        self._backoff = BACKOFF[0]
        self._attempts = 0
        self._said: dict[str, str] = {}
        self._name = FALLBACK
        self._pushes = True
        self._next_poll = 0.0
        self._snapshot_due: float | None = None
        self._snapshot_read = False
        self._snapshot_rest = 0.0  # no snapshot before that
        self._poller = poll()
        self.reading = 0
        """Reads of node states and overrides under way: an answer waits for them if it may."""
        self.due = 0.0
        """Monotonic time at which `tick` wants to be called."""

    # ------------------------------------------------------------------ for the front end's loop

    def start(self) -> None:
        """Begin to connect."""
        self._attempts += 1
        self._link.connect()
        self._rename()

    @property
    def name(self) -> str:
        """Where answers come from now: `live`, `stale` or `fallback`."""
        return self._name

    def now(self) -> float:
        """Seconds since 1970, by the clock of those who write node states where one was heard."""
        return self.mirror.time(self._clock(), self._wall())

    def poll_mask(self) -> tuple[int, int]:
        """File descriptor to poll, or -1, and for what."""
        return self._link.fd, POLLIN | POLLOUT if self._link.wants_write else POLLIN

    def handle(self, event: int) -> None:
        """Do what the poll of the descriptor calls for."""
        if event & POLLOUT:
            self._link.writable()
        if event & (POLLIN | POLLHUP | POLLERR):
            self._link.readable()
        self._pump()

    def tick(self, *, idle: bool = True) -> None:
        """Do what time calls for, and say in `due` when to be called again; *idle*: no question is waiting."""
        now = self._clock()
        if self._retry_at is not None and now >= self._retry_at:
            self._retry_at = None
            self.start()
        due = min(self._link.tick(now), now + POLL_EVERY)
        if self._live and not (self._pushes and self._usable) and now >= self._next_poll:
            self._next_poll = now + POLL_EVERY  # no pushes, or nobody may announce that a damage was repaired
            self._dirty_all()
            self._pump()
        self._rename()
        if (
            self._snapshot_due is not None
            and now >= self._snapshot_due
            and (idle or now > self._snapshot_due + 5)
        ):
            self._save(now)
        for time_of in (self._retry_at, self._stale_ends(), self.mirror.frozen_at(), self._snapshot_due):
            if time_of is not None and now < time_of < due:
                due = time_of
        self.due = due

    def finish(self) -> None:
        """Before the end: write a snapshot that was about to be written."""
        now = self._clock()
        if self._snapshot_due is not None and now >= self._snapshot_rest:
            self._save(now)

    # ------------------------------------------------------------------ for answers

    def settle(self, asked: float) -> None:
        """Take in what Redis announced, before an answer: states that are being read again are waited for.

        Args: asked: when the question was read; nothing waits longer than the timeout after that.
        """
        if self.reading or self._dirty:
            self._pump()
            self.wait(asked, lambda: not self.reading)
        if self.generation is None and self._attempts == 1:
            self.wait(asked, lambda: self.generation is not None)

    def look(self, client: Client) -> Callable[[str], tuple[str, int]]:
        """A table's record and prefix length for a client, for `Director.decide`; raises PageMissing."""
        trees, bits, address = self.generation.trees if self.generation else {}, client.bits, client.address

        def cell(table: str) -> tuple[str, int]:
            tree = trees.get((table, bits))
            return tree.cell(address) if tree is not None else ("", 0)

        return cell

    def fetch(self, client: Client, tables: tuple[str, ...], asked: float) -> bool:
        """Ask for the leaves of a client that are not here, in one request; returns whether they came in time."""
        generation = self.generation
        if generation is None:
            return False
        wanted: list[tuple[Tree, Branch, int]] = []
        for table in tables:
            tree = generation.trees.get((table, client.bits))
            if tree is not None:
                branch, number = tree.locate(client.address)
                if branch.slots[number] is None:
                    wanted.append((tree, branch, number))
        for tree, branch, number in wanted:
            self._ask_leaf(tree, branch, number)
        self._link.writable()
        marks = [(id(branch), number) for _, branch, number in wanted]
        self.wait(asked, lambda: not any(mark in self._asked for mark in marks))
        return all(branch.slots[number] is not None for _, branch, number in wanted)

    def lookup(self, text: str, table: str = "geo") -> tuple[str, int]:
        """Record of an address, "" on a miss, and the length of the widest prefix around it with that record.

        Raises: ValueError: no address. NotReady: Redis is away and the page is not here.
        """
        try:
            if ":" not in text:
                tree = self._v4[table]
                address = _number(_pton(AF_INET, text), "big")
                leaf = tree.slots[bisect_right(tree.tops, address)]  # type: ignore[index]
                cell = leaf.cells[leaf.index[bisect_right(leaf.starts, address)]]  # type: ignore[union-attr]
                return cell if cell[1] else leaf.measure(address)  # type: ignore[union-attr]
            tree = self._v6[table]
            address = _number(_pton(AF_INET6, text), "big")
            if address >> 112 not in CARRIERS or 0x20010000 < address >> 96 < 0x20020000:
                leaf = tree.slots[bisect_right(tree.tops, address)]  # type: ignore[index]
                cell = leaf.cells[leaf.index[bisect_right(leaf.starts, address >> leaf.shift)]]  # type: ignore[union-attr]
                return cell if cell[1] else leaf.measure(address)  # type: ignore[union-attr]
        except (OSError, KeyError, TypeError, AttributeError):
            pass  # no address, a table or page that is not here, or a table too large for a single list
        return self._lookup_slowly(text, table)

    def _lookup_slowly(self, text: str, table: str) -> tuple[str, int]:
        client = parse(text)
        asked = self._clock()
        self.settle(asked)
        for _ in range(2):
            tree = self.generation.trees.get((table, client.bits)) if self.generation else None
            if self.generation is not None and tree is None:
                return "", 0
            if tree is not None:
                try:
                    return tree.cell(client.address)
                except PageMissing:
                    self.fetch(client, (table,), asked)
        raise NotReady(f"{text}: Redis did not answer in time")

    def wait(self, asked: float, done: Callable[[], bool]) -> bool:
        """Handle Redis until *done* or until the question's time is over; not at all on a link that is away or suspect."""
        until = asked + self.settings.timeout
        while not done():
            link, now = self._link, self._clock()
            fd, suspect = link.fd, link.suspect_at()
            if fd < 0 or not (self._live or self._attempts == 1):
                return False
            left = (until if suspect is None else min(until, suspect)) - now
            poller = self._poller
            poller.register(fd, self.poll_mask()[1])
            events = poller.poll(
                left * 1000 + 0.5 if left > 0 else 0
            )  # what has come already is taken in any case
            poller.unregister(fd)
            for _, event in events:
                self.handle(event)
            if left <= 0:
                return done()
        return True

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
        data = snapshot.read(self.settings.snapshot)
        if data is None:
            return
        try:
            self.last_good = LastGood(data)
            self.mirror.set_overrides(data["overrides"])
        except (CorruptPage, ValueError, KeyError, TypeError, AttributeError) as exc:
            self._say("snapshot", f"snapshot {self.settings.snapshot}: {exc}")
            return
        self._log(f"answers from the last good state, {self.settings.snapshot}, until Redis is there")
        self.version += 1

    # ------------------------------------------------------------------ the connection

    def _opened(self) -> None:
        link, keys = self._link, self.keys
        address, settings = self._address, self.settings
        user = settings.username or address.username
        password = settings.password or address.password
        login = ("AUTH", user or "default", password) if password else ()
        link.ask(("HELLO", 3, *login), self._hello)
        if address.database:
            link.ask(("SELECT", address.database), self._checked)
        prefixes = (keys.current, keys.nodes, keys.beat, keys.override)
        tracking = ["CLIENT", "TRACKING", "ON", "BCAST"]
        for prefix in prefixes:
            tracking += ["PREFIX", prefix]
        link.ask(tracking, self._tracked)
        self.reading = 0
        self._adoption = None
        self._asked.clear()
        self._dirty_all()
        self._read_dirty(pushed=False)
        link.ask(("PING",), self._arrived)

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
                self._say("push", f"{self._address}: no pushes ({reply}); asking every second")
            self._pushes = False
        else:
            self._checked(reply)

    def _checked(self, reply: Any) -> bool:
        """Whether a reply is no error; an error ends the connection, since a Redis that refuses is as good as away."""
        if isinstance(reply, hiredis.ReplyError):
            self._link.close(str(reply))
            return False
        return True

    def _arrived(self, reply: Any) -> None:
        """All that was asked for on opening is in."""
        if not self._checked(reply):
            return
        self._live = True
        self._backoff = BACKOFF[0]
        self._say("link", "")
        self.version += 1
        self._rename()

    def _closed(self, reason: str) -> None:
        now = self._clock()
        if self._live and (self._usable or self._foreign):
            self._proof = now
        self._attempts = max(self._attempts, 2)  # only the very first connection is waited for
        self._live = False
        self.reading = 0
        self._adoption = None
        self._asked.clear()
        self._say("link", f"{self._address}: {reason}")
        jitter = 0.5 + self._random(1024) / 2048
        self._retry_at = now + self._backoff * jitter
        self._backoff = min(2 * self._backoff, BACKOFF[1])
        self.due = 0.0
        self._rename()

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

    def _pump(self) -> None:
        if self._dirty and self._link.up:
            self._read_dirty(pushed=True)
            self._link.writable()

    def _read_dirty(self, *, pushed: bool) -> None:
        keys, link = self.keys, self._link
        dirty, self._dirty = self._dirty, {}
        for key in dirty:
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

    def _ask_node(self, name: str) -> None:
        self.reading += 1
        self._link.ask(("HGETALL", self.keys.node(name)), lambda reply: self._take_node(name, reply))

    # ------------------------------------------------------------------ what came

    def _take_node(self, name: str, reply: Any) -> None:
        self.reading -= 1
        if self._checked(reply) and self.mirror.set_node(name, _text(reply)):
            self.version += 1
            self._save_soon()

    def _take_overrides(self, reply: Any) -> None:
        self.reading -= 1
        if not self._checked(reply):
            return
        changed, bad = self.mirror.set_overrides(_text(reply))
        self._say(
            "override", f"override of {', '.join(sorted(bad))} cannot be read and is ignored" if bad else ""
        )
        if changed:
            self.version += 1
            self._save_soon()

    def _take_beats(self, reply: Any, *, pushed: bool) -> None:
        if self._checked(reply):
            self.mirror.set_beats(_text(reply), self._clock(), pushed=pushed)
            self._rename()

    def _take_current(self, reply: Any) -> None:
        if not self._checked(reply):
            return
        fields = _text(reply)
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
        self._adopt()

    def _adopt(self) -> None:
        adoption = self._adoption
        if adoption is None:
            return
        try:
            missing = adoption.missing()
            if missing:
                command = ("HMGET", self.keys.object, *[name.hex() for name in missing])
                self._link.ask(command, lambda reply: self._take_objects(adoption, missing, reply))
                return
            generation = adoption.finish()
        except CorruptPage as exc:
            self._cannot_adopt(str(exc))
            return
        fresh = [name for name in generation.model.nodes if name not in self.mirror.states]
        self._switch(generation, fresh)

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

    def _switch(self, generation: Generation, fresh: list[str]) -> None:
        """Make a complete generation the one that answers, as soon as its new nodes' states are known."""
        self._adoption = None
        if fresh:
            for name in fresh:
                self.mirror.set_node(name, {})
                self._ask_node(name)
            self._link.ask(("PING",), lambda reply: self._after_states(generation, reply))
            return
        self._in_force(generation)

    def _after_states(self, generation: Generation, reply: Any) -> None:
        if self._checked(reply):
            self._in_force(generation)

    def _in_force(self, generation: Generation) -> None:
        trees = list(generation.trees.values())
        self._cache = self._cache.carry_over(trees)
        self.generation = generation
        self._v4 = {table: tree for (table, bits), tree in generation.trees.items() if bits == 32}
        self._v6 = {table: tree for (table, bits), tree in generation.trees.items() if bits == 128}
        self.mirror.forget_others(generation.model.nodes)
        self.version += 1
        self._say("current", "")
        self._well(well=True)
        self._save_soon()

    def _ask_leaf(self, tree: Tree, branch: Branch, number: int) -> None:
        mark = (id(branch), number)
        if mark in self._asked or not self._link.up or len(self._asked) >= OUTSTANDING:
            return
        self._asked[mark] = self._clock()
        command = ("HGET", self.keys.object, branch.digest(number).hex())
        self._link.ask(command, lambda reply: self._take_leaf(mark, tree, branch, number, reply))

    def _take_leaf(self, mark: tuple[int, int], tree: Tree, branch: Branch, number: int, reply: Any) -> None:
        self._asked.pop(mark, None)
        if not self._checked(reply):
            return
        try:
            if not isinstance(reply, bytes):
                raise CorruptPage("is not there")
            self._cache.put(tree.bits, branch, number, reply)
        except CorruptPage as exc:
            self._say("page", f"page {branch.digest(number).hex()}: {exc}")
            self._dirty[self.keys.current] = None

    # ------------------------------------------------------------------ what it amounts to

    def _well(self, *, well: bool, foreign: bool = False) -> None:
        if self._usable and not well:
            self._proof = self._clock()
        self._usable, self._foreign = well, foreign
        self.due = 0.0
        self._rename()

    def _stale_ends(self) -> float | None:
        return None if self._proof is None else self._proof + self.settings.max_stale

    def _rename(self) -> None:
        """Find out where answers come from now."""
        now = self._clock()
        ends = self._stale_ends()
        if self.generation is None:
            name = FALLBACK
        elif self._live and self._usable:
            frozen = self.mirror.frozen(now)
            self._say(
                "beat", f"node states are frozen: nothing from {', '.join(sorted(frozen))}" if frozen else ""
            )
            name = STALE if frozen else LIVE
        elif self._live and self._foreign:
            name = STALE  # what is published needs a newer program; that is no outage
        else:
            name = STALE if ends is not None and now < ends else FALLBACK
        if name != self._name:
            if self._name != FALLBACK or name != LIVE or self._attempts > 1:
                self._log(f"answers are {name} now")
            self._name = name
            self.version += 1

    def _save_soon(self) -> None:
        if self._snapshot_due is None:
            self._snapshot_due = max(self._clock() + 0.2, self._snapshot_rest)
            self.due = 0.0

    def _save(self, now: float) -> None:
        self._snapshot_due = None
        if self.generation is None or not self._live:
            return
        trouble = snapshot.write(
            self.settings.snapshot, self.generation.fields, self.generation.text,
            dict(sorted(self.mirror.fields.items())), dict(sorted(self.mirror.overrides.items())),
        )  # fmt: skip
        self._say("snapshot", f"snapshot {trouble}" if trouble else "")
        self._snapshot_rest = now + snapshot.EVERY

    def _say(self, topic: str, text: str) -> None:
        """Log a trouble once, until it changes or ends ("")."""
        if self._said.get(topic, "") != text:
            if text:
                self._log(text)
            self._said[topic] = text


def _text(reply: Any) -> dict[str, str]:
    """A hash as text; what is not UTF-8 is marked, since it can match nothing."""
    if isinstance(reply, list):  # RESP2
        reply = dict(zip(reply[::2], reply[1::2], strict=False))
    return {key.decode("utf-8", "replace"): value.decode("utf-8", "replace") for key, value in reply.items()}

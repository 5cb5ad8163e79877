"""The lookup tier as one worker sees it: what is published, from where answers come now, and how long one waits for Redis.

Nothing here blocks, except `wait`, for at most the time that a question may wait.
"""

from __future__ import annotations

from select import POLLERR, POLLHUP, POLLIN, POLLOUT, poll
from time import monotonic, time

from geosteer.cmodules import bisect_right, load_json, socket
from geosteer.decision.client import CARRIERS, parse
from geosteer.decision.model import Model
from geosteer.errors import CorruptPage, GeosteerError
from geosteer.sync import snapshot
from geosteer.sync.follower import Feed
from geosteer.sync.generation import names_of, serial_of
from geosteer.tables.tree import SEVERAL, PageMissing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from geosteer.decision.client import Client
    from geosteer.settings import Settings
    from geosteer.sync.generation import Generation
    from geosteer.sync.node_states import Mirror
    from geosteer.tables.tree import Branch, Tree

AF_INET, AF_INET6 = socket.AF_INET, socket.AF_INET6
_pton, _number = socket.inet_pton, int.from_bytes

ATTEMPTS = 8
"""Times that a page is fetched for one lookup, at most: while it is waited for, a new generation may come."""
LIVE, STALE, FALLBACK = "live", "stale", "fallback"


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
        names_of(self.document, self.model, self.serial)


class Tier:
    """Follows what is published under one prefix of one Redis."""

    def __init__(
        self, settings: Settings, random: Callable[[int], int], *, clock: Callable[[], float] = monotonic,
        wall: Callable[[], float] = time, log: Callable[[str], None] = lambda _: None,
    ) -> None:  # fmt: skip
        """Args: random: below(n), uniform in 0..n-1; log: takes one line, worth an operator's reading."""
        self.settings = settings
        self.version = 0
        """Goes up with every change that may change an answer."""
        self.last_good: LastGood | None = None
        """From disk, while there is no generation."""
        self.due = 0.0
        """Monotonic time at which `tick` wants to be called."""
        self._clock, self._wall, self._log = clock, wall, log
        self._feed = Feed(settings, random, clock, self._say, self._changed, self._learnt)
        self._keeper = snapshot.Keeper(settings.snapshot)
        self._v4: dict[str, Tree] = {}
        self._v6: dict[str, Tree] = {}
        self._said: dict[str, str] = {}
        self._name = FALLBACK
        self._snapshot_read = False
        self._poller = poll()

    # ------------------------------------------------------------------ for the front end's loop

    def start(self) -> None:
        """Begin to connect."""
        self._feed.start()

    @property
    def name(self) -> str:
        """Where answers come from now: `live`, `stale` or `fallback`."""
        return self._name

    @property
    def generation(self) -> Generation | None:
        """What is published, as far as this worker has adopted it."""
        return self._feed.generation

    @property
    def mirror(self) -> Mirror:
        """Node states and overrides."""
        return self._feed.mirror

    @property
    def reading(self) -> int:
        """Reads of node states and overrides under way: an answer waits for them if it may."""
        return self._feed.reading

    @property
    def unsettled(self) -> bool:
        """Whether an answer has something to wait for, if it may: states being read, or a first generation."""
        return self._feed.reading > 0 or self._feed.generation is None

    def now(self) -> float:
        """Seconds since 1970, by the clock of those who write node states where one was heard."""
        return self._feed.mirror.time(self._clock(), self._wall())

    def poll_mask(self) -> tuple[int, int]:
        """File descriptor to poll, or -1, and for what."""
        link = self._feed.link
        return link.fd, POLLIN | POLLOUT if link.wants_write else POLLIN

    def handle(self, event: int) -> None:
        """Do what the poll of the descriptor calls for."""
        if event & POLLOUT:
            self._feed.link.writable()
        if event & (POLLIN | POLLHUP | POLLERR):
            self._feed.link.readable()
        self._feed.pump()

    def tick(self, *, idle: bool = True) -> None:
        """Do what time calls for, and say in `due` when to be called again; *idle*: no question is waiting."""
        now = self._clock()
        due = self._feed.tick(now)
        self._rename()
        if self._keeper.wanted(now, idle=idle):
            self._save(now)
        for time_of in (self._stale_ends(), self.mirror.frozen_at(), self._keeper.due):
            if time_of is not None and now < time_of < due:
                due = time_of
        self.due = due

    def finish(self) -> None:
        """Before the end: write a snapshot that was about to be written."""
        now = self._clock()
        if self._keeper.may(now):
            self._save(now)

    def close(self) -> None:
        """End the connection, and say nothing of it."""
        self._log = _silent
        self._feed.link.close("closed")

    # ------------------------------------------------------------------ for answers

    def settle(self, asked: float) -> None:
        """Take in what Redis announced, before an answer: states that are being read again are waited for.

        Args: asked: when the question was read; nothing waits longer than the timeout after that.
        """
        feed = self._feed
        if feed.reading:
            self.wait(asked, lambda: not feed.reading)
        if feed.generation is None and feed.first:
            self.wait(asked, lambda: feed.generation is not None)

    def look(self, client: Client) -> Callable[[str], tuple[str, int]]:
        """A table's record and prefix length for a client, for `Director.decide`; raises PageMissing."""
        trees, bits, address = self.generation.trees if self.generation else {}, client.bits, client.address

        def cell(table: str) -> tuple[str, int]:
            tree = trees.get((table, bits))
            return tree.cell(address) if tree is not None else ("", 0)

        return cell

    def reach(self, client: Client, tables: tuple[str, ...]) -> Callable[[str], tuple[str, int]]:
        """As `look`, once the pages of these tables are here.

        Raises: NotReady: Redis did not give them in time.
        """
        asked = self._clock()
        for _ in range(ATTEMPTS):
            generation = self.generation
            if generation is None or not self.fetch(client, tables, asked):
                break
            if generation is self.generation:
                return self.look(client)
        raise NotReady(f"{client}: Redis did not answer in time")

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
        self.wait(asked, self._feed.ask_leaves(wanted))
        return all(branch.slots[number] is not None for _, branch, number in wanted)

    def lookup(self, text: str, table: str = "geo") -> tuple[str, int]:
        """Record of an address, "" on a miss, and the length of the widest prefix around it with that record.

        Raises: ValueError: no address. NotReady: Redis is away and the page is not here.
        """
        try:
            if ":" not in text:
                tree = self._v4[table]
                address = _number(_pton(AF_INET, text))
                quick = tree.quick
                number = quick[address >> 16] if quick is not None else SEVERAL
                leaf = tree.slots[number if number != SEVERAL else bisect_right(tree.tops, address)]  # type: ignore[index]
                cell = leaf.cells[leaf.index[bisect_right(leaf.starts, address)]]  # type: ignore[union-attr]
                return cell if cell[1] else leaf.measure(address)  # type: ignore[union-attr]
            tree = self._v6[table]
            address = _number(_pton(AF_INET6, text))
            if address >> 112 not in CARRIERS or 0x20010000 < address >> 96 < 0x20020000:
                leaf = tree.slots[bisect_right(tree.tops, address)]  # type: ignore[index]
                cell = leaf.cells[leaf.index[bisect_right(leaf.starts, address >> leaf.shift & leaf.mask)]]  # type: ignore[union-attr]
                return cell if cell[1] else leaf.measure(address)  # type: ignore[union-attr]
        except (OSError, KeyError, TypeError, AttributeError):
            pass  # no address, a table or page that is not here, or a table too large for a single list
        return self._lookup_slowly(text, table)

    def _lookup_slowly(self, text: str, table: str) -> tuple[str, int]:
        client = parse(text)
        asked = self._clock()
        self.settle(asked)
        for _ in range(ATTEMPTS):
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
            feed, link, now = self._feed, self._feed.link, self._clock()
            fd, suspect = link.fd, link.suspect_at()
            if fd < 0 or not (feed.live or feed.first):
                return False
            left = (until if suspect is None else min(until, suspect)) - now
            poller = self._poller
            poller.register(fd, self.poll_mask()[1])
            # what has come already is taken in any case
            events = poller.poll(left * 1000 + 0.5 if left > 0 else 0)
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

    # ------------------------------------------------------------------ what it amounts to

    def _stale_ends(self) -> float | None:
        proof = self._feed.proof
        return None if proof is None else proof + self.settings.max_stale

    def _changed(self) -> None:
        """Something came that may change an answer, or where answers come from."""
        self.version += 1
        self.due = 0.0
        generation = self._feed.generation
        if generation is not None:
            self._v4 = {table: tree for (table, bits), tree in generation.trees.items() if bits == 32}
            self._v6 = {table: tree for (table, bits), tree in generation.trees.items() if bits == 128}
        self._rename()

    def _rename(self) -> None:
        """Find out where answers come from now."""
        feed, now, ends = self._feed, self._clock(), self._stale_ends()
        if feed.generation is None:
            name = FALLBACK
        elif feed.live and feed.usable:
            frozen = feed.mirror.frozen(now)
            self._say(
                "beat", f"node states are frozen: nothing from {', '.join(sorted(frozen))}" if frozen else ""
            )
            name = STALE if frozen else LIVE
        elif feed.live and feed.foreign:
            name = STALE  # what is published needs a newer program; that is no outage
        else:
            name = STALE if ends is not None and now < ends else FALLBACK
        if name != self._name:
            if self._name != FALLBACK or name != LIVE or not feed.first:
                self._log(f"answers are {name} now")
            self._name = name
            self.version += 1

    def _learnt(self) -> None:
        self._keeper.soon(self._clock())
        self.due = 0.0

    def _save(self, now: float) -> None:
        generation, mirror = self._feed.generation, self._feed.mirror
        if generation is None or not self._feed.live:
            return
        trouble = self._keeper.save(now, generation.fields, generation.text, mirror.fields, mirror.overrides)
        self._say("snapshot", f"snapshot {trouble}" if trouble else "")

    def _say(self, topic: str, text: str) -> None:
        """Log a trouble once, until it changes or ends ("")."""
        if self._said.get(topic, "") != text:
            if text:
                self._log(text)
            self._said[topic] = text


def _silent(_text: str) -> None:
    """No log."""

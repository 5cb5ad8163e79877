"""Look-ups in the tables of the generation in force, and waiting for the pages that they need.

Nothing here blocks, except `wait`, for at most the time that a question may wait.
"""

from __future__ import annotations

from select import POLLERR, POLLHUP, POLLIN, POLLOUT, poll

from geosteer.cmodules import bisect_right, socket
from geosteer.counters.counters import HITS, MISSES, TIMEOUTS, WAITS
from geosteer.decision.client import CARRIERS, parse
from geosteer.errors import GeosteerError
from geosteer.process import waited_for_processor
from geosteer.tables.tree import QUICK_HOST, SEVERAL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from geosteer.counters.counters import Counters
    from geosteer.decision.client import Client
    from geosteer.keys import Keys
    from geosteer.settings import Settings
    from geosteer.sync.follower import Follower
    from geosteer.sync.generation import Generation
    from geosteer.tables._search import Search
    from geosteer.tables.tree import Branch, Tree

AF_INET, AF_INET6 = socket.AF_INET, socket.AF_INET6
_pton, _number = socket.inet_pton, int.from_bytes

STARTING = 60.0
"""Seconds after its start in which a worker's first pages may take as long as its first generation."""
ATTEMPTS = 8
"""Times that a page is fetched for one lookup, at most: while it is waited for, a new generation may come."""


class NotReady(GeosteerError):
    """What a lookup needs is not here, and Redis did not give it in time."""


class Lookups:
    """What a tier answers from, and what it waits for."""

    def __init__(
        self, settings: Settings, follower: Follower, clock: Callable[[], float], counters: Counters
    ) -> None:
        self.settings = settings
        self.counters = counters
        """Take what this tier does, and what the front end answers."""
        self._follower = follower
        self._clock = clock
        self._v4: dict[str, Tree] = {}
        self._v6: dict[str, Tree] = {}
        self._indexed: Generation | None = None
        """Whose trees these are."""
        self._search: type[Search] | None = None
        """What looks up in C, once a look-up by text has asked for it."""
        self._searchable = False
        """Whether that was asked for."""
        self._finders: dict[str, Callable[[str], tuple[str, int] | None]] = {}
        """By table: finds an address in C, or says None; empty without the part in C."""
        self._poller = poll()
        self._started = clock()
        self._begun: tuple[float, float] | None = None
        """Of the first question: when it was asked, and `waited_for_processor` then.

        The generation and the pages that this one needs may take `first_wait`.
        """
        self._met_pages = False

    def clock(self) -> float:
        """Monotonic seconds."""
        return self._clock()

    @property
    def generation(self) -> Generation | None:
        """What is published, as far as this worker has adopted it."""
        return self._follower.generation

    def settle(self, asked: float) -> None:
        """Take in what Redis announced, before an answer: states that are being read again are waited for.

        Args: asked: when the question was read; nothing waits longer than the timeout after that, but a worker that knows
            nothing yet, and is being told by Redis, until `first_wait` after that.
        """
        follower = self._follower
        if follower.reading:
            self.wait(asked, lambda: not follower.reading)
        if follower.generation is None and follower.first:
            self._wait_first(asked)

    def _wait_first(self, asked: float) -> None:
        """Wait for the first generation: for long where Redis tells it already, or nothing else is known.

        What is known from disk has no tables, so that it steers nobody.
        """
        follower = self._follower
        adopted = lambda: follower.generation is not None or follower.live  # noqa: E731
        if asked > 0:
            self._begun = asked, waited_for_processor()
        if self.wait(asked, adopted) or asked <= 0 or follower.link.resolving:
            return  # a server whose name is still looked up may be down
        if follower.link.answered or self._knows_nothing():
            self.wait(asked, adopted, patient=True)

    def _first_until(self) -> float:
        """Until when the first question may wait (monotonic); 0.0 before it.

        Time in which this process got no processor does not count: where many workers start at once, what is slow is the
        machine and not Redis.
        """
        if self._begun is None:
            return 0.0
        asked, waited = self._begun
        return asked + self.settings.first_wait + waited_for_processor() - waited

    def _knows_nothing(self) -> bool:
        """Whether there is not even a last good state."""
        return True

    def look(self, client: Client) -> Callable[[str], tuple[str, int]]:
        """A table's record and prefix length for a client, for `Director.decide`; raises PageMissing."""
        trees, bits, address = self.generation.trees if self.generation else {}, client.bits, client.address
        count = self.counters.count

        def cell(table: str) -> tuple[str, int]:
            tree = trees.get((table, bits))
            if tree is None:
                return "", 0
            record = tree.cell(address)
            count(HITS)
            return record

        return cell

    def cells(self, client: Client, asked: float) -> list[tuple[str, int]]:
        """What every published table says of a client: record and prefix length.

        Args: asked: when the question was read. Raises: NotReady: Redis did not give a page in time.
        """
        for _ in range(ATTEMPTS):
            generation = self.generation
            if generation is None:
                break
            tables = tuple([table for table, bits in generation.trees if bits == client.bits])
            if not self.fetch(client, tables, asked):
                break
            if generation is self.generation:
                look = self.look(client)
                return [look(table) for table in tables]
        raise NotReady(f"{client}: Redis did not answer in time")

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
        return self.fetch_at(client.bits, client.address, tables, asked)

    def fetch_at(self, bits: int, address: int, tables: tuple[str, ...], asked: float) -> bool:
        """As `fetch`, for an address of so many bits."""
        generation = self._follower.generation
        if generation is None:
            return False
        wanted: list[tuple[Tree, Branch, int]] = []
        for table in tables:
            tree = generation.trees.get((table, bits))
            if tree is not None:
                branch, number = tree.locate(address)
                if branch.slots[number] is None:
                    wanted.append((tree, branch, number))
        return not wanted or self._fetch(wanted, asked)

    def _fetch(self, wanted: list[tuple[Tree, Branch, int]], asked: float) -> bool:
        """Ask for leaves that are not here, in one request; returns whether they came in time."""
        for _ in wanted:
            self.counters.count(MISSES)
        if asked > 0 and not self._met_pages:
            self._met_pages = True
            if self._begun is None and self._clock() < self._started + STARTING:
                self._begun = asked, waited_for_processor()
        if not self._fetch_alone(wanted, asked):
            self.wait(asked, self._follower.leaves.ask(wanted))
        return None not in [branch.slots[number] for _, branch, number in wanted]

    def _fetch_alone(self, wanted: list[tuple[Tree, Branch, int]], asked: float) -> bool:
        """Have the leaves that a question waits for, where it is all that is waited for; whether they came.

        Not for the first question, which may wait for longer.
        """
        follower = self._follower
        if asked <= 0 or not follower.live or (self._begun is not None and asked == self._begun[0]):
            return False
        until = asked + self.settings.timeout
        try:
            came = follower.leaves.fetch(wanted, until)
            follower.pump()  # a page may have been damaged
        except Exception as exc:  # noqa: BLE001  # as in `handle`
            self.stumble(exc)
            return False
        late = not came and self._clock() >= until
        if came or late:
            self.counters.count(WAITS)
        if late:
            self.counters.count(TIMEOUTS)
        return came

    def lookup(self, text: str, table: str = "geo") -> tuple[str, int]:
        """Record of an address, "" on a miss, and the length of the widest prefix around it with that record.

        Raises: ValueError: no address. NotReady: Redis is away and the page is not here.
        """
        if self._finders:
            find = self._finders.get(table)
            cell = find(text) if find is not None else None
            if cell is not None:
                return cell
        try:
            if ":" not in text:
                tree = self._v4[table]
                address = _number(_pton(AF_INET, text))
                quick = tree.quick
                number = quick[address >> QUICK_HOST] if quick is not None else SEVERAL
                leaf = tree.slots[number if number != SEVERAL else bisect_right(tree.tops, address)]  # type: ignore[index]
                cell = leaf.cells[leaf.index[bisect_right(leaf.starts, address >> leaf.shift & leaf.mask)]]  # type: ignore[union-attr]
                return cell if cell[1] else leaf.measure(address)  # type: ignore[union-attr]
            tree = self._v6[table]
            address = _number(_pton(AF_INET6, text))
            if address >> 112 not in CARRIERS or 0x20010000 < address >> 96 < 0x20020000:
                leaf = tree.slots[bisect_right(tree.tops, address)]  # type: ignore[index]
                cell = leaf.cells[leaf.index[bisect_right(leaf.starts, address >> leaf.shift & leaf.mask)]]  # type: ignore[union-attr]
                return cell if cell[1] else leaf.measure(address)  # type: ignore[union-attr]
        except (OSError, KeyError, TypeError, AttributeError):
            pass  # no address, a page that is not here, or a table that is not, or is too large for a single list
        return self._lookup_slowly(text, table)

    def _lookup_slowly(self, text: str, table: str) -> tuple[str, int]:
        if not self._searchable:
            self._searchable = True
            self._load_search()
        try:
            bits, address = 32, _number(_pton(AF_INET, text))
        except OSError:
            client = parse(text)
            bits, address = client.bits, client.address
        asked, follower = self._clock(), self._follower
        self.settle(asked)
        for _ in range(ATTEMPTS):
            generation = follower.generation
            if generation is None:
                continue
            tree = generation.trees.get((table, bits))
            if tree is None:
                return "", 0
            branch, number = tree.locate(address)
            if branch.slots[number] is None:
                self._fetch([(tree, branch, number)], asked)
            leaf = branch.slots[number]
            if leaf is not None:
                return leaf.measure(address)
        raise NotReady(f"{text}: Redis did not answer in time")

    def wait(self, asked: float, done: Callable[[], bool], *, patient: bool = False) -> bool:
        """Handle Redis until *done* or until the question's time is over; not at all on a link that is away or suspect.

        Args: patient: the time of a first question counts, on a suspect link too; so it does for the pages that it needs.
        """
        waited = False
        until = asked + self.settings.timeout if asked > 0 else asked
        if patient or (self._begun is not None and asked == self._begun[0] and self.generation is not None):
            first = self._first_until()
            patient = first > until
            until = max(until, first)
        while not done():
            follower, now = self._follower, self._clock()
            link = follower.link
            more = follower.generation is None and self._bring_first()
            if more:
                if done():
                    break
                now = self._clock()
            if patient and until <= now:
                until = self._first_until()
            (fd, wanted), suspect = self.poll_mask(), None if patient else link.suspect_at()
            if fd < 0 or not (follower.live or follower.first):
                break
            left = (until if suspect is None else min(until, suspect)) - now
            if left > 0 and not waited:
                waited = True
                self.counters.count(WAITS)
            poller = self._poller
            poller.register(fd, wanted)
            # what has come already is taken in any case
            events = poller.poll(min(left, 60.0) * 1000 + 0.5 if left > 0 and not more else 0)
            poller.unregister(fd)
            for _, event in events:
                self.handle(event)
            if left <= 0:
                break
        if done():
            return True
        if waited:
            self.counters.count(TIMEOUTS)
        return False

    def _bring_first(self) -> bool:
        """Where there is nothing to answer from, bring the first generation a step nearer, if there is one to be taken now."""
        follower = self._follower
        if not follower.ready:
            return False
        try:
            follower.work(self._clock(), idle=True)
        except Exception as exc:  # noqa: BLE001  # as in `handle`
            self.stumble(exc)
        return True

    def poll_mask(self) -> tuple[int, int]:
        """File descriptor to poll, or -1, and for what."""
        return self._follower.link.poll_mask()

    def handle(self, event: int) -> None:
        """Do what the poll of the descriptor calls for."""
        link = self._follower.link
        try:
            if event & POLLOUT:
                link.writable()
            if event & (POLLIN | POLLHUP | POLLERR):
                link.readable()
            self._follower.pump()
        except Exception as exc:  # noqa: BLE001  # nothing that Redis says ends the program
            self.stumble(exc)

    @property
    def keys(self) -> Keys:
        """Where in Redis it all is."""
        return self._follower.keys

    @property
    def at_rest(self) -> bool:
        """Whether states that are announced may be read by others, who hand what came to `take`."""
        return self._follower.at_rest

    def take(self, key: bytes, sent_at: float, unsent: bytes, reply: bytes | Mapping[str, str]) -> bool:
        """Go on where the hash of overrides, or of a node's state, was asked for at rest. All as `Follower.take`."""
        try:
            return self._follower.take(key.decode(), sent_at, unsent, reply)
        except Exception as exc:  # noqa: BLE001  # as in `handle`
            self.stumble(exc)
            return False

    def stumble(self, exc: BaseException) -> None:
        """Start over after an unexpected exception."""
        raise exc

    def _index(self, generation: Generation) -> None:
        """Have the trees of a generation at hand by table, those that are a single list."""
        self._indexed = generation
        flat = {key: tree for key, tree in generation.trees.items() if tree.slots is not None}
        self._v4 = {table: tree for (table, bits), tree in flat.items() if bits == 32}
        self._v6 = {table: tree for (table, bits), tree in flat.items() if bits == 128}
        if self._search is not None:
            self._index_for_search(self._search)

    def _load_search(self) -> None:
        """Look up in C from now on, where that was built."""
        from geosteer.sync.compiled_search import load  # workers look nothing up by text

        self._search = load()
        if self._search is not None and self._indexed is not None:
            self._index_for_search(self._search)

    def _index_for_search(self, search: type[Search]) -> None:
        """Have all trees at hand for C."""
        assert self._indexed is not None
        trees = self._indexed.trees
        self._finders = {
            name: search(
                *[
                    tree.lists() if (tree := trees.get((name, bits))) is not None else None
                    for bits in (32, 128)
                ]
            ).find
            for name in {name for name, _ in trees}
        }

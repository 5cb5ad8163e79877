"""How a generation is put together from what Redis has, and warmed before it answers."""

from __future__ import annotations

from geosteer.cmodules import deque
from geosteer.errors import CorruptPage
from geosteer.keys import FAMILIES, SCHEMA, TABLES, digest, root_field
from geosteer.process import finished
from geosteer.resp.link import wrong_type
from geosteer.sync.generation import Generation
from geosteer.sync.states import ALIEN, EMPTIED, REFUSED
from geosteer.tables.tree import Inner, Tree, inner_digests

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any, TypeVar

    from geosteer.process import Steps
    from geosteer.resp.conversation import Handler
    from geosteer.resp.link import Link
    from geosteer.sync.leaf_requests import LeafRequests
    from geosteer.tables.leaf_cache import Place

    Asked = TypeVar("Asked")

BATCH = 64
"""Objects or states asked for at once: half a MiB of pages."""


class Unusable(Exception):  # a state of Redis, for the log
    """The key `current` does not name a generation that this program can use."""

    def __init__(self, text: str, event: str = REFUSED) -> None:
        super().__init__(text)
        self.event = event
        """What that means for whoever follows: one of `states.EVENTS`."""


class Adoption:
    """A generation on its way in: says what is missing until nothing is."""

    __slots__ = ("_config", "_decoded", "_have", "_previous", "_text", "_trees", "fields")

    def __init__(self, fields: Mapping[str, str], previous: Generation | None) -> None:
        """Raises: Unusable: these fields of `current` name no generation for this program."""
        if not fields:
            raise Unusable("nothing is published there", EMPTIED)
        schema = fields.get("schema")
        if schema != str(SCHEMA):
            text = f"schema {schema}, this program knows {SCHEMA}: upgrade the workers first"
            raise Unusable(text, REFUSED if schema is None else ALIEN)
        try:
            self._config = bytes.fromhex(fields["config"])
        except (KeyError, ValueError):
            raise Unusable("the field config of `current` is absent or not a digest") from None
        self.fields = fields
        self._previous = previous
        self._trees: dict[tuple[str, int], bytes] = {}
        for table in TABLES:
            for bits in FAMILIES.values():
                field = root_field(table, bits)
                if field in fields:
                    try:
                        self._trees[table, bits] = bytes.fromhex(fields[field])
                    except ValueError:
                        raise Unusable(f"the field {field} of `current` is not a digest") from None
        self._have: dict[bytes, bytes] = {}
        self._decoded: dict[bytes, Inner] = {}
        self._text: str | None = None
        if previous is not None and previous.fields.get("config") == fields["config"]:
            self._text = previous.text

    def missing(self) -> list[bytes]:
        """Digests of what is to be fetched now; empty when all is here.

        Raises: CorruptPage: what came is damaged.
        """
        wanted = [] if self._text is not None else [self._config]
        for (table, bits), root in self._trees.items():
            if not self._kept(table, bits):
                wanted += inner_digests(bits, root, self._have, self._read)
        return list(dict.fromkeys(wanted))

    def give(self, name: bytes, data: bytes | None) -> None:
        """Take in what was fetched.

        Raises: CorruptPage: it is absent, or does not match its digest.
        """
        if data is None:
            raise CorruptPage(f"object {name.hex()} is not there")
        if digest(data) != name:
            raise CorruptPage(f"object {name.hex()} is damaged")
        if name == self._config:
            try:
                self._text = data.decode()
            except UnicodeDecodeError as exc:
                raise CorruptPage("configuration document is not UTF-8") from exc
        self._have[name] = data

    def finish(self) -> Generation:
        """The generation, when nothing is missing.

        Raises: CorruptPage: the pieces don't make one.
        """
        return finished(self.in_steps())

    def in_steps(self) -> Steps[Generation]:
        """As `finish`, piece by piece."""
        assert self._text is not None
        trees = {}
        for (table, bits), root in self._trees.items():
            kept = self._kept(table, bits)
            trees[table, bits] = kept or (yield from Tree.in_steps(bits, root, self._have, self._read))
            yield
        return (yield from Generation.in_steps(self.fields, self._text, trees, self._previous))

    def _kept(self, table: str, bits: int) -> Tree | None:
        """The previous generation's tree, where it is the same."""
        tree = self._previous.trees.get((table, bits)) if self._previous is not None else None
        return tree if tree is not None and tree.root == self._trees[table, bits] else None

    def _read(self, raw: bytes) -> Inner:
        """A page; those above many others are decoded once, for what is missing and for the tree."""
        page = self._decoded.get(raw)
        if page is None:
            page = Inner(raw)
            if page.height > 1:  # the others are most of a large table, and are gone through one by one
                self._decoded[raw] = page
        return page


IDLE = "idle"
"""Nothing is on its way in."""
FETCHING = "fetching"
"""The document and the upper pages are asked for, level by level."""
BUILDING = "building"
"""They are put together."""
CARRYING = "carrying"
"""The leaves that both generations have are taken over."""
WARMING = "warming"
"""The states of new nodes and the leaves in use that changed are asked for, and taken in."""


class Adopter:
    """Brings a generation in, step by step, while the one before it answers; it is in force from one moment to the next.

    Of announcements that come meanwhile the last waits until the one under way is in force or has failed: else a generation
    that takes longer than the time between two would never be.
    """

    __slots__ = (
        "_awaited", "_failed", "_forgetting", "_fresh", "_hurry", "_in_force", "_leaves", "_link", "_next", "_object",
        "_steps", "fields", "phase",
    )  # fmt: skip

    def __init__(
        self, link: Link, object_key: str, leaves: LeafRequests,
        fresh: Callable[[Generation], Iterable[Callable[[Callable[[], None]], None]]], in_force: Callable[[Generation], None],
        failed: Callable[[str], None], hurry: Callable[[], None],
    ) -> None:  # fmt: skip
        """Make one that adopts nothing yet.

        Args:
            fresh: what queues a read of each of the states that a generation needs and that were not read yet, given what
                is to be called when the reply is in.
            in_force: takes a generation that is complete and warm.
            failed: takes what is missing or damaged, as a line for the log.
            hurry: called when there is something to do.
        """
        self._link, self._object, self._leaves = link, object_key, leaves
        self._fresh, self._in_force, self._failed, self._hurry = fresh, in_force, failed, hurry
        self.phase = IDLE
        """`IDLE`, `FETCHING`, `BUILDING`, `CARRYING`, `WARMING`, in that order; what goes wrong leads back to `IDLE`."""
        self.fields: Mapping[str, str] | None = None
        """Of `current`: what is on its way in."""
        self._next: tuple[Mapping[str, str], Adoption] | None = None
        self._steps: Steps[None] | None = None
        self._awaited = 0
        """Replies that the next step waits for."""
        self._forgetting: deque[Steps[None]] = deque()
        """The steps by which what is no longer in force is let go."""

    @property
    def ready(self) -> bool:
        """Whether there is a step to be taken now."""
        return (self._steps is not None and not self._awaited) or bool(self._forgetting)

    def begin(self, fields: Mapping[str, str], previous: Generation | None) -> None:
        """Adopt what these fields of `current` name, after what is on its way. Raises: Unusable: nothing is then."""
        try:
            adoption = Adoption(fields, previous)
        except Unusable:
            self.drop()
            raise
        if self._steps is not None:
            self._next = None if fields == self.fields else (fields, adoption)
            return
        self._start(fields, adoption)

    def _start(self, fields: Mapping[str, str], adoption: Adoption) -> None:
        self.phase, self.fields, self._steps, self._awaited = FETCHING, fields, self._adopt(adoption), 0
        self._hurry()

    def drop(self) -> None:
        """Adopt nothing: what is announced is in force already, cannot be used, or the connection is lost."""
        if self._steps is not None:
            self._end()
            self._forgetting.append(self._leaves.cache.abandon())
            self._hurry()
        self._next = None

    def _end(self) -> None:
        self.phase, self.fields, self._steps, self._awaited = IDLE, None, None, 0

    def step(self, clock: Callable[[], float], seconds: float) -> None:
        """Take steps for about that long, and at least one, if there is any to be taken."""
        until = clock() + seconds
        while self.ready:
            self._step()
            if clock() >= until:
                return

    def _step(self) -> None:
        steps = self._steps
        if steps is None or self._awaited:
            try:
                next(self._forgetting[0])
            except StopIteration:
                self._forgetting.popleft()
            return
        try:
            next(steps)
        except StopIteration:
            pass
        except CorruptPage as exc:
            self._fail(str(exc))

    def _adopt(self, adoption: Adoption) -> Steps[None]:
        """The way of a generation from its announcement until it is in force."""
        while missing := adoption.missing():
            yield from self._fetch(adoption, missing)
        self.phase = BUILDING
        generation = yield from adoption.in_steps()
        self.phase = CARRYING
        changed = yield from self._leaves.follow(generation.trees)
        self.phase = WARMING
        yield from self._read_states(generation)
        yield from self._warm(changed)
        self._end()
        self._forgetting.append(self._leaves.flip(generation.trees))
        self._in_force(generation)
        if self._next is not None:
            (fields, _), self._next = self._next, None
            self._start(fields, Adoption(fields, generation))

    def _fetch(self, adoption: Adoption, names: list[bytes]) -> Steps[None]:
        """Have what is missing, in replies of a bounded size."""
        came: list[tuple[bytes, Any]] = []
        for at in range(0, len(names), BATCH):
            batch = names[at : at + BATCH]
            self._awaited += 1
            self._link.ask(("HMGET", self._object, *[name.hex() for name in batch]), self._taker(batch, came))
        self._link.writable()
        yield
        for name, data in came:
            adoption.give(name, data)
            yield

    def _read_states(self, generation: Generation) -> Steps[None]:
        """Have the states of the nodes that it brings: some at a time, since replies that are here are taken in at once."""
        for count, ask in enumerate(self._fresh(generation), 1):
            self._awaited += 1
            ask(self._counter())
            if count % BATCH == 0:
                self._link.writable()
                yield
        if self._awaited:
            self._link.writable()
            yield

    def _warm(self, places: list[Place]) -> Steps[None]:
        """Have the leaves in use that changed; one that is missing or damaged is left to whoever needs it."""
        came: list[tuple[Place, Any]] = []
        for at in range(0, len(places), BATCH):
            batch = places[at : at + BATCH]
            self._awaited += 1
            self._leaves.ask_changed(batch, self._taker(batch, came, all_of_them=False))
        self._link.writable()
        yield
        for (tree, branch, number), data in came:
            if isinstance(data, bytes):
                self._leaves.put(tree, branch, number, data)
                yield

    def _taker(
        self, asked: Sequence[Asked], came: list[tuple[Asked, Any]], *, all_of_them: bool = True
    ) -> Handler:
        """What puts a reply aside, each value with what was asked for; *all_of_them*: without it nothing goes on."""
        arrived, steps = self._counter(), self._steps

        def take(reply: Any) -> None:
            if steps is not self._steps:
                return
            if wrong_type(reply):
                if all_of_them:
                    self._fail(f"{self._object}: {reply}")
                    return
            elif self._link.accepts(reply):
                came.extend(zip(asked, reply, strict=False))
            arrived()

        return take

    def _counter(self) -> Callable[[], None]:
        """What counts one of the replies that are awaited, unless what they are for was dropped."""
        steps = self._steps

        def arrived() -> None:
            if steps is self._steps:
                self._awaited -= 1
                if not self._awaited:
                    self._hurry()

        return arrived

    def _fail(self, reason: str) -> None:
        number = self.fields.get("generation") if self.fields is not None else "?"
        self._end()
        self._forgetting.append(self._leaves.cache.abandon())
        self._hurry()
        self._failed(f"generation {number} cannot be adopted: {reason}")
        if self._next is not None:
            following, self._next = self._next, None
            self._start(*following)

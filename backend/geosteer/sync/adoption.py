"""How a generation is put together from what Redis has, and warmed before it answers."""

from __future__ import annotations

from geosteer.errors import CorruptPage
from geosteer.keys import FAMILIES, SCHEMA, TABLES, digest, root_field
from geosteer.resp.link import wrong_type
from geosteer.sync.generation import Generation
from geosteer.sync.states import ALIEN, EMPTIED, REFUSED
from geosteer.tables.tree import Inner, Tree, inner_digests

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from geosteer.resp.link import Link
    from geosteer.sync.leaf_requests import LeafRequests


BATCH = 256
"""Objects asked for in one command: some MiB of pages."""


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
        assert self._text is not None
        trees = {}
        for (table, bits), root in self._trees.items():
            trees[table, bits] = self._kept(table, bits) or Tree(bits, root, self._have, self._read)
        return Generation(self.fields, self._text, trees)

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


class Adopter:
    """Fetches a generation over a link: its document and upper pages, then the leaves in use that have changed."""

    __slots__ = ("_adoption", "_ask_states", "_failed", "_in_force", "_leaves", "_link", "_object")

    def __init__(
        self, link: Link, object_key: str, leaves: LeafRequests,
        ask_states: Callable[[Generation], bool], in_force: Callable[[Generation], None],
        failed: Callable[[str], None],
    ) -> None:  # fmt: skip
        """Make one that adopts nothing yet.

        Args:
            ask_states: queues reads of the states that a generation needs and that were not read yet; whether there are any.
            in_force: takes a generation that is complete and warm.
            failed: takes what is missing or damaged, as a line for the log.
        """
        self._link, self._object, self._leaves = link, object_key, leaves
        self._ask_states, self._in_force, self._failed = ask_states, in_force, failed
        self._adoption: Adoption | None = None

    def begin(self, fields: Mapping[str, str], previous: Generation | None) -> None:
        """Adopt what these fields of `current` name, instead of what was on its way. Raises: Unusable."""
        self._adoption = None
        self._adoption = Adoption(fields, previous)

    def drop(self) -> None:
        """Adopt nothing: it is in force, or its connection is lost."""
        self._adoption = None

    def go_on(self) -> None:
        """Ask for what is missing, or finish."""
        adoption = self._adoption
        if adoption is None:
            return
        try:
            missing = adoption.missing()
            if missing:
                self._ask(adoption, missing)
                return
            generation = adoption.finish()
        except CorruptPage as exc:
            self._fail(str(exc))
            return
        self._adoption = None
        self._warm(generation)

    def _ask(self, adoption: Adoption, names: list[bytes]) -> None:
        """Ask for objects, in replies of a bounded size; what is missing then is looked for after the last."""
        for at in range(0, len(names), BATCH):
            batch, last = names[at : at + BATCH], at + BATCH >= len(names)
            command = ("HMGET", self._object, *[name.hex() for name in batch])
            self._link.ask(command, self._taker(adoption, batch, last=last))

    def _taker(self, adoption: Adoption, names: list[bytes], *, last: bool) -> Callable[[Any], None]:
        return lambda reply: self._take_objects(adoption, names, reply, last=last)

    def _take_objects(self, adoption: Adoption, names: list[bytes], reply: Any, *, last: bool) -> None:
        if adoption is not self._adoption:
            return
        if wrong_type(reply):
            self._fail(f"{self._object}: {reply}")
            return
        if not self._link.accepts(reply):
            return
        try:
            for name, data in zip(names, reply, strict=True):
                adoption.give(name, data)
        except (CorruptPage, TypeError, ValueError) as exc:
            self._fail(str(exc))
            return
        if last:
            self.go_on()

    def _fail(self, reason: str) -> None:
        number = self._adoption.fields.get("generation") if self._adoption else "?"
        self._adoption = None
        self._failed(f"generation {number} cannot be adopted: {reason}")

    def _warm(self, generation: Generation) -> None:
        """Before a complete generation answers, fetch what would be missed: new nodes' states, changed leaves in use."""
        leaves = self._leaves
        fresh = self._ask_states(generation)
        came = leaves.ask_changed(generation.trees)

        def finish() -> None:
            leaves.carry_over(generation.trees, came)
            self._in_force(generation)

        if fresh or came is not None:
            self._link.ask(("PING",), lambda reply: finish() if self._link.accepts(reply) else None)
        else:
            finish()

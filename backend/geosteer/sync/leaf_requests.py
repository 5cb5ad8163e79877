"""The leaves that lookups need and that are not here: asked for once each, kept within the cache's bound."""

from __future__ import annotations

from geosteer.errors import CorruptPage
from geosteer.resp.link import wrong_type
from geosteer.tables.leaf_cache import LeafCache
from geosteer.tables.page_format import DIGEST

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from geosteer.process import Steps
    from geosteer.resp.conversation import Command, Handler
    from geosteer.resp.link import Link
    from geosteer.tables.leaf_cache import Place
    from geosteer.tables.tree import Branch, Tree

    Trees = Mapping[tuple[str, int], Tree]

OUTSTANDING = 64
"""Page requests under way at most."""
WARMED = 256
"""Leaves fetched before a new generation answers, at most: those in use that have changed."""


class LeafRequests:
    """Asks for leaves over a link, and keeps them."""

    __slots__ = ("_asked", "_damaged", "_link", "_object", "_request", "_say", "_trees", "cache")

    def __init__(
        self, link: Link, object_key: str, cache: int, say: Callable[[str, str], None], damaged: Callable[[], None]
    ) -> None:  # fmt: skip
        """Make one that has asked for nothing.

        Args:
            cache: bytes of decoded pages at most.
            say: takes a topic and a line for the log.
            damaged: called when a page is missing or damaged: something newer may be published.
        """
        self._link, self._object, self._say, self._damaged = link, object_key, say, damaged
        self._request = (
            f"*3\r\n$4\r\nHGET\r\n${len(object_key.encode())}\r\n{object_key}\r\n${2 * DIGEST}\r\n"
        )
        """What asks for a page, up to its name."""
        self._asked: set[tuple[int, int]] = set()
        self._trees: Trees = {}
        """Those in force."""
        self.cache = LeafCache(cache)

    def ask(self, wanted: list[tuple[Tree, Branch, int]]) -> Callable[[], bool]:
        """Ask for leaves, in one write; returns what says whether all of these requests are over."""
        marks = {(id(branch), number) for _, branch, number in wanted}
        for tree, branch, number in wanted:
            self._ask_one(tree, branch, number)
        self._link.writable()
        return lambda: self._asked.isdisjoint(marks)

    def fetch(self, wanted: list[tuple[Tree, Branch, int]], until: float) -> bool:
        """Have leaves here with as little as it takes, where nothing else is under way; whether they came.

        False: they are still to be asked for, or waited for; `ask` does what is left. Nothing waits longer than *until*.
        """
        request = ""
        for _, branch, number in wanted:
            request += self._request + branch.digest(number).hex() + "\r\n"
        texts = self._link.texts(request.encode(), len(wanted), until, lambda: self._expect(wanted))
        if texts is None:
            return False
        put = self.cache.put
        for (tree, branch, number), text in zip(wanted, texts, strict=True):
            try:
                put(tree, branch, number, text)
            except CorruptPage as exc:
                self._tell(branch, number, exc)
                self._damaged()
        return True

    def _expect(self, wanted: list[tuple[Tree, Branch, int]]) -> None:
        """They were asked for, and are on their way."""
        for tree, branch, number in wanted:
            self._asked.add((id(branch), number))
            self._link.expect(*self._hget(tree, branch, number))

    def follow(self, trees: Trees) -> Steps[list[Place]]:
        """Fill the trees of a new generation with what is here; returns the leaves to be fetched before it answers."""
        old = self._trees
        yield from self.cache.follow(
            [(old[key], trees[key]) for key in old if key in trees and old[key] is not trees[key]]
        )
        return (yield from self.cache.outdated(WARMED))

    def ask_changed(self, batch: list[Place], take: Handler) -> None:
        """Ask for some of those; *take*: gets the reply, an error too."""
        names = [branch.digest(number).hex() for _, branch, number in batch]
        self._link.ask(("HMGET", self._object, *names), take)

    def flip(self, trees: Trees) -> Steps[None]:
        """Go on with the trees of a new generation; returns the steps by which the old ones are let go."""
        old, self._trees = self._trees, trees
        gone = [tree for key, tree in old.items() if key not in trees]
        return self.cache.flip(list(trees.values()), gone)

    def forget(self) -> None:
        """The connection is lost: nothing is under way."""
        self._asked.clear()

    def _ask_one(self, tree: Tree, branch: Branch, number: int) -> None:
        mark = (id(branch), number)
        if mark in self._asked or not self._link.up or len(self._asked) >= OUTSTANDING:
            return
        self._asked.add(mark)
        self._link.ask(*self._hget(tree, branch, number))

    def _hget(self, tree: Tree, branch: Branch, number: int) -> tuple[Command, Handler]:
        """The command that asks for a leaf, and what takes the reply."""
        mark = (id(branch), number)
        command = ("HGET", self._object, branch.digest(number).hex())
        return command, lambda reply: self._take(mark, tree, branch, number, reply)

    def _take(self, mark: tuple[int, int], tree: Tree, branch: Branch, number: int, reply: Any) -> None:
        self._asked.discard(mark)
        if (wrong_type(reply) or self._link.accepts(reply)) and not self.put(tree, branch, number, reply):
            self._damaged()

    def put(self, tree: Tree, branch: Branch, number: int, data: Any) -> bool:
        """Keep a leaf that came; whether it is the one that belongs there, and is whole."""
        try:
            if not isinstance(data, bytes):
                raise CorruptPage("is not there" if data is None else str(data))
            self.cache.put(tree, branch, number, data)
        except CorruptPage as exc:
            self._tell(branch, number, exc)
            return False
        return True

    def _tell(self, branch: Branch, number: int, exc: CorruptPage) -> None:
        self._say("page", f"page {branch.digest(number).hex()}: {exc}")

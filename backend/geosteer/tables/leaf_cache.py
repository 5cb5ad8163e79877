"""The leaves that a worker holds, bounded in bytes, and carried over from one generation to the next. No I/O."""

from __future__ import annotations

from geosteer.errors import CorruptPage
from geosteer.keys import digest
from geosteer.tables.leaf import Ledger, read_leaf
from geosteer.tables.page_format import DIGEST

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from geosteer.process import Steps
    from geosteer.tables.tree import AnyLeaf, Branch, Tree

    Place = tuple[Tree, Branch, int]
    """Where a leaf stands."""

RUN = 64
"""Leaves that are compared at once, at most, where two trees say the same."""
SPARE = 64
"""Where there is no room left, so small a part of it is made free at once: most questions that miss need not make any."""
SOME = 256
"""Leaves that are gone through in one step."""


class Shelf(Ledger):
    """The leaves of one family of one table, through all generations."""

    __slots__ = ("coming", "entering", "leaving", "tree")

    def __init__(self, tree: Tree, grown: list[int]) -> None:
        super().__init__(grown)
        self.tree: Tree | None = tree
        """The one in force; None: the table is gone."""
        self.coming: Tree | None = None
        """The one that is to follow it."""
        self.leaving: list[AnyLeaf] = []
        """Leaves of the one in force that the one to follow has not."""
        self.entering: list[AnyLeaf] = []
        """Leaves that only the one to follow has."""


class LeafCache:
    """The leaves that are here, bounded in bytes; the oldest goes first.

    While a generation is put together, the trees that are to follow are filled beside those in force: `follow`, then `flip`,
    or `abandon`. What is asked for or let go meanwhile is taken in, or let go, in both.
    """

    __slots__ = ("_changed", "_kept", "_ledger", "_order", "_turning", "cut", "limit", "room")

    def __init__(self, limit: int) -> None:
        """Args: limit: bytes, of which the inner levels of the trees take their part, but at most half."""
        self.limit = limit
        self.room = limit
        """Bytes for leaves."""
        self.cut = True
        """Leaves that come from now on are cut when they are often asked."""
        self._kept = 0
        self._ledger = [0]
        self._order: dict[AnyLeaf, int] = {}
        """Each leaf and what it cost when it was fresh, the oldest first."""
        self._turning: list[Shelf] = []
        """Those with a tree to follow."""
        self._changed: dict[AnyLeaf, list[Place]] = {}
        """Leaf in use -> the changed ones that are to follow it."""

    @property
    def count(self) -> int:
        """How many leaves there are."""
        return len(self._order)

    @property
    def size(self) -> int:
        """Bytes that the leaves take, about."""
        return self._kept + self._ledger[0]

    def put(self, tree: Tree, branch: Branch, number: int, raw: bytes) -> None:
        """Decode a leaf, check that it is the one that stands there, and keep it.

        Raises: CorruptPage: it is not.
        """
        if digest(raw) != branch.digest(number):
            raise CorruptPage("the page's bytes do not match its digest")
        self.keep(tree, branch, number, read_leaf(raw, tree.bits, *branch.bounds(number), cut=self.cut))

    def keep(self, tree: Tree, branch: Branch, number: int, leaf: AnyLeaf) -> None:
        """Keep a leaf that is ready for search, and have it where the same page stands in the tree that is to follow."""
        if branch.slots[number] is not None:
            return
        shelf = self._shelf(tree)
        if tree is shelf.tree:
            self._count(shelf, leaf)
            branch.slots[number] = leaf
            if shelf.coming is not None and not _place(shelf.coming, leaf, branch.digest(number)):
                shelf.leaving.append(leaf)
        elif tree is shelf.coming:
            self._count(shelf, leaf)
            branch.slots[number] = leaf
            shelf.entering.append(leaf)
        else:  # a generation came while it was asked for: whoever waits for it there gets it
            branch.slots[number] = leaf
            after = shelf.tree
            if after is not None:
                there, at = after.locate(leaf.first)
                if there.bounds(at)[0] == leaf.first and there.digest(at) == branch.digest(number):
                    self.keep(after, there, at, leaf)

    def _shelf(self, tree: Tree) -> Shelf:
        """That of a tree; put up where it has none."""
        shelf = tree.shelf
        if shelf is None:
            shelf = tree.shelf = Shelf(tree, self._ledger)
        assert isinstance(shelf, Shelf)
        return shelf

    def _count(self, shelf: Shelf, leaf: AnyLeaf) -> None:
        cost = leaf.cost
        if self._kept + self._ledger[0] + cost > self.room:
            self._make_room(cost)
        self._order[leaf] = cost
        self._kept += cost
        self._ledger[0] += leaf.grown
        leaf.shelf = shelf

    def _make_room(self, cost: int) -> None:
        """Let the oldest go until there is room for *cost* bytes and a few leaves more, or nothing is left."""
        above = self._kept + self._ledger[0] + cost + self.room // SPARE - self.room
        going = []
        # once for all: each look for the oldest passes the places of those that have gone before
        for leaf, fresh in self._order.items():
            if above <= 0:
                break
            above -= fresh + leaf.grown
            going.append(leaf)
        for leaf in going:
            self._drop(leaf)

    def _drop(self, leaf: AnyLeaf) -> None:
        """Let a leaf go from wherever it stands."""
        self._kept -= self._order.pop(leaf)
        self._ledger[0] -= leaf.grown
        shelf, leaf.shelf = leaf.shelf, None
        assert isinstance(shelf, Shelf)
        for tree in (shelf.tree, shelf.coming):
            if tree is not None:
                branch, number = tree.locate(leaf.first)
                if branch.slots[number] is leaf:
                    branch.slots[number] = None

    # ------------------------------------------------------------------ from one generation to the next

    def follow(self, pairs: Sequence[tuple[Tree, Tree]]) -> Steps[None]:
        """Have each second tree stand ready to follow the first, with the leaves that they share."""
        for before, after in pairs:
            shelf = self._shelf(before)
            shelf.coming, after.shelf = after, shelf
            self._turning.append(shelf)
        for before, after in pairs:
            yield from self._carry(before, after)

    def _carry(self, before: Tree, after: Tree) -> Steps[None]:
        """Have the leaves where both trees say the same in both, run by run; note the others that are in use."""
        shelf = self._shelf(before)
        branches = iter(after.branches)
        new: Branch | None = next(branches)
        at, run = 0, RUN
        for old in before.branches:
            number = 0
            while number < len(old.slots):
                if new is not None and at == len(new.slots):
                    new, at = next(branches, None), 0
                count = 0
                if new is not None:
                    count = min(run, len(old.slots) - number, len(new.slots) - at)
                    while count and not _same(old, number, new, at, count):
                        count //= 2
                if new is not None and count:
                    new.slots[at : at + count] = old.slots[number : number + count]
                    number, at, run = number + count, at + count, min(2 * run, RUN)
                else:
                    run = 1
                    start = old.starts[number] << old.shift
                    there = new.starts[at] << new.shift if new is not None else start + 1
                    if start <= there:
                        leaf = old.slots[number]
                        if leaf is not None:
                            shelf.leaving.append(leaf)
                            self._changed[leaf] = _successors(old, number, after)
                        number += 1
                    if there <= start:
                        at += 1
                yield

    def outdated(self, limit: int) -> Steps[list[Place]]:
        """Places in the trees to follow of leaves that are in use now and have changed, latest first, at most *limit*."""
        places: dict[tuple[int, int], Place] = {}
        if self._changed:
            for count, leaf in enumerate(reversed(list(self._order))):
                for place in self._changed.get(leaf, ()):
                    places[id(place[1]), place[2]] = place
                if len(places) >= limit:
                    break
                if count % SOME == SOME - 1:
                    yield
        return list(places.values())[:limit]

    def flip(self, trees: Sequence[Tree], gone: Sequence[Tree] = ()) -> Steps[None]:
        """Go on with the trees that were to follow; returns the steps by which the others are let go.

        Args: trees: all that are in force from now on; gone: those of tables that are no more.
        """
        leaving: list[list[AnyLeaf]] = []
        for shelf in self._turning:
            shelf.tree, shelf.coming = shelf.coming, None
            leaving.append(shelf.leaving)
            shelf.leaving, shelf.entering = [], []
        for tree in gone:
            self._shelf(tree).tree = None
        self._turned()
        self.room = self.limit - min(sum(tree.size for tree in trees), self.limit // 2)
        return self._forget(leaving, gone)

    def abandon(self) -> Steps[None]:
        """Let nothing follow after all; returns the steps by which what was taken in for it is let go."""
        entering = []
        for shelf in self._turning:
            shelf.coming = None
            entering.append(shelf.entering)
            shelf.leaving, shelf.entering = [], []
        self._turned()
        return self._forget(entering, ())

    def _turned(self) -> None:
        self._turning, self._changed = [], {}

    def _forget(self, leaves: list[list[AnyLeaf]], trees: Sequence[Tree]) -> Steps[None]:
        while leaves:
            some = leaves[-1]
            for leaf in some[-SOME:]:
                if leaf in self._order:
                    self._drop(leaf)
            del some[-SOME:]
            if not some:
                leaves.pop()
            yield
        for tree in trees:
            for branch in tree.branches:
                for leaf in [leaf for leaf in branch.slots if leaf is not None]:
                    if leaf in self._order:
                        self._drop(leaf)
                yield
        while self._order and self.size > self.room:
            self._drop(next(iter(self._order)))
            yield


def _same(old: Branch, number: int, new: Branch, at: int, count: int) -> bool:
    """Whether the same pages stand at the same addresses, *count* of them from these places on."""
    if (
        old.digests[DIGEST * number : DIGEST * (number + count)]
        != new.digests[DIGEST * at : DIGEST * (at + count)]
    ):
        return False
    if old.shift == new.shift:
        return old.starts[number : number + count] == new.starts[at : at + count]
    return [start << old.shift for start in old.starts[number : number + count]] == [
        start << new.shift for start in new.starts[at : at + count]
    ]


def _place(tree: Tree, leaf: AnyLeaf, name: bytes) -> bool:
    """Have a leaf in a tree too, where the page of that name stands at the same addresses; whether it does."""
    branch, number = tree.locate(leaf.first)
    if branch.digest(number) != name or branch.bounds(number)[0] != leaf.first:
        return False
    if branch.slots[number] is None:
        branch.slots[number] = leaf
    return branch.slots[number] is leaf


def _successors(old: Branch, number: int, after: Tree) -> list[Place]:
    """Where another page stands now for the addresses of a leaf, at their ends."""
    places = []
    for address in old.bounds(number):
        branch, at = after.locate(address)
        if branch.digest(at) != old.digest(number):
            places.append((after, branch, at))
    return places

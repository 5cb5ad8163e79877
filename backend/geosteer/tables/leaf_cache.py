"""The leaves that a worker holds, bounded in bytes, and carried over from one generation to the next. No I/O."""

from __future__ import annotations

from geosteer.cmodules import deque
from geosteer.errors import CorruptPage
from geosteer.keys import digest
from geosteer.tables.leaf import read_leaf

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from geosteer.tables.leaf import Dense, Leaf
    from geosteer.tables.tree import Branch, Tree

    AnyLeaf = Leaf | Dense
    Place = tuple[Tree, Branch, int]
    """Where a leaf stands."""


class LeafCache:
    """The leaves that are here, bounded in bytes; the oldest goes first."""

    __slots__ = ("_kept", "_ledger", "_order", "limit", "room")

    def __init__(self, limit: int, trees: Sequence[Tree] = ()) -> None:
        """Args: limit: bytes, of which the inner levels of *trees* take their part, but at most half."""
        self.limit = limit
        self.room = limit - min(sum(tree.size for tree in trees), limit // 2)
        """Bytes for leaves."""
        self._kept = 0
        self._ledger = [0]
        self._order: deque[tuple[Branch, int, int]] = deque()

    def put(self, bits: int, branch: Branch, number: int, raw: bytes) -> None:
        """Decode a leaf, check that it is the one that stands there, and keep it.

        Raises: CorruptPage: it is not.
        """
        if digest(raw) != branch.digest(number):
            raise CorruptPage("the page's bytes do not match its digest")
        self.keep(branch, number, read_leaf(raw, bits, *branch.bounds(number)))

    def keep(self, branch: Branch, number: int, page: AnyLeaf) -> None:
        """Keep a leaf that is ready for search."""
        if branch.slots[number] is None:
            self._make_room(page.cost)
            self._take(branch, number, page, page.cost)

    @property
    def count(self) -> int:
        """How many leaves there are."""
        return len(self._order)

    @property
    def size(self) -> int:
        """Bytes that the leaves take, about."""
        return self._kept + self._ledger[0]

    def _take(self, branch: Branch, number: int, page: AnyLeaf, cost: int) -> None:
        """Count a leaf that takes *cost* bytes, beside what it has grown by, as one of this cache."""
        branch.slots[number] = page
        page.ledger = self._ledger
        self._ledger[0] += page.grown
        self._order.append((branch, number, cost))
        self._kept += cost

    def _make_room(self, cost: int) -> None:
        """Let the oldest go until there is room for *cost* bytes, or nothing is left."""
        while self._order and self.size + cost > self.room:
            branch, number, freed = self._order.popleft()
            page, branch.slots[number] = branch.slots[number], None
            self._kept -= freed
            self._ledger[0] -= page.grown if page is not None else 0

    def outdated(self, old: Sequence[Tree], new: Sequence[Tree], limit: int) -> list[Place]:
        """Places in the new trees of leaves that are in use in the old ones and have changed, latest first.

        Args: old, new: pairwise the same table and family; limit: places at most.
        """
        successor = {
            id(branch): after for before, after in zip(old, new, strict=True) for branch in before.branches
        }
        unchanged = {name for tree in new for branch in tree.branches for name in branch.names()}
        places: dict[tuple[int, int], Place] = {}
        for branch, number, _ in reversed(self._order):
            tree = successor.get(id(branch))
            if tree is None or branch.digest(number) in unchanged:  # most of them
                continue
            for address in branch.bounds(number):
                there, at = tree.locate(address)
                if there.slots[at] is None and there.digest(at) != branch.digest(number):
                    places[id(there), at] = (tree, there, at)
            if len(places) >= limit:
                break
        return list(places.values())

    def carry_over(self, trees: Sequence[Tree]) -> LeafCache:
        """A cache for another generation, with the leaves that it shares with this one."""
        fresh = LeafCache(self.limit, trees)
        live = {id(branch) for tree in trees for branch in tree.branches}
        known: dict[tuple[bytes, int], tuple[AnyLeaf, int]] = {}
        for branch, number, cost in self._order:
            page = branch.slots[number]
            if page is None:
                continue
            if id(branch) in live:
                fresh._take(branch, number, page, cost)
            else:  # by its place too: a page may stand at two places, a leaf knows its own
                known[branch.digest(number), page.first] = page, cost
        if known:
            for tree in trees:
                for branch in tree.branches:
                    for number, place in enumerate(zip(branch.names(), branch.firsts(), strict=True)):
                        held = known.get(place)
                        if held and held[0].bits == tree.bits and branch.slots[number] is None:
                            fresh._take(branch, number, *held)
            fresh._make_room(0)
        return fresh

"""A published table as a worker holds it: the inner levels flattened into one sorted list, leaves as they were asked for."""

from __future__ import annotations

from geosteer.errors import CorruptPage
from geosteer.lean import array, bisect_right, deque
from geosteer.schema import digest
from geosteer.trie import DIGEST, MAX_ENTRIES, MAX_HEIGHT, Page, decode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

FLAT = 4096
"""Leaves of a table up to which one list holds them all; above, a list of lists."""

MOST = 1 << 20
"""Inner pages and leaves that a tree can have; a page may stand at two places, but not at a million."""
LONGEST = 1024
"""Entries of a leaf up to which they are cut into prefixes."""


class PageMissing(Exception):  # a request for more, not a failure
    """A leaf that is needed and not here."""


class Leaf:
    """A leaf page made ready for search.

    The hot path is `cells[index[bisect_right(starts, address >> shift)]]`: the entries' starts, but for the first, and for
    each entry which (record, prefix length) it has. The length is 0 until an entry was asked for; then the entry is cut, so
    that the widest prefix around the address is an entry of its own and its length need not be found again.
    """

    __slots__ = ("bits", "cells", "first", "grown", "host", "index", "ledger", "shift", "starts", "step")

    def __init__(self, page: Page, first: int) -> None:
        """Args: first: the first address of the page."""
        self.bits = page.bits
        self.host = page.bits - page.prefix_len
        self.first = first
        starts = [start for start, _ in page.spans(first)]
        self.shift, self.starts = _searchable(page.bits, starts[1:])
        self.index = bytearray(page.index)
        self.step = _width(self.starts) + 1
        """Bytes that an entry takes."""
        self.grown = 0
        """Bytes added by cutting entries."""
        self.ledger = [0]
        """The sum of these over all leaves of a cache."""
        self.cells = [_cell(value, 0) for value in page.values]  # type: ignore[arg-type]

    def measure(self, address: int) -> tuple[str, int]:
        """Record of an address and length of the widest prefix around it that lies within one entry; remembers it."""
        shift, host = self.shift, self.host
        entry = bisect_right(self.starts, address >> shift)
        low = self.starts[entry - 1] << shift if entry else self.first
        after = self.starts[entry] << shift if entry < len(self.starts) else self.first + (1 << host)
        if entry:
            host = min(host, (address ^ (low - 1)).bit_length() - 1)
        if entry < len(self.starts):
            host = min(host, (address ^ after).bit_length() - 1)
        cell = _cell(self.cells[self.index[entry]][0], self.bits - host)
        block = address >> host << host
        if host >= shift and len(self.index) < LONGEST:
            self._cut(
                entry,
                cell,
                block if block > low else None,
                block + (1 << host) if block + (1 << host) < after else None,
            )
        return cell

    def _cut(self, entry: int, cell: tuple[str, int], start: int | None, end: int | None) -> None:
        """Give part of an entry its own cell: from *start*, or its beginning, to *end*, or its end."""
        cells, index = self.cells, self.index
        if cell not in cells:
            if len(cells) == MAX_ENTRIES:
                return
            cells.append(cell)
        rest = index[entry]
        index[entry] = cells.index(cell)
        for cut, place in ((end, entry + 1), (start, entry)):
            if cut is not None:
                self.starts.insert(entry, cut >> self.shift)
                index.insert(place, rest)
                self.grown += self.step
                self.ledger[0] += self.step


class Branch:
    """Consecutive leaves: where they begin, their digests, and those that are here."""

    __slots__ = ("digests", "end", "shift", "slots", "starts")

    def __init__(self, bits: int, starts: list[int], digests: bytes, end: int) -> None:
        self.shift, self.starts = _searchable(bits, starts)
        """Where each leaf begins."""
        self.digests = digests
        self.end = end
        """Last address of the last leaf."""
        self.slots: list[Leaf | None] = [None] * len(starts)

    def digest(self, number: int) -> bytes:
        """A leaf's name."""
        return self.digests[DIGEST * number : DIGEST * (number + 1)]

    def bounds(self, number: int) -> tuple[int, int]:
        """First and last address of a leaf."""
        start = self.starts[number] << self.shift
        return start, (self.starts[number + 1] << self.shift) - 1 if number + 1 < len(
            self.starts
        ) else self.end


class Tree:
    """One family of one table."""

    __slots__ = ("bits", "branches", "root", "slots", "tops")

    def __init__(
        self, bits: int, root: bytes, inner: dict[bytes, bytes], read: Callable[[bytes], Page] = decode
    ) -> None:
        """Args: inner: digest -> bytes of every inner page, and of the root; read: decodes one.

        Raises: CorruptPage: a page is not what its parent says. KeyError: the digest of a page that is not in *inner*.
        """
        self.bits = bits
        self.root = root
        last = (1 << bits) - 1
        height = read(inner[root]).height
        parts: list[tuple[list[int], list[bytes], int]] = [([0], [root], last)]
        level = [(root, 0, last)]
        while height > 0:
            if len(level) > MOST:
                raise CorruptPage("an inner page that names its pages over and over")
            parts = [_children(read(inner[name]), bits, height, start, end) for name, start, end in level]
            level = [
                (name, start, after - 1)
                for starts, names, end in parts
                for name, start, after in zip(names, starts, [*starts[1:], end + 1], strict=True)
            ]
            height -= 1
        flat = len(level) <= FLAT
        if flat:
            parts = [([start for _, start, _ in level], [name for name, _, _ in level], last)]
        self.branches = [Branch(bits, starts, b"".join(names), end) for starts, names, end in parts]
        self.tops = (
            [start for _, start, _ in level[1:]] if flat else [starts[0] for starts, _, _ in parts[1:]]
        )
        """Where each leaf but the first begins, or each branch where there are many: a list, which is searched fastest."""
        self.slots: list[Leaf | None] | None = self.branches[0].slots if flat else None

    def cell(self, address: int) -> tuple[str, int]:
        """Record of an address, "" on a miss, and the length of the widest prefix around it that has it.

        Raises: PageMissing: its leaf is not here.
        """
        number = bisect_right(self.tops, address)
        if self.slots is not None:
            leaf = self.slots[number]
        else:
            branch = self.branches[number]
            leaf = branch.slots[bisect_right(branch.starts, address >> branch.shift) - 1]
        if leaf is None:
            raise PageMissing
        cell = leaf.cells[leaf.index[bisect_right(leaf.starts, address >> leaf.shift)]]
        return cell if cell[1] else leaf.measure(address)

    def locate(self, address: int) -> tuple[Branch, int]:
        """The leaf of an address: its branch and number."""
        number = bisect_right(self.tops, address)
        if self.slots is not None:
            return self.branches[0], number
        branch = self.branches[number]
        return branch, bisect_right(branch.starts, address >> branch.shift) - 1

    def leaves(self) -> Iterator[tuple[Branch, int]]:
        """Every leaf's place, in address order."""
        for branch in self.branches:
            for number in range(len(branch.slots)):
                yield branch, number


_cells: dict[tuple[str, int], tuple[str, int]] = {}


def _cell(record: str, length: int) -> tuple[str, int]:
    """The pair, one object for all leaves where few records are many times there (countries, not coordinates)."""
    cell = (record, length)
    known = _cells.get(cell)
    if known is not None:
        return known
    if len(_cells) < 8192:
        _cells[cell] = cell
    return cell


def _searchable(bits: int, starts: list[int]) -> tuple[int, array[int] | list[int]]:
    """Bits cut off behind, and the starts without them, as small as `bisect` can search them."""
    if bits == 32:
        return 0, array("I", starts)
    if any(start & 0xFFFFFFFFFFFFFFFF for start in starts):
        return 0, starts
    return 64, array("Q", [start >> 64 for start in starts])


def _children(page: Page, bits: int, height: int, start: int, end: int) -> tuple[list[int], list[bytes], int]:
    """Starts and digests of the pages below an inner page for the addresses *start* to *end*."""
    if not page.fits(bits, height, start, end):
        raise CorruptPage("an inner page is not the one its parent names")
    starts = [first for first, _ in page.spans(start)]
    return starts, [page.values[position] for position in page.index], end  # type: ignore[misc]


def inner_digests(
    bits: int, root: bytes, have: dict[bytes, bytes], read: Callable[[bytes], Page] = decode
) -> list[bytes]:
    """Which pages above the leaves are still to be fetched, given those that are here; none: all are here.

    Raises: CorruptPage: a page is damaged, or higher than any can be.
    """
    if root not in have:
        return [root]
    top = read(have[root])
    missing: list[bytes] = []
    level = [top]
    for height in range(top.height, 1, -1):
        below = []
        seen: set[bytes] = set()
        for page in level:
            if page.height != height or page.bits != bits:
                raise CorruptPage("an inner page has the wrong height or family")
            for name in page.values:
                assert isinstance(name, bytes)
                if name in seen:
                    continue
                seen.add(name)
                if name in have:
                    below.append(read(have[name]))
                else:
                    missing.append(name)
        level = below
    if top.height > MAX_HEIGHT:
        raise CorruptPage("a tree of more levels than there can be")
    return missing


Place = tuple[Tree, Branch, int]
"""Where a leaf stands."""


class LeafCache:
    """The leaves that are here, bounded in bytes; the oldest goes first."""

    __slots__ = ("_kept", "_ledger", "_order", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._kept = 0
        self._ledger = [0]
        self._order: deque[tuple[Branch, int, int]] = deque()

    def put(self, bits: int, branch: Branch, number: int, raw: bytes) -> None:
        """Decode a leaf, check that it is the one that stands there, and keep it.

        Raises: CorruptPage: it is not.
        """
        if digest(raw) != branch.digest(number):
            raise CorruptPage("a page is not what its name says")
        page = decode(raw)
        start, end = branch.bounds(number)
        if not page.fits(bits, 0, start, end):
            raise CorruptPage("a leaf is not the one its parent names")
        self.keep(branch, number, Leaf(page, start))

    def keep(self, branch: Branch, number: int, page: Leaf) -> None:
        """Keep a leaf that is ready for search."""
        if branch.slots[number] is not None:
            return
        cost = _cost(page)
        while self._order and self.size + cost > self.limit:
            old, at, freed = self._order.popleft()
            leaf, old.slots[at] = old.slots[at], None
            self._kept -= freed
            self._ledger[0] -= leaf.grown if leaf is not None else 0
        branch.slots[number] = page
        page.ledger, page.grown = self._ledger, 0  # what it has grown elsewhere is in its cost
        self._order.append((branch, number, cost))
        self._kept += cost

    @property
    def size(self) -> int:
        """Bytes that the leaves take, about."""
        return self._kept + self._ledger[0]

    def adopt(self, branch: Branch, number: int, cost: int) -> None:
        """Take a leaf that stays where it is over from another cache."""
        leaf = branch.slots[number]
        if leaf is not None:
            leaf.ledger = self._ledger
            self._ledger[0] += leaf.grown
            self._order.append((branch, number, cost))
            self._kept += cost

    def outdated(self, old: Sequence[Tree], new: Sequence[Tree], limit: int) -> list[Place]:
        """Places in the new trees of leaves that are in use in the old ones and have changed, latest first.

        Args: old, new: pairwise the same table and family; limit: places at most.
        """
        successor = {
            id(branch): after for before, after in zip(old, new, strict=True) for branch in before.branches
        }
        found: dict[tuple[int, int], Place] = {}
        for branch, number, _ in reversed(self._order):
            tree = successor.get(id(branch))
            if tree is None:
                continue
            for address in branch.bounds(number):
                there, at = tree.locate(address)
                if there.slots[at] is None and there.digest(at) != branch.digest(number):
                    found[id(there), at] = (tree, there, at)
            if len(found) >= limit:
                break
        return list(found.values())

    def carry_over(self, trees: Sequence[Tree]) -> LeafCache:
        """A cache for another generation, with the leaves that it shares with this one."""
        fresh = LeafCache(self.limit)
        live = {id(branch) for tree in trees for branch in tree.branches}
        pages: dict[tuple[bytes, int], Leaf] = {}  # a page may stand at two places, a leaf knows its own
        for branch, number, cost in self._order:
            if id(branch) in live:
                fresh.adopt(branch, number, cost)
            elif (page := branch.slots[number]) is not None:
                pages[branch.digest(number), page.first] = page
        if pages:
            for tree in trees:
                for branch, number in tree.leaves():
                    page = pages.get((branch.digest(number), branch.bounds(number)[0]))
                    if page is not None:
                        fresh.keep(branch, number, page)
        return fresh


def _width(starts: array[int] | list[int]) -> int:
    return starts.itemsize if isinstance(starts, array) else 48


def _cost(leaf: Leaf) -> int:
    """About the bytes that a leaf takes: objects, starts, index, cells, and the records that are its own."""
    count, distinct = len(leaf.index), len(leaf.cells)
    # places are a leaf's own records, countries everybody's
    own = 120 if any(" " in record for record, _ in leaf.cells) else 8
    return 430 + count * leaf.step + distinct * own

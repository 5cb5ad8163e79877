"""A published table as a worker holds it: the inner levels flattened into one sorted list, leaves as they were asked for."""

from __future__ import annotations

from geosteer.errors import CorruptPage
from geosteer.lean import array, bisect_right, deque
from geosteer.schema import digest
from geosteer.trie import DIGEST, MAX_HEIGHT, Page, decode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

FLAT = 4096
"""Leaves of a table up to which one list holds them all; above, a list of lists."""


class PageMissing(Exception):  # a request for more, not a failure
    """A leaf that is needed and not here."""


class Branch:
    """Consecutive leaves: where they begin, their digests, and those that are here."""

    __slots__ = ("digests", "end", "shift", "slots", "starts")

    def __init__(self, bits: int, starts: list[int], digests: bytes, end: int) -> None:
        low = 64 if bits == 128 and not any(start & 0xFFFFFFFFFFFFFFFF for start in starts) else 0
        self.shift = low
        self.starts: Sequence[int] = (
            array("I", starts)
            if bits == 32
            else array("Q", [start >> 64 for start in starts])
            if low
            else starts
        )
        self.digests = digests
        self.end = end
        """Last address of the last leaf."""
        self.slots: list[Page | None] = [None] * len(starts)

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

    __slots__ = ("_tops", "bits", "branches", "root")

    def __init__(self, bits: int, root: bytes, inner: dict[bytes, bytes]) -> None:
        """Args: inner: digest -> bytes of every inner page, and of the root.

        Raises: CorruptPage: a page is not what its parent says. KeyError: the digest of a page that is not in *inner*.
        """
        self.bits = bits
        self.root = root
        last = (1 << bits) - 1
        height = decode(inner[root]).height
        parts: list[tuple[list[int], list[bytes], int]] = [([0], [root], last)]
        level = [(root, 0, last)]
        while height > 0:
            parts = [_children(decode(inner[name]), bits, height, start, end) for name, start, end in level]
            level = [
                (name, start, after - 1)
                for starts, names, end in parts
                for name, start, after in zip(names, starts, [*starts[1:], end + 1], strict=True)
            ]
            height -= 1
        if sum(len(starts) for starts, _, _ in parts) <= FLAT:
            flat = (
                [start for starts, _, _ in parts for start in starts],
                [name for _, names, _ in parts for name in names],
            )
            parts = [(*flat, last)]
        self.branches = [Branch(bits, starts, b"".join(names), end) for starts, names, end in parts]
        self._tops = [starts[0] for starts, _, _ in parts]

    def cell(self, address: int) -> tuple[str, int]:
        """Record of an address, "" on a miss, and the length of the widest prefix around it that has it.

        Raises: PageMissing: its leaf is not here.
        """
        tops = self._tops
        branch = self.branches[bisect_right(tops, address) - 1 if len(tops) > 1 else 0]
        page = branch.slots[bisect_right(branch.starts, address >> branch.shift) - 1]
        if page is None:
            raise PageMissing
        starts, shift, mask = page.starts, page.shift, page.mask
        key = (address >> shift) & mask
        entry = bisect_right(starts, key)
        # the widest prefix within lo..hi: Page.uniform, with the bits cut off behind left out where they are equal
        address &= (mask << shift) | ((1 << shift) - 1)
        host = page.bits - page.prefix_len
        if entry > 1:
            other = (address ^ ((starts[entry - 1] << shift) - 1)).bit_length() - 1
            host = min(host, other)
        if entry < len(starts):
            other = (address ^ (starts[entry] << shift)).bit_length() - 1
            host = min(host, other)
        return page.values[page.index[entry - 1]], page.bits - host  # type: ignore[return-value]

    def locate(self, address: int) -> tuple[Branch, int]:
        """The leaf of an address: its branch and number."""
        branch = self.branches[bisect_right(self._tops, address) - 1]
        return branch, bisect_right(branch.starts, address >> branch.shift) - 1

    def leaves(self) -> Iterator[tuple[Branch, int]]:
        """Every leaf's place, in address order."""
        for branch in self.branches:
            for number in range(len(branch.slots)):
                yield branch, number


def _children(page: Page, bits: int, height: int, start: int, end: int) -> tuple[list[int], list[bytes], int]:
    """Starts and digests of the pages below an inner page for the addresses *start* to *end*."""
    if not page.fits(bits, height, start, end):
        raise CorruptPage("an inner page is not the one its parent names")
    spans = list(page.spans(start))
    return [first for first, _ in spans], [value for _, value in spans], end  # type: ignore[misc]


def inner_digests(bits: int, root: bytes, have: dict[bytes, bytes]) -> list[bytes]:
    """Which pages above the leaves are still to be fetched, given those that are here; none: all are here.

    Raises: CorruptPage: a page is damaged, or higher than any can be.
    """
    if root not in have:
        return [root]
    top = decode(have[root])
    missing: list[bytes] = []
    level = [top]
    for height in range(top.height, 1, -1):
        below = []
        for page in level:
            if page.height != height or page.bits != bits:
                raise CorruptPage("an inner page has the wrong height or family")
            for name in page.values:
                assert isinstance(name, bytes)
                if name in have:
                    below.append(decode(have[name]))
                else:
                    missing.append(name)
        level = below
    if top.height > MAX_HEIGHT:
        raise CorruptPage("a tree of more levels than there can be")
    return missing


class LeafCache:
    """The leaves that are here, bounded in bytes; the oldest goes first."""

    __slots__ = ("_order", "limit", "size")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.size = 0
        self._order: deque[tuple[Branch, int, int]] = deque()

    def put(self, bits: int, branch: Branch, number: int, raw: bytes) -> None:
        """Decode a leaf, check that it is the one that stands there, and keep it.

        Raises: CorruptPage: it is not.
        """
        if digest(raw) != branch.digest(number):
            raise CorruptPage("a page is not what its name says")
        page = decode(raw)
        if not page.fits(bits, 0, *branch.bounds(number)):
            raise CorruptPage("a leaf is not the one its parent names")
        self.keep(branch, number, page)

    def keep(self, branch: Branch, number: int, page: Page) -> None:
        """Keep a decoded leaf."""
        if branch.slots[number] is not None:
            return
        cost = _cost(page)
        while self._order and self.size + cost > self.limit:
            old, at, freed = self._order.popleft()
            old.slots[at] = None
            self.size -= freed
        branch.slots[number] = page
        self._order.append((branch, number, cost))
        self.size += cost

    def carry_over(self, trees: Sequence[Tree]) -> LeafCache:
        """A cache for another generation, with the leaves that it shares with this one."""
        fresh = LeafCache(self.limit)
        live = {id(branch) for tree in trees for branch in tree.branches}
        pages: dict[bytes, Page] = {}
        for branch, number, cost in self._order:
            if id(branch) in live:
                fresh._order.append((branch, number, cost))
                fresh.size += cost
            elif (page := branch.slots[number]) is not None:
                pages[branch.digest(number)] = page
        if pages:
            for tree in trees:
                for branch, number in tree.leaves():
                    page = pages.get(branch.digest(number))
                    if page is not None:
                        fresh.keep(branch, number, page)
        return fresh


def _cost(page: Page) -> int:
    """About the bytes that a decoded leaf takes: objects, starts, index, values, and records that are its own."""
    count, distinct = len(page.starts), len(page.values)
    width = page.starts.itemsize if isinstance(page.starts, array) else 48
    own = (
        0 if distinct < 32 else 64 * distinct
    )  # few values are names that repeat in every page, many are places
    return 350 + count * (width + 1) + 8 * distinct + own

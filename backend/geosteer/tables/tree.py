"""A published table as a worker holds it: the inner levels flattened into one sorted list, leaves as they were asked for."""

from __future__ import annotations

from geosteer.cmodules import array, bisect_right
from geosteer.errors import CorruptPage
from geosteer.process import finished
from geosteer.tables.page_format import DIGEST, MAX_HEIGHT, MAX_INNER, MAX_LEAVES, names, outline

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import TypeAlias

    from geosteer.process import Steps
    from geosteer.tables.leaf import Dense, Leaf, Ledger, Packed

    AnyLeaf: TypeAlias = Leaf | Dense | Packed
    Lists: TypeAlias = (
        tuple[list[AnyLeaf | None], Sequence[int], Sequence[int] | None]
        | list[tuple[list[AnyLeaf | None], Sequence[int]]]
    )
    """Leaves, where each begins, and of IPv4 the number of the leaf by the first bits of an address; of a table in branches
    lists of the first two."""

FLAT = 4096
"""Leaves of a table up to which one list holds them all; above, a list of lists."""

MANY = 64
"""Leaves of a table from which on 16 KiB are well spent on finding them by the first bits of an address."""
QUICK = 13
"""How many bits: of the clients of a table of countries one in a hundred is in a prefix of that length with several leaves."""
QUICK_HOST = 32 - QUICK
SEVERAL = 0xFFFF


class PageMissing(Exception):  # a request for more, not a failure
    """A leaf that is needed and not here."""


class Branch:
    """Consecutive leaves: where they begin, their digests, and those that are here."""

    __slots__ = ("digests", "end", "shift", "slots", "starts")

    def __init__(self, bits: int, starts: list[int], digests: bytes, end: int) -> None:
        self.shift, self.starts = _searchable(bits, starts)
        """Where each leaf begins."""
        self.digests = digests
        self.end = end
        """Last address of the last leaf."""
        self.slots: list[AnyLeaf | None] = [None] * len(starts)

    def digest(self, number: int) -> bytes:
        """A leaf's name."""
        return self.digests[DIGEST * number : DIGEST * (number + 1)]

    def names(self) -> list[bytes]:
        """All digests."""
        return [self.digests[at : at + DIGEST] for at in range(0, len(self.digests), DIGEST)]

    def firsts(self) -> list[int]:
        """First address of every leaf."""
        return [start << self.shift for start in self.starts]

    def bounds(self, number: int) -> tuple[int, int]:
        """First and last address of a leaf."""
        start = self.starts[number] << self.shift
        return start, (self.starts[number + 1] << self.shift) - 1 if number + 1 < len(
            self.starts
        ) else self.end


class Tree:
    """One family of one table."""

    __slots__ = ("bits", "branches", "quick", "root", "shelf", "slots", "tops")

    def __init__(
        self, bits: int, root: bytes, inner: dict[bytes, bytes], read: Callable[[bytes], Inner] | None = None
    ) -> None:
        """Args: inner: digest -> bytes of every inner page, and of the root; read: decodes one.

        Raises: CorruptPage: a page does not match its parent. KeyError: the digest of a page that is not in *inner*.
        """
        finished(self._grow(bits, root, inner, read or Inner))

    @classmethod
    def in_steps(
        cls, bits: int, root: bytes, inner: dict[bytes, bytes], read: Callable[[bytes], Inner]
    ) -> Steps[Tree]:
        """The same tree, made page by page. Raises: as `Tree`."""
        tree = cls.__new__(cls)
        yield from tree._grow(bits, root, inner, read)  # noqa: SLF001  # its own class
        return tree

    def _grow(
        self, bits: int, root: bytes, inner: dict[bytes, bytes], read: Callable[[bytes], Inner]
    ) -> Steps[None]:
        self.bits = bits
        self.root = root
        self.shelf: Ledger | None = None
        """Who counts its leaves; None as long as it has none."""
        last = (1 << bits) - 1
        level = [(root, 0, last)]
        height = read(inner[root]).height
        branches = [Branch(bits, [0], root, last)] if not height else []
        while height > 0:
            below, count = [], 0
            most = MAX_LEAVES if height == 1 else MAX_INNER
            for page, begin, until in level:
                starts, names, end = read(inner[page]).children(bits, height, begin, until)
                count += len(starts)
                if count > most:  # before those are made objects of
                    raise CorruptPage(f"inner pages name more than {most} pages")
                if height == 1:  # branch by branch, since this is where a large table has most of its objects
                    branches.append(Branch(bits, starts, names, end))
                else:
                    below += [
                        (names[DIGEST * number : DIGEST * (number + 1)], first, after - 1)
                        for number, (first, after) in enumerate(
                            zip(starts, [*starts[1:], end + 1], strict=True)
                        )
                    ]
                yield
            level = below
            height -= 1
        leaves = sum(len(branch.slots) for branch in branches)
        flat = leaves <= FLAT
        if flat and len(branches) > 1:
            starts = [start for branch in branches for start in branch.firsts()]
            yield
            branches = [Branch(bits, starts, b"".join([branch.digests for branch in branches]), last)]
            yield
        self.branches = branches
        self.slots: list[AnyLeaf | None] | None = branches[0].slots if flat else None
        self.quick: array[int] | None = None
        """IPv4: for the first `QUICK` bits of an address its leaf, or `SEVERAL`; None where it would not pay."""
        self.tops: Sequence[int]
        """Where each leaf but the first begins, or each branch where there are many: a list, which is searched fastest, or an
        array, which is smaller, where that is seldom needed."""
        if flat and bits == 32 and leaves >= MANY:
            yield
            self.quick = yield from _by_first_bits(branches[0])
            self.tops = branches[0].starts[1:]
        else:
            self.tops = branches[0].firsts()[1:] if flat else [branch.bounds(0)[0] for branch in branches[1:]]

    def cell(self, address: int) -> tuple[str, int]:
        """Record of an address, "" on a miss, and the length of the widest prefix around it that has it.

        Raises: PageMissing: its leaf is not here.
        """
        number = self.quick[address >> QUICK_HOST] if self.quick is not None else SEVERAL
        if number == SEVERAL:
            number = bisect_right(self.tops, address)
        if self.slots is not None:
            leaf = self.slots[number]
        else:
            branch = self.branches[number]
            leaf = branch.slots[bisect_right(branch.starts, address >> branch.shift) - 1]
        if leaf is None:
            raise PageMissing
        cell = leaf.cells[leaf.index[bisect_right(leaf.starts, address >> leaf.shift & leaf.mask)]]
        return cell if cell[1] else leaf.measure(address)

    def locate(self, address: int) -> tuple[Branch, int]:
        """The leaf of an address: its branch and number."""
        number = bisect_right(self.tops, address)
        if self.slots is not None:
            return self.branches[0], number
        branch = self.branches[number]
        return branch, bisect_right(branch.starts, address >> branch.shift) - 1

    @property
    def size(self) -> int:
        """Bytes that it takes without leaves, about."""
        places = sum(200 + (DIGEST + 12) * len(branch.starts) for branch in self.branches)
        return (
            places
            + (40 if self.quick is None else 4) * len(self.tops)
            + (len(self.quick) * 2 if self.quick is not None else 0)
        )

    def lists(self) -> Lists:
        """Its leaves and where they begin, as what is in C takes them."""
        if self.slots is None:
            return [(branch.slots, branch.starts) for branch in self.branches]
        return self.slots, self.branches[0].starts, self.quick

    def leaves(self) -> Iterator[tuple[Branch, int]]:
        """Every leaf's place, in address order."""
        for branch in self.branches:
            for number in range(len(branch.slots)):
                yield branch, number


def _by_first_bits(branch: Branch) -> Steps[array[int]]:
    """For each value of an IPv4 address's first `QUICK` bits the number of the leaf that holds all of them, or `SEVERAL`."""
    numbers = array("H", (SEVERAL,)) * (1 << QUICK)
    starts = branch.firsts()
    rest = (1 << QUICK_HOST) - 1
    for number, (start, after) in enumerate(zip(starts, [*starts[1:], branch.end + 1], strict=True)):
        low, high = (start + rest) >> QUICK_HOST, after >> QUICK_HOST
        if low < high:
            numbers[low:high] = array("H", (number,)) * (high - low)
        if number % 128 == 127:
            yield
    return numbers


def _searchable(bits: int, starts: list[int]) -> tuple[int, array[int] | list[int]]:
    """Bits cut off behind, and the starts without them, as small as `bisect` can search them."""
    if bits == 32:
        return 0, array("I", starts)
    if any(start & 0xFFFFFFFFFFFFFFFF for start in starts):
        return 0, starts
    return 64, array("Q", [start >> 64 for start in starts])


class Inner:
    """A page above the leaves, or a leaf that is a whole table."""

    __slots__ = ("_names", "_page", "height")

    def __init__(self, raw: bytes) -> None:
        """Raises: CorruptPage: it is damaged."""
        self._page, at, count = outline(raw)
        self.height = self._page.height
        self._names = names(self._page, raw, at, count) if self.height else b""

    def children(self, bits: int, height: int, start: int, end: int) -> tuple[list[int], bytes, int]:
        """For the addresses *start* to *end*: where the pages below begin, their digests end to end, and *end*.

        Raises: CorruptPage: it is not the page for these addresses.
        """
        if not self._page.fits(bits, height, start, end):
            raise CorruptPage("an inner page is not the one its parent names")
        return list(self._page.absolute(start)), self._names, end

    def below(self, bits: int, height: int) -> Iterator[bytes]:
        """Digests of the pages below.

        Raises: CorruptPage: it is of another family or height.
        """
        if self._page.height != height or self._page.bits != bits:
            raise CorruptPage("an inner page has the wrong height or family")
        return (self._names[at : at + DIGEST] for at in range(0, len(self._names), DIGEST))


def inner_digests(
    bits: int, root: bytes, have: dict[bytes, bytes], read: Callable[[bytes], Inner] | None = None
) -> list[bytes]:
    """Which pages above the leaves are still to be fetched, given those that are here; none: all are here.

    Raises: CorruptPage: a page is damaged, or higher than any can be.
    """
    if root not in have:
        return [root]
    read = read or Inner
    top = read(have[root])
    if top.height > MAX_HEIGHT:
        raise CorruptPage("a tree of more levels than there can be")
    missing: list[bytes] = []
    level = [top]
    for height in range(top.height, 1, -1):
        children: dict[bytes, None] = dict.fromkeys(
            name for page in level for name in page.below(bits, height)
        )
        if len(children) > MAX_INNER:
            raise CorruptPage(f"inner pages name more than {MAX_INNER} pages")
        missing += [name for name in children if name not in have]
        if height > 2:  # the lowest are looked at when the tree is made
            level = [read(have[name]) for name in children if name in have]
    return missing

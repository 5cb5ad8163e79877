"""The pages of one family of a table, kept while its content changes: only those that a change touches are made anew.

A leaf is the widest prefix whose content fits a page. What fits for a prefix fits for each half of it, so that the cut can be
mended locally: a leaf that no longer fits is cut further; one that has become smaller is joined with its sibling as long as
that is a leaf too and both together fit. The result is the one of `page_builder.build`, page by page. No I/O.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, NamedTuple

from geosteer.errors import CorruptPage
from geosteer.keys import digest
from geosteer.tables import page_builder
from geosteer.tables.page_builder import Built
from geosteer.tables.page_format import MAX_ENTRIES, MAX_LEAVES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from geosteer_loader.tables.ranges import Ranges

    Content = Callable[[int, int], tuple[Sequence[int], Sequence[bytes]]]
    """What a prefix (first address, length) holds: where ranges begin, and their records as pages have them."""
    Outlined = tuple[int, int, int, bytes]
    """A leaf: its first address, prefix length, number of entries and digest."""

TOO_MANY = 3
"""Where more than one leaf in so many is touched, all are made anew: that costs less."""


class _Leaf(NamedTuple):
    prefix_len: int
    name: bytes
    page: bytes
    """b"" where it is not made before it is asked for."""
    entries: int
    first: bytes
    last: bytes
    """Values at both ends: equal ones of neighbours are one range."""


class PageTree:
    """All pages of one family of a table."""

    def __init__(self, bits: int, content: Content, leaves: Iterable[Outlined] = ()) -> None:
        """Nothing is read before `rebuild`, or before `update` where there are *leaves* already.

        Args: bits: 32 or 128; content: asked for what prefixes hold now; leaves: what `outlined` gave once, of content
        that differs only in what the first update says; these are taken as they are, without their pages.
        """
        self._bits = bits
        self._content = content
        self._leaves = {
            start: _Leaf(length, name, b"", entries, b"", b"") for start, length, entries, name in leaves
        }
        self._starts = list(self._leaves)
        self._given = bool(self._leaves)

    def rebuild(self) -> None:
        """Make all pages anew. Raises: ValueError: there are more than workers take."""
        self._replace({}, self._pieces(0, 0))

    def update(self, touched: Iterable[tuple[int, int]]) -> int:
        """Mend the pages whose content has changed; how many leaves were looked at.

        Args: touched: prefixes (first address, length) in which anything is different.
        Raises: ValueError: there are more pages than workers take.
        """
        old = self._holding(touched)
        if TOO_MANY * len(old) > len(self._leaves) and not self._given:
            self.rebuild()
            return len(self._leaves)
        leaves = {start: leaf for start, leaf in self._leaves.items() if start not in old}
        alone: list[int] = []
        for start in old:
            pieces = self._pieces(start, self._leaves[start].prefix_len)
            leaves.update(pieces)
            if len(pieces) == 1:  # of several none has a sibling that it fits together with
                alone.append(start)
        for start in alone:
            self._join(leaves, start)
        self._replace(leaves, {})
        return len(old)

    @property
    def ranges(self) -> int:
        """Ranges of the whole family, equal neighbours counted as one; not of a tree that began with given leaves."""
        total, last = 0, None
        for start in self._starts:
            leaf = self._leaves[start]
            total += leaf.entries - (leaf.first == last)
            last = leaf.last
        return total

    def built(self) -> Built:
        """All pages, as `page_builder.build` gives them."""
        built = Built()
        names = []
        if self._given:
            built.pages = LatePages(self._page, {leaf.name: start for start, leaf in self._leaves.items()})
        for start in self._starts:
            leaf = self._leaves[start]
            built.pages[leaf.name] = leaf.page
            names.append(leaf.name)
        page_builder.add_inner(built, self._bits, self._starts, names)
        return built

    def outlined(self) -> list[Outlined]:
        """Each leaf, in address order."""
        leaves = self._leaves
        return [
            (start, leaf.prefix_len, leaf.entries, leaf.name)
            for start in self._starts
            for leaf in (leaves[start],)
        ]

    def _page(self, start: int) -> bytes:
        """The page of a leaf, made now. Raises: CorruptPage: it is not the one that was given."""
        leaf = self._leaves[start]
        made = self._pieces(start, leaf.prefix_len).get(start)
        if made is None or made.name != leaf.name:
            raise CorruptPage(f"page {leaf.name.hex()} is not what was remembered of it")
        return made.page

    def _holding(self, touched: Iterable[tuple[int, int]]) -> dict[int, None]:
        """Starts of the leaves that hold, or lie in, what is touched."""
        starts = self._starts
        places: dict[int, None] = {}
        for first, prefix_len in touched:
            at = bisect_right(starts, first) - 1
            end = bisect_left(starts, first + (1 << (self._bits - prefix_len)), at)
            places.update(dict.fromkeys(starts[at:end]))
        return places

    def _pieces(self, start: int, prefix_len: int) -> dict[int, _Leaf]:
        """The leaves that a prefix comes to by itself."""
        starts, values = self._content(start, prefix_len)
        return dict(self._encoded(start, prefix_len, starts, values))

    def _encoded(
        self, start: int, prefix_len: int, starts: Sequence[int], values: Sequence[bytes]
    ) -> Iterator[tuple[int, _Leaf]]:
        cut = page_builder.cut(self._bits, 0, starts, values, start, prefix_len)
        for low, high, prefix, length, page in cut:
            yield prefix, _Leaf(length, digest(page), page, high - low, values[low], values[high - 1])

    def _join(self, leaves: dict[int, _Leaf], start: int) -> None:
        """Join a leaf with its sibling, and what that gives with its own, as long as it fits a page."""
        while (leaf := leaves.get(start)) and leaf.prefix_len:
            bit = 1 << (self._bits - leaf.prefix_len)
            sibling = leaves.get(start ^ bit)
            if sibling is None or sibling.prefix_len != leaf.prefix_len:
                return
            if leaf.entries + sibling.entries - 1 > MAX_ENTRIES:
                return
            parent = start & ~bit
            pieces = self._pieces(parent, leaf.prefix_len - 1)
            if len(pieces) > 1:
                return
            del leaves[parent | bit]
            leaves.update(pieces)
            start = parent

    def _replace(self, leaves: dict[int, _Leaf], more: dict[int, _Leaf]) -> None:
        leaves.update(more)
        if len(leaves) > MAX_LEAVES:
            raise ValueError(
                f"the table needs {len(leaves)} pages, more than the {MAX_LEAVES} that workers take"
            )
        self._leaves, self._starts = leaves, sorted(leaves)


def encoding(ranges: Callable[[int, int], Ranges]) -> Content:
    """The content that *ranges* gives."""

    def content(start: int, prefix_len: int) -> tuple[Sequence[int], Sequence[bytes]]:
        part = ranges(start, prefix_len)
        return part.starts, [page_builder.encode_record(record) for record in part.records]

    return content


class LatePages(dict[bytes, bytes]):
    """Pages by their digest; b"" stands for those that are made when they are asked for."""

    def __init__(self, make: Callable[[int], bytes], starts: Mapping[bytes, int]) -> None:
        """Args: make: the page of the leaf that begins at an address; starts: digest of each leaf -> where it begins."""
        super().__init__()
        self._make = make
        self._starts = starts

    def __getitem__(self, name: bytes) -> bytes:
        page = super().__getitem__(name)
        if not page:
            page = self[name] = self._make(self._starts[name])
        return page

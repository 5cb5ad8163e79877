"""A table that changes in memory: the rule for a prefix is the one for dumps, and only pages that it touches are made anew.

No I/O. What it is built from is asked for prefix by prefix, so that whoever holds the routes can do so as it likes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from geosteer_loader.sources.bgp_routes import Rib
from geosteer_loader.sources.source import FAMILIES
from geosteer_loader.tables.build import table_of
from geosteer_loader.tables.path_lengths import check_room, merge_views
from geosteer_loader.tables.prefix_index import PrefixIndex
from geosteer_loader.tables.ranges import RangeBuilder
from geosteer_loader.tables.recut import PageTree, encoding

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from geosteer_loader.sources.bgp_routes import AsPath
    from geosteer_loader.sources.report import Report
    from geosteer_loader.sources.source import Authorised
    from geosteer_loader.tables.build import Table
    from geosteer_loader.tables.ranges import Ranges

MOST_TEXTS = 1 << 19


class Layer(Protocol):
    """Routes of one source: what a dump of them would hold."""

    def paths(self, bits: int, number: int) -> Iterable[AsPath]:
        """The paths to a prefix (`first address << 8 | length`)."""


class LiveTable:
    """The table `bgp` or `path` of what layers hold at the moment."""

    def __init__(self, name: str, views: Mapping[str, Sequence[Layer]]) -> None:
        """Args: views: vantage point ("" for table `bgp`) -> its layers; later ones go before earlier ones.

        Raises: ConfigError: so many vantage points do not fit a record.
        """
        self.name = name
        if name == "path":
            check_room(list(views))
        self._views = views
        self.authorised: Authorised | None = None
        """By it routes are judged (RFC 6811); when it is another one, all prefixes are to be chosen anew."""
        self._texts: dict[str, str] = {}
        self._indexes = {bits: {view: PrefixIndex(bits) for view in views} for bits in sorted(FAMILIES)}
        self._trees = {bits: PageTree(bits, encoding(self._content(bits))) for bits in self._indexes}
        self._touched: dict[int, set[int]] = {bits: set() for bits in self._indexes}
        for tree in self._trees.values():
            tree.rebuild()

    def choose(self, bits: int, numbers: Collection[int], report: Report) -> None:
        """Look anew at prefixes whose routes have changed; *report* counts what is odd about them."""
        rib = Rib(report, self.name, self.authorised)
        for view, index in self._indexes[bits].items():
            layers = self._views[view]
            self._touched[bits].update(
                index.update([(number, self._record(rib, bits, number, layers)) for number in numbers])
            )

    @property
    def prefixes(self) -> int:
        """How many prefixes it has, of all vantage points and families, with what was chosen until now."""
        return sum(index.prefixes for indexes in self._indexes.values() for index in indexes.values())

    def built(self, fields: Mapping[str, str]) -> Table:
        """The table as it is now. Args: fields: what else is published of it, such as `bgp.source`.

        Raises: ValueError: it needs more pages than workers take.
        """
        for bits, tree in self._trees.items():
            touched, self._touched[bits] = self._touched[bits], set()
            try:
                tree.update([(number >> 8, number & 255) for number in touched])
            except ValueError:
                self._touched[bits] |= touched
                raise
        return table_of(
            self.name,
            {bits: tree.built() for bits, tree in self._trees.items()},
            fields,
            prefixes=self.prefixes,
            ranges=sum(tree.ranges for tree in self._trees.values()),
        )

    def _record(self, rib: Rib, bits: int, number: int, layers: Sequence[Layer]) -> str | None:
        prefix = bits, number >> 8, number & 255
        for layer in reversed(layers):
            rib.enter(prefix, layer.paths(bits, number))
            row = rib.finish()
            if row:  # one text for all prefixes that have the same
                if len(self._texts) > MOST_TEXTS:
                    self._texts.clear()
                return self._texts.setdefault(row[3], row[3])
        return None

    def _content(self, bits: int) -> Callable[[int, int], Ranges]:
        indexes = self._indexes[bits]

        def one(low: int, prefix_len: int) -> Ranges:
            (index,) = indexes.values()
            return index.ranges(low, prefix_len)

        def merged(low: int, prefix_len: int) -> Ranges:
            builder = RangeBuilder(bits, low, low + (1 << (bits - prefix_len)))
            return merge_views(
                builder, {view: index.ranges(low, prefix_len) for view, index in indexes.items()}
            )

        return merged if self.name == "path" else one

"""Published tables read in full, for sums over all addresses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from geosteer.keys import root_field
from geosteer_loader.store.pages import Pages, read_table
from geosteer_loader.tables.ranges import Ranges

if TYPE_CHECKING:
    from collections.abc import Mapping

    from geosteer_loader.store.store import Store


class TableReader:
    """The tables of one generation; each is read once."""

    def __init__(self, store: Store, fields: Mapping[str, str]) -> None:
        """Args: fields: of `current`."""
        self._pages = Pages(store)
        self._fields = fields
        self._known: dict[tuple[str, int], Ranges | None] = {}

    def read(self, table: str, bits: int) -> Ranges | None:
        """The ranges of one family of a table; None: it is not published.

        Raises: CorruptPage: a page is missing or damaged. StoreError.
        """
        if (table, bits) not in self._known:
            root = self._fields.get(root_field(table, bits))
            self._known[table, bits] = self._ranges(bits, root) if root is not None else None
        return self._known[table, bits]

    def _ranges(self, bits: int, root: str) -> Ranges:
        starts, records = read_table(self._pages, bits, root)
        return Ranges(bits=bits, starts=starts, records=records, prefixes=len(records))

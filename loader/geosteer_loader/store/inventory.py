"""Which of the published objects are there, and so need not be made again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from geosteer.errors import CorruptPage
from geosteer.keys import FAMILIES, TABLES, own_fields, root_field, roots
from geosteer_loader.store import current as published
from geosteer_loader.store.document import CorruptDocument, FormatUnknown
from geosteer_loader.store.pages import Pages, outline

if TYPE_CHECKING:
    from collections.abc import Mapping

    from geosteer_loader.store.store import Store


class Inventory:
    """What Redis has of the generation that is published; asked once."""

    def __init__(self, store: Store, before: Mapping[str, str]) -> None:
        self._before = before
        self._store = store
        self._pages = Pages(store)
        self._complete: dict[str, bool] = {}
        names = [*roots(before), *([before["config"]] if "config" in before else [])]
        self.doubts = published.doubts(before)
        """What `current` says that cannot be believed: a publish says it anew."""
        self._there = dict(zip(names, store.present(names), strict=True))
        self._document: dict[str, Any] | None = None
        self.damaged = ""
        """Digest of the published configuration where that is there, but not what it should be."""
        self.unreadable = ""
        """Why the published configuration cannot be read; "" when it can, or nothing is published."""
        if "config" in before:
            try:
                self._document = published.document(store, before)
            except (CorruptDocument, FormatUnknown) as exc:
                self.unreadable = str(exc)
                self.damaged = before["config"]

    @property
    def document(self) -> dict[str, Any] | None:
        """The published configuration; None when nothing is published, or that is missing or damaged."""
        return self._document

    @property
    def all_there(self) -> bool:
        """Whether every page and the configuration are there."""
        return all(self._there.values()) and not self.damaged and all(self.complete(name) for name in TABLES)

    def whole(self, table: str) -> bool:
        """Whether the table need not be built again: its pages are there, and what else its sources told."""
        if any(line.startswith(f"{table}.") for line in self.doubts):
            return False
        has_continents = table != "geo" or "continents" in (self._document or {})
        return len(roots(own_fields(self._before, table))) == 2 and has_continents and self.complete(table)

    def complete(self, table: str) -> bool:
        """Whether every page of the table is there; asked once. Also of one that is not published."""
        if table not in self._complete:
            self._complete[table] = self._has_all(table)
        return self._complete[table]

    def _has_all(self, table: str) -> bool:
        fields = own_fields(self._before, table)
        if not all(self._there[name] for name in roots(fields)):
            return False
        try:
            for bits in FAMILIES.values():
                table_outline = outline(self._pages, bits, fields.get(root_field(table, bits)))
                if not all(self._store.present(sorted(set(table_outline.leaves.values())))):
                    return False
        except CorruptPage:
            return False
        return True

    def continents(self) -> dict[str, str]:
        """Country -> continent as published, for a `geo` table that was not read again."""
        return dict((self._document or {}).get("continents", {}))

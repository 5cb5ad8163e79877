"""Which of the published objects are there, and so need not be made again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from geosteer.errors import StoreError
from geosteer_loader import current as published
from geosteer_loader.tables import own_fields, roots

if TYPE_CHECKING:
    from collections.abc import Mapping

    from geosteer_loader.store import Store


class Known:
    """What Redis has of the generation that is published; asked once."""

    def __init__(self, store: Store, before: Mapping[str, str]) -> None:
        self._before = before
        names = [*roots(before), *([before["config"]] if "config" in before else [])]
        self._there = dict(zip(names, store.present(names), strict=True))
        self._document: dict[str, Any] | None = None
        self.damaged = ""
        """Digest of the published configuration where that is there, but not what it should be."""
        if self._there.get(before.get("config", "")):
            try:
                self._document = published.document(store, before)
            except StoreError:
                self.damaged = before["config"]

    @property
    def document(self) -> dict[str, Any] | None:
        """The published configuration; None when nothing is published, or that is missing or damaged."""
        return self._document

    @property
    def all_there(self) -> bool:
        """Whether every root page and the configuration are there."""
        return all(self._there.values()) and not self.damaged

    def whole(self, table: str) -> bool:
        """Whether the table need not be built again: its roots are there, and what else its sources told."""
        mine = roots(own_fields(self._before, table))
        told = self._document is not None or table != "geo"
        return len(mine) == 2 and all(self._there[name] for name in mine) and told

    def continents(self) -> dict[str, str]:
        """Country -> continent as published, for a `geo` table that was not read again."""
        assert self._document is not None
        return dict(self._document["continents"])

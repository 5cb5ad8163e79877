"""A published generation read in full through the loader's connection: what workers see, for the commands that explain it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from geosteer.errors import CorruptPage, StoreError
from geosteer.sync.adoption import Adoption, Unusable
from geosteer.tables.leaf_cache import LeafCache
from geosteer.tables.tree import PageMissing
from geosteer_loader.store import node_states
from geosteer_loader.store.document import check_types

if TYPE_CHECKING:
    from collections.abc import Mapping

    from geosteer.sync.generation import Generation
    from geosteer_loader.store.store import Store

LEAVES = 64 << 20
"""Bytes of decoded leaves kept."""


class View:
    """One generation, its pages fetched as they are needed, and the nodes' states at one moment."""

    def __init__(self, store: Store, fields: Mapping[str, str] | None = None) -> None:
        """Args: fields: of `current`, or of an entry of the history; default: what is published now.

        Raises: StoreError: nothing usable is published, or Redis failed.
        """
        self._store = store
        self._cache = LeafCache(LEAVES)
        self.generation = self._adopt(fields if fields is not None else store.hash(store.keys.current))
        self.now = store.now()
        """Seconds since 1970, by Redis."""
        self.mirror = node_states.read(store, self.generation.model.nodes)

    def _adopt(self, fields: Mapping[str, str]) -> Generation:
        try:
            adoption = Adoption(fields, None)
            while missing := adoption.missing():
                for name, data in zip(
                    missing, self._store.objects([digest.hex() for digest in missing]), strict=True
                ):
                    adoption.give(name, data)
            generation = adoption.finish()
            check_types(generation.document)
            return generation
        except Unusable as exc:
            raise StoreError(f"{self._store.name}: {self._store.keys.current}: {exc}") from exc
        except (CorruptPage, ValueError) as exc:
            raise StoreError(f"{self._store.name}: {exc} (geosteer publish writes it again)") from exc

    def cell(self, table: str, bits: int, address: int) -> tuple[str, int]:
        """Record of an address, "" on a miss, and the length of the widest prefix around it with that record.

        A table that is not published is one miss. Raises: StoreError: a page is absent or damaged, or Redis failed.
        """
        tree = self.generation.trees.get((table, bits))
        if tree is None:
            return "", 0
        try:
            return tree.cell(address)
        except PageMissing:
            branch, number = tree.locate(address)
        name = branch.digest(number).hex()
        (data,) = self._store.objects([name])
        try:
            if data is None:
                raise CorruptPage("is not there")
            self._cache.put(tree, branch, number, data)
        except CorruptPage as exc:
            raise StoreError(
                f"{self._store.name}: page {name}: {exc} (geosteer publish writes it again)"
            ) from exc
        return tree.cell(address)

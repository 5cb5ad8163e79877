"""The pages of published tables as the loader reads them: one by one, and whole tables as an outline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from geosteer.errors import CorruptPage
from geosteer.tables import page_builder, page_format
from geosteer_loader.store.store import BATCH

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from geosteer_loader.store.store import Store


class Pages:
    """Pages by their hex digest: those that were just built, else those in Redis."""

    def __init__(self, store: Store, built: Iterable[page_builder.Built] = ()) -> None:
        self._store = store
        self._built = {name.hex(): page for one in built for name, page in one.pages.items()}

    def get(self, name: str) -> bytes | None:
        """One page, None where it is not there."""
        return self._built.get(name) or self._store.objects([name])[0]

    def size(self, name: str) -> int:
        """Bytes of a page that was just built; 0 for others."""
        return len(self._built.get(name, b""))

    def each(self, names: Sequence[str]) -> Iterator[page_format.Page]:
        """The pages in that order, read in batches. Raises: CorruptPage: one is missing or damaged; StoreError."""
        for low in range(0, len(names), BATCH):
            batch = names[low : low + BATCH]
            wanted = [name for name in batch if name not in self._built]
            found = dict(zip(wanted, self._store.objects(wanted), strict=True)) if wanted else {}
            for name in batch:
                data = self._built.get(name) or found.get(name)
                if data is None:
                    raise CorruptPage(f"page {name} is missing")
                yield page_format.decode(data)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """The pages of one family of a table, without the leaves' content."""

    bits: int
    """32 or 128."""
    leaves: dict[int, str]
    """First address -> digest, in address order."""
    inner: frozenset[str]
    """Digests of the pages above the leaves."""

    @property
    def names(self) -> frozenset[str]:
        """Digests of all pages."""
        return self.inner.union(self.leaves.values())


def outline(pages: Pages, bits: int, root: str | None) -> Outline:
    """The pages below a root page; none without a root.

    Raises: CorruptPage: a page is missing or damaged. StoreError.
    """
    level = [(0, root)] if root is not None else []
    inner: set[str] = set()
    height = next(pages.each([name for _, name in level])).height if level else 0
    while height:
        names = [name for _, name in level]
        inner.update(names)
        below: list[tuple[int, str]] = []
        for (start, _), page in zip(level, pages.each(names), strict=True):
            if page.height != height or page.bits != bits:
                raise CorruptPage("an inner page has the wrong height or family")
            below += [(first, value.hex()) for first, value in page.spans(start) if isinstance(value, bytes)]
        level, height = below, height - 1
    return Outline(bits=bits, leaves=dict(level), inner=frozenset(inner))

"""The pages of published tables as the loader reads them: one by one, and whole tables as an outline."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING

from geosteer.errors import CorruptPage
from geosteer.keys import digest
from geosteer.tables import page_format
from geosteer.tables.page_format import MAX_LEAVES
from geosteer_loader.store.store import BATCH

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, MutableSequence, Sequence

    from geosteer.tables import page_builder
    from geosteer_loader.store.store import Store


class Pages:
    """Pages by their hex digest: those that were just built, else those in Redis."""

    def __init__(self, store: Store, built: Iterable[page_builder.Built] = ()) -> None:
        self._store = store
        self._built = {name.hex(): table.pages for table in built for name in table.pages}

    def get(self, name: str) -> bytes | None:
        """One page, None where it is not there. Raises: CorruptPage: something else lies under that name; StoreError."""
        return self._made(name) or _checked(name, self._store.objects([name])[0])

    def size(self, name: str) -> int:
        """Bytes of a page that was just built; 0 for others."""
        return len(self._made(name) or b"")

    def each(self, names: Sequence[str]) -> Iterator[page_format.Page]:
        """The pages in that order, read in batches. Raises: CorruptPage: one is missing or damaged; StoreError."""
        return map(page_format.decode, self.raw(names))

    def raw(self, names: Sequence[str]) -> Iterator[bytes]:
        """The bytes of the same. Raises: CorruptPage: one is missing or has another digest; StoreError."""
        for low in range(0, len(names), BATCH):
            batch = names[low : low + BATCH]
            wanted = [name for name in batch if name not in self._built]
            stored = dict(zip(wanted, self._store.objects(wanted), strict=True)) if wanted else {}
            for name in batch:
                data = self._made(name) or _checked(name, stored.get(name))
                if data is None:
                    raise CorruptPage(f"page {name} is missing")
                yield data

    def _made(self, name: str) -> bytes | None:
        pages = self._built.get(name)
        return pages[bytes.fromhex(name)] if pages is not None else None


def _checked(name: str, data: bytes | None) -> bytes | None:
    if data is not None and digest(data).hex() != name:
        raise CorruptPage(f"page {name} is damaged: its bytes have another digest")
    return data


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

    Raises: CorruptPage: a page is missing, damaged or not the one for its place, or there are endlessly many. StoreError.
    """
    level = [(0, root)] if root is not None else []
    inner: set[str] = set()
    height = next(pages.each([name for _, name in level])).height if level else 0
    while height:
        names = [name for _, name in level]
        inner.update(names)
        below: list[tuple[int, str]] = []
        ends = [*(start for start, _ in level[1:]), 1 << bits]
        for (start, _), end, page in zip(level, ends, pages.each(names), strict=True):
            if not page.fits(bits, height, start, end - 1):
                raise CorruptPage("an inner page is not the one for the place where its parent has it")
            below += [(first, value.hex()) for first, value in page.spans(start) if isinstance(value, bytes)]
            if len(below) > MAX_LEAVES:
                raise CorruptPage("an inner page that repeats its child pages without end")
        level, height = below, height - 1
    return Outline(bits=bits, leaves=dict(level), inner=frozenset(inner))


def read_table(
    pages: Pages, bits: int, root: str | None, progress: Callable[[int, int], None] | None = None
) -> tuple[MutableSequence[int], list[str]]:
    """One family of a table in full: where its ranges begin, and their records; one miss without a root.

    Args: progress: hears of leaves, done and all.
    Raises: CorruptPage: as `outline`. StoreError.
    """
    # 4 bytes a start, where a list takes 36
    starts: MutableSequence[int] = array("I") if bits == 32 else []
    records: list[str] = []
    if root is None:
        starts.append(0)
        return starts, [""]
    leaves = outline(pages, bits, root).leaves
    ends = [*list(leaves)[1:], 1 << bits]
    for number, ((start, name), end, page) in enumerate(
        zip(leaves.items(), ends, pages.each(list(leaves.values())), strict=True), 1
    ):
        if not page.fits(bits, 0, start, end - 1):
            raise CorruptPage(f"page {name} is not the one for the place where its parent has it")
        if progress is not None:
            progress(number, len(leaves))
        for first, record in page.spans(start):
            if not records or records[-1] != record:
                starts.append(first)
                records.append(str(record))
    return starts, records

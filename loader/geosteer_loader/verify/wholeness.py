"""Whether all that a generation needs is there and is what its digest says: for `verify`, and before a rollback."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from geosteer.decision.client import prefix_text
from geosteer.errors import CorruptPage, GeosteerError
from geosteer.keys import FAMILIES, TABLES, digest, root_field
from geosteer.tables import page_format
from geosteer.tables.page_format import MAX_LEAVES
from geosteer_loader.store import document
from geosteer_loader.store.store import BATCH

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from geosteer_loader.store.store import Store


class Place(NamedTuple):
    """A page as its parent has it."""

    name: str
    height: int | None
    """None for the root, which says it itself."""
    start: int
    end: int
    """Last address."""

    def prefix(self, bits: int) -> str:
        """The addresses in text."""
        return prefix_text(bits, self.start, bits - (self.end - self.start).bit_length())


class Flaw(NamedTuple):
    """An object that a generation needs and cannot use."""

    where: str
    """Table and family with the prefix (`geo.v4 10.0.0.0/8`), or `config`."""
    name: str
    """Its hex digest."""
    what: str
    """What is wrong with it."""
    there: bool
    """Something lies under that name."""

    def __str__(self) -> str:
        return f"{self.where}: {'object' if self.where == 'config' else 'page'} {self.name}: {self.what}"


class Checker:
    """Checks generations one after the other; what was looked at once is not read again."""

    def __init__(self, store: Store, known: Iterable[str] = ()) -> None:
        """Args: known: digests of objects that were checked already."""
        self._store = store
        self.seen = set(known)
        """Digests of all objects that were looked at, sound or not."""

    def check(self, fields: Mapping[str, str]) -> Iterator[Flaw]:
        """Everything that is wrong with the generation of these fields of `current`. Raises: StoreError: Redis failed."""
        yield from self._document(fields.get("config", ""))
        for table in TABLES:
            for bits in FAMILIES.values():
                root = fields.get(root_field(table, bits))
                if root is not None:
                    yield from self._pages(root_field(table, bits), bits, root)

    def _document(self, name: str) -> Iterator[Flaw]:
        if name in self.seen:
            return
        self.seen.add(name)
        data = self._store.objects([name])[0]
        if data is None:
            yield Flaw("config", name, "is missing", there=False)
        elif digest(data).hex() != name:
            yield Flaw("config", name, "its bytes have another digest", there=True)
        else:
            try:
                document.decode(self._store.name, name, data)
            except GeosteerError as exc:
                yield Flaw("config", name, str(exc), there=True)

    def _pages(self, where: str, bits: int, root: str) -> Iterator[Flaw]:
        level = [Place(root, None, 0, (1 << bits) - 1)]
        while level := [place for place in level if place.name not in self.seen]:
            below: list[Place] = []
            for place, data in fetched(self._store, level):
                if place.name in self.seen:
                    continue  # the same content at another place of this level
                self.seen.add(place.name)
                wrong, page = opened(place, bits, data)
                if page is None:
                    yield Flaw(f"{where} {place.prefix(bits)}", place.name, wrong, data is not None)
                else:
                    below += children(place, page)
                    if len(below) > MAX_LEAVES:
                        yield Flaw(where, place.name, "repeats its child pages without end", there=True)
                        return
            level = below


def fetched(store: Store, level: Sequence[Place]) -> Iterator[tuple[Place, bytes | None]]:
    """The pages' bytes, read in batches; None for those that are missing. Raises: StoreError."""
    for low in range(0, len(level), BATCH):
        places = level[low : low + BATCH]
        yield from zip(places, store.objects([place.name for place in places]), strict=True)


def opened(place: Place, bits: int, data: bytes | None) -> tuple[str, page_format.Page | None]:
    """What is wrong with a page, or the page."""
    if data is None:
        return "is missing", None
    if digest(data).hex() != place.name:
        return "its bytes have another digest", None
    try:
        page = page_format.decode(data)
    except CorruptPage as exc:
        return str(exc), None
    height = page.height if place.height is None else place.height
    if not page.fits(bits, height, place.start, place.end):
        return "is not the page for the place where its parent has it", None
    return "", page


def children(place: Place, page: page_format.Page) -> Iterator[Place]:
    """The pages right below an inner page; none of a leaf."""
    if not page.height:
        return
    spans = list(page.spans(place.start))
    ends = [start - 1 for start, _ in spans[1:]] + [place.end]
    for (start, value), end in zip(spans, ends, strict=True):
        if isinstance(value, bytes):
            yield Place(value.hex(), page.height - 1, start, end)

"""The pages of a table, and what they were made of the last time: of the next, only pages that a change touches are made.

Where a source knows what has changed since an earlier reading, and this memory has the table that was made of that reading,
the cut into pages is mended. What comes of it is what `page_builder.build` gives, page by page.
"""

from __future__ import annotations

import json
import logging
from array import array
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from geosteer.keys import digest
from geosteer.tables import page_builder, page_format
from geosteer_loader.sources import kept_file
from geosteer_loader.tables.ranges import Since
from geosteer_loader.tables.recut import PageTree

if TYPE_CHECKING:
    from collections.abc import Mapping

    from geosteer.tables.page_builder import Built
    from geosteer_loader.sources.mmdb_memory import Memory
    from geosteer_loader.sources.source import Edits
    from geosteer_loader.tables.ranges import Ranges
    from geosteer_loader.tables.recut import Outlined

log = logging.getLogger(__name__)

FORMAT = 1
_PARTS = 5
"""Of each family: first addresses (two), lengths, numbers of entries and digests of its leaves."""


class Made(NamedTuple):
    """One family of a table."""

    pages: Built
    ranges: Ranges
    total: int
    """How many ranges it has."""
    leaves: list[Outlined]
    """What a later one is mended from."""


class Remembered(NamedTuple):
    """One family as it was made of an earlier reading."""

    root: str
    """Digest of the root page."""
    total: int
    """How many ranges it has."""
    sizes: Mapping[str, int]
    """Record -> how many addresses have it."""
    leaves: list[Outlined]


def made_of(ranges: Mapping[int, Ranges], memory: TableMemory | None = None) -> dict[int, Made]:
    """The pages of each family.

    Args: memory: what was made before; it is given what the next one needs.
    Raises: ValueError: as `page_builder.build`.
    """
    seals = {family.edits.of for family in ranges.values() if family.edits is not None}
    earlier = memory.load(*seals) if memory is not None and len(seals) == 1 else {}
    made = {
        bits: _mended(bits, family, family.edits, earlier[bits])
        if family.edits is not None and bits in earlier
        else _new(bits, family)
        for bits, family in ranges.items()
    }
    if memory is not None:
        made = {bits: family._replace(ranges=family.ranges.counted()) for bits, family in made.items()}
        memory.note(made)
    return made


def _new(bits: int, ranges: Ranges) -> Made:
    starts, records = ranges.whole()
    built = page_builder.build(bits, starts, records)
    return Made(built, ranges, len(starts), _outlined(built))


class TableMemory:
    """A file beside the one for the reading. Both are renewed when what was made of them is published."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._made: Mapping[int, Made] = {}
        self._path = memory.path.with_name(f"{memory.path.name}.table")
        limits = page_format.VERSION, page_format.MAX_ENTRIES, page_format.MAX_BYTES
        self._form = ".".join(map(str, (FORMAT, memory.builder, *limits)))

    def load(self, seal: str) -> dict[int, Remembered]:
        """Address bits -> what was made of the reading that *seal* names; empty where that is not known."""
        try:
            kept = kept_file.read(self._path, self._form)
            if kept is not None and kept.head["of"] == seal:
                return _families(kept)
        except kept_file.ODD as exc:
            log.debug("%s is not used: %s", self._path, exc)
        return {}

    def note(self, made: Mapping[int, Made]) -> None:
        """Note what was made, for `renew`."""
        self._made = made

    def renew(self) -> None:
        """Keep the reading and what was made of it, in place of the last."""
        if not self._memory.noted:
            self.forget()
            return
        seal = self._memory.renew()
        if not seal:
            return
        families = []
        parts: list[bytes | memoryview | array[int]] = []
        for bits, family in self._made.items():
            starts, lengths, entries, names = zip(*family.leaves, strict=True)
            sizes = json.dumps(dict(family.ranges.sizes()), separators=(",", ":"), ensure_ascii=False)
            parts += [*kept_file.packed(bits, starts), bytes(lengths), array("H", entries)]
            parts += [b"".join(names), sizes.encode()]
            families.append([bits, family.pages.root.hex(), family.total])
        kept_file.write(self._path, self._form, {"of": seal, "families": families}, parts)

    def forget(self) -> None:
        """Keep nothing."""
        self._memory.forget()
        kept_file.remove(self._path)


def _families(kept: kept_file.KeptFile) -> dict[int, Remembered]:
    families = {}
    for number, (bits, root, total) in enumerate(kept.head["families"]):
        first, second, lengths, entries, names, sizes = kept.parts[(_PARTS + 1) * number :][: _PARTS + 1]
        size = len(digest(b""))
        listed = [bytes(names[at : at + size]) for at in range(0, len(names), size)]
        starts, counts = kept_file.unpacked(bits, first, second), kept_file.numbers("H", entries)
        leaves = list(zip(starts, lengths, counts, listed, strict=True))
        families[bits] = Remembered(root, total, json.loads(bytes(sizes)), leaves)
    return families


def _outlined(built: Built) -> list[Outlined]:
    leaves = []
    for start, name in zip(built.starts, built.names, strict=True):
        page = built.pages[name]
        leaves.append((start, page[3], int.from_bytes(page[6:8], "big"), name))
    return leaves


def _mended(bits: int, ranges: Ranges, edits: Edits, remembered: Remembered) -> Made:
    assert ranges.part is not None
    tree = PageTree(bits, ranges.part, remembered.leaves)
    tree.update(edits.touched)
    sizes = dict(remembered.sizes)
    for (was, now), size in edits.sizes.items():
        sizes[was] -= size
        sizes[now] = sizes.get(now, 0) + size
    since = Since(remembered.root, edits.sizes, {record: size for record, size in sizes.items() if size})
    return Made(tree.built(), replace(ranges, since=since), remembered.total + edits.ranges, tree.outlined())

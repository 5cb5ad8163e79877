"""What was read of an MMDB database the last time: its search tree as it was walked, and what its data said.

Where another file has the same data section, nothing of that is decoded again; where its tree differs in nothing but which
data some places lead to, it is not walked again. Both are found by comparing, so that the outcome is that of reading all of
it. The file is a convenience: without it, or if there is anything odd about it, all is read.
"""

from __future__ import annotations

import json
import logging
import sys
from array import array
from typing import TYPE_CHECKING, NamedTuple

from geosteer_loader.sources import kept_file
from geosteer_loader.sources.mmdb_tree import Tiling, Walk

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    Kind = tuple[str | None, str, str, str]
    """What is odd about a record (None: nothing), an example of that, and where it puts which country."""
    Place = tuple[str | None, Kind]
    """What a record says: its text and the rest, as `_Place.kept` gives it."""

log = logging.getLogger(__name__)

FORMAT = 4
LEAST_NODES = 1 << 16
"""Nodes of a tree that is worth it."""
_PARTS = 6
"""Of each family: first addresses (two), pointers, where these stand in the tree; distinct pointers, and their counts."""
_COLUMNS = 3
"""Of the places: offsets, numbers of their kinds, and as text their records and all kinds."""


class Reading(NamedTuple):
    """One database as it was read."""

    seal: str
    """Names it."""
    walk: Walk
    counts: Sequence[Mapping[int, int]]
    """For each family, pointer -> how many prefixes have it."""
    data: str
    """Digest of its data section."""
    places: Mapping[int, Place]
    """Offset in the data section -> what the record there says; all that the tree leads to."""
    parts: list[memoryview]
    """The file's: what stays the same is written again as it is."""


class Memory:
    """A file for the last reading that was of use."""

    def __init__(self, path: Path, builder: str, least_nodes: int = LEAST_NODES) -> None:
        """Args: builder: what else than the database decides what is read; least_nodes: smaller trees are not kept."""
        self.path = path
        self.builder = builder
        self._read: (
            tuple[Walk, Sequence[Mapping[int, int]], str, Mapping[int, Place], Reading | None] | None
        ) = None
        self._form = f"{FORMAT}.{builder}"
        self._least = least_nodes

    def load(self, nodes: int) -> Reading | None:
        """The last reading, if one is kept and whole. Args: nodes: how many the tree has that is to be read."""
        if nodes < self._least:
            return None
        try:
            kept = kept_file.read(self.path, self._form)
            return _reading(kept) if kept is not None else None
        except kept_file.ODD as exc:
            log.debug("%s is not used: %s", self.path, exc)
        return None

    def note(
        self, walk: Walk, counts: Sequence[Mapping[int, int]], data: str, places: Mapping[int, Place],
        earlier: Reading | None = None,
    ) -> None:  # fmt: skip
        """Note what was read, for `renew`. Args: as of `Reading`; earlier: the last one, if little else is different."""
        self._read = (walk, counts, data, places, earlier) if walk.nodes >= self._least else None

    @property
    def noted(self) -> bool:
        """Whether there is anything to keep."""
        return self._read is not None

    def renew(self) -> str:
        """Keep what was noted in place of the last; its seal, "" where that cannot be kept, which is no matter."""
        assert self._read is not None
        walk, counts, data, places, earlier = self._read
        parts: list[bytes | memoryview | array[int]] = [walk.raw]
        for number, (tiling, slots) in enumerate(zip(walk.tilings, walk.slots, strict=True)):
            if earlier is not None and slots is earlier.walk.slots[number]:  # the same prefixes
                first, second, _, same = earlier.parts[1 + _PARTS * number :][:4]
                parts += [first, second, tiling.pointers, same]
            else:
                parts += [*kept_file.packed(tiling.bits, tiling.starts), tiling.pointers, slots]
            parts += [array("I", counts[number]), array("I", counts[number].values())]
        if earlier is not None and places is earlier.places:
            parts += earlier.parts[-_COLUMNS:]
        else:
            parts += _columns(places)
        head = {
            "nodes": walk.nodes, "record_size": walk.record_size, "bits": walk.bits, "ipv4": walk.ipv4, "data": data,
            "families": [tiling.bits for tiling in walk.tilings],
        }  # fmt: skip
        return kept_file.write(self.path, self._form, head, parts)

    def forget(self) -> None:
        """Keep nothing."""
        kept_file.remove(self.path)


def _reading(kept: kept_file.KeptFile) -> Reading:
    head, (raw, *families) = kept.head, kept.parts
    tilings, slots, counts = [], [], []
    for number, bits in enumerate(head["families"]):
        first, second, pointers, places, distinct, counted = families[_PARTS * number :][:_PARTS]
        starts = kept_file.unpacked(bits, first, second)
        tilings.append(Tiling(bits, starts, kept_file.numbers("I", pointers)))
        slots.append(kept_file.numbers("I", places))
        counts.append(
            dict(zip(kept_file.numbers("I", distinct), kept_file.numbers("I", counted), strict=True))
        )
        if not len(starts) == len(tilings[-1].pointers) == len(slots[-1]):
            raise ValueError("has prefixes without pointers")
    walk = Walk(head["nodes"], head["record_size"], head["bits"], head["ipv4"], raw, tilings, slots)
    return Reading(kept.seal, walk, counts, head["data"], _places(*kept.parts[-_COLUMNS:]), kept.parts)


def _columns(places: Mapping[int, Place]) -> list[bytes | array[int]]:
    """The places as parts of a file: hundreds of thousands have a few hundred kinds."""
    kinds: dict[Kind, int] = {}
    numbers = array("I", [kinds.setdefault(kind, len(kinds)) for _, kind in places.values()])
    texts = json.dumps([[record for record, _ in places.values()], list(kinds)], separators=(",", ":"))
    return [array("I", places), numbers, texts.encode()]


def _places(offsets: memoryview, numbers: memoryview, texts: memoryview) -> dict[int, Place]:
    """The places again."""
    records, listed = json.loads(bytes(texts))
    kinds: list[Kind] = [(odd, example, country, continent) for odd, example, country, continent in listed]
    interned = [record if record is None else sys.intern(record) for record in records]
    of_kinds = map(kinds.__getitem__, kept_file.numbers("I", numbers))
    return dict(zip(kept_file.numbers("I", offsets), zip(interned, of_kinds, strict=True), strict=True))

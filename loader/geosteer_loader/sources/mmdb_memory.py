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
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from geosteer import files
from geosteer_loader.sources.mmdb_tree import Tiling, Walk

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Place = list[str | None]
    """What a record says, as `_Place.kept` gives it."""

log = logging.getLogger(__name__)

FORMAT = 1
LEAST_NODES = 1 << 16
"""Nodes of a tree that is worth it."""
_SEAL = 33
"""Bytes of a seal and its line end."""
_HALF = (1 << 64) - 1
_HEAD = 8
"""Digits of the length of the JSON document in front."""


class Reading(NamedTuple):
    """One database as it was read."""

    walk: Walk
    data: str
    """Digest of its data section."""
    places: Mapping[int, Place]
    """Offset in the data section -> what the record there says; all that the tree leads to."""
    tables: Mapping[int, tuple[str, dict[str, int]]]
    """Address bits -> of the table that was made of it alone: digest of the root page, and how many addresses have which
    record; empty where that is not known."""


class Memory:
    """A file for the last reading, and a small one that says what became of it."""

    def __init__(self, path: Path, builder: str, least_nodes: int = LEAST_NODES) -> None:
        """Args: builder: what else than the database decides what is read; least_nodes: smaller trees are not kept."""
        self._path = path
        self._tables = path.with_name(f"{path.name}.table")
        self._builder = f"{FORMAT}.{builder}.{sys.byteorder}.{array('I').itemsize}"
        self._least = least_nodes
        self._kept = ""

    def load(self) -> Reading | None:
        """The last reading, if one is kept and whole."""
        try:
            data = files.read(str(self._path))
            seal = data[: _SEAL - 1].decode()
            return self._reading(memoryview(files.unsealed(data)), self._tables_of(seal))
        except FileNotFoundError:
            pass
        except (OSError, ValueError, KeyError, TypeError, IndexError, RecursionError) as exc:
            log.debug("%s is not used: %s", self._path, exc)
        return None

    def keeping(self, walk: Walk) -> Callable[[str, Mapping[int, Place]], None]:
        """`keep` for what was walked."""
        return partial(self.keep, walk)

    def keep(self, walk: Walk, data: str, places: Mapping[int, Place]) -> None:
        """Keep a reading in place of the last; that it cannot be kept is no matter."""
        if walk.nodes < self._least:
            return
        parts: list[bytes | array[int]] = [walk.records]
        for tiling, slots in zip(walk.tilings, walk.slots, strict=True):
            parts += [*_packed(tiling.bits, tiling.starts), tiling.pointers, slots]
        head = json.dumps(
            {
                "builder": self._builder, "nodes": walk.nodes, "bits": walk.bits, "ipv4": walk.ipv4, "data": data,
                "places": [[offset, *place] for offset, place in places.items()],
                "sizes": [memoryview(part).nbytes for part in parts],
                "families": [tiling.bits for tiling in walk.tilings],
            },
            separators=(",", ":"),
        ).encode()  # fmt: skip
        parts = [b"%0*d" % (_HEAD, len(head)), head, *parts]
        if sum(memoryview(part).nbytes for part in parts) < files.LARGEST - _SEAL:
            self._kept = self._written(self._path, parts)

    def built(self, tables: Mapping[int, tuple[str, Mapping[str, int]]]) -> None:
        """Note what was made of the last reading alone: address bits -> as `Reading.tables` has it."""
        if self._kept:
            self._written(self._tables, [json.dumps({"of": self._kept, "tables": tables}).encode()])

    def _written(self, path: Path, parts: Sequence[bytes | array[int]]) -> str:
        """The seal of what was written, part by part: together they are large; "" if it could not be."""
        digest = blake2b(digest_size=16)
        for part in parts:
            digest.update(part)
        seal = digest.hexdigest()
        try:
            path.parent.mkdir(exist_ok=True)
            for left in path.parent.glob(f"{path.name}{files.ASIDE}*"):  # by a process that was killed
                left.unlink(missing_ok=True)
            aside = Path(files.replace(str(path), f"{seal}\n".encode(), 0o600))
            with aside.open("ab") as file:
                for part in parts:
                    file.write(part)
            aside.replace(path)
        except OSError as exc:
            log.debug("%s cannot be kept: %s", path, exc)
            return ""
        return seal

    def _tables_of(self, seal: str) -> dict[int, tuple[str, dict[str, int]]]:
        try:
            noted = json.loads(files.unsealed(files.read(str(self._tables))))
            if noted["of"] != seal:
                return {}
            return {int(bits): (root, sizes) for bits, (root, sizes) in noted["tables"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return {}

    def _reading(self, body: memoryview, tables: Mapping[int, tuple[str, dict[str, int]]]) -> Reading | None:
        at = _HEAD + int(bytes(body[:_HEAD]))
        head = json.loads(bytes(body[_HEAD:at]))
        if head["builder"] != self._builder:
            return None
        parts = []
        for size in head["sizes"]:
            parts.append(body[at : at + size])
            at += size
        if at != len(body):
            raise ValueError("has another length than it says")
        records, *families = parts
        tilings, slots = [], []
        for number, bits in enumerate(head["families"]):
            first, second, pointers, places = families[4 * number : 4 * number + 4]
            starts: Sequence[int] = _numbers("I" if bits == 32 else "Q", first)
            if bits == 128:
                starts = [high << 64 | low for high, low in zip(starts, _numbers("Q", second), strict=True)]
            tilings.append(Tiling(bits, starts, _numbers("I", pointers)))
            slots.append(_numbers("I", places))
        walk = Walk(head["nodes"], head["bits"], head["ipv4"], _numbers("I", records), tilings, slots)
        places_by_offset = {offset: place for offset, *place in head["places"]}
        return Reading(walk, head["data"], places_by_offset, tables)


def _packed(bits: int, starts: Sequence[int]) -> list[bytes | array[int]]:
    """Starts as they are written: IPv6 ones in two halves."""
    if bits == 32:
        return [array("I", starts), b""]
    return [array("Q", [start >> 64 for start in starts]), array("Q", [start & _HALF for start in starts])]


def _numbers(kind: str, raw: memoryview) -> array[int]:
    numbers = array(kind)
    numbers.frombytes(raw)
    return numbers

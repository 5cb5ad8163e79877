"""Take in a file block by block, from where it was last left; an unfinished last record is left for the next time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from geosteer_loader.latency.input_file import BLOCK, REMEMBERED, InputFile, digest, find, segment
from geosteer_loader.rtt.inputs.formats import SELF_DELIMITING, cutter, samples
from geosteer_loader.rtt.inputs.own import SEGMENT
from geosteer_loader.rtt.sample import Tally

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from geosteer_loader.latency.store import Mark, Measurements
    from geosteer_loader.rtt.inputs.line import Scene

UNFINISHED = 4 * BLOCK
"""Bytes without the end of a record that are waited for."""


@dataclass(slots=True)
class Ingested:
    """What came of one input."""

    name: str
    read: int = 0
    """Bytes that were new."""
    tally: Tally = field(default_factory=Tally)


def ingest(
    path: Path, format_: str, scene: Scene, store: Measurements, progress: Callable[[int], None] | None = None
) -> Ingested:
    """Count what is new in a file. Raises: SourceError, DatabaseUnusable, Overtaken."""
    told = Ingested(str(path))
    file = InputFile(path)
    spooled = path.suffix == SEGMENT
    mark = segment(path.name, store) if spooled else find(file, cutter(format_), store)
    if mark is None:
        return told
    with file.at(mark.read_to) as (read, tail):
        if tail is not None:
            _stream(
                read,
                told,
                format_,
                scene,
                store,
                mark,
                tail,
                finished=file.packed or spooled,
                progress=progress,
            )
    if not told.read:
        store.touch(mark, scene.now)
    return told


def ingest_stream(
    read: Callable[[int], bytes],
    name: str,
    format_: str,
    scene: Scene,
    store: Measurements,
    progress: Callable[[int], None] | None = None,
) -> Ingested:
    """Count all that a stream gives, which cannot be read again. Raises: DatabaseUnusable."""
    told = Ingested(name)
    _stream(read, told, format_, scene, store, None, b"", finished=True, progress=progress)
    return told


def _stream(
    read: Callable[[int], bytes],
    told: Ingested,
    format_: str,
    scene: Scene,
    store: Measurements,
    mark: Mark | None,
    tail: bytes,
    *,
    finished: bool,
    progress: Callable[[int], None] | None,
) -> None:
    cut = cutter(format_)
    at = mark.read_to if mark is not None else 0
    rest, ended = b"", False
    while not ended:
        block = read(BLOCK)
        ended = not block
        rest += block
        tally = Tally()  # of this block alone, as it is written down in one with its samples
        records, used = cut(rest, ended and (finished or format_ in SELF_DELIMITING))
        if not used and len(rest) > UNFINISHED:
            tally.drop("line too long")
            used = len(rest)
        if not used:
            continue
        tail = (tail + rest[:used])[-REMEMBERED:]
        before, at = at, at + used
        rest = rest[used:]
        told.read += used
        if mark is not None:
            mark = mark._replace(read_to=at, tail_sum=digest(tail))
        store.take(samples(records, format_, scene, tally), before, mark, scene.now, tally.dropped)
        told.tally.add(tally)
        if progress is not None:
            progress(used)

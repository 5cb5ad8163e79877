"""Take in a file block by block, from where it was last left; an unfinished last line is left for the next time."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from geosteer_loader.rtt.inputs.formats import samples
from geosteer_loader.rtt.inputs.own import COLUMNS
from geosteer_loader.rtt.sample import Tally

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

    from geosteer_loader.latency.store import Measurements
    from geosteer_loader.rtt.inputs.line import Scene

BLOCK = 1 << 18
"""Bytes that are taken in one transaction."""
_HEADING = ",".join(COLUMNS).encode()


@dataclass(slots=True)
class Ingested:
    """What came of one input."""

    name: str
    began_at: int = 0
    read_to: int = 0
    tally: Tally = field(default_factory=Tally)


def identity_of(first_lines: bytes) -> bytes:
    """What names an input, whatever its file is called now: its first line, or its second where the first are headings."""
    lines = first_lines.split(b"\n")
    first = lines[0]
    if first.strip().replace(b" ", b"").lower() == _HEADING and len(lines) > 1:
        first = lines[1]
    return hashlib.blake2b(first, digest_size=16).digest()


def ingest(
    file: BinaryIO,
    name: str,
    format_: str,
    scene: Scene,
    store: Measurements,
    progress: Callable[[int], None] | None = None,
) -> Ingested:
    """Count what is new in a file.

    Args: file: one that can be read from any place, or a stream, which is counted whole each time.
    """
    told = Ingested(name)
    identity = None
    if file.seekable():
        head = file.read(BLOCK)
        if b"\n" not in head:
            return told
        identity = identity_of(head)
        told.began_at = told.read_to = store.read_to(identity)
        file.seek(told.read_to)
    rest = b""
    while block := file.read(BLOCK):
        whole, newline, rest_of_block = (rest + block).rpartition(b"\n")
        if not newline:
            rest = rest_of_block
            if len(rest) > 4 * BLOCK:  # a line without an end
                told.tally.drop("line too long")
                told.read_to += len(rest)
                rest = b""
            continue
        rest = rest_of_block
        told.read_to += len(whole) + 1
        lines = whole.decode("utf-8", "replace").split("\n")
        store.take(samples(lines, format_, scene, told.tally), identity, told.read_to, scene.now)
        if progress is not None:
            progress(told.read_to)
    return told

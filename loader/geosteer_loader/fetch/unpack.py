"""Archives and compressed files, as databases and dumps are shipped, become the one file that a source is."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

from geosteer_loader.sources.archive import Layer, damaged, open_member, open_packed
from geosteer_loader.sources.bundle import bundle_in

if TYPE_CHECKING:
    from pathlib import Path

CHUNK = 1 << 20
"""Bytes copied at a time."""


def unpack(packed: Path, target: Path, member: str | None, limit: int, *, inflate: bool) -> None:
    """Write what is in *packed* to *target*.

    Args:
        member: name of a file in a tar or zip archive, compressed or not, with `*` and `?`; its folder may be left out.
        limit: bytes that come out at most.
        inflate: whether a compressed file is to be decompressed. Readers that decompress by themselves do not need that, but
            the limit holds for what they will read.

    Raises: ValueError: damaged, too large, or without such a member. OSError.
    """
    with damaged(), packed.open("rb") as raw, target.open("w+b") as file:
        if inflate:
            _copy(open_packed(raw, member, limit), file)
            return
        _copy(Layer(raw, limit) if member is None else open_member(raw, member, limit), file)
        for needed in _members(file):
            file.seek(0)
            _copy(open_packed(file, needed, limit), None)


def _members(file: IO[bytes]) -> tuple[str | None, ...]:
    """What a reader will read of a file: the members of an archive that is read whole, or what there is."""
    file.seek(0)
    bundle = bundle_in(file)
    if bundle is None:
        return (None,)
    return (*bundle.blocks, bundle.locations) if bundle.locations else bundle.blocks


def _copy(layer: Layer, file: IO[bytes] | None) -> None:
    size = 0
    while chunk := layer.read(CHUNK):
        size += len(chunk)
        if file is not None:
            file.write(chunk)
    if not size:
        raise ValueError("is empty")

"""Archives and compressed files, as databases and dumps are shipped, become the one file that a source is."""

from __future__ import annotations

import bz2
import gzip
import lzma
import tarfile
import zlib
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import IO, TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import BufferedReader
    from pathlib import Path

CHUNK = 1 << 20
"""Bytes copied at a time."""

NAMED = 5
"""Members of an archive that a message names."""

_USTAR = (257, b"ustar")
"""Where a tar archive says that it is one (POSIX.1, ustar)."""


def unpack(packed: Path, target: Path, member: str | None, limit: int, *, inflate: bool) -> None:
    """Write what is in *packed* to *target*.

    Args:
        member: name of a file in a tar archive, compressed or not, with `*` and `?`; its folder may be left out.
        limit: bytes that come out at most.
        inflate: whether a compressed file is to be decompressed; what reads compressed files itself needs that not, but the
            limit holds for what it will read.

    Raises: ValueError: damaged, too large, or without such a member. OSError.
    """
    with _damaged():
        if member is not None:
            _extract(packed, target, member, limit, inflate=inflate)
            return
        with packed.open("rb") as raw, _inflated(raw) as stream:
            head = stream.read(512)
        if head[_USTAR[0] : _USTAR[0] + len(_USTAR[1])] == _USTAR[1]:
            raise ValueError('is a tar archive: say with `member` which file in it, for example "*.mmdb"')
        with packed.open("rb") as raw:
            _take(raw, target, limit, inflate=inflate)


def _extract(packed: Path, target: Path, member: str, limit: int, *, inflate: bool) -> None:
    seen: list[str] = []
    with tarfile.open(packed, "r:*") as archive:
        for entry in archive:
            if not entry.isfile():
                continue
            if fnmatchcase(entry.name, member) or fnmatchcase(entry.name.rpartition("/")[2], member):
                # Only the content is taken, never the name, owner or mode that the archive gives it.
                _take(cast("BufferedReader", archive.extractfile(entry)), target, limit, inflate=inflate)
                return
            seen.append(entry.name)
    others = ", ".join(seen[:NAMED]) + (", ..." if len(seen) > NAMED else "")
    raise ValueError(f"has no member {member}; it has {others or 'no files'}")


def _take(raw: BufferedReader, target: Path, limit: int, *, inflate: bool) -> None:
    """Write it as it is wanted, once what is in it is known to be whole and not too large."""
    with target.open("wb") as file:
        if inflate:
            _copy(_inflated(raw), file, limit)
            return
        _copy(raw, file, limit)
        raw.seek(0)
        if (stream := _inflated(raw)) is not raw:
            _copy(stream, None, limit)


def _copy(stream: IO[bytes], file: IO[bytes] | None, limit: int) -> None:
    size = 0
    while chunk := stream.read(CHUNK):
        size += len(chunk)
        if size > limit:
            raise ValueError(f"holds more than max_size, {limit} bytes")
        if file is not None:
            file.write(chunk)
    if not size:
        raise ValueError("is empty")


def _inflated(raw: BufferedReader) -> IO[bytes]:
    """What a compressed file holds; any other file itself."""
    magic = raw.peek(6)[:6]
    if magic.startswith(b"\x1f\x8b"):
        return cast("IO[bytes]", gzip.GzipFile(fileobj=raw))
    if magic.startswith(b"BZh"):
        return cast("IO[bytes]", bz2.BZ2File(raw))
    if magic == b"\xfd7zXZ\x00":
        return cast("IO[bytes]", lzma.LZMAFile(raw))
    return raw


@contextmanager
def _damaged() -> Iterator[None]:
    """Turns whatever decompression raises into a ValueError."""
    try:
        yield
    except EOFError as exc:
        raise ValueError("the compressed data ends in the middle") from exc
    except (zlib.error, lzma.LZMAError, tarfile.TarError, gzip.BadGzipFile) as exc:
        raise ValueError(f"damaged: {exc}") from exc
    except OSError as exc:
        if exc.errno is None:  # bz2's way to say that data is damaged
            raise ValueError(f"damaged: {exc}") from exc
        raise

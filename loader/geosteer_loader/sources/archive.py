"""Compressed files and archives: the one file that a source is, as a stream of bounded size.

gzip, bzip2 and xz are decompressed, also around and inside an archive; tar and zip archives give one member.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
import struct
import tarfile
import tempfile
import zipfile
import zlib
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import IO, TYPE_CHECKING, Protocol, cast

from geosteer_loader.sources.source import LIMIT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DEPTH = 4
"""Compressions and archives around each other; real files have two (`.tar.gz`)."""

NAMED = 5
"""Members of an archive that a message names."""

HEAD = 512
"""Bytes by which a format is recognised: a tar header (POSIX.1, ustar)."""

COPIED = 1 << 20
"""Bytes that are copied at a time."""

_TAR, _ZIP = "tar", "zip"
_PAPERS = re.compile(
    r"(?:license|licence|readme|copyright|copying|notice)(?![a-z])|.*\.(?:md|pdf|html?)$", re.IGNORECASE
)
"""Members of an archive that say something of the data and are none."""
_BZIP2_BLOCKS = (b"1AY&SY", b"\x17rE8P\x90")
"""What follows `BZh1` to `BZh9`: a block, or the end of an empty stream; MRT dumps of April 2005 begin with `BZh1`, too."""
_UNREADABLE = {
    b"\x28\xb5\x2f\xfd": "zstd",
    b"7z\xbc\xaf\x27\x1c": "7z",
    b"Rar!\x1a\x07": "rar",
    b"\x04\x22\x4d\x18": "lz4",
    b"\x1f\x9d": "compress",
    b"LZIP\x01": "lzip",
}
_DAMAGED = (
    zlib.error, lzma.LZMAError, tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, struct.error, RuntimeError,
    LookupError, OverflowError,
)  # fmt: skip
"""What decompression raises beside EOFError, ValueError and OSError."""


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class Layer:
    """A stream whose first bytes can be looked at, and which gives at most *limit* bytes (None: any number)."""

    def __init__(self, stream: _Readable, limit: int | None = None) -> None:
        self._stream = stream
        self._read1: Callable[[int], bytes] = getattr(stream, "read1", stream.read)
        self._limit = limit
        self._given = 0
        self._ahead = b""

    def head(self) -> bytes:
        """The first `HEAD` bytes, or all if there are fewer; nothing is taken from the stream."""
        while len(self._ahead) < HEAD and (chunk := self._read1(HEAD)):
            self._ahead += chunk
        return self._ahead[:HEAD]

    def read(self, size: int) -> bytes:
        """*size* bytes, or fewer at the end. Raises: ValueError: more than the limit."""
        chunk, self._ahead = self._ahead[:size], self._ahead[size:]
        while len(chunk) < size and (more := self._stream.read(size - len(chunk))):
            chunk += more
        return self._counted(chunk)

    def read1(self, size: int) -> bytes:
        """Up to *size* bytes, as soon as there are some: what precedes a cut is not lost. Raises: ValueError: as `read`."""
        chunk, self._ahead = self._ahead[:size], self._ahead[size:]
        return self._counted(chunk or self._read1(size))

    def _counted(self, chunk: bytes) -> bytes:
        self._given += len(chunk)
        if self._limit is not None and self._given > self._limit:
            raise ValueError(f"holds more than max_size, {self._limit} bytes")
        return chunk


def open_packed(raw: IO[bytes], member: str | None = None, limit: int = LIMIT) -> Layer:
    """What a file holds: decompressed, and the one *member* of an archive; any other file itself.

    Args:
        raw: at its beginning.
        member: name of the file in an archive, with `*` and `?`; its folder may be left out. A zip archive of one file
            needs none.
        limit: bytes that come out at most.

    Raises: ValueError: without such a member, or compressed in a way that cannot be read; within `damaged` also for damage.
    """
    layer, inside = Layer(raw), False
    for depth in range(DEPTH):
        archive = kind_of(layer.head())
        if archive not in {_TAR, _ZIP}:
            inflated = _inflated(layer, archive, limit)
            if inflated is None:
                if member is not None and not inside:
                    raise ValueError(f"is not an archive: it has no member {member}")
                return layer
            layer = inflated
        elif inside:
            raise ValueError(f"the member {member} is an archive itself ({archive})")
        else:
            entry = (
                _zip_member(_seekable(raw, layer, depth, limit), member)
                if archive == _ZIP
                else _tar_member(layer, member)
            )
            layer, inside = Layer(entry, limit), True
    raise ValueError(f"is compressed more than {DEPTH} times")


def open_member(raw: IO[bytes], member: str, limit: int = LIMIT) -> Layer:
    """The *member* of an archive, not decompressed itself. Raises: as `open_packed`."""
    layer = Layer(raw)
    for depth in range(DEPTH):
        archive = kind_of(layer.head())
        if archive == _ZIP:
            return Layer(_zip_member(_seekable(raw, layer, depth, limit), member), limit)
        if archive == _TAR:
            return Layer(_tar_member(layer, member), limit)
        inflated = _inflated(layer, archive, limit)
        if inflated is None:
            break
        layer = inflated
    raise ValueError(f"is not an archive: it has no member {member}")


def kind_of(head: bytes) -> str:
    """The compression or archive format of a file that begins so; "" for any other file."""
    if head.startswith(b"\x1f\x8b"):
        return "gzip"
    if head.startswith(b"BZh") and head[3:4] in b"123456789" and head[4:10] in _BZIP2_BLOCKS:
        return "bzip2"
    if head.startswith(b"\xfd7zXZ\x00"):
        return "xz"
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _ZIP
    if head[257:262] == b"ustar":
        return _TAR
    return next((name for magic, name in _UNREADABLE.items() if head.startswith(magic)), "")


@contextmanager
def damaged() -> Iterator[None]:
    """Turns whatever decompression raises into a ValueError; errors of the file system stay what they are."""
    try:
        yield
    except EOFError as exc:
        raise ValueError("the compressed data ends in the middle") from exc
    except _DAMAGED as exc:
        raise ValueError(f"damaged: {exc}") from exc
    except OSError as exc:
        if exc.errno is None:  # bz2's way to say that data is damaged
            raise ValueError(f"damaged: {exc}") from exc
        raise


def _inflated(layer: Layer, kind: str, limit: int) -> Layer | None:
    """What a compressed stream holds; None where it is not compressed."""
    stream = cast("IO[bytes]", layer)
    if kind == "gzip":
        return Layer(gzip.GzipFile(fileobj=stream), limit)
    if kind == "bzip2":
        return Layer(bz2.BZ2File(stream), limit)
    if kind == "xz":
        return Layer(lzma.LZMAFile(stream), limit)
    if kind:
        raise ValueError(
            f"is compressed ({kind}), which cannot be read: decompress it, or take gzip, bzip2, xz or zip"
        )
    return None


def _tar_member(layer: Layer, member: str | None) -> _Readable:
    if member is None:
        raise ValueError('is a tar archive: say with `member` which file in it, for example "*.mmdb"')
    names = []
    archive = tarfile.open(fileobj=cast("IO[bytes]", layer), mode="r|")  # noqa: SIM115  # the caller closes the file
    for entry in archive:
        if not entry.isfile():
            continue
        if _matches(entry.name, member):
            # Only the content is taken, never the name, owner or mode that the archive gives it.
            return cast("_Readable", archive.extractfile(entry))
        names.append(entry.name)
    raise ValueError(_absent(member, names))


def _seekable(raw: IO[bytes], layer: Layer, depth: int, limit: int) -> IO[bytes]:
    """A zip archive as a file: its directory is at the end. A copy without name where it comes out of something else."""
    if not depth and raw.seekable():
        return raw
    copy = tempfile.TemporaryFile()  # noqa: SIM115  # the member is read from it; it ends with it
    bounded = Layer(layer, limit)
    while chunk := bounded.read(COPIED):
        copy.write(chunk)
    return copy


def _zip_member(raw: IO[bytes], member: str | None) -> _Readable:
    archive = zipfile.ZipFile(raw)
    entries = [entry for entry in archive.infolist() if not entry.is_dir()]
    chosen = [entry for entry in entries if _matches(entry.filename, member or "*")]
    if member is None and len(chosen) > 1:
        chosen = [entry for entry in chosen if not _PAPERS.match(entry.filename.rpartition("/")[2])]
    if member is None and len(chosen) != 1:
        names = _listed([entry.filename for entry in chosen])
        raise ValueError(f"is a zip archive: say with `member` which file in it: {names}")
    if not chosen:
        raise ValueError(_absent(cast("str", member), [entry.filename for entry in entries]))
    if chosen[0].flag_bits & 1:
        raise ValueError(f"the member {chosen[0].filename} is encrypted")
    return archive.open(chosen[0])


def _matches(name: str, member: str) -> bool:
    """Whether an entry is the member meant; the AppleDouble files that macOS adds (`._x`) are meant by no wildcard."""
    base = name.rpartition("/")[2]
    wanted = member.rpartition("/")[2]
    if (base.startswith("._") or name.startswith("__MACOSX/")) and not wanted.startswith("._"):
        return False
    return fnmatchcase(name, member) or fnmatchcase(base, member)


def _absent(member: str, names: list[str]) -> str:
    return f"has no member {member}; it has {_listed(names)}"


def _listed(names: list[str]) -> str:
    return (", ".join(names[:NAMED]) or "no files") + (", ..." if len(names) > NAMED else "")

"""Files for what was made of sources the last time: a head, and large parts behind it, under one digest.

They are conveniences: what cannot be written is not kept, and what is not whole, belongs to somebody else or was written by
another version is not read.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from array import array
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from geosteer import files

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Part = bytes | memoryview | array[int]

log = logging.getLogger(__name__)

ODD = (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, ArithmeticError, RecursionError)
"""What it may come to when such a file is read that is not as it was written."""

_SEAL = 33
"""Bytes of a seal and its line end."""
_DIGITS = 8
"""Of the length of the head."""
_HALF = (1 << 64) - 1


class KeptFile(NamedTuple):
    """A file as it was read."""

    seal: str
    """Digest of all of it, in hexadecimal digits."""
    head: Mapping[str, Any]
    parts: list[memoryview]


def writable(folder: Path) -> bool:
    """Whether files can be kept in a folder, or it can be made."""
    there = os.access(folder, os.F_OK)
    return os.access(folder if there else folder.parent, os.W_OK | os.X_OK)


def write(path: Path, form: str, head: Mapping[str, Any], parts: Sequence[Part]) -> str:
    """Replace a file; its seal, "" if it could not be written or is too large.

    Args: form: what a reader must expect to understand it.
    """
    form = f"{form}.{sys.byteorder}.{array('I').itemsize}"
    sizes = [memoryview(part).nbytes for part in parts]
    text = json.dumps({**head, "form": form, "sizes": sizes}, separators=(",", ":")).encode()
    whole: list[Part] = [b"%0*d" % (_DIGITS, len(text)), text, *parts]
    if _SEAL + _DIGITS + len(text) + sum(sizes) > files.LARGEST:
        return ""
    digest = blake2b(digest_size=16)
    for part in whole:
        digest.update(part)
    seal = digest.hexdigest()
    try:
        path.parent.mkdir(exist_ok=True)
        for left in path.parent.glob(f"{path.name}{files.ASIDE}*"):  # by a process that was killed
            left.unlink(missing_ok=True)
        aside = Path(files.replace(str(path), f"{seal}\n".encode(), 0o600))
        try:
            with aside.open("ab") as file:
                for part in whole:
                    file.write(part)
            aside.replace(path)
        except OSError:
            aside.unlink(missing_ok=True)
            raise
    except OSError as exc:
        log.debug("%s cannot be kept: %s", path, exc)
        return ""
    return seal


def read(path: Path, form: str) -> KeptFile | None:
    """What was written, if it is whole. Args: form: as for `write`. Raises: one of `ODD`: it is not."""
    try:
        data = files.read(str(path))
    except FileNotFoundError:
        return None
    body = memoryview(files.unsealed(data))
    at = _DIGITS + int(bytes(body[:_DIGITS]))
    head = json.loads(bytes(body[_DIGITS:at]))
    if head["form"] != f"{form}.{sys.byteorder}.{array('I').itemsize}":
        return None
    parts = []
    for size in head["sizes"]:
        parts.append(body[at : at + size])
        at += size
    if at != len(body):
        raise ValueError("has another length than it says")
    return KeptFile(data[: _SEAL - 1].decode(), head, parts)


def remove(path: Path) -> None:
    """Delete what was written, if there is anything."""
    try:
        path.unlink(missing_ok=True)
    except OSError as exc:
        log.debug("%s cannot be deleted: %s", path, exc)


def numbers(kind: str, raw: memoryview) -> array[int]:
    """A part as the numbers that it was made of."""
    made = array(kind)
    made.frombytes(raw)
    return made


def packed(bits: int, starts: Sequence[int]) -> tuple[array[int], array[int]]:
    """First addresses as two parts: those of IPv6 in halves."""
    if bits == 32:
        return array("I", starts), array("I")
    return array("Q", [start >> 64 for start in starts]), array("Q", [start & _HALF for start in starts])


def unpacked(bits: int, first: memoryview, second: memoryview) -> Sequence[int]:
    """The first addresses again."""
    if bits == 32:
        return numbers("I", first)
    halves = zip(numbers("Q", first), numbers("Q", second), strict=True)
    return [high << 64 | low for high, low in halves]

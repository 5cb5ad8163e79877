"""Checksum files, as mirrors put them beside their data."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

_ALGORITHMS = {32: "md5", 40: "sha1", 64: "sha256", 96: "sha384", 128: "sha512"}
"""Hex digits -> what makes so many."""

_COREUTILS = re.compile(r"\\?([0-9A-Fa-f]{32,128})(?:\s+\*?(\S.*))?")
"""`HEX  name`, or the bare digits (sha256sum)."""
_BSD = re.compile(r"[A-Za-z0-9-]+ \((.+)\) = ([0-9A-Fa-f]{32,128})")
"""`SHA256 (name) = HEX` (RIPE, BSD)."""


class Checksum(NamedTuple):
    """What a file's digest should be."""

    algorithm: str
    digits: str
    """Lower-case hex."""

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.digits}"


def parse(text: str, name: str) -> Checksum:
    """The checksum of the file *name* in the text of a checksum file; of the only file, whatever it is called there.

    Raises: ValueError: there is none.
    """
    digests: dict[str, str] = {}
    for line in text.splitlines():
        if matched := _BSD.fullmatch(line.strip()):
            digests[matched[1].rpartition("/")[2]] = matched[2]
        elif matched := _COREUTILS.fullmatch(line.strip()):
            digests[(matched[2] or "").rpartition("/")[2]] = matched[1]
    digits = digests.get(name) or (next(iter(digests.values())) if len(digests) == 1 else None)
    if digits is None or len(digits) not in _ALGORITHMS:
        raise ValueError(f"has no checksum of {name}" if digests else "is not a checksum file")
    return Checksum(_ALGORITHMS[len(digits)], digits.lower())


def of(path: Path, algorithm: str) -> Checksum:
    """The checksum that a file has. Raises: OSError."""
    with path.open("rb") as file:
        return Checksum(algorithm, hashlib.file_digest(file, algorithm).hexdigest())

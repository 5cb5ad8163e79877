"""Whether a file is an MMDB database: its metadata begins with a marker near its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from geosteer_loader.sources.source_files import SourceFile

MARKER = b"\xab\xcd\xefMaxMind.com"
"""What the metadata begins with; it lies within the last `METADATA_SIZE` bytes (MaxMind DB specification)."""

METADATA_SIZE = 128 << 10


def has_marker(file: SourceFile) -> bool:
    """Whether the last bytes of a file, decompressed, have the marker. Raises: SourceError: it cannot be read."""
    tail = b""
    for chunk in file.chunks():
        tail = (tail + chunk)[-METADATA_SIZE:]
    return MARKER in tail

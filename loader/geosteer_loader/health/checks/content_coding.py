"""Bodies that a server compressed although it was asked not to: gzip and deflate, as far as is wanted. No I/O.

Source: RFC 9110, 8.4.1; RFC 1952 (gzip), RFC 1950 (zlib, which HTTP calls deflate), RFC 1951 (what some send as deflate).
"""

from __future__ import annotations

import zlib
from typing import Protocol

MAX_CODINGS = 2
"""One on top of the other."""

_GZIP, _ZLIB, _RAW = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS


class Damaged(Exception):
    """The data is not what the coding says."""


class Undecodable(Exception):
    """A coding that this program does not know."""


class Decoder(Protocol):
    """Takes a body apart, piece by piece."""

    def decode(self, data: bytes, limit: int) -> bytes:
        """At most *limit* bytes of what *data* holds; the rest is dropped. Raises: Damaged."""


class Identity:
    """Nothing is encoded."""

    def decode(self, data: bytes, limit: int) -> bytes:
        """The data itself."""
        return data[:limit]


class Inflate:
    """gzip (also of several members) or deflate."""

    def __init__(self, coding: str) -> None:
        self._coding = coding
        self._gzip = coding == "gzip"
        self._inflater = zlib.decompressobj(_GZIP) if self._gzip else None
        self._start = b""
        """What came before it was known whether the zlib header is there."""

    def decode(self, data: bytes, limit: int) -> bytes:
        """As `Decoder.decode`; what follows the end of the compressed data is dropped."""
        if self._inflater is None:
            self._start = data = self._start + data
            if len(data) < 2:
                return b""
            self._inflater = zlib.decompressobj(_ZLIB if _has_zlib_header(data) else _RAW)
        decoded = b""
        while data and len(decoded) < limit:
            # RFC 1952, 2.2: members follow each other; anything else behind the first is padding.
            if self._inflater.eof:
                if not self._gzip or not data.startswith(b"\x1f"):
                    break
                self._inflater = zlib.decompressobj(_GZIP)
            try:
                decoded += self._inflater.decompress(data, limit - len(decoded))
            except zlib.error as exc:
                raise Damaged(f"the {self._coding} data is damaged") from exc
            data = self._inflater.unused_data
        return decoded


def _has_zlib_header(data: bytes) -> bool:
    """Source: RFC 1950, 2.2: method 8, and a checksum of the two bytes."""
    return data[0] & 0x0F == 8 and int.from_bytes(data[:2], "big") % 31 == 0


class Stacked:
    """Several codings, one on top of the other."""

    def __init__(self, decoders: list[Decoder]) -> None:
        self._decoders = decoders

    def decode(self, data: bytes, limit: int) -> bytes:
        """As `Decoder.decode`."""
        for decoder in self._decoders:
            data = decoder.decode(data, limit)
        return data


def decoder(codings: str) -> Decoder:
    """A decoder for the value of Content-Encoding. Raises: Undecodable: names the coding."""
    names = [name for word in codings.lower().split(",") if (name := word.strip()) and name != "identity"]
    names = [name.removeprefix("x-") for name in names]
    for name in names:
        if name not in {"gzip", "deflate"}:
            raise Undecodable(name[:20])
    if len(names) > MAX_CODINGS:
        raise Undecodable(", ".join(names)[:60])
    decoders: list[Decoder] = [Inflate(name) for name in reversed(names)]
    return decoders[0] if len(decoders) == 1 else Stacked(decoders) if decoders else Identity()

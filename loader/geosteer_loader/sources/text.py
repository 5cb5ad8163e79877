"""What text files of any kind have in common: how their bytes become UTF-8."""

from __future__ import annotations

import codecs
from itertools import chain
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

BYTE_ORDER_MARK = "\ufeff"
"""What some editors put in front of a text file."""

_MARKS = {codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
"""The longer ones first: UTF-32 begins as UTF-16 does."""
_NEEDED = 4
"""Bytes that tell an encoding."""


def encoding_of(head: bytes) -> str:
    """The encoding of a text that begins so, by its byte order mark or by the zeros beside its first ASCII characters."""
    for mark, encoding in _MARKS.items():
        if head.startswith(mark):
            return encoding
    if head.startswith(codecs.BOM_UTF32_BE):
        return "utf-32"
    zeros = [byte == 0 for byte in head[:_NEEDED]]
    if zeros == [False, True, False, True]:
        return "utf-16-le"
    return "utf-16-be" if zeros == [True, False, True, False] else "utf-8"


def as_utf8(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """A text's bytes as UTF-8, which they are left as if they are. Raises: ValueError: UTF-32."""
    head = b""
    while len(head) < _NEEDED and (piece := next(pieces, b"")):
        head += piece
    encoding = encoding_of(head)
    if encoding == "utf-8":
        yield head
        yield from pieces
        return
    if encoding == "utf-32":
        raise ValueError("is UTF-32 text: save it as UTF-8")
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    for piece in chain((head,), pieces):
        yield decoder.decode(piece).encode()
    yield decoder.decode(b"", final=True).encode()

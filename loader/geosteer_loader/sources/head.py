"""The beginning of a file, by which its format is recognised."""

from __future__ import annotations

from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from geosteer_loader.sources.columns import layout_of
from geosteer_loader.sources.text import BYTE_ORDER_MARK, as_utf8

if TYPE_CHECKING:
    from collections.abc import Iterator

    from geosteer_loader.sources.columns import Layout
    from geosteer_loader.sources.source_files import SourceFile

SIZE = 1 << 16
"""Bytes that are looked at, decompressed."""

LINES = 200
"""Lines with data that are looked at."""

_COMMENTS = ("#", ";", "%", "//")
_SHOWN = 60


@dataclass(frozen=True, slots=False, kw_only=True)
class Head:
    """The first bytes of a file, and as text its first lines."""

    raw: bytes
    """Decompressed, at most about `SIZE`."""
    text: bool
    """Whether it is text, in UTF-8 or UTF-16."""
    data: tuple[str, ...] = ()
    """The first whole lines that are neither empty nor comments, without blanks around them."""
    line: int = 1
    """Number of the first of these."""
    comments: tuple[str, ...] = field(default=())
    """The comments among and before them."""

    @classmethod
    def read(cls, file: SourceFile) -> Head:
        """Look at a file. Raises: SourceError: it cannot be read."""
        raw = b""
        whole = True
        with closing(file.chunks()) as chunks:  # type: ignore[type-var]  # a generator
            for chunk in chunks:
                raw += chunk[: SIZE + 1 - len(raw)]
                if len(raw) > SIZE:
                    whole = False
                    break
        return cls.of(raw[:SIZE], whole=whole)

    @classmethod
    def of(cls, raw: bytes, *, whole: bool = True) -> Head:
        """Of the first bytes of a file; *whole*: there are no others."""
        text = ""
        with suppress(ValueError):
            text = b"".join(as_utf8(iter((raw,)))).decode(errors="replace").removeprefix(BYTE_ORDER_MARK)
        if not text or "\0" in text:
            return cls(raw=raw, text=bool(not raw))
        data: list[str] = []
        comments: list[str] = []
        first = 1
        for number, line in enumerate(_lines(text, whole=whole), 1):
            if not line:
                continue
            if line.startswith(_COMMENTS):
                comments.append(line)
                continue
            if not data:
                first = number
            data.append(line)
            if len(data) == LINES:
                break
        return cls(raw=raw, text=True, data=tuple(data), line=first, comments=tuple(comments))

    @cached_property
    def layout(self) -> Layout:
        """How its lines are made up, if they have fields. Raises: ValueError: says why not."""
        return layout_of(self.data)

    @property
    def shown(self) -> str:
        """Its first line with data, for messages."""
        return self.data[0][:_SHOWN] if self.data else ""


def _lines(text: str, *, whole: bool) -> Iterator[str]:
    lines = text.split("\n")
    if not whole and len(lines) > 1:
        lines.pop()
    return (line.strip() for line in lines)

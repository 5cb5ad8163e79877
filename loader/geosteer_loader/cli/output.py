"""Standard output that may be closed or full: the work goes on, and what became of its results is said in one line."""

from __future__ import annotations

import errno
import os
import re
import sys
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable


_OBEYED = re.compile(
    r"\x1b\[[0-9;]*m|[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)
"""A colour, or a character that a terminal acts upon (ECMA-48) or that turns the order of others around (UAX 9)."""


def harmless(text: str) -> str:
    """Lines that a terminal shows and does not obey, whoever wrote what they quote: of its commands only colours stay."""
    if text.isprintable():
        return text
    return _OBEYED.sub(lambda found: found[0] if found[0][1:] else ascii(found[0])[1:-1], text)


def harmless_json(text: str) -> str:
    """The same for JSON, which stays the same value (RFC 8259, 7)."""
    if text.isprintable():
        return text
    return _OBEYED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)  # JSON has no raw escape character


def open_missing_streams() -> bool:
    """Stand in for standard streams that the caller closed (`>&-`); returns whether standard output was closed.

    Without this a socket to Redis would get the number of a closed stream.
    """
    closed = sys.stdout is None
    for name, mode in (
        ("stdin", "r"),
        ("stdout", "w"),
        ("stderr", "w"),
    ):  # as numbered: the lowest free one is given
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115, PTH123  # until the end
    return closed


class Output:
    """A text stream that loses what cannot be written, and remembers why.

    A reader who has seen enough (BrokenPipeError) still ends the command.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.failure = ""
        """Why results were lost, "" if none were."""

    def write(self, text: str) -> int:
        """As the stream's own; what is lost counts as written."""
        self._attempt(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        """As the stream's own."""
        self._attempt(self._stream.flush)

    def _attempt(self, act: Callable[[], object]) -> None:
        if self.failure:
            return
        try:
            act()
        except BrokenPipeError:
            raise
        except OSError as exc:
            self.failure = exc.strerror or errno.errorcode.get(exc.errno or 0, "cannot be written")
            # What is still buffered would be tried again, and complained of, when Python ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

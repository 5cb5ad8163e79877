"""Where one record of an input ends and the next begins: lines, or the objects of an array that may be a single line."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import TYPE_CHECKING

from geosteer_loader.rtt.inputs.line import LONGEST

if TYPE_CHECKING:
    from collections.abc import Callable

    Cutter = Callable[[bytes, bool], tuple[list[str], int]]
    """Some bytes, and whether they are the last ones -> the whole records in them, and how many bytes those take."""

_BETWEEN = re.compile(r"[\s,\[\]]*")
_NEXT_LINE = re.compile(r"\n[\s,\[\]]*(?=\{)")
_DECODER = json.JSONDecoder()


def lines(data: bytes, last: bool) -> tuple[list[str], int]:
    """A record a line; an unfinished one is left, unless nothing can follow it."""
    used = len(data) if last else data.rfind(b"\n") + 1
    text = data[:used].decode("utf-8", "replace").removesuffix("\n")
    return text.split("\n") if used else [], used


def json_lines(data: bytes, last: bool) -> tuple[list[str], int]:
    """A record a line; a last one that is not ended by a newline counts if it is a whole value."""
    records, used = lines(data, last=False)
    rest = data[used:]
    if last and rest.strip() and len(rest) <= LONGEST:
        with suppress(ValueError, RecursionError):
            json.loads(rest)
            return [*records, rest.decode("utf-8", "replace")], len(data)
    return records, used


def objects(data: bytes, last: bool) -> tuple[list[str], int]:
    """Objects of an array, or one after the other; what is broken is a record too, up to the next line with an object."""
    text = data.decode("latin-1")  # a character a byte
    found: list[str] = []
    at = 0
    while True:
        between = _BETWEEN.match(text, at)
        assert between is not None
        at = between.end()
        if at >= len(text):
            return found, at
        end = _end(text, at, last)
        if end is None:
            return found, at
        found.append(data[at:end].decode("utf-8", "replace"))
        at = end


def _end(text: str, at: int, last: bool) -> int | None:
    """Where the record ends that begins there; None: more may follow."""
    try:
        return _DECODER.raw_decode(text, at)[1]
    except (ValueError, RecursionError) as exc:
        unfinished = isinstance(exc, json.JSONDecodeError) and (
            exc.pos >= len(text.rstrip()) or exc.msg.startswith("Unterminated string")
        )
        if unfinished and not last and len(text) - at <= LONGEST:
            return None
    following = _NEXT_LINE.search(text, at)
    if following is not None:
        return following.start()
    return len(text) if last or len(text) - at > LONGEST else None

"""Leaving large tables out of a TOML text before it is parsed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

_HEADER = re.compile(r"\[{1,2}[ \t]*(?:([A-Za-z0-9_-]+)[ \t]*[.\]]|[\"'])")
_SEVERAL_LINES = ('"""', "'''")


def without(text: str, names: Container[str]) -> str:
    """A valid TOML text without its `[tables]` and `[[tables]]` of these *names*; nothing is parsed.

    A string of several lines can hold what looks like a header: a text with one comes back whole. So do tables that are
    not written under a header of their own. What comes back for a text that is not valid need not be valid either, and may
    be: a caller that cannot parse it parses the whole, for a message with the right line.
    """
    if any(quotes in text for quotes in _SEVERAL_LINES):
        return text
    kept, start, keeps = [], 0, True
    for at, name in _headers(text):
        if (name not in names) is keeps:
            continue
        if keeps:
            kept.append(text[start:at])
        start, keeps = at, not keeps
    if keeps:
        kept.append(text[start:])
    return "".join(kept)


def _headers(text: str) -> Iterator[tuple[int, str]]:
    """Where each line begins that may be a header, and its first key; a quoted key is empty.

    A line of an array can look like a header, though not like one of ours: a bare word is no value. A text that is cut
    there has a bracket too many, and cannot be parsed.
    """
    at = text.find("[")  # far fewer than lines, where a list of networks is long
    while at >= 0:
        begin = text.rfind("\n", 0, at) + 1
        if not text[begin:at].strip(" \t") and (match := _HEADER.match(text, at)):
            yield begin, match[1] or ""
        end = text.find("\n", at)  # a second bracket on a line begins no header
        at = text.find("[", end) if end >= 0 else -1

"""On which line of a TOML file each key and element stands; the standard library's parser does not say.

Only for text that this parser has taken: everything that may not stand there was refused before.
Source: TOML 1.0.0.
"""

from __future__ import annotations

import json
import re
import tomllib
from bisect import bisect_right
from contextlib import suppress

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_BLANK = re.compile(r"[ \t]*")
_EMPTY = re.compile(r"(?:[ \t\n]|#[^\n]*)*")
_KEY = re.compile(r"[A-Za-z0-9_-]+|\"(?:[^\"\\\n]|\\.)*\"|'[^'\n]*'")
_SCALAR = re.compile(
    r'"""(?:[^"\\]|\\.|"{1,2}(?!"))*"{3,5}'
    r"|'''(?:[^']|'{1,2}(?!'))*'{3,5}"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'"
    r"|\d{4}-\d\d-\d\d \d\d:[^\s,\]}#]+"
    r"|[^\s,\]}#]+",
    re.DOTALL,
)


def place_of(parent: str, key: str) -> str:
    """The place of a key in the table at *parent*, as it is written in the file: `services."www.example.net"`."""
    quoted = key if _BARE_KEY.fullmatch(key) else json.dumps(key, ensure_ascii=False)
    return f"{parent}.{quoted}" if parent else quoted


def element_of(place: str, position: int) -> str:
    """The place of an element of the list at *place*; counted from 1."""
    return f"{place}[{position}]"


def find_lines(text: str) -> dict[str, int]:
    """Place -> line, counted from 1, of every key, table and element; the first where it stands in several."""
    scanner = _Scanner(text.replace("\r\n", "\n"))
    with suppress(IndexError, ValueError, RecursionError):  # a missing line number must not fail the check
        scanner.scan()
    return scanner.lines


class _Scanner:
    """Goes once through the text."""

    def __init__(self, text: str) -> None:
        self.lines: dict[str, int] = {}
        self._text = text
        self._at = 0
        self._ends = [match.start() for match in re.finditer("\n", text)]
        self._tables: dict[str, int] = {}  # arrays of tables -> how many there are until here

    def scan(self) -> None:
        """Note the places of the whole text."""
        table = ""
        while self._next():
            line = self._line()
            if self._take("[["):
                *above, last = self._keys()
                array = place_of(self._header(above, line), last)
                self._tables[array] = self._tables.get(array, 0) + 1
                table = element_of(array, self._tables[array])
                self.lines.setdefault(array, line)
                self.lines.setdefault(table, line)
                self._take("]]")
            elif self._take("["):
                table = self._header(self._keys(), line)
                self._take("]")
            else:
                self._pair(table)

    def _header(self, keys: list[str], line: int) -> str:
        place = ""
        for key in keys:
            place = place_of(place, key)
            self.lines.setdefault(place, line)
            if place in self._tables:
                place = element_of(place, self._tables[place])
        return place

    def _pair(self, table: str) -> None:
        line = self._line()
        for key in self._keys():
            table = place_of(table, key)
            self.lines.setdefault(table, line)
        self._match(_BLANK)
        self._expect("=")
        self._match(_BLANK)
        self._value(table)

    def _value(self, place: str) -> None:
        if self._take("{"):
            while self._next() and not self._take("}"):
                self._pair(place)
                self._next()
                self._take(",")
        elif self._take("["):
            position = 0
            while self._next() and not self._take("]"):
                position += 1
                element = element_of(place, position)
                self.lines.setdefault(element, self._line())
                self._value(element)
                self._next()
                self._take(",")
        else:
            self._match(_SCALAR)

    def _keys(self) -> list[str]:
        keys = []
        while True:
            self._match(_BLANK)
            word = self._match(_KEY)
            keys.append(word if _BARE_KEY.fullmatch(word) else str(tomllib.loads(f"key = {word}")["key"]))
            self._match(_BLANK)
            if not self._take("."):
                return keys

    def _next(self) -> bool:
        """Go to what is neither blank nor comment; whether there is anything."""
        self._match(_EMPTY)
        return self._at < len(self._text)

    def _match(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._at)
        if match is None:
            raise ValueError(self._text[self._at : self._at + 20])
        self._at = match.end()
        return match[0]

    def _take(self, token: str) -> bool:
        if self._text.startswith(token, self._at):
            self._at += len(token)
            return True
        return False

    def _expect(self, token: str) -> None:
        if not self._take(token):
            raise ValueError(self._text[self._at : self._at + 20])

    def _line(self) -> int:
        return bisect_right(self._ends, self._at - 1) + 1 if self._at else 1

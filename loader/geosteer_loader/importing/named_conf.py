"""BIND's named.conf: statements of words, texts and blocks (BIND 9 Administrator Reference Manual)."""

from __future__ import annotations

import glob
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from geosteer.errors import ConfigError
from geosteer_loader.importing import bounded_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MOST_BYTES = 64 << 20
"""Of one file."""
MOST_FILES = 1000
DEEPEST = 60
"""Blocks within each other, and files that include each other."""
_IGNORED = r"(?:\s+|//[^\n]*|#[^\n]*|/\*.*?\*/)+"
_WORD = r'[^\s{};"#/]+(?:/[^\s{};"#/*]*)*'
_TOKEN = re.compile(rf'{_IGNORED}|"((?:[^"\\]|\\.)*)"|([{{}};])|({_WORD})', re.DOTALL)

Part: TypeAlias = "str | list[Statement]"
"""A word, or a block of statements."""


@dataclass(frozen=True, slots=True)
class Statement:
    """What ends with a semicolon."""

    parts: tuple[Part, ...]
    place: str
    """`file: line N`."""

    @property
    def word(self) -> str:
        """The first word."""
        return self.parts[0] if self.parts and isinstance(self.parts[0], str) else ""

    @property
    def words(self) -> list[str]:
        """All words, without blocks."""
        return [part for part in self.parts if isinstance(part, str)]

    @property
    def block(self) -> list[Statement]:
        """The statements of the block, or none."""
        return next((part for part in self.parts if isinstance(part, list)), [])

    def named(self, word: str) -> list[Statement]:
        """The statements of the block that begin with a word."""
        return [statement for statement in self.block if statement.word.lower() == word]


def load(path: Path) -> Statement:
    """All statements of a file, with those of files that it includes, as one block.

    Raises: ConfigError: it cannot be read, or is no named.conf; with file and line.
    """
    budget = [MOST_FILES]
    return Statement((list(_file(path, budget, 0)),), str(path))


def _file(path: Path, budget: list[int], depth: int) -> Iterator[Statement]:
    budget[0] -= 1
    if budget[0] < 0 or depth > DEEPEST:
        raise ConfigError([f"{path}: more than {MOST_FILES} files, or files that include each other"])
    data = bounded_file.read(path, MOST_BYTES)
    for statement in _Reader(path, data.decode("utf-8", "backslashreplace")).statements():
        if statement.word.lower() == "include" and len(statement.words) == 2:
            pattern = statement.words[1]
            names = sorted(glob.glob(pattern, root_dir=path.parent))  # noqa: PTH207 # a pattern may be absolute
            if not names:
                raise ConfigError([f"{statement.place}: {pattern}: no such file"])
            for name in names:
                yield from _file(path.parent / name, budget, depth + 1)
        else:
            yield statement


class _Reader:
    def __init__(self, path: Path, text: str) -> None:
        self._path, self._text, self._at, self._depth = path, text, 0, 0

    def statements(self) -> list[Statement]:
        """All of a file."""
        made = self._statements()
        if self._at < len(self._text):
            raise self._error("a } without a {")
        return made

    def _statements(self) -> list[Statement]:
        made: list[Statement] = []
        parts: list[Part] = []
        self._depth += 1
        if self._depth > DEEPEST:
            raise self._error(f"more than {DEEPEST} blocks within each other")
        while True:
            sign, word = self._next()
            if sign == "{":
                parts.append(self._statements())
                if self._next()[0] != "}":
                    raise self._error("a } is missing")
            elif sign == ";":
                if parts:
                    made.append(Statement(tuple(parts), self._place()))
                parts = []
            elif sign in {"}", ""}:
                if parts:
                    raise self._error("a ; is missing")
                self._at -= len(sign)
                self._depth -= 1
                return made
            else:
                parts.append(word)

    def _next(self) -> tuple[str, str]:
        """A sign (`{`, `}`, `;`, "" at the end) or `word` with the word itself."""
        while self._at < len(self._text):
            match = _TOKEN.match(self._text, self._at)
            if match is None:
                raise self._error(f"{self._text[self._at]!r} is not expected")
            self._at = match.end()
            quoted, sign, word = match.groups()
            if sign:
                return sign, ""
            if quoted is not None:
                return "word", quoted.replace('\\"', '"')
            if word is not None:
                return "word", word
        return "", ""

    def _place(self) -> str:
        return f"{self._path}: line {self._text.count(chr(10), 0, self._at) + 1}"

    def _error(self, what: str) -> ConfigError:
        return ConfigError([f"{self._place()}: {what}"])

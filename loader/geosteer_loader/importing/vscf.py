"""vscf, the syntax of gdnsd's configuration files (gdnsd.config(5), LOW-LEVEL SYNTAX and INCLUDING OTHER FILES)."""

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

Value: TypeAlias = "str | list[Value] | dict[str, Value]"

MOST_BYTES = 256 << 20
"""Of one file; a file of networks may be large."""
MOST_FILES = 10_000
"""Of all files that a configuration includes."""
DEEPEST = 100
"""Levels of hashes, arrays and included files."""

_SPACE = re.compile(rb"(?:[ \t\r\n]+|[#;][^\n]*)*")
_QUOTED = re.compile(rb'"((?:[^"\\]|\\[0-9]{3}|\\[^0-9])*)"', re.DOTALL)
_ESCAPED = rb"\\[0-9]{3}|\\[^0-9]"
_BARE = rb'[^\[\]{};#,"=\\ \t\r\n]'
_PLAIN = re.compile(rb"(?!\$)(?:%b|%b)+" % (_BARE, _ESCAPED), re.DOTALL)
_ARROW = re.compile(rb"=>?")
_INCLUDE = re.compile(rb"\$include\{")
_ESCAPE = re.compile(rb"\\([0-9]{3}|[^0-9])", re.DOTALL)


def load(path: Path) -> dict[str, Value]:
    """The hash in a file, with all that it includes.

    Raises: ConfigError: it cannot be read, or is not vscf; with file and line.
    """
    value = _Reader(path, _Budget()).whole()
    if not isinstance(value, dict):
        raise ConfigError([f"{path}: line 1: an array, where settings are expected"])
    return value


@dataclass(slots=True)
class _Budget:
    files: int = MOST_FILES


class _Reader:
    """Reads one file."""

    def __init__(self, path: Path, budget: _Budget, depth: int = 0) -> None:
        self._path, self._budget, self._depth = path, budget, depth
        budget.files -= 1
        if budget.files < 0:
            raise ConfigError([f"{path}: more than {MOST_FILES} files are included"])
        self._data = bounded_file.read(path, MOST_BYTES)
        self._at = 0

    def whole(self) -> Value:
        """What the file holds: settings without braces around them, or an array."""
        self._skip()
        if self._data[self._at : self._at + 1] == b"[":
            value: Value = self._value()
            self._skip()
            if self._at < len(self._data):
                raise self._error("more follows after the array")
            return value
        return self._hash(end=b"")

    def _hash(self, end: bytes) -> dict[str, Value]:
        made: dict[str, Value] = {}
        self._deeper()
        while True:
            self._skip()
            if self._next() == end:
                self._at += len(end)
                self._depth -= 1
                return made
            if self._at >= len(self._data):
                raise self._error("a } is missing")
            if _INCLUDE.match(self._data, self._at):
                for key, value in self._merged():
                    self._set(made, key, value)
            else:
                key = self._string("a key")
                self._skip()
                arrow = _ARROW.match(self._data, self._at)
                if arrow is None:
                    raise self._error(f"=> is missing after {key!r}")
                self._at = arrow.end()
                self._set(made, key, self._value())
            self._comma()

    def _set(self, made: dict[str, Value], key: str, value: Value) -> None:
        if key in made:
            raise self._error(f"{key!r} is given twice")
        made[key] = value

    def _value(self) -> Value:
        self._skip()
        sign = self._next()
        if sign == b"{":
            self._at += 1
            return self._hash(b"}")
        if sign == b"[":
            self._at += 1
            return self._array()
        if _INCLUDE.match(self._data, self._at):
            paths, pattern = self._included()
            if len(paths) != 1:
                raise self._error(f"{pattern}: {len(paths)} files, where one value is expected")
            return self._child(paths[0]).whole()
        return self._string("a value")

    def _array(self) -> list[Value]:
        made: list[Value] = []
        self._deeper()
        while True:
            self._skip()
            if self._next() == b"]":
                self._at += 1
                self._depth -= 1
                return made
            if self._at >= len(self._data):
                raise self._error("a ] is missing")
            made.append(self._value())
            self._comma()

    def _merged(self) -> Iterator[tuple[str, Value]]:
        """The settings of the files that stand in for keys."""
        paths, _ = self._included()
        for path in paths:
            value = self._child(path).whole()
            if not isinstance(value, dict):
                raise self._error(f"{path}: an array, where settings are expected")
            yield from value.items()

    def _included(self) -> tuple[list[Path], str]:
        """The files that an include at this place names, and how it names them."""
        self._at += len(b"$include{")
        self._skip()
        pattern = self._string("a file")
        self._skip()
        if self._next() != b"}":
            raise self._error("$include{ has no }")
        self._at += 1
        path = self._path.parent / pattern
        if path.is_dir():
            return sorted(entry for entry in path.iterdir() if not entry.name.startswith(".")), pattern
        if path.exists():
            return [path], pattern
        names = glob.glob(pattern, root_dir=self._path.parent)  # noqa: PTH207 # a pattern may be absolute
        paths = [self._path.parent / name for name in sorted(names)]
        if not paths:
            raise self._error(f"{pattern}: no such file")
        return paths, pattern

    def _child(self, path: Path) -> _Reader:
        return _Reader(path, self._budget, self._depth + 1)

    def _string(self, what: str) -> str:
        quoted = _QUOTED.match(self._data, self._at)
        plain = None if quoted else _PLAIN.match(self._data, self._at)
        match = quoted or plain
        if match is None:
            sign = self._next().decode("latin-1")
            raise self._error(
                f"{what} is expected, not {sign!r}" if sign else f"{what} is expected, and the file ends"
            )
        self._at = match.end()
        raw = match[1] if quoted else match[0]
        if b"\\" in raw:
            raw = _ESCAPE.sub(self._unescaped, raw)
        return raw.decode("utf-8", "backslashreplace")

    def _unescaped(self, match: re.Match[bytes]) -> bytes:
        if len(match[1]) == 1:
            return match[1]
        if int(match[1]) > 255:
            raise self._error(f"\\{match[1].decode()} is not a byte")
        return bytes([int(match[1])])

    def _skip(self) -> None:
        match = _SPACE.match(self._data, self._at)
        assert match is not None
        self._at = match.end()

    def _comma(self) -> None:
        self._skip()
        if self._next() == b",":
            self._at += 1

    def _next(self) -> bytes:
        return self._data[self._at : self._at + 1]

    def _deeper(self) -> None:
        self._depth += 1
        if self._depth > DEEPEST:
            raise self._error(f"more than {DEEPEST} levels")

    def _error(self, what: str) -> ConfigError:
        line = self._data.count(b"\n", 0, self._at) + 1
        return ConfigError([f"{self._path}: line {line}: {what}"])

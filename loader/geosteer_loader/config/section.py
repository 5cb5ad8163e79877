"""Tables of a configuration file: typed settings with their place, and every problem met on the way."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, TypeVar

from geosteer_loader.config.hints import suggestion
from geosteer_loader.config.toml_lines import element_of, find_lines, place_of
from geosteer_loader.config.values import kind, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

T = TypeVar("T")
D = TypeVar("D")

_LAST_PART = re.compile(r"(?:\.?(?:[A-Za-z0-9_-]+|\"(?:[^\"\\]|\\.)*\")|\[\d+\])$")
"""The last key or position of a place."""
_DIGITS = re.compile(r"(\d+)")


class Problems:
    """The problems and warnings of a file."""

    def __init__(self, file: str, text: str = "") -> None:
        """Args: text: the file's content, to find line numbers."""
        self.file = file
        """The file's name for users."""
        self._text = text
        self._errors: dict[tuple[str, str, str], None] = {}
        self._warnings: dict[tuple[str, str, str], None] = {}

    def add(self, place: str, reason: str, *, file: str | None = None) -> None:
        """Note a problem; *file* where it is not in the file itself."""
        self._errors[file or self.file, printable(place), printable(reason)] = None

    def warn(self, place: str, reason: str, *, file: str | None = None) -> None:
        """Note something that is allowed, but probably not meant."""
        self._warnings[file or self.file, printable(place), printable(reason)] = None

    def count(self) -> int:
        """How many problems there are so far."""
        return len(self._errors)

    def errors(self) -> list[str]:
        """All problems, `file: line N: place: reason`, by file and place."""
        return self._listed(self._errors)

    def warnings(self) -> list[str]:
        """All warnings, in the same form and order."""
        return self._listed(self._warnings)

    def _listed(self, noted: Iterable[tuple[str, str, str]]) -> list[str]:
        lines = find_lines(self._text) if noted and self._text else {}
        return [
            f"{file}: {_line_of(place, lines) if file == self.file else ''}{place}: {reason}"
            for file, place, reason in sorted(noted, key=_order)
        ]


class Table:
    """One table of the file; remembers which of its keys were asked for, so that the others can be named."""

    def __init__(self, data: Mapping[str, Any], place: str, problems: Problems) -> None:
        self._data = data
        self._known: dict[str, None] = {}
        self.place = place
        """As it is written in the file, for example `services."www.example.net"`; empty: the whole file."""
        self.problems = problems
        self.written = True
        """Whether it is in the file; a table may be there and be empty."""

    def __contains__(self, key: str) -> bool:
        return key in self._data

    def at(self, key: str) -> str:
        """The place of one key of this table."""
        return place_of(self.place, key)

    def add(self, key: str, reason: str) -> None:
        """Note a problem with one key."""
        self.problems.add(self.at(key), reason)

    def raw(self, key: str) -> Any:
        """The value of *key* as it stands; None when it is absent."""
        self._known[key] = None
        return self._data.get(key)

    def get(self, key: str, parse: Callable[[object], T], default: D) -> T | D:
        """The value of *key*; *default* when it is absent, or wrong (which is noted)."""
        self._known[key] = None
        if key not in self._data:
            return default
        try:
            return parse(self._data[key])
        except ValueError as exc:
            self.add(key, str(exc))
            return default

    def require(self, key: str, parse: Callable[[object], T], default: D) -> T | D:
        """As `get`, for a key that must be there."""
        if key not in self._data:
            self.add(key, "is missing")
        return self.get(key, parse, default)

    def each(self, key: str, parse: Callable[[object], T]) -> list[tuple[str, T]]:
        """The good elements of a list, each with its place; counted from 1."""
        elements: list[tuple[str, T]] = []
        for place, value in self._elements(key):
            try:
                elements.append((place, parse(value)))
            except ValueError as exc:
                self.problems.add(place, str(exc))
        return elements

    def table(self, key: str) -> Table:
        """The table under *key*; an empty one when it is absent or wrong."""
        self._known[key] = None
        table = self._table(self._data.get(key, {}), self.at(key))
        table.written = key in self._data
        return table

    def tables(self, key: str) -> list[Table]:
        """The tables of an array of tables; their places count from 1."""
        return [
            self._table(value, place) for place, value in self._elements(key) if self._is_table(value, place)
        ]

    def one_or_more(self, key: str) -> list[Table]:
        """The tables under *key*, whether it is one table or an array of them."""
        self._known[key] = None
        return (
            self.tables(key)
            if isinstance(self._data.get(key), list)
            else [self.table(key)]
            if key in self
            else []
        )

    def named(
        self,
        settings: Collection[str] = (),
        example: str = "",
        name: Callable[[str], object] | None = None,
    ) -> Iterator[tuple[str, Table]]:
        """Every key with the table under it: for tables whose keys are names that users choose.

        Args: settings: which keys of those tables may hold tables; any other table there is the rest of a name with dots that
            was not quoted, and is explained. example: of such a table, for messages. name: a parser of the names; what it
            refuses is noted, and yielded all the same.
        """
        for key in self.names():
            if not self._is_table(self._data[key], self.at(key), example):
                continue
            whole = _dotted(key, self._data[key], settings)
            if whole != key:
                self.add(key, f"a name with dots has to be quoted: [{place_of(self.place, whole)}]")
                continue
            try:
                _ = name and name(key)
            except ValueError as exc:
                self.add(key, str(exc))
            yield key, self.table(key)

    def names(self) -> list[str]:
        """Every key, for tables whose keys are names that users choose."""
        self._known.update(dict.fromkeys(self._data))
        return list(self._data)

    def unread(self) -> list[str]:
        """Every key that was not read."""
        return [key for key in self._data if key not in self._known]

    def finish(self) -> None:
        """Report every key that was not read."""
        for key in self.unread():
            self.add(key, "unknown setting" + suggestion(key, self._known))

    def _elements(self, key: str) -> Iterator[tuple[str, object]]:
        self._known[key] = None
        values = self._data.get(key, [])
        if not isinstance(values, list):
            self.add(key, f"must be a list, not {kind(values)}{_as_list(values, self.at(key))}")
            return
        for position, value in enumerate(values, 1):
            yield element_of(self.at(key), position), value

    def _is_table(self, value: object, place: str, example: str = "") -> bool:
        if isinstance(value, dict):
            return True
        such = f" such as {example}" if example else ""
        single = (
            f": write [{place}]" if isinstance(value, list) and value and isinstance(value[0], dict) else ""
        )
        self.problems.add(place, f"must be a table{such}, not {kind(value)}{single}")
        return False

    def _table(self, value: object, place: str) -> Table:
        return Table(
            value if self._is_table(value, place) and isinstance(value, dict) else {}, place, self.problems
        )


def _as_list(value: object, place: str) -> str:
    """How a single value becomes a list; the value may be a secret, and is not shown."""
    if isinstance(value, dict):
        return f": write [[{place}]]"
    return ": put it in [ ]" if isinstance(value, str | int | float) else ""


def _dotted(name: str, value: object, settings: Collection[str]) -> str:
    """The name with everything below it that looks like the rest of it: tables that hold one table alone."""
    while isinstance(value, dict) and len(value) == 1:
        ((key, inner),) = value.items()
        if key in settings or not isinstance(inner, dict):
            break
        name, value = f"{name}.{key}", inner
    return name


def _line_of(place: str, lines: Mapping[str, int]) -> str:
    """`line N: ` of a place; where it is not there itself, of the table that it is missing from."""
    while place and place not in lines:
        shorter = _LAST_PART.sub("", place)
        if shorter == place:
            return ""
        place = shorter
    return f"line {lines[place]}: " if place else ""


def _order(noted: tuple[str, str, str]) -> tuple[str, list[tuple[int, str]], str]:
    file, place, reason = noted
    # numbers within a place by value, so that the tenth element comes after the second
    parts = [(int(part[:18]), "") if part.isdecimal() else (-1, part) for part in _DIGITS.split(place)]
    return file, parts, reason

"""What the readers of a configuration ask a table for, written down while they read a table that holds nothing.

The readers of `config` and `worker` are run as they check a file, over and over: first over an empty one, then with each
setting present by which they read others (a word of a list, a table in place of a text). So the schema has no list of
settings of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from geosteer_loader.config.section import Problems, Table
from geosteer_loader.config.shapes import Shape, begins, shape_of, variants_of
from geosteer_loader.config.toml_lines import element_of, place_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

T = TypeVar("T")
D = TypeVar("D")

NAME = "name.example"
"""Stands for every name that users choose, of a node or a zone."""
ADDRESS_OF_A_VARIANT = "host.example/file"

LONGEST_SCRIPT = 3
"""Settings that are present at once."""


class Key(NamedTuple):
    """A setting: the place of its table, and its name; "" for the number of its names."""

    place: str
    key: str


@dataclass(frozen=True, slots=True)
class Value:
    """What stands there for once."""

    kind: str
    """`word`: the text; `present`: anything; `table`, `list`: an empty one; `nothing`: no name in a table of names."""
    word: str = ""

    def stand_in(self) -> Any:
        """A value of that kind."""
        word = self.word + ADDRESS_OF_A_VARIANT if begins(self.word) else self.word
        return {"word": word, "table": {}, "list": []}.get(self.kind, "")


PRESENT, TABLE, LIST, NOTHING = Value("present"), Value("table"), Value("list"), Value("nothing")
Script = dict[Key, Value]


class Entry(NamedTuple):
    """One way in which a reader asked for a setting."""

    kind: str
    """`value`, `list`; or `table`, `tables`, `one_or_more`, of the table at *place*."""
    shape: Any
    place: str = ""


@dataclass(slots=True)
class Seen:
    """What was asked of one table."""

    settings: dict[str, list[Entry]] = field(default_factory=dict)
    defaults: dict[str, Any] = field(default_factory=dict)
    names: Shape | None = None
    """The shape of names that users choose; None: there are none."""
    required: set[str] = field(default_factory=set)
    filled: set[str] = field(default_factory=set)
    """Lists that must not be empty; "": the table itself."""

    def note(self, key: str, entry: Entry) -> None:
        """A setting was asked for."""
        entries = self.settings.setdefault(key, [])
        if entry not in entries:
            entries.append(entry)


class Run:
    """One reading of a file that holds nothing but what the script says."""

    def __init__(self, script: Script, read: Callable[[Table], object]) -> None:
        self.script = script
        self.tables: dict[str, Seen] = {}
        """By place."""
        self.choices: dict[tuple[Key, Value], None] = {}
        """What could stand there, for another run."""
        self.noted: dict[str, set[str]] = {}
        """Problems by place."""
        read(_Recorder("", self))
        if script:  # the rest is as in the first run, or was left out
            self.tables = {place: seen for place, seen in self.tables.items() if self._scripted(place)}
        for place, seen in self.tables.items():
            self._conclude(place, seen)

    def offer(self, place: str, key: str, *values: Value) -> None:
        """Something could stand there."""
        self.choices.update(dict.fromkeys((Key(place, key), value) for value in values))

    def below(self, place: str) -> dict[str, Seen]:
        """What was asked of the table and those within."""
        return {at: seen for at, seen in self.tables.items() if at.startswith(place)}

    def holds(self, place: str) -> bool:
        """Whether the script says that the table is there; some readers ask, and want less of one that is not."""
        return any(
            given == PRESENT and place_of(at.place, at.key) == place for at, given in self.script.items()
        )

    def leads_on(self, place: str) -> bool:
        """Whether what is at *place* matters to this run: it is what the script is about, or above or below that."""
        return not self.script or self._scripted(place) or any(at.startswith(place) for at, _ in self.script)

    def _scripted(self, place: str) -> bool:
        return any(place.startswith(at) for at, _ in self.script)

    def _conclude(self, place: str, seen: Seen) -> None:
        """Learn from the problems that an absent or empty setting is."""
        table = Table({}, place, _Noted(self))
        offered = (at.key for at, _ in self.choices if at.place == place)
        for key in {*seen.settings, *offered, *(key for at, key in self.script if at == place)}:
            given = self.script.get(Key(place, key))
            reasons = self.noted.get(table.at(key), set())
            if given is None and any(reason.startswith("is missing") for reason in reasons):
                seen.required.add(key)
            if given == LIST and reasons:
                seen.filled.add(key)
        if self.script.get(Key(place, "")) == NOTHING and self.noted.get(place):
            seen.filled.add("")


def explore(read: Callable[[Table], object]) -> list[Run]:
    """The readings by which everything is asked for; the first is of an empty file."""
    first = Run({}, read)
    runs, waiting, done = [first], [first], {frozenset[Any]()}
    while waiting:
        run = waiting.pop()
        for key, value in run.choices:
            script = {at: given for at, given in run.script.items() if key.place.startswith(at.place)}
            if key in script or len(script) == LONGEST_SCRIPT:
                continue
            script[key] = value
            if frozenset(script.items()) in done:
                continue
            done.add(frozenset(script.items()))
            other = Run(script, read)
            runs.append(other)
            if value != PRESENT and other.below(key.place) != run.below(key.place):
                waiting.append(other)
    return runs


class _Noted(Problems):
    def __init__(self, run: Run) -> None:
        super().__init__("")
        self._run = run

    def add(self, place: str, reason: str, *, file: str | None = None) -> None:
        super().add(place, reason, file=file)
        self._run.noted.setdefault(place, set()).add(reason)


class _Recorder(Table):
    """A table that holds what the script says."""

    def __init__(self, place: str, run: Run) -> None:
        super().__init__({}, place, _Noted(run))
        self.written = True
        self._run = run
        self._seen = run.tables.setdefault(place, Seen())

    def __contains__(self, key: str) -> bool:
        self._run.offer(self.place, key, PRESENT)
        return Key(self.place, key) in self._run.script

    def raw(self, key: str) -> Any:
        self._run.offer(self.place, key, TABLE, LIST)
        given = self._run.script.get(Key(self.place, key))
        return None if given is None else given.stand_in()

    def get(self, key: str, parse: Callable[[object], T], default: D) -> T | D:
        if key == NAME:
            self._seen.names = True
        self._seen.note(key, Entry("value", shape_of(parse)))
        self._seen.defaults[key] = default
        self._run.offer(self.place, key, *(Value("word", word) for word in variants_of(parse)))
        given = self._run.script.get(Key(self.place, key))
        if given is not None and given.kind == "word":
            return parse(given.stand_in())
        return default

    def require(self, key: str, parse: Callable[[object], T], default: D) -> T | D:
        self.add(key, "is missing")
        value = self.get(key, parse, default)
        del self._seen.defaults[key]
        return value

    def each(self, key: str, parse: Callable[[object], T]) -> list[tuple[str, T]]:
        self._seen.note(key, Entry("list", shape_of(parse)))
        return []

    def table(self, key: str) -> Table:
        self._seen.note(key, Entry("table", None, self.at(key)))
        return _Recorder(self.at(key), self._run)

    def tables(self, key: str) -> list[Table]:
        place = element_of(self.at(key), 1)
        self._seen.note(key, Entry("tables", None, place))
        return [_Recorder(place, self._run)] if self._run.leads_on(place) else []

    def one_or_more(self, key: str) -> list[Table]:
        self._seen.note(key, Entry("one_or_more", None, self.at(key)))
        return [_Recorder(self.at(key), self._run)] if self._run.leads_on(self.at(key)) else []

    def named(
        self,
        settings: Collection[str] = (),  # noqa: ARG002
        example: str = "",  # noqa: ARG002
        name: Callable[[str], object] | None = None,
    ) -> Iterator[tuple[str, Table]]:
        for key in self.names():
            yield key, self.table(key)
        self._seen.names = getattr(name, "shape", True)

    def names(self) -> list[str]:
        self._run.offer(self.place, "", NOTHING)
        nothing = self._run.script.get(Key(self.place, "")) == NOTHING or not self._run.leads_on(self.place)
        return [] if nothing else [NAME]

    def unread(self) -> list[str]:
        return []


def words(run: Run, place: str) -> Mapping[str, str]:
    """The settings of one table that have a certain word in that run."""
    return {
        key: value.word for (at, key), value in run.script.items() if at == place and value.kind == "word"
    }

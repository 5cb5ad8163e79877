"""One published generation as a worker holds it. No I/O."""

from __future__ import annotations

from sys import intern

from geosteer.cmodules import load_json, scan_json
from geosteer.decision.director import Director
from geosteer.decision.model import Model
from geosteer.errors import CorruptPage
from geosteer.process import finished
from geosteer.timestamps import parse_time
from geosteer.zones import in_steps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from geosteer.process import Steps
    from geosteer.tables.tree import Tree
    from geosteer.zones import Names


SMALL = 1 << 15
"""Characters of a document that are read at once: less than a millisecond."""
SOME = 16
"""Names that are looked at in one step."""
MAPS = 3
"""Levels of the object `maps` that are taken apart: a map, a layer, a key; nodes and weights are many in each."""
SPACE = " \t\r\n"
SPACES = frozenset(SPACE)


class Generation:
    """What one atomic publish made known."""

    __slots__ = ("director", "document", "fields", "model", "names", "number", "serial", "text", "trees")

    document: dict[str, Any]
    model: Model
    director: Director
    names: Names
    """What exists at which DNS name, in the form of versions 3 to 5 of the protocol."""

    def __init__(self, fields: Mapping[str, str], text: str, trees: dict[tuple[str, int], Tree]) -> None:
        """Args: fields: of `current`; text: the configuration document.

        Raises: CorruptPage: the document cannot be used.
        """
        finished(self._make(fields, text, trees, None))

    @classmethod
    def in_steps(
        cls,
        fields: Mapping[str, str],
        text: str,
        trees: dict[tuple[str, int], Tree],
        previous: Generation | None,
    ) -> Steps[Generation]:
        """The same, made piece by piece, of those of the previous one where the document is the same.

        Raises: CorruptPage: as `Generation`.
        """
        generation = cls.__new__(cls)
        yield from generation._make(fields, text, trees, previous)
        return generation

    def _make(
        self,
        fields: Mapping[str, str],
        text: str,
        trees: dict[tuple[str, int], Tree],
        previous: Generation | None,
    ) -> Steps[None]:
        self.fields = dict(fields)
        self.text = text
        self.trees = trees
        """(table, address bits) -> its pages; tables that were not published are absent."""
        self.number = fields.get("generation", "0")
        self.serial = serial_of(fields)
        """Of every zone's SOA."""
        if previous is not None and previous.text == text:
            self.document, self.model, self.director = previous.document, previous.model, previous.director
            self.names = previous.names.with_serial(self.document.get("zones") or {}, self.serial)
            return
        try:
            # with nothing to answer from there are no questions to make room for, and the scanner is quicker in one go
            self.document = load_json(text) if previous is None else (yield from load_in_steps(text))
        except ValueError as exc:
            raise CorruptPage(f"configuration document: {exc}") from exc
        self.model = yield from Model.in_steps(self.document)
        self.director = Director(self.model)
        self.names = yield from names_in_steps(self.document, self.model, self.serial)


def names_of(document: Mapping[str, Any], model: Model, serial: int) -> Names:
    """Every name of a configuration document, in the form of versions 3 to 5 of the protocol.

    Raises: CorruptPage: something in it would make a line that PowerDNS does not take.
    """
    return finished(names_in_steps(document, model, serial))


def names_in_steps(document: Mapping[str, Any], model: Model, serial: int) -> Steps[Names]:
    """As `names_of`."""
    try:
        names = yield from in_steps(document, model.services.values(), model.nodes.values(), serial, 3)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as exc:
        raise CorruptPage(f"configuration document: {type(exc).__name__} {exc}") from exc
    for count, entry in enumerate(names.entries.values(), 1):
        if not entry.sound():
            raise CorruptPage(f"configuration document: no DNS record can be made of {entry.name!r}")
        if not count % SOME:
            yield
    return names


def load_in_steps(text: str, small: int = SMALL) -> Steps[Any]:
    """What `load_json` makes of a text, and of a large object member by member, those of its members that are objects too.

    Args: small: characters that are read at once. Raises: ValueError: not JSON.
    """
    at = len(text) - len(text.lstrip(SPACE))
    if len(text) <= small or text[at] != "{":
        return load_json(text)
    value, end = yield from _members(text, at, 2, top=True)
    if text[end:].strip(SPACE):
        raise ValueError(f"not JSON: more after character {end}")
    return value


def _members(text: str, at: int, depth: int, *, top: bool = False) -> Steps[tuple[dict[str, Any], int]]:
    """The object that begins at a place, and where it ends; *depth*: levels of objects that are taken apart."""
    made: dict[str, Any] = {}
    at = _skip(text, at + 1)
    if text[at : at + 1] == "}":
        return made, at + 1
    while True:
        if text[at : at + 1] != '"':
            raise ValueError(f"not JSON at character {at}")
        name, at = scan_json(text, at)
        at = _skip(text, at)
        if text[at : at + 1] != ":":
            raise ValueError(f"not JSON at character {at}")
        at = _skip(text, at + 1)
        if depth > 1 and text[at : at + 1] == "{":
            made[name], at = yield from _members(text, at, MAPS if top and name == "maps" else depth - 1)
        else:
            value, at = scan_json(text, at)
            # the scanner shares names within one value only
            made[name] = {intern(key): value[key] for key in value} if isinstance(value, dict) else value
            yield
        at = _skip(text, at)
        sign = text[at : at + 1]
        if sign == "}":
            return made, at + 1
        if sign != ",":
            raise ValueError(f"not JSON at character {at}")
        at = _skip(text, at + 1)


def _skip(text: str, at: int) -> int:
    """The first place from one on that is no space."""
    while text[at : at + 1] in SPACES:
        at += 1
    return at


def serial_of(fields: Mapping[str, str]) -> int:
    """The SOA serial of a generation: when it was published, in seconds since 1970."""
    try:
        return int(parse_time(fields["published"])) & 0xFFFFFFFF
    except (KeyError, ValueError):
        return 1

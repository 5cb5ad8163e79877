"""One published generation as a worker holds it. No I/O."""

from __future__ import annotations

from geosteer.cmodules import load_json
from geosteer.decision.director import Director
from geosteer.decision.model import Model
from geosteer.errors import CorruptPage
from geosteer.timestamps import parse_time
from geosteer.zones import from_document

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from geosteer.tables.tree import Tree
    from geosteer.zones import Names


class Generation:
    """What one atomic publish made known."""

    __slots__ = ("director", "document", "fields", "model", "names", "number", "serial", "text", "trees")

    def __init__(self, fields: Mapping[str, str], text: str, trees: dict[tuple[str, int], Tree]) -> None:
        """Args: fields: of `current`; text: the configuration document.

        Raises: CorruptPage: the document cannot be used.
        """
        self.fields = dict(fields)
        self.text = text
        try:
            self.document: dict[str, Any] = load_json(text)
        except ValueError as exc:
            raise CorruptPage(f"configuration document: {exc}") from exc
        self.model = Model(self.document)
        self.director = Director(self.model)
        self.trees = trees
        """(table, address bits) -> its pages; tables that were not published are absent."""
        self.number = fields.get("generation", "0")
        self.serial = serial_of(fields)
        """Of every zone's SOA."""
        self.names = names_of(self.document, self.model, self.serial)
        """What exists at which DNS name, in the form of versions 3 to 5 of the protocol."""


def names_of(document: Mapping[str, Any], model: Model, serial: int) -> Names:
    """Every name of a configuration document, in the form of versions 3 to 5 of the protocol.

    Raises: CorruptPage: something in it would make a line that PowerDNS does not take.
    """
    try:
        names = from_document(document, model.services.values(), model.nodes.values(), serial, 3)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as exc:
        raise CorruptPage(f"configuration document: {type(exc).__name__} {exc}") from exc
    for entry in names.entries.values():
        if not entry.sound():
            raise CorruptPage(f"configuration document: no DNS record can be made of {entry.name!r}")
    return names


def serial_of(fields: Mapping[str, str]) -> int:
    """The SOA serial of a generation: when it was published, in seconds since 1970."""
    try:
        return int(parse_time(fields["published"])) & 0xFFFFFFFF
    except (KeyError, ValueError):
        return 1

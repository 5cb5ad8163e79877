"""One published generation as a worker holds it, and how it is put together from what Redis has. No I/O."""

from __future__ import annotations

from geosteer.cmodules import load_json
from geosteer.decision.director import Director
from geosteer.decision.model import Model
from geosteer.errors import CorruptPage
from geosteer.keys import FAMILIES, SCHEMA, TABLES, digest, root_field
from geosteer.tables.tree import Inner, Tree, inner_digests
from geosteer.timestamps import parse_time
from geosteer.zones import from_document

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from geosteer.zones import Names


class Unusable(Exception):  # a state of Redis, told to the log
    """What stands under `current` is no generation that this program can use: absent, incomplete, or of another schema."""


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


class Adoption:
    """A generation on its way in: says what is missing until nothing is."""

    __slots__ = ("_config", "_decoded", "_have", "_previous", "_text", "_trees", "fields")

    def __init__(self, fields: Mapping[str, str], previous: Generation | None) -> None:
        """Raises: Unusable: these fields of `current` name no generation for this program."""
        if not fields:
            raise Unusable("nothing is published there")
        if fields.get("schema") != str(SCHEMA):
            raise Unusable(
                f"schema {fields.get('schema')}, this program knows {SCHEMA}: upgrade the workers first"
            )
        try:
            self._config = bytes.fromhex(fields["config"])
        except (KeyError, ValueError):
            raise Unusable("the field config of `current` is absent or no digest") from None
        self.fields = fields
        self._previous = previous
        self._trees: dict[tuple[str, int], bytes] = {}
        for table in TABLES:
            for bits in FAMILIES.values():
                field = root_field(table, bits)
                if field in fields:
                    try:
                        self._trees[table, bits] = bytes.fromhex(fields[field])
                    except ValueError:
                        raise Unusable(f"the field {field} of `current` is no digest") from None
        self._have: dict[bytes, bytes] = {}
        self._decoded: dict[bytes, Inner] = {}
        self._text: str | None = None
        if previous is not None and previous.fields.get("config") == fields["config"]:
            self._text = previous.text

    def missing(self) -> list[bytes]:
        """Digests of what is to be fetched now; empty when all is here.

        Raises: CorruptPage: what came is damaged.
        """
        wanted = [] if self._text is not None else [self._config]
        for (table, bits), root in self._trees.items():
            if not self._kept(table, bits):
                wanted += inner_digests(bits, root, self._have, self._read)
        return list(dict.fromkeys(wanted))

    def give(self, name: bytes, data: bytes | None) -> None:
        """Take in what was fetched.

        Raises: CorruptPage: it is absent, or not what its name says.
        """
        if data is None:
            raise CorruptPage(f"object {name.hex()} is not there")
        if digest(data) != name:
            raise CorruptPage(f"object {name.hex()} is damaged")
        if name == self._config:
            try:
                self._text = data.decode()
            except UnicodeDecodeError as exc:
                raise CorruptPage("configuration document is not UTF-8") from exc
        self._have[name] = data

    def finish(self) -> Generation:
        """The generation, when nothing is missing.

        Raises: CorruptPage: the pieces don't make one.
        """
        assert self._text is not None
        trees = {}
        for (table, bits), root in self._trees.items():
            trees[table, bits] = self._kept(table, bits) or Tree(bits, root, self._have, self._read)
        return Generation(self.fields, self._text, trees)

    def _kept(self, table: str, bits: int) -> Tree | None:
        """The previous generation's tree, where it is the same."""
        tree = self._previous.trees.get((table, bits)) if self._previous is not None else None
        return tree if tree is not None and tree.root == self._trees[table, bits] else None

    def _read(self, raw: bytes) -> Inner:
        """A page; those above many others are decoded once, for what is missing and for the tree."""
        page = self._decoded.get(raw)
        if page is None:
            page = Inner(raw)
            if page.height > 1:  # the others are most of a large table, and are gone through one by one
                self._decoded[raw] = page
        return page

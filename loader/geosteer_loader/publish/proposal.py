"""What a publish would make of the configuration and its sources, before anything is written."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from geosteer.errors import ConfigError
from geosteer.keys import FAMILIES, TABLES, digest, own_fields, root_field
from geosteer.resp.conversation import MOST_BYTES, MOST_VALUES
from geosteer_loader.publish.offsets import put_offsets
from geosteer_loader.store.inventory import Inventory
from geosteer_loader.store.pages import Pages
from geosteer_loader.tables.build import build_tables, pages_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from geosteer_loader.config.config import Config
    from geosteer_loader.fetch import Copies
    from geosteer_loader.impact.table_diff import Roots
    from geosteer_loader.progress import Meter
    from geosteer_loader.store.object_writer import Writer
    from geosteer_loader.store.store import Store
    from geosteer_loader.tables.build import Maker, Table
    from geosteer_loader.tables.ranges import Ranges


MOST_DOCUMENT = MOST_BYTES - (1 << 20)
"""Bytes of a configuration document: a worker takes it in one reply with the root pages."""
MOST_NODES = MOST_VALUES // 2
"""A worker takes the overrides in one reply, a name and a value for each node."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """What a service hands to a publish, which a single run finds out for itself."""

    made: Mapping[str, Maker] = field(default_factory=dict)
    """Name of a table -> what gives it from its published fields, in place of its sources; it gives None for no table."""
    copies: Copies | None = None
    """The copies of URLs, refreshed at a time of its own; None: they are refreshed."""
    keep_document: bool = False
    """Whether the published configuration document stays as it is."""
    clean: bool = True
    """Whether old generations are removed afterwards, and old events."""
    streams: frozenset[str] = frozenset()
    """Tables that follow BGP sessions: what changes nothing else is told of in the journal once an hour."""
    check: Callable[[], None] = lambda: None
    """Called before the flip, and when a source cannot be read. Raises: Overtaken: what was read has changed meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """Tables and configuration, ready to be looked at and published."""

    before: Mapping[str, str]
    """Fields of `current` as published now; empty when nothing is."""
    known: Inventory
    """What Redis has of that."""
    tables: list[Table]
    document: dict[str, Any]
    """The configuration document, in the order of what is published: the order of nodes decides who gets which ticket."""
    text: bytes
    """The same as it is published."""
    after: dict[str, str]
    """Fields of `current` as they would be, without stamps."""
    warnings: list[str]
    """What is to be said of how clients are placed."""

    @property
    def changed(self) -> list[str]:
        """Tables that would differ from what is published, and `config`."""
        changed = [
            table for table in TABLES if own_fields(self.before, table) != own_fields(self.after, table)
        ]
        return [*changed, *(["config"] if self.before.get("config") != self.after["config"] else [])]

    def roots(self) -> dict[str, Roots]:
        """Field of `current` (`geo.v4`) -> digest of the root page before and after, of every table in either."""
        return roots_of(self.before, self.after)

    def ranges(self) -> dict[str, Ranges]:
        """Digest of a root page -> what its pages hold, of the tables that were built from ranges."""
        return {
            table.fields[root_field(table.name, bits)]: ranges
            for table in self.tables
            for bits, ranges in table.ranges.items()
        }

    def pages(self, store: Store) -> Pages:
        """All pages, those before and those after."""
        return Pages(store, pages_of(self.tables))


@dataclass(frozen=True, slots=True)
class Lacking:
    """Objects that Redis has not: hex digest -> bytes."""

    leaves: dict[str, bytes]
    """What names no other object: leaf pages, and the configuration document."""
    inner: dict[str, bytes]
    """Pages above others, in the order in which they have to be written."""

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.leaves) + len(self.inner)

    @property
    def size(self) -> int:
        """Bytes of all of them."""
        return sum(map(len, (*self.leaves.values(), *self.inner.values())))


def roots_of(before: Mapping[str, str], after: Mapping[str, str]) -> dict[str, Roots]:
    """Field of `current` (`geo.v4`) -> digest of the root page before and after, of every table in either."""
    fields = [root_field(table, bits) for table in TABLES for bits in FAMILIES.values()]
    pairs = {name: (before.get(name), after.get(name)) for name in fields}
    return {name: pair for name, pair in pairs.items() if pair != (None, None)}


def lacking(proposal: Proposal, writer: Writer) -> Lacking:
    """What has to be written before the proposal can be published. Raises: StoreError."""
    missing = Lacking({}, {})
    for table in proposal.tables:
        # A page that vanished from below one that stayed is found only by asking for each.
        thorough = not proposal.known.complete(table.name)
        for built in table.pages:
            for name in writer.lacking(built, thorough=thorough):
                objects = missing.inner if name in built.children else missing.leaves
                objects[name.hex()] = built.pages[name]
    document = proposal.after["config"]
    if document == proposal.known.damaged or not writer.there(document):
        missing.leaves[document] = proposal.text
    return missing


def propose(
    config: Config,
    store: Store,
    before: Mapping[str, str],
    meter: Callable[[str], Meter],
    live: Live | None = None,
) -> Proposal:
    """Build what is to be published; tables whose sources did not change stay as they are published.

    Args: before: the fields of `current`; meter: shows the progress of the table that it is given;
        live: what a service knows that a single run does not.
    Raises: SourceError: a source cannot be read. StoreError. ConfigError: whole parts of the configuration are missing, or it
        is larger than workers take.
    """
    config.require_complete()
    known = Inventory(store, before)
    live = live or Live()
    tables = build_tables(config, before, known.whole, meter, store.now(), live.copies, live.made)
    document: dict[str, Any] = dict(config.document)
    if live.keep_document and known.document is not None:
        document = {**known.document, "continents": config.document["continents"]}
    for table in tables:
        if table.name == "geo":
            continents = known.continents() if table.kept else table.continents
            document["continents"] = {**document["continents"], **continents}
    after: dict[str, str] = {}
    for table in tables:
        after.update(table.fields)
    warnings: list[str] = []
    if not live.keep_document or known.document is None:
        warnings = put_offsets(
            document, known.document, Pages(store, pages_of(tables)), roots_of(before, after)
        )
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    _check_size(len(document["nodes"]), len(text))
    after["config"] = digest(text).hex()
    if "swept" in before:
        after["swept"] = before["swept"]
    return Proposal(
        before=before,
        known=known,
        tables=tables,
        document=json.loads(text),
        text=text,
        after=after,
        warnings=warnings,
    )


def _check_size(nodes: int, size: int) -> None:
    """Raises: ConfigError: workers would refuse a configuration of so many nodes, or bytes as a document."""
    if nodes > MOST_NODES:
        raise ConfigError([f"nodes: there are {nodes}, more than the {MOST_NODES} that workers take"])
    if size > MOST_DOCUMENT:
        taken = (
            f"{size / 1e6:.1f} MB as a document, more than the {MOST_DOCUMENT / 1e6:.1f} MB that workers take"
        )
        raise ConfigError([f"the configuration takes {taken}: use fewer nodes, services or records"])

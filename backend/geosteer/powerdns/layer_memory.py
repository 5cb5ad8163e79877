"""Replies remembered by what the layers of a map call a client, for services that ask several tables, or one of many records.

Records of cities and origins are too many to remember replies by; the entries of a map that name a client are few. The tier
fetches pages that a question waits for.
"""

from __future__ import annotations

from geosteer.decision.client import quick
from geosteer.sync.decider import Memory
from geosteer.tables.tree import PageMissing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from geosteer.decision.decision import Decision
    from geosteer.decision.model import Service
    from geosteer.sync.generation import Generation
    from geosteer.sync.tier import Tier

    Called = tuple[str, tuple[str, ...], tuple[str, ...]]
    """A service; for the layers of its map up to the one that answers, the key that names the client or ""; their tables."""

REMEMBERED = 2048
"""Replies at most."""


class LayerMemory:
    """What services give to clients that the same entries of their maps name, while no state and no table changes."""

    __slots__ = ("_generation", "_numbered", "_replies", "_tier", "services")

    def __init__(self, tier: Tier) -> None:
        self._tier = tier
        self._generation: Generation | None = None
        self.services: dict[bytes, Service] = {}
        """Whose replies are remembered here, by name."""
        self._numbered: list[Service] = []
        self._replies = Memory(REMEMBERED)
        """Service and keys -> a reply with `%d` for the scope, how often that is, where it is counted, and tables asked."""

    def clear(self) -> None:
        """Forget every reply."""
        self._replies.clear()

    def collect(self, generation: Generation, names: Sequence[bytes]) -> None:
        """Answer from this generation, for services of these names."""
        services = generation.model.services
        self._generation = generation
        self.services = {name: services[name.decode()] for name in names}
        self._numbered = list(self.services.values())

    def bring(self, service: int, bits: int, high: int, low: int, asked: float) -> bool:
        """Fetch the leaves that an address needs, for C; whether they are here, and C may go on where it was.

        Args: service: its number; high, low: halves of the address; asked: when the question was read.
        """
        tier, tables = self._tier, self._numbered[service].tables
        version, due, watched = tier.version, tier.due, tier.poll_mask()
        tier.counters.begin(asked)
        came = tier.fetch_at(bits, high << 64 | low, tables, asked)
        tier.counters.end()
        return (
            came and tier.version == version and not tier.unsettled
            and tier.due >= due and tier.poll_mask() == watched
        )  # fmt: skip

    def find(self, name: bytes, subnet: bytes, asked: float) -> tuple[bytes, int, int, int, int] | None:
        """The reply for a public client, where it is counted, and how many records and layers it took, and its scope.

        None: it is to be decided.

        Pages that are not here are fetched, in which anything may change: it is None then as well, if something did.
        """
        service, generation, tier = self.services.get(name), self._generation, self._tier
        if service is None or not self._replies or generation is not tier.generation or generation is None:
            return None
        client = quick(str(subnet, "latin-1"))
        if client is None:
            return None
        bits, address, floor = client
        version = tier.version
        keys, trees = generation.director.keys, generation.trees
        cells: dict[str, tuple[str, int]] = {}
        called: tuple[str, ...] = ()
        for layer, table, entries in service.map.layers:
            cell = cells.get(table)
            if cell is None:
                tree = trees.get((table, bits))
                try:
                    cell = cells[table] = tree.cell(address) if tree is not None else ("", 0)
                except PageMissing:
                    if not tier.fetch_at(bits, address, service.tables, asked) or tier.version != version:
                        return None
                    try:
                        cell = cells[table] = tree.cell(address)  # type: ignore[union-attr]  # it was there
                    except PageMissing:
                        return None
            key = next((key for key in keys(layer, cell[0]) if key in entries), "")
            called += (key,)
            if key:
                reply = self._replies.get((service.name, called))
                if reply is not None:
                    break
        else:
            reply = self._replies.get((service.name, called))
            if reply is None:
                return None
        template, scopes, slot, tables = reply
        scope = max(floor, *[cells[table][1] for table in tables])
        return template % ((scope,) * scopes), slot, len(cells), len(called), scope

    def called(self, name: bytes, decision: Decision) -> Called | None:
        """What a decision's reply can be remembered by, and the tables asked; None: more than entries and states led to it."""
        service, generation = self.services[name], self._generation
        layers, asked = set(decision.layer.values()), list(decision.asked.values())
        if generation is None or generation is not self._tier.generation or len(layers) != 1:
            return None
        if any(cells != asked[0] for cells in asked):
            return None
        (answering,) = layers
        called: tuple[str, ...] = ()
        tables: dict[str, None] = {}
        for layer, table, entries in service.map.layers:
            if table not in asked[0]:
                return None
            tables[table] = None
            keys = generation.director.keys(layer, asked[0][table][0])
            called += (next((key for key in keys if key in entries), ""),)
            if answering == f"{layer} {called[-1]}":
                break
        if not tables or tables.keys() != asked[0].keys():
            return None
        return service.name, called, tuple(tables)

    def keep(self, called: Called, reply: tuple[bytes, int, int]) -> None:
        """Remember a reply. Args: reply: with `%d` where the scope goes, how often it does, and where it is counted."""
        name, keys, tables = called
        self._replies.keep((name, keys), (*reply, tables))

"""`geosteer lookup`: what the published tables say of addresses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from geosteer.decision.client import parse, prefix_text
from geosteer.errors import ConfigError
from geosteer.keys import TABLES
from geosteer_loader.store import store as stores
from geosteer_loader.store.generation_view import View

if TYPE_CHECKING:
    from collections.abc import Sequence

    from geosteer.decision.client import Client
    from geosteer_loader.config.redis import RedisSettings


class Cell(NamedTuple):
    """What one table says around an address."""

    prefix: str
    """The widest with one record."""
    record: str | None
    """None on a miss."""


@dataclass(frozen=True, slots=True)
class Lookup:
    """What the tables say of one address."""

    address: str
    """As it was asked for."""
    cells: dict[str, Cell]
    """Table -> what it says, for each that is published."""

    def to_json(self) -> dict[str, Any]:
        """An entry of what `geosteer lookup --json` prints: `address`, and per table `prefix` and `record`."""
        return {"address": self.address, **{table: cell._asdict() for table, cell in self.cells.items()}}


def lookup(redis: RedisSettings, addresses: Sequence[str]) -> list[Lookup]:
    """What the published tables say of each address.

    Raises: ConfigError: not an address. StoreError: Redis failed, or nothing is published.
    """
    clients = read_clients(addresses)
    with stores.connect(redis) as store:
        view = View(store)
        tables = [
            table for table in TABLES if any((table, bits) in view.generation.trees for bits in (32, 128))
        ]
        return [
            Lookup(text, {table: cell_of(view, table, client) for table in tables})
            for text, client in zip(addresses, clients, strict=True)
        ]


def cell_of(view: View, table: str, client: Client) -> Cell:
    """What a published table says around an address. Raises: StoreError."""
    record, length = view.cell(table, client.bits, client.address)
    return Cell(prefix_text(client.bits, client.address, length), record or None)


def read_clients(addresses: Sequence[str]) -> list[Client]:
    """Addresses or networks in text, as they are looked up. Raises: ConfigError: names each that is neither."""
    clients, problems = [], []
    for text in addresses:
        try:
            clients.append(parse(text))
        except ValueError:
            problems.append(f"{text}: neither an IP address nor a network")
    if problems:
        raise ConfigError(problems)
    return clients

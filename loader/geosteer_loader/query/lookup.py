"""`geosteer lookup`: what the published tables say of addresses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from geosteer.decision.client import parse, prefix_text
from geosteer.errors import ConfigError
from geosteer.keys import TABLES
from geosteer_loader.store import store as stores
from geosteer_loader.store.generation_view import View

if TYPE_CHECKING:
    from collections.abc import Sequence

    from geosteer.decision.client import Client
    from geosteer_loader.config.config import Config


def lookup(config: Config, addresses: Sequence[str]) -> list[dict[str, Any]]:
    """For each address, and each published table, `prefix` (the widest with one record) and `record` (None on a miss).

    Raises: ConfigError: an address is none. StoreError: Redis failed, or nothing is published.
    """
    clients = read_clients(addresses)
    with stores.connect(config.redis) as store:
        view = View(store)
        tables = [
            table for table in TABLES if any((table, bits) in view.generation.trees for bits in (32, 128))
        ]
        found = []
        for text, client in zip(addresses, clients, strict=True):
            row: dict[str, Any] = {"address": text}
            for table in tables:
                record, length = view.cell(table, client.bits, client.address)
                row[table] = {
                    "prefix": prefix_text(client.bits, client.address, length),
                    "record": record or None,
                }
            found.append(row)
        return found


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

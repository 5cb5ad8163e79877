"""Tables of a few prefixes, as ranges, as trees in memory, and published by hand: what a worker reads, without the loader."""

from __future__ import annotations

import ipaddress
import json
from typing import TYPE_CHECKING, Any

from geosteer.keys import FAMILIES, Keys, digest, root_field
from geosteer.tables import page_builder
from geosteer.tables.leaf_cache import LeafCache
from geosteer.tables.tree import Tree

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from geosteer.decision.client import Client

    Entries = Mapping[str, str]
    """Prefix in text -> record; the longest prefix that holds an address counts."""

DOCUMENT: dict[str, Any] = {
    "format": 1,
    "nodes": {
        "lon1": {
            "a": ["192.0.2.1"], "aaaa": ["2001:db8:1::1"], "hostname": "lon1.cdn.example.net", "well_connected": 10,
        },
        "ams1": {
            "a": ["192.0.2.2"], "aaaa": ["2001:db8:2::1"], "hostname": "ams1.cdn.example.net", "well_connected": 20,
        },
        "nyc1": {"a": ["192.0.2.3"], "aaaa": ["2001:db8:3::1"], "hostname": "nyc1.cdn.example.net"},
    },
    "networks": {},
    "maps": {
        "default": {
            "order": ["networks", "asns", "subdivisions", "countries", "continents"],
            "all_down": "all",
            "countries": {"GB": {"lon1": 100}, "NL": {"ams1": 100}},
            "continents": {"EU": {"ams1": 100, "lon1": 50}},
            "default": {"nyc1": 100},
        },
    },
    "zones": {
        "cdn.example.net": {
            "soa": {"mname": "ns1.example.net", "rname": "hostmaster.example.net"},
            "ns": ["ns1.example.net", "ns2.example.net"],
            "records": [{"name": "cdn.example.net", "type": "MX", "content": "10 mx.example.net", "ttl": 300}],
        },
    },
    "services": {
        "www.cdn.example.net": {"map": "default", "ttl": 60},
        "cname.cdn.example.net": {"map": "default", "ttl": 60, "answer": "cname"},
    },
    "continents": {"GB": "EU", "NL": "EU", "FR": "EU", "US": "NA"},
}  # fmt: skip
"""A small configuration document: one zone, two services, three nodes in two countries."""

GEO: dict[str, str] = {
    "192.0.2.0/24": "GB", "198.51.100.0/24": "NL", "203.0.113.0/25": "FR", "203.0.113.128/25": "US-CA 37.75 -122.42",
    "2001:db8:a::/48": "GB", "2001:db8:b::/48": "NL",
}  # fmt: skip
"""A table that goes with it."""


def ranges(entries: Entries, bits: int) -> tuple[list[int], list[str]]:
    """Starts and records of the disjoint ranges of one family, equal neighbours merged; "" where nothing is known."""
    networks = [(ipaddress.ip_network(text), record) for text, record in entries.items()]
    known = sorted(
        (int(net.network_address), net.prefixlen, int(net.broadcast_address) + 1, record)
        for net, record in networks
        if net.max_prefixlen == bits
    )
    starts: list[int] = []
    records: list[str] = []

    def begin(at: int, record: str) -> None:
        if starts and starts[-1] == at:
            del starts[-1], records[-1]
        if not records or records[-1] != record:
            starts.append(at)
            records.append(record)

    begin(0, "")
    around: list[
        tuple[int, str]
    ] = []  # ends and records of the networks that hold the next one, the smallest last

    def leave(until: int) -> None:
        while around and around[-1][0] <= until:
            end, _ = around.pop()
            if end < 1 << bits:
                begin(end, around[-1][1] if around else "")

    for start, _, end, record in known:
        leave(start)
        around.append((end, record))
        begin(start, record)
    leave(1 << bits)
    return starts, records


def build(entries: Entries, bits: int) -> page_builder.Built:
    """The pages of one family of a table."""
    return page_builder.build(bits, *ranges(entries, bits))


def inner_pages(built: page_builder.Built) -> dict[bytes, bytes]:
    """The pages that a worker fetches when it adopts a generation: all above the leaves, and the root."""
    return {name: page for name, page in built.pages.items() if name in built.children or name == built.root}


def whole_tree(bits: int, built: page_builder.Built) -> Tree:
    """A tree with every leaf in it."""
    tree = Tree(bits, built.root, inner_pages(built))
    cache = LeafCache(1 << 30)
    for branch, number in tree.leaves():
        cache.put(tree, branch, number, built.pages[branch.digest(number)])
    return tree


def looker(tables: Mapping[str, Entries]) -> Callable[[Client], Callable[[str], tuple[str, int]]]:
    """For a client, what `Director.decide` takes as *look*: table -> record and prefix length."""
    trees = {
        (table, bits): whole_tree(bits, build(entries, bits))
        for table, entries in tables.items()
        for bits in FAMILIES.values()
    }

    def look(client: Client) -> Callable[[str], tuple[str, int]]:
        def cell(table: str) -> tuple[str, int]:
            tree = trees.get((table, client.bits))
            return tree.cell(client.address) if tree else ("", 0)

        return cell

    return look


def publish_tiny(
    client: Any,
    prefix: str,
    document: Mapping[str, Any] = DOCUMENT,
    tables: Mapping[str, Entries] | None = None,
    *,
    generation: int = 1,
    published: str = "2026-02-01T00:00:00Z",
) -> dict[str, str]:
    """Write a generation as a publish leaves it and flip `current`; returns the fields of `current`.

    Tables: `{"geo": {"192.0.2.0/24": "GB", ...}}`; without any, `geo` is the table of this module.
    """
    text = json.dumps(document).encode()
    objects = {digest(text).hex(): text}
    fields = {
        "schema": "1",
        "generation": str(generation),
        "published": published,
        "config": digest(text).hex(),
    }
    for table, entries in ({"geo": GEO} if tables is None else tables).items():
        for bits in FAMILIES.values():
            built = build(entries, bits)
            objects.update({name.hex(): page for name, page in built.pages.items()})
            fields[root_field(table, bits)] = built.root.hex()
    keys = Keys(prefix)
    with client.pipeline(transaction=True) as flip:
        flip.hset(keys.object, mapping=objects)
        flip.delete(keys.current)
        flip.hset(keys.current, mapping=fields)
        flip.execute()
    return fields

"""A table that follows updates is, prefix by prefix and page by page, the one that a dump of the same routes gives."""

from __future__ import annotations

import ipaddress
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geosteer.tables import page_builder
from geosteer_loader.rib.stream import Stream
from geosteer_loader.sources.mrt import MrtSource
from geosteer_loader.sources.report import Report
from geosteer_loader.sources.source_files import SourceFile
from geosteer_loader.tables.flatten import flatten
from geosteer_loader.tables.live_table import LiveTable
from geosteer_loader.tables.path_lengths import merge
from support import mrt_writer
from support.exabgp_lines import Exabgp
from support.long import examples

if TYPE_CHECKING:
    from collections.abc import Collection

    Path = list[int | set[int]]
    Rib = dict[tuple[str, str, int], Path]

PEERS = {"10.0.0.1": 65001, "10.0.0.2": 3356}
ASES = (174, 3356, 15169, 64512, 65001, 23456, 4200000000, 132)


@dataclass
class Streamed:
    """A layer of the table: all peers, or one."""

    stream: Stream
    peers: tuple[str, ...] = ()

    def paths(self, bits, number):
        return self.stream.paths(bits, number, self.peers)


def prefix(dice: random.Random) -> str:
    """One of few places, so that prefixes nest and meet; bogons and default routes among them."""
    if dice.random() < 0.3:
        length = dice.choice((0, 16, 29, 32, 48, 48, 56, 64))
        start = (0x20010DB9 << 96) + (dice.getrandbits(10) << 70)
        host = 128 - length
        return f"{ipaddress.IPv6Address(start >> host << host)}/{length}"
    length = dice.choice((0, 8, 14, 16, 20, 22, 24, 24, 24, 25, 32))
    start = dice.choice((0x05000000, 0x0A000000, 0x08080000)) + dice.getrandbits(18)
    host = 32 - length
    return f"{ipaddress.IPv4Address(start >> host << host)}/{length}"


def path(dice: random.Random) -> Path:
    steps: list[int | set[int]] = [dice.choice(ASES) for _ in range(dice.randrange(5))]
    if dice.random() < 0.15:
        steps.append({dice.choice(ASES) for _ in range(3)})
        if dice.random() < 0.5:
            steps.append(dice.choice(ASES))
    return steps


def dump(folder, rib: Rib, peers: Collection[str]) -> SourceFile:
    """The same routes as a file: (peer, prefix, identifier) -> path."""
    by_prefix: dict[str, list[tuple[int, Path]]] = {}
    for (peer, network, _), steps in rib.items():
        if peer in peers:
            by_prefix.setdefault(network, []).append((list(PEERS).index(peer), steps))
    data = mrt_writer.peers(*PEERS.values())
    for network, entries in by_prefix.items():
        address = ipaddress.ip_network(network)
        packed = address.network_address.packed[: (address.prefixlen + 7) // 8]
        body = bytes(4) + bytes([address.prefixlen]) + packed + len(entries).to_bytes(2, "big")
        body += b"".join(mrt_writer.entry(steps, peer=peer, extended=True) for peer, steps in entries)
        data += mrt_writer.record(2 if address.version == 4 else 4, body)
    file = folder / "dump.mrt"
    file.write_bytes(data)
    return SourceFile(file)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("dumps")


@given(
    seed=st.integers(0, 1 << 32),
    size=st.sampled_from((1, 40, 400)),
    rounds=st.integers(1, 4),
    adding=st.booleans(),
)
@settings(max_examples=examples(60))
def test_the_tables_are_those_of_a_dump_of_the_same_routes(folder, seed, size, rounds, adding):
    dice = random.Random(seed)
    writer = Exabgp()
    stream = Stream("exabgp", families=(32, 128), min_routes=0.0, forget=1e9, now=0.0)
    heard = stream.listen(), stream.listen()
    tables = (
        LiveTable("bgp", {"": [Streamed(stream)]}),
        LiveTable(
            "path",
            {name: [Streamed(stream, (peer,))] for name, peer in zip(("lon", "ams"), PEERS, strict=True)},
        ),
    )
    rib: Rib = {}

    def update(peer: str) -> None:
        asn = PEERS[peer]
        steps = path(dice)
        networks = list(dict.fromkeys(prefix(dice) for _ in range(dice.randrange(1, 4))))
        known = [key for key in rib if key[0] == peer]
        if known and dice.random() < 0.5:
            networks = [dice.choice(known)[1]]
        ids = [dice.randrange(1, 4) if adding else 0 for _ in networks]
        if dice.random() < 0.3 and known:
            stream.line(writer.withdraw(peer, *networks, ids=ids if adding else (), asn=asn), 0.0)
            for key in zip(networks, ids, strict=True):
                rib.pop((peer, *key), None)
        else:
            stream.line(writer.announce(peer, steps, *networks, ids=ids if adding else (), asn=asn), 0.0)
            rib.update({(peer, *key): steps for key in zip(networks, ids, strict=True)})

    for peer, asn in PEERS.items():
        stream.line(writer.up(peer, asn), 0.0)
        for _ in range(size):
            update(peer)
        # a session without any route is never whole
        stream.line(writer.announce(peer, [174], "5.5.5.0/24", ids=(9,) if adding else (), asn=asn), 0.0)
        rib[peer, "5.5.5.0/24", 9 if adding else 0] = [174]
        for family in ("ipv4", "ipv6"):
            stream.line(writer.eor(peer, family, asn), 0.0)
    for _ in range(rounds):
        stream.tick(0.0)
        assert stream.waiting((), 0.0) == ""
        for table, changed in zip(tables, heard, strict=True):
            for bits, numbers in changed.items():
                table.choose(bits, numbers, Report())
                numbers.clear()
        expected = {
            "bgp": flatten([MrtSource(dump(folder, rib, PEERS), "bgp")], Report()),
        }
        views = {}
        for name, peer in zip(("lon", "ams"), PEERS, strict=True):
            if any(key[0] == peer for key in rib):
                views[name] = flatten([MrtSource(dump(folder, rib, (peer,)), "path")], Report())
        expected["path"] = merge(views)
        for table in tables:
            made = table.built({})
            ranges = expected[table.name]
            assert made.fields[f"{table.name}.prefixes"] == str(
                sum(family.prefixes for family in ranges.values())
            )
            assert made.fields[f"{table.name}.ranges"] == str(
                sum(len(family.starts) for family in ranges.values())
            )
            for built, (bits, each) in zip(made.pages, sorted(ranges.items()), strict=True):
                whole = page_builder.build(bits, each.starts, each.records)
                assert built.root == whole.root
                assert built.pages == whole.pages
        for _ in range(dice.choice((1, 20))):
            update(dice.choice(list(PEERS)))
    assert stream.counts.bad == 0, stream.last_bad

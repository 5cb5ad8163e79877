"""Writes and reads MRT TABLE_DUMP_V2 for tests: plainly, after RFC 6396, apart from the reader under test."""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterator, Sequence
from typing import Any

Path = Sequence[int | set[int]]
"""AS numbers and AS sets, first to last."""

SET, SEQUENCE, CONFED_SEQUENCE = 1, 2, 3


def record(subtype: int, body: bytes, kind: int = 13) -> bytes:
    return struct.pack(">IHHI", 1_400_824_800, kind, subtype, len(body)) + body


def peers(*asns: int) -> bytes:
    """A peer index table; peers by turns with 2-byte AS and IPv4, 4-byte AS and IPv6."""
    body = struct.pack(">IH", 0x7F000001, 4) + b"view" + struct.pack(">H", len(asns))
    for asn in asns:
        body += (
            bytes([3]) + bytes(4) + bytes(16) + asn.to_bytes(4, "big")
            if asn > 65535
            else (bytes([0]) + bytes(4) + bytes(4) + asn.to_bytes(2, "big"))
        )
    return record(1, body)


def segment(kind: int, asns: Sequence[int]) -> bytes:
    return bytes([kind, len(asns)]) + b"".join(asn.to_bytes(4, "big") for asn in asns)


def path_value(path: Path) -> bytes:
    value = b""
    run: list[int] = []
    for step in path:
        if isinstance(step, set):
            value += (segment(SEQUENCE, run) if run else b"") + segment(SET, sorted(step))
            run = []
        else:
            run.append(step)
    return value + (segment(SEQUENCE, run) if run else b"")


def entry(path: Path | bytes, *, peer: int = 0, add_path: bool = False, extended: bool = False) -> bytes:
    """One RIB entry: ORIGIN, AS_PATH and a next hop."""
    value = path if isinstance(path, bytes) else path_value(path)
    size = len(value).to_bytes(2, "big") if extended else bytes([len(value)])
    attributes = (
        b"\x40\x01\x01\0"
        + bytes([0x50 if extended else 0x40, 2])
        + size
        + value
        + b"\x40\x03\x04\x01\x02\x03\x04"
    )
    identifier = struct.pack(">I", 7) if add_path else b""
    return struct.pack(">HI", peer, 0) + identifier + struct.pack(">H", len(attributes)) + attributes


def rib(prefix: str, *paths: Path | bytes, add_path: bool = False, **options: Any) -> bytes:
    """A RIB record with an entry for each path."""
    network = ipaddress.ip_network(prefix)
    subtype = (2 if network.version == 4 else 4) + (6 if add_path else 0)
    packed = network.network_address.packed[: (network.prefixlen + 7) // 8]
    entries = [entry(path, add_path=add_path, **options) for path in paths]
    count = struct.pack(">H", len(entries))
    return record(subtype, struct.pack(">IB", 0, network.prefixlen) + packed + count + b"".join(entries))


def read(data: bytes) -> Iterator[tuple[str, list[list[tuple[int, list[int]]]]]]:
    """Prefix and, for each entry, the segments of its path."""
    at = 0
    while at < len(data):
        _, kind, subtype, size = struct.unpack(">IHHI", data[at : at + 12])
        body = data[at + 12 : at + 12 + size]
        at += 12 + size
        if kind != 13 or subtype not in {2, 4}:
            continue
        length = body[4]
        width = 4 if subtype == 2 else 16
        used = (length + 7) // 8
        address = ipaddress.ip_address(body[5 : 5 + used] + bytes(width - used))
        entries = []
        here = 7 + used
        while here < len(body):
            (attributes,) = struct.unpack(">H", body[here + 6 : here + 8])
            entries.append(list(segments(body[here + 8 : here + 8 + attributes])))
            here += 8 + attributes
        yield f"{address}/{length}", entries


def segments(attributes: bytes) -> Iterator[tuple[int, list[int]]]:
    while attributes:
        head = 4 if attributes[0] & 0x10 else 3
        size = int.from_bytes(attributes[2:head], "big")
        value = attributes[head : head + size]
        if attributes[1] == 2:
            while value:
                yield (
                    value[0],
                    [int.from_bytes(value[i : i + 4], "big") for i in range(2, 2 + 4 * value[1], 4)],
                )
                value = value[2 + 4 * value[1] :]
        attributes = attributes[head + size :]

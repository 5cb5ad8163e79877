"""Writes small MMDB files for tests: any tree, any data, any alias, and metadata that may be wrong."""

from __future__ import annotations

import ipaddress
import json
import struct
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

MARKER = b"\xab\xcd\xefMaxMind.com"


class Database:
    """Writes MMDB files (format specification 2.0): small trees, any data, any alias."""

    def __init__(self, *, version: int = 6, record_size: int = 24, kind: str = "Test-Country") -> None:
        self.bits = 128 if version == 6 else 32
        self.version, self.record_size, self.kind = version, record_size, kind
        self.nodes: list[list[Any]] = [[None, None]]
        self.data = bytearray()
        self.offsets: dict[str, int] = {}

    def add(self, network: str, data: Any) -> Database:
        """Put *data* at a network; IPv4 goes under `::/96` in an IPv6 tree."""
        key = json.dumps(data)
        if key not in self.offsets:
            self.offsets[key] = len(self.data)
            self.data += encode(data)
        self._set(network, ("data", self.offsets[key]))
        return self

    def alias(self, network: str) -> Database:
        """Let a network lead to where IPv4 begins."""
        node = 0
        for _ in range(96):
            node = self._child(node, 0)
        self._set(network, node)
        return self

    def _set(self, network: str, target: Any) -> None:
        prefix = ipaddress.ip_network(network)
        value, length = int(prefix.network_address), prefix.prefixlen
        if prefix.version == 4 and self.bits == 128:
            length += 96
        node = 0
        for depth in range(1, length):
            node = self._child(node, value >> (self.bits - depth) & 1)
        self.nodes[node][value >> (self.bits - length) & 1] = target

    def _child(self, node: int, side: int) -> int:
        child = self.nodes[node][side]
        if not isinstance(child, int):
            self.nodes.append([child, child])
            child = self.nodes[node][side] = len(self.nodes) - 1
        return child

    def tree(self) -> bytes:
        """The search tree."""
        return b"".join(self._node(*map(self._record, node)) for node in self.nodes)

    def _record(self, target: Any) -> int:
        if target is None:
            return len(self.nodes)
        return target if isinstance(target, int) else len(self.nodes) + 16 + target[1]

    def _node(self, left: int, right: int) -> bytes:
        if self.record_size == 28:
            middle = left >> 24 << 4 | right >> 24
            return (
                (left & 0xFFFFFF).to_bytes(3, "big") + bytes([middle]) + (right & 0xFFFFFF).to_bytes(3, "big")
            )
        width = self.record_size // 8
        return left.to_bytes(width, "big") + right.to_bytes(width, "big")

    def write(self, path: Path, **metadata: Any) -> Path:
        """The file, with metadata of which some may be wrong on purpose."""
        about = {
            "binary_format_major_version": 2, "binary_format_minor_version": 0, "build_epoch": 1_769_904_000,
            "database_type": self.kind, "description": {"en": "test"}, "ip_version": self.version,
            "languages": ["en"], "node_count": len(self.nodes), "record_size": self.record_size,
        } | metadata  # fmt: skip
        path.write_bytes(self.tree() + bytes(16) + self.data + MARKER + encode(about))
        return path


def encode(value: Any, width: int = 4) -> bytes:
    """A value of the data section; *width* is that of an integer, in bytes."""
    if isinstance(value, float):
        return bytes([3 << 5 | 8]) + struct.pack(">d", value)
    if isinstance(value, int):
        raw = value.to_bytes((value.bit_length() + 7) // 8, "big")
        return bytes({2: [5 << 5 | len(raw)], 4: [6 << 5 | len(raw)], 8: [len(raw), 2]}[width]) + raw
    if isinstance(value, str):
        raw = value.encode()
        head = [2 << 5 | len(raw)] if len(raw) < 29 else [2 << 5 | 29, len(raw) - 29]
        return bytes(head) + raw
    if isinstance(value, list):
        return bytes([len(value), 4]) + b"".join(map(encode, value))
    widths = {"build_epoch": 8, "node_count": 4, "geoname_id": 4}
    items = ((encode(key), encode(item, widths.get(key, 2))) for key, item in value.items())
    return bytes([7 << 5 | len(value)]) + b"".join(key + item for key, item in items)

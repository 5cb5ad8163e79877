"""A speaker of BGP for tests, apart from the programs under test: announces routes to one neighbour, and takes none.

Plainly after RFC 4271 (messages), RFC 4760 (other families), RFC 6793 (four-byte ASes), RFC 4724 (End-of-RIB).
"""

from __future__ import annotations

import ipaddress
import socket
import struct
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MARKER = b"\xff" * 16
OPEN, UPDATE, KEEPALIVE = 1, 2, 4
HOLD = 90
ROOM = 4096 - 23
"""Bytes for what an UPDATE holds."""


def message(kind: int, body: bytes = b"") -> bytes:
    return MARKER + struct.pack(">HB", 19 + len(body), kind) + body


def attribute(kind: int, value: bytes, flags: int = 0x40) -> bytes:
    return bytes([flags | 0x10, kind]) + struct.pack(">H", len(value)) + value


def nlri(prefix: str) -> bytes:
    network = ipaddress.ip_network(prefix)
    return bytes([network.prefixlen]) + network.network_address.packed[: (network.prefixlen + 7) // 8]


class Speaker:
    """One session, that begins when it is made and ends with `close`."""

    def __init__(self, local: str, peer: tuple[str, int], asn: int) -> None:
        self.asn = asn
        self._local = local
        self._socket = socket.create_connection(peer, timeout=20, source_address=(local, 0))
        self._socket.sendall(self._open())
        self._input = self._socket.makefile("rb")
        assert self._receive() == OPEN
        self._socket.sendall(message(KEEPALIVE))
        assert self._receive() == KEEPALIVE
        self._socket.settimeout(None)
        self._done = threading.Event()
        threading.Thread(target=self._drain, daemon=True).start()
        threading.Thread(target=self._keep_alive, daemon=True).start()

    def announce(self, path: Sequence[int], prefixes: Iterable[str]) -> None:
        """Announce routes that share a path."""
        segment = bytes([2, len(path)]) + b"".join(number.to_bytes(4, "big") for number in path)
        shared = attribute(1, b"\0") + attribute(2, segment)
        four = shared + attribute(3, ipaddress.ip_address(self._local).packed)
        six: list[bytes] = []
        batch: list[bytes] = []
        size = 0
        for prefix in prefixes:
            packed = nlri(prefix)
            if ":" in prefix:
                six.append(packed)
                continue
            if size + len(packed) > ROOM - len(four):
                self._update(b"", four, b"".join(batch))
                batch, size = [], 0
            batch.append(packed)
            size += len(packed)
        if batch:
            self._update(b"", four, b"".join(batch))
        hop = ipaddress.ip_address("2001:db8::1").packed
        for low in range(0, len(six), 200):
            reach = struct.pack(">HBB", 2, 1, 16) + hop + b"\0" + b"".join(six[low : low + 200])
            self._update(b"", shared + attribute(14, reach, 0x80), b"")

    def withdraw(self, *prefixes: str) -> None:
        """Withdraw routes of IPv4."""
        self._update(b"".join(map(nlri, prefixes)), b"", b"")

    def end_of_rib(self) -> None:
        """Of both families."""
        self._update(b"", b"", b"")
        self._update(b"", attribute(15, struct.pack(">HB", 2, 1), 0x80), b"")

    def close(self) -> None:
        """End the session without a word, as a router that lost its power."""
        self._done.set()
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _open(self) -> bytes:
        families = b"".join(struct.pack(">BBHBB", 1, 4, family, 0, 1) for family in (1, 2))
        capabilities = families + struct.pack(">BBI", 65, 4, self.asn) + struct.pack(">BBH", 64, 2, 0)
        parameters = bytes([2, len(capabilities)]) + capabilities
        router = ipaddress.ip_address(self._local).packed
        short = self.asn if self.asn < 65536 else 23456
        return message(
            OPEN, struct.pack(">BHH", 4, short, HOLD) + router + bytes([len(parameters)]) + parameters
        )

    def _update(self, withdrawn: bytes, attributes: bytes, routes: bytes) -> None:
        body = struct.pack(">H", len(withdrawn)) + withdrawn + struct.pack(">H", len(attributes)) + attributes
        self._socket.sendall(message(UPDATE, body + routes))

    def _receive(self) -> int:
        head = self._input.read(19)
        self._input.read(int.from_bytes(head[16:18], "big") - 19)
        return head[18]

    def _drain(self) -> None:
        with suppress(OSError, IndexError, ValueError):
            while True:
                self._receive()

    def _keep_alive(self) -> None:
        while not self._done.wait(HOLD / 3):
            with suppress(OSError):
                self._socket.sendall(message(KEEPALIVE))

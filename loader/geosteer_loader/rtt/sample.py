"""One measurement, and how a client's address is cut before anything else sees it."""

from __future__ import annotations

import ipaddress
from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

ANSWERED = 0.0
"""In place of a round-trip time: the node answered, in a time that is none."""
KEPT = {32: 24, 128: 48}
"""Address bits -> bits of a client that are kept: nothing longer is ever stored or logged."""


class Sample(NamedTuple):
    """What one client network saw of one node at one time."""

    time: float
    """Seconds since 1970."""
    bits: int
    """32 or 128."""
    network: int
    """First address of the client's /24 or /48."""
    node: str
    milliseconds: float | None
    """Round-trip time; `ANSWERED`: not known; None: the node did not answer."""
    weight: float = 1.0
    """Measurements that it stands for."""


@dataclass(slots=True)
class Tally:
    """What became of the lines of an input."""

    taken: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    """Reason -> how many; the reasons are few and fixed."""

    def drop(self, reason: str) -> None:
        """Count one that is left out."""
        self.dropped[reason] += 1


def network_of(address: str) -> tuple[int, int]:
    """Address bits and first address of the /24 or /48 that holds an address or prefix; one mapped into IPv6 is IPv4.

    Raises: ValueError: it is no address of a host, or a prefix that is wider.
    """
    address, slash, length = address.partition("/")
    if slash and not (length.isascii() and length.isdigit() and len(length) <= 3):
        raise ValueError("not a prefix")
    bits, network = _network_of(address)
    if slash and not KEPT[bits] <= int(length) <= bits:
        raise ValueError("not a prefix of one network")
    return bits, network


def _network_of(address: str) -> tuple[int, int]:
    if ":" not in address:
        numbers = [
            int(part)
            for part in address.split(".", 4)
            if part.isascii() and part.isdigit() and len(part) <= 3
        ]
        if len(numbers) != 4 or max(numbers) > 255 or address.count(".") != 3:
            raise ValueError("not an address")
        return _host(32, numbers[0] << 24 | numbers[1] << 16 | numbers[2] << 8)
    if len(address) > 45 or "%" in address:
        raise ValueError("not an address")
    parsed = ipaddress.IPv6Address(address)
    if parsed.ipv4_mapped is not None:
        return _host(32, int(parsed.ipv4_mapped) >> 8 << 8)
    return _host(128, int(parsed) >> 80 << 80)


def _host(bits: int, first: int) -> tuple[int, int]:
    top = first >> (bits - 8)
    if (top == 0 and bits == 32) or (top >= 224 if bits == 32 else top == 255 or first == 0):
        raise ValueError("not a host")
    return bits, first

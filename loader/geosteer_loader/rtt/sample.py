"""One measurement, and how a client's address is cut before anything else sees it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from geosteer.cmodules import pack_address

ANSWERED = 0.0
"""In place of a round-trip time: the node answered, in a time that is none."""
MAPPED = bytes(10) + b"\xff\xff"
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

    def add(self, other: Tally) -> None:
        """Count in what became of more lines."""
        self.taken += other.taken
        self.dropped += other.dropped


@lru_cache(maxsize=65536)  # clients come again
def network_of(address: str) -> tuple[int, int]:
    """Address bits and first address of the /24 or /48 that holds an address or prefix; one mapped into IPv6 is IPv4.

    Raises: ValueError: it is no address of a host, or a prefix that is wider.
    """
    address, slash, length = address.partition("/")
    try:
        packed = pack_address(address)
    except ValueError:
        raise ValueError("not an address") from None  # which one is nobody's business
    bits = 8 * len(packed)
    if slash and not (length.isascii() and length.isdigit() and KEPT[bits] <= int(length[:4]) <= bits):
        raise ValueError("not a prefix of one network")
    if packed[:12] == MAPPED:
        if slash and int(length) < 96 + KEPT[32]:
            raise ValueError("not a prefix of one network")
        bits, packed = 32, packed[12:]
    if bits == 32:
        if packed[0] == 0 or packed[0] >= 224:
            raise ValueError("not a host")
        return 32, int.from_bytes(packed[:3], "big") << 8
    if packed[0] == 255 or not any(packed):
        raise ValueError("not a host")
    return 128, int.from_bytes(packed[:6], "big") << 80

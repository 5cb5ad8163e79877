"""Random numbers from the system, without the weight of `random`."""

from __future__ import annotations

import os


def below(limit: int) -> int:
    """A random integer from 0 to *limit* - 1; the bias of a remainder of 64 bits is of no account."""
    return int.from_bytes(os.urandom(8), "big") % limit


def ticket() -> float:
    """A random number in [0, 1)."""
    return (int.from_bytes(os.urandom(8), "big") >> 11) / (1 << 53)

"""What all readers of lines share: names of nodes, times, numbers."""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

from geosteer.timestamps import parse_time
from geosteer_loader.rtt.sample import Sample, Tally, network_of
from geosteer_loader.rtt.sketch import LEAST, MOST

LONGEST = 65536
"""Bytes of a line; a longer one is left out."""
SKEW = 60.0
"""Seconds that a clock may be ahead."""
EARLIEST = 946_684_800.0
"""2000: what is older has no clock."""


class Left(Exception):
    """A measurement that does not count; the text is one of few reasons."""


@dataclass(frozen=True, slots=True)
class Scene:
    """What a reader knows besides its lines."""

    nodes: Mapping[str, str]
    """Node names and addresses -> node."""
    now: float
    """Seconds since 1970: what is later was not measured yet."""
    oldest: float = EARLIEST
    """Seconds since 1970: what is earlier is forgotten already."""
    node: str = ""
    """The node whose own log it is."""
    network: tuple[int, int] | None = None
    """Address bits and network of a proxy whose log it is: it is the proxy that connected, not its clients."""


Reader = Callable[[str, Scene, Tally], Iterator[Sample]]
"""Of one line; it raises `Left` or ValueError, TypeError, KeyError for what it cannot take."""


def node_of(name: object, scene: Scene) -> str:
    """The node of that name or address. Raises: Left."""
    if not isinstance(name, str):
        raise Left("unknown node")
    node = scene.nodes.get(name)
    if node is None and ":" in name and len(name) <= 45:  # another way to write the same address
        with suppress(ValueError):
            address = ipaddress.IPv6Address(name)
            node = scene.nodes.get(str(address.ipv4_mapped or address))
    if node is None:
        raise Left("unknown node")
    return node


def client_of(address: object) -> tuple[int, int]:
    """Address bits and network of a client. Raises: Left."""
    try:
        return network_of(address if isinstance(address, str) else "")
    except ValueError:
        raise Left("invalid client") from None


def time_of(value: object, scene: Scene) -> float:
    """Seconds since 1970, of a number or ISO 8601; not in the future, nor so old that it counts no more. Raises: Left."""
    try:
        seconds = parse_time(value) if isinstance(value, str) and "T" in value else number(value)
    except ValueError:
        raise Left("invalid time") from None
    if not scene.oldest <= seconds <= scene.now + SKEW:
        raise Left("invalid time" if seconds > scene.now or seconds < EARLIEST else "too old")
    return seconds


def number(value: object) -> float:
    """A finite number, or the text of one. Raises: Left."""
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float | str)
        or (isinstance(value, str) and len(value) > 30)
    ):
        raise Left("invalid number")
    try:
        told = float(value)
    except (ValueError, OverflowError):
        raise Left("invalid number") from None
    if not math.isfinite(told):
        raise Left("invalid number")
    return told


def milliseconds(value: object) -> float:
    """A round-trip time. Raises: Left: no light is that fast, or nobody waits that long."""
    time = number(value)
    if not LEAST <= time <= MOST:
        raise Left("time out of range")
    return time

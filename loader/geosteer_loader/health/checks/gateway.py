"""Whether this machine's default gateway is there: a prober's default control target.

Nothing is sent. The probes have just gone that way, and the kernel asks for a neighbour that does not answer once more within
seconds (arp(7)); what it found is in `/proc/net`. IPv4 only: the kernel does not list IPv6 neighbours there.
"""

from __future__ import annotations

import socket
import struct
from pathlib import Path

_GATEWAY = 0x2
"""Flag of a route that leads through a gateway (RTF_GATEWAY, linux/route.h)."""
_COMPLETE = 0x2
"""Flag of a neighbour whose hardware address is known (ATF_COM, linux/if_arp.h)."""


def reachable(proc: Path = Path("/proc/net")) -> bool:
    """Whether a default gateway is there; True also where there is none, or nothing is known of it."""
    try:
        routes, neighbours = (proc / "route").read_text(), (proc / "arp").read_text()
    except OSError:
        return True  # another kernel
    ways, known = gateways(routes), answering(neighbours)
    return not ways or any(known.get(way, True) for way in ways)


def gateways(routes: str) -> list[tuple[str, str]]:
    """Address and interface of each default gateway, from the text of `/proc/net/route`."""
    default_routes = []
    for line in routes.splitlines()[1:]:
        fields = line.split()
        try:
            interface, target, gateway, flags, mask = (fields[at] for at in (0, 1, 2, 3, 7))
            if int(target, 16) == int(mask, 16) == 0 and int(flags, 16) & _GATEWAY:
                default_routes.append((socket.inet_ntoa(struct.pack("=I", int(gateway, 16))), interface))
        except (IndexError, ValueError, struct.error):
            continue
    return default_routes


def answering(neighbours: str) -> dict[tuple[str, str], bool]:
    """Address and interface of each neighbour -> whether it answers, from the text of `/proc/net/arp`."""
    complete = {}
    for line in neighbours.splitlines()[1:]:
        fields = line.split()
        try:
            complete[fields[0], fields[5]] = bool(int(fields[2], 16) & _COMPLETE)
        except (IndexError, ValueError):
            continue
    return complete

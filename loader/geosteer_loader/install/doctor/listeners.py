"""Links that are sockets: who else has the addresses on which PowerDNS is to answer."""

from __future__ import annotations

import errno
import re
import socket
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import TYPE_CHECKING

from geosteer_loader.install.doctor.link import wrong
from geosteer_loader.install.doctor.units import PDNS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from geosteer_loader.install.doctor.link import Link
    from geosteer_loader.install.doctor.scene import Scene

MOST = 4096
"""Processes that are looked at."""


def listeners(scene: Scene) -> Iterator[Link]:
    """Nobody but PowerDNS's unit has its port. Only on a host that serves; as root."""
    if not scene.place.system or not scene.host.here or scene.pdns is None:
        return
    port = int(text) if (text := scene.pdns.get("local-port", "53")).isdigit() else 53
    for word in scene.pdns.get("local-address", "0.0.0.0").replace(",", " ").split():
        try:
            address = ip_address(word)
        except ValueError:
            continue  # with a port of its own, or wrong: PowerDNS says so
        if not _ours(address):
            file = scene.pdns_origins.get("local-address", scene.place.pdns_config)
            yield wrong(
                "listening",
                f"local-address={word} is no address of this host",
                f"ip -brief address; write one of these as local-address= into {file}; {scene.restart_pdns}",
                "PowerDNS does not start: it cannot bind it",
            )
        for pid in sorted(_holders(_sockets(address, port))):
            unit, name = unit_of(pid), _text(f"/proc/{pid}/comm").strip()
            if unit == PDNS:
                continue
            end = f"systemctl disable --now {unit}" if unit else f"kill {pid}"
            yield wrong(
                "listening",
                f"{address} port {port} is held by {name} (process {pid}{f', {unit}' if unit else ''}), not by {PDNS}",
                f"{end} && {scene.restart_pdns}",
                "PowerDNS does not start, or clients ask the other one",
            )


def _ours(address: IPv4Address | IPv6Address) -> bool:
    """Whether a socket can have the address here."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((str(address), 0))
    except OSError as exc:
        return exc.errno != errno.EADDRNOTAVAIL
    return True


def unit_of(pid: int) -> str:
    """The service that a process belongs to; "": to none."""
    path = _text(f"/proc/{pid}/cgroup").strip().splitlines()
    named = re.search(r"([^/]+\.service)(/|$)", path[-1]) if path else None
    return named[1] if named else ""


def _sockets(address: IPv4Address | IPv6Address, port: int) -> set[str]:
    """Inodes of UDP sockets that take questions to an address, or keep another one from taking it (proc_net(5))."""
    inodes = set()
    for table in ("udp", "udp6"):
        for line in _text(f"/proc/net/{table}").splitlines()[1:]:
            fields = line.split()
            where, _, number = fields[1].partition(":")
            if int(number, 16) != port:
                continue
            bound = _address(where)
            either = address.is_unspecified or bound.is_unspecified
            if bound == address or (either and bound.version in {address.version, 6}):
                inodes.add(fields[9])
    return inodes


def _address(text: str) -> IPv4Address | IPv6Address:
    """As the kernel writes it: words of 32 bits in the host's order of bytes."""
    packed = b"".join(int(text[at : at + 8], 16).to_bytes(4, "little") for at in range(0, len(text), 8))
    return IPv4Address(packed) if len(packed) == 4 else IPv6Address(packed)


def _holders(inodes: set[str]) -> set[int]:
    if not inodes:
        return set()
    wanted = {f"socket:[{inode}]" for inode in inodes}
    holders = set()
    for folder in list(Path("/proc").glob("[0-9]*"))[:MOST]:
        try:
            if any(str(each.readlink()) in wanted for each in (folder / "fd").iterdir()):
                holders.add(int(folder.name))
        except OSError:
            continue  # it ended, or is not ours to look at
    return holders


def _text(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace")
    except OSError:
        return ""

"""Check `tcp`: every address of the node accepts a connection."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

from geosteer_loader.health.checks.failures import failed
from geosteer_loader.health.checks.result import Result

if TYPE_CHECKING:
    from collections.abc import Sequence


async def connect(addresses: Sequence[str], port: int) -> Result:
    """Connect to all addresses at once; the worst result counts. Runs until a time limit of the caller's."""
    found = await asyncio.gather(*(_connect(address, port) for address in addresses))
    several = len(addresses) > 1
    for address, result in zip(addresses, found, strict=True):
        if result.good is False:
            return Result(False, f"{address}: {result.reason}") if several else result
    if any(result.good for result in found):
        return Result(True)  # addresses that cannot be looked at from here say nothing
    return found[0] if found else Result(None, "the node has no address")


async def _connect(host: str, port: int) -> Result:
    loop = asyncio.get_running_loop()
    found = Result(False, "does not resolve")
    try:
        for family, kind, protocol, _, address in await resolve(host, port):
            found = await _connect_one(loop, socket.socket(family, kind, protocol), address, host)
            if found.good:
                break
    except OSError as exc:
        return failed(exc, host)
    return found


async def _connect_one(
    loop: asyncio.AbstractEventLoop, connection: socket.socket, address: Any, host: str
) -> Result:
    with connection:
        connection.setblocking(False)
        try:
            await loop.sock_connect(connection, address)
        except OSError as exc:
            return failed(exc, host)
    return Result(True)


async def resolve(host: str, port: int) -> list[Any]:
    """As `socket.getaddrinfo` gives it; only a name costs a thread. Raises: OSError."""
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except socket.gaierror:
        loop = asyncio.get_running_loop()
        return await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)

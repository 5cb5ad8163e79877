"""Check `tcp`: every address of the node accepts a connection."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from geosteer_loader.health.checks.connect import Unreachable
from geosteer_loader.health.checks.result import Result

if TYPE_CHECKING:
    from collections.abc import Sequence

    from geosteer_loader.health.checks.connect import Connector


async def connect(connector: Connector, hosts: Sequence[str], port: int, timeout: float) -> Result:
    """Connect to all hosts at once; the worst result counts. Runs until a time limit of the caller's.

    Args: hosts: addresses; or names, of each of which one address has to accept.
    """
    results = await asyncio.gather(*(_connect(connector, host, port, timeout) for host in hosts))
    several = len(hosts) > 1
    for host, result in zip(hosts, results, strict=True):
        if result.good is False:
            return Result(False, f"{host}: {result.reason}") if several else result
    # Addresses that cannot be reached from here, for want of IPv6 perhaps, say nothing of the node.
    return next(
        (result for result in results if result.good),
        results[0] if results else Result(None, "the node has no address"),
    )


async def _connect(connector: Connector, host: str, port: int, timeout: float) -> Result:
    try:
        connection, warning = await connector.open(host, port, timeout)
    except Unreachable as exc:
        return exc.result
    connection.close()
    return Result(True, warning=warning)

"""Connections to nodes: to one address, or to the first address of a name that accepts (RFC 8305)."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING

from geosteer_loader.health.checks.failures import failed
from geosteer_loader.health.checks.resolver import CannotResolve, NoSuchName
from geosteer_loader.health.checks.result import Result

if TYPE_CHECKING:
    from collections.abc import Sequence

    from geosteer_loader.health.checks.resolver import Endpoint, Resolver

STAGGER = 0.25
"""Seconds after which the next address is tried as well; RFC 8305, section 5 recommends them."""
SHORT = 0.25
"""... or this part of the check's timeout, if that is less."""


class Unreachable(Exception):
    """No connection; `result` says what that means."""

    def __init__(self, result: Result) -> None:
        super().__init__(result.reason)
        self.result = result


class CannotCheck(Exception):
    """No check can be made here, for a reason that says nothing of the node."""


class Connector:
    """Connects to the hosts of one check within its timeout."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self.unresolved = ""
        """The name that was still being looked up when the check was ended, which says nothing of the node."""

    async def open(self, host: str, port: int, timeout: float) -> tuple[socket.socket, str]:
        """A connection to a name or a literal address, and a warning ("": none); the caller closes it.

        Args: timeout: seconds that the whole check may take; the caller ends it then.
        Raises: Unreachable.
        """
        try:
            endpoints = await self._resolver.resolve(host, port, timeout)
        except asyncio.CancelledError:
            self.unresolved = host
            raise
        except NoSuchName as exc:
            raise Unreachable(Result(False, str(exc))) from exc
        except CannotResolve as exc:
            raise Unreachable(Result(None, f"this prober cannot check: {exc}")) from exc
        return await first(endpoints.found, min(STAGGER, SHORT * timeout)), endpoints.warning


async def first(endpoints: Sequence[Endpoint], stagger: float) -> socket.socket:
    """A connection to the first address that accepts; each is tried *stagger* seconds after the last, or once that failed.

    Raises: Unreachable: none did; the first failure of the node counts, before those of the prober.
    """
    waiting = list(reversed(endpoints))
    attempts: set[asyncio.Task[socket.socket]] = set()
    failures: list[Result] = []
    try:
        while waiting or attempts:
            if waiting:
                attempts.add(asyncio.create_task(_connect(waiting.pop())))
            done, attempts = await asyncio.wait(
                attempts,
                timeout=stagger if waiting else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            connected = [task.result() for task in done if task.exception() is None]
            for spare in connected[1:]:
                spare.close()
            if connected:
                return connected[0]
            failures += [exc.result for task in done if isinstance(exc := task.exception(), Unreachable)]
    finally:
        await _end(attempts)
    blamed = [failure for failure in failures if failure.good is False]
    raise Unreachable((blamed or failures or [Result(None, "the name has no address")])[0])


async def _connect(endpoint: Endpoint) -> socket.socket:
    connection: socket.socket | None = None
    try:
        connection = socket.socket(endpoint.family, socket.SOCK_STREAM)
        connection.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connection, endpoint.address)
    except BaseException as exc:
        if connection is not None:
            connection.close()
        if isinstance(exc, OSError):
            raise Unreachable(failed(exc, endpoint.host)) from exc
        raise
    return connection


async def _end(attempts: set[asyncio.Task[socket.socket]]) -> None:
    for task in attempts:
        task.cancel()
    for task in attempts:
        with contextlib.suppress(asyncio.CancelledError, Unreachable):
            (await task).close()  # it was quicker than the cancelling

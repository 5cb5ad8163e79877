"""Host names to addresses, for checks: a dead resolver delays no other check and takes no node down.

Every name is looked up in a thread of its own, one at a time for each name: `getaddrinfo` cannot be ended, and where no
server answers it takes up to half a minute (resolv.conf(5): `timeout`, `attempts`).
"""

from __future__ import annotations

import asyncio
import socket
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

KEEP = 3600.0
"""Seconds that the last good addresses of a name are used while the resolver does not answer."""

SLOW = 60.0
"""Seconds for which they are used without a warning: a resolver that is merely slow refreshes them in time."""

MAX_ADDRESSES = 16
"""Addresses of one name that are tried."""

_WAIT = 0.5
"""Part of a check's timeout in which its name has to be resolved; the rest is for the node."""
_WAIT_WITH_KNOWN = 0.2
"""The same where addresses are known from before."""

_NOT_FOUND = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}
"""What `getaddrinfo` says when a name server answered that there is no such name, or no address for it."""


class Endpoint(NamedTuple):
    """Where to connect to: what `socket.socket` and `connect` want."""

    family: int
    address: tuple[Any, ...]

    @property
    def host(self) -> str:
        """The address without its port."""
        return str(self.address[0])


@dataclass(frozen=True, slots=True)
class Endpoints:
    """What a name stands for."""

    found: Sequence[Endpoint]
    warning: str = ""
    """The resolver does not answer, and these are the last good addresses."""


class NoSuchName(Exception):
    """A name server said that the name has no address: a fault of the node's configuration or of its zone."""


class CannotResolve(Exception):
    """This prober's resolver gave no answer, which says nothing of the node."""


class Resolver:
    """Looks names up, and remembers the last good addresses of each."""

    def __init__(
        self, now: Callable[[], float], lookup: Callable[[str], Sequence[Endpoint]] | None = None
    ) -> None:
        """Args: now: seconds on a clock that never goes back; lookup: blocks until it knows; raises OSError."""  # fmt: skip
        self._now = now
        self._lookup = lookup or look_up
        self._known: dict[str, tuple[float, Sequence[Endpoint]]] = {}
        self._running: dict[str, asyncio.Future[Sequence[Endpoint]]] = {}

    async def resolve(self, host: str, port: int, timeout: float) -> Endpoints:
        """The endpoints of a name or a literal address, families taking turns (RFC 8305, section 4).

        Args: timeout: seconds that the whole check may take.
        Raises: NoSuchName, CannotResolve.
        """
        literal = _literal(host)
        if literal is not None:
            return Endpoints([_with_port(literal, port)])
        known = self._last_good(host)
        wait = timeout * (_WAIT_WITH_KNOWN if known.found else _WAIT)
        try:
            async with asyncio.timeout(wait):
                # Shielded: a late answer is good for the next check.
                endpoints = await asyncio.shield(self._start(host))
        except TimeoutError:
            return _fallback(port, known, f"{host} did not resolve within {wait:g} s")
        except (UnicodeError, ValueError) as exc:  # what IDNA refuses
            raise CannotResolve(f"{host} is not a host name") from exc
        except socket.gaierror as exc:
            if exc.errno in _NOT_FOUND:
                self._known.pop(host, None)
                raise NoSuchName(f"{host} does not resolve: {exc.strerror}") from exc
            return _fallback(port, known, f"{host} does not resolve: {exc.strerror}")
        except OSError as exc:
            return _fallback(port, known, f"{host} does not resolve: {exc.strerror}")
        return Endpoints([_with_port(endpoint, port) for endpoint in endpoints])

    def _last_good(self, host: str) -> Endpoints:
        when, endpoints = self._known.get(host, (0.0, ()))
        age = self._now() - when
        if not endpoints or age > KEEP:
            return Endpoints(())
        return Endpoints(endpoints, "checked at its last known addresses" if age > SLOW else "")

    def _start(self, host: str) -> asyncio.Future[Sequence[Endpoint]]:
        """The look-up that is under way, or a new one."""
        running = self._running.get(host)
        if running is not None:
            return running
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Sequence[Endpoint]] = loop.create_future()

        def done(outcome: Sequence[Endpoint] | Exception) -> None:
            self._running.pop(host, None)
            if isinstance(outcome, Exception):
                future.set_exception(outcome)
                future.exception()  # retrieved, in case no check waits for it any more
                return
            now = self._now()
            self._known = {name: lookup for name, lookup in self._known.items() if now - lookup[0] <= KEEP}
            self._known[host] = now, outcome
            future.set_result(outcome)

        def run() -> None:
            outcome: Sequence[Endpoint] | Exception
            try:
                outcome = self._lookup(host)
            except Exception as exc:  # noqa: BLE001  # raised where it is waited for
                outcome = exc
            try:
                loop.call_soon_threadsafe(done, outcome)
            except RuntimeError:
                return  # the loop has ended meanwhile

        try:
            # A daemon: the end of the program does not wait for it.
            threading.Thread(target=run, name=f"resolve {host}", daemon=True).start()
        except RuntimeError as exc:
            raise OSError(0, "no thread can be started") from exc
        self._running[host] = future
        return future


def look_up(host: str) -> Sequence[Endpoint]:
    """The addresses from the system's resolver, IPv6 and IPv4 alternating. Raises: OSError, UnicodeError."""
    resolved = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)
    return interleaved([Endpoint(family, address) for family, _, _, _, address in resolved])


def interleaved(endpoints: Sequence[Endpoint]) -> list[Endpoint]:
    """The families by turns, beginning with that of the first; at most `MAX_ADDRESSES`."""
    if not endpoints:
        return []
    first = [endpoint for endpoint in dict.fromkeys(endpoints) if endpoint.family == endpoints[0].family]
    others = [endpoint for endpoint in dict.fromkeys(endpoints) if endpoint.family != endpoints[0].family]
    turns = max(len(first), len(others))
    mixed = [endpoint for at in range(turns) for endpoint in (*first[at : at + 1], *others[at : at + 1])]
    return mixed[:MAX_ADDRESSES]


def _literal(host: str) -> Endpoint | None:
    try:
        (family, _, _, _, address), *_ = socket.getaddrinfo(
            host, 0, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST
        )
    except (OSError, ValueError):
        return None
    return Endpoint(family, address)


def _with_port(endpoint: Endpoint, port: int) -> Endpoint:
    return Endpoint(endpoint.family, (endpoint.address[0], port, *endpoint.address[2:]))


def _fallback(port: int, known: Endpoints, reason: str) -> Endpoints:
    if not known.found:
        raise CannotResolve(reason)
    endpoints = [_with_port(endpoint, port) for endpoint in known.found]
    return Endpoints(endpoints, f"{reason}; {known.warning}" if known.warning else "")

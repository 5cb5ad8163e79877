"""A non-blocking connection to one place, and how one place after another is tried until a connection can be begun."""

from __future__ import annotations

from errno import EAGAIN, EINPROGRESS, EINTR, ENOTCONN
from select import POLLIN, poll

from geosteer.cmodules import pack_address, socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping, Sequence
    from typing import Any

    from geosteer.resp.resolver import Lookup
    from geosteer.resp.tls import Tunnel
    from geosteer.resp.url import Place

CHUNK = 1 << 14
"""Bytes read at once: some pages; a larger buffer would be allocated from the system for each reply."""


class Channel:
    """Bytes to one place and back, in TLS or not."""

    __slots__ = ("_poller", "_socket", "_tunnel", "connected", "fd", "plain")

    def __init__(self, host: str, port: int, tunnel: Tunnel | None) -> None:
        """Begin to connect. Args: port: 0 for a unix socket. Raises: OSError."""
        family, where = (address_family(host), (host, port)) if port else (socket.AF_UNIX, host)
        self._socket: Any = socket.socket(family or socket.AF_INET, socket.SOCK_STREAM)
        self._tunnel = tunnel
        self.plain = tunnel is None
        """What comes is what the other end said, without TLS."""
        self.connected = False
        """The connection stands, and is up to TLS."""
        self.fd: int = self._socket.fileno()
        self._poller: poll | None = None
        """For `await_data`."""
        try:
            self._socket.setblocking(False)
            if port:
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket.connect(where)
        except OSError as exc:
            # EAGAIN too is a failure: the backlog of a unix socket is full, nothing was begun
            if exc.errno != EINPROGRESS:
                self.close()
                raise

    def wants_write(self, out: bytearray) -> bool:
        """Whether to poll for room to write; *out*: what is to be sent."""
        return not self.connected or bool(out if self._tunnel is None else self._tunnel.sealed)

    def send(self, out: bytearray) -> None:
        """Send of *out* what can be sent now, and take it out of there. Raises: OSError: the connection failed."""
        try:
            if not self.connected:
                error = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if error:
                    raise OSError(error, "")
            if self._tunnel is not None:
                out = self._tunnel.seal(out)
            if out:
                del out[: self._socket.send(out)]
            self.connected = True
        except (BlockingIOError, InterruptedError):
            return
        except OSError as exc:
            if exc.errno != ENOTCONN:  # the connection is still being made
                raise

    def receive(self) -> bytes | None:
        """What came, at most `CHUNK` bytes of it; None: nothing for now.

        Raises: OSError: the connection failed, or has ended.
        """
        try:
            data: bytes = self._socket.recv(CHUNK)
        except (BlockingIOError, InterruptedError):
            return None
        except OSError as exc:
            if exc.errno in {EAGAIN, EINTR, ENOTCONN}:
                return None
            raise
        if not data:
            raise OSError("Redis closed the connection")
        return data

    def await_data(self, seconds: float) -> bytes | None:
        """As `receive`, but it waits for so long, and not for what is longer than a question may take."""
        poller = self._poller
        if poller is None:
            poller = self._poller = poll()
            poller.register(self.fd, POLLIN)
        return self.receive() if poller.poll(seconds * 1000 + 0.5) else None

    def opened(self, data: bytes) -> bytes:
        """What was received, decrypted where it has to be. Raises: OSError: it is not TLS."""
        return data if self._tunnel is None else self._tunnel.open(data)

    def close(self) -> None:
        """End the connection."""
        try:
            self._socket.close()
        except OSError:
            pass


class Dialer:
    """Tries one place after another; names are resolved on the way."""

    __slots__ = ("_context", "_files", "_server_name", "left", "lookup", "place")

    def __init__(self, place: Place, server_name: str, files: Mapping[str, str]) -> None:
        """Make one that has nothing to try.

        Args:
            place: where it is said to connect to before it does.
            server_name: what the peer's certificate must be for; "" without TLS.
            files: paths of certificates, as `tls.client_context` takes them.
        """
        self.place = place
        """Where it connects to, or has connected to."""
        self.left: list[Place] = []
        """Where to try next."""
        self.lookup: Lookup | None = None
        """A name that is being resolved."""
        self._server_name, self._files = server_name, files
        self._context: ssl.SSLContext | None = None

    def start(self, places: Sequence[Place]) -> None:
        """Start over with these."""
        self.drop()
        self.left = list(places)

    def next(self, reason: str) -> Channel | None:
        """A connection that has begun; None: a name has to be resolved first.

        Raises: OSError: nothing is left to try; it says why the last one failed, *reason* if that was before.
        """
        self.drop()
        while self.left:
            self.place = host, port = self.left.pop(0)
            try:
                if port and address_family(host) is None:
                    from geosteer.resp.resolver import Lookup

                    self.lookup = Lookup(host, port)
                    return None
                return Channel(host, port, self._tunnel() if self._server_name else None)
            except OSError as exc:
                reason = reason_of(exc)
        raise OSError(reason)

    def resolved(self) -> bool:
        """Whether a name that was being resolved is: then its addresses are what is tried next."""
        if self.lookup is None or not self.lookup.done:
            return False
        self.left[:0] = self.lookup.result()
        self.lookup = None
        return True

    def forget_certificates(self) -> None:
        """Read them again for the next connection: they may have been replaced."""
        self._context = None

    def drop(self) -> None:
        """Wait for no name any more."""
        if self.lookup is not None:
            self.lookup.drop()
            self.lookup = None

    def _tunnel(self) -> Tunnel:
        from geosteer.resp.tls import Tunnel, client_context

        if self._context is None:
            self._context = client_context(self._files)
        return Tunnel(self._context, self._server_name)


def address_family(host: str) -> int | None:
    """Of an address; None of a name."""
    if ":" in host:
        return socket.AF_INET6
    try:
        pack_address(host)
    except ValueError:
        return None
    return socket.AF_INET


def reason_of(exc: OSError) -> str:
    """Why, in words."""
    import os

    return os.strerror(exc.errno).lower() if exc.errno else str(exc)

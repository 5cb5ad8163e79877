"""What an error on the way to a node says: of the node, or of the prober itself."""

from __future__ import annotations

import errno
import os
import socket
import ssl

from geosteer_loader.health.checks.result import Result

_OURS = {
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOBUFS,
    errno.ENOMEM,
    errno.EADDRNOTAVAIL,
    errno.EACCES,
    errno.EPERM,
}
"""Errors of the prober's own machine."""

_AWAY = {errno.ENETUNREACH, errno.EAFNOSUPPORT}
"""Where the prober may have no way to an address at all."""

_WORDS = {
    errno.ECONNREFUSED: "connection refused",
    errno.ECONNRESET: "connection reset",
    errno.EHOSTUNREACH: "no route to the host",
    errno.ENETUNREACH: "network unreachable",
    errno.ETIMEDOUT: "no answer",
}


def failed(exc: OSError, address: str) -> Result:
    """What an error on the way to *address* (or to a name) says."""
    if isinstance(exc, ssl.SSLCertVerificationError):
        return Result(False, f"certificate: {exc.verify_message}")
    if isinstance(exc, ssl.SSLError):
        return Result(False, f"TLS: {(exc.reason or 'the handshake failed').replace('_', ' ').lower()}")
    if exc.errno in _OURS or (exc.errno in _AWAY and not routed(address)):
        return Result(None, f"this prober cannot check: {os.strerror(exc.errno or 0)}")
    if exc.errno is None:  # asyncio's own, while TLS begins
        return Result(False, "TLS: the handshake failed")
    return Result(False, _WORDS.get(exc.errno) or os.strerror(exc.errno))


def routed(address: str) -> bool:
    """Whether this machine has a route to an address; True for a name.

    A prober without IPv6 has no opinion of IPv6 addresses. Nothing is sent: connecting a UDP socket only asks the kernel.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        socket.inet_pton(family, address)
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((address, 9))
    except OSError as exc:
        return exc.errno not in _AWAY
    return True

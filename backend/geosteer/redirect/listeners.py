"""Sockets that a server listens on, from `ADDRESS:PORT`, `[ADDRESS]:PORT` or a path."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from geosteer.errors import ConfigError

BACKLOG = 2048


def listener(where: str) -> socket.socket:
    """A socket that listens there, to be inherited by worker processes. Raises: ConfigError: it cannot."""
    try:
        listening = _unix(where) if "/" in where else _tcp(where)
        listening.listen(BACKLOG)
    except (OSError, ValueError, OverflowError) as exc:
        raise ConfigError([f"--listen {where}: {getattr(exc, 'strerror', None) or exc}"]) from exc
    listening.set_inheritable(True)
    return listening


def described(listening: socket.socket) -> str:
    """Where it listens: `127.0.0.1:8302`, `[::1]:8302`, or a path."""
    name = listening.getsockname()
    if isinstance(name, str):
        return name
    host, port = name[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _tcp(where: str) -> socket.socket:
    host, _, port = where.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, host not in {"::", "::0"})
    listening.bind((host, int(port)))
    return listening


def _unix(path: str) -> socket.socket:
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as other:
        if not other.connect_ex(path):
            raise OSError(0, "another program listens there")
    if os.path.lexists(path):
        Path(path).unlink()
    listening.bind(path)
    return listening

"""The sockets of the service, below its folder in /run."""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import TYPE_CHECKING

from geosteer.errors import GeosteerError

if TYPE_CHECKING:
    from pathlib import Path

MODE = 0o660
"""Of a socket: the group of the service may use it."""
POLL = 0.5
"""Seconds for which `accept` waits."""


class CannotListen(GeosteerError):
    """The socket cannot be made."""


def listen(path: Path) -> socket.socket:
    """A socket that listens there, in place of one that was left behind. Raises: CannotListen."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if path.is_socket():
            path.unlink()  # of a service that was killed
        listener.bind(str(path))
        path.chmod(MODE)
        listener.listen(4)
        listener.settimeout(POLL)
    except OSError as exc:
        listener.close()
        raise CannotListen(f"{path}: {exc.strerror or exc}") from exc
    return listener


def close(listener: socket.socket, path: Path) -> None:
    """End it, and remove what it was bound to."""
    listener.close()
    with suppress(OSError):
        path.unlink()

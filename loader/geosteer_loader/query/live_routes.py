"""The routes that `geosteer follow` holds of BGP sessions, asked for over its socket."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING

from geosteer.errors import GeosteerError
from geosteer_loader.rib import told

if TYPE_CHECKING:
    from pathlib import Path

    from geosteer_loader.rib.told import SessionHeld

PATIENCE = 10.0
"""Seconds for the whole answer; the service may be at work on a publish."""


class Unanswered(GeosteerError):
    """The service does not run, may not be asked, or does not answer."""


def ask(path: Path, address: str) -> list[SessionHeld]:
    """The sessions of all streams with their routes to an address. Raises: Unanswered."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            end = time.monotonic() + PATIENCE
            connection.settimeout(PATIENCE)
            connection.connect(str(path))
            connection.sendall(address.encode() + b"\n")
            reply = bytearray()
            while not reply.endswith(b"\n"):
                left = end - time.monotonic()
                if left <= 0:
                    raise TimeoutError
                connection.settimeout(left)
                chunk = connection.recv(1 << 16)
                if not chunk or len(reply) > told.MOST_BYTES:
                    raise Unanswered(f"{path}: the answer was cut off")
                reply += chunk
        return told.decode(bytes(reply))
    except (FileNotFoundError, ConnectionRefusedError) as exc:
        raise Unanswered("`geosteer follow` does not run here") from exc
    except TimeoutError as exc:
        raise Unanswered(f"{path}: no answer within {PATIENCE:.0f} s") from exc
    except (OSError, ValueError) as exc:
        raise Unanswered(f"{path}: {getattr(exc, 'strerror', None) or exc}") from exc

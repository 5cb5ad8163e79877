"""Who does it: for the history and for overrides."""

from __future__ import annotations

import getpass
import os
import socket


def whoami() -> str:
    """`user@host`; behind sudo the person who called it."""
    try:
        user = os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):  # a uid without an account, as in a container
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"

"""Client sockets with TLS; imported only for `rediss://`, since it costs a worker more than all the rest of its start."""

from __future__ import annotations

import socket
import ssl
from typing import Any


def client_socket(family: int, host: str, files: dict[str, str]) -> Any:
    """A socket that speaks TLS once connected, its peer's certificate checked against *host*.

    Args: files: paths by name: `ca` (else the system's), and `cert` with `key` for a client certificate.
    Raises: OSError: a file cannot be read or used.
    """
    context = ssl.create_default_context(cafile=files.get("ca"))
    if "cert" in files:
        context.load_cert_chain(files["cert"], files.get("key"))
    plain = socket.socket(family, socket.SOCK_STREAM)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return context.wrap_socket(plain, server_hostname=host, do_handshake_on_connect=False)

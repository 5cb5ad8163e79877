"""A Redis behind TLS, with the tiny generation published, and what a worker is told of it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from support.dns_setup import backend_toml
from support.servers import RedisServer, free_port
from support.tiny import publish_tiny

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.certificates import Certificates


@contextmanager
def tls_redis(
    certificates: Certificates, name: str = "server", clients: str = "yes"
) -> Iterator[RedisServer]:
    """A Redis with a TLS port; `port` is that one."""
    port = free_port()
    server = RedisServer(
        "--tls-port", str(port), "--tls-cert-file", str(certificates[name]), "--tls-key-file", str(certificates.key(name)),
        "--tls-ca-cert-file", str(certificates["ca"]), "--tls-auth-clients", clients,
    )  # fmt: skip
    with server:
        server.port = port
        with server.client() as client:
            publish_tiny(client, "geosteer")
        yield server


def worker_settings(folder: Path, server: RedisServer, certificates: Certificates, **files: str) -> Path:
    """A worker's settings; *files*: `ca`, and `cert`, the name of a certificate with its key."""
    lines = [f'ca = "{certificates[files.get("ca", "ca")]}"']
    if "cert" in files:
        lines += [f'cert = "{certificates[files["cert"]]}"', f'key = "{certificates.key(files["cert"])}"']
    host = files.get("host", "localhost")
    return backend_toml(folder, f"rediss://{host}:{server.port}", "---\n" + "\n".join(lines))

"""nginx and HAProxy that redirect from exported files, and many clients asked for at once."""

from __future__ import annotations

import contextlib
import re
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Self

from support.front_servers import Server
from support.servers import free_port, need

if TYPE_CHECKING:
    from collections.abc import Sequence

BATCH = 100
"""Requests that are under way on one connection."""


class Nginx:
    """An nginx of one worker on a free port of both loopback addresses, with exported files."""

    def __init__(self, exported: Path) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="gs-ngx-"))
        self.port = free_port()
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        temporary = "".join(f"{kind}_temp_path {self.folder}/{kind};" for kind in kinds)
        self.config = self.folder / "nginx.conf"
        self.config.write_text(
            f"daemon off; worker_processes 1; pid {self.folder}/pid; error_log stderr notice;\nevents {{}}\n"
            f"http {{ access_log off; {temporary}\ninclude {exported}/http.conf;\n"
            f"server {{ listen 127.0.0.1:{self.port}; listen [::1]:{self.port};\n"
            f"include {exported}/redirect.conf; }} }}\n"
        )
        self.server = Server(self.command(), folder=self.folder)

    def command(self, *words: str) -> list[str]:
        """The program with this server's settings."""
        return [need("nginx"), "-p", str(self.folder), "-c", str(self.config), *words]

    @property
    def reload(self) -> list[str]:
        """What tells it that files changed."""
        return self.command("-s", "reload")

    def __enter__(self) -> Self:
        self.server.ready(self.port)
        return self

    def __exit__(self, *_: object) -> None:
        self.server.close()


class HAProxy:
    """A HAProxy on a free port of both loopback addresses, with exported files and a stats socket."""

    def __init__(self, exported: Path, *words: str) -> None:
        """Args: words: more of the command line."""
        self.folder = Path(tempfile.mkdtemp(prefix="gs-ha-"))
        self.port = free_port()
        self.socket = self.folder / "admin.sock"
        (self.folder / "haproxy.cfg").write_text(
            f"global\n    stats socket {self.socket} level admin\n"
            "defaults\n    mode http\n    timeout client 30s\n    timeout connect 1s\n    timeout server 1s\n"
            f"frontend all\n    bind 127.0.0.1:{self.port}\n    bind [::1]:{self.port}\n    default_backend geosteer\n"
        )
        self.exported = exported
        self.server = Server(self.command(*words, "-db"), folder=self.folder)

    def command(self, *words: str) -> list[str]:
        """The program with this server's settings."""
        return [
            need("haproxy"), *words, "-f", str(self.folder / "haproxy.cfg"), "-f", str(self.exported / "redirect.cfg"),
        ]  # fmt: skip

    def __enter__(self) -> Self:
        self.server.ready(self.port)
        return self

    def __exit__(self, *_: object) -> None:
        self.server.close()


def asked_as(port: int, clients: Sequence[str], host: str) -> list[tuple[int, str, str]]:
    """Status, Location and Cache-Control for each of many clients, named in X-Forwarded-For by a proxy on this host."""
    replies: list[tuple[int, str, str]] = []
    while len(replies) < len(clients):
        batch = clients[len(replies) : len(replies) + BATCH]
        requests = "".join(
            f"GET /a/{client}?b HTTP/1.1\r\nHost: {host}\r\nX-Forwarded-For: {client}\r\n\r\n"
            for client in batch
        )
        with socket.create_connection(("127.0.0.1", port), 20) as link, contextlib.suppress(ConnectionError):
            link.sendall(requests.encode())
            # a server that reloads closes connections; what it did not answer is asked again
            replies += _replies(link, len(batch))
    return replies


def _replies(link: socket.socket, count: int) -> list[tuple[int, str, str]]:
    data = b""
    replies: list[tuple[int, str, str]] = []
    while len(replies) < count:
        head, end, rest = data.partition(b"\r\n\r\n")
        size = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        length = int(size[1]) if size else 0
        if not end or len(rest) < length:
            came = link.recv(1 << 16)
            if not came:
                break
            data += came
            continue
        data = rest[length:]
        fields = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in head.decode().split("\r\n")[1:])
        }
        replies.append((int(head.split()[1]), fields.get("location", ""), fields.get("cache-control", "")))
    return replies


def run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """A command's outcome, whatever it is."""
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

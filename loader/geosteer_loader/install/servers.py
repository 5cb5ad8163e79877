"""Redis and Valkey: what Debian calls their programs, users, units and files."""

from __future__ import annotations

import shutil
from dataclasses import dataclass

from geosteer_loader.install.host import SEARCH


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """The names of one of them."""

    name: str
    """As `--server` takes it."""
    program: str
    cli: str
    user: str
    """User and group that it runs as; its unix socket is for members of the group."""
    unit: str
    """Without `.service`."""
    config: str
    socket: str
    """Where the socket is, if the configuration has one."""

    @property
    def folder(self) -> str:
        """Where its configuration lies."""
        return self.config.rpartition("/")[0]


REDIS = Server(
    name="redis",
    program="redis-server",
    cli="redis-cli",
    user="redis",
    unit="redis-server",
    config="/etc/redis/redis.conf",
    socket="/run/redis/redis.sock",
)
VALKEY = Server(
    name="valkey",
    program="valkey-server",
    cli="valkey-cli",
    user="valkey",
    unit="valkey-server",
    config="/etc/valkey/valkey.conf",
    socket="/run/valkey/valkey-server.sock",
)
SERVERS = {server.name: server for server in (REDIS, VALKEY)}


def installed() -> Server:
    """The one whose program is here; Redis where both are, or neither."""
    for server in (REDIS, VALKEY):
        if shutil.which(server.program, path=SEARCH):
            return server
    return REDIS

"""Where each file of a set goes: into this host's own folders, or all into one folder to try things in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from geosteer_loader.install.servers import Server

SYSTEM = Path("/etc/geosteer")
"""The folder of a host that serves; any other holds a set that stands for itself."""

MANIFEST = "init.json"
"""In the folder: what was written, and with which answers."""


@dataclass(frozen=True, slots=True)
class Place:
    """Paths as the files themselves name them."""

    folder: Path
    """Absolute; holds the configuration and the passwords."""

    @property
    def system(self) -> bool:
        """Whether the set is the host's own, so that files outside of the folder belong to it."""
        return self.folder == SYSTEM

    def redis_config(self, server: Server) -> Path:
        """The fragment that redis.conf includes."""
        return Path(server.folder) / "geosteer.conf" if self.system else self.folder / "redis.conf"

    def users(self, server: Server) -> Path:
        """The ACL file."""
        return Path(server.folder) / "users.acl" if self.system else self.folder / "users.acl"

    @property
    def pdns_config(self) -> Path:
        """What PowerDNS reads."""
        return Path("/etc/powerdns/pdns.d/geosteer.conf") if self.system else self.folder / "pdns.conf"

    @property
    def snapshot(self) -> Path:
        """Where workers keep what they last knew."""
        base = Path("/var/lib/geosteer-worker") if self.system else self.folder / "state"
        return base / "last-good.json"

    @property
    def sources(self) -> Path:
        """Where copies of sources that are URLs are kept."""
        return Path("/var/lib/geosteer/sources") if self.system else self.folder / "state" / "sources"

    @property
    def socket(self) -> Path | None:
        """Redis's socket, where the set has a Redis of its own."""
        return None if self.system else self.folder / "redis.sock"

    def unit(self, name: str) -> Path:
        """A unit, or a drop-in such as `pdns.service.d/geosteer.conf`."""
        if self.system:
            return Path("/etc/systemd/system") / name
        return self.folder / "system" / name.replace("/", "-")

    def etc(self, folder: str, name: str) -> Path:
        """A file that Debian's other programs read: `tmpfiles.d`, `sysusers.d`, `logrotate.d`, `cron.d`."""
        return Path("/etc") / folder / name if self.system else self.folder / "system" / f"{folder}-{name}"

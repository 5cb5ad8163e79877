"""What the doctor looks at: files, settings and servers of one host, read once."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geosteer import settings as worker_settings
from geosteer.errors import ConfigError, GeosteerError
from geosteer_loader.config import config
from geosteer_loader.config.redis import RedisSettings
from geosteer_loader.install.doctor.pdns_settings import assignments, read_settings
from geosteer_loader.install.host import Host
from geosteer_loader.install.place import SYSTEM, Place
from geosteer_loader.install.servers import SERVERS, Server, installed
from geosteer_loader.install.write import read_manifest

if TYPE_CHECKING:
    from geosteer.settings import Settings
    from geosteer_loader.config.config import Config

DEBIAN_PDNS = Path("/etc/powerdns")
"""The folder of PowerDNS's configuration."""


@dataclass
class Scene:
    """One host. Whatever cannot be read is None, and is told by the link that is about it."""

    folder: Path = SYSTEM
    host: Host = field(default_factory=Host)
    pdns_folder: Path | None = None
    """Where pdns.conf lies; None: where `init` put it."""
    worker_problems: list[str] = field(default_factory=list)
    """Why a worker could not use its file; known once `worker` was asked for."""

    @cached_property
    def place(self) -> Place:
        """Where `init` puts things."""
        return Place(self.folder)

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """What `init` wrote down; empty without it."""
        try:
            return read_manifest(self.place, self.host)
        except GeosteerError:
            return {}

    @cached_property
    def server(self) -> Server:
        """Redis or Valkey."""
        about = self.manifest.get("about", {})
        named = about.get("server", {}).get("name") if isinstance(about, dict) else None
        return SERVERS.get(str(named)) or installed()

    def about(self, key: str, otherwise: str) -> str:
        """One of the answers that `init` was given."""
        about = self.manifest.get("about")
        return str(about.get(key, otherwise)) if isinstance(about, dict) else otherwise

    @property
    def loader_file(self) -> Path:
        """geosteer.toml."""
        return self.host.at(self.folder / "geosteer.toml")

    @property
    def worker_file(self) -> Path:
        """backend.toml."""
        return self.host.at(self.folder / "backend.toml")

    @cached_property
    def config(self) -> Config | None:
        """The loader's configuration, where it has no problem."""
        try:
            return config.load(self.loader_file)
        except ConfigError:
            return None

    @cached_property
    def worker(self) -> Settings | None:
        """The worker's settings, where they have no problem."""
        try:
            return worker_settings.load(str(self.worker_file), copies=False)
        except ConfigError as exc:
            self.worker_problems = exc.problems
            return None

    @cached_property
    def worker_redis(self) -> RedisSettings | None:
        """The worker's Redis, as the worker's user."""
        settings = self.worker
        if settings is None:
            return None
        return RedisSettings(
            url=settings.url,
            prefix=settings.prefix,
            username=settings.username or None,
            password=settings.password or None,
        )

    @property
    def pdns_config(self) -> Path:
        """The folder of pdns.conf."""
        if self.pdns_folder is not None:
            return self.pdns_folder
        return self.host.at(DEBIAN_PDNS) if self.place.system else self.folder

    @cached_property
    def pdns(self) -> dict[str, str] | None:
        """What PowerDNS's files set; None: there are none, or they cannot be read."""
        try:
            return read_settings(self.pdns_config / "pdns.conf", self.host)
        except OSError:
            return None

    @property
    def socket(self) -> Path | None:
        """The unix socket that workers use; None: they use TCP, or their file cannot be read."""
        url = self.worker.url if self.worker is not None else ""
        return Path(url.removeprefix("unix://").partition("?")[0]) if url.startswith("unix://") else None

    @cached_property
    def pdns_origins(self) -> dict[str, Path]:
        """Which of PowerDNS's files has the last word on a setting."""
        try:
            return {key: file for file, key, _, _ in assignments(self.pdns_config / "pdns.conf", self.host)}
        except OSError:
            return {}

    def set_pdns(self, name: str, value: str) -> str:
        """The commands that give PowerDNS a setting, in the file that has the last word on it."""
        file = self.pdns_origins.get(name)
        if file is None:
            mend = f"echo '{name}={value}' >> {self.host.at(self.place.pdns_config)}"
        else:
            mend = f"sed -i 's|^ *{name} *+\\?=.*|{name}={value}|' {file}"
        return f"{mend} && {self.restart_pdns}"

    def cli(self, command: str) -> str:
        """A command line that asks Redis as its administrator."""
        password = self.folder / "admin.password"
        where = (
            f"-s {self.socket}" if self.socket is not None else f"-u {self.worker.url if self.worker else ''}"
        )
        return f'{self.server.cli} {where} --user admin --pass "$(cat {password})" {command}'

    def in_redis_file(self, name: str, value: str) -> str:
        """The commands that write a setting of Redis into our fragment."""
        fragment = self.place.redis_config(self.server)
        return f"sed -i '/^{name} /d' {fragment} && echo '{name} {value}' >> {fragment}"

    def set_redis(self, name: str, value: str) -> str:
        """The commands that change a setting of Redis, now and for its next start."""
        words = f"CONFIG SET {name} '{value}'" if " " in value else f"CONFIG SET {name} {value}"
        return f"{self.cli(words)} && {self.in_redis_file(name, value)}"

    def restart(self, unit: str, own: str) -> str:
        """The command that starts a server anew: of the unit, or *own* where the set has servers of its own."""
        return f"systemctl restart {unit}" if self.place.system else own

    @property
    def restart_redis(self) -> str:
        """The same of Redis."""
        return self.restart(self.server.unit, f"{self.server.program} {self.folder / 'redis.conf'}")

    @property
    def restart_pdns(self) -> str:
        """The same of PowerDNS."""
        return self.restart("pdns", f"pdns_server --config-dir={self.pdns_config}")

    @property
    def repair(self) -> str:
        """The command that writes what is missing of the set."""
        if not self.manifest:
            return "geosteer init"
        return "geosteer init --repair" if self.place.system else f"geosteer init {self.folder} --repair"

    @property
    def publish(self) -> str:
        """The command that publishes."""
        return (
            "systemctl start geosteer-publish"
            if self._timed
            else f"geosteer publish --config {self.loader_file}"
        )

    @property
    def _timed(self) -> bool:
        return self.place.system and self.host.unit("geosteer-publish.service") is not None

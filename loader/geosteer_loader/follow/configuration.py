"""geosteer.toml and the lists that it names, followed like any other file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from geosteer_loader.config import config as configs
from geosteer_loader.config.toml_file import parse_toml, read_text
from geosteer_loader.follow.followed import Sight

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping
    from pathlib import Path

    from geosteer_loader.config.config import Config


class FollowedConfiguration:
    """The file and its lists; with `[follow] config = false` the lists alone, for the file as it was read first."""

    tables: frozenset[str] = frozenset()
    name = "configuration"

    def __init__(self, path: Path, environ: Mapping[str, str]) -> None:
        """Raises: ConfigError."""
        self._path = path
        self._environ = environ
        self._text = read_text(path)
        self._version: Hashable = None
        self.config = self._checked()
        """As it was read last."""
        self.quiet, self.ceiling = self.config.follow.quiet, self.config.follow.ceiling

    def look(self, now: float) -> Sight:
        """Sizes and times of the files."""
        del now
        self._version = self._current()
        return Sight(self._version, True)

    def read(self) -> Config:
        """The configuration as it is now. Raises: ConfigError: it cannot be used; the one before stays."""
        if self.config.follow.config:
            self._text = read_text(self._path)
        self.config = self._checked()
        return self.config

    def table(self, name: str, published: Mapping[str, str]) -> None:
        """It has none of its own."""
        del name, published

    def settled(self, published: Mapping[str, str]) -> None:
        """Nothing is kept."""

    def close(self) -> None:
        """Nothing is held."""

    def unchanged(self) -> bool:
        """Whether the files are still as the last look saw them."""
        return self._version == self._current()

    def _checked(self) -> Config:
        return configs.check(parse_toml(self._text, self._path), self._path, self._environ, self._text)

    def _current(self) -> Hashable:
        files = [self._path, *self.config.lists] if self.config.follow.config else self.config.lists
        return tuple(map(_identity, files))


def _identity(path: Path) -> Hashable:
    try:
        status = path.stat()
    except OSError as exc:
        return str(path), exc.errno
    return str(path), status.st_ino, status.st_size, status.st_mtime_ns

"""Files of other systems, read whole but no larger than they may be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from geosteer.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


def read(path: Path, most: int) -> bytes:
    """A file's content. Raises: ConfigError: it cannot be read, or has more than *most* bytes."""
    try:
        with path.open("rb") as file:
            data = file.read(most + 1)
    except OSError as exc:
        raise ConfigError([f"{path}: {exc.strerror}"]) from exc
    if len(data) > most:
        raise ConfigError([f"{path}: larger than {most >> 20} MiB"])
    return data

"""Reading a TOML file, with every way in which that fails as a ConfigError."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING, Any

from geosteer.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

_AT = re.compile(r"(?s)(.*) \(at (?:line (\d+), column (\d+)|end of document)\)")


def read_toml(path: Path) -> dict[str, Any]:
    """The file's content.

    Raises: ConfigError: it cannot be read (`file: reason`) or is not TOML (`file: line N, column M: reason`).
    """
    try:
        data = path.read_bytes()
    except (OSError, ValueError) as exc:
        raise ConfigError([f"{path}: cannot be read: {getattr(exc, 'strerror', None) or exc}"]) from exc
    try:
        return tomllib.loads(data.decode())
    except UnicodeDecodeError as exc:
        raise ConfigError([f"{path}: {_position(data[: exc.start].decode())}: is not UTF-8 text"]) from exc
    except RecursionError as exc:
        raise ConfigError([f"{path}: line 1, column 1: is nested too deeply"]) from exc
    except ValueError as exc:
        found = _AT.fullmatch(str(exc))
        if not found:
            raise ConfigError([f"{path}: line 1, column 1: {exc}"]) from exc
        place = f"line {found[2]}, column {found[3]}" if found[2] else _position(data.decode())
        raise ConfigError([f"{path}: {place}: {found[1]}"]) from exc


def _position(before: str) -> str:
    """The line and column that follow the text."""
    return f"line {before.count(chr(10)) + 1}, column {len(before) - before.rfind(chr(10))}"

"""Reading a TOML file, with every way in which that fails as a ConfigError."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING, Any

from geosteer.errors import ConfigError
from geosteer_loader.sources.files import BYTE_ORDER_MARK

if TYPE_CHECKING:
    from pathlib import Path

_AT = re.compile(r"(?s)(.*) \(at (?:line (\d+), column (\d+)|end of document)\)")


def read_text(path: Path) -> str:
    """The file's text, without a byte order mark.

    Raises: ConfigError: it cannot be read.
    """
    try:
        data = path.read_bytes()
    except (OSError, ValueError) as exc:
        raise ConfigError([f"{path}: cannot be read: {getattr(exc, 'strerror', None) or exc}"]) from exc
    try:
        return data.decode().removeprefix(BYTE_ORDER_MARK)
    except UnicodeDecodeError as exc:
        raise ConfigError([f"{path}: {_position(data[: exc.start].decode())}: is not UTF-8 text"]) from exc


def parse_toml(text: str, path: Path) -> dict[str, Any]:
    """The content of the *text* that was read from *path*.

    Raises: ConfigError: it is not TOML (`file: line N, column M: reason`).
    """
    try:
        return tomllib.loads(text)
    except RecursionError as exc:
        raise ConfigError([f"{path}: line 1, column 1: is nested too deeply"]) from exc
    except ValueError as exc:
        match = _AT.fullmatch(str(exc))
        if not match:
            raise ConfigError([f"{path}: line 1, column 1: {exc}"]) from exc
        place = f"line {match[2]}, column {match[3]}" if match[2] else _position(text)
        raise ConfigError([f"{path}: {place}: {match[1]}{_explanation(match[1], text, match[2])}"]) from exc


def _explanation(reason: str, text: str, line: str | None) -> str:
    """What the parser's words mean for what is mostly behind them."""
    if "Cannot overwrite" in reason and line:
        key = text.splitlines()[int(line) - 1].partition("=")[0].strip()
        return f": {key[:60]} is given twice in this table"
    if reason.startswith(("Cannot declare", "Cannot redefine", "Cannot mutate")):
        return ": this table is in the file already; put its settings together"
    return ""


def _position(before: str) -> str:
    """The line and column that follow the text."""
    return f"line {before.count(chr(10)) + 1}, column {len(before) - before.rfind(chr(10))}"

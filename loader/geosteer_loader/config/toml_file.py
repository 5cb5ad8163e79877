"""Reading a TOML file, with every way in which that fails as a ConfigError."""

from __future__ import annotations

import re
import stat
import tomllib
from typing import TYPE_CHECKING, Any

from geosteer.errors import ConfigError
from geosteer_loader.config.toml_syntax import explanation
from geosteer_loader.sources.text import BYTE_ORDER_MARK, as_utf8

if TYPE_CHECKING:
    from pathlib import Path

_AT = re.compile(r"(?s)(.*) \(at (?:line (\d+), column (\d+)|end of document)\)")
_HUGE_NUMBER = re.compile(r"(?<![\w\"'.-])\d{4001,}")

LARGEST = 64 << 20
"""Bytes; a configuration of 100,000 nodes has 20 million."""


def read_text(path: Path) -> str:
    """The file's text, without a byte order mark; it may come from a pipe.

    Raises: ConfigError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
        _check_size(data)
    except (OSError, ValueError) as exc:
        raise ConfigError([f"{path}: cannot be read: {getattr(exc, 'strerror', None) or exc}"]) from exc
    try:
        return data.decode().removeprefix(BYTE_ORDER_MARK)
    except UnicodeDecodeError as exc:
        hint = f", but {form}: save it as UTF-8" if (form := _other_form(data)) else ""
        raise ConfigError(
            [f"{path}: {_position(data[: exc.start].decode())}: is not UTF-8 text{hint}"]
        ) from exc


def read_beside(path: Path, *, utf16: bool = False) -> str:
    """The text of a file that the configuration names, without a byte order mark; *utf16*: it may be UTF-16, too.

    Raises: ValueError: it cannot be read, is not a regular file (a FIFO would block for ever), too large, or not UTF-8;
        the message completes the sentence "this file ...".
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise ValueError("is not a regular file")
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except OSError as exc:
        raise ValueError(f"cannot be read: {exc.strerror or exc}") from exc
    _check_size(data)
    if utf16:
        data = b"".join(as_utf8(iter((data,))))
    try:
        return data.decode().removeprefix(BYTE_ORDER_MARK)
    except UnicodeDecodeError as exc:
        hint = f", but {form}: save it as UTF-8" if (form := _other_form(data)) else ""
        raise ValueError(f"{_position(data[: exc.start].decode())}: is not UTF-8 text{hint}") from exc


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
        if not match:  # int() refuses many digits, without a place
            number = _HUGE_NUMBER.search(text)
            place = _position(text[: number.start()] if number else "")
            raise ConfigError(
                [f"{path}: {place}: {f'a number of {len(number[0])} digits' if number else exc}"]
            ) from exc
        line, column = (int(match[2]), int(match[3])) if match[2] else _end(text)
        reason = match[1] + explanation(match[1], text, line, column)
        raise ConfigError([f"{path}: line {line}, column {column}: {reason}"]) from exc


def _check_size(data: bytes) -> None:
    if len(data) > LARGEST:
        raise ValueError(f"is larger than {LARGEST} bytes")


def _other_form(data: bytes) -> str:
    """What a file that is not UTF-8 looks like, or nothing."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "UTF-16"
    return "compressed (gzip)" if data.startswith(b"\x1f\x8b") else ""


def _end(before: str) -> tuple[int, int]:
    """The line and column that follow the text, counted from 1."""
    return before.count("\n") + 1, len(before) - before.rfind("\n")


def _position(before: str) -> str:
    line, column = _end(before)
    return f"line {line}, column {column}"

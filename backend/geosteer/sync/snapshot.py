"""The last good state on disk: what a worker that starts without Redis knows.

Written aside and renamed, without fsync: a torn file has a wrong digest, and the copy before it is kept beside it.
"""

from __future__ import annotations

import os

from geosteer.cmodules import blake2b, dump_json, load_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

FORMAT = 1
PREVIOUS = ".previous"


def read(path: str) -> Mapping[str, Any] | None:
    """The newest whole snapshot at *path* or beside it, or None.

    Members: `document` (text), `current` (fields), `states` (node -> fields), `overrides` (node -> JSON).
    """
    for candidate in (path, path + PREVIOUS):
        try:
            with open(candidate, "rb") as file:  # noqa: PTH123  # pathlib costs a worker's start too much
                head, _, body = file.read().partition(b"\n")
            if head == _seal(body):
                data: Mapping[str, Any] = load_json(body.decode())
                if data["format"] == FORMAT:
                    return data
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return None


def write(
    path: str,
    current: Mapping[str, str],
    document: str,
    states: Mapping[str, Any],
    overrides: Mapping[str, str],
) -> str:
    """Keep what is known now, unless another worker is writing or has written the same; returns what went wrong, or ""."""
    body = dump_json(
        {"format": FORMAT, "current": current, "document": document, "states": states, "overrides": overrides}
    ).encode()
    seal = _seal(body)
    lock = -1
    try:
        lock = os.open(path + ".lock", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            _lock(lock)
        except OSError:
            return ""  # another worker is at it
        there = _seal_of(path)
        if there == seal:
            return ""
        aside = path + ".new"
        _put(aside, seal + b"\n" + body)
        if there:  # a torn file must not take the place of a whole one
            os.replace(path, path + PREVIOUS)  # noqa: PTH105
        os.rename(aside, path)  # noqa: PTH104
    except OSError as exc:
        return f"{path}: {exc.strerror}"
    finally:
        if lock >= 0:
            os.close(lock)
    return ""


def _put(path: str, data: bytes) -> None:
    """A new file; none when it cannot be written whole."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    try:
        while data:
            data = data[os.write(handle, data) :]
    except OSError:
        os.unlink(path)  # noqa: PTH108  # half of it would take the room that others may need
        raise
    finally:
        os.close(handle)


def _seal_of(path: str) -> bytes:
    """The digest of the file's content, empty where there is no whole file."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            head, _, body = file.read().partition(b"\n")
    except FileNotFoundError:
        return b""
    return head if head == _seal(body) else b""


def _lock(handle: int) -> None:
    import fcntl

    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _seal(body: bytes) -> bytes:
    return blake2b(body, digest_size=16).hexdigest().encode()

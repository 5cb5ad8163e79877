"""Files that others read: replaced as a whole, and only when their content changes."""

from __future__ import annotations

import glob
import os
import tempfile
from contextlib import suppress
from pathlib import Path

from geosteer.errors import GeosteerError


class NotWritten(GeosteerError):
    """A file could not be written; the one before it is whole."""


def replace(path: Path, data: bytes | str) -> bool:
    """Write a file aside and rename it into place, unless it holds *data* already; whether it was written.

    A reader sees the old file or the new one, and one that has mapped the old one keeps it. An old file's permissions stay;
    a new one gets those that the umask leaves. A symbolic link stays one: what it leads to is replaced.
    Raises: NotWritten: says which file, and why.
    """
    wanted = data.encode() if isinstance(data, str) else data
    target = Path(os.path.realpath(path))
    try:
        if target.is_file() and target.stat().st_size == len(wanted) and target.read_bytes() == wanted:
            return False
        _swap(target, wanted)
    except OSError as exc:
        raise NotWritten(f"{path}: {exc.strerror or exc}") from exc
    return True


def clear_away(path: Path) -> None:
    """Remove what writers of a file left beside it when they were killed; only where nobody else writes that file."""
    with suppress(OSError):
        for aside in path.parent.glob(f".{glob.escape(path.name)}.*"):
            aside.unlink()


def state_of(path: Path) -> tuple[int, ...] | None:
    """What tells whether a file was touched; None where there is none."""
    try:
        seen = path.stat()
    except OSError:
        return None
    return seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns


def folder(path: Path) -> Path:
    """The folder, made if it is not there.

    Raises: NotWritten: it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise NotWritten(f"{path}: {exc.strerror or exc}") from exc
    return path


def mark(path: Path) -> None:
    """Make an empty file, and its folder; one that is there stays.

    Raises: NotWritten: it cannot be made.
    """
    try:
        folder(path.parent)
        path.touch()
    except OSError as exc:
        raise NotWritten(f"{path}: {exc.strerror or exc}") from exc


def _swap(target: Path, data: bytes) -> None:
    # A dot in front: servers that read a whole folder pass over it.
    handle, aside = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            os.fchmod(file.fileno(), _mode(target))
            file.flush()
            os.fsync(file.fileno())
        Path(aside).replace(target)
    except BaseException:
        with suppress(OSError):
            Path(aside).unlink()
        raise


def _mode(target: Path) -> int:
    try:
        return target.stat().st_mode & 0o777
    except FileNotFoundError:
        mask = os.umask(0)
        os.umask(mask)
        return 0o666 & ~mask

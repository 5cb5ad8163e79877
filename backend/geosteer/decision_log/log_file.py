"""The file that decisions are logged to. One for all workers of a host: each line is one write at its end."""

from __future__ import annotations

import os
from time import monotonic

from geosteer.cmodules import dump_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

LONGEST = 4096
"""Bytes of a line; one that would be longer loses what explains it, then is left out."""
LOOK_AGAIN = 1.0
"""Seconds until a file that was moved away, or cannot be written, is looked at again."""
_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NOCTTY
_MODE = 0o640
_REGULAR = 0o100000


class DecisionLog:
    """Writes lines; whatever fails costs lines and nothing else."""

    __slots__ = ("_clock", "_fd", "_file", "_log", "_look_at", "_path", "_torn", "_trouble", "lost")

    def __init__(self, path: str, log: Callable[[str], None], clock: Callable[[], float] = monotonic) -> None:
        """Args: log: takes one line for an operator; clock: monotonic."""
        self._path, self._log, self._clock = path, log, clock
        self._fd = -1
        self._file = (0, 0)
        """Device and inode of what is open."""
        self._look_at = 0.0
        self._torn = False
        """The last write was cut off in the middle of a line."""
        self._trouble = ""
        self.lost = 0
        """Lines that could not be written."""

    def write(self, fields: Mapping[str, Any]) -> bool:
        """One line; returns whether it was written. Raises nothing."""
        try:
            line = _line(fields)
            if line is None:
                return self._lose("a line is longer than 4 KiB")
            self._reopen()
            if self._fd < 0:
                self.lost += 1
                return False
            # a line that was cut off is ended first, so that it spoils no other
            data = b"\n" + line if self._torn else line
            written = os.write(self._fd, data)
        except OSError as exc:
            return self._lose(exc.strerror or str(exc))
        except (TypeError, ValueError) as exc:
            return self._lose(str(exc))
        self._torn = written < len(data) and (written > 0 or self._torn)
        if written < len(data):
            return self._lose("the disk is full")
        if self._trouble:
            self._log(f"decision log {self._path}: goes on; {self.lost} lines were lost so far")
            self._trouble = ""
        return True

    def close(self) -> None:
        """Close the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _reopen(self) -> None:
        """Open the file that has the name now: logrotate may have moved the old one away. Raises: OSError."""
        now = self._clock()
        if now < self._look_at:
            return
        self._look_at = now + LOOK_AGAIN
        if self._fd >= 0:
            try:
                stat = os.stat(self._path, follow_symlinks=False)  # noqa: PTH116
            except FileNotFoundError:
                pass
            else:
                if (stat.st_dev, stat.st_ino) == self._file:
                    return
            self.close()
        fd = os.open(self._path, _FLAGS, _MODE)
        stat = os.fstat(fd)
        if stat.st_mode & 0o170000 != _REGULAR:
            os.close(fd)
            raise OSError(None, "is not a regular file")
        self._fd, self._file, self._torn = fd, (stat.st_dev, stat.st_ino), False

    def _lose(self, trouble: str) -> bool:
        self.lost += 1
        if trouble != self._trouble:
            self._trouble = trouble
            self._log(f"decision log {self._path}: {trouble}: lines are lost, answers are not")
        return False


def _line(fields: Mapping[str, Any]) -> bytes | None:
    data = dump_json(fields).encode() + b"\n"
    if len(data) > LONGEST:
        data = dump_json({**fields, "not": []}).encode() + b"\n"
    return data if len(data) <= LONGEST else None

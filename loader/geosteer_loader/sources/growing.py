"""Whether a file is still being written, and which of several is the newest that is not.

No content proves that: half of a dump that BIRD writes ends with a whole record, and is a valid dump. So the kernel is asked
whether anybody has the file open for writing: a read lease is granted only if nobody has (fcntl(2), "Leases"). That takes the
file's owner, or the capability CAP_LEASE, and a local file system.
"""

from __future__ import annotations

import errno
import fcntl
import glob
import os
import signal
from pathlib import Path

CANDIDATES = 16
"""Of the files that match a pattern, so many of the newest are looked at."""

_MAGIC = frozenset("*?[")


def being_written(path: Path) -> bool | None:
    """Whether anybody has a file open for writing; None: this process may not ask. Raises: OSError: it cannot be opened."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        # Who opens it for writing in this very moment breaks the lease, which is told by a signal: one that ends nobody.
        fcntl.fcntl(file, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError as exc:
        return True if exc.errno == errno.EAGAIN else None
    finally:
        os.close(file)
    return False


def is_pattern(path: str) -> bool:
    """Whether a path stands for several files, as `*`, `?` and `[...]` do in a shell."""
    return not _MAGIC.isdisjoint(path)


def matching(pattern: Path) -> list[Path]:
    """The regular files that match and hold anything, the newest first; at most `CANDIDATES`."""
    dated = []
    for name in glob.iglob(str(pattern)):  # noqa: PTH207  # an absolute pattern, which Path.glob refuses
        path = Path(name)
        try:
            status = path.stat()
        except OSError:
            continue
        if status.st_size and path.is_file():
            dated.append((status.st_mtime_ns, name))
    return [Path(name) for _, name in sorted(dated, reverse=True)[:CANDIDATES]]


def newest_whole(pattern: Path) -> Path:
    """The newest file that matches and that nobody is known to write to; *pattern* itself where there is none."""
    for path in matching(pattern):
        try:
            if being_written(path) is not True:
                return path
        except OSError:
            continue
    return pattern

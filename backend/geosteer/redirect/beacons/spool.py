"""Lines on disk for another program to read: bounded files in a bounded folder, and nothing that fails there stops the server.

A segment is written as `NAME.part` and renamed to `NAME.jsonl` when it is closed: after a while, when it is large enough, or
when the process ends. Whoever writes holds a lock on it (flock(2)), so that what a killed process left is known and closed by
the next one. A name begins with the time, so that names sort by age, and is never used twice.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import threading
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

OPEN, CLOSED = ".part", ".jsonl"
MOST_SEGMENTS = 4096
"""Closed segments in a folder at most."""
AGAIN = 1.0
"""Seconds until a folder that could not be used is tried again."""
MODE = 0o640
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
_LEFT = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_REGULAR, _TYPE = 0o100000, 0o170000


class Spool:
    """Writes lines; any thread may."""

    def __init__(
        self, folder: str, *, segment_bytes: float, segment_seconds: float, total_bytes: float,
        count: Callable[[str, int], None], say: Callable[[str], None], clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        """Open nothing yet.

        Args:
            folder: made by the operator; where it is missing, a symbolic link, or open to everybody, lines are lost.
            total_bytes: of all segments of the folder, of every writer, about.
            count: takes what became of lines (`written`, `lost`) or of segments (`removed`), and how many.
            say: takes one line for an operator.
            clock: monotonic.
        """
        self._folder = folder
        self._segment_bytes, self._segment_seconds, self._total = segment_bytes, segment_seconds, total_bytes
        self._count, self._say, self._clock = count, say, clock
        self._lock = threading.RLock()
        self._segment: _Segment | None = None
        self._timer: threading.Timer | None = None
        self._not_before = float("-inf")
        self._trouble = ""
        self._closed = False

    def write(self, lines: Iterable[Mapping[str, Any]]) -> None:
        """Write some lines, all or none. Raises nothing."""
        documents = list(lines)
        if not documents:
            return
        with self._lock:
            try:
                written = not self._closed and self._write(documents)
            except (OSError, ValueError) as exc:
                self._trouble_with(exc)
                written = False
        self._count("written" if written else "lost", len(documents))

    def close(self) -> None:
        """Close the segment for good."""
        with self._lock:
            self._closed = True
            self._end()

    def _write(self, documents: list[Mapping[str, Any]]) -> bool:
        segment = self._segment
        if segment is not None and self._clock() >= segment.until:
            self._end()
            segment = None
        if segment is None:
            if self._clock() < self._not_before:
                return False
            segment = self._begin()
        if not segment.size:
            # A reader may know files by their first line: no two segments have the same one.
            documents = [{**documents[0], "segment": segment.name}, *documents[1:]]
        data = "".join([json.dumps(each, separators=(",", ":")) + "\n" for each in documents]).encode()
        segment.append(data)
        if self._trouble:
            self._say(f"beacons: {self._folder}: goes on")
            self._trouble = ""
        if segment.size >= self._segment_bytes:
            self._end()
        return True

    def _begin(self) -> _Segment:
        """A new segment. Raises: OSError."""
        with _opened(self._folder) as folder:
            self._close_left(folder)
            seconds, rest = divmod(time.time_ns(), 10**9)
            stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(seconds))
            name = f"{stamp}.{rest // 1000:06}Z-{os.urandom(6).hex()}"
            segment = _Segment(folder, name, self._clock() + self._segment_seconds)
        self._segment = segment
        self._timer = threading.Timer(self._segment_seconds, self._expire, (segment,))
        self._timer.daemon = True
        self._timer.start()
        return segment

    def _expire(self, segment: _Segment) -> None:
        with self._lock:
            if self._segment is segment:
                self._end()

    def _end(self) -> None:
        """Close the segment, and make room for the next. Raises nothing."""
        segment, self._segment = self._segment, None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if segment is None:
            return
        try:
            with _opened(self._folder) as folder:
                segment.publish(folder)
                self._make_room(folder)
        except OSError as exc:
            self._trouble_with(exc)
        finally:
            segment.close()

    def _close_left(self, folder: int) -> None:
        """Close segments whose process is gone."""
        for name, _ in _segments(folder, OPEN):
            try:
                handle = os.open(name, _LEFT, dir_fd=folder)
            except OSError:
                continue
            try:
                stat = os.fstat(handle)
                # An empty one was perhaps made this very moment, and is not locked yet.
                if stat.st_mode & _TYPE == _REGULAR and stat.st_uid == os.geteuid() and stat.st_size:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    os.rename(name, name.removesuffix(OPEN) + CLOSED, src_dir_fd=folder, dst_dir_fd=folder)
            except OSError:
                pass  # somebody writes there
            finally:
                os.close(handle)

    def _make_room(self, folder: int) -> None:
        """Remove the oldest closed segments until the rest is within the bounds."""
        closed = sorted(_segments(folder, CLOSED))
        size = sum(size for _, size in closed) + sum(size for _, size in _segments(folder, OPEN))
        left = len(closed)
        for name, bytes_of in closed:
            if size <= self._total and left <= MOST_SEGMENTS:
                break
            with contextlib.suppress(FileNotFoundError):  # another process has the same bounds
                os.unlink(name, dir_fd=folder)
                self._count("removed", 1)
            size -= bytes_of
            left -= 1

    def _trouble_with(self, exc: Exception) -> None:
        self._not_before = self._clock() + AGAIN
        trouble = getattr(exc, "strerror", None) or str(exc)
        if trouble != self._trouble:
            self._trouble = trouble
            self._say(f"beacons: {self._folder}: {trouble}: what clients report is lost, redirects are not")


class _Segment:
    """A file that is being written."""

    def __init__(self, folder: int, name: str, until: float) -> None:
        """Raises: OSError."""
        self.name = name
        self.until = until
        """Monotonic time at which it is closed."""
        self.size = 0
        self._handle = os.open(name + OPEN, _NEW, MODE, dir_fd=folder)
        os.fchmod(self._handle, MODE)  # whatever the umask: its reader may run as another user
        fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def append(self, data: bytes) -> None:
        """Write all of it. Raises: OSError: nothing of it is in the file then."""
        try:
            written = os.write(self._handle, data)
            if written != len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._handle, self.size)
            raise
        self.size += len(data)

    def publish(self, folder: int) -> None:
        """Give it the name of a closed one; an empty one goes. Raises: OSError."""
        if self.size:
            os.rename(self.name + OPEN, self.name + CLOSED, src_dir_fd=folder, dst_dir_fd=folder)
        else:
            os.unlink(self.name + OPEN, dir_fd=folder)

    def close(self) -> None:
        os.close(self._handle)


@contextlib.contextmanager
def _opened(path: str) -> Iterator[int]:
    """Descriptor of a folder that not everybody can put files into. Raises: OSError."""
    folder = os.open(path, _FOLDER)
    try:
        if os.fstat(folder).st_mode & 0o002:
            raise OSError(None, "everybody may write to the folder")
        yield folder
    finally:
        os.close(folder)


def _segments(folder: int, suffix: str) -> list[tuple[str, int]]:
    """Names and sizes of regular files."""
    segments = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(suffix):
                with contextlib.suppress(OSError):
                    stat = entry.stat(follow_symlinks=False)
                    if stat.st_mode & _TYPE == _REGULAR:
                        segments.append((entry.name, stat.st_size))
    return segments

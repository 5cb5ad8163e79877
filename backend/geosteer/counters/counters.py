"""Counters of one worker, in a file that outlives it: `counters.cells[slot] += 1`, and SIGKILL loses nothing.

A file has `CELLS` numbers of 8 bytes, in the byte order of the machine: a head, `OVERFLOW`, cells with a fixed meaning, then
one cell for each key. The keys follow as lines of text, fields separated by tabs, appended when they are first used. A key's
text is written before the number of keys goes up, so whoever reads may trust that many lines.

A worker takes the first file of its front end whose lock is free, and counts on where the one before it ended. So nothing has
to be added up when workers end, and no file is ever moved or deleted: all files together are the whole count. The lock (POSIX,
on the first byte) is lost if this process closes another descriptor of the same file.
"""

from __future__ import annotations

import os  # the interpreter has loaded it already
from errno import ENOENT, ENOSPC, ENOTDIR, EROFS

from geosteer.cmodules import bisect_right

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from mmap import mmap

FRONT_ENDS = ("pdns", "http", "squid", "library")
"""Each has a folder of its own, since each may run as another user."""
SUFFIX = ".counters"
MOST_FILES = 1024
"""Files of one front end at most."""

CELLS = 4096
CELL_BYTES = CELLS * 8
KEY_BYTES = 1 << 18
"""Bytes that the keys of one file take at most."""
LONGEST = 1024
"""Bytes of one key at most."""
MOST = 1 << 63
"""Counts stay below: a file with a larger one is damaged."""

MAGIC = int.from_bytes(b"gscount1", "little")
MARK, KEYS, PID, STARTED, GENERATION, TIER, LEAVES, LEAF_BYTES, ANSWERED, SEEN, BUSY_SINCE = range(11)
"""Head: `MAGIC`, number of keys, process id, start, and gauges. Times are milliseconds since 1970, but BUSY_SINCE is in
nanoseconds of CLOCK_MONOTONIC: since when the question under way has been worked on, 0 while there is none."""
TIERS = ("fallback", "stale", "live")
"""What TIER counts."""
OVERFLOW = 16
"""Questions whose key found no room."""
HITS, MISSES, RECONNECTIONS, WAITS, TIMEOUTS = range(17, 22)
"""Page cache; connections to Redis after the first one; questions that waited for Redis, and that waited in vain."""
BUCKETS = 24
"""Histogram of the time that questions took which were not answered from memory: `BOUNDS` and one more."""
BOUNDS = (0.00005, 0.0002, 0.001, 0.005, 0.02, 0.06, 0.5)
"""Seconds. An answer from memory takes a few microseconds and is not measured: it belongs in the lowest bucket."""
NANOSECONDS = 32
"""Sum of the times measured."""
ERRORS = 33
REDIS_ERRORS = (
    "refused", "timeout", "closed", "protocol", "loading", "auth", "permission", "memory", "masterdown", "readonly", "name",
    "tls", "frozen", "wrong_type", "page", "generation", "other",
)  # fmt: skip
"""Kinds of trouble with Redis, a cell each."""
LOG_LINES, LOG_LOST = range(50, 52)
"""Lines of the decision log that were written, and that could not be."""
FIRST_KEY = 64
LONG_AGO = 1e9
"""Seconds that no clock of a running machine shows."""

ANSWER = "answer"
"""First field of a key for questions that got nodes: then zone (in DNS), service, tier, and for each record type of the answer
the type, the first node and the layer."""
OTHER = "other"
"""First field of a key for all other questions: then zone ("": none, or not DNS) and the outcome.

`static`: records that are the same for everybody; `missing`: no such name or type; `refused`: no node may be given; `failed`:
nothing is known, or the program failed; `invalid`: not a question; `debug`: an operator asked why.
"""
BEACON = "beacon"
"""First field of a key for what clients report: then what it is, and what became of it. It is no question."""
LAST_RESORT = "last_resort"
"""Layer of the round robin without Redis."""

_SAFE = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_REGULAR = 0o100000
_CLEAN = {ord("\t"): "?", ord("\n"): "?"}

held: dict[str, tuple[int, int]] = {}
"""Files that this process counts in: path -> process id (a child that was forked holds none), descriptor."""


class Damaged(ValueError):
    """What a file has cannot be counted on with."""


class Counters:
    """What one worker counts; in memory alone until a file is taken."""

    __slots__ = ("_end", "_fd", "_map", "_path", "_slots", "_total", "cells", "front_end")

    def __init__(self, front_end: str) -> None:
        """Args: front_end: one of `FRONT_ENDS`."""
        self.front_end = front_end
        self._fd = -1
        self._map: mmap | None = None
        self._path = ""
        self._slots: dict[tuple[str, ...], int] = {}
        self._end = 0
        """Bytes of the keys."""
        self._total = 0
        self.cells: memoryview[int] = memoryview(bytearray(CELL_BYTES)).cast("Q")

    def start(self, folder: str, now: float, log: Callable[[str], None], *, asked: bool) -> None:
        """Count in a file below *folder*, or in memory where that cannot be, after one line in the log.

        Args: folder: "": in memory; asked: the operator named it. Else it need not be there, and what is not a program of ours
            leaves it alone.
        """
        if folder and (asked or self.front_end != "library"):
            trouble = self.take_file(folder, now)
            if trouble and (asked or os.path.isdir(folder)):  # noqa: PTH112
                log(f"metrics: {trouble}")

    def take_file(self, folder: str, now: float) -> str:
        """Count in the first file below *folder* that no other worker holds; returns why that cannot be, "" if it is done.

        To be called before anything is counted. Args: now: seconds since 1970.
        """
        own = os.path.join(folder, self.front_end)  # noqa: PTH118
        trouble = ""
        for number in range(MOST_FILES):
            path = os.path.join(own, f"{number}{SUFFIX}")  # noqa: PTH118
            if held.get(path, (0, 0))[0] == os.getpid():
                continue
            try:
                fd = _open(path)
            except OSError as exc:
                if exc.errno == ENOENT and not number and _make_folder(own):
                    return self.take_file(folder, now)
                trouble = trouble or f"{path}: {exc.strerror}"
                if exc.errno in {ENOENT, ENOTDIR, ENOSPC, EROFS}:
                    break
                continue
            try:
                os.lockf(fd, os.F_TLOCK, 1)
            except OSError:
                os.close(fd)
                continue
            try:
                self._adopt(fd, now)
            except (OSError, ValueError) as exc:
                os.close(fd)
                trouble = trouble or f"{path}: {getattr(exc, 'strerror', None) or exc}"
                continue
            self._fd, self._path = fd, path
            held[path] = os.getpid(), fd
            return trouble and f"{trouble}; counting in {path}"
        return f"{trouble or own + ': no file is free'}: not counted"

    def slot(self, *key: str) -> int:
        """The cell of a key; `OVERFLOW` where there is no room for another one."""
        slot = self._slots.get(key)
        return self._add(key) if slot is None else slot

    def count(self, slot: int) -> None:
        """Count one; a cell that somebody else has filled starts again."""
        try:
            self.cells[slot] += 1
        except ValueError:
            self.cells[slot] = 1

    def begin(self, asked: float) -> None:
        """A question of that monotonic time is being worked on."""
        self.cells[BUSY_SINCE] = int(asked * 1e9) if 0 < asked < LONG_AGO else 0

    def end(self) -> None:
        """It is answered, or given up."""
        self.cells[BUSY_SINCE] = 0

    def observe(self, seconds: float) -> None:
        """Count the time of a question that was not answered from memory."""
        if not 0 <= seconds < LONG_AGO:  # the time of a question is its caller's word
            seconds = 0.0
        self.count(BUCKETS + bisect_right(BOUNDS, seconds))
        try:
            self.cells[NANOSECONDS] += int(seconds * 1e9)
        except ValueError:
            self.cells[NANOSECONDS] = 0

    def note(self, now: float, generation: str, tier: str, leaves: int, leaf_bytes: int) -> None:
        """Write down how the worker is, once in a while. Args: now: seconds since 1970; generation: its number, or ""."""
        cells = self.cells
        cells[SEEN] = moment = int(now * 1000)
        cells[GENERATION] = int(generation) if generation.isdigit() and len(generation) < 19 else 0
        cells[TIER] = TIERS.index(tier)
        cells[LEAVES], cells[LEAF_BYTES] = leaves, leaf_bytes
        total = sum(cells[FIRST_KEY : FIRST_KEY + cells[KEYS]]) + cells[OVERFLOW]
        if total != self._total:
            self._total = total
            cells[ANSWERED] = moment

    def close(self) -> None:
        """Leave the file to the next worker."""
        if self._fd >= 0:
            if held.get(self._path) == (os.getpid(), self._fd):
                del held[self._path]
            os.close(self._fd)
            self._fd = -1
            cells, self.cells = self.cells, memoryview(bytearray(CELL_BYTES)).cast("Q")
            cells.release()
            if self._map is not None:
                self._map.close()  # not later: it has a descriptor too, and to close that would cost the next holder its lock
                self._map = None

    def _adopt(self, fd: int, now: float) -> None:
        """Go on counting in a file that is locked. Raises: OSError; Damaged."""
        from mmap import mmap  # no start needs it that counts in memory

        if os.fstat(fd).st_size < CELL_BYTES:
            if os.pread(fd, CELL_BYTES, 0).strip(b"\0"):
                raise Damaged("is damaged")
            os.posix_fallocate(fd, 0, CELL_BYTES)  # to touch what a full disk has no room for would be SIGBUS
            os.fchmod(fd, 0o644)  # whatever the umask: the exporter runs as another user
        mapped = mmap(fd, CELL_BYTES)
        cells = memoryview(mapped).cast("Q")
        text = os.pread(fd, KEY_BYTES, CELL_BYTES)
        keys, end = read_keys(cells, text)
        for at in range(PID, BUSY_SINCE + 1):
            cells[at] = 0
        cells[PID], cells[STARTED] = os.getpid(), int(now * 1000)
        cells[MARK] = MAGIC
        self._slots = {key: slot for slot, key in enumerate(keys, FIRST_KEY)}
        self._end = end
        self.cells, self._map = cells, mapped
        self._total = sum(cells[FIRST_KEY : FIRST_KEY + len(keys)]) + cells[OVERFLOW]

    def _add(self, key: tuple[str, ...]) -> int:
        clean = tuple([field.translate(_CLEAN) for field in key])
        slot = self._slots.get(clean)
        if slot is None:
            line = "\t".join(clean).encode("utf-8", "backslashreplace") + b"\n"
            slot = FIRST_KEY + self.cells[KEYS]
            if slot >= CELLS or len(line) > LONGEST or self._end + len(line) > KEY_BYTES:
                return OVERFLOW
            if self._fd >= 0:
                try:
                    if os.pwrite(self._fd, line, CELL_BYTES + self._end) < len(line):
                        return OVERFLOW
                except OSError:
                    return OVERFLOW
            self._end += len(line)
            self.cells[KEYS] = slot - FIRST_KEY + 1
            self._slots[clean] = slot
        if len(self._slots) < 2 * CELLS:
            self._slots[key] = slot
        return slot


def read_keys(cells: memoryview[int], text: bytes) -> tuple[list[tuple[str, ...]], int]:
    """The keys of a file, and how many bytes of its text they are.

    Args: text: what follows the cells. Raises: Damaged: it is not a file of counters, or one that somebody has changed.
    """
    if cells[MARK] != MAGIC:
        if any(cells):
            raise Damaged("is damaged, or of another version")
        return [], 0  # its worker was killed before it had begun
    number = cells[KEYS]
    if number > CELLS - FIRST_KEY or max(cells[KEYS:]) >= MOST:
        raise Damaged("is damaged")
    lines = text.split(b"\n", number)
    if len(lines) != number + 1:
        raise Damaged("is damaged: keys are missing")
    try:
        keys = [tuple(str(line, "utf-8").split("\t")) for line in lines[:number]]
    except UnicodeDecodeError:
        raise Damaged("is damaged: a key is not text") from None
    return keys, sum(map(len, lines[:number])) + number


def _open(path: str) -> int:
    """Descriptor of a file that is ours. Raises: OSError."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | _SAFE, 0o644)
    stat = os.fstat(fd)
    reason = ""
    if stat.st_mode & 0o170000 != _REGULAR:
        reason = "is not a regular file"
    elif stat.st_uid != os.geteuid():
        reason = f"belongs to another user ({stat.st_uid})"
    elif stat.st_mode & 0o022:
        reason = f"is open to others (mode {stat.st_mode & 0o7777:o})"
    elif stat.st_size > CELL_BYTES + KEY_BYTES:
        reason = "is too large"
    if reason:
        os.close(fd)
        raise OSError(None, reason)
    return fd


def _make_folder(own: str) -> bool:
    """Make a front end's folder where the one above it is there; whether that could be done."""
    try:
        os.mkdir(own, 0o755)  # noqa: PTH102
        os.chmod(own, 0o755)  # noqa: PTH101, S103
    except OSError:  # another worker may have made it at the same time
        return os.path.isdir(own)  # noqa: PTH112
    return True

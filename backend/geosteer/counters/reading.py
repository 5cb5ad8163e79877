"""What workers have counted, and how they are: reads the files of all front ends on this machine, and trusts nothing in them.

    workers, damaged = read_folder("/run/geosteer")
    for worker in workers:
        print(worker.pid, worker.front_end, worker.tier, worker.generation, worker.questions)

A file without a living worker has `pid` None: its counts belong to the sums, its gauges say nothing. Questions a second are
what `questions` grows by between two readings. Reading takes no lock and disturbs no worker.
"""

from __future__ import annotations

import fcntl
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from time import monotonic_ns
from typing import TYPE_CHECKING, NamedTuple

from geosteer.counters import counters as layout
from geosteer.counters.counters import Damaged, held, read_keys

if TYPE_CHECKING:
    from collections.abc import Iterator

_SAFE = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_LARGEST = layout.CELL_BYTES + layout.KEY_BYTES
_FLOCK = "hhqqi4x"
"""`struct flock` of Linux on machines of 64 bits (fcntl(2))."""


class Answer(NamedTuple):
    """What questions were answered with."""

    zone: str
    """"": not asked by DNS."""
    service: str
    tier: str
    given: tuple[tuple[str, str, str], ...]
    """Record type, first node and layer, for each type of the answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerCounters:
    """One file: the counts of one worker and of those that had it before, and how the worker is."""

    path: str
    front_end: str
    """`pdns`, `http`, `squid` or `library`."""
    pid: int | None
    """Of the worker that counts in this file now; None: none does."""
    started: float
    """When that worker took the file, seconds since 1970."""
    seen: float
    """When it last wrote down the fields that follow, seconds since 1970: about once a second."""
    generation: int | None
    """Number of the generation that answers."""
    tier: str
    """`live`, `stale` or `fallback`."""
    leaves: int
    """Pages in its cache."""
    leaf_bytes: int
    """Bytes that they take."""
    answered: float | None
    """When it had last answered a question, seconds since 1970, to about a second; None: not since it was started."""
    waiting: float
    """Seconds for which the question under way has been worked on or waits for Redis; 0 while there is none."""
    keys: dict[tuple[str, ...], int]
    """Questions by key; `answers` and `others` say what is in them."""
    overflow: int
    """Questions whose key found no room."""
    hits: int
    misses: int
    reconnections: int
    waits: int
    timeouts: int
    errors: dict[str, int]
    """Trouble with Redis by kind."""
    buckets: tuple[int, ...]
    """Questions by the time that they took, for `BOUNDS` and above; those answered from memory are not among them."""
    seconds: float
    """Sum of these times."""
    log_lines: int
    """Lines of the decision log."""
    log_lost: int
    """Lines of it that could not be written."""

    @property
    def questions(self) -> int:
        """All questions."""
        return sum(count for key, count in self.keys.items() if key[0] != layout.BEACON) + self.overflow

    def answers(self) -> Iterator[tuple[Answer, int]]:
        """Questions that got nodes."""
        for key, count in self.keys.items():
            if key[0] == layout.ANSWER and len(key) >= 7 and len(key) % 3 == 1:
                zone, service, tier = key[1:4]
                yield (
                    Answer(zone, service, tier, tuple(zip(key[4::3], key[5::3], key[6::3], strict=True))),
                    count,
                )

    def others(self) -> Iterator[tuple[str, str, int]]:
        """All other questions: zone, outcome, count."""
        for key, count in self.keys.items():
            if key[0] == layout.OTHER and len(key) == 3:
                yield key[1], key[2], count

    def beacons(self) -> Iterator[tuple[str, str, int]]:
        """What clients reported: what it was, what became of it, count."""
        for key, count in self.keys.items():
            if key[0] == layout.BEACON and len(key) == 3:
                yield key[1], key[2], count


@dataclass(frozen=True, slots=True, kw_only=True)
class DamagedFile:
    """A file that cannot be read."""

    path: str
    reason: str


def read_folder(folder: str | os.PathLike[str]) -> tuple[list[WorkerCounters], list[DamagedFile]]:
    """All files of all front ends below *folder*; none where there is no such folder."""
    workers, damaged = [], []
    for front_end in layout.FRONT_ENDS:
        for path in _files(Path(folder) / front_end):
            try:
                worker = read_file(str(path), front_end)
            except Damaged as exc:
                damaged.append(DamagedFile(path=str(path), reason=str(exc)))
            else:
                if worker is not None:
                    workers.append(worker)
    return workers, damaged


def read_file(path: str, front_end: str) -> WorkerCounters | None:
    """One file; None: nothing was counted there yet. Raises: Damaged."""
    pid, own = held.get(path, (0, -1))
    if pid == os.getpid():  # to close another descriptor would lose the lock
        return _interpreted(path, front_end, _content(own), pid)
    try:
        fd = os.open(path, os.O_RDONLY | _SAFE)
    except OSError as exc:
        raise Damaged(exc.strerror or str(exc)) from exc
    try:
        return _interpreted(path, front_end, _content(fd), _holder(fd))
    finally:
        os.close(fd)


def _files(folder: Path) -> list[Path]:
    """Files with a number as their name, as many as there may be."""
    try:
        names = [
            entry.name.removesuffix(layout.SUFFIX)
            for entry in os.scandir(folder)
            if entry.name.endswith(layout.SUFFIX)
        ]
    except OSError:
        return []
    numbers = sorted({int(name) for name in names if name.isdecimal() and name.isascii() and len(name) < 5})
    return [folder / f"{number}{layout.SUFFIX}" for number in numbers if number < layout.MOST_FILES]


def _content(fd: int) -> bytes:
    stat = os.fstat(fd)
    if stat.st_mode & 0o170000 != 0o100000:
        raise Damaged("is not a regular file")
    if stat.st_size > _LARGEST:
        raise Damaged("is too large")
    try:
        return os.pread(fd, _LARGEST, 0)
    except OSError as exc:
        raise Damaged(exc.strerror or str(exc)) from exc


def _holder(fd: int) -> int | None:
    """Process id of the worker that holds a file's lock."""
    asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 1, 0)
    try:
        kind, *_, pid = struct.unpack(_FLOCK, fcntl.fcntl(fd, fcntl.F_GETLK, asked))
    except OSError:
        return None
    return pid if kind != fcntl.F_UNLCK and pid > 0 else None


def _interpreted(path: str, front_end: str, data: bytes, pid: int | None) -> WorkerCounters | None:
    if len(data) < layout.CELL_BYTES:
        if data.strip(b"\0"):
            raise Damaged("is damaged: too short")
        return None
    cells = memoryview(data)[: layout.CELL_BYTES].cast("Q")
    keys, _ = read_keys(cells, data[layout.CELL_BYTES :])
    if cells[layout.MARK] != layout.MAGIC:
        return None
    counts: dict[tuple[str, ...], int] = {}
    for slot, key in enumerate(keys, layout.FIRST_KEY):
        counts[key] = counts.get(key, 0) + cells[slot]
    busy = cells[layout.BUSY_SINCE]
    tier = cells[layout.TIER]
    return WorkerCounters(
        path=path,
        front_end=front_end,
        pid=pid,
        started=cells[layout.STARTED] / 1000,
        seen=cells[layout.SEEN] / 1000,
        generation=cells[layout.GENERATION] or None,
        tier=layout.TIERS[tier] if tier < len(layout.TIERS) else layout.TIERS[0],
        leaves=cells[layout.LEAVES],
        leaf_bytes=cells[layout.LEAF_BYTES],
        answered=cells[layout.ANSWERED] / 1000 or None,
        waiting=max(monotonic_ns() - busy, 0) / 1e9 if busy and pid is not None else 0.0,
        keys=counts,
        overflow=cells[layout.OVERFLOW],
        hits=cells[layout.HITS],
        misses=cells[layout.MISSES],
        reconnections=cells[layout.RECONNECTIONS],
        waits=cells[layout.WAITS],
        timeouts=cells[layout.TIMEOUTS],
        errors={kind: cells[layout.ERRORS + at] for at, kind in enumerate(layout.REDIS_ERRORS)},
        buckets=tuple(cells[layout.BUCKETS : layout.NANOSECONDS]),
        seconds=cells[layout.NANOSECONDS] / 1e9,
        log_lines=cells[layout.LOG_LINES],
        log_lost=cells[layout.LOG_LOST],
    )

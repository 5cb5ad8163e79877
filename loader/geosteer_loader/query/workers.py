"""`geosteer workers`: the workers of a host, by the files in which they count, or those that a Redis knows, by CLIENT LIST."""

from __future__ import annotations

import errno
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geosteer.counters.counters import FRONT_ENDS
from geosteer.counters.reading import read_folder
from geosteer.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

    from geosteer.counters.reading import WorkerCounters
    from geosteer_loader.store.store import Store

SILENT = 5.0
"""Seconds without a sign of life after which a worker is told as silent; it gives one about once a second."""
NAMED = "geosteer"
"""First part of the names that workers give their connections."""
MOST = 100_000
"""Connections told at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """A worker on this host."""

    pid: int
    front_end: str
    """`pdns`, `http`, `squid` or `library`."""
    tier: str
    """Where its answers come from: `live`, `stale` or `fallback`."""
    generation: int | None
    cached_pages: int
    cached_bytes: int
    answers_per_second: float | None
    """Questions answered a second, between two readings; None: there was one reading only."""
    answered: int
    """Questions answered by all workers that counted in the same file, one after the other."""
    last_answer: float | None
    """Seconds since its last answer, to about a second; None: it gave none."""
    waiting: float
    """Seconds for which the question under way waits; 0: there is none."""
    seen: float
    """Seconds since it gave a sign of life."""
    up: float
    """Seconds since it was started."""
    file: str

    @property
    def silent(self) -> bool:
        """Whether it is there, and does nothing: it was stopped, or hangs."""
        return self.seen > SILENT


@dataclass(frozen=True, slots=True, kw_only=True)
class Local:
    """The workers of this host."""

    folder: str
    workers: list[Worker]
    free: int
    """Files that no worker counts in now; the next ones take them."""
    troubles: list[str]
    """Files and folders that cannot be read, with the reason."""

    def to_json(self) -> dict[str, Any]:
        """As `geosteer workers --json` prints it."""
        workers = [{**asdict(worker), "silent": worker.silent} for worker in self.workers]
        return {"folder": self.folder, "workers": workers, "free": self.free, "troubles": self.troubles}


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """A worker's connection to Redis."""

    host: str
    front_end: str
    pid: int
    address: str
    """Where it comes from, as Redis sees it."""
    user: str
    connected: int
    """Seconds since it was made."""
    idle: int
    """Seconds since the last command."""
    pushed: bool
    """It is told of changes (CLIENT TRACKING); else it asks for them every second."""

    def to_json(self) -> dict[str, Any]:
        """An element of what `geosteer workers --redis --json` prints: the fields above, by their names."""
        return asdict(self)


def local(
    folder: str, interval: float, sleep: Callable[[float], None], clock: Callable[[], float], wall: Callable[[], float]
) -> Local:  # fmt: skip
    """The workers that count in a folder.

    Args:
        interval: seconds between two readings, for answers a second; 0: one reading.
        clock: monotonic; wall: seconds since 1970.

    Raises: StoreError: the folder cannot be read.
    """
    troubles = _unreadable(folder)
    before: dict[tuple[str, int | None], int] = {}
    began = clock()
    if interval > 0:
        before = {(each.path, each.pid): each.questions for each in read_folder(folder)[0]}
        sleep(interval)
    files, damaged = read_folder(folder)
    elapsed, now = clock() - began, wall()
    workers = [
        _worker(each, before.get((each.path, each.pid)), elapsed, now)
        for each in files
        if each.pid is not None
    ]
    return Local(
        folder=folder,
        workers=sorted(workers, key=lambda worker: (FRONT_ENDS.index(worker.front_end), worker.pid)),
        free=sum(each.pid is None for each in files),
        troubles=[*troubles, *(f"{each.path}: {each.reason}" for each in damaged)],
    )


def connections(store: Store) -> list[Connection]:
    """The workers that are connected to a Redis, by the names that they give themselves. Raises: StoreError."""
    reply = store.call("CLIENT", "LIST")
    rows = reply if isinstance(reply, list) else [_fields(line) for line in _text(reply).splitlines()]
    made = [_connection({str(key): _text(value) for key, value in row.items()}) for row in rows[:MOST]]
    workers = [connection for connection in made if connection is not None]
    return sorted(workers, key=lambda each: (each.host, each.front_end, each.pid))


def _unreadable(folder: str) -> list[str]:
    """What of the folder may not be read. Raises: StoreError: nothing of it."""
    troubles = []
    for path in (Path(folder), *(Path(folder) / front_end for front_end in FRONT_ENDS)):
        try:
            with os.scandir(path):
                pass
        except OSError as exc:
            if str(path) == folder:
                raise StoreError(f"{folder}: {exc.strerror}{_advice(exc)}") from exc
            if exc.errno != errno.ENOENT:
                troubles.append(f"{path}: {exc.strerror}{_advice(exc)}")
    return troubles


def _advice(exc: OSError) -> str:
    if exc.errno in {errno.EACCES, errno.EPERM}:
        return ": ask as root, or as the user of the workers"
    if exc.errno == errno.ENOENT:
        return ": no worker counts there ([metrics] folder in backend.toml); --redis asks Redis"
    return ""


def _worker(counted: WorkerCounters, before: int | None, elapsed: float, now: float) -> Worker:
    assert counted.pid is not None
    rate = None if before is None or elapsed <= 0 else max(counted.questions - before, 0) / elapsed
    return Worker(
        pid=counted.pid,
        front_end=counted.front_end,
        tier=counted.tier,
        generation=counted.generation,
        cached_pages=counted.leaves,
        cached_bytes=counted.leaf_bytes,
        answers_per_second=None if rate is None else round(rate, 2),
        answered=counted.questions,
        last_answer=None if counted.answered is None else _since(counted.answered, now),
        waiting=round(counted.waiting, 3),
        seen=_since(counted.seen or counted.started, now),
        up=_since(counted.started, now),
        file=counted.path,
    )


def _since(moment: float, now: float) -> float:
    return round(max(now - moment, 0.0), 3)


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _fields(line: str) -> dict[str, str]:
    return dict(word.split("=", 1) for word in line.split(" ") if "=" in word)


def _connection(fields: dict[str, str]) -> Connection | None:
    """One of a worker; None: of somebody else."""
    parts = fields.get("name", "").split("/")
    if len(parts) != 4 or parts[0] != NAMED or not parts[3].isdecimal():
        return None
    return Connection(
        host=parts[2],
        front_end=parts[1],
        pid=int(parts[3][:10]),
        address=fields.get("addr", ""),
        user=fields.get("user", ""),
        connected=_whole(fields.get("age")),
        idle=_whole(fields.get("idle")),
        pushed="t" in fields.get("flags", ""),
    )


def _whole(text: str | None) -> int:
    return int(text[:15]) if text and text.isdecimal() else 0

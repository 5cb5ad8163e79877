"""One run of `geosteer latency ingest`: every input that has something new, then the end of the window if it is over."""

from __future__ import annotations

import fcntl
import glob
import logging
import os
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geosteer import files
from geosteer.errors import Refused, SourceError
from geosteer_loader.export.atomic_files import folder
from geosteer_loader.latency.end_of_window import due, end_window, rewrite
from geosteer_loader.latency.geography import Geography
from geosteer_loader.latency.ingest import ingest, ingest_stream
from geosteer_loader.latency.store import DatabaseUnusable, Measurements
from geosteer_loader.latency.told import tell
from geosteer_loader.rtt.inputs.line import Scene
from geosteer_loader.rtt.inputs.own import ABANDONED, OPEN, SEGMENT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from geosteer_loader.config.config import Config
    from geosteer_loader.config.latency import Input
    from geosteer_loader.latency.end_of_window import Window
    from geosteer_loader.latency.ingest import Ingested

log = logging.getLogger(__name__)

STDIN = "-"


class Busy(Refused):
    """Another run is at work."""


@dataclass(slots=True)
class Run:
    """What came of it all."""

    inputs: int = 0
    """Files that were looked at."""
    read: int = 0
    """Bytes that were new."""
    taken: int = 0
    """Samples that count."""
    dropped: Counter[str] = field(default_factory=Counter)
    """Reason -> records that do not."""
    unreadable: list[str] = field(default_factory=list)
    """Files that could not be read, and why."""
    window: Window | None = None
    """Set if a window ended."""

    def add(self, told: Ingested) -> None:
        """Count in what came of one input."""
        self.inputs += 1
        self.read += told.read
        self.taken += told.tally.taken
        self.dropped += told.tally.dropped

    def to_json(self) -> dict[str, Any]:
        """As `geosteer latency ingest --json` prints it."""
        window = self.window
        return {
            "inputs": self.inputs,
            "bytes": self.read,
            "samples": self.taken,
            "dropped": dict(self.dropped),
            "unreadable": self.unreadable,
            "window": None if window is None else {name: getattr(window, name) for name in window.__slots__},
        }


@contextmanager
def opened(config: Config) -> Iterator[Measurements]:
    """The database, for one run alone. Raises: Busy, DatabaseUnusable, NotWritten."""
    path = config.latency.database
    folder(path.parent)
    try:
        lock = files.lock(f"{path}.lock")
    except OSError as exc:
        raise DatabaseUnusable(f"{path}.lock: {exc.strerror or exc}") from exc
    if lock < 0:
        raise Busy(f"{path}: another `geosteer latency ingest` is at work")
    try:
        store = Measurements(path, config.latency.half_life)
        try:
            yield store
        finally:
            store.close()
    finally:
        os.close(lock)


def run(
    config: Config,
    inputs: Sequence[Input],
    now: float,
    *,
    stdin: Callable[[int], bytes] | None = None,
    window: bool | None = None,
    progress: Callable[[int], None] | None = None,
) -> Run:
    """Read the inputs, and end the window.

    Args:
        now: seconds since 1970.
        stdin: what the input `-` is read with.
        window: whether the window ends now; None: if it is over.

    Raises: Busy, DatabaseUnusable, NotWritten, SourceError, StoreError, CorruptPage.
    """
    told = Run()
    with opened(config) as store:
        for each in inputs:
            scene = scene_of(config, each, now)
            if str(each.path) == STDIN:
                assert stdin is not None
                told.add(ingest_stream(stdin, "standard input", each.format, scene, store, progress))
                continue
            for path in paths_of(each.path, told):
                _read(path, each.format, scene, store, told, progress)
        for reason in told.unreadable:
            log.warning("%s", reason)
        if window or (window is None and due(store, config, now)):
            with Geography(config, now) as geography:
                told.window = end_window(store, config, geography, now)
            tell(config, told.window)
        elif window is None and not config.latency.table.exists():
            with Geography(config, now) as geography:
                rewrite(store, config, geography)
    return told


def scene_of(config: Config, given: Input, now: float) -> Scene:
    """What a reader of an input knows besides its lines."""
    nodes = {}
    for name, spec in config.document["nodes"].items():
        nodes[name] = name
        for address in (*spec["a"], *spec["aaaa"], *filter(None, [spec["hostname"]])):
            nodes.setdefault(address, name)
    return Scene(nodes, now, now - config.latency.settings.forget, given.node, given.network)


def paths_of(pattern: Path, told: Run) -> list[Path]:
    """The files of an input: one, those that a pattern matches, oldest first, or the closed segments of a spool."""
    try:
        if pattern.is_dir():
            _take_over(pattern)
            return sorted(path for path in pattern.iterdir() if path.suffix == SEGMENT)
        if pattern.exists():
            return [pattern]
        found = [Path(name) for name in glob.glob(str(pattern))]  # noqa: PTH207  # an absolute pattern
        found = [path for path in found if not path.is_dir()]
        if not found:
            told.unreadable.append(f"{pattern}: no such file")
        return sorted(found, key=lambda path: (path.stat().st_mtime, path.name))
    except OSError as exc:
        told.unreadable.append(f"{exc.filename or pattern}: {exc.strerror or exc}")
        return []


def _take_over(spool: Path) -> None:
    """Close the segments whose writer is gone."""
    for path in spool.glob(f"*{OPEN}"):
        closed = path.with_suffix(SEGMENT)
        if time.time() - path.lstat().st_mtime > ABANDONED and not closed.exists() and not _held(path):
            path.rename(closed)


def _held(path: Path) -> bool:
    """Whether somebody has a lock on a file: it is being written, though rarely."""
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _read(
    path: Path,
    format_: str,
    scene: Scene,
    store: Measurements,
    told: Run,
    progress: Callable[[int], None] | None,
) -> None:
    try:
        one = ingest(path, format_, scene, store, progress)
    except SourceError as exc:
        told.unreadable.append(str(exc))
        return
    told.add(one)
    if one.read:
        log.info("%s: %d samples of %d new bytes", path, one.tally.taken, one.read)
    if path.suffix == SEGMENT:
        try:
            path.unlink(missing_ok=True)
        except OSError as exc:
            told.unreadable.append(f"{path}: counted, but cannot be deleted: {exc.strerror or exc}")

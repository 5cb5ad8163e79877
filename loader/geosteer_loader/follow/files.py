"""Files that are followed: dumps, databases, lists. One is ready when nobody writes to it and it is whole.

| asked | how |
|---|---|
| does somebody write to it? | by a lease (`sources.growing`); where this user may not: has it stayed the same for `settle` |
| never closed, as GoBGP appends? | of the dumps in it the last one that another one follows (`sources.mrt_outline`) |
| is it there to the end? | the records of an MRT file; other formats are read when they are published |
| is it all of the table? | a dump with fewer than `min_routes` of the prefixes of the one that is published is not |

No answer is an error while a file grows: it is waited for. Only what stays like that for `PATIENCE` is told, once.
"""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from geosteer_loader.config.rpki import FORMAT
from geosteer_loader.follow.followed import Sight
from geosteer_loader.sources import growing
from geosteer_loader.sources.formats import AUTO
from geosteer_loader.sources.mrt_outline import outline

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping
    from pathlib import Path

    from geosteer_loader.config.follow import Follow
    from geosteer_loader.config.sources import SourceConfig
    from geosteer_loader.sources.mrt_outline import Outline

log = logging.getLogger(__name__)

PATIENCE = 600.0
"""Seconds after which a file that is not whole is worth a warning."""
FAMILY = {32: "v4", 128: "v6"}


class FollowedFile:
    """One source that is a file, or the newest whole one of those that match a pattern."""

    def __init__(
        self, table: str, source: SourceConfig, settings: Follow, others: Iterable[str] = ()
    ) -> None:
        """Args: table: that it is a source of; others: tables that are built from it as well."""
        self.source = source
        """As it is to be read now: of a pattern the file that was chosen last."""
        self.name = f"{source.place} ({source.pattern or source.path})"
        self.tables = frozenset({table, *others})
        self.quiet, self.ceiling = settings.quiet, settings.ceiling
        self._table = table
        self._settings = settings
        self._number = int(source.place.rpartition("[")[2].rstrip("]")) - 1 if "[" in source.place else -1
        self._optional = source.format == FORMAT
        """ROAs that are absent or empty hold nothing up: earlier ones are used then."""
        self._stable: dict[Path, tuple[Hashable, float]] = {}
        self._verdicts: dict[Hashable, str] = {}
        self._known: Mapping[int, int] = {}
        self._waiting: tuple[Hashable, float] | None = None
        self._chosen: Hashable = None
        self._appends: dict[Hashable, Outline | None] = {}
        """Version of a file that somebody writes to -> its last dump that another one follows."""
        self._dump: tuple[Path, int, int] | None = None
        """Such a dump: its file, where it begins and where it ends."""

    def look(self, now: float) -> Sight:
        """The newest version that is whole; else the newest one, and why it is not."""
        paths = growing.matching(self.source.pattern) if self.source.pattern else [self.source.path]
        first: Sight | None = None
        for path in paths:
            sight = self._sight(path, now)
            if sight.ready:
                if path != self.source.path:
                    self.source = replace(self.source, path=path)
                self._patience(first, now)
                self._chosen = sight.version
                return sight
            first = first or sight
        first = first or Sight(None, False, "no file matches")
        self._patience(first, now)
        return first

    def unchanged(self) -> bool:
        """Whether the file that the last look found ready is still the same, and nobody writes to it; be there newer ones."""
        try:
            if self._chosen == self._dump is not None:  # what is appended meanwhile does not change it
                return self.source.path.stat().st_size >= self._dump[2]
            return (
                _version(self.source.path) == self._chosen
                and growing.being_written(self.source.path) is not True
            )
        except OSError:
            return self._chosen is None

    def table(self, name: str, published: Mapping[str, str]) -> None:
        """Files are read by the publish itself."""
        del name, published

    def settled(self, published: Mapping[str, str]) -> None:
        """Take from the published description how many prefixes the file had, to compare the next one with."""
        self._known = described_prefixes(published.get(f"{self._table}.source", ""), self._number)
        self._verdicts.clear()

    def close(self) -> None:
        """Nothing is held."""

    def _sight(self, path: Path, now: float) -> Sight:
        try:
            version = _version(path)
        except OSError as exc:
            return Sight(None, self._optional, exc.strerror or str(exc))
        known, since = self._stable.get(path, (None, now))
        if known != version:
            since = now
            self._stable[path] = version, now
            self._verdicts.pop(known, None)
        if not version[2]:
            return Sight(version, self._optional, "is empty")
        try:
            writing = growing.being_written(path)
        except OSError as exc:
            return Sight(version, False, exc.strerror or str(exc))
        if writing:
            return self._appended(path, version, calm=now - since >= self._settings.settle)
        if writing is None and now - since < self._settings.settle:
            return Sight(version, False, "has changed just now")
        why = self._verdicts.get(version)
        if why is None:
            why = self._verdicts[version] = self._incomplete(path)
        return Sight(version, not why, why)

    def _appended(self, path: Path, version: Hashable, *, calm: bool) -> Sight:
        """Of a file that somebody has open for writing, the last dump that another one follows.

        Args: calm: whether the file has not changed for a while: it is read only then.
        """
        if calm and version not in self._appends:
            found = self._outline(path)
            self._appends = {version: found if found is not None and found.several else None}
        dump = self._appends.get(version)
        if dump is None:
            return Sight(version, False, "is being written")
        self._dump = path, dump.start, dump.end
        why = self._too_few(dump)
        return Sight(self._dump, not why, why)

    def _outline(self, path: Path) -> Outline | None:
        """How an MRT file is made up; None: it is another one, or reading it will tell what is wrong."""
        if self.source.format not in {"mrt", AUTO}:
            return None
        try:
            return outline(path)
        except (OSError, ValueError):
            return None

    def _incomplete(self, path: Path) -> str:
        """Why a file that nobody writes to is not whole, "" if nothing speaks against it."""
        found = self._outline(path)
        if found is None:
            return ""
        if found.cut is not None and not found.start < found.end < found.cut:
            return f"ends within the record at byte {found.cut}"
        return self._too_few(found)

    def _too_few(self, found: Outline) -> str:
        """Why a dump has too few prefixes to be all of the table, "": it has enough."""
        if not any(found.prefixes.values()):
            return "has no routes yet"
        for bits, before in self._known.items():
            if found.prefixes[bits] < self._settings.min_routes * before:
                return f"has {found.prefixes[bits]} {FAMILY[bits]} prefixes, the one before had {before}"
        return ""

    def _patience(self, waiting: Sight | None, now: float) -> None:
        """Tell of what has been waited for in vain; *waiting*: the newest version, if it is not ready."""
        version = waiting.version if waiting else None
        if waiting is None or self._waiting is None or self._waiting[0] != version:
            self._waiting = (version, now) if waiting else None
        elif now - self._waiting[1] >= PATIENCE:
            log.warning("%s: %s, for %d minutes now: not published", self.name, waiting.why, PATIENCE // 60)
            self._waiting = version, float("inf")


def _version(path: Path) -> tuple[str, int, int, int]:
    """Path, inode, size in bytes and time of the last change. Raises: OSError."""
    status = path.stat()
    return str(path), status.st_ino, status.st_size, status.st_mtime_ns


def described_prefixes(description: str, number: int) -> dict[int, int]:
    """Address bits -> prefixes of one source, by what was published of its table; empty where that does not tell."""
    if number < 0:
        return {}
    try:
        told = json.loads(description)[number]["prefixes"]
        return {bits: max(int(told[family]), 0) for bits, family in FAMILY.items()}
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return {}

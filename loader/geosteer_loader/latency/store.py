"""The database of measurements: SQLite in WAL mode, one row a network, safe to kill at any moment.

A block of an input is taken in one transaction with the place up to which the input has been read, so nothing counts twice.
Nothing finer than a /24 or /48 is written.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from contextlib import contextmanager
from typing import TYPE_CHECKING

from geosteer.errors import GeosteerError
from geosteer_loader.rtt.histograms import Histograms
from geosteer_loader.rtt.sample import KEPT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from geosteer_loader.rtt.sample import Sample

Row = tuple[str, str, str, int, float]
"""Level, place, times, windows waited, and when there was last evidence, of a record."""
FORMAT = 1
NODES = 10_000
"""Numbers of nodes at most, those of removed ones included."""
_TABLES = """
CREATE TABLE IF NOT EXISTS fact (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS node (number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS input (identity BLOB PRIMARY KEY, read_to INTEGER NOT NULL, seen REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS network (
    bits INTEGER NOT NULL, network INTEGER NOT NULL, stamp REAL NOT NULL, cells BLOB NOT NULL, PRIMARY KEY (bits, network)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS record (
    level TEXT NOT NULL, place TEXT NOT NULL, times TEXT NOT NULL, waiting INTEGER NOT NULL, seen REAL NOT NULL,
    PRIMARY KEY (level, place)
) WITHOUT ROWID;
"""


class DatabaseUnusable(GeosteerError):
    """The database cannot be opened, read or written."""


class Measurements:
    """One database."""

    def __init__(self, path: Path, half_life: float) -> None:
        """Open it, or make it. Args: half_life: seconds. Raises: DatabaseUnusable."""
        self.path = path
        self._half_life = half_life
        with self._translated():
            self._sql = sqlite3.connect(path, isolation_level=None, timeout=30)
            try:
                self._sql.execute("PRAGMA journal_mode=WAL")
                self._sql.execute("PRAGMA synchronous=NORMAL")
                self._prepare()
                self._numbers = {
                    name: number for number, name in self._sql.execute("SELECT number, name FROM node")
                }
            except BaseException:
                self._sql.close()
                raise

    def close(self) -> None:
        """Give the file back."""
        self._sql.close()

    def _prepare(self) -> None:
        (version,) = self._sql.execute("PRAGMA user_version").fetchone()
        if version not in (0, FORMAT):
            raise DatabaseUnusable(f"{self.path}: written by another version of geosteer (format {version})")
        with self._transaction():
            for statement in _TABLES.split(";"):
                self._sql.execute(statement)
            self._sql.execute(f"PRAGMA user_version = {FORMAT}")

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as exc:
            raise DatabaseUnusable(f"{self.path}: {exc}") from None

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._sql.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._sql.execute("ROLLBACK")
            raise
        self._sql.execute("COMMIT")

    def read_to(self, identity: bytes) -> int:
        """Up to which byte an input has been counted."""
        with self._translated():
            row = self._sql.execute("SELECT read_to FROM input WHERE identity = ?", (identity,)).fetchone()
        return row[0] if row else 0

    def take(self, samples: Iterable[Sample], identity: bytes | None, read_to: int, now: float) -> None:
        """Count a block of an input, and remember up to where it has been read, both or neither.

        Args: identity: None: an input that cannot be read again. Raises: DatabaseUnusable.
        """
        by_network: defaultdict[tuple[int, int], list[Sample]] = defaultdict(list)
        newest = 0.0
        for sample in samples:
            by_network[sample.bits, sample.network].append(sample)
            newest = max(newest, sample.time)
        with self._translated(), self._transaction():
            for (bits, network), those in sorted(by_network.items()):
                key = bits, network >> (bits - KEPT[bits])
                row = self._sql.execute(
                    "SELECT stamp, cells FROM network WHERE bits = ? AND network = ?", key
                ).fetchone()
                told = self._histograms(row, those[0].time)
                told.add([(self._number(sample.node), sample) for sample in those], self._half_life)
                self._sql.execute(
                    "REPLACE INTO network VALUES (?, ?, ?, ?)", (*key, told.stamp, told.packed())
                )
            if identity is not None:
                self._sql.execute("REPLACE INTO input VALUES (?, ?, ?)", (identity, read_to, now))
            if newest:
                self._sql.execute(
                    "INSERT INTO fact VALUES ('newest', ?1) ON CONFLICT DO UPDATE SET value = max(value, ?1)",
                    (newest,),
                )

    def _histograms(self, row: tuple[float, bytes] | None, time: float) -> Histograms:
        if row is None:
            return Histograms(time)
        try:
            return Histograms(*row)
        except (ValueError, TypeError) as exc:
            raise DatabaseUnusable(f"{self.path}: {exc}") from None

    def _number(self, node: str) -> int:
        number = self._numbers.get(node)
        if number is None:
            if len(self._numbers) >= NODES:
                raise DatabaseUnusable(f"{self.path}: more than {NODES} nodes were ever measured")
            number = len(self._numbers)
            self._sql.execute("INSERT INTO node VALUES (?, ?)", (number, node))
            self._numbers[node] = number
        return number

    def networks(self, now: float) -> Iterator[tuple[int, int, Histograms]]:
        """Address bits, first address and histograms of every network, their weights as of *now*. Raises: DatabaseUnusable."""
        with self._translated():
            for bits, network, stamp, cells in self._sql.execute(
                "SELECT bits, network, stamp, cells FROM network"
            ):
                told = self._histograms((stamp, cells), now)
                told.advance(now, self._half_life)
                yield bits, network << (bits - KEPT[bits]), told

    @property
    def nodes(self) -> Mapping[int, str]:
        """Number -> name."""
        return {number: name for name, number in self._numbers.items()}

    def fact(self, name: str) -> float | None:
        """A remembered number: `newest`, the time of the newest sample; `window`, the time of the last estimate."""
        with self._translated():
            row = self._sql.execute("SELECT value FROM fact WHERE name = ?", (name,)).fetchone()
        return row[0] if row else None

    def forget(self, before: float) -> int:
        """Remove networks and inputs that nothing was heard of since; how many networks. Raises: DatabaseUnusable."""
        with self._translated(), self._transaction():
            gone = self._sql.execute("DELETE FROM network WHERE stamp < ?", (before,)).rowcount
            self._sql.execute("DELETE FROM input WHERE seen < ?", (before,))
            return gone

    def records(self) -> Iterator[Row]:
        """All that is published. Raises: DatabaseUnusable."""
        with self._translated():
            yield from self._sql.execute("SELECT level, place, times, waiting, seen FROM record")

    def replace_records(self, records: Iterable[Row], now: float) -> None:
        """Put down what a window came to, in one transaction. Raises: DatabaseUnusable."""
        with self._translated(), self._transaction():
            self._sql.execute("DELETE FROM record")
            self._sql.executemany("INSERT INTO record VALUES (?, ?, ?, ?, ?)", records)
            self._sql.execute("REPLACE INTO fact VALUES ('window', ?)", (now,))

"""The database of measurements: SQLite in WAL mode, one row a network, safe to kill at any moment.

A block of an input is taken in one transaction with the place up to which the input has been read, so nothing counts twice.
Nothing finer than a /24 or /48 is written.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from geosteer.errors import GeosteerError
from geosteer_loader.rtt.histograms import Histograms
from geosteer_loader.rtt.sample import KEPT

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
    from pathlib import Path

    from geosteer_loader.rtt.sample import Sample

    Changed = Callable[[int, int, Histograms], Collection[int]]
    """Address bits, network and what is kept of it -> numbers of nodes whose past does not count any more."""

Row = tuple[str, str, str, int, float]
"""Level, place, times, windows waited, and when there was last evidence, of a record."""
Failing = tuple[str, str, str, float, int, int]
"""Level, place, node, part of the attempts that fail, whether it is marked, and windows with another verdict."""
FORMAT = 1
NODES = 10_000
"""Numbers of nodes at most, those of removed ones included."""
WAIT = 30.0
"""Seconds that somebody else's transaction is waited for."""
_TABLES = """
CREATE TABLE IF NOT EXISTS fact (name TEXT PRIMARY KEY, value REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS node (number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS input (
    first BLOB NOT NULL, number INTEGER NOT NULL, head INTEGER NOT NULL, head_sum BLOB NOT NULL, read_to INTEGER NOT NULL,
    tail_sum BLOB NOT NULL, seen REAL NOT NULL, PRIMARY KEY (first, number)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS input_seen ON input (seen);
CREATE TABLE IF NOT EXISTS network (
    bits INTEGER NOT NULL, network INTEGER NOT NULL, stamp REAL NOT NULL, cells BLOB NOT NULL, PRIMARY KEY (bits, network)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS record (
    level TEXT NOT NULL, place TEXT NOT NULL, times TEXT NOT NULL, waiting INTEGER NOT NULL, seen REAL NOT NULL,
    PRIMARY KEY (level, place)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS failing (
    level TEXT NOT NULL, place TEXT NOT NULL, node TEXT NOT NULL, rate REAL NOT NULL, marked INTEGER NOT NULL,
    windows INTEGER NOT NULL, PRIMARY KEY (level, place, node)
) WITHOUT ROWID;
"""


class DatabaseUnusable(GeosteerError):
    """The database cannot be opened, read or written."""


class Mark(NamedTuple):
    """How far an input has been read."""

    first: bytes
    """Digest of its first record, whatever its file is called."""
    number: int
    """Of those that begin with the same record, from 0."""
    head: int
    """Bytes at its beginning that tell it from others of these."""
    head_sum: bytes
    """Their digest."""
    read_to: int
    """Byte up to which it is counted."""
    tail_sum: bytes
    """Digest of what precedes that byte."""


class Overtaken(GeosteerError):
    """Somebody else counted the same input meanwhile."""


class Measurements:
    """One database."""

    def __init__(self, path: Path, half_life: float) -> None:
        """Open it, or make it. Args: half_life: seconds. Raises: DatabaseUnusable."""
        self.path = path
        self._half_life = half_life
        with self._translated():
            self._sql = sqlite3.connect(path, isolation_level=None, timeout=WAIT)
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
            self._sql.execute("COMMIT")
        except BaseException:
            if self._sql.in_transaction:  # SQLite itself rolls back when the disk is full
                self._sql.execute("ROLLBACK")
            raise

    def marks(self, first: bytes) -> list[Mark]:
        """The inputs that begin with that record. Raises: DatabaseUnusable."""
        with self._translated():
            rows = self._sql.execute(
                "SELECT first, number, head, head_sum, read_to, tail_sum FROM input WHERE first = ? ORDER BY number",
                (first,),
            )
            return [Mark(*row) for row in rows]

    def take(
        self,
        samples: Iterable[Sample],
        before: int,
        mark: Mark | None,
        now: float,
        refused: Mapping[str, int] | None = None,
    ) -> None:
        """Count a block of an input, and remember up to where it has been read, both or neither.

        Args:
            before: byte at which the block begins.
            mark: how far it is read with this block; None: an input that cannot be read again.
            refused: reason -> lines that do not count, read once *samples* are at their end.

        Raises: DatabaseUnusable. Overtaken.
        """
        by_network: defaultdict[tuple[int, int], list[Sample]] = defaultdict(list)
        newest, count = 0.0, 0
        for sample in samples:
            by_network[sample.bits, sample.network].append(sample)
            newest = max(newest, sample.time)
            count += 1
        with self._translated(), self._transaction():
            if mark is not None:
                self._advance(before, mark, now)
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
            self._add({f"refused: {reason}": lines for reason, lines in (refused or {}).items()})
            if count:
                self._sql.execute(
                    "INSERT INTO fact VALUES ('newest', ?1) ON CONFLICT DO UPDATE SET value = max(value, ?1)",
                    (newest,),
                )
                self._add({"taken": count})

    def _add(self, counts: Mapping[str, int]) -> None:
        self._sql.executemany(
            "INSERT INTO fact VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = value + ?2", counts.items()
        )

    def _advance(self, before: int, mark: Mark, now: float) -> None:
        row = self._sql.execute(
            "SELECT read_to FROM input WHERE first = ? AND number = ?", (mark.first, mark.number)
        ).fetchone()
        if (row[0] if row else 0) != before:
            raise Overtaken(f"{self.path}: the same input is being read by somebody else")
        self._sql.execute("REPLACE INTO input VALUES (?, ?, ?, ?, ?, ?, ?)", (*mark, now))

    def touch(self, mark: Mark, now: float) -> None:
        """An input is still there, with nothing new in it. Raises: DatabaseUnusable."""
        with self._translated():
            self._sql.execute(
                "UPDATE input SET seen = ? WHERE first = ? AND number = ?", (now, mark.first, mark.number)
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
            row = self._sql.execute("SELECT number FROM node WHERE name = ?", (node,)).fetchone()
            if row is not None:
                number = int(row[0])
            else:
                number = self._one("SELECT coalesce(max(number) + 1, 0) FROM node")
                if number >= NODES:
                    raise DatabaseUnusable(f"{self.path}: more than {NODES} nodes were ever measured")
                self._sql.execute("INSERT INTO node VALUES (?, ?)", (number, node))
            self._numbers[node] = number
        return number

    def networks(self, now: float) -> Iterator[tuple[int, int, Histograms]]:
        """Address bits, first address and histograms of every network.

        Weights are as of *now*; the stamp of a network stays the time of its newest sample. Raises: DatabaseUnusable.
        """
        with self._translated():
            for bits, network, stamp, cells in self._sql.execute(
                "SELECT bits, network, stamp, cells FROM network"
            ):
                told = self._histograms((stamp, cells), now)
                told.advance(now, self._half_life)
                told.stamp = stamp
                yield bits, network << (bits - KEPT[bits]), told

    def keys(self) -> Iterator[tuple[int, int]]:
        """Address bits and first address of every network. Raises: DatabaseUnusable."""
        with self._translated():
            for bits, network in self._sql.execute("SELECT bits, network FROM network"):
                yield bits, network << (bits - KEPT[bits])

    @property
    def nodes(self) -> Mapping[int, str]:
        """Number -> name."""
        return {number: name for name, number in self._numbers.items()}

    def fact(self, name: str) -> float | None:
        """A remembered number; None: there is none yet.

        Times of the `newest` sample and of the last estimate (`window`); how many samples were `taken` in all, and how many of
        them that estimate knew (`judged`). How many lines were `refused: REASON` in all, and the weight of samples that the
        last estimate `left out: REASON`.
        """
        with self._translated():
            row = self._sql.execute("SELECT value FROM fact WHERE name = ?", (name,)).fetchone()
        return row[0] if row else None

    def counts(self) -> dict[str, int]:
        """How many rows there are of each kind, and bytes on disk. Raises: DatabaseUnusable."""
        with self._translated():
            told = {
                "networks_v4": self._one("SELECT count(*) FROM network WHERE bits = 32"),
                "networks_v6": self._one("SELECT count(*) FROM network WHERE bits = 128"),
                "inputs": self._one("SELECT count(*) FROM input"),
            }
            for level in ("system", "prefix", "network"):
                told[f"records_{level}"] = self._one("SELECT count(*) FROM record WHERE level = ?", level)
            told["waiting"] = self._one("SELECT count(*) FROM record WHERE waiting > 0")
            told["bytes"] = self._one("PRAGMA page_count") * self._one("PRAGMA page_size")
        return told

    def networks_known(self) -> int:
        """How many networks there are. Raises: DatabaseUnusable."""
        with self._translated():
            return self._one("SELECT count(*) FROM network")

    def _one(self, query: str, *arguments: object) -> int:
        (value,) = self._sql.execute(query, arguments).fetchone()
        return int(value)

    def forget(self, networks: float, inputs: float) -> int:
        """Remove networks and inputs that nothing was heard of since these times; how many networks.

        Raises: DatabaseUnusable.
        """
        with self._translated(), self._transaction():
            gone = self._sql.execute("DELETE FROM network WHERE stamp < ?", (networks,)).rowcount
            self._sql.execute("DELETE FROM input WHERE seen < ?", (inputs,))
            return gone

    def _settle(self, changed: Changed) -> None:
        """What is recent becomes past."""
        for bits, network, stamp, cells in self._sql.execute(
            "SELECT bits, network, stamp, cells FROM network"
        ).fetchall():
            told = self._histograms((stamp, cells), stamp)
            if any(True for _ in told.recent()):
                told.settle(changed(bits, network << (bits - KEPT[bits]), told))
                self._sql.execute(
                    "UPDATE network SET cells = ? WHERE bits = ? AND network = ?",
                    (told.packed(), bits, network),
                )

    def records(self) -> Iterator[Row]:
        """All that is published. Raises: DatabaseUnusable."""
        with self._translated():
            yield from self._sql.execute("SELECT level, place, times, waiting, seen FROM record")

    def failing(self) -> list[Failing]:
        """What is remembered of failures. Raises: DatabaseUnusable."""
        with self._translated():
            return self._sql.execute(
                "SELECT level, place, node, rate, marked, windows FROM failing"
            ).fetchall()

    def replace_records(
        self,
        records: Iterable[Row],
        facts: Mapping[str, float],
        failing: Iterable[Failing] = (),
        changed: Changed | None = None,
    ) -> None:
        """Put down what a window came to, in one transaction.

        Args:
            facts: when it ended (`window`), samples taken until then (`judged`), and records that `changed`.
            failing: what is remembered of failures.
            changed: what tells the nodes of which only what is recent counts any more; None: nothing came since the last one.

        Raises: DatabaseUnusable.
        """
        with self._translated(), self._transaction():
            if changed is not None:
                self._settle(changed)
            self._sql.execute("DELETE FROM record")
            self._sql.executemany("INSERT INTO record VALUES (?, ?, ?, ?, ?)", records)
            self._sql.execute("DELETE FROM failing")
            self._sql.executemany("INSERT INTO failing VALUES (?, ?, ?, ?, ?, ?)", failing)
            self._sql.executemany("REPLACE INTO fact VALUES (?, ?)", facts.items())

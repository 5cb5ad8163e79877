"""A source that counts the prefixes that it gives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from geosteer_loader.sources.source import TiledSource

if TYPE_CHECKING:
    from collections.abc import Iterator

    from geosteer_loader.sources.report import Report
    from geosteer_loader.sources.source import Progress, Row, Source, Tiles


def counted(source: Source) -> CountedSource:
    """The source counted, and tiled if it was."""
    return CountedTiles(source) if isinstance(source, TiledSource) else CountedSource(source)


class CountedSource:
    """Another source, and how many rows of each family came from it."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.name = source.name
        self.disjoint = source.disjoint
        self.families = source.families
        self.prefixes: dict[int, int] = {}
        """Address bits -> rows of the last reading."""

    def rows(self, report: Report, progress: Progress | None = None) -> Iterator[Row]:
        """The rows of the source. Raises: SourceError: as it does."""
        self.prefixes = dict.fromkeys(self.families, 0)
        counts = self.prefixes
        for row in self._source.rows(report, progress):
            counts[row[0]] += 1
            yield row


class CountedTiles(CountedSource):
    """The same of a source that gives tiles."""

    def __init__(self, source: TiledSource) -> None:
        super().__init__(source)
        self._tiled = source

    def tiles(self, report: Report, progress: Progress | None = None) -> Iterator[Tiles]:
        """The tiles of the source. Raises: SourceError: as it does."""
        self.prefixes = dict.fromkeys(self.families, 0)
        for tiles in self._tiled.tiles(report, progress):
            self.prefixes[tiles.bits] = tiles.networks
            yield tiles

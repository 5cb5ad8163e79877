"""A second opinion: what the sources say of some addresses, by py-radix alone, without ranges, pages or trees."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

import radix

from geosteer_loader.sources.networks import NetworkSource
from geosteer_loader.sources.report import Report
from geosteer_loader.tables.flatten import FAMILIES
from geosteer_loader.tables.origin_validation import load
from geosteer_loader.tables.validation_figures import JUDGED

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from geosteer_loader.config.config import Config
    from geosteer_loader.sources.source import Source


class Oracle:
    """The sources of one table, as far as they hold certain addresses; so even large ones take little memory."""

    def __init__(
        self, config: Config, table: str, wanted: Mapping[int, Sequence[int]], now: float = 0.0
    ) -> None:
        """Args: wanted: address bits -> addresses in ascending order that will be asked for; now: seconds since 1970.

        Raises: SourceError: a source cannot be read.
        """
        self._lengths = table == "path"
        self._views = {
            vantage: _trees(sources, wanted) for vantage, sources in _sources(config, table, now).items()
        }

    def record(self, bits: int, address: int) -> str:
        """The record of an address; "" on a miss."""
        packed = address.to_bytes(bits // 8, "big")
        records = {}
        for vantage, trees in self._views.items():
            node = trees[bits].search_best(packed=packed)
            records[vantage] = str(node.data["record"]) if node is not None else ""
        if self._lengths:
            return " ".join(f"{vantage}={length}" for vantage, length in records.items() if length)
        return records.get("", "")


def _sources(config: Config, table: str, now: float) -> dict[str, list[Source]]:
    """Vantage point ("" but for `path`) -> its sources."""
    if table == "nets":
        return {"": [NetworkSource(config.networks)]}
    validation = load(config.rpki, now) if config.rpki is not None and table in JUDGED else None
    authorised = validation.vrps.authorised if validation else None
    views: dict[str, list[Source]] = {}
    for source in config.sources.get(table, ()):
        views.setdefault(source.vantage or "", []).append(source.open(table, authorised))
    return views


def _trees(sources: Iterable[Source], wanted: Mapping[int, Sequence[int]]) -> dict[int, radix.Radix]:
    trees = {bits: radix.Radix() for bits in FAMILIES}
    for source in sources:
        for bits, start, prefix_len, record in source.rows(Report(), None):
            asked = wanted.get(bits, ())
            first = bisect_left(asked, start)
            if first < len(asked) and asked[first] < start + (1 << (bits - prefix_len)):
                trees[bits].add(packed=start.to_bytes(bits // 8, "big"), masklen=prefix_len).data[
                    "record"
                ] = record
    return trees

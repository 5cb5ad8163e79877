"""The configuration's named networks, as a source of the table `nets`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from geosteer_loader.sources.source import FAMILIES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from geosteer_loader.sources.report import Report
    from geosteer_loader.sources.source import Progress, Row


class NetworkSource:
    """The configuration's named networks as a source; of nested ones the longest match wins."""

    name = "networks"
    disjoint = False
    families = FAMILIES

    def __init__(self, networks: Mapping[str, Sequence[tuple[int, int, int]]]) -> None:
        self._networks = networks

    def rows(self, report: Report, progress: Progress | None = None) -> Iterator[Row]:  # noqa: ARG002
        """Every prefix with its network's name."""
        for name, prefixes in self._networks.items():
            for bits, start, prefix_len in prefixes:
                yield bits, start, prefix_len, name

    def streams(self) -> list[Iterator[Row]]:
        """Each network's prefixes in order: by family, first address and length; no two networks have the same prefix."""
        return [_in_order(name, prefixes) for name, prefixes in self._networks.items()]


def _in_order(name: str, prefixes: Sequence[tuple[int, int, int]]) -> Iterator[Row]:
    return ((bits, start, prefix_len, name) for bits, start, prefix_len in sorted(prefixes))

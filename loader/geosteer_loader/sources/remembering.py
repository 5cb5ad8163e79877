"""Sources that read less where they know what an earlier file held."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

from geosteer_loader.sources.source import Source

if TYPE_CHECKING:
    from geosteer_loader.sources.mmdb_memory import Memory


@runtime_checkable
class RememberingSource(Source, Protocol):
    """A source that reads less where it knows what an earlier file held."""

    def remember(self, memory: Memory) -> None:
        """Use, and renew, what *memory* has of an earlier file."""

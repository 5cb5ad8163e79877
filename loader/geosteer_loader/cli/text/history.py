"""What `geosteer history` found, as text for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from geosteer_loader.cli.text.formatting import columns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from geosteer_loader.query.generations import Kept


def text(generations: Sequence[Kept], *, full: bool = False) -> str:
    """What `geosteer history` shows."""
    rows = [
        (
            entry.generation,
            entry.published,
            entry.changed,
            entry.who,
            "current" if entry.current else "",
            entry.why,
        )
        for entry in generations
    ]
    return columns(("GENERATION", "PUBLISHED", "CHANGED", "WHO", "", "WHY"), rows, full=full)

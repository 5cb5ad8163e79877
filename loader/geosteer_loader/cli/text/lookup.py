"""What `geosteer lookup` found, as text for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from geosteer_loader.cli.text.formatting import columns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from geosteer_loader.query.lookup import Lookup


def text(lookups: Sequence[Lookup]) -> str:
    """What `geosteer lookup` shows."""
    rows = [
        (answer.address, table, cell.prefix, "-" if cell.record is None else cell.record)
        for answer in lookups
        for table, cell in answer.cells.items()
    ]
    return columns(("ADDRESS", "TABLE", "PREFIX", "RECORD"), rows)

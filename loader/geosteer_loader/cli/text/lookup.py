"""What `geosteer lookup` found, as text for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from geosteer_loader.cli.text.formatting import columns

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def text(found: Sequence[Mapping[str, Any]]) -> str:
    """What `geosteer lookup` shows."""
    rows = [
        (answer["address"], table, cell["prefix"], "-" if cell["record"] is None else cell["record"])
        for answer in found
        for table, cell in answer.items()
        if table != "address"
    ]
    return columns(("ADDRESS", "TABLE", "PREFIX", "RECORD"), rows)

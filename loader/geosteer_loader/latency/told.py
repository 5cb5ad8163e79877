"""What the journal is told of the end of a window; where it cannot be written, a warning is logged, and nothing else."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from geosteer.errors import ConfigError, StoreError
from geosteer_loader.journal.events import Note
from geosteer_loader.journal.writing import note
from geosteer_loader.store import store as stores

if TYPE_CHECKING:
    from collections.abc import Sequence

    from geosteer_loader.config.config import Config
    from geosteer_loader.latency.end_of_window import Window

log = logging.getLogger(__name__)

NAMED = 8
"""Nodes that fail somewhere, or no longer do, that are named; the others are counted."""


def tell(config: Config, window: Window) -> None:
    """Write the event. Raises nothing for a Redis that is away, or that does not let this user write."""
    try:
        with stores.connect(config.redis, config.journal.max_length) as store:
            note(store, [Note(kind="latency", what=words(window))])
    except (ConfigError, StoreError) as exc:
        log.warning("the journal is not written: %s", exc)


def words(window: Window) -> str:
    """What a window came to, in a line."""
    if window.frozen:
        parts = ["no new samples, what is published stays"]
    else:
        parts = [
            f"{window.networks} networks with samples, {window.places} places known, {window.changed} changed",
            f"{window.waiting} wait for another window" if window.waiting else "",
        ]
    parts += [
        f"{window.forgotten} places forgotten" if window.forgotten else "",
        f"fails now: {_named(window.marked)}" if window.marked else "",
        f"fails no longer: {_named(window.cleared)}" if window.cleared else "",
    ]
    return "; ".join(filter(None, parts))


def _named(nodes: Sequence[str]) -> str:
    more = len(nodes) - NAMED
    return ", ".join(nodes[:NAMED]) + (f" and {more} more" if more > 0 else "")

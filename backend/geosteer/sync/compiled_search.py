"""Look-ups by an address in text that are written in C, where they were built; without them all is as it is, slower."""

from __future__ import annotations

import os

from geosteer.cmodules import SWITCH

try:  # at once: a thread that imports it later may leave its lock to a child
    from geosteer.tables import _search
except (ImportError, OSError):
    _search = None  # type: ignore[assignment]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from geosteer.tables._search import Search

VERSION = 2
"""Of the interface; what was built of other sources is left out."""


def load() -> type[Search] | None:
    """What finds addresses in C; None: it is not wanted, was not built, or of other sources."""
    if _search is None or _search.VERSION != VERSION or os.environ.get(SWITCH) == "no":
        return None
    return _search.Search

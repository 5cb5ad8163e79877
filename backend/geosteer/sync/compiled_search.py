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
    from geosteer.tables._search import Search, Table
    from geosteer.tables.tree import Tree

VERSION = 1
"""Of the interface; what was built of other sources is left out."""


def load() -> type[Search] | None:
    """What finds addresses in C; None: it is not wanted, was not built, or of other sources."""
    if _search is None or _search.VERSION != VERSION or os.environ.get(SWITCH) == "no":
        return None
    return _search.Search


def table(tree: Tree | None) -> Table | None:
    """What C wants of a tree; None for none, and for one that is too large for a single list of leaves."""
    if tree is None or tree.slots is None:
        return None
    return tree.slots, tree.branches[0].starts, tree.quick

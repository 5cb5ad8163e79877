"""The part of the worker's loop that is written in C, where it was built; without it all is as it is, slower."""

from __future__ import annotations

import os

from geosteer.counters.counters import HITS
from geosteer.decision.client import FLOORS
from geosteer.tables import page_format

TYPE_CHECKING = False
if TYPE_CHECKING:
    from geosteer.counters.counters import Counters
    from geosteer.powerdns._answerer import Answerer, Table
    from geosteer.tables.tree import Tree

SWITCH = "GEOSTEER_COMPILED"
"""Environment variable that leaves it out if it is "no"."""
VERSION = 3
"""Of the interface; what was built of other sources is left out."""


def load(counters: Counters) -> Answerer | None:
    """What answers questions in C and counts them there; pages are read in C from then on.

    Returns: None: it is not wanted, or of other sources.
    Raises: ImportError: it was not built, or for something else; OSError.
    """
    if os.environ.get(SWITCH) == "no":
        return None
    from geosteer.powerdns import _answerer

    if _answerer.VERSION != VERSION:
        return None
    page_format.outline_quickly, page_format.places_quickly = _answerer.outline, _answerer.places
    return _answerer.Answerer(counters.cells, HITS, bytes(FLOORS))


def table(tree: Tree) -> Table | None:
    """What C wants of a tree; None for one that is too large for a single list of leaves."""
    return None if tree.slots is None else (tree.slots, tree.branches[0].starts, tree.quick)

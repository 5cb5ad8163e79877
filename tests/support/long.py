"""How long tests may take: `GEOSTEER_LONG=1` asks for all that there is, else a part has to do."""

from __future__ import annotations

import os

import pytest

LONG = bool(os.environ.get("GEOSTEER_LONG"))
takes_long = pytest.mark.skipif(not LONG, reason="takes long: GEOSTEER_LONG=1 runs it")
"""For tests of large data that take half a minute or more; something smaller stands for each in every run."""


def examples(count: int) -> int:
    """Examples of a property test: so many in a long run, else a quarter; those that `@example` names come always."""
    return count if LONG else count // 4

"""How long tests may take: `GEOSTEER_LONG=1` asks for all that there is, else a part has to do."""

from __future__ import annotations

import os

LONG = bool(os.environ.get("GEOSTEER_LONG"))


def examples(count: int) -> int:
    """Examples of a property test: so many in a long run, else a quarter; those that `@example` names come always."""
    return count if LONG else count // 4

"""What `geosteer verify` finds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Problem(NamedTuple):
    """Something wrong."""

    where: str
    """Table and family, and the prefix where it is known: `geo.v4 10.0.0.0/8`."""
    what: str


@dataclass(slots=True)
class Verdict:
    """What was found."""

    generation: int
    tables: dict[str, dict[str, int]] = field(default_factory=dict)
    """`geo.v4` -> `pages`, `ranges`, `compared` (addresses)."""
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What could not be looked at, and why."""
    orphans: int | None = None
    """Objects of killed publishes that were removed; None: not looked for."""
    damaged: int = 0
    """Damaged objects that were removed, to be published again."""

    def to_json(self) -> dict[str, Any]:
        """As `geosteer verify --json` prints it."""
        return {
            "generation": self.generation,
            "tables": self.tables,
            "problems": [problem._asdict() for problem in self.problems],
            "notes": self.notes,
            "orphans": self.orphans,
            "damaged": self.damaged,
        }
